//! The report of the commands that request something.

use schemars::JsonSchema;
use serde::Serialize;
use tabular_operator::api::ResourceKey;

use crate::exit::Exit;
use crate::facts::decision::DecisionOutcome;
use crate::facts::{Request, RequestOutcome, state_name};

/// What has become of the requests, in the order of the names.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestsReport {
    /// The requests, one for each name.
    pub requests: Vec<RequestReport>,
}

/// What has become of a request.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestReport {
    /// `run`, `cancel`, `suspend`, `resume`, `adopt`, `resubmit` or `release`.
    pub command: String,
    /// `ModelRefresh` or `ModelSync`.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// `Pending`, `Accepted`, `InProgress`, `Ended`, `NotInHistory`, `Dropped`, `NotCancellable`, `Removed` or `Deleted` for a request of
    /// `run` or `cancel`; `Changed` for `suspend` and `resume`; `Applied`, `Ended` if the run is not submitted again, `Ignored`, `Pending`
    /// or `Deleted` for a decision of `adopt`, `resubmit` or `release`; `Unchanged` if nothing was requested, and `Error`.
    pub result: String,
    /// The same in one sentence.
    pub message: String,
    /// The exit code for this name alone.
    pub exit_code: u8,
    /// The value of the annotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Number of the run that serves the request, or that is cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<i32>,
    /// Whether the run also serves a later request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub superseded: Option<bool>,
    /// State at the end of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Reason of the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Duration of the operation, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<i64>,
    /// From the request of the run to the start of its operation, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waited_seconds: Option<i64>,
}

impl RequestReport {
    /// An entry without a request.
    #[must_use]
    pub fn new(command: &str, key: ResourceKey, result: &str, exit: Exit, message: impl Into<String>) -> Self {
        let ResourceKey { kind, namespace, name } = key;
        Self {
            command: command.to_owned(),
            kind: kind.as_str().to_owned(),
            namespace,
            name,
            result: result.to_owned(),
            message: message.into(),
            exit_code: exit as u8,
            ..Self::default()
        }
    }

    /// The entry of a request.
    #[must_use]
    pub fn of(command: &str, request: &Request, outcome: &RequestOutcome, exit: Exit, message: impl Into<String>) -> Self {
        let end = if let RequestOutcome::Ended(end) = outcome { Some(end) } else { None };
        Self {
            value: Some(request.value().to_owned()),
            run: request.run(),
            superseded: Some(request.is_superseded()),
            state: end.map(|end| state_name(end.state)),
            reason: end.map(|end| end.reason.clone()),
            duration_seconds: end.and_then(|end| end.duration),
            waited_seconds: end.and_then(|end| end.waited),
            ..Self::new(command, request.before().key(), outcome.as_str(), exit, message)
        }
    }

    /// The entry of a decision.
    #[must_use]
    pub fn of_decision(command: &str, key: ResourceKey, outcome: &DecisionOutcome, exit: Exit, value: String, message: String) -> Self {
        let end = outcome.end();
        Self {
            value: Some(value),
            run: end.map(|end| end.number),
            state: end.map(|end| state_name(end.state)),
            reason: end.map(|end| end.reason.clone()),
            ..Self::new(command, key, outcome.as_str(), exit, message)
        }
    }
}
