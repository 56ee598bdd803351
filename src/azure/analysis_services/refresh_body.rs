//! The body of `POST refreshes`.

use serde_json::Value;

use crate::azure::refreshes::{objects_of, parameters};
use crate::operation::RefreshRequest;

/// The parameters in their documented format.
///
/// Analysis Services documentation, asynchronous refresh, "POST /refreshes". The service ignores a list of objects that it cannot parse,
/// and refreshes the whole model. The format must therefore be correct.
pub(in crate::azure) fn body(request: &RefreshRequest) -> Value {
    // Exhaustive, so that a new parameter does not compile until it is sent or omitted explicitly.
    let RefreshRequest {
        refresh_type,
        commit_mode,
        max_parallelism,
        retry_count,
        objects,
        apply_refresh_policy: _,
        effective_date: _,
        attempt_timeout: _,
    } = request;
    parameters([
        ("Type", refresh_type.as_deref().map(Value::from)),
        ("CommitMode", commit_mode.as_deref().map(Value::from)),
        ("MaxParallelism", max_parallelism.map(Value::from)),
        ("RetryCount", retry_count.map(Value::from)),
        ("Objects", objects_of(objects)),
    ])
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
            commit_mode: Some("transactional".to_owned()),
            max_parallelism: Some(2),
            retry_count: Some(2),
            objects: vec![
                ObjectName { table: "DimCustomer".to_owned(), partition: Some("DimCustomer".to_owned()) },
                ObjectName { table: "DimDate".to_owned(), partition: None },
            ],
            apply_refresh_policy: Some(true),
            ..RefreshRequest::default()
        };
        let expected = json!({
            "Type": "full", "CommitMode": "transactional", "MaxParallelism": 2, "RetryCount": 2,
            "Objects": [{"table": "DimCustomer", "partition": "DimCustomer"}, {"table": "DimDate"}],
        });
        assert_eq!(body(&request), expected);
        assert_eq!(body(&RefreshRequest::default()), json!({}));
    }
}
