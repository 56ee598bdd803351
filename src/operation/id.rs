//! How an operation is named.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The id that a service gave to an operation (Analysis Services `refreshId`, Power BI `requestId`).
///
/// Always 1 to 128 characters of `A-Z a-z 0-9 - _`, so it can stand in a URL path, a label or a log line as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(String);

impl OperationId {
    /// Takes an id from outside; `None` where it is empty, too long, or not safe in a URL path.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        ((1..=128).contains(&text.len()) && text.chars().all(safe)).then(|| Self(text.to_owned()))
    }

    /// The id as the service wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether two spellings name the same operation: the services write GUIDs in either case.
    #[must_use]
    pub fn same(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How to find an operation again: its id, and where the service said to look.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    /// The service's id for it; for a service that gives none, what the client made of its answer. Two synchronisations may then
    /// have the same id, where nothing has changed between them: an accepted one is followed whatever ids were there before.
    pub id: OperationId,
    /// The `Location` of the service's last answer, at most 2,048 characters, where an operation is followed by it: each
    /// answer about a synchronisation may name another. Checked against the host that is called before each use.
    pub location: Option<String>,
}

impl Handle {
    /// A handle by the id alone.
    #[must_use]
    pub fn by_id(id: OperationId) -> Self {
        Self { id, location: None }
    }
}
