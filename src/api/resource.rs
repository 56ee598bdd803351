//! A resource of either kind. Code for both kinds uses this type, which hides their differences.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicResourceScope;
use kube::{Resource as _, ResourceExt};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::annotations::has_finalizer;
use super::credentials::Credentials;
use super::key::ResourceKey;
use super::kind::Kind;
use super::metadata::Metadata;
use super::model::Model;
use super::model_refresh::ModelRefresh;
use super::model_sync::ModelSync;
use super::status::Status;
use super::trigger::TriggerSpec;

/// A resource of either kind, in the format of the Kubernetes API.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelResource {
    /// A refresh.
    ModelRefresh(ModelRefresh),
    /// A sync.
    ModelSync(ModelSync),
}

impl ModelResource {
    /// Creates a resource of a known kind from its metadata and its [`Self::body`].
    ///
    /// # Errors
    /// If the body does not match the definition of the kind.
    pub fn assemble(kind: Kind, metadata: &ObjectMeta, body: &[u8]) -> Result<Self, String> {
        let metadata = metadata.clone();
        match kind {
            Kind::ModelRefresh => {
                let Body { spec, status } = Body::read(body)?;
                Ok(Self::ModelRefresh(ModelRefresh { metadata, spec, status }))
            }
            Kind::ModelSync => {
                let Body { spec, status } = Body::read(body)?;
                Ok(Self::ModelSync(ModelSync { metadata, spec, status }))
            }
        }
    }

    /// The spec and the status as JSON.
    ///
    /// # Errors
    /// If a value cannot be serialized as JSON.
    pub fn body(&self) -> Result<Vec<u8>, serde_json::Error> {
        match self {
            Self::ModelRefresh(ModelRefresh { metadata: _, spec, status }) => serde_json::to_vec(&Body { spec, status: status.as_ref() }),
            Self::ModelSync(ModelSync { metadata: _, spec, status }) => serde_json::to_vec(&Body { spec, status: status.as_ref() }),
        }
    }

    /// The kind of the resource.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::ModelRefresh(_) => Kind::ModelRefresh,
            Self::ModelSync(_) => Kind::ModelSync,
        }
    }

    /// The key of the resource.
    #[must_use]
    pub fn key(&self) -> ResourceKey {
        ResourceKey { kind: self.kind(), namespace: self.namespace().unwrap_or_default(), name: self.name_any() }
    }

    /// The model in its own spec.
    #[must_use]
    pub fn model(&self) -> Option<&Model> {
        match self {
            Self::ModelRefresh(refresh) => Some(&refresh.spec.model),
            Self::ModelSync(sync) => sync.spec.model.as_ref(),
        }
    }

    /// The credentials in its own spec.
    #[must_use]
    pub fn credentials(&self) -> Option<&Credentials> {
        match self {
            Self::ModelRefresh(refresh) => refresh.spec.credentials.as_ref(),
            Self::ModelSync(sync) => sync.spec.credentials.as_ref(),
        }
    }

    /// The triggers of its runs.
    #[must_use]
    pub fn trigger(&self) -> Option<&TriggerSpec> {
        match self {
            Self::ModelRefresh(refresh) => refresh.spec.trigger.as_ref(),
            Self::ModelSync(sync) => sync.spec.trigger.as_ref(),
        }
    }

    /// The name of its upstream refresh.
    #[must_use]
    pub fn upstream_name(&self) -> Option<&str> {
        self.trigger()?.after_refresh.as_ref().map(|upstream| upstream.name.as_str())
    }

    /// Whether its spec suspends new runs.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        match self {
            Self::ModelRefresh(refresh) => refresh.spec.suspend,
            Self::ModelSync(sync) => sync.spec.suspend,
        }
    }

    /// Whether it is being deleted without the operator's finalizer. Only the finalizer of another controller keeps it.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.meta().deletion_timestamp.is_some() && !has_finalizer(self.meta())
    }

    /// The status of the resource.
    #[must_use]
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::ModelRefresh(refresh) => refresh.status.as_ref(),
            Self::ModelSync(sync) => sync.status.as_ref(),
        }
    }

    /// The same resource with another status.
    #[must_use]
    pub fn with_status(&self, status: &Status) -> Self {
        let mut changed = self.clone();
        match &mut changed {
            Self::ModelRefresh(refresh) => refresh.status = Some(status.clone()),
            Self::ModelSync(sync) => sync.status = Some(status.clone()),
        }
        changed
    }
}

/// A resource without its identifying metadata.
#[derive(Deserialize, Serialize)]
struct Body<Spec, Status> {
    spec: Spec,
    status: Option<Status>,
}

impl<Spec: DeserializeOwned> Body<Spec, Status> {
    fn read(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|error| {
            // A position in this JSON would not help a user, and a value has no positions.
            let value = serde_json::from_slice::<Value>(body).and_then(serde_json::from_value::<Self>);
            value.err().unwrap_or(error).to_string()
        })
    }
}

impl<'de> Deserialize<'de> for ModelResource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Spec and status are parsed after the kind is known. Each write returns such an object, so unused metadata is not parsed.
        #[derive(Deserialize)]
        struct RawResource {
            kind: String,
            #[serde(default)]
            metadata: Metadata,
            #[serde(default)]
            spec: Value,
            #[serde(default)]
            status: Value,
        }
        let RawResource { kind, metadata, spec, status } = RawResource::deserialize(deserializer)?;
        let metadata = metadata.into();
        let kind = Kind::ALL.iter().find(|known| known.as_str() == kind).ok_or_else(|| D::Error::custom(format!("unknown kind {kind}")))?;
        Ok(match kind {
            Kind::ModelRefresh => Self::ModelRefresh(ModelRefresh { metadata, spec: part(spec)?, status: part(status)? }),
            Kind::ModelSync => Self::ModelSync(ModelSync { metadata, spec: part(spec)?, status: part(status)? }),
        })
    }
}

fn part<T: DeserializeOwned, E: serde::de::Error>(value: Value) -> Result<T, E> {
    serde_json::from_value(value).map_err(E::custom)
}

impl Serialize for ModelResource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Each type serializes its own `kind`.
        match self {
            Self::ModelRefresh(refresh) => refresh.serialize(serializer),
            Self::ModelSync(sync) => sync.serialize(serializer),
        }
    }
}

impl kube::Resource for ModelResource {
    type DynamicType = Kind;
    type Scope = DynamicResourceScope;

    fn kind(kind: &Kind) -> Cow<'_, str> {
        kind.as_str().into()
    }

    fn group(_: &Kind) -> Cow<'_, str> {
        ModelRefresh::group(&())
    }

    fn version(_: &Kind) -> Cow<'_, str> {
        ModelRefresh::version(&())
    }

    fn plural(kind: &Kind) -> Cow<'_, str> {
        match kind {
            Kind::ModelRefresh => ModelRefresh::plural(&()),
            Kind::ModelSync => ModelSync::plural(&()),
        }
    }

    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::ModelRefresh(refresh) => &refresh.metadata,
            Self::ModelSync(sync) => &sync.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::ModelRefresh(refresh) => &mut refresh.metadata,
            Self::ModelSync(sync) => &mut sync.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_is_unchanged_by_a_round_trip() {
        let model = serde_json::json!({"analysisServices": {"server": "asazure://w.asazure.windows.net/s", "database": "d"}});
        for (kind, definition) in [(Kind::ModelRefresh, ModelRefresh::kind(&())), (Kind::ModelSync, ModelSync::kind(&()))] {
            assert_eq!(kind.as_str(), definition);
            let written = serde_json::json!({
                "apiVersion": "tabular-operator.dev/v1alpha1",
                "kind": definition,
                "metadata": {"name": "a", "namespace": "bi"},
                "spec": {"model": model, "trigger": {"afterRefresh": {"name": "b"}}},
            });
            let resource: ModelResource = serde_json::from_value(written).unwrap();
            assert_eq!(resource.kind(), kind);
            assert_eq!(resource.upstream_name(), Some("b"));
            let again = serde_json::to_vec(&resource).unwrap();
            assert_eq!(serde_json::from_slice::<ModelResource>(&again).unwrap(), resource);
            assert_eq!(ModelResource::assemble(kind, resource.meta(), &resource.body().unwrap()).unwrap(), resource);
        }
    }
}
