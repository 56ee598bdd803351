//! A run that is not submitted since a call was refused or failed: how long it pauses, and when its wait ends.

use super::errors::{self, Grade};
use crate::api::{Reason, RunState, Time};
use crate::engine::next::Next;
use crate::engine::pass::Pass;
use crate::engine::{Effect, conditions, pace, text};
use crate::operation::{Trouble, TroubleKind};

/// What was refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// The submission itself.
    Submission,
    /// A question before it, or its preparation.
    Question,
}

/// Nothing was started, since a call was refused or brought nothing.
///
/// The wait counts from the first refusal that passes without anyone's help, and from a submission that is refused for whatever
/// reason: no `POST` is repeated without an end. A question that only a person can get a response to uses up nothing of the
/// deadline, as long as no `POST` has been repeated.
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
        // Ever more slowly, however soon the response asks for the next one.
        pause = pause.max(pace::retry(pass.scratch.troubles, pass.seed()));
    }
    let mut until_deadline = None;
    if let Some(run) = pass.record.run.as_mut() {
        // One passing trouble after another is no news.
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
            // Somebody has to act: the wait for a turn begins anew when they have.
            (run.waiting_since_time, run.waiting_for) = (None, None);
        }
        let deadline = run.waiting_since_time.and_then(|since| pace::after(since, pass.desired.policy.wait_deadline));
        until_deadline = deadline.map(|deadline| pace::between(pass.now, deadline));
    }
    pass.pause(pause);
    // The wait ends in time, however long the pause is.
    Next::record(Effect::Nothing, until_deadline.into_iter().chain([pause]).min())
}

/// Whether a run with this reason waits since a call was refused or failed.
#[must_use]
pub(super) fn refuses(reason: Reason) -> bool {
    conditions::stalls(reason) || matches!(reason, Reason::Retrying | Reason::CapacityExceeded)
}
