//! What a run shows of its operation: its progress, its failed objects and its messages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;

/// Progress of an operation, in objects (partitions).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Completed objects of all objects, such as `3/24`.
    #[schemars(length(max = 32))]
    pub summary: String,
    /// Number of objects in the operation.
    #[schemars(range(min = 0))]
    pub total: i32,
    /// Number of completed objects.
    #[schemars(range(min = 0))]
    pub completed: i32,
    /// Number of failed objects.
    #[schemars(range(min = 0))]
    pub failed: i32,
    /// Number of tables in the operation.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub table_count: i32,
    /// Progress by table, at most 20 tables: those with failures first, then those in progress, those that wait, and those that are done,
    /// the longest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub tables: Vec<TableProgress>,
}

/// Progress of one table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TableProgress {
    /// Name of the table.
    #[schemars(length(max = 256))]
    pub name: String,
    /// Number of objects in the table.
    #[schemars(range(min = 0))]
    pub total: i32,
    /// Number of completed objects.
    #[schemars(range(min = 0))]
    pub completed: i32,
    /// Number of failed objects. Absent if none.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub failed: i32,
    /// When a poll first showed that an object of the table had started. The operator records it with the next change of the progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_time: Option<Time>,
    /// When a poll first showed that all objects of the table had ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_time: Option<Time>,
}

/// An object that failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedObject {
    /// Name of the table.
    #[schemars(length(max = 256))]
    pub table: String,
    /// Name of the partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub partition: Option<String>,
    /// Status of the object as the service reported it.
    #[schemars(length(max = 128))]
    pub status: String,
}

/// The most messages in the status of a run.
pub const MAX_RUN_MESSAGES: usize = 10;

/// A message from the service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Type of the message: Error or Warning.
    #[schemars(length(max = 128))]
    pub r#type: String,
    /// Error code of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub code: Option<String>,
    /// Text of the message, at most 1024 bytes. Identical messages are combined into one that ends with, for example, "(11 times)".
    #[schemars(length(max = 1024))]
    pub message: String,
}

impl Message {
    /// What ends a text that stands for several identical messages, such as ` (11 times)`; empty for one message.
    #[must_use]
    pub fn count_suffix(times: u32) -> String {
        if times > 1 { format!(" ({times} times)") } else { String::new() }
    }

    /// How many identical messages it stands for.
    #[must_use]
    pub fn count(&self) -> u32 {
        let counted = self.message.strip_suffix(" times)").and_then(|text| text.rsplit_once(" (")?.1.parse().ok());
        counted.filter(|count| *count > 1).unwrap_or(1)
    }

    /// Whether it is a warning.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        self.r#type.eq_ignore_ascii_case("warning")
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(count: &i32) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_stands_for_as_many_as_its_suffix_states() {
        for times in [1, 2, 11, u32::MAX] {
            let message = Message { r#type: "Warning".to_owned(), code: None, message: format!("slow{}", Message::count_suffix(times)) };
            assert_eq!((message.count(), message.is_warning()), (times, true), "{message:?}");
        }
        for text in ["slow", "slow (0 times)", "slow (-2 times)", "slow (two times)", "2 times)", "slow (11 times) again"] {
            assert_eq!(Message { r#type: "Error".to_owned(), code: None, message: text.to_owned() }.count(), 1, "{text}");
        }
    }
}
