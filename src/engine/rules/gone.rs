//! A model that the service says not to know, while an operation on it may run.
//!
//! It was deleted, and then nothing of the run can be learnt any more: the run ends. Or the identity has lost its access, which the services
//! answer in the same way: then the operation goes on, and so does the run. The list of models that the identity sees tells the two apart.

use super::completion::{self, Lost};
use super::errors;
use crate::api::Time;
use crate::engine::next::Next;
use crate::engine::pass::Pass;
use crate::engine::{Effect, pace};
use crate::operation::{Presence, Trouble, TroubleKind};

/// Whether to ask for the model, after a look or a list that brought nothing. Not while the service may be late to show the operation.
pub(super) fn is_in_question(pass: &Pass<'_>, trouble: &Trouble) -> bool {
    trouble.kind == TroubleKind::NotFound && pace::between(pass.intent(), pass.now) >= pace::seen_after(pass.situation.settings)
}

/// Asks for the model.
pub(super) fn ask() -> Next {
    Next::keep(Effect::FindModel, None)
}

/// What an answer other than [`Presence::Gone`] is to the run: a call that brought nothing. `None` where the model is gone.
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

/// The model is gone. A list may be late, so the run ends only where it is gone for as long as that.
pub(super) fn decide(pass: &mut Pass<'_>) -> Next {
    let settings = pass.situation.settings;
    // Before a clock that was set back nothing was seen.
    let since = pass.scratch.gone_since.filter(|since| *since <= pass.now).unwrap_or(pass.now);
    pass.scratch.gone_since = Some(since);
    let left = settings.listing_lag.saturating_sub(pace::between(since, pass.now));
    if left.is_zero() {
        return completion::lost(pass, Lost::WithItsModel);
    }
    let until = since.checked_add(settings.listing_lag).map(Time::from);
    if let Some((run, until)) = pass.record.run.as_mut().zip(until.ok()) {
        let what = run.operation_id.as_ref().map_or_else(|| "the operation".to_owned(), |id| format!("operation {id}"));
        let message = format!(
            "{what} cannot be polled because the model was deleted: the run ends at {until} unless the model exists again by then"
        );
        run.tell(run.state, errors::reason(TroubleKind::NotFound), message);
    }
    let pause = left.min(pace::SERVICE);
    pass.stop_for(pause)
}
