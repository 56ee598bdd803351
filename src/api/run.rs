//! One run: from its trigger to the end of its operation at the service.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::unrecognized::{self, UnrecognizedValue};
use super::{FailedObject, Message, Model, ModelNames, Progress, Reason, Time};

/// What started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TriggerType {
    /// The resource was created.
    Creation,
    /// The model, the refresh parameters or `trigger.token` changed.
    Change,
    /// The annotation `run-requested-at` has a new value.
    Request,
    /// `trigger.schedule` was due.
    Schedule,
    /// A run of the upstream refresh succeeded.
    AfterRefresh,
    /// A value that only a newer version defines.
    #[serde(untagged)]
    #[schemars(skip)]
    Unrecognized(UnrecognizedValue),
}

impl fmt::Display for TriggerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unrecognized(value) => value.as_str(),
            Self::Creation => "Creation",
            Self::Change => "Change",
            Self::Request => "Request",
            Self::Schedule => "Schedule",
            Self::AfterRefresh => "AfterRefresh",
        })
    }
}

/// The trigger of a run, with its value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// Type of the trigger: Creation, Change, Request, Schedule or `AfterRefresh`.
    #[schemars(schema_with = "unrecognized::schema")]
    pub r#type: TriggerType,
    /// The token, the value of the annotation, the scheduled time, or the run of the upstream refresh, such as `adventureworks run 4`.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub value: String,
}

/// State of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RunState {
    /// Nothing is submitted. The run waits for its turn, for another client's refresh, for the removal of an external cause, or for the
    /// time of its next attempt.
    Waiting,
    /// The run is about to be submitted, or was submitted without a response. An operation may or may not have started.
    Submitting,
    /// The service accepted the operation, with the id in `operationId`.
    Running,
    /// The operator requested the cancellation, and the service has not reported the end yet.
    Cancelling,
    /// Ended with success.
    Succeeded,
    /// Ended with a failure.
    Failed,
    /// Ended by a deadline of the operator or of the service.
    TimedOut,
    /// Ended because a user, another client or the operator cancelled it.
    Cancelled,
    /// Ended in a state that only a newer version defines.
    #[serde(untagged)]
    #[schemars(skip)]
    Unrecognized(UnrecognizedValue),
}

impl RunState {
    /// Whether the run has ended and no longer changes.
    #[must_use]
    pub fn ended(self) -> bool {
        match self {
            Self::Waiting | Self::Submitting | Self::Running | Self::Cancelling => false,
            Self::Succeeded | Self::Failed | Self::TimedOut | Self::Cancelled | Self::Unrecognized(_) => true,
        }
    }
}

/// Why the operator cancels an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CancelCause {
    /// The resource is being deleted.
    Deletion,
    /// A new trigger replaces the run (`concurrencyPolicy: Replace`).
    Replacement,
    /// The operation exceeded `activeDeadlineSeconds`.
    Deadline,
    /// The operator is about to be uninstalled.
    Uninstall,
    /// The annotation `cancel-requested-at` requests it.
    Request,
    /// A value that only a newer version defines.
    #[serde(untagged)]
    #[schemars(skip)]
    Unrecognized(UnrecognizedValue),
}

/// One run of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Number of the run among the runs of this resource, from 1.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub number: i32,
    /// What started the run.
    pub trigger: Trigger,
    /// Number of the operation among the operations that this run submitted, from 1.
    #[schemars(range(min = 1, max = 1000))]
    pub attempt: i32,
    /// How often the annotation `resubmit` caused this attempt to be submitted again. Absent if never.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub resubmissions: i32,
    /// State of the run: Waiting, Submitting, Running, Cancelling, Succeeded, Failed, `TimedOut` or Cancelled.
    #[schemars(schema_with = "unrecognized::schema")]
    pub state: RunState,
    /// The model of the operation. It does not change during the run, even if the spec does. If the spec has names, these are the ids that
    /// the names resolved to.
    pub model: Model,
    /// The names that `model` was resolved from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_from: Option<ModelNames>,
    /// Digest of the model and the refresh parameters of this run.
    #[schemars(length(max = 64))]
    pub request_digest: String,
    /// Id of the operation at the service. Power BI has no ids for syncs, so the operator generates one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub operation_id: Option<String>,
    /// The URL at which the operator polls the operation, at most 2048 bytes, if the service returned one. Each response about a sync may
    /// return another URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub location: Option<String>,
    /// Status of the operation as the service last reported it, in the terms of the service. `state` is the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub service_state: Option<String>,
    /// Ids of the latest operations of this resource before the current one, at most 12. The operator never adopts them for the current
    /// one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12), inner(length(max = 128)))]
    pub previous_operation_ids: Vec<String>,
    /// Ids of the latest operations that the annotation `resubmit` excluded, at most 12. The operator never adopts them for the current
    /// operation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12), inner(length(max = 128)))]
    pub excluded_operation_ids: Vec<String>,
    /// When the run was requested.
    pub requested_time: Time,
    /// Time at which the run started to wait for its turn on the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since_time: Option<Time>,
    /// Earliest time of the next submission, after the backoff of a failed attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_time: Option<Time>,
    /// When the operator last started to submit the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_time: Option<Time>,
    /// When the operation started, by the clock of the service. Until the service reports it, the time when the service accepted the
    /// operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_time: Option<Time>,
    /// When the run ended, by the clock of the service if it reported the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_time: Option<Time>,
    /// When the operator recorded the end, by its own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_time: Option<Time>,
    /// Duration of the operation, such as `1m32s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub duration: Option<String>,
    /// Why the operator cancels the operation, or will cancel it when the submission is resolved: Deletion, Replacement, Deadline,
    /// Uninstall or Request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "unrecognized::schema")]
    pub cancel_cause: Option<CancelCause>,
    /// What the run waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub waiting_for: Option<String>,
    /// Progress of the operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Objects that failed, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub failed_objects: Vec<FailedObject>,
    /// Messages of the service, at most 10. Causes come before their consequences, and identical messages are combined with their count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub messages: Vec<Message>,
    /// Operations that the submission without a response may have started, at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub candidates: Vec<Candidate>,
    /// Activity id of the service, for a support case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub activity_id: Option<String>,
    /// The page of the operation in the Power BI portal. Absent for a sync and for Analysis Services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub details_url: Option<String>,
    /// A documented reason for the state in CamelCase, the same as in the conditions.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub reason: String,
    /// A message in one sentence, the same as in the conditions.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub message: String,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(count: &i32) -> bool {
    *count == 0
}

impl Run {
    /// Whether the service has, or had, an operation of this run.
    #[must_use]
    pub fn was_submitted(&self) -> bool {
        match self.state {
            RunState::Waiting | RunState::Submitting => self.attempt > 1,
            RunState::Running | RunState::Cancelling => true,
            RunState::Succeeded | RunState::Failed | RunState::TimedOut | RunState::Cancelled | RunState::Unrecognized(_) => {
                self.operation_id.is_some() || self.attempt > 1
            }
        }
    }

    /// Whether a run that is shown as ended has what each recorded end has: its time, and a reason for its state. A reason of another
    /// version is not checked.
    #[must_use]
    pub fn has_end(&self) -> bool {
        if let RunState::Unrecognized(_) = self.state {
            return true;
        }
        let is_success = self.state == RunState::Succeeded;
        let is_reason_of_end = |reason: Reason| reason.ends_run() && (reason == Reason::Succeeded) == is_success;
        self.ended_time.is_some() && Reason::parse(&self.reason).is_none_or(is_reason_of_end)
    }

    /// The run as this version tracks it. If a newer version recorded an unknown state and no end, the other fields determine the state.
    #[must_use]
    fn normalized(mut self) -> Self {
        if let RunState::Unrecognized(_) = self.state
            && self.ended_time.is_none()
            && self.recorded_time.is_none()
        {
            self.state = match (&self.operation_id, self.cancel_cause, self.submitted_time) {
                (Some(_), None, _) => RunState::Running,
                (Some(_), Some(_), _) => RunState::Cancelling,
                (None, _, Some(_)) => RunState::Submitting,
                (None, _, None) => RunState::Waiting,
            };
        }
        self
    }

    /// Deserializes the run of a status.
    pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        Ok(Option::<Self>::deserialize(deserializer)?.map(Self::normalized))
    }

    /// The scheduled time of the run, if a schedule started it.
    #[must_use]
    pub fn scheduled_time(&self) -> Option<Time> {
        let Trigger { r#type, value } = &self.trigger;
        (*r#type == TriggerType::Schedule).then(|| value.parse::<jiff::Timestamp>().ok()).flatten().map(Time::from)
    }
}

/// An operation that a submission without a response may have started.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// Id of the operation at the service.
    #[schemars(length(max = 128))]
    pub operation_id: String,
    /// When the operation started, by the clock of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_time: Option<Time>,
    /// Status of the operation as the service reported it.
    #[schemars(length(max = 128))]
    pub status: String,
}

/// A run that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// Number of the run.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub number: i32,
    /// What started the run.
    pub trigger: Trigger,
    /// Number of operations that the run submitted.
    #[schemars(range(min = 1, max = 1000))]
    pub attempts: i32,
    /// State at the end: Succeeded, Failed, `TimedOut` or Cancelled.
    #[schemars(schema_with = "unrecognized::schema")]
    pub state: RunState,
    /// Id of the last operation at the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub operation_id: Option<String>,
    /// When the operation started at the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_time: Option<Time>,
    /// When the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_time: Option<Time>,
    /// When the operator recorded the end, by its own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_time: Option<Time>,
    /// When the run was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_time: Option<Time>,
    /// Digest of the model and the refresh parameters of the run. Runs with the same digest are comparable.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub request_digest: String,
    /// Duration of the operation, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub duration_seconds: Option<i64>,
    /// Documented reason of the end in CamelCase.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 128))]
    pub reason: String,
    /// Final message of the run.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub message: String,
}
