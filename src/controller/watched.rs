//! A resource as the watch gives it, without what nobody here reads; one that cannot be decoded does not stop the others.

use std::borrow::Cow;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource as _;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::resource::Resource;
use crate::telemetry::labels::Kind;

/// What `kubectl apply` leaves on an object: the whole manifest once more.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A resource in the cache, or why it is none. The object is kept as it is written, in JSON: a third of what it takes up when
/// it is taken apart, for the time that it lies in the cache, which is nearly all of its time.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    metadata: ObjectMeta,
    written: Result<Arc<[u8]>, Arc<str>>,
}

impl Watched {
    /// The resource, of the kind that is watched.
    ///
    /// # Errors
    /// Why it cannot be decoded: it was written by another version of the definition.
    pub(super) fn object(&self, kind: Kind) -> Result<Arc<Resource>, String> {
        let written = self.written.as_ref().map_err(ToString::to_string)?;
        Resource::decode(kind, written).map(Arc::new).map_err(|error| error.to_string())
    }
}

/// Takes off what nobody here reads and what makes up half of an object. A write of the status leaves all of it as it is.
pub(super) fn slim(mut object: Resource) -> Arc<Resource> {
    slim_metadata(object.meta_mut());
    Arc::new(object)
}

fn slim_metadata(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

impl<'de> Deserialize<'de> for Watched {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Named {
            metadata: ObjectMeta,
        }
        let value = Value::deserialize(deserializer)?;
        match Resource::deserialize(&value) {
            Ok(object) => {
                let object = slim(object);
                let written = serde_json::to_vec(&*object).map_err(D::Error::custom)?;
                Ok(Self { metadata: object.meta().clone(), written: Ok(written.into()) })
            }
            Err(error) => {
                let mut metadata = Named::deserialize(&value).map_err(D::Error::custom)?.metadata;
                slim_metadata(&mut metadata);
                Ok(Self { metadata, written: Err(error.to_string().into()) })
            }
        }
    }
}

impl kube::Resource for Watched {
    type DynamicType = Kind;
    type Scope = <Resource as kube::Resource>::Scope;

    fn kind(kind: &Kind) -> Cow<'_, str> {
        <Resource as kube::Resource>::kind(kind)
    }

    fn group(kind: &Kind) -> Cow<'_, str> {
        <Resource as kube::Resource>::group(kind)
    }

    fn version(kind: &Kind) -> Cow<'_, str> {
        <Resource as kube::Resource>::version(kind)
    }

    fn plural(kind: &Kind) -> Cow<'_, str> {
        <Resource as kube::Resource>::plural(kind)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(spec: &Value) -> Value {
        serde_json::json!({
            "apiVersion": "tabular-operator.dev/v1alpha1",
            "kind": "ModelRefresh",
            "metadata": {
                "name": "a", "namespace": "bi", "managedFields": [{"manager": "kubectl"}],
                "annotations": {LAST_APPLIED: "{}", "team": "bi"},
            },
            "spec": spec,
        })
    }

    #[test]
    fn what_nobody_reads_is_left_out() {
        let spec = serde_json::json!({"model": {"analysisServices": {"server": "asazure://w.asazure.windows.net/s", "database": "d"}}});
        let watched: Watched = serde_json::from_value(object(&spec)).unwrap();
        let metadata = watched.meta();
        assert_eq!(metadata.managed_fields, None);
        assert_eq!(metadata.annotations.clone().unwrap().into_keys().collect::<Vec<_>>(), ["team"]);
        let object = watched.object(Kind::ModelRefresh).unwrap();
        assert_eq!(object.model().unwrap().display(), "s/d");
        assert_eq!(object.meta(), metadata);
    }

    #[test]
    fn one_that_cannot_be_decoded_keeps_its_name() {
        let watched: Watched = serde_json::from_value(object(&serde_json::json!({"model": 5}))).unwrap();
        assert_eq!(watched.meta().name.as_deref(), Some("a"));
        assert!(watched.object(Kind::ModelRefresh).unwrap_err().contains("invalid type"));
    }
}
