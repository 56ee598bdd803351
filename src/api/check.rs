//! The result of a check: what the operator found when it tried to reach the model of a resource, step by step.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use super::unrecognized::{self, UnrecognizedValue};

/// The reason of a step without a response. It is no [`super::Reason`], because no condition and no event has it: a check is not retried.
pub const NO_RESPONSE: &str = "NoResponse";

/// The result of a check that the annotation `check-requested-at` requested. A check only reads: it starts and cancels nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Value of the annotation that requested the check.
    #[schemars(length(max = 256))]
    pub request: String,
    /// When the operator started the check.
    pub time: Time,
    /// Passed or Failed. On Power BI, a passed check does not prove that the identity can refresh: the list of refreshes needs less
    /// permission than a refresh.
    #[schemars(schema_with = "unrecognized::schema")]
    pub result: CheckResult,
    /// The steps, in their order: spec, credentials, token, host, model and access.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    #[schemars(length(max = 6))]
    pub steps: Vec<CheckStep>,
}

/// One step of a check.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckStep {
    /// Name of the step: spec, credentials, token, host, model or access.
    #[schemars(schema_with = "unrecognized::schema")]
    pub name: CheckStepName,
    /// Passed, Failed or Skipped. A step is skipped if another step failed first.
    #[schemars(schema_with = "unrecognized::schema")]
    pub result: CheckResult,
    /// Documented reason of the failure in CamelCase, or `NoResponse` if there was no connection, or no response within 10 seconds.
    /// Absent if the step did not fail.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 128))]
    pub reason: String,
    /// What the step found, in one sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub message: String,
}

/// The result of a check or of one of its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CheckResult {
    /// It succeeded.
    Passed,
    /// It failed.
    Failed,
    /// It was not performed, because another step failed.
    Skipped,
    /// A value that only a newer version defines.
    #[serde(untagged)]
    #[schemars(skip)]
    Unrecognized(UnrecognizedValue),
}

/// The steps of a check, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckStepName {
    /// The spec has no fault that only the operator detects, and its upstream refresh exists.
    Spec,
    /// The Secret, the `ServiceAccount` or the other identity exists and is valid.
    Credentials,
    /// The identity gets a token.
    Token,
    /// The host belongs to the operator's cloud, and the service responds.
    Host,
    /// The model exists.
    Model,
    /// The identity can list the operations of the model.
    Access,
    /// A value that only a newer version defines.
    #[serde(untagged)]
    #[schemars(skip)]
    Unrecognized(UnrecognizedValue),
}

impl CheckStepName {
    /// The steps of this version, in their order.
    pub const ALL: [Self; 6] = [Self::Spec, Self::Credentials, Self::Token, Self::Host, Self::Model, Self::Access];
}

impl fmt::Display for CheckStepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spec => "spec",
            Self::Credentials => "credentials",
            Self::Token => "token",
            Self::Host => "host",
            Self::Model => "model",
            Self::Access => "access",
            Self::Unrecognized(value) => value.as_str(),
        })
    }
}
