//! One run: from its trigger to the end of its operation at the service.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::newer::{self, NewerValue};
use super::{Model, ModelNames, Time};

/// What started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TriggerType {
    /// The resource is new.
    Creation,
    /// What is to be done has changed, or `trigger.token` has.
    Change,
    /// The annotation `run-requested-at` got a new value.
    Request,
    /// `trigger.schedule` was due.
    Schedule,
    /// The refresh that it follows succeeded.
    AfterRefresh,
    /// What only a newer version knows.
    #[serde(untagged)]
    #[schemars(skip)]
    Newer(NewerValue),
}

impl fmt::Display for TriggerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Newer(value) => value.as_str(),
            Self::Creation => "Creation",
            Self::Change => "Change",
            Self::Request => "Request",
            Self::Schedule => "Schedule",
            Self::AfterRefresh => "AfterRefresh",
        })
    }
}

/// What started a run, and the value that did.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// Creation, Change, Request, Schedule or `AfterRefresh`.
    #[schemars(schema_with = "newer::schema")]
    pub r#type: TriggerType,
    /// The token, the annotation's value, the scheduled time, or the run that it follows, such as `adventureworks run 4`.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub value: String,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RunState {
    /// Nothing is submitted: it waits for its turn, for another client's refresh, for an outside cause to be cured, or
    /// for the time of its next attempt.
    Waiting,
    /// About to be submitted, or submitted without an answer: an operation may or may not have begun.
    Submitting,
    /// The service has it, under `operationId`.
    Running,
    /// The service was asked to cancel it, and has not said yet that it has ended.
    Cancelling,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Ended by a deadline, the operator's or the service's.
    TimedOut,
    /// Ended because somebody cancelled it.
    Cancelled,
    /// Ended in a way that only a newer version knows.
    #[serde(untagged)]
    #[schemars(skip)]
    Newer(NewerValue),
}

impl RunState {
    /// Whether the run will change no more.
    #[must_use]
    pub fn ended(self) -> bool {
        match self {
            Self::Waiting | Self::Submitting | Self::Running | Self::Cancelling => false,
            Self::Succeeded | Self::Failed | Self::TimedOut | Self::Cancelled | Self::Newer(_) => true,
        }
    }
}

/// Why the operator cancels an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CancelCause {
    /// The resource is being deleted.
    Deletion,
    /// A new trigger replaces it (`concurrencyPolicy: Replace`).
    Replacement,
    /// `activeDeadlineSeconds` is over.
    Deadline,
    /// The operator is about to be uninstalled.
    Uninstall,
    /// The annotation `cancel-requested-at` asks for it.
    Request,
    /// What only a newer version knows.
    #[serde(untagged)]
    #[schemars(skip)]
    Newer(NewerValue),
}

/// One run of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Counts this resource's runs, from 1.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub number: i32,
    /// What started it.
    pub trigger: Trigger,
    /// Counts the operations that this run submitted, from 1.
    #[schemars(range(min = 1, max = 1000))]
    pub attempt: i32,
    /// How many times the annotation `resubmit` had this attempt submitted again. Absent where it never did.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub resubmissions: i32,
    /// Waiting, Submitting, Running, Cancelling, Succeeded, Failed, `TimedOut` or Cancelled.
    #[schemars(schema_with = "newer::schema")]
    pub state: RunState,
    /// The model that the operation is on; the run keeps to it when the spec changes meanwhile. Where the spec gives it by
    /// names, the ids that they stood for.
    pub model: Model,
    /// The names that `model` was looked up by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_up: Option<ModelNames>,
    /// A digest of the model and the refresh parameters that this run asks for.
    #[schemars(length(max = 64))]
    pub work: String,
    /// The service's id for the operation. For a synchronisation on Power BI, which has none, the operator makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub operation_id: Option<String>,
    /// Where the service said to ask about the operation, at most 2048 bytes, where it is followed by that: each answer about a
    /// synchronisation may name another place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub location: Option<String>,
    /// The service's own word for where the operation stands, as it was last recorded; `state` is the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub service_state: Option<String>,
    /// The latest operations of this resource before the present one, at most 12: none of them is taken for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12), inner(length(max = 128)))]
    pub earlier_operation_ids: Vec<String>,
    /// The latest that a person said, by the annotation `resubmit`, are none of this resource's, at most 12: none of them is taken
    /// for the present operation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12), inner(length(max = 128)))]
    pub ruled_out_operation_ids: Vec<String>,
    /// When the run was asked for.
    pub requested_time: Time,
    /// Since when it has waited for its turn on the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since_time: Option<Time>,
    /// Not submitted before this time: the pause after a failed attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_time: Option<Time>,
    /// When the operator last set out to submit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_time: Option<Time>,
    /// When the service began, by its own clock; until it has said so, when it took the operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_time: Option<Time>,
    /// When it ended, by the service's clock where it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_time: Option<Time>,
    /// When the operator recorded the end, by its own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_time: Option<Time>,
    /// How long the operation took, such as `1m32s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub duration: Option<String>,
    /// Why the operator cancels it, or will cancel it once the submission is known: Deletion, Replacement, Deadline, Uninstall or Request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "newer::schema")]
    pub cancel_cause: Option<CancelCause>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub waiting_for: Option<String>,
    /// How far the operation has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Objects that failed, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub failed_objects: Vec<FailedObject>,
    /// What the service reported, at most 10: causes before their consequences, identical messages once with their count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub messages: Vec<Message>,
    /// Operations that may be the one that an unanswered submission began, at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub candidates: Vec<Candidate>,
    /// The service's activity id, for a support case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub activity_id: Option<String>,
    /// One documented word for why it stands as it does, the same as in the conditions.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub reason: String,
    /// One sentence, the same as in the conditions.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub message: String,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(count: &i32) -> bool {
    *count == 0
}

impl Run {
    /// Whether the service has, or had, an operation of it.
    #[must_use]
    pub fn was_submitted(&self) -> bool {
        match self.state {
            RunState::Waiting | RunState::Submitting => self.attempt > 1,
            RunState::Running | RunState::Cancelling => true,
            RunState::Succeeded | RunState::Failed | RunState::TimedOut | RunState::Cancelled | RunState::Newer(_) => {
                self.operation_id.is_some() || self.attempt > 1
            }
        }
    }

    /// As this version follows it: where a newer one has recorded a state, and no end, the rest of the record shows what to do.
    #[must_use]
    fn followed(mut self) -> Self {
        if let RunState::Newer(_) = self.state
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

    /// Reads the run of a status.
    pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        Ok(Option::<Self>::deserialize(deserializer)?.map(Self::followed))
    }

    /// The time that its schedule was due, where that started it.
    #[must_use]
    pub fn scheduled_time(&self) -> Option<Time> {
        let Trigger { r#type, value } = &self.trigger;
        (*r#type == TriggerType::Schedule).then(|| value.parse::<jiff::Timestamp>().ok()).flatten().map(Time::from)
    }
}

/// How far an operation has come, in objects (partitions).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Completed, of all: `3/24`.
    #[schemars(length(max = 32))]
    pub summary: String,
    /// All objects of the operation.
    #[schemars(range(min = 0))]
    pub total: i32,
    /// Those that are done.
    #[schemars(range(min = 0))]
    pub completed: i32,
    /// Those that failed.
    #[schemars(range(min = 0))]
    pub failed: i32,
    /// The same by table, where there are at most 20 tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub tables: Vec<TableProgress>,
}

/// How far one table has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TableProgress {
    /// The table.
    #[schemars(length(max = 256))]
    pub name: String,
    /// Its objects.
    #[schemars(range(min = 0))]
    pub total: i32,
    /// Those that are done.
    #[schemars(range(min = 0))]
    pub completed: i32,
}

/// An object that failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedObject {
    /// The table.
    #[schemars(length(max = 256))]
    pub table: String,
    /// The partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub partition: Option<String>,
    /// The service's word for it.
    #[schemars(length(max = 128))]
    pub status: String,
}

/// A message of the service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Error or Warning.
    #[schemars(length(max = 128))]
    pub r#type: String,
    /// The service's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub code: Option<String>,
    /// The text, at most 1024 bytes. Several identical messages are one that ends with, for example, "(11 times)".
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// An operation that may be the one that an unanswered submission began.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// The service's id for it.
    #[schemars(length(max = 128))]
    pub operation_id: String,
    /// When it began, by the service's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_time: Option<Time>,
    /// The service's word for where it stands.
    #[schemars(length(max = 128))]
    pub status: String,
}

/// A run that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// The run's number.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub number: i32,
    /// What started it.
    pub trigger: Trigger,
    /// How many operations it submitted.
    #[schemars(range(min = 1, max = 1000))]
    pub attempts: i32,
    /// Succeeded, Failed, `TimedOut` or Cancelled.
    #[schemars(schema_with = "newer::schema")]
    pub state: RunState,
    /// The service's id for the last operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub operation_id: Option<String>,
    /// When the service began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_time: Option<Time>,
    /// When the operator recorded the end, by its own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_time: Option<Time>,
    /// How long the operation took, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub duration_seconds: Option<i64>,
    /// The sentence that it ended with.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub message: String,
}
