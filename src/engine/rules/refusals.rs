//! A run that is not submitted because a call was refused or failed: its delay, and the end of its wait.

use super::errors::{self, Grade};
use crate::api::{Reason, RunState, Time};
use crate::engine::draft::Pass;
use crate::engine::next::Next;
use crate::engine::{Effect, conditions, text, timing};
use crate::operation::{Trouble, TroubleKind};

/// What was refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// The submission itself.
    Submission,
    /// A request before it, or its preparation.
    Question,
}

/// Handles a refused or failed call that started no operation.
///
/// The wait counts from the first transient refusal, and from any refused submission, so that no `POST` is repeated without end. A
/// request that fails until a user acts does not count toward the deadline while no `POST` has been repeated.
pub(super) fn refused(pass: &mut Pass<'_>, trouble: &Trouble, asked: Asked) -> Next {
    let (kind, reason) = (trouble.kind, errors::reason(trouble.kind));
    let transient = errors::grade(kind) != Grade::Blocked;
    let overloaded = kind == TroubleKind::CapacityExceeded;
    pass.scratch.troubles = pass.scratch.troubles.saturating_add(1);
    let grows = overloaded || (asked == Asked::Submission && !transient);
    pass.scratch.refusals = pass.scratch.refusals.saturating_add(u32::from(grows));
    let refusals = if grows { pass.scratch.refusals } else { 0 };
    let mut pause = errors::pause(trouble, (pass.scratch.troubles, refusals), pass.seed());
    if asked == Asked::Submission {
        // The delay grows, whatever backoff the response requests.
        pause = pause.max(timing::retry(pass.scratch.troubles, pass.seed()));
    }
    let mut until_deadline = None;
    if let Some(run) = pass.record.run.as_mut() {
        // A repeated transient error is not worth a write.
        let known = transient && run.state == RunState::Waiting && run.why() == Some(reason);
        if !known || errors::is_news(trouble, &run.message) {
            run.tell(RunState::Waiting, reason, &trouble.message);
        }
        if run.activity_id.is_none() {
            run.activity_id = trouble.activity_id.as_deref().map(|id| text::bounded(id, text::WORD));
        }
        if asked == Asked::Submission || errors::passes(kind) {
            run.waiting_since_time.get_or_insert_with(|| Time::from(pass.now));
            run.waiting_for = Some(errors::awaited(kind).to_owned());
        } else if pass.scratch.refusals < 2 {
            // A user must act, and then the wait for a turn starts again.
            (run.waiting_since_time, run.waiting_for) = (None, None);
        }
        let deadline = run.waiting_since_time.and_then(|since| timing::after(since, pass.desired.policy.wait_deadline));
        until_deadline = deadline.map(|deadline| timing::between(pass.now, deadline));
    }
    pass.pause(pause);
    // The wait ends at its deadline, however long the delay is.
    Next::record(Effect::Nothing, until_deadline.into_iter().chain([pause]).min())
}

/// Whether a run with this reason waits because a call was refused or failed.
#[must_use]
pub(super) fn refuses(reason: Reason) -> bool {
    conditions::stalls(reason) || matches!(reason, Reason::Retrying | Reason::CapacityExceeded)
}
