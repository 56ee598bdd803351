//! A resource from the watch, without the fields that the operator does not read. One that cannot be decoded does not block the others.

use std::borrow::Cow;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource as _;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::api::{Kind, Metadata, ModelResource};

/// A resource in the cache. Its spec and status are kept as JSON, whether they can be decoded or not. JSON takes a third of the memory of
/// the decoded form.
#[derive(Clone, Debug)]
pub(crate) struct CachedResource {
    metadata: ObjectMeta,
    /// `{"spec": …, "status": …}`
    body: Arc<[u8]>,
}

#[cfg(test)]
thread_local! {
    /// How many resources this thread has decoded.
    pub(crate) static DECODED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl CachedResource {
    /// Encodes a resource for the cache.
    ///
    /// # Errors
    /// If it cannot be encoded as JSON, which never happens to a decoded one.
    pub(crate) fn of(object: &ModelResource) -> Result<Self, serde_json::Error> {
        Ok(Self { metadata: object.meta().clone(), body: object.body()?.into() })
    }

    /// Shares the content of the cached resource if both are the same version, so that it is in memory once.
    pub(crate) fn reuse(&mut self, cached: &Self) {
        if cached.metadata.uid == self.metadata.uid && cached.metadata.resource_version == self.metadata.resource_version {
            self.body = Arc::clone(&cached.body);
        }
    }

    /// The resource, of the kind that is watched.
    ///
    /// # Errors
    /// Why it cannot be decoded: another version of the CRD wrote it.
    pub(crate) fn object(&self, kind: Kind) -> Result<Arc<ModelResource>, String> {
        #[cfg(test)]
        DECODED.with(|count| count.set(count.get() + 1));
        ModelResource::assemble(kind, &self.metadata, &self.body).map(Arc::new)
    }

    /// The operation that its status names, even if the rest cannot be decoded.
    pub(crate) fn operation(&self) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        Some(body.pointer("/status/run/operationId")?.as_str()?.chars().filter(char::is_ascii_graphic).take(64).collect())
    }
}

impl<'de> Deserialize<'de> for CachedResource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize, Serialize)]
        struct RawResource {
            #[serde(skip_serializing)]
            metadata: Metadata,
            #[serde(default)]
            spec: Value,
            #[serde(default)]
            status: Value,
        }
        let raw = RawResource::deserialize(deserializer)?;
        let body = serde_json::to_vec(&raw).map_err(D::Error::custom)?;
        Ok(Self { metadata: raw.metadata.into(), body: body.into() })
    }
}

impl kube::Resource for CachedResource {
    type DynamicType = Kind;
    type Scope = <ModelResource as kube::Resource>::Scope;

    fn kind(kind: &Kind) -> Cow<'_, str> {
        <ModelResource as kube::Resource>::kind(kind)
    }

    fn group(kind: &Kind) -> Cow<'_, str> {
        <ModelResource as kube::Resource>::group(kind)
    }

    fn version(kind: &Kind) -> Cow<'_, str> {
        <ModelResource as kube::Resource>::version(kind)
    }

    fn plural(kind: &Kind) -> Cow<'_, str> {
        <ModelResource as kube::Resource>::plural(kind)
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
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": "{}", "team": "bi", "tabular-operator.dev/adopt": "op-1",
                    "tabular-operator.dev/run-requested-at": "x".repeat(200_000), "tabular-operator.dev/x0001": "x",
                },
            },
            "spec": spec,
        })
    }

    #[test]
    fn unread_fields_are_omitted() {
        let spec = serde_json::json!({"model": {"analysisServices": {"server": "asazure://w.asazure.windows.net/s", "database": "d"}}});
        let cached: CachedResource = serde_json::from_value(object(&spec)).unwrap();
        let metadata = cached.meta();
        assert_eq!(metadata.managed_fields, None);
        let annotations = metadata.annotations.clone().unwrap();
        assert_eq!(annotations["tabular-operator.dev/adopt"], "op-1");
        assert!(annotations["tabular-operator.dev/run-requested-at"].starts_with("sha256:"));
        assert_eq!(annotations.len(), 2);
        let object = cached.object(Kind::ModelRefresh).unwrap();
        assert_eq!(object.model().unwrap().display(), "s/d");
        assert_eq!(object.meta(), metadata);
    }

    #[test]
    fn undecodable_resource_keeps_its_name() {
        let cached: CachedResource = serde_json::from_value(object(&serde_json::json!({"model": 5}))).unwrap();
        assert_eq!(cached.meta().name.as_deref(), Some("a"));
        assert!(cached.object(Kind::ModelRefresh).unwrap_err().contains("invalid type"));
    }
}
