//! The decision itself, from top to bottom.

use std::sync::Arc;
use std::time::Duration;

use super::draft::Draft;
use super::next::Next;
use super::rules::upstream::Cursor;
use super::rules::{
    cancel_request, cancelling, completion, deletion, finalizer, idle, interrupts, restoration, running, schedule, submitting, upstream,
    user_decisions, waiting,
};
use super::{Decision, DecisionInput, Effect, EffectResult, freshness, timing};
use crate::api::{Run, RunState};
use crate::operation::SubmitResult;

/// Decides what to record and what to do next.
///
/// The caller writes [`Decision::status`] with the resource version of [`DecisionInput::status`], before it performs
/// [`Decision::effect`]. If that write is refused, the view was stale and the whole decision is void. The result of the effect
/// is the [`DecisionInput::effect_result`] of the next decision.
///
/// 1. A resource that is being deleted starts no run, and keeps its finalizer until no operation of it is running.
/// 2. A run in progress is tracked by its record, even if the spec has changed.
/// 3. A trigger is handled only if no run is in progress and the operator is not about to be uninstalled.
#[must_use]
pub fn decide(input: &DecisionInput<'_>) -> Decision {
    let mut decision = user_decisions::requeue_after_decision(input, freshness::apply(input, decide_once(input)));
    let in_progress = decision.status.run.as_ref().filter(|run| run.may_run());
    // Most decisions do not change the run, so they share it.
    let same = |run: &Run| input.memory.run_in_progress.as_ref().filter(|known| ***known == *run).cloned();
    decision.memory.run_in_progress = in_progress.map(|run| same(run).unwrap_or_else(|| Arc::new(run.clone())));
    decision
}

fn decide_once(input: &DecisionInput<'_>) -> Decision {
    let mut draft = Draft::new(input);
    let is_ours = !draft.is_deleting() || input.desired.has_finalizer;
    let accepted = matches!(input.effect_result, EffectResult::Submitted(SubmitResult::Accepted { .. }));
    let restored = is_ours
        && (restoration::restore_altered(&mut draft)
            || restoration::restore_missing(&mut draft)
            || !accepted && restoration::restore_contradictory(&mut draft));
    if accepted {
        restoration::record_acceptance(&mut draft);
    } else if restored {
        return draft.commit(Effect::None, Some(Duration::ZERO));
    }
    if !is_ours {
        return draft.without_write();
    }
    if input.effect_result == EffectResult::None
        && !input.desired.skipped_writes.metadata
        && !input.desired.skipped_writes.annotations
        && let Some(annotation) = user_decisions::obsolete_annotation(&mut draft)
    {
        return draft.unchanged(Effect::RemoveAnnotation(annotation), None);
    }
    if draft.is_deleting() { delete(draft) } else { run(draft) }
}

/// Decides for a resource that is being deleted: an operation that may be running is tracked to its end.
fn delete(mut draft: Draft<'_>) -> Decision {
    if let Some(next) = finalizer::remove_now(&draft) {
        return execute(draft, next);
    }
    let until_release = deletion::time_left(&draft).filter(|delay| !delay.is_zero());
    let next = match deletion::decide(&draft) {
        Some(next) => next,
        None => by_state(&mut draft, false),
    };
    let decision = execute(draft, next);
    // The deletion of its namespace does not change the resource, so no event of the watch shows it.
    let until_recheck = decision.status.run.as_ref().filter(|run| !run.state.ended()).map(|_| timing::SERVICE_RECHECK);
    let requeue_after =
        until_release.or(until_recheck).map(|delay| timing::at_latest(decision.requeue_after, delay)).or(decision.requeue_after);
    Decision { requeue_after, ..decision }
}

/// Decides for a resource that is not being deleted.
fn run(mut draft: Draft<'_>) -> Decision {
    let (desired, input) = (draft.desired, draft.input);
    schedule::update_cursor(&mut draft);
    let in_progress = draft.status.run.as_ref().is_some_and(|run| !run.state.ended());
    if finalizer::is_missing(&draft) {
        return draft.unchanged(Effect::AddFinalizer, None);
    }
    let cursor = upstream::update_cursor(&mut draft);
    let reported = cursor == Cursor::Reported;
    if !in_progress && desired.drain.is_some() {
        // The next installation starts it.
        return draft.without_write();
    }
    let next = if in_progress && reported {
        interrupts::record_report(&mut draft)
    } else if in_progress && cancel_request::is_requested(&draft) {
        cancel_request::apply(&mut draft)
    } else {
        by_state(&mut draft, reported)
    };
    let mut decision = interrupts::requeue_at_deadline(desired, input.now, execute(draft, next));
    if cursor == Cursor::Postponed && decision.effect == Effect::None {
        decision.requeue_after = Some(Duration::ZERO);
    }
    schedule::requeue_at_next_time(desired, input.now, decision)
}

/// The rule of the state that the run is recorded in.
fn by_state(draft: &mut Draft<'_>, reported: bool) -> Next {
    match draft.status.run.as_ref().map(|run| run.state) {
        None | Some(RunState::Succeeded | RunState::Failed | RunState::TimedOut | RunState::Cancelled | RunState::Unrecognized(_)) => {
            idle::decide(draft, reported)
        }
        Some(RunState::Waiting) => waiting::decide(draft),
        Some(RunState::Submitting) => submitting::decide(draft),
        Some(RunState::Running) => running::decide(draft),
        Some(RunState::Cancelling) => cancelling::decide(draft),
    }
}

/// Executes the result of a rule. Only [`Next::ApplyWaitingRules`] applies a second rule, and that rule never returns it.
fn execute(mut draft: Draft<'_>, next: Next) -> Decision {
    let mut next = adapted(&mut draft, next);
    if matches!(next, Next::ApplyWaitingRules) {
        next = waiting::decide(&mut draft);
    }
    match next {
        Next::Record { effect, requeue } => draft.commit(effect, requeue),
        Next::Unchanged { effect, requeue } => draft.unchanged(effect, requeue),
        Next::ApplyWaitingRules => draft.unchanged(Effect::None, Some(Duration::ZERO)),
        Next::Cancel { cause, id } => {
            cancelling::start_cancel(&mut draft, cause, &id);
            draft.commit(Effect::Cancel(id), None)
        }
        Next::End { state, reason, message } => {
            let requeue = completion::record_end(&mut draft, state, reason, &message);
            draft.commit(Effect::None, requeue)
        }
        Next::Retry { failure, .. } => {
            let requeue = completion::retry(&mut draft, &failure);
            draft.commit(Effect::None, requeue)
        }
        Next::RemoveFinalizer { ended } => deletion::remove_finalizer(draft, ended),
    }
}

/// Adapts the result of a rule to a deletion and to a pending request to cancel.
fn adapted(draft: &mut Draft<'_>, next: Next) -> Next {
    match next {
        Next::End { state, reason, message } if draft.is_deleting() => Next::RemoveFinalizer { ended: Some((state, reason, message)) },
        Next::Retry { reason, failure } if draft.is_deleting() => {
            Next::RemoveFinalizer { ended: Some((RunState::Failed, reason, failure)) }
        }
        Next::ApplyWaitingRules if draft.is_deleting() => Next::RemoveFinalizer { ended: None },
        Next::ApplyWaitingRules if cancel_request::is_pending(draft) => cancel_request::cancelled_before_submission(draft),
        Next::Record { .. }
        | Next::Unchanged { .. }
        | Next::ApplyWaitingRules
        | Next::Cancel { .. }
        | Next::End { .. }
        | Next::Retry { .. }
        | Next::RemoveFinalizer { .. } => next,
    }
}
