//! Parser of a refresh request's body, as lenient as the service.
//!
//! Keys and values are case-insensitive, and malformed entries below `Objects` are ignored. A misspelled request therefore refreshes the
//! whole model: users report both.

use serde_json::{Map, Value};

use crate::world::task::{ObjectName, RefreshType, Task};

/// Reason to refuse a body.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Not a JSON object.
    #[error("The request body is not a valid JSON object.")]
    NotAnObject,
    /// A parameter has an invalid value.
    #[error("The value of the parameter '{0}' is not valid.")]
    Invalid(&'static str),
}

/// Parses a request's body.
pub fn task(body: &[u8]) -> Result<Task, BodyError> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let value: Value = serde_json::from_slice(body).map_err(|_| BodyError::NotAnObject)?;
    task_from_value(&value)
}

/// Parses a request's body from its JSON value.
///
/// # Errors
/// When it is not an object, or one of its parameters has an invalid value.
pub fn task_from_value(value: &Value) -> Result<Task, BodyError> {
    let fields = value.as_object().ok_or(BodyError::NotAnObject)?;
    let mut task = Task::default();
    if let Some(kind) = field(fields, "type") {
        task.kind = kind.as_str().and_then(refresh_type).ok_or(BodyError::Invalid("Type"))?;
    }
    if let Some(mode) = field(fields, "commitMode") {
        let mode = mode.as_str().map(str::to_ascii_lowercase).ok_or(BodyError::Invalid("CommitMode"))?;
        task.partial_batch = match mode.as_str() {
            // Older documentation lists `default` too.
            "transactional" | "default" => false,
            "partialbatch" => true,
            _ => return Err(BodyError::Invalid("CommitMode")),
        };
    }
    if let Some(parallelism) = field(fields, "maxParallelism") {
        task.max_parallelism = number(parallelism).filter(|number| *number > 0).ok_or(BodyError::Invalid("MaxParallelism"))?;
    }
    if let Some(retries) = field(fields, "retryCount") {
        task.retry_count = number(retries).ok_or(BodyError::Invalid("RetryCount"))?;
    }
    let objects = field(fields, "objects").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    task.objects = objects.iter().filter_map(object).collect();
    Ok(task)
}

/// The kind of processing of that name, case-insensitive.
#[must_use]
pub fn refresh_type(name: &str) -> Option<RefreshType> {
    match name.to_ascii_lowercase().as_str() {
        "full" => Some(RefreshType::Full),
        "clearvalues" => Some(RefreshType::ClearValues),
        "calculate" => Some(RefreshType::Calculate),
        "dataonly" => Some(RefreshType::DataOnly),
        "automatic" => Some(RefreshType::Automatic),
        "defragment" => Some(RefreshType::Defragment),
        _ => None,
    }
}

fn object(value: &Value) -> Option<ObjectName> {
    let fields = value.as_object()?;
    let text = |name| field(fields, name).and_then(Value::as_str).map(ToOwned::to_owned);
    Some(ObjectName { table: text("table")?, partition: text("partition") })
}

/// A field by its name, case-insensitive; `null` counts as absent.
#[must_use]
pub fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.iter().find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_null()).map(|(_, value)| value)
}

/// An integer, also as a string, which .NET converts.
fn number(value: &Value) -> Option<u32> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Task, BodyError> {
        task(text.as_bytes())
    }

    #[test]
    fn documented_example_is_parsed_in_any_case() {
        let expected = Task {
            kind: RefreshType::Full,
            partial_batch: true,
            max_parallelism: 2,
            retry_count: 3,
            objects: vec![
                ObjectName { table: "DimCustomer".into(), partition: Some("DimCustomer".into()) },
                ObjectName { table: "DimDate".into(), partition: None },
            ],
            ..Task::default()
        };
        for text in [
            r#"{"Type":"Full","CommitMode":"partialBatch","MaxParallelism":2,"RetryCount":3,"Objects":[{"table":"DimCustomer","partition":"DimCustomer"},{"table":"DimDate"}]}"#,
            r#"{"type":"full","commitmode":"PartialBatch","maxParallelism":"2","retryCount":3,"objects":[{"Table":"DimCustomer","Partition":"DimCustomer"},{"table":"DimDate","partition":null}]}"#,
        ] {
            assert_eq!(read(text), Ok(expected.clone()));
        }
    }

    #[test]
    fn empty_body_has_documented_defaults() {
        assert_eq!(
            read("{}"),
            Ok(Task {
                kind: RefreshType::Automatic,
                partial_batch: false,
                max_parallelism: 10,
                retry_count: 0,
                objects: Vec::new(),
                ..Task::default()
            })
        );
    }

    #[test]
    fn misspelled_object_refreshes_whole_model() {
        for text in
            [r#"{"Objects":[]}"#, r#"{"Objects":{"table":"A"}}"#, r#"{"Object":[{"table":"A"}]}"#, r#"{"Objects":[{"tabel":"A"},"B"]}"#]
        {
            assert_eq!(read(text).unwrap().objects, [], "{text}");
        }
    }

    #[test]
    fn invalid_body_is_refused() {
        for text in ["", "[]", "{", "\"full\""] {
            assert_eq!(read(text), Err(BodyError::NotAnObject), "{text}");
        }
        for (text, name) in [
            (r#"{"Type":"add"}"#, "Type"),
            (r#"{"Type":7}"#, "Type"),
            (r#"{"CommitMode":"sometimes"}"#, "CommitMode"),
            (r#"{"MaxParallelism":0}"#, "MaxParallelism"),
            (r#"{"MaxParallelism":-1}"#, "MaxParallelism"),
            (r#"{"RetryCount":1.5}"#, "RetryCount"),
        ] {
            assert_eq!(read(text), Err(BodyError::Invalid(name)), "{text}");
        }
    }
}
