//! `history`: the ended runs of a resource, the newest first.

use screen::{Line, Style};
use tabular_operator::api::{HistoryEntry, RunState, TriggerType};

use super::cells;
use super::status::failed_object;
use crate::facts::{state_name, success_durations, typical, waited};
use crate::objects::Object;
use crate::output::{Cell, Column, View, day_clock, duration, listed, rough, shown, sparkline, table};

/// How many failed objects are shown.
const MOST_OBJECTS: usize = 5;

/// The table of ended runs, and how long they usually take.
#[must_use]
pub fn history(object: &Object, view: &View) -> Vec<Line> {
    let entries = &object.status().history;
    let rows: Vec<Vec<Cell>> = entries.iter().map(|entry| row(entry, view)).collect();
    let columns = [
        Column::fixed("RUN"),
        Column::fixed("ENDED"),
        Column::fixed("RESULT"),
        Column::fixed("DURATION"),
        Column::fixed("WAITED"),
        Column::of("TRIGGER"),
        Column::of("REASON"),
    ];
    let mut lines = table(&columns, &rows, view.width);
    lines.push(summary(object, view));
    lines
}

fn row(entry: &HistoryEntry, view: &View) -> Vec<Cell> {
    let plain = |text: String| (Style::Plain, text);
    let ended = entry.ended_time.or(entry.recorded_time).map(|time| day_clock(time.timestamp(), view));
    vec![
        plain(format!("{:>3}", entry.number)),
        plain(ended.unwrap_or_default()),
        result(entry.state),
        plain(entry.duration_seconds.map(duration).unwrap_or_default()),
        plain(waited(entry.requested_time, entry.started_time).map(rough).unwrap_or_default()),
        plain(trigger_name(entry.trigger.r#type)),
        plain(cause(entry)),
    ]
}

fn result(state: RunState) -> Cell {
    match state {
        RunState::Succeeded => (Style::Green, "✓".to_owned()),
        state => (Style::Red, format!("✗ {}", shown(&state_name(state)))),
    }
}

fn trigger_name(trigger: TriggerType) -> String {
    shown(&trigger.to_string())
}

/// Why a run did not succeed. The message of a success repeats what the other columns show.
fn cause(entry: &HistoryEntry) -> String {
    if entry.state == RunState::Succeeded {
        return String::new();
    }
    let message = shown(&entry.message);
    if entry.reason.is_empty() { message } else { format!("{}: {message}", shown(&entry.reason)) }
}

/// `▆▅✗  usually 7m (8 runs: 6m to 9m) · failed in run 12: FactStock/2026-11, DimItem`.
fn summary(object: &Object, view: &View) -> Line {
    let durations = success_durations(&object.status().history);
    let mut parts = Vec::new();
    parts.extend(typical(object, view.now).map(|typical| typical.sentence()));
    if let Some(run) = object.run().filter(|run| run.state.ended() && !run.failed_objects.is_empty()) {
        let objects: Vec<String> =
            run.failed_objects.iter().map(|failed| failed_object(&failed.table, failed.partition.as_deref())).collect();
        parts.push(format!("failed in run {}: {}", run.number, listed(&objects, MOST_OBJECTS)));
    }
    if durations.is_empty() {
        return vec![(Style::Faint, "no run has ended yet".to_owned())];
    }
    vec![(Style::Plain, format!("{}  {}", sparkline(&durations), parts.join(" · ")))]
}

/// One ended run in full; `None` if the history does not contain it.
#[must_use]
pub fn history_run(object: &Object, number: i32, view: &View) -> Option<Vec<Line>> {
    let entry = object.status().history.iter().find(|entry| entry.number == number)?;
    let mut rows = vec![("run", number.to_string()), ("result", result(entry.state).1), ("trigger", cells::trigger(&entry.trigger, view))];
    let times = [("started", entry.started_time), ("ended", entry.ended_time), ("recorded", entry.recorded_time)];
    rows.extend(times.into_iter().filter_map(|(label, time)| {
        let time = time?.timestamp();
        Some((label, format!("{} ({})", day_clock(time, view), cells::ago(time, view))))
    }));
    rows.extend(entry.duration_seconds.map(|seconds| ("duration", duration(seconds))));
    rows.extend(waited(entry.requested_time, entry.started_time).map(|seconds| ("waited", duration(seconds))));
    rows.push(("attempts", entry.attempts.to_string()));
    rows.extend(entry.operation_id.as_deref().map(|id| ("operation", shown(id))));
    rows.push(("reason", shown(&entry.reason)));
    rows.push(("message", shown(&entry.message)));
    if let Some(run) = object.run().filter(|run| run.number == number) {
        rows.extend(run.failed_objects.iter().map(|failed| ("failed", failed_object(&failed.table, failed.partition.as_deref()))));
        rows.extend(run.messages.iter().map(|message| ("service", shown(&message.message))));
    }
    let line = |(label, text): (&str, String)| vec![(Style::Bold, format!("{label:<10} ")), (Style::Plain, text)];
    Some(rows.into_iter().filter(|(_, text)| !text.is_empty()).map(line).collect())
}
