//! Conditions that follow kstatus (Flux, Helm) and that `kubectl wait` can test.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use super::unrecognized::{self, UnrecognizedValue};

/// Condition types of the resources in this group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ConditionType {
    /// True while a run is in progress or about to start, and for a grace period while a reference that may still appear is missing. Absent
    /// otherwise.
    Reconciling,
    /// True if nothing proceeds until a user acts. Absent otherwise.
    Stalled,
    /// The summary: True after a success, False after an end that requires a user and while a reference is missing, Unknown during a run.
    Ready,
    /// The result of the latest run, Unknown while it runs. The message is a short fact, such as `run 3 failed`. The message of Ready has
    /// the cause.
    Succeeded,
    /// True after any end of the latest run, so that `kubectl wait --for=condition=Finished` always returns. The message is that of
    /// Succeeded.
    Finished,
    /// Only with `staleAfterSeconds`: True while the data is younger than that, False after. The age counts from the latest successful run,
    /// or from the creation of the resource before the first success. It affects no other condition.
    Fresh,
    /// A value that only a newer version defines.
    #[serde(untagged)]
    #[schemars(skip)]
    Unrecognized(UnrecognizedValue),
}

/// `True`, `False` or `Unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// The condition holds.
    True,
    /// The condition does not hold.
    False,
    /// It is not known yet whether the condition holds.
    Unknown,
    /// A value that only a newer version defines.
    #[serde(untagged)]
    #[schemars(skip)]
    Unrecognized(UnrecognizedValue),
}

/// One condition of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Type of the condition: Ready, Reconciling, Stalled, Succeeded, Finished or Fresh.
    #[schemars(schema_with = "unrecognized::schema")]
    pub r#type: ConditionType,
    /// Status of the condition: True, False or Unknown.
    #[schemars(schema_with = "unrecognized::schema")]
    pub status: ConditionStatus,
    /// The `metadata.generation` that this condition describes.
    #[schemars(range(min = 0))]
    pub observed_generation: i64,
    /// Time of the last change of the condition's status.
    pub last_transition_time: Time,
    /// A documented reason in CamelCase. See the reference of reasons.
    #[schemars(length(max = 128))]
    pub reason: String,
    /// A message for users, in one sentence.
    #[schemars(length(max = 1024))]
    pub message: String,
}
