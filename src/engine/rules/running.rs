//! A run whose operation the service has: polled until the service reports its end.

use super::{completion, interrupts, poll};
use crate::api::Run;
use crate::engine::draft::Pass;
use crate::engine::next::Next;
use crate::engine::{Effect, Seen, timing};

/// Decides for a run that is recorded as Running.
pub(in crate::engine) fn decide(pass: &mut Pass<'_>) -> Next {
    let Some(id) = pass.record.run.as_ref().and_then(Run::operation) else {
        return poll::lost_id(pass);
    };
    // A trigger that waits, or was dropped, is recorded before it can be read again.
    let due = interrupts::heed_triggers(pass);
    match &pass.situation.seen {
        Seen::Nothing => {
            if let Some(cause) = interrupts::cancel_cause(pass, due) {
                let can_be_cancelled = pass.kind().offers().cancel;
                return if can_be_cancelled { Next::Cancel { cause, id } } else { completion::let_go(pass, &id) };
            }
            match pass.not_before() {
                Some(pause) => Next::record(Effect::Nothing, Some(pause)),
                None => poll::look(pass, id),
            }
        }
        Seen::Look(_) | Seen::Listing { .. } | Seen::Presence(_) | Seen::Trouble(_) | Seen::Fault(_) => poll::observed(pass, &id),
        Seen::Resolved(_) | Seen::Turn(_) | Seen::Submission(_) | Seen::Cancellation(_) => {
            Next::record(Effect::Nothing, Some(timing::CLUSTER))
        }
    }
}
