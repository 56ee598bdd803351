//! The common parts of the bodies of `POST refreshes` for both services.

use serde_json::{Value, json};

use crate::operation::ObjectName;

/// The requested parameters. Omitted ones have the defaults of the service.
pub(in crate::azure) fn parameters<const N: usize>(all: [(&str, Option<Value>); N]) -> Value {
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<serde_json::Map<_, _>>().into()
}

/// The objects to refresh; none for the whole model. Both services document the same format.
pub(in crate::azure) fn objects_of(names: &[ObjectName]) -> Option<Value> {
    let object = |ObjectName { table, partition }: &ObjectName| match partition {
        Some(partition) => json!({"table": table, "partition": partition}),
        None => json!({"table": table}),
    };
    (!names.is_empty()).then(|| names.iter().map(object).collect())
}
