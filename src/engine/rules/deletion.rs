//! A resource that is being deleted: no run starts, and the operation of a run in progress is cancelled or tracked to its end.

use std::time::Duration;

use jiff::Timestamp;

use super::{cancel_request, completion};
use crate::api::{CancelCause, Reason, RunState, Time};
use crate::engine::draft::Draft;
use crate::engine::next::Next;
use crate::engine::{Decision, DesiredState, Effect, EffectResult, timing};

/// How long the deletion of a namespace waits for a resource, counted from the deletion of the resource, even if the operator cannot see
/// the end of its operation.
const NAMESPACE_TIMEOUT: Duration = Duration::from_mins(2);

/// The shortest timeout of a call while the namespace is being deleted.
const MIN_CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Cancels the operation of a run; `None` if the rule of its state decides.
pub(in crate::engine) fn decide(draft: &Draft<'_>) -> Option<Next> {
    let run = draft.status.run.as_ref()?;
    let is_due = run.state == RunState::Running && draft.input.effect_result == EffectResult::None;
    run.operation().filter(|_| is_due).map(|id| Next::Cancel { cause: CancelCause::Deletion, id })
}

/// Removes the finalizer. If the finalizer of another controller keeps the resource, the end of its run is recorded first, because the
/// operator no longer writes the resource afterwards. But a status that cannot be written delays no deletion.
pub(in crate::engine) fn remove_finalizer(mut draft: Draft<'_>, ended: Option<(RunState, Reason, String)>) -> Decision {
    let is_kept = draft.desired.has_other_finalizers && !draft.desired.skipped_writes.status;
    let Some(run) = draft.status.run.as_mut().filter(|run| is_kept && !run.state.ended()) else {
        if let Some((_, reason, message)) = ended {
            draft.emit(reason, message);
        }
        return draft.unchanged(Effect::RemoveFinalizer, None);
    };
    let (now, is_operation, attempt) = (Time::from(draft.now), ended.is_some(), run.attempt);
    // The service may have reported the end of the operation.
    run.ended_time = run.ended_time.filter(|_| is_operation).or(Some(now));
    let (state, reason, message) = ended.unwrap_or_else(|| {
        let message = format!("{}: its resource is being deleted", cancel_request::not_submitted(attempt));
        (RunState::Cancelled, Reason::Deleted, message)
    });
    completion::write_end(&mut draft, state, reason, &message);
    if !reason.has_event_on_transition() {
        draft.emit(reason, message);
    }
    draft.commit(Effect::None, Some(Duration::ZERO))
}

/// How long a call for a resource may take while its namespace is being deleted; `None` if it is not. An operator that was not running
/// meanwhile still cancels the operation.
#[must_use]
pub fn deletion_timeout(desired: &DesiredState, now: Timestamp) -> Option<Duration> {
    Some(time_left_of(desired, now)?.max(MIN_CALL_TIMEOUT))
}

fn time_left_of(desired: &DesiredState, now: Timestamp) -> Option<Duration> {
    let deletion = desired.deletion.as_ref().filter(|deletion| deletion.namespace_terminating)?;
    Some(namespace_time_left(deletion.requested, now))
}

/// How long the deletion of a namespace still waits for a resource whose deletion was requested then.
#[must_use]
pub fn namespace_time_left(requested: Timestamp, now: Timestamp) -> Duration {
    NAMESPACE_TIMEOUT.saturating_sub(timing::elapsed(requested, now))
}

/// How long the deletion of the namespace may still be blocked; `None` if the namespace is not being deleted.
pub(in crate::engine) fn time_left(draft: &Draft<'_>) -> Option<Duration> {
    time_left_of(draft.desired, draft.now)
}
