//! The resources of the cluster, read one by one or as lists. One that cannot be decoded does not hide the others.

use std::future::Future;
use std::sync::LazyLock;

use jiff::Timestamp;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Resource as _, ResourceExt as _};
use serde_json::Value;
use tabular_operator::api::{
    Condition, ConditionStatus, ConditionType, Kind, ModelRefresh, ModelResource, ModelSync, ResourceKey, Run, Status,
};
use tabular_operator::text::plain;

use crate::connect::Connection;
use crate::failure::{Cause, Failure, Request};
use crate::target::Target;

/// How many resources one request of a list returns.
const PAGE: u32 = 500;

/// The status of a resource that the operator has not observed.
static NO_STATUS: LazyLock<Status> = LazyLock::new(Status::default);

/// A resource as the API server returned it.
#[derive(Clone, Debug)]
pub struct Object {
    /// The parsed resource, with its complete metadata.
    pub resource: ModelResource,
    /// Its spec and its status, with the fields that this version of the plugin does not know.
    pub data: Value,
}

impl Object {
    /// Parses a resource.
    ///
    /// # Errors
    /// The key of the resource, and why its spec or status does not match the definition.
    pub fn parse(kind: Kind, object: DynamicObject) -> Result<Self, Undecodable> {
        let body = object.data.to_string();
        match ModelResource::assemble(kind, &object.metadata, body.as_bytes()) {
            Ok(resource) => Ok(Self { resource, data: object.data }),
            Err(cause) => {
                let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
                Err(Undecodable { key: ResourceKey { kind, namespace, name }, cause: plain(&cause).into_owned() })
            }
        }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> ResourceKey {
        self.resource.key()
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.resource.meta().namespace.as_deref().unwrap_or_default()
    }

    /// The name, with the kind in front of it for a sync, as every command accepts it.
    #[must_use]
    pub fn name(&self) -> String {
        Target { kind: self.resource.kind(), name: self.resource.name_any() }.to_string()
    }

    /// The status; an empty one if the operator has not observed the resource.
    #[must_use]
    pub fn status(&self) -> &Status {
        self.resource.status().unwrap_or(&NO_STATUS)
    }

    /// The latest run.
    #[must_use]
    pub fn run(&self) -> Option<&Run> {
        self.status().run.as_ref()
    }

    /// A condition.
    #[must_use]
    pub fn condition(&self, kind: ConditionType) -> Option<&Condition> {
        self.status().conditions.iter().find(|condition| condition.r#type == kind)
    }

    /// Whether a condition is True.
    #[must_use]
    pub fn is(&self, kind: ConditionType) -> bool {
        self.condition(kind).is_some_and(|condition| condition.status == ConditionStatus::True)
    }

    /// Whether `spec.suspend` is set.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.resource.is_suspended()
    }

    /// Whether it is being deleted.
    #[must_use]
    pub fn is_deleting(&self) -> bool {
        self.resource.meta().deletion_timestamp.is_some()
    }

    /// The uid.
    #[must_use]
    pub fn uid(&self) -> Option<&str> {
        self.resource.meta().uid.as_deref()
    }

    /// The `resourceVersion`, which grows with each change. A version that is not a number is never older than another.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.resource.meta().resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(u64::MAX)
    }

    /// The value of an annotation.
    #[must_use]
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.resource.meta().annotations.as_ref()?.get(name).map(String::as_str)
    }

    /// When it was created.
    #[must_use]
    pub fn created(&self) -> Option<Timestamp> {
        self.resource.meta().creation_timestamp.as_ref().map(|time| time.0)
    }

    /// The short name of the model, in one plain line; empty if it is not known.
    #[must_use]
    pub fn model(&self) -> String {
        let of_spec = || self.resource.model().map(tabular_operator::api::Model::display);
        plain(&self.status().model.clone().or_else(of_spec).unwrap_or_default()).into_owned()
    }

    /// The key of the model in the queue. It is that of the run if there is one, because its ids are known.
    #[must_use]
    pub fn model_key(&self) -> String {
        let model = self.run().map(|run| &run.model).or_else(|| self.resource.model());
        model.map(tabular_operator::api::Model::key).unwrap_or_default()
    }
}

/// A resource that this version cannot decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecodable {
    /// The resource.
    pub key: ResourceKey,
    /// Why.
    pub cause: String,
}

impl Undecodable {
    /// What a command prints about it, in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let ResourceKey { kind, namespace, name } = &self.key;
        format!("{} {namespace}/{name} cannot be read: {}; this plugin may be older than the operator", kind.as_str(), self.cause)
    }

    /// The warning of a command that continues without it.
    #[must_use]
    pub fn warning(&self) -> String {
        format!("warning: {}", self.sentence())
    }

    /// The error of a command that needs it.
    #[must_use]
    pub fn failure(&self) -> Failure {
        Failure::new(self.sentence())
    }
}

/// The result of a list.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// The resources, by namespace, kind and name.
    pub objects: Vec<Object>,
    /// Those that cannot be decoded.
    pub undecodable: Vec<Undecodable>,
}

/// Which resources a list has.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The namespace; `None` for all.
    pub namespace: Option<String>,
    /// A label selector.
    pub selector: Option<String>,
}

/// The description of a kind for the client.
#[must_use]
pub fn api_resource(kind: Kind) -> ApiResource {
    match kind {
        Kind::ModelRefresh => ApiResource::erase::<ModelRefresh>(&()),
        Kind::ModelSync => ApiResource::erase::<ModelSync>(&()),
    }
}

impl Connection {
    /// The API of a kind in a namespace, or in all.
    #[must_use]
    pub fn api(&self, kind: Kind, namespace: Option<&str>) -> Api<DynamicObject> {
        let resource = api_resource(kind);
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// Waits for a request, for at most the timeout of one.
    ///
    /// # Errors
    /// What the error of the client or the timeout means.
    pub async fn call<T>(&self, request: Request<'_>, call: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
        let result = match self.timeout {
            Some(timeout) => tokio::time::timeout(timeout, call).await.map_err(|_| request.timed_out(timeout))?,
            None => call.await,
        };
        result.map_err(|error| request.failed(&error))
    }

    /// Reads a resource of the connection's namespace.
    ///
    /// # Errors
    /// If it cannot be read or decoded.
    pub async fn get(&self, target: &Target) -> Result<Object, Failure> {
        let request = Request::new("get", target.kind, Some(&self.namespace), Some(&target.name));
        let object = self.call(request, self.api(target.kind, Some(&self.namespace)).get(&target.name)).await?;
        Object::parse(target.kind, object).map_err(|undecodable| undecodable.failure())
    }

    /// Lists the resources of both kinds.
    ///
    /// # Errors
    /// If one of the kinds cannot be listed.
    pub async fn list(&self, scope: &Scope) -> Result<Listed, Failure> {
        let mut listed = Listed::default();
        for kind in Kind::ALL {
            let namespace = scope.namespace.as_deref();
            let (api, request) = (self.api(*kind, namespace), Request::new("list", *kind, namespace, None));
            let mut page = ListParams { label_selector: scope.selector.clone(), limit: Some(PAGE), ..ListParams::default() };
            loop {
                let found = self.call(request, api.list(&page)).await?;
                for object in found.items {
                    match Object::parse(*kind, object) {
                        Ok(object) => listed.objects.push(object),
                        Err(undecodable) => listed.undecodable.push(undecodable),
                    }
                }
                page.continue_token = found.metadata.continue_.filter(|token| !token.is_empty());
                if page.continue_token.is_none() {
                    break;
                }
            }
        }
        listed.objects.sort_by_key(|object| {
            let ResourceKey { kind, namespace, name } = object.key();
            (namespace, kind, name)
        });
        Ok(listed)
    }

    /// Lists the resources of all namespaces, or of the connection's namespace if that is all the user may list. Also returns whether all
    /// namespaces are included.
    ///
    /// # Errors
    /// If not even one namespace can be listed.
    pub async fn list_widely(&self) -> Result<(Listed, bool), Failure> {
        match self.list(&Scope::default()).await {
            Ok(listed) => Ok((listed, true)),
            Err(failure) if failure.cause == Cause::Forbidden => {
                let scope = Scope { namespace: Some(self.namespace.clone()), selector: None };
                Ok((self.list(&scope).await?, false))
            }
            Err(failure) => Err(failure),
        }
    }
}
