//! A model that the service reports as not found while an operation on it may be running.
//!
//! If the model was deleted, the result of the operation is unknown and the run ends. If the identity has lost its access, the services
//! respond in the same way, but the operation is still running and so is the run. The list of visible models distinguishes the two.

use super::completion::{self, Lost};
use super::errors;
use crate::api::Time;
use crate::engine::draft::Pass;
use crate::engine::next::Next;
use crate::engine::{Effect, timing};
use crate::operation::{Presence, Trouble, TroubleKind};

/// Whether to check the model after a failed poll or list. Not while the service may be late to show the operation.
pub(super) fn is_in_question(pass: &Pass<'_>, trouble: &Trouble) -> bool {
    trouble.kind == TroubleKind::NotFound && timing::between(pass.intent(), pass.now) >= timing::seen_after(pass.situation.settings)
}

/// Checks whether the model exists.
pub(super) fn ask() -> Next {
    Next::keep(Effect::FindModel, None)
}

/// The error that a response other than [`Presence::Gone`] counts as; `None` if the model is gone.
pub(super) fn trouble_of(pass: &mut Pass<'_>, presence: &Presence) -> Option<Trouble> {
    let trouble = match presence {
        Presence::Gone => return None,
        Presence::Trouble(trouble) => trouble.clone(),
        Presence::There => {
            let message = "the service lists the model but reports that it does not exist".to_owned();
            Trouble { kind: TroubleKind::InvalidAnswer, message, retry_after: None, activity_id: None }
        }
    };
    pass.scratch.gone_since = None;
    Some(trouble)
}

/// Handles a model that is gone. A list may be late, so the run ends only after the model has been gone for that long.
pub(super) fn decide(pass: &mut Pass<'_>) -> Next {
    let settings = pass.situation.settings;
    // If the clock was set back, the count starts again.
    let since = pass.scratch.gone_since.filter(|since| *since <= pass.now).unwrap_or(pass.now);
    pass.scratch.gone_since = Some(since);
    let left = settings.listing_lag.saturating_sub(timing::between(since, pass.now));
    if left.is_zero() {
        return completion::lost(pass, Lost::WithItsModel);
    }
    let until = since.checked_add(settings.listing_lag).map(Time::from);
    if let Some((run, until)) = pass.record.run.as_mut().zip(until.ok()) {
        let what = run.operation_id.as_ref().map_or_else(|| "the operation".to_owned(), |id| format!("operation {id}"));
        let message =
            format!("{what} cannot be polled because the model was deleted: the run ends at {until} unless the model exists again by then");
        run.tell(run.state, errors::reason(TroubleKind::NotFound), message);
    }
    let pause = left.min(timing::SERVICE);
    pass.stop_for(pause)
}
