//! Parser of a refresh request's body for Power BI, with the documented checks of its parameters.

use std::sync::LazyLock;

use jiff::{SignedDuration, civil::Date};
use serde_json::{Map, Value};

use crate::{
    analysis_services::{BodyError, field, task_from_value},
    world::task::{Origin, Task},
};

/// An invalid parameter, and the reason.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Invalid {
    /// The parameter; empty for the body as a whole.
    pub parameter: &'static str,
    /// The reason.
    pub sentence: String,
}

/// Error for a value that the parameter does not support.
fn no_value(parameter: &'static str, value: &Value) -> Invalid {
    Invalid { parameter, sentence: format!("Error converting value {value} to the type of the parameter '{parameter}'.") }
}

/// Parses a request's body. An empty body, or one with only `notifyOption`, requests a standard refresh.
pub fn task(body: &[u8]) -> Result<Task, Invalid> {
    static NOTHING: LazyLock<Value> = LazyLock::new(|| Value::Object(Map::new()));
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let read;
    let value = if body.trim_ascii().is_empty() {
        &*NOTHING
    } else {
        read = serde_json::from_slice(body).map_err(|_| not_an_object())?;
        &read
    };
    let fields = value.as_object().ok_or_else(not_an_object)?;
    let mut task = task_from_value(value).map_err(|error| match error {
        BodyError::NotAnObject => not_an_object(),
        BodyError::Invalid(name) => {
            let parameter = parameter(name);
            no_value(parameter, field(fields, parameter).unwrap_or(&Value::Null))
        }
    })?;
    check_objects(fields)?;
    if let Some(option) = field(fields, "notifyOption")
        && !option.as_str().is_some_and(|option| option.eq_ignore_ascii_case("NoNotification"))
    {
        let sentence = "Notifications are not supported for enhanced refreshes, nor for service principals.".to_owned();
        return Err(Invalid { parameter: "notifyOption", sentence });
    }
    if let Some(policy) = field(fields, "applyRefreshPolicy") {
        task.apply_refresh_policy = policy.as_bool().ok_or_else(|| no_value("applyRefreshPolicy", policy))?;
    }
    if let Some(date) = field(fields, "effectiveDate") {
        let text = date.as_str().filter(|text| is_date(text)).ok_or_else(|| no_value("effectiveDate", date))?;
        task.effective_date = Some(text.to_owned());
    }
    if let Some(timeout) = field(fields, "timeout") {
        task.timeout = Some(timeout.as_str().and_then(span).ok_or_else(|| no_value("timeout", timeout))?);
    }
    let enhanced = fields.iter().any(|(name, value)| !name.eq_ignore_ascii_case("notifyOption") && !value.is_null());
    task.origin = if enhanced { Origin::ViaEnhancedApi } else { Origin::ViaApi };
    Ok(task)
}

fn not_an_object() -> Invalid {
    Invalid { parameter: "", sentence: "The request body is not a valid JSON object.".to_owned() }
}

/// Power BI's name of a parameter, by the name of its counterpart in Analysis Services.
fn parameter(name: &'static str) -> &'static str {
    match name {
        "Type" => "type",
        "CommitMode" => "commitMode",
        "MaxParallelism" => "maxParallelism",
        "RetryCount" => "retryCount",
        other => other,
    }
}

/// Checks that every object names a table. (Assumed: Analysis Services is known to ignore misspelled fields, Power BI is not.)
fn check_objects(fields: &Map<String, Value>) -> Result<(), Invalid> {
    let Some(objects) = field(fields, "objects") else {
        return Ok(());
    };
    let is_object = |object: &Value| {
        object.as_object().is_some_and(|object| {
            field(object, "table").is_some_and(Value::is_string) && field(object, "partition").is_none_or(Value::is_string)
        })
    };
    if objects.as_array().is_some_and(|objects| objects.iter().all(is_object)) { Ok(()) } else { Err(no_value("objects", objects)) }
}

/// `2020-12-31`, optionally with a time, or the documented American form: `12/31/2020`.
fn is_date(text: &str) -> bool {
    text.parse::<Date>().is_ok() || text.parse::<jiff::Timestamp>().is_ok() || Date::strptime("%m/%d/%Y", text).is_ok()
}

/// `hh:mm:ss`, by the documented expression `^([0-1]?[0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$`.
fn span(text: &str) -> Option<SignedDuration> {
    let parts: Vec<_> = text.split(':').collect();
    let [hours, minutes, seconds] = parts.as_slice() else {
        return None;
    };
    let number = |text: &str, fewest: usize, below: i64| {
        let shaped = (fewest..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|number| shaped && *number < below)
    };
    Some(SignedDuration::from_secs(number(hours, 1, 24)? * 3_600 + number(minutes, 2, 60)? * 60 + number(seconds, 2, 60)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::task::{ObjectName, RefreshType};

    #[test]
    fn all_seven_parameters_and_timeout_are_parsed() {
        let text = r#"{"type":"Full","commitMode":"partialBatch","maxParallelism":2,"retryCount":3,"objects":[{"table":"DimDate"}],
            "applyRefreshPolicy":false,"effectiveDate":"2026-01-31","timeout":"2:30:00","notifyOption":"NoNotification"}"#;
        let expected = Task {
            kind: RefreshType::Full,
            partial_batch: true,
            max_parallelism: 2,
            retry_count: 3,
            objects: vec![ObjectName { table: "DimDate".into(), partition: None }],
            origin: Origin::ViaEnhancedApi,
            apply_refresh_policy: false,
            effective_date: Some("2026-01-31".into()),
            timeout: Some(SignedDuration::from_mins(150)),
        };
        assert_eq!(task(text.as_bytes()), Ok(expected));
    }

    #[test]
    fn body_without_parameters_is_standard_refresh() {
        for text in ["", " ", "{}", r#"{"notifyOption":"NoNotification"}"#, r#"{"type":null}"#] {
            let read = task(text.as_bytes()).unwrap();
            assert_eq!((read.origin, read.apply_refresh_policy, read.kind), (Origin::ViaApi, true, RefreshType::Automatic), "{text}");
        }
        assert_eq!(task(br#"{"retryCount":0}"#).unwrap().origin, Origin::ViaEnhancedApi);
    }

    #[test]
    fn invalid_parameter_is_named() {
        for (text, name) in [
            ("[]", ""),
            ("{", ""),
            (r#"{"type":"add"}"#, "type"),
            (r#"{"commitMode":"sometimes"}"#, "commitMode"),
            (r#"{"maxParallelism":0}"#, "maxParallelism"),
            (r#"{"retryCount":-1}"#, "retryCount"),
            (r#"{"objects":[{"tabel":"A"}]}"#, "objects"),
            (r#"{"objects":{"table":"A"}}"#, "objects"),
            (r#"{"applyRefreshPolicy":"false"}"#, "applyRefreshPolicy"),
            (r#"{"effectiveDate":"tomorrow"}"#, "effectiveDate"),
            (r#"{"timeout":"24:00:00"}"#, "timeout"),
            (r#"{"timeout":"01:60:00"}"#, "timeout"),
            (r#"{"timeout":"1:0:0"}"#, "timeout"),
            (r#"{"timeout":"PT5H"}"#, "timeout"),
            (r#"{"timeout":3600}"#, "timeout"),
            (r#"{"type":"full","notifyOption":"MailOnFailure"}"#, "notifyOption"),
        ] {
            assert_eq!(task(text.as_bytes()).unwrap_err().parameter, name, "{text}");
        }
    }
}
