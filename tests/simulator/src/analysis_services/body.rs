//! The body of a refresh request, read as leniently as the service reads it.
//!
//! Keys and values are taken in any case, and what has the wrong shape below `Objects` is ignored, so that a misspelt
//! request refreshes the whole model: users report both.

use serde_json::{Map, Value};

use crate::world::task::{ObjectName, RefreshType, Task};

/// Why a body is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Not JSON, or no object.
    #[error("The request body is not a valid JSON object.")]
    NotAnObject,
    /// A parameter has a value that it cannot have.
    #[error("The value of the parameter '{0}' is not valid.")]
    Invalid(&'static str),
}

/// Reads a request's body.
pub fn task(body: &[u8]) -> Result<Task, BodyError> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let value: Value = serde_json::from_slice(body).map_err(|_| BodyError::NotAnObject)?;
    task_from_value(&value)
}

/// Reads a request's body that was parsed as JSON already.
///
/// # Errors
/// When it is no object, or one of its parameters has a value that it cannot have.
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

/// The kind of processing of that name, in any case.
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

/// A field by its name in any case; `null` is as good as absent.
#[must_use]
pub fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.iter().find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_null()).map(|(_, value)| value)
}

/// A whole number, also as a text, which .NET converts.
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
    fn reads_the_documented_example_in_any_case() {
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
    fn has_the_documented_defaults() {
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
    fn a_misspelt_object_means_the_whole_model() {
        for text in
            [r#"{"Objects":[]}"#, r#"{"Objects":{"table":"A"}}"#, r#"{"Object":[{"table":"A"}]}"#, r#"{"Objects":[{"tabel":"A"},"B"]}"#]
        {
            assert_eq!(read(text).unwrap().objects, [], "{text}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_read() {
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
