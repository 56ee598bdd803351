//! What becomes of a request for a run, the annotation `run-requested-at`.
//!
//! The operator handles the value of the annotation, so a later request supersedes one that is not handled yet. The run of the later one
//! starts after both, and serves both. No clocks are compared: the versions of the resource show the order.

use tabular_operator::api::{ConcurrencyPolicy, ModelResource, RUN_REQUESTED_AT, Run, RunState, Status, Trigger, TriggerType};
use tabular_operator::engine::token;

use super::RequestOutcome;
use super::request_outcome::{is_outdated, outcome_of_run, same_resource};
use crate::objects::Object;

/// A request for a run.
#[derive(Clone, Debug)]
pub struct RunRequest {
    value: String,
    /// The latest known version in which the operator has not handled the request.
    before: Object,
    /// Whether `before` is from before the request, because the response was lost.
    is_earlier: bool,
    /// The run that serves the request, once that is known.
    number: Option<i32>,
    is_superseded: bool,
    /// The latest request that superseded this one before the operator handled either.
    later: Option<String>,
}

impl RunRequest {
    /// A request with this value. `before` is the version of the resource that the request created.
    #[must_use]
    pub fn new(value: String, before: Object) -> Self {
        Self { value, before, is_earlier: false, number: None, is_superseded: false, later: None }
    }

    /// A request whose response was lost. `found` is the version that the request was sent for, and `read` a later one. `None` if they
    /// do not show whether the request arrived, or which run serves it.
    #[must_use]
    pub fn recovered(value: String, found: Object, read: Object) -> Option<Self> {
        if read.status().last_handled_request.as_deref() != Some(value.as_str()) {
            return (read.annotation(RUN_REQUESTED_AT) == Some(value.as_str())).then(|| Self::new(value, read));
        }
        let submission = |object: &Object| object.run().map(|run| (run.number, run.state == RunState::Waiting, submission(run)));
        let is_known = run_on_request(read.status(), &value).is_some() || submission(&found) == submission(&read);
        is_known.then(|| Self { is_earlier: true, ..Self::new(value, found) })
    }

    /// The value of the annotation.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The latest known version of the resource in which the operator has not handled the request.
    #[must_use]
    pub fn before(&self) -> &Object {
        &self.before
    }

    /// The run that serves the request, once that is known.
    #[must_use]
    pub fn run(&self) -> Option<i32> {
        self.number
    }

    /// Whether a later request superseded this one, so that one run serves both.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.is_superseded
    }

    /// What has become of the request by this version of the resource; `None` if the resource does not exist.
    pub fn observe(&mut self, object: Option<&Object>) -> RequestOutcome {
        let Some(object) = same_resource(&self.before, object) else { return RequestOutcome::Deleted };
        if is_outdated((&self.before, self.is_earlier), object) {
            return RequestOutcome::Pending;
        }
        let number = match self.number {
            Some(number) => number,
            None => match self.find(object) {
                Ok(number) => *self.number.insert(number),
                Err(outcome) => {
                    if matches!(outcome, RequestOutcome::Pending | RequestOutcome::Accepted) {
                        (self.before, self.is_earlier) = (object.clone(), false);
                    }
                    return outcome;
                }
            },
        };
        outcome_of_run(object, number)
    }

    /// The run that serves the request, or what has become of the request if there is none.
    fn find(&mut self, object: &Object) -> Result<i32, RequestOutcome> {
        let status = object.status();
        let own = run_on_request(status, &self.value);
        if let Some(number) = own.or_else(|| run_on_request(status, self.later.as_deref()?)) {
            return Ok(number);
        }
        let queued = status.queued.as_ref().filter(|queued| queued.r#type == TriggerType::Request);
        if queued.is_some_and(|queued| queued.value == self.value) {
            return Err(if object.is_deleting() { RequestOutcome::Deleted } else { RequestOutcome::Accepted });
        }
        let handled = status.last_handled_request.as_deref();
        if handled != self.before.status().last_handled_request.as_deref() {
            self.is_superseded = handled != Some(self.value.as_str());
            return self.served_by(object);
        }
        if object.is_deleting() {
            return Err(RequestOutcome::Deleted);
        }
        let current = object.annotation(RUN_REQUESTED_AT).filter(|value| !value.is_empty());
        let is_request = current.is_some_and(|value| handled != Some(token(value).as_str()));
        if current != Some(self.value.as_str()) {
            self.is_superseded = is_request || queued.is_some();
            self.later = current.filter(|_| is_request).map(str::to_owned);
        }
        Err(match queued {
            Some(_) => RequestOutcome::Accepted,
            None if is_request => RequestOutcome::Pending,
            None => RequestOutcome::Removed,
        })
    }

    /// The run that serves the request once the operator has handled it. Another trigger may have started that run.
    fn served_by(&self, object: &Object) -> Result<i32, RequestOutcome> {
        let Some(before) = self.before.run() else { return Ok(next_run(object.status(), 0)) };
        if before.state == RunState::Waiting {
            // Requests join a run until it is submitted.
            return Ok(before.number);
        }
        if before.state.ended() {
            return Ok(next_run(object.status(), before.number));
        }
        if concurrency_policy(object) == ConcurrencyPolicy::Forbid {
            return Err(RequestOutcome::Dropped(before.number));
        }
        match object.run().filter(|run| run.number == before.number) {
            // A later attempt of the same run.
            Some(run) => Ok(run.number),
            None if attempts(object.status(), before.number) > before.attempt => Ok(before.number),
            None => Ok(next_run(object.status(), before.number)),
        }
    }
}

/// Identifies a submission among those of a run.
fn submission(run: &Run) -> (i32, i32, Option<tabular_operator::api::Time>) {
    (run.attempt, run.resubmissions, run.submitted_time)
}

/// The number of attempts of an ended run; 0 if the history does not contain it.
fn attempts(status: &Status, number: i32) -> i32 {
    status.history.iter().find(|entry| entry.number == number).map_or(0, |entry| entry.attempts)
}

/// The run that a request with this value started.
fn run_on_request(status: &Status, value: &str) -> Option<i32> {
    let starts = |trigger: &Trigger| trigger.r#type == TriggerType::Request && trigger.value == value;
    let latest = status.run.as_ref().filter(|run| starts(&run.trigger)).map(|run| run.number);
    latest.or_else(|| status.history.iter().find(|entry| starts(&entry.trigger)).map(|entry| entry.number))
}

/// The first run after this one that is still known.
fn next_run(status: &Status, after: i32) -> i32 {
    let latest = status.run.as_ref().map(|run| run.number);
    let known = status.history.iter().map(|entry| entry.number).chain(latest);
    known.filter(|number| *number > after).min().unwrap_or_else(|| after.saturating_add(1))
}

fn concurrency_policy(object: &Object) -> ConcurrencyPolicy {
    match &object.resource {
        ModelResource::ModelRefresh(refresh) => refresh.spec.concurrency_policy,
        // A trigger during a sync starts one sync after it.
        ModelResource::ModelSync(_) => ConcurrencyPolicy::Queue,
    }
}
