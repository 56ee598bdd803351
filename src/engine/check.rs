//! The result of a check: which step failed, and why.
//!
//! A check only reads. It is no part of the decision, so it changes neither a run nor a condition.

use std::time::Duration;

use jiff::Timestamp;

use super::rules::errors;
use super::{Blocker, DesiredState, UpstreamRef, text};
use crate::api::{Check, CheckResult, CheckStep, CheckStepName as Step, Model, ModelNames, NO_RESPONSE, Reason, Time};
use crate::operation::{ModelCheck, OperationKind, ServiceError, ServiceErrorKind};

/// What a check found outside the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CheckReport {
    /// The identity, as a message names it; `None` if it is not available.
    pub identity: Option<String>,
    /// What the identity provider and the service responded.
    pub model: ModelCheck,
    /// Why the check ended early. Without a failure it is complete, or its time ended.
    pub failure: Option<CheckFailure>,
}

/// Why a check ended early.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CheckFailure {
    /// A fault outside the service: in a Secret, a reference or a permission.
    Blocked(Blocker),
    /// A call failed.
    CallFailed(ServiceError),
}

/// The request of a check, and what it checks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CheckRequest {
    /// The value of the annotation.
    pub value: String,
    /// The model that the spec names.
    pub model: Model,
    /// The kind of operations that are listed.
    pub kind: OperationKind,
    /// When the check started.
    pub started: Timestamp,
}

/// A step that failed, with its reason and its message.
struct FailedStep<'a> {
    step: Step,
    reason: &'static str,
    message: &'a str,
}

impl<'a> FailedStep<'a> {
    fn blocked(blocker: &'a Blocker) -> Self {
        Self { step: step_of_blocker(blocker), reason: blocker.reason.as_str(), message: &blocker.message }
    }
}

impl CheckRequest {
    /// The result if the spec itself has a fault. No request is sent then.
    pub(super) fn blocked(&self, blocker: &Blocker) -> Check {
        // Nothing else is known.
        self.result(Some(&FailedStep::blocked(blocker)), |step| (step == Step::Spec).then(accepted))
    }

    /// The result of what a check found within `limit`.
    pub(super) fn completed(&self, report: &CheckReport, limit: Duration) -> Check {
        let CheckReport { identity, model: found, failure } = report;
        let (last_step, timeout) = unanswered(report, limit);
        let failed = match failure {
            Some(CheckFailure::Blocked(blocker)) => Some(FailedStep::blocked(blocker)),
            Some(CheckFailure::CallFailed(error)) => {
                let step = if identity.is_none() {
                    Step::Credentials
                } else if found.token_lifetime.is_none() {
                    Step::Token
                } else {
                    step_of_error(error.kind)
                };
                let unresolved = step == Step::Model && self.model.names().is_some() && found.ids.is_none();
                let reason = match error.kind {
                    _ if unresolved => Reason::ModelNotResolved.as_str(),
                    ServiceErrorKind::Unreachable => NO_RESPONSE,
                    kind => errors::reason(kind).as_str(),
                };
                Some(FailedStep { step, reason, message: &error.message })
            }
            None if found.listed => None,
            None => Some(FailedStep { step: last_step, reason: NO_RESPONSE, message: &timeout }),
        };
        self.result(failed.as_ref(), |step| self.found(step, report))
    }

    /// What a step found; `None` if it was not performed.
    fn found(&self, step: Step, report: &CheckReport) -> Option<String> {
        let CheckReport { identity, model: found, failure: _ } = report;
        match step {
            Step::Spec => Some(accepted()),
            Step::Credentials => identity.clone(),
            Step::Token => found.token_lifetime.map(|lifetime| format!("valid for {}", shown(lifetime))),
            Step::Host => found.token_lifetime.map(|_| match found.response_time {
                Some(time) => format!("{} responded in {} ms", found.host, time.as_millis()),
                None => format!("{} responded", found.host),
            }),
            Step::Model => match (&found.ids, self.model.names()) {
                (Some(ids), Some(ModelNames { workspace, dataset })) => {
                    Some(format!("{workspace}/{dataset} is {}/{}", ids.group_id, ids.dataset_id))
                }
                _ => found.listed.then(|| self.model.display()),
            },
            Step::Access => found.listed.then(|| self.access()),
            Step::Unrecognized(_) => None,
        }
    }

    /// What the list proves. Analysis Services shows it only to administrators of the server, who can also refresh.
    fn access(&self) -> String {
        let noun = self.kind.noun();
        if self.model.power_bi.is_some() {
            format!("may list operations; a {noun} also needs write permission on the semantic model, which a check cannot verify")
        } else {
            format!("may list operations, as an administrator of the server; only a run shows whether a {noun} succeeds")
        }
    }

    fn result(&self, failed: Option<&FailedStep<'_>>, found: impl Fn(Step) -> Option<String>) -> Check {
        let step = |name| match failed {
            Some(failed) if failed.step == name => CheckStep {
                name,
                result: CheckResult::Failed,
                reason: failed.reason.to_owned(),
                message: text::bounded(failed.message, text::STEP),
            },
            _ => match found(name).filter(|_| failed.is_none_or(|failed| name < failed.step)) {
                Some(message) => {
                    CheckStep { name, result: CheckResult::Passed, reason: String::new(), message: text::bounded(&message, text::STEP) }
                }
                None => CheckStep { name, result: CheckResult::Skipped, reason: String::new(), message: String::new() },
            },
        };
        Check {
            request: self.value.clone(),
            time: Time::from(self.started),
            result: if failed.is_some() { CheckResult::Failed } else { CheckResult::Passed },
            steps: Step::ALL.map(step).into(),
        }
    }
}

/// The fault that keeps the spec from being checked further: its own, or that of its upstream refresh.
pub(super) fn fault(desired: &DesiredState) -> Option<&Blocker> {
    let of_upstream = match &desired.upstream {
        UpstreamRef::Unavailable(_, blocker) => blocker.as_ref(),
        UpstreamRef::None | UpstreamRef::Found(_) => None,
    };
    desired.blocker.as_ref().or(of_upstream)
}

/// The step that reports a fault outside the service.
fn step_of_blocker(blocker: &Blocker) -> Step {
    let of_spec = [Reason::InvalidSpec, Reason::UpstreamNotFound, Reason::UpstreamUnreadable, Reason::UpstreamCycle];
    if blocker.reason == Reason::ServerNotInCloud {
        Step::Host
    } else if of_spec.contains(&blocker.reason) {
        Step::Spec
    } else {
        Step::Credentials
    }
}

/// The step that reports a failed call to the service.
fn step_of_error(kind: ServiceErrorKind) -> Step {
    match kind {
        ServiceErrorKind::Unreachable
        | ServiceErrorKind::Throttled
        | ServiceErrorKind::CapacityExceeded
        | ServiceErrorKind::ServerError
        | ServiceErrorKind::InvalidResponse
        | ServiceErrorKind::Paused => Step::Host,
        ServiceErrorKind::NotFound
        | ServiceErrorKind::OwnerNotFound
        | ServiceErrorKind::QuotaExceeded
        | ServiceErrorKind::ScaleOutDisabled => Step::Model,
        ServiceErrorKind::CredentialsRefused
        | ServiceErrorKind::AssertionRefused
        | ServiceErrorKind::AccessDenied
        | ServiceErrorKind::Rejected => Step::Access,
    }
}

/// The first step whose result is not known when the time of a check ends, and what to look at.
fn unanswered(report: &CheckReport, limit: Duration) -> (Step, String) {
    let CheckReport { identity, model, failure: _ } = report;
    let within = shown(limit);
    match (identity, model.token_lifetime) {
        (None, _) => (
            Step::Credentials,
            format!(
                "no response from the Kubernetes API within {within}: check whether the API server is overloaded, and the log of the operator"
            ),
        ),
        (Some(_), None) => (
            Step::Token,
            format!(
                "no response to the request for a token within {within}: check that the pod of the operator reaches Microsoft Entra ID or, for a \
                 managed identity, the metadata service: DNS, proxy, NetworkPolicy and firewall"
            ),
        ),
        // A service that does not respond to the list may still have resolved the names.
        (Some(_), Some(_)) => (
            Step::Host,
            format!(
                "no response from {} within {within}: check that the pod of the operator reaches it: DNS, proxy, NetworkPolicy and firewall",
                model.host
            ),
        ),
    }
}

fn accepted() -> String {
    "accepted".to_owned()
}

/// A duration in its largest unit, rounded down.
fn shown(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3_600 => format!("{}m", seconds / 60),
        seconds => format!("{}h{}m", seconds / 3_600, seconds % 3_600 / 60),
    }
}
