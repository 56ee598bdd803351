//! The part of an object's metadata that the operator keeps.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::annotations::{ANNOTATIONS, FINALIZER};

/// Maximum size of the finalizers that the operator keeps, in bytes. Kubernetes limits them only by the size of the object, and the operator
/// needs only its own.
const MAX_FINALIZER_BYTES: usize = 4 * 1024;
/// Replaces the finalizers of other controllers if they exceed the limit. No finalizer has this name.
pub const MORE_FINALIZERS: &str = "…";

/// Maximum size of an annotation value or `trigger.token` that is kept unchanged, in bytes.
pub const MAX_VALUE_BYTES: usize = 256;

/// The part of an object's metadata that the operator reads. The rest, often half of it, is skipped without using memory; writes of the
/// status do not change it. Only the annotations in [`ANNOTATIONS`] are kept: all annotations together may have 256 KiB, for example with the
/// manifest that `kubectl apply` adds.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    finalizers: Option<Vec<String>>,
    annotations: Option<BTreeMap<String, String>>,
}

impl From<Metadata> for ObjectMeta {
    fn from(read: Metadata) -> Self {
        let ours = |(key, value): (String, String)| ANNOTATIONS.contains(&&*key).then(|| (key, annotation_value(value)));
        let annotations = read.annotations.map(|all| all.into_iter().filter_map(ours).collect());
        Self {
            name: read.name,
            namespace: read.namespace,
            uid: read.uid,
            resource_version: read.resource_version,
            generation: read.generation,
            creation_timestamp: read.creation_timestamp,
            deletion_timestamp: read.deletion_timestamp,
            finalizers: read.finalizers.map(bounded),
            annotations,
            ..Self::default()
        }
    }
}

/// The finalizers that are kept.
fn bounded(finalizers: Vec<String>) -> Vec<String> {
    if finalizers.iter().map(|name| name.len() + size_of::<String>()).sum::<usize>() <= MAX_FINALIZER_BYTES {
        return finalizers;
    }
    let own = finalizers.into_iter().find(|name| name == FINALIZER);
    own.into_iter().chain([MORE_FINALIZERS.to_owned()]).collect()
}

/// The annotation value that is kept: the value itself, or its [`value_digest`] if it has more than [`MAX_VALUE_BYTES`].
fn annotation_value(value: String) -> String {
    if value.len() <= MAX_VALUE_BYTES { value } else { value_digest(&value) }
}

/// Replaces a value of which only changes matter, as `sha256:` and 64 hexadecimal digits.
#[must_use]
pub fn value_digest(value: &str) -> String {
    Sha256::digest(value.as_bytes()).iter().fold("sha256:".to_owned(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_finalizers_of_others_are_not_kept() {
        let kept = |finalizers: Vec<String>| {
            let read: Metadata = serde_json::from_value(serde_json::json!({"finalizers": finalizers})).unwrap();
            ObjectMeta::from(read).finalizers.unwrap()
        };
        let others: Vec<String> = (0..4_000).map(|n| format!("other.example/{n:0200}")).collect();
        assert_eq!(kept(others.clone()), [MORE_FINALIZERS]);
        assert_eq!(kept([&*others, &[FINALIZER.to_owned()]].concat()), [FINALIZER, MORE_FINALIZERS]);
        let few = vec!["foregroundDeletion".to_owned(), FINALIZER.to_owned()];
        assert_eq!(kept(few.clone()), few);
    }
}
