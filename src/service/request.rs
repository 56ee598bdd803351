//! What the bodies of `POST refreshes` have in common, whichever service they are for.

use serde_json::{Value, json};

use crate::operation::ObjectName;

/// The parameters that are asked for; the rest is left to the service's own default.
pub(super) fn parameters<const N: usize>(all: [(&str, Option<Value>); N]) -> Value {
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<serde_json::Map<_, _>>().into()
}

/// The objects to refresh; none for the whole model. Both documentations spell them alike.
pub(super) fn objects_of(names: &[ObjectName]) -> Option<Value> {
    let object = |ObjectName { table, partition }: &ObjectName| match partition {
        Some(partition) => json!({"table": table, "partition": partition}),
        None => json!({"table": table}),
    };
    (!names.is_empty()).then(|| names.iter().map(object).collect())
}
