//! What a document is: one of our kinds, or another one.

use serde_json::Value;
use tabular_operator::api::Kind;

use super::finding::Finding;
use super::schema::API_VERSION;
use super::structure::closest;

/// The API group of our kinds.
const GROUP: &str = "tabular-operator.dev/";

/// What a document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A resource of this kind.
    Ours(Kind),
    /// A resource of another API.
    Other,
    /// No resource, or one of our API that does not exist.
    Invalid(Finding),
}

/// What a document is.
#[must_use]
pub fn subject(manifest: &Value) -> Subject {
    let text = |field: &str| manifest.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    if !manifest.is_object() {
        return Subject::Invalid(Finding::new("", "must be a resource, with apiVersion, kind, metadata and spec"));
    }
    let Some(kind) = text("kind") else { return Subject::Invalid(Finding::new("kind", "must be set")) };
    let Some(version) = text("apiVersion") else { return Subject::Invalid(Finding::new("apiVersion", "must be set")) };
    let known = Kind::ALL.iter().find(|known| known.as_str() == kind);
    match (known, version.starts_with(GROUP)) {
        (Some(kind), true) if version == API_VERSION => Subject::Ours(*kind),
        (Some(_), true) => Subject::Invalid(Finding::new("apiVersion", format!("must be {API_VERSION}"))),
        (None, true) => {
            let hint = closest(kind, Kind::ALL.iter().map(|known| known.as_str()));
            let hint = hint.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
            Subject::Invalid(Finding::new("kind", format!("unknown kind of {API_VERSION}{hint}")))
        }
        (_, false) => Subject::Other,
    }
}
