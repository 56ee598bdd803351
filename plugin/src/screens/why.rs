//! `why`: the cause of a resource's state, the evidence, and what to do.

use kube::Resource as _;
use screen::{Line, Style, text_of};
use tabular_operator::api::{ConditionType, RunState};

use super::cells;
use super::status::{MOST_ITEMS, failed_object, service_message};
use crate::evidence::{Evidence, Liveness, ResourceEvent};
use crate::facts::{
    Diagnosis, ResourceStatus, Since, Unobserved, Verdict, Visible, chain, freshness, place, queues, resource_status, state_name,
};
use crate::objects::Object;
use crate::output::{View, about, clock, duration, listed, rough, shown, wrapped};

/// The width of a label, with the blanks around it.
const LABEL: usize = 12;

/// The diagnosis of a resource.
#[must_use]
pub fn why(object: &Object, diagnosis: &Diagnosis, evidence: &Evidence, visible: Visible<'_>, view: &View) -> Vec<Line> {
    let mut lines = wrapped(&headline(object, diagnosis), view.width, 0).into_iter().map(|text| line(style(diagnosis), text)).collect();
    let message = object.condition(ConditionType::Ready).map(|ready| shown(&ready.message)).unwrap_or_default();
    add(&mut lines, "Cause", [&diagnosis.cause], view);
    add(&mut lines, "Message", [&message], view);
    add(&mut lines, "Deletion", deletion(object, view), view);
    add(&mut lines, "Waiting", waiting(object, visible, view), view);
    add(&mut lines, "Service", service(object), view);
    add(&mut lines, "Data", data(object, diagnosis, view), view);
    add(&mut lines, "Evidence", facts(object, diagnosis, evidence, &message, view), view);
    let label = match diagnosis.verdict {
        Verdict::NeedsAction | Verdict::MayNeedAction | Verdict::Stale => "Fix",
        Verdict::Proceeds | Verdict::Fine => "Details",
    };
    let rows = lines.len();
    add(&mut lines, label, [&diagnosis.remedy], view);
    // A command must be copied as a whole, so it is never wrapped.
    for command in diagnosis.commands.iter().chain(&release(object, view)) {
        let label = if lines.len() == rows { label } else { "" };
        lines.push(row(label, command.clone()));
    }
    add(&mut lines, "Next", [next(object, diagnosis, view)], view);
    lines
}

fn line(style: Style, text: String) -> Line {
    vec![(style, text)]
}

fn row(label: &str, text: String) -> Line {
    vec![(Style::Bold, format!("  {label:<10}")), (Style::Plain, text)]
}

/// Adds the rows of a label, wrapped at the width of the terminal. Empty texts have no row.
fn add<T: AsRef<str>>(lines: &mut Vec<Line>, label: &str, texts: impl IntoIterator<Item = T>, view: &View) {
    let texts = texts.into_iter().filter(|text| !text.as_ref().is_empty());
    let rows: Vec<String> = texts.flat_map(|text| wrapped(text.as_ref(), view.width, LABEL)).collect();
    lines.extend(rows.into_iter().enumerate().map(|(index, text)| row(if index == 0 { label } else { "" }, text)));
}

fn style(diagnosis: &Diagnosis) -> Style {
    match diagnosis.verdict {
        Verdict::NeedsAction | Verdict::Stale => Style::Red,
        Verdict::MayNeedAction => Style::Yellow,
        Verdict::Proceeds => Style::Blue,
        Verdict::Fine => Style::Green,
    }
}

/// `forecast is waiting and needs action: SecretNotFound for 2h10m.`
#[must_use]
pub fn headline(object: &Object, diagnosis: &Diagnosis) -> String {
    let verdict = match diagnosis.verdict {
        Verdict::NeedsAction => " and needs action",
        Verdict::MayNeedAction => ", and needs action unless the missing object appears shortly",
        Verdict::Stale => ", but its data is too old",
        Verdict::Proceeds => ", and needs no action",
        Verdict::Fine => ", and nothing is wrong",
    };
    let since = match diagnosis.since {
        Some(Since::For(seconds)) => format!("for {}", if seconds < 3_600 { duration(seconds) } else { rough(seconds) }),
        Some(Since::Ago(seconds)) => format!("{} ago", rough(seconds)),
        None => String::new(),
    };
    let about = match diagnosis.unobserved.first() {
        Some(_) if object.status().conditions.is_empty() => return format!("{} {} {since}{verdict}.", object.name(), phrase(object)),
        Some(change) if diagnosis.reason.is_empty() => format!("{} not observed", change.what),
        Some(_) | None => diagnosis.reason.clone(),
    };
    format!("{} {}{verdict}: {}.", object.name(), phrase(object), format!("{about} {since}").trim())
}

/// The state as a part of a sentence.
fn phrase(object: &Object) -> String {
    let phrase = match (resource_status(object), object.run().map(|run| run.state)) {
        _ if object.is_deleting() => "is being deleted",
        (_, None) if object.status().conditions.is_empty() => "has not been observed by the operator",
        (ResourceStatus::Suspended, _) => "is suspended",
        (ResourceStatus::Waiting, _) | (ResourceStatus::NeedsAction | ResourceStatus::Running, None) | (_, Some(RunState::Waiting)) => {
            "is waiting"
        }
        (ResourceStatus::Succeeded | ResourceStatus::Idle, None) => "is idle",
        (_, Some(RunState::Submitting)) => "is being submitted",
        (_, Some(RunState::Running)) => "is running",
        (_, Some(RunState::Cancelling)) => "is being cancelled",
        (_, Some(RunState::Succeeded)) => "succeeded",
        (_, Some(RunState::Failed)) => "failed",
        (_, Some(RunState::TimedOut)) => "timed out",
        (_, Some(RunState::Cancelled)) => "was cancelled",
        (_, Some(state @ RunState::Unrecognized(_))) => return format!("is in the state {}", shown(&state_name(state))),
    };
    phrase.to_owned()
}

fn deletion(object: &Object, view: &View) -> Vec<String> {
    let Some(requested) = object.resource.meta().deletion_timestamp.as_ref() else { return Vec::new() };
    let others: Vec<String> = object.resource.meta().finalizers.iter().flatten().map(|finalizer| shown(finalizer)).collect();
    let held = if others.is_empty() { String::new() } else { format!("; held by the finalizer {}", others.join(" and ")) };
    vec![format!("requested {}{held}", cells::ago(requested.0, view))]
}

/// The command that releases a resource whose deletion the operator holds.
fn release(object: &Object, view: &View) -> Option<String> {
    let command = format!("kubectl tabular release {} --namespace {}", object.name(), object.namespace());
    let comment = "delete it now, and leave its operation running";
    (object.is_deleting() && !object.resource.is_released()).then(|| view.command(&format!("{command}    # {comment}")))
}

/// What it waits for, and its place in the queue of the model.
fn waiting(object: &Object, visible: Visible<'_>, view: &View) -> Vec<String> {
    let queues = queues(visible);
    let Some(chain) = chain(object, &queues, view.now) else { return Vec::new() };
    let mut lines = vec![chain.sentence()];
    lines.extend(place(object, &queues, view.now).map(|place| {
        let starts = place.starts_in.map(|seconds| format!(", starts in about {}", about(seconds))).unwrap_or_default();
        let others = if visible.is_complete { "" } else { "; other resources are not visible to you" };
        format!("{} of {}{starts}{others}", cells::in_the_queue(place), object.model())
    }));
    lines
}

/// What the service reported of a run that did not succeed.
fn service(object: &Object) -> Vec<String> {
    let Some(run) = object.run().filter(|run| run.state.ended() && run.state != RunState::Succeeded) else { return Vec::new() };
    let failed: Vec<String> = run.failed_objects.iter().map(|failed| failed_object(&failed.table, failed.partition.as_deref())).collect();
    let failed = (!failed.is_empty()).then(|| format!("failed: {}", listed(&failed, MOST_ITEMS)));
    let messages = run.messages.iter().take(MOST_ITEMS).map(|message| text_of(&service_message(message)));
    messages.chain(failed).collect()
}

/// The age of the data, if it is too old.
fn data(object: &Object, diagnosis: &Diagnosis, view: &View) -> Vec<String> {
    let stale = freshness(object, view.now).filter(|freshness| freshness.is_stale());
    let data = stale.map(|freshness| {
        let over = if diagnosis.verdict == Verdict::Stale { "" } else { ": too old" };
        format!("{} old, target {}{over}", rough(freshness.age), cells::target(freshness.target))
    });
    data.into_iter().collect()
}

/// The events, the operator, and what it has observed.
fn facts(object: &Object, diagnosis: &Diagnosis, evidence: &Evidence, message: &str, view: &View) -> Vec<String> {
    let events = evidence.events.as_deref().unwrap_or_default();
    let mut lines: Vec<String> = events.iter().map(|event| event_line(event, message, view)).collect();
    lines.extend(diagnosis.event.as_ref().map(|(reason, meaning)| format!("{reason}: {meaning}")));
    let mut parts: Vec<String> = operator(evidence, view).into_iter().collect();
    parts.extend(diagnosis.unobserved.iter().map(unobserved_part));
    if diagnosis.unobserved.is_empty()
        && let Some(generation) = object.resource.meta().generation
    {
        parts.push(format!("spec observed (generation {generation})"));
    }
    if evidence.events.is_none() {
        parts.push("events not visible to you".to_owned());
    }
    lines.push(parts.join(" · "));
    lines
}

/// `22:04 Warning SecretNotFound (event)`, with the message unless the resource has the same.
fn event_line(event: &ResourceEvent, message: &str, view: &View) -> String {
    let kind = if event.is_warning { "Warning" } else { "Normal" };
    let note = shown(&event.note);
    let note = if note == message || note.is_empty() { String::new() } else { format!(": {note}") };
    format!("{} {kind} {} (event){note}", clock(event.time, view), shown(&event.reason))
}

fn operator(evidence: &Evidence, view: &View) -> Option<String> {
    // The holder is the name of a pod, and a suffix for its process.
    let pod = |holder: &str| shown(holder.rsplit_once('_').map_or(holder, |(pod, _)| pod));
    Some(match evidence.operator.liveness(view.now) {
        Liveness::Running(holder, age) => format!("operator running: Lease renewed {} ago by {}", rough(age), pod(&holder)),
        Liveness::Silent(holder, age) => format!("operator not running: Lease last renewed {} ago by {}", rough(age), pod(&holder)),
        Liveness::Released => "no operator is running: its Lease is released".to_owned(),
        Liveness::Absent => "Lease of the operator not found: set --operator-namespace and --operator-lease".to_owned(),
        Liveness::Unknown => return None,
    })
}

fn unobserved_part(change: &Unobserved) -> String {
    let age = change.seconds.map(|seconds| format!(" for {}", rough(seconds))).unwrap_or_default();
    format!("{} not observed{age}", change.what)
}

/// What happens next, and where to read more.
fn next(object: &Object, diagnosis: &Diagnosis, view: &View) -> String {
    let more = format!("More: {}", diagnosis.page);
    let trigger = cells::next(object, view);
    let trigger = if trigger.is_empty() { String::new() } else { format!(" Next run: {trigger}.") };
    format!("{}{trigger} {more}", diagnosis.next).trim_start().to_owned()
}

#[cfg(test)]
pub(super) mod tests;
