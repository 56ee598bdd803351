//! A time in whole seconds, in the format of Kubernetes.

use std::fmt;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time in UTC, in whole seconds, formatted as RFC 3339.
///
/// The constructor truncates to the second, so that a value stays the same when it is written to the API server and read back. Otherwise an
/// unchanged status would appear as changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Time(i64);

impl Time {
    /// The time as a `Timestamp`.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_second(self.0).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Whole seconds from `earlier` to this time; negative if `earlier` is later.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl From<Timestamp> for Time {
    fn from(time: Timestamp) -> Self {
        // Truncation rounds toward zero; no time here is before 1970.
        Self(time.as_second())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.timestamp())
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    /// The API server accepts times that are none, such as one with the offset +99:99. Only an edit of the status leaves one. It reads as the
    /// latest time, so that it is handled like other impossible times and the operation of the run is still polled.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Ok(Self::from(text.parse::<Timestamp>().unwrap_or(Timestamp::MAX)))
    }
}

impl JsonSchema for Time {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unparsable_time_reads_as_the_latest_one() {
        let read = |text: &str| serde_json::from_value::<Time>(text.into()).unwrap();
        let latest = read("2026-11-21T05:00:00+99:99");
        assert_eq!(latest, Time::from(Timestamp::MAX));
        assert_eq!(read(&latest.to_string()), latest);
        assert!(serde_json::from_str::<Time>("5").is_err());
    }
}
