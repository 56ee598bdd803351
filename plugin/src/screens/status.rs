//! `status`: one resource with its run, the queue of its model, and what comes next.

use kube::Resource as _;
use screen::{Line, Style, fit, width_of};
use tabular_operator::api::{HistoryEntry, ModelResource, Run, RunState, TableProgress};

use super::cells;
use super::tree::{Row, tree};
use crate::facts::{
    Visible, chain, elapsed, freshness, queues, reason, resource_status, running_seconds, state, state_name, success_durations, typical,
};
use crate::objects::Object;
use crate::output::{View, bar, clock, day_clock, duration, listed, rough, shown, sparkline};

/// How many tables have a bar.
const MOST_TABLES: usize = 10;
/// The widest name of a table, in columns.
const MOST_NAME: usize = 40;
/// How many items of a list are shown.
pub(super) const MOST_ITEMS: usize = 5;

/// The status of a resource.
#[must_use]
pub fn status(object: &Object, visible: Visible<'_>, view: &View) -> Vec<Line> {
    let mut lines = vec![title(object), headline(object, view)];
    let mut rows = Vec::new();
    rows.extend(message(object));
    if let Some(run) = object.run() {
        rows.push(run_row(object, run, view));
        rows.extend(details(run, view));
    }
    rows.extend(waiting(object, visible, view));
    rows.extend((!object.is_deleting()).then(|| next(object, view)));
    rows.extend(last(object, view));
    rows.extend(history(object));
    lines.extend(tree(&rows));
    lines
}

fn title(object: &Object) -> Line {
    let key = object.key();
    let service = match object.run().map(|run| &run.model).or_else(|| object.resource.model()) {
        Some(model) if model.analysis_services.is_some() => " (Analysis Services)",
        Some(model) if model.power_bi.is_some() => " (Power BI)",
        Some(_) | None => "",
    };
    vec![
        (Style::Plain, format!("{} ", key.kind.as_str())),
        (Style::Bold, format!("{}/{}", key.namespace, key.name)),
        (Style::Plain, format!("   {}{service}", object.model())),
    ]
}

fn headline(object: &Object, view: &View) -> Line {
    let status = resource_status(object);
    let state = state(object);
    // A resource that is suspended or being deleted has a state of its own, which did not begin or end with its run.
    let run = object.run().filter(|run| shown(&state_name(run.state)) == state);
    let ended = run.filter(|run| run.state.ended()).and_then(|run| run.ended_time.or(run.recorded_time));
    let since = match &object.resource.meta().deletion_timestamp {
        Some(requested) => Some(view.since(requested.0)),
        None => run.and_then(|_| elapsed(object, view.now)),
    };
    let mut text = match (since, ended) {
        (Some(seconds), _) => format!("{state} for {}", duration(seconds)),
        (None, Some(time)) => format!("{state} {}", cells::ago(time.timestamp(), view)),
        (None, None) => state.clone(),
    };
    if let Some(progress) = object.run().filter(|run| running_seconds(run, view.now).is_some()).and_then(|run| run.progress.as_ref()) {
        text = format!("{text}, {} of {} objects", progress.completed, progress.total);
    }
    let reason = reason(object);
    if !reason.is_empty() && reason != state {
        text = format!("{text}: {reason}");
    }
    if let Some(typical) = typical(object, view.now).filter(|typical| typical.elapsed.is_some()) {
        text = format!("{text}. {}", capitalized(&typical.sentence()));
    }
    vec![(status.style(), format!("{} ", status.sign())), (Style::Plain, text)]
}

fn capitalized(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// The message of Ready, unless it repeats what the other rows show.
fn message(object: &Object) -> Option<Row> {
    let ready = object.condition(tabular_operator::api::ConditionType::Ready)?;
    let is_plain_run = object.run().is_some_and(|run| run.state == RunState::Running) && ready.reason == "Running";
    (!is_plain_run && !ready.message.is_empty()).then(|| Row::new("message", shown(&ready.message)))
}

fn run_row(object: &Object, run: &Run, view: &View) -> Row {
    let mut parts = vec![cells::trigger(&run.trigger, view)];
    if let Some(submitted) = run.submitted_time {
        let waited = submitted.seconds_since(run.requested_time);
        let at = submitted.timestamp().to_zoned(view.zone.clone()).strftime("%H:%M:%S").to_string();
        parts.push(format!("submitted {at}{} after {}", if view.utc { "Z" } else { "" }, rough(waited)));
    }
    if let Some(time) = run.next_attempt_time.filter(|_| run.state == RunState::Waiting) {
        parts.push(format!("next attempt {}", clock(time.timestamp(), view)));
    }
    let attempts = backoff_limit(object).saturating_add(1);
    if attempts > 1 || run.attempt > 1 {
        parts.push(format!("attempt {} of {}", run.attempt, attempts.max(run.attempt)));
    }
    let mut below = Vec::new();
    if let Some(id) = &run.operation_id {
        below.push(vec![(Style::Plain, format!("operation {}", shown(id)))]);
    }
    if !run.state.ended() {
        below.extend(tables(run, view));
    }
    Row::new(format!("run {}", run.number), parts.join("; ")).with(below)
}

fn backoff_limit(object: &Object) -> i32 {
    match &object.resource {
        ModelResource::ModelRefresh(refresh) => refresh.spec.backoff_limit,
        ModelResource::ModelSync(sync) => sync.spec.backoff_limit,
    }
}

fn tables(run: &Run, view: &View) -> Vec<Line> {
    let Some(progress) = &run.progress else { return Vec::new() };
    let (shown_tables, others) = progress.tables.split_at(progress.tables.len().min(MOST_TABLES));
    let names: Vec<String> = shown_tables.iter().map(|table| shown(&table.name)).collect();
    let width = names.iter().map(|name| width_of(name)).max().unwrap_or(0).min(MOST_NAME);
    let mut lines: Vec<Line> =
        shown_tables.iter().zip(&names).map(|(table, name)| table_line(table, &fit(name, width), width, view)).collect();
    // An older operator writes no count.
    let total = usize::try_from(progress.table_count).unwrap_or(0).max(progress.tables.len());
    let more = total - lines.len();
    if more > 0 {
        let done = others.iter().filter(|table| table.completed >= table.total).count();
        // The operator lists at most 20 tables: of the others only the number is known.
        let done = if others.len() == more { format!(", {done} done") } else { String::new() };
        lines.push(vec![(Style::Faint, format!("{more} more {}{done}", if more == 1 { "table" } else { "tables" }))]);
    }
    lines
}

/// `FactSales    ███░░░░░░░░░░░░░░░░░  1/6  7m50s ▶`.
fn table_line(table: &TableProgress, name: &str, width: usize, view: &View) -> Line {
    let blanks = " ".repeat(width - width_of(name) + 2);
    let took = table.started_time.map(|started| {
        let ended = table.ended_time.map_or(view.now, tabular_operator::api::Time::timestamp);
        format!("  {}", duration(ended.duration_since(started.timestamp()).as_secs()))
    });
    let is_done = table.ended_time.is_some() || table.completed >= table.total;
    let (style, sign) = match (table.failed > 0, is_done, table.started_time) {
        (true, _, _) => (Style::Red, " ✗"),
        (false, true, _) => (Style::Green, ""),
        (false, false, Some(_)) => (Style::Blue, " ▶"),
        (false, false, None) => (Style::Plain, ""),
    };
    vec![
        (Style::Plain, format!("{name}{blanks}")),
        (style, bar(table.completed, table.total)),
        (Style::Plain, format!("  {}/{}{}", table.completed, table.total, took.unwrap_or_default())),
        (style, sign.to_owned()),
    ]
}

/// What the service reported of a run.
fn details(run: &Run, view: &View) -> Vec<Row> {
    let mut rows = Vec::new();
    let failed: Vec<String> = run.failed_objects.iter().map(|failed| failed_object(&failed.table, failed.partition.as_deref())).collect();
    if !failed.is_empty() {
        rows.push(Row::styled("failed", vec![(Style::Red, listed(&failed, MOST_ITEMS))]));
    }
    let messages: Vec<Line> = run.messages.iter().take(MOST_ITEMS).map(service_message).collect();
    if let Some(first) = messages.first() {
        let more = run.messages.len().saturating_sub(MOST_ITEMS);
        let more = (more > 0).then(|| vec![(Style::Faint, format!("{more} more in .status.run.messages"))]);
        rows.push(Row::styled("messages", first.clone()).with(messages.iter().skip(1).cloned().chain(more).collect()));
    }
    if !run.candidates.is_empty() {
        let candidates = run.candidates.iter().map(|candidate| {
            let started = candidate.started_time.map(|time| format!("  started {}", clock(time.timestamp(), view))).unwrap_or_default();
            vec![(Style::Plain, format!("{}{started}  {}", shown(&candidate.operation_id), shown(&candidate.status)))]
        });
        rows.push(Row::new("candidates", "one of these operations may be that of the run").with(candidates.collect()));
    }
    if let Some(url) = &run.details_url {
        rows.push(Row::new("details", shown(url)));
    }
    if let Some(id) = run.activity_id.as_deref().filter(|_| run.state.ended() && run.state != RunState::Succeeded) {
        rows.push(Row::new("activity", format!("{} (for a support case)", shown(id))));
    }
    rows
}

/// A table, or a partition of it: `FactStock/2026-11`.
pub(super) fn failed_object(table: &str, partition: Option<&str>) -> String {
    partition.map_or_else(|| shown(table), |partition| format!("{}/{}", shown(table), shown(partition)))
}

/// A message of the service in one line.
pub(super) fn service_message(message: &tabular_operator::api::Message) -> Line {
    let style = if message.r#type.eq_ignore_ascii_case("error") { Style::Red } else { Style::Yellow };
    let code = message.code.as_deref().map(|code| format!(" {}", shown(code))).unwrap_or_default();
    vec![(style, format!("{}{code}", shown(&message.r#type))), (Style::Plain, format!(": {}", shown(&message.message)))]
}

/// What the run waits for, or what waits behind it.
fn waiting(object: &Object, visible: Visible<'_>, view: &View) -> Option<Row> {
    let queues = queues(visible);
    if let Some(chain) = chain(object, &queues, view.now) {
        return Some(Row::new("waiting", chain.sentence()));
    }
    let key = object.key();
    let queue = queues.iter().find(|queue| queue.running.iter().any(|running| running.key() == key))?;
    let behind = queue.waiting.iter().map(|waiting| {
        let name =
            if waiting.namespace() == key.namespace { waiting.name() } else { format!("{}/{}", waiting.namespace(), waiting.name()) };
        elapsed(waiting, view.now).map_or_else(|| name.clone(), |seconds| format!("{name} ({})", rough(seconds)))
    });
    let behind: Vec<String> = behind.collect();
    (!behind.is_empty()).then(|| Row::new("waiting", listed(&behind, MOST_ITEMS)))
}

/// What will start the next run.
fn next(object: &Object, view: &View) -> Row {
    let trigger = object.resource.trigger();
    let schedule = trigger.and_then(|trigger| trigger.schedule.as_deref().map(|schedule| (schedule, trigger.time_zone.as_deref())));
    let source = match (schedule, object.resource.upstream_name()) {
        (Some((schedule, zone)), _) => {
            let time = object.status().next_schedule_time.map(|time| format!(", {}", day_clock(time.timestamp(), view)));
            format!("schedule {} {}{}", shown(schedule), shown(zone.unwrap_or("Etc/UTC")), time.unwrap_or_default())
        }
        (None, Some(upstream)) => format!("after each success of {}", shown(upstream)),
        (None, None) => "on request or a change".to_owned(),
    };
    let queued = object.status().queued.as_ref();
    let queued = queued.map_or_else(|| "nothing queued".to_owned(), |queued| format!("queued: {}", cells::trigger(queued, view)));
    let suspended = if object.is_suspended() { "; suspended" } else { "" };
    Row::new("next", format!("{source}; {queued}{suspended}"))
}

/// The latest run that ended before the one in the headline, and the age of the data.
fn last(object: &Object, view: &View) -> Option<Row> {
    let current = object.run().map(|run| run.number);
    let entry = object.status().history.iter().find(|entry| Some(entry.number) != current);
    let data = freshness(object, view.now).map(|freshness| {
        let stale = if freshness.is_stale() { ", stale" } else { "" };
        format!("data {} of {}{stale}", rough(freshness.age), cells::target(freshness.target))
    });
    let data = data.or_else(|| {
        let success = object.status().last_successful_time?;
        Some(format!("data {}", rough(view.since(success.timestamp()))))
    });
    let parts: Vec<String> = entry.map(|entry| ended(entry, view)).into_iter().chain(data).collect();
    (!parts.is_empty()).then(|| Row::new("last", parts.join("; ")))
}

/// `✓ run 40 yesterday 22:12, 12m03s`.
fn ended(entry: &HistoryEntry, view: &View) -> String {
    let (sign, state) = match entry.state {
        RunState::Succeeded => ("✓", String::new()),
        state => ("✗", format!(" {}", shown(&state_name(state)))),
    };
    let time = entry.ended_time.or(entry.recorded_time).map(|time| format!(" {}", day_clock(time.timestamp(), view)));
    let took = entry.duration_seconds.map(|seconds| format!(", {}", duration(seconds)));
    format!("{sign} run {}{state}{}{}", entry.number, time.unwrap_or_default(), took.unwrap_or_default())
}

fn history(object: &Object) -> Option<Row> {
    let durations = success_durations(&object.status().history);
    if durations.is_empty() {
        return None;
    }
    let succeeded = object.status().history.iter().filter(|entry| entry.state == RunState::Succeeded).count();
    let text = format!("{succeeded} of {} succeeded", durations.len());
    Some(Row::new("history", format!("{} {text}", sparkline(&durations))))
}
