//! What becomes of a request, and of its run.

use tabular_operator::api::{HistoryEntry, MAX_RUN_MESSAGES, Run, RunState, Time};

use super::waited;
use crate::objects::Object;

/// What has become of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// The operator has not accepted it.
    Pending,
    /// The operator accepted it. Its run starts as soon as nothing blocks it.
    Accepted,
    /// Its run has not ended. For a cancellation: the run is being cancelled.
    InProgress(i32),
    /// Its run ended.
    Ended(Box<RunEnd>),
    /// Its run ended, and the history does not contain it.
    NotInHistory(i32),
    /// `concurrencyPolicy: Forbid` dropped it, because of this run.
    Dropped(i32),
    /// The operation of this run cannot be cancelled.
    NotCancellable(i32),
    /// Its annotation was removed before the operator read it.
    Removed,
    /// The resource was deleted.
    Deleted,
}

impl RequestOutcome {
    /// The name in reports.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Accepted => "Accepted",
            Self::InProgress(_) => "InProgress",
            Self::Ended(_) => "Ended",
            Self::NotInHistory(_) => "NotInHistory",
            Self::Dropped(_) => "Dropped",
            Self::NotCancellable(_) => "NotCancellable",
            Self::Removed => "Removed",
            Self::Deleted => "Deleted",
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// The number of the run.
    pub number: i32,
    /// The state at the end.
    pub state: RunState,
    /// The reason.
    pub reason: String,
    /// The message.
    pub message: String,
    /// The duration of the operation, in seconds.
    pub duration: Option<i64>,
    /// From the request of the run to the start of its operation, in seconds.
    pub waited: Option<i64>,
    /// The number of warnings, such as `2 warnings`; empty if there are none, or if the history does not show them.
    pub warnings: String,
}

impl RunEnd {
    fn of_run(run: &Run) -> Self {
        let duration = run.started_time.zip(run.ended_time).map(|(start, end): (Time, Time)| end.seconds_since(start).max(0));
        Self {
            number: run.number,
            state: run.state,
            reason: run.reason.clone(),
            message: run.message.clone(),
            duration,
            waited: waited(Some(run.requested_time), run.started_time),
            warnings: warnings(run),
        }
    }

    fn of_entry(entry: &HistoryEntry) -> Self {
        Self {
            number: entry.number,
            state: entry.state,
            reason: entry.reason.clone(),
            message: entry.message.clone(),
            duration: entry.duration_seconds,
            waited: waited(entry.requested_time, entry.started_time),
            warnings: String::new(),
        }
    }
}

/// The number of warnings of a run, such as `2 warnings`, or `12+ warnings` if the status may not have all; empty without any.
#[must_use]
pub fn warnings(run: &Run) -> String {
    let warnings = run.messages.iter().filter(|message| message.is_warning());
    let number: u64 = warnings.map(|warning| u64::from(warning.count())).sum();
    let more = if run.messages.len() < MAX_RUN_MESSAGES { "" } else { "+" };
    match (number, more) {
        (0, _) => String::new(),
        (1, "") => "1 warning".to_owned(),
        (number, more) => format!("{number}{more} warnings"),
    }
}

/// What has become of a run of a resource.
pub(super) fn outcome_of_run(object: &Object, number: i32) -> RequestOutcome {
    let latest = object.run();
    if let Some(run) = latest.filter(|run| run.number == number) {
        return if run.state.ended() { RequestOutcome::Ended(Box::new(RunEnd::of_run(run))) } else { RequestOutcome::InProgress(number) };
    }
    match object.status().history.iter().find(|entry| entry.number == number) {
        Some(entry) => RequestOutcome::Ended(Box::new(RunEnd::of_entry(entry))),
        None if latest.is_some_and(|run| run.number > number) => RequestOutcome::NotInHistory(number),
        None => RequestOutcome::InProgress(number),
    }
}

/// The version of the resource that a request is about; `None` if it was deleted, or deleted and created again.
pub(super) fn same_resource<'a>(before: &Object, object: Option<&'a Object>) -> Option<&'a Object> {
    object.filter(|object| object.uid() == before.uid())
}

/// Whether a version of the resource is older than a request. `before` is the version that the request created or, if that is not known,
/// the one from before the request (`is_earlier`).
pub(super) fn is_outdated((before, is_earlier): (&Object, bool), object: &Object) -> bool {
    object.version() < before.version() || is_earlier && object.version() == before.version()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::{refresh, run};

    #[test]
    fn warnings_are_counted_as_by_the_operator() {
        let of = |messages: Vec<Value>| {
            let run = run("Orders", json!({"state": "Succeeded", "messages": messages}));
            warnings(refresh("orders", "Orders", json!({}), json!({"run": run})).run().unwrap())
        };
        let warning = |text: &str| json!({"type": "Warning", "message": text});
        assert_eq!(of(vec![json!({"type": "Error", "message": "e (3 times)"})]), "");
        assert_eq!(of(vec![warning("slow")]), "1 warning");
        assert_eq!(of(vec![warning("slow (11 times)"), warning("old")]), "12 warnings");
        assert_eq!(of(vec![warning("slow"); 10]), "10+ warnings", "the operator records at most 10 messages");
    }
}
