//! Values in the status that a newer version of the operator wrote. The operator preserves them: if it could not read a status, it would no
//! longer track the operation.

use std::fmt;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Maximum length of a value, in bytes. The definition accepts no longer value.
const MAX_BYTES: usize = 63;

/// A value that this version does not define. A longer value is truncated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnrecognizedValue {
    bytes: [u8; MAX_BYTES],
    length: u8,
}

impl UnrecognizedValue {
    /// The value as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.bytes.get(..usize::from(self.length)).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl From<&str> for UnrecognizedValue {
    fn from(text: &str) -> Self {
        let mut bytes = [0; MAX_BYTES];
        let (mut length, end) = (0, text.floor_char_boundary(MAX_BYTES));
        for (to, from) in bytes.iter_mut().zip(&text.as_bytes()[..end]) {
            *to = *from;
            length += 1;
        }
        Self { bytes, length }
    }
}

impl fmt::Display for UnrecognizedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for UnrecognizedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for UnrecognizedValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for UnrecognizedValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(std::borrow::Cow::<'de, str>::deserialize(deserializer)?.as_ref().into())
    }
}

/// The schema of a field with such values. The values of this version are documented but not enforced.
pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": MAX_BYTES})
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;
    use crate::api::{Run, RunState, Status};

    fn run() -> Value {
        json!({
            "number": 2, "trigger": {"type": "Creation", "value": ""}, "attempt": 1, "state": "Running", "requestDigest": "w", "reason": "Running",
            "model": {"powerBI": {"workspace": "w", "dataset": "d"}}, "requestedTime": "2026-01-01T00:00:00Z", "message": "m",
        })
    }

    /// A status with a known value in each enum field.
    fn full() -> Value {
        let trigger = json!({"type": "Request", "value": "v"});
        let mut run = run();
        run["cancelCause"] = json!("Deadline");
        run["recordedTime"] = json!("2026-01-01T01:00:00Z");
        json!({
            "observedGeneration": 1,
            "conditions": [{
                "type": "Ready", "status": "True", "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "Succeeded",
                "message": "m",
            }],
            "run": run,
            "queued": trigger,
            "check": {
                "request": "v", "time": "2026-01-01T00:00:00Z", "result": "Passed",
                "steps": [{"name": "spec", "result": "Passed", "message": "m"}],
            },
            "history": [{"number": 1, "trigger": trigger, "attempts": 1, "state": "Succeeded", "message": "m"}],
        })
    }

    /// The schemas of the status in both definitions.
    fn schemas() -> Vec<Value> {
        let crds = serde_json::to_value(crate::api::crds().unwrap()).unwrap();
        let of_status = |crd: &Value| crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"].clone();
        crds.as_array().unwrap().iter().map(of_status).collect()
    }

    /// The paths at which a schema accepts a value from a newer version. The first item represents its list.
    fn paths(schema: &Value, at: &str, found: &mut BTreeSet<String>) {
        if schema["type"] == "string" && schema["maxLength"] == MAX_BYTES {
            found.insert(at.to_owned());
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            paths(field, &format!("{at}/{name}"), found);
        }
        if let Some(item) = schema.get("items") {
            paths(item, &format!("{at}/0"), found);
        }
    }

    #[test]
    fn unknown_status_value_is_preserved() {
        let status = full();
        let read = |status: &Value| serde_json::from_value::<Status>(status.clone()).map(|status| serde_json::to_value(status).unwrap());
        assert_eq!(read(&status).unwrap(), status);
        // The reasons are strings already.
        let mut found = BTreeSet::from(["/conditions/0/reason".to_owned(), "/run/reason".to_owned()]);
        for schema in schemas() {
            paths(&schema, "", &mut found);
        }
        assert!(found.len() >= 10, "{found:?}");
        for place in found {
            for value in ["Hibernated", "unknown", "", "Größer-2", &"x".repeat(MAX_BYTES)] {
                let mut newer = status.clone();
                let there = newer.pointer_mut(&place).unwrap_or_else(|| panic!("the status above has no {place}"));
                *there = json!(value);
                assert_eq!(read(&newer).map_err(|error| format!("{place}: {error}")), Ok(newer), "{place}: {value}");
            }
        }
    }

    #[test]
    fn status_definition_enforces_no_value() {
        for schema in schemas() {
            let text = schema.to_string();
            for keyword in ["enum", "oneOf", "anyOf", "const", "pattern"] {
                assert!(!text.contains(&format!("\"{keyword}\":")), "{keyword} in {text}");
            }
        }
    }

    #[test]
    fn longer_value_is_truncated_between_characters() {
        assert_eq!(UnrecognizedValue::from("ä".repeat(40).as_str()).as_str(), "ä".repeat(31));
    }

    #[test]
    fn unknown_state_of_unended_run_is_derived_from_record() {
        let state = |record: Value| {
            let mut value = run();
            value["state"] = json!("Hibernated");
            value.as_object_mut().unwrap().extend(record.as_object().unwrap().clone());
            let status: Status = serde_json::from_value(json!({"run": value})).unwrap();
            let Run { state, .. } = status.run.unwrap();
            state
        };
        assert_eq!(state(json!({"operationId": "op-1"})), RunState::Running);
        assert_eq!(state(json!({"operationId": "op-1", "cancelCause": "Eviction"})), RunState::Cancelling);
        assert_eq!(state(json!({"submittedTime": "2026-01-01T00:00:00Z"})), RunState::Submitting);
        assert_eq!(state(json!({})), RunState::Waiting);
        assert!(state(json!({"operationId": "op-1", "endedTime": "2026-01-01T00:00:00Z"})).ended());
        assert!(state(json!({"recordedTime": "2026-01-01T00:00:00Z"})).ended());
    }
}
