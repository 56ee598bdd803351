//! The body of `POST refreshes`.

use std::time::Duration;

use serde_json::Value;

use crate::azure::refreshes::{objects_of, parameters};
use crate::operation::RefreshRequest;

/// Maximum `timeout`: the documented pattern ends with the day.
const MAX_LENGTH: Duration = Duration::from_secs(24 * 3600 - 1);

/// The parameters in their documented format.
///
/// Power BI documentation, enhanced refresh, "Parameters". Any of these parameters makes a refresh an enhanced one, which clients can poll
/// and cancel. The type is therefore always set. `notifyOption` is never set: it belongs to the other type of refresh, and a service
/// principal must not use it.
pub(in crate::azure) fn body(request: &RefreshRequest) -> Value {
    // Exhaustive, so that a new parameter does not compile until it is sent or omitted explicitly.
    let RefreshRequest {
        refresh_type,
        commit_mode,
        max_parallelism,
        retry_count,
        objects,
        apply_refresh_policy,
        effective_date,
        attempt_timeout,
    } = request;
    parameters([
        ("type", Some(Value::from(refresh_type.as_deref().unwrap_or("automatic")))),
        ("commitMode", commit_mode.as_deref().map(Value::from)),
        ("maxParallelism", max_parallelism.map(Value::from)),
        ("retryCount", retry_count.map(Value::from)),
        ("objects", objects_of(objects)),
        ("applyRefreshPolicy", apply_refresh_policy.map(Value::from)),
        ("effectiveDate", effective_date.as_deref().map(Value::from)),
        ("timeout", attempt_timeout.map(|limit| Value::from(clock(limit)))),
    ])
}

/// `hh:mm:ss`.
fn clock(limit: Duration) -> String {
    let seconds = limit.min(MAX_LENGTH).as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::operation::ObjectName;

    #[test]
    fn parameters_are_sent_in_documented_format() {
        let request = RefreshRequest {
            refresh_type: Some("full".to_owned()),
            commit_mode: Some("partialBatch".to_owned()),
            max_parallelism: Some(2),
            retry_count: Some(1),
            objects: vec![
                ObjectName { table: "DimCustomer".to_owned(), partition: Some("DimCustomer".to_owned()) },
                ObjectName { table: "DimDate".to_owned(), partition: None },
            ],
            apply_refresh_policy: Some(false),
            effective_date: Some("2026-11-21".to_owned()),
            attempt_timeout: Some(Duration::from_mins(90)),
        };
        let expected = json!({
            "type": "full", "commitMode": "partialBatch", "maxParallelism": 2, "retryCount": 1,
            "objects": [{"table": "DimCustomer", "partition": "DimCustomer"}, {"table": "DimDate"}],
            "applyRefreshPolicy": false, "effectiveDate": "2026-11-21", "timeout": "01:30:00",
        });
        assert_eq!(body(&request), expected);
    }

    #[test]
    fn refresh_without_parameters_is_enhanced() {
        assert_eq!(body(&RefreshRequest::default()), json!({"type": "automatic"}));
    }

    #[test]
    fn time_limit_is_formatted_as_time_of_day() {
        let rows = [(60, "00:01:00"), (18_000, "05:00:00"), (86_399, "23:59:59"), (86_400, "23:59:59"), (59, "00:00:59"), (0, "00:00:00")];
        for (seconds, expected) in rows {
            assert_eq!(clock(Duration::from_secs(seconds)), expected);
        }
        assert_eq!(clock(Duration::MAX), "23:59:59");
    }
}
