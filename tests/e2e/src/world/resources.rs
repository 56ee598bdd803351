//! The resources and the Secret of a world.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::{SECRET, TENANT, World};
use crate::rbac::make;
use crate::read::merged;
use crate::{AnyObject, DEADLINE, Kind};

impl World {
    /// The Secret's API.
    #[must_use]
    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates or changes the Secret of the application.
    pub async fn put_secret(&self, secret: &str) {
        self.put_secret_keys(json!({"tenantId": TENANT, "clientId": self.client_id, "clientSecret": secret})).await;
    }

    /// Creates the Secret with only these keys.
    pub async fn put_secret_keys(&self, keys: Value) {
        let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": keys});
        let _ = self.secrets().delete(SECRET, &DeleteParams::default()).await;
        make(&self.secrets(), object).await;
    }

    /// Creates the identity of another tenant: an application, and a Secret with this name. Returns the part of a spec that uses it.
    pub async fn put_identity(&self, secret: &str, client_id: &str) -> Value {
        self.azure.put_application(TENANT, client_id, "right").await;
        let keys = json!({"tenantId": TENANT, "clientId": client_id, "clientSecret": "right"});
        make(&self.secrets(), json!({"metadata": {"name": secret}, "stringData": keys})).await;
        json!({"credentials": {"servicePrincipalRef": {"name": secret}}})
    }

    /// The API of a kind, as the administrator.
    #[must_use]
    pub fn api(&self, kind: Kind) -> Api<AnyObject> {
        kind.api(&self.client, &self.namespace)
    }

    /// A manifest: the default one of the kind with `spec` merged into its spec. Here and below, resources have the names of
    /// [`Kind::of`].
    #[must_use]
    pub fn manifest(&self, named: &str, spec: &Value) -> Value {
        let (kind, name) = Kind::of(named);
        let mut usual = json!({
            "model": {"analysisServices": {"server": self.server, "database": self.database}},
            "credentials": {"servicePrincipalRef": {"name": SECRET}},
        });
        if kind == Kind::Refresh {
            usual["refresh"] = json!({"type": "full"});
        }
        json!({
            "apiVersion": Kind::api_version(),
            "kind": kind.name(),
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": merged(&usual, spec),
        })
    }

    /// Applies the default manifest with `spec` merged into its spec.
    pub async fn apply(&self, named: &str, spec: &Value) -> AnyObject {
        let (kind, name) = Kind::of(named);
        let apply = PatchParams::apply("test").force();
        let applied = self.api(kind).patch(name, &apply, &Patch::Apply(self.manifest(named, spec))).await;
        self.recorded(named, applied.unwrap_or_else(|error| panic!("failed to apply {named}: {error}"))).await
    }

    /// Changes a resource by a merge patch.
    pub async fn edit(&self, named: &str, patch: &Value) -> AnyObject {
        let (kind, name) = Kind::of(named);
        let edited = self.api(kind).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        self.recorded(named, edited.unwrap_or_else(|error| panic!("failed to edit {named}: {error}"))).await
    }

    /// Waits until the recorder shows the object that a request returned, so that no later wait matches an earlier version.
    async fn recorded(&self, named: &str, object: AnyObject) -> AnyObject {
        let number = |version: Option<&String>| version.and_then(|version| version.parse::<u64>().ok()).unwrap_or_default();
        let wanted = number(object.metadata.resource_version.as_ref());
        let shown = self.recorder.wait(named, |shown| (number(shown.object.metadata.resource_version.as_ref()) >= wanted).then_some(()));
        tokio::time::timeout(DEADLINE, shown).await.unwrap_or_else(|_| panic!("the recorder does not show {named}"));
        object
    }

    /// Sets or removes an annotation of the operator.
    pub async fn annotate(&self, name: &str, annotation: &str, value: Option<&str>) {
        self.edit(name, &json!({"metadata": {"annotations": {annotation: value}}})).await;
    }

    /// Requests the deletion of a resource, without waiting.
    pub async fn delete(&self, named: &str) {
        let (kind, name) = Kind::of(named);
        self.api(kind).delete(name, &DeleteParams::default()).await.expect("failed to delete");
    }

    /// The reasons and notes of the events of a resource.
    pub async fn events(&self, named: &str) -> Vec<String> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let events = api.list(&ListParams::default()).await.expect("failed to list events");
        let (kind, name) = Kind::of(named);
        let ours = events.items.into_iter().filter(|event| {
            let regarding = event.regarding.as_ref();
            regarding.is_some_and(|about| about.name.as_deref() == Some(name) && about.kind == Some(kind.name()))
        });
        let notes = ours.map(|event| format!("{}: {}", event.reason.unwrap_or_default(), event.note.unwrap_or_default()));
        notes.collect()
    }
}
