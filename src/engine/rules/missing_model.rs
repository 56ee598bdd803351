//! A model that the service reports as not found while an operation on it may be running.
//!
//! If the model was deleted, the result of the operation is unknown and the run ends. If the identity has lost its access, the services
//! respond in the same way, but the operation is still running and so is the run. The list of visible models distinguishes the two.

use super::completion::{self, Missing};
use super::errors;
use crate::api::Time;
use crate::engine::draft::Draft;
use crate::engine::next::Next;
use crate::engine::{Effect, timing};
use crate::operation::{ModelExistence, ServiceError, ServiceErrorKind};

/// Whether to check the model after a failed poll or list. Not while the service may be late to show the operation.
pub(super) fn is_uncertain(draft: &Draft<'_>, error: &ServiceError) -> bool {
    error.kind == ServiceErrorKind::NotFound
        && timing::elapsed(draft.intent(), draft.now) >= timing::visibility_timeout(draft.input.settings)
}

/// Checks whether the model exists.
pub(super) fn check_model() -> Next {
    Next::unchanged(Effect::FindModel, None)
}

/// The error that a response other than [`ModelExistence::Absent`] counts as; `None` if the model is gone.
pub(super) fn error_of(draft: &mut Draft<'_>, existence: &ModelExistence) -> Option<ServiceError> {
    let error = match existence {
        ModelExistence::Absent => return None,
        ModelExistence::Failed(error) => error.clone(),
        ModelExistence::Exists => {
            let message = "the service lists the model but reports that it does not exist".to_owned();
            ServiceError::new(ServiceErrorKind::InvalidResponse, message)
        }
    };
    draft.memory.model_missing_since = None;
    Some(error)
}

/// Handles a model that is gone. A list may be late, so the run ends only after the model has been gone for that long.
pub(super) fn decide(draft: &mut Draft<'_>) -> Next {
    let settings = draft.input.settings;
    // If the clock was set back, the count starts again.
    let since = draft.memory.model_missing_since.filter(|since| *since <= draft.now).unwrap_or(draft.now);
    draft.memory.model_missing_since = Some(since);
    let left = settings.listing_lag.saturating_sub(timing::elapsed(since, draft.now));
    if left.is_zero() {
        return completion::operation_not_found(draft, Missing::Model);
    }
    let until = since.checked_add(settings.listing_lag).map(Time::from);
    if let Some((run, until)) = draft.status.run.as_mut().zip(until.ok()) {
        let what = run.operation_id.as_ref().map_or_else(|| "the operation".to_owned(), |id| format!("operation {id}"));
        let message =
            format!("{what} cannot be polled because the model was deleted: the run ends at {until} unless the model exists again by then");
        run.set_state(run.state, errors::reason(ServiceErrorKind::NotFound), message);
    }
    let delay = left.min(timing::SERVICE_RECHECK);
    draft.record_and_delay(delay)
}
