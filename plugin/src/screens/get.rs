//! `get`: one line for each resource.

use screen::{Line, Style};
use tabular_operator::api::ConditionType;

use super::cells;
use super::request::command;
use crate::facts::{Freshness, ResourceStatus, Visible, freshness, order, queues, reason, resource_status, state};
use crate::objects::Object;
use crate::output::{Cell, Column, View, shown, table};

/// The table of resources. `visible` are the resources that queue positions count; `shown_objects` are those with a row.
#[must_use]
pub fn get(visible: Visible<'_>, shown_objects: &[Object], with_namespace: bool, view: &View) -> Vec<Line> {
    let queues = queues(visible);
    let mut objects = shown_objects.to_vec();
    order(&mut objects, view.now);
    let rows: Vec<Vec<Cell>> = objects
        .iter()
        .map(|object| {
            let status = resource_status(object);
            let stale = freshness(object, view.now).is_some_and(Freshness::is_stale);
            let plain = |text: String| (Style::Plain, text);
            let mut row = vec![(status.style(), status.sign().to_owned())];
            if with_namespace {
                row.push(plain(shown(object.namespace())));
            }
            row.extend([
                (Style::Bold, object.name()),
                plain(object.model()),
                (status.style(), state(object)),
                plain(reason(object)),
                plain(cells::progress(object, &queues, view.now)),
                plain(cells::last_success(object, view)),
                (if stale { Style::Red } else { Style::Plain }, cells::fresh(object, view.now)),
                plain(cells::next(object, view)),
            ]);
            if view.wide {
                let operation = object.run().and_then(|run| run.operation_id.as_deref()).map(shown).unwrap_or_default();
                let message = object.condition(ConditionType::Ready).map(|condition| shown(&condition.message)).unwrap_or_default();
                row.extend([plain(operation), plain(message)]);
            }
            row
        })
        .collect();
    table(&columns(with_namespace, view.wide), &rows, view.width)
}

fn columns(with_namespace: bool, wide: bool) -> Vec<Column> {
    let mut columns = vec![Column::fixed("")];
    if with_namespace {
        columns.push(Column::of("NAMESPACE"));
    }
    columns.extend(["NAME", "MODEL"].map(Column::of));
    columns.push(Column::fixed("STATE"));
    columns.extend(["REASON", "PROGRESS"].map(Column::of));
    columns.extend(["LAST SUCCESS", "FRESH", "NEXT"].map(Column::fixed));
    if wide {
        columns.extend(["OPERATION", "MESSAGE"].map(Column::of));
    }
    columns
}

/// How many resources need action, and the command for the first one; `None` if none does.
#[must_use]
pub fn needs_action(objects: &[Object], view: &View) -> Option<String> {
    let mut stuck: Vec<Object> = objects.iter().filter(|object| resource_status(object) == ResourceStatus::NeedsAction).cloned().collect();
    order(&mut stuck, view.now);
    let first = stuck.first()?;
    let needs = if stuck.len() == 1 { "1 needs action".to_owned() } else { format!("{} need action", stuck.len()) };
    Some(format!("{needs}: run `{}`", command("why", first, view)))
}
