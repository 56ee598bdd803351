//! The body of `POST refreshes`.

use serde_json::{Map, Value, json};

use crate::operation::{ObjectName, RefreshRequest};

/// The parameters in their documented spelling; what is not asked for is left to the service's own default.
///
/// Analysis Services documentation, asynchronous refresh, "POST /refreshes". The service ignores a list of objects
/// that it cannot read, and refreshes the whole model: so its shape is ours to get right.
pub(in crate::service) fn body(request: &RefreshRequest) -> Value {
    let mut body = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    };
    // Exhaustive, so that a new parameter does not compile until it is sent or left out on purpose.
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
    set("Type", refresh_type.as_deref().map(Value::from));
    set("CommitMode", commit_mode.as_deref().map(Value::from));
    set("MaxParallelism", max_parallelism.map(Value::from));
    set("RetryCount", retry_count.map(Value::from));
    set("Objects", (!objects.is_empty()).then(|| objects.iter().map(object).collect()));
    Value::Object(body)
}

fn object(name: &ObjectName) -> Value {
    match &name.partition {
        Some(partition) => json!({"table": name.table, "partition": partition}),
        None => json!({"table": name.table}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_sent_in_the_documented_spelling() {
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
