//! A run that is not submitted because a call was refused or failed: its delay, and the end of its wait.

use super::errors::{self, ErrorClass};
use crate::api::{Reason, RunState, Time};
use crate::engine::draft::Draft;
use crate::engine::next::Next;
use crate::engine::{Effect, conditions, text, timing};
use crate::operation::{ServiceError, ServiceErrorKind};

/// What was refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FailedStep {
    /// The submission itself.
    Submission,
    /// A request before it, or its preparation.
    BeforeSubmission,
}

/// Handles a refused or failed call that started no operation.
///
/// The wait counts from the first transient refusal, and from any refused submission, so that no `POST` is repeated without end. A
/// request that fails until a user acts does not count toward the deadline while no `POST` has been repeated.
pub(super) fn failed_before_start(draft: &mut Draft<'_>, error: &ServiceError, step: FailedStep) -> Next {
    let (kind, reason) = (error.kind, errors::reason(error.kind));
    let transient = errors::class(kind) != ErrorClass::ActionRequired;
    let overloaded = kind == ServiceErrorKind::CapacityExceeded;
    draft.memory.consecutive_errors = draft.memory.consecutive_errors.saturating_add(1);
    let grows = overloaded || (step == FailedStep::Submission && !transient);
    draft.memory.refusals = draft.memory.refusals.saturating_add(u32::from(grows));
    let refusals = if grows { draft.memory.refusals } else { 0 };
    let mut delay = errors::delay(error, (draft.memory.consecutive_errors, refusals), draft.seed());
    if step == FailedStep::Submission {
        // The delay grows, whatever backoff the response requests.
        delay = delay.max(timing::retry_delay(draft.memory.consecutive_errors, draft.seed()));
    } else {
        delay = errors::at_least_recheck(draft, kind, delay);
    }
    let mut until_deadline = None;
    if let Some(run) = draft.status.run.as_mut() {
        // A repeated transient error is not worth a write.
        let known = transient && run.state == RunState::Waiting && run.reason() == Some(reason);
        if !known || errors::has_new_end(error, &run.message) {
            run.set_state(RunState::Waiting, reason, &error.message);
        }
        if run.activity_id.is_none() {
            run.activity_id = error.activity_id.as_deref().map(|id| text::bounded(id, text::WORD));
        }
        if step == FailedStep::Submission || errors::is_temporary(kind) {
            run.waiting_since_time.get_or_insert_with(|| Time::from(draft.now));
            run.waiting_for = Some(errors::awaited(kind).to_owned());
        } else if draft.memory.refusals < 2 {
            // A user must act, and then the wait for a turn starts again.
            (run.waiting_since_time, run.waiting_for) = (None, None);
        }
        let deadline = run.waiting_since_time.and_then(|since| timing::timestamp_after(since, draft.desired.policy.wait_deadline));
        until_deadline = deadline.map(|deadline| timing::remaining(deadline, draft.now));
    }
    draft.delay_poll(delay);
    // The wait ends at its deadline, however long the delay is.
    Next::record(Effect::None, until_deadline.into_iter().chain([delay]).min())
}

/// Whether a run with this reason waits because a call was refused or failed.
#[must_use]
pub(super) fn refuses(reason: Reason) -> bool {
    conditions::is_stalled(reason) || matches!(reason, Reason::Retrying | Reason::CapacityExceeded)
}
