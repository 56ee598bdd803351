//! Identification of an operation.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The id that a service gave to an operation (Analysis Services `refreshId`, Power BI `requestId`).
///
/// Always 1 to 128 characters of `A-Z a-z 0-9 - _`, so that it is safe in a URL path, a label or a log line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(String);

impl OperationId {
    /// Parses an external id; `None` if it is empty, too long, not safe in a URL path, or stands for no id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        ((1..=128).contains(&text.len()) && text.chars().all(safe) && !Self::is_zero(text)).then(|| Self(text.to_owned()))
    }

    /// Whether a text has only zeros and hyphens, like the GUID that a response shows in place of no id.
    #[must_use]
    pub fn is_zero(text: &str) -> bool {
        text.bytes().all(|byte| matches!(byte, b'0' | b'-'))
    }

    /// The id as the service wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether two spellings identify the same operation. The services write GUIDs in upper or lower case.
    #[must_use]
    pub fn eq_ignoring_case(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identifies an operation for polling: its id, and the URL that the service returned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OperationRef {
    /// Id of the operation at the service. If the service gives none, the client derives it from the response. Two syncs can then have the
    /// same id, if nothing changed between them. The operator therefore polls an accepted sync even if its id existed before.
    pub id: OperationId,
    /// The `Location` of the last response, at most 2,048 characters, if the operation is polled by it. Each response about a sync may
    /// return another one. Compared with the called host before each use.
    pub location: Option<String>,
}

impl OperationRef {
    /// A reference with the id only.
    #[must_use]
    pub fn by_id(id: OperationId) -> Self {
        Self { id, location: None }
    }
}
