//! A run whose operation the service has: polled until the service reports its end.

use super::{completion, interrupts, poll};
use crate::api::Run;
use crate::engine::draft::Draft;
use crate::engine::next::Next;
use crate::engine::{Effect, EffectResult, timing};

/// Decides for a run that is recorded as Running.
pub(in crate::engine) fn decide(draft: &mut Draft<'_>) -> Next {
    let Some(id) = draft.status.run.as_ref().and_then(Run::operation) else {
        return poll::missing_id(draft);
    };
    // A trigger that waits, or was dropped, is recorded before it can be read again.
    let due = interrupts::apply_triggers(draft);
    match &draft.input.effect_result {
        EffectResult::None => {
            if let Some(cause) = interrupts::cancel_cause(draft, due) {
                let can_be_cancelled = draft.kind().capabilities().cancel;
                return if can_be_cancelled { Next::Cancel { cause, id } } else { completion::abandon_at_deadline(draft, &id) };
            }
            match draft.poll_due_in() {
                Some(delay) => Next::record(Effect::None, Some(delay)),
                None => poll::poll(draft, id),
            }
        }
        EffectResult::Polled(_)
        | EffectResult::Listed { .. }
        | EffectResult::ModelChecked(_)
        | EffectResult::CallFailed(_)
        | EffectResult::Blocked(_) => poll::observed(draft, &id),
        EffectResult::ModelResolved(_) | EffectResult::Turn(_) | EffectResult::Submitted(_) | EffectResult::CancelRequested(_) => {
            Next::record(Effect::None, Some(timing::CLUSTER_RECHECK))
        }
    }
}
