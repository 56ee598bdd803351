//! Conditions by the rules of kstatus, which Flux, Helm and `kubectl wait` read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use super::newer::{self, NewerValue};

/// The types of condition that a resource of this group has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ConditionType {
    /// True while work is under way or about to begin, and for a while where a reference is missing that may still arrive. Absent
    /// otherwise.
    Reconciling,
    /// True where nothing goes on until somebody acts. Absent otherwise.
    Stalled,
    /// The summary: True after a success, False after an end that needs a human and while a reference is missing, Unknown while it runs.
    Ready,
    /// How the latest run ended: Unknown while it runs. The message is a short fact, such as `run 3 failed`; that of Ready has the cause.
    Succeeded,
    /// True at any end of the latest run, so that `kubectl wait --for=condition=Finished` always returns. The message is that of Succeeded.
    Finished,
    /// What only a newer version knows.
    #[serde(untagged)]
    #[schemars(skip)]
    Newer(NewerValue),
}

/// `True`, `False` or `Unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// It cannot be told yet.
    Unknown,
    /// What only a newer version knows.
    #[serde(untagged)]
    #[schemars(skip)]
    Newer(NewerValue),
}

/// One condition of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which condition: Ready, Reconciling, Stalled, Succeeded or Finished.
    #[schemars(schema_with = "newer::schema")]
    pub r#type: ConditionType,
    /// True, False or Unknown.
    #[schemars(schema_with = "newer::schema")]
    pub status: ConditionStatus,
    /// The `metadata.generation` that this condition speaks of.
    #[schemars(range(min = 0))]
    pub observed_generation: i64,
    /// When the condition's status last changed.
    pub last_transition_time: Time,
    /// One documented word for why; see the reference of reasons.
    #[schemars(length(max = 128))]
    pub reason: String,
    /// One sentence for a person.
    #[schemars(length(max = 1024))]
    pub message: String,
}
