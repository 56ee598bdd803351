//! `queue`: who runs on each model, and who is next.

use screen::{Line, Style};
use tabular_operator::api::RunState;

use crate::facts::{ModelQueue, elapsed, resource_status, state, typical};
use crate::objects::Object;
use crate::output::{Cell, Column, View, about, duration, rough, table};

/// The table of queues. If others can be in a queue, they can have the turn.
#[must_use]
pub fn queue(queues: &[ModelQueue<'_>], with_namespace: bool, view: &View) -> Vec<Line> {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for queue in queues {
        let first = rows.len();
        for object in &queue.running {
            let left = typical(object, view.now).and_then(|typical| typical.left()).map(|left| format!("{} left", about(left)));
            rows.push(row("▶".to_owned(), object, with_namespace, left, view));
        }
        for (index, object) in queue.waiting.iter().enumerate() {
            let starts = queue.starts_in(index, view.now).map(|seconds| format!("starts in {}", about(seconds)));
            let turn = queue.position(index).map_or_else(|| "…".to_owned(), |position| position.to_string());
            rows.push(row(turn, object, with_namespace, starts, view));
        }
        if !queue.is_complete {
            let unknown = ["?", "(others)", "", "", "not visible to you"].map(|text| (Style::Faint, text.to_owned()));
            rows.push(std::iter::once((Style::Plain, String::new())).chain(unknown).collect());
        }
        if let Some(cell) = rows.get_mut(first).and_then(|row| row.first_mut()) {
            *cell = (Style::Bold, queue.model.clone());
        }
    }
    let columns = [
        Column::of("MODEL"),
        Column::fixed("TURN"),
        Column::of("RESOURCE"),
        Column::fixed("STATE"),
        Column::fixed("ELAPSED"),
        Column::fixed("DETAIL"),
    ];
    table(&columns, &rows, view.width)
}

/// The first cell is that of the model, which only the first row of a model has.
fn row(turn: String, object: &Object, with_namespace: bool, detail: Option<String>, view: &View) -> Vec<Cell> {
    let name = if with_namespace { format!("{}/{}", object.namespace(), object.name()) } else { object.name() };
    let style = resource_status(object).style();
    let is_waiting = object.run().is_some_and(|run| run.state == RunState::Waiting);
    let since = elapsed(object, view.now).map(|seconds| if is_waiting { rough(seconds) } else { duration(seconds) });
    let plain = |text: String| (Style::Plain, text);
    vec![
        plain(String::new()),
        (style, turn),
        plain(name),
        (style, state(object)),
        plain(since.unwrap_or_default()),
        plain(detail.unwrap_or_default()),
    ]
}
