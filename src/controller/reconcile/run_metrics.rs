//! Metrics of runs.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::{Kind, Reason, Run, RunState, Time};
use crate::engine::Event;
use crate::telemetry::labels::{END_STATES, ENDS, SubmissionResolution};
use crate::telemetry::metrics::{Ended, Metrics, Submitted};
use crate::telemetry::trace_id::TraceId;

/// Counts the transitions between two records of a run.
pub(super) fn record_transition(metrics: &Metrics, kind: Kind, before: Option<&Run>, run: &Run, trace: Option<TraceId>) {
    let before = before.filter(|before| before.number == run.number);
    if before.is_none() {
        metrics.run_requested(kind, run.trigger.r#type);
    }
    if run.was_submitted() && !before.is_some_and(Run::was_submitted) {
        let since = |start: Time| run.submitted_time.map(|time| span(start, time)).unwrap_or_default();
        let lags = Submitted { waited: since(run.requested_time), after_schedule: run.scheduled_time().map(since) };
        metrics.run_submitted(kind, lags, trace);
    }
    if before.is_some_and(|before| before.state.ended()) {
        return;
    }
    let Some(reason) = Reason::parse(&run.reason).filter(|_| END_STATES.contains(&run.state)) else { return };
    // If the service never had the operation, has lost it, or may still run it, the operator itself determined the end, so there is no lag.
    let seen = run.operation_id.is_some() && ![Reason::OperationLost, Reason::RequestDropped, Reason::Released].contains(&reason);
    let duration = run.started_time.zip(run.ended_time).filter(|_| reason != Reason::Released).map(|(start, end)| span(start, end));
    let lag = run.recorded_time.zip(run.ended_time).filter(|_| seen).map(|(recorded, end)| span(end, recorded));
    metrics.run_ended(kind, Ended { state: run.state, reason, duration, lag }, trace);
}

/// Counts a run that ended with its resource. Its last event determines the reason, which is returned.
pub(super) fn record_release(metrics: &Metrics, kind: Kind, run: &Run, events: &[Event], trace: Option<TraceId>) -> Reason {
    let counted = events.iter().rev().find_map(|event| ENDS.iter().find(|(_, reason)| *reason == event.reason));
    let &(state, reason) = counted.unwrap_or(&(RunState::Cancelled, Reason::Deleted));
    let duration = run.started_time.filter(|_| reason != Reason::Released).map(|start| span(start, Timestamp::now().into()));
    metrics.run_ended(kind, Ended { state, reason, duration, lag: None }, trace);
    reason
}

/// Counts the outcomes of submissions whose response was lost.
pub(super) fn record_resolution(metrics: &Metrics, event: &Event) {
    let outcome = match event.reason {
        Reason::ResolvingSubmission => SubmissionResolution::Detected,
        Reason::Resubmitted => SubmissionResolution::Resubmitted,
        Reason::Adopted => SubmissionResolution::Adopted,
        Reason::SubmissionUnknown => SubmissionResolution::Held,
        // Other reasons are not related to unresolved submissions.
        _ => return,
    };
    metrics.submission_resolved(outcome);
}

/// The time between two timestamps; zero if differing clocks reverse their order.
fn span(start: Time, end: Time) -> Duration {
    Duration::from_secs(u64::try_from(end.seconds_since(start)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;
    use serde_json::json;

    fn run(state: &str, more: &serde_json::Value) -> Run {
        let mut run = json!({
            "number": 2, "attempt": 1, "state": state, "requestDigest": "w", "reason": state,
            "trigger": {"type": "Schedule", "value": "2026-11-22T05:00:00Z"}, "requestedTime": "2026-11-22T05:00:03Z",
            "model": {"analysisServices": {"server": "asazure://w.asazure.windows.net/s", "database": "d"}},
        });
        for (key, value) in more.as_object().unwrap() {
            run[key] = value.clone();
        }
        serde_json::from_value(run).unwrap()
    }

    #[test]
    fn each_transition_of_a_run_is_counted_once() {
        let metrics = Metrics::new();
        let submitted = json!({"submittedTime": "2026-11-22T05:00:10Z", "operationId": "a", "startedTime": "2026-11-22T05:00:11Z"});
        let ended = json!({"submittedTime": "2026-11-22T05:00:10Z", "operationId": "a", "startedTime": "2026-11-22T05:00:11Z",
            "endedTime": "2026-11-22T05:01:11Z", "recordedTime": "2026-11-22T05:01:13Z"});
        let retrying = Run { reason: "Retrying".to_owned(), ..run("Running", &submitted) };
        let records = [
            run("Waiting", &json!({})),
            run("Submitting", &json!({"submittedTime": "2026-11-22T05:00:10Z"})),
            run("Running", &submitted),
            retrying,
            run("Running", &submitted),
            run("Succeeded", &ended),
            run("Succeeded", &ended),
        ];
        let mut before = None;
        for run in &records {
            record_transition(&metrics, Kind::ModelRefresh, before, run, None);
            before = Some(run);
        }
        let text = metrics.encode().unwrap();
        for line in [
            r#"runs_requested_total{kind="ModelRefresh",trigger="Schedule"} 1"#,
            r#"run_wait_seconds_count{kind="ModelRefresh"} 1"#,
            r#"run_wait_seconds_sum{kind="ModelRefresh"} 7.0"#,
            r#"run_schedule_lag_seconds_sum{kind="ModelRefresh"} 10.0"#,
            r#"runs_ended_total{kind="ModelRefresh",state="Succeeded",reason="Succeeded"} 1"#,
            r#"run_duration_seconds_sum{kind="ModelRefresh",state="Succeeded"} 60.0"#,
            r#"run_end_lag_seconds_sum{kind="ModelRefresh"} 2.0"#,
        ] {
            assert!(text.contains(&format!("tabular_operator_{line}\n")), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn run_of_deleted_resource_is_counted_as_ended() {
        let metrics = Metrics::new();
        let released_event = Event { reason: Reason::Released, message: String::new() };
        assert_eq!(record_release(&metrics, Kind::ModelSync, &run("Running", &json!({})), &[released_event], None), Reason::Released);
        assert_eq!(record_release(&metrics, Kind::ModelSync, &run("Waiting", &json!({})), &[], None), Reason::Deleted);
        let text = metrics.encode().unwrap();
        assert!(text.contains(r#"runs_ended_total{kind="ModelSync",state="Cancelled",reason="Released"} 1"#), "{text}");
        assert!(text.contains(r#"runs_ended_total{kind="ModelSync",state="Cancelled",reason="Deleted"} 1"#), "{text}");
    }
}
