//! Texts that several screens have.

use jiff::Timestamp;
use tabular_operator::api::{RunState, Trigger, TriggerType};

use crate::facts::{ModelQueue, Place, freshness, place, typical, warnings};
use crate::objects::Object;
use crate::output::{View, about, clock, ordinal, rough, shown};

/// What a run is at: its progress and the time left, its place in the queue, or its warnings.
pub(super) fn progress(object: &Object, queues: &[ModelQueue<'_>], now: Timestamp) -> String {
    let Some(run) = object.run() else { return String::new() };
    match run.state {
        RunState::Running | RunState::Cancelling => {
            let summary = run.progress.as_ref().map(|progress| shown(&progress.summary));
            let left = typical(object, now).and_then(|typical| typical.left()).map(|left| format!("~{} left", about(left)));
            summary.into_iter().chain(left).collect::<Vec<_>>().join(", ")
        }
        RunState::Waiting => match place(object, queues, now) {
            Some(place) => in_the_queue(place),
            None => String::new(),
        },
        RunState::Succeeded => warnings(run),
        RunState::Submitting | RunState::Failed | RunState::TimedOut | RunState::Cancelled | RunState::Unrecognized(_) => String::new(),
    }
}

/// `1st in the queue`, or `in the queue` if others can be ahead.
pub(super) fn in_the_queue(place: Place) -> String {
    place.position.map_or_else(|| "in the queue".to_owned(), |position| format!("{} in the queue", ordinal(position)))
}

/// `2d3h ago`, or `never`.
pub(super) fn last_success(object: &Object, view: &View) -> String {
    object.status().last_successful_time.map_or_else(|| "never".to_owned(), |time| ago(time.timestamp(), view))
}

/// `2d3h ago`.
pub(super) fn ago(time: Timestamp, view: &View) -> String {
    format!("{} ago", rough(view.since(time)))
}

/// `stale (26h)` or `ok (26h)`; empty without a target.
pub(super) fn fresh(object: &Object, now: Timestamp) -> String {
    freshness(object, now).map_or_else(String::new, |freshness| {
        format!("{} ({})", if freshness.is_stale() { "stale" } else { "ok" }, target(freshness.target))
    })
}

/// A target, in hours where people count so: `26h`, `90m`, `8d`.
pub(super) fn target(seconds: i64) -> String {
    match seconds {
        3_600..259_200 if seconds % 3_600 == 0 => format!("{}h", seconds / 3_600),
        3_600..10_800 => format!("{}m", seconds / 60),
        _ => rough(seconds),
    }
}

/// `05:00 (in 6h)` for a schedule, `after NAME` for an upstream refresh; empty if no run starts.
pub(super) fn next(object: &Object, view: &View) -> String {
    if object.is_suspended() || object.is_deleting() {
        return String::new();
    }
    match (object.status().next_schedule_time, object.resource.upstream_name()) {
        (Some(time), _) => {
            let time = time.timestamp();
            let left = time.duration_since(view.now).as_secs();
            let when = if left > 0 { format!("in {}", rough(left)) } else { "due".to_owned() };
            format!("{} ({when})", clock(time, view))
        }
        (None, Some(upstream)) => format!("after {}", shown(upstream)),
        (None, None) => String::new(),
    }
}

/// What started a run: `by schedule, 22:00`.
pub(super) fn trigger(trigger: &Trigger, view: &View) -> String {
    let value = shown(&trigger.value);
    let with = |text: &str| if value.is_empty() { text.to_owned() } else { format!("{text}, {value}") };
    match trigger.r#type {
        TriggerType::Creation => with("by its creation"),
        TriggerType::Change => with("by a change"),
        TriggerType::Schedule => match trigger.value.parse::<Timestamp>() {
            Ok(time) => format!("by schedule, {}", clock(time, view)),
            Err(_) => with("by schedule"),
        },
        TriggerType::Request => match value.split_once(' ') {
            // The plugin writes a time and then the reason.
            Some((time, reason)) if time.parse::<Timestamp>().is_ok() => format!("on request: {reason}"),
            _ => match trigger.value.parse::<Timestamp>() {
                Ok(time) => format!("on request, {}", clock(time, view)),
                Err(_) => with("on request"),
            },
        },
        TriggerType::AfterRefresh => format!("after {value}"),
        TriggerType::Unrecognized(name) => with(&format!("by {}", shown(name.as_str()))),
    }
}
