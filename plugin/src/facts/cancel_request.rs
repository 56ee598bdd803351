//! What becomes of a request to cancel a run, the annotation `cancel-requested-at`.
//!
//! The operator cancels the run that is in progress when it reads the annotation. It cannot start another run before that, because it
//! writes the status only on the latest version of the resource. So the request is about the run in the version that it created.

use tabular_operator::api::{CANCEL_REQUESTED_AT, RunState};
use tabular_operator::engine::token;

use super::RequestOutcome;
use super::request_outcome::{is_outdated, outcome_of_run, same_resource};
use crate::objects::Object;

/// A request to cancel a run.
#[derive(Clone, Debug)]
pub struct CancelRequest {
    value: String,
    before: Object,
    /// Whether `before` is from before the request, because the response was lost.
    is_earlier: bool,
    number: i32,
}

impl CancelRequest {
    /// A request with this value. `before` is the version of the resource that the request created. `None` if its run has ended, so that
    /// nothing is cancelled.
    #[must_use]
    pub fn new(value: String, before: Object) -> Option<Self> {
        let number = before.run().filter(|run| !run.state.ended())?.number;
        Some(Self { value, before, is_earlier: false, number })
    }

    /// A request whose response was lost. `found` is the version that the request was sent for, and `read` a later one. `None` if they
    /// do not show whether the request arrived, or which run it is about.
    #[must_use]
    pub fn recovered(value: String, found: Object, read: Object) -> Option<Self> {
        if read.status().last_handled_cancel_request.as_deref() != Some(value.as_str()) {
            let arrived = read.annotation(CANCEL_REQUESTED_AT) == Some(value.as_str());
            return arrived.then(|| Self::new(value, read)).flatten();
        }
        let number = |object: &Object| object.run().map(|run| run.number);
        let is_known = number(&found) == number(&read);
        Self::new(value, found).filter(|_| is_known).map(|request| Self { is_earlier: true, ..request })
    }

    /// The value of the annotation.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The resource as the request found it.
    #[must_use]
    pub fn before(&self) -> &Object {
        &self.before
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> i32 {
        self.number
    }

    /// What has become of the request by this version of the resource; `None` if the resource does not exist.
    #[must_use]
    pub fn observe(&self, object: Option<&Object>) -> RequestOutcome {
        let Some(object) = same_resource(&self.before, object) else { return RequestOutcome::Deleted };
        if is_outdated((&self.before, self.is_earlier), object) {
            return RequestOutcome::Pending;
        }
        let outcome = outcome_of_run(object, self.number);
        let Some(run) = object.run().filter(|_| outcome == RequestOutcome::InProgress(self.number)) else { return outcome };
        if run.state == RunState::Cancelling || run.cancel_cause.is_some() {
            return outcome;
        }
        let handled = object.status().last_handled_cancel_request.as_deref();
        if handled != self.before.status().last_handled_cancel_request.as_deref() {
            return RequestOutcome::NotCancellable(self.number);
        }
        let current = object.annotation(CANCEL_REQUESTED_AT).filter(|value| !value.is_empty());
        let is_request = current.is_some_and(|value| handled != Some(token(value).as_str()));
        if is_request { RequestOutcome::Pending } else { RequestOutcome::Removed }
    }
}
