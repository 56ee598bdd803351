//! The Kubernetes API: installs the operator's requirements, creates its token, and removes everything from a user's cluster.

use std::path::{Path, PathBuf};
use std::time::Duration;

use e2e::environment::served;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Config, Resource};
use serde_json::{Value, json};
use tabular_operator::api::{ModelRefresh, ModelSync};

use crate::Outcome;
use crate::manifests::{self, text};

const DEFINITIONS: [&str; 2] = ["modelrefreshes", "modelsyncs"];
/// The namespace of the operator in `deploy/base`.
const SYSTEM: &str = "tabular-system";
const ACCOUNT: &str = "tabular-operator";
/// Timeout of a step at the API server.
const STEP: Duration = Duration::from_secs(30);
/// Timeout of a namespace's deletion.
const GONE: Duration = Duration::from_mins(1);

/// A Kubernetes API, and the objects installed into it.
pub struct Cluster {
    client: Client,
    kubeconfig: Kubeconfig,
    context: Option<String>,
    /// The operator's namespace.
    pub system: String,
    /// The samples' namespace.
    pub namespace: String,
    /// Distinguishes the demo's cluster-wide names from others.
    suffix: String,
    installed: Vec<(ApiResource, String)>,
    /// The definitions that were already installed.
    pub found_definitions: Vec<&'static str>,
}

impl Cluster {
    /// The local control plane.
    pub async fn local(kubeconfig: &Path) -> Outcome<Self> {
        let read = Kubeconfig::read_from(kubeconfig).map_err(|error| format!("failed to read the kubeconfig: {error}"))?;
        Self::connect(read, None, SYSTEM.to_owned(), "bi".to_owned(), String::new()).await
    }

    /// A context of the user's kubeconfig, with the demo's own namespaces.
    pub async fn of_context(context: &str) -> Outcome<Self> {
        let read = Kubeconfig::read().map_err(|error| format!("failed to read your kubeconfig: {error}"))?;
        if !read.contexts.iter().any(|named| named.name == context) {
            let names: Vec<&str> = read.contexts.iter().map(|named| named.name.as_str()).collect();
            return Err(format!("your kubeconfig has no context '{context}'; it has: {}", names.join(", ")));
        }
        let own = format!("tabular-demo-{:x}", std::process::id());
        let cluster = Self::connect(read, Some(context.to_owned()), format!("{own}-system"), own.clone(), format!("-{own}")).await?;
        cluster.refuse_another_operator().await?;
        Ok(cluster)
    }

    async fn connect(kubeconfig: Kubeconfig, context: Option<String>, system: String, namespace: String, suffix: String) -> Outcome<Self> {
        let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
        let made = Config::from_custom_kubeconfig(kubeconfig.clone(), &options).await;
        let mut config = made.map_err(|error| format!("failed to read the kubeconfig: {error}"))?;
        if context.is_none() {
            // It is on loopback, regardless of this machine's proxy.
            config.proxy_url = None;
        }
        let client = Client::try_from(config).map_err(|error| format!("failed to set up the Kubernetes client: {error}"))?;
        Ok(Self { client, kubeconfig, context, system, namespace, suffix, installed: Vec::new(), found_definitions: Vec::new() })
    }

    /// Two operators would act on the demo's resources, one of them on the real Azure.
    async fn refuse_another_operator(&self) -> Outcome<()> {
        let leases: Api<Lease> = Api::all(self.client.clone());
        let found = leases.list(&ListParams::default().fields(&format!("metadata.name={ACCOUNT}"))).await;
        let found = found.map_err(|error| format!("failed to list the Leases of the cluster: {error}"))?;
        let held = found
            .items
            .iter()
            .find(|lease| lease.spec.as_ref().is_some_and(|spec| spec.holder_identity.as_deref().is_some_and(|holder| !holder.is_empty())));
        held.map_or(Ok(()), |lease| {
            let namespace = lease.metadata.namespace.as_deref().unwrap_or_default();
            Err(format!("an operator already runs in the cluster (Lease {namespace}/{ACCOUNT}): stop it, or omit CONTEXT"))
        })
    }

    /// The API of a kind in the samples' namespace.
    pub fn namespaced<K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Installs the definitions, the namespaces, and the operator's account with its permissions.
    pub async fn install(&mut self) -> Outcome<()> {
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        for plural in DEFINITIONS {
            let name = format!("{plural}.tabular-operator.dev");
            let found = definitions.get_opt(&name).await.map_err(|error| format!("failed to reach the Kubernetes API: {error}"))?;
            if found.is_some() {
                self.found_definitions.push(plural);
                continue;
            }
            for document in manifests::read(&format!("crds/{plural}.yaml")) {
                self.apply(document).await?;
            }
            served(&definitions, &name).await;
        }
        for name in [self.system.clone(), self.namespace.clone()] {
            self.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await?;
        }
        for document in manifests::read("deploy/base/rbac.yaml") {
            self.apply(document).await?;
        }
        Ok(())
    }

    /// Applies a manifest in the demo's namespace for it.
    pub async fn apply(&mut self, document: Value) -> Outcome<()> {
        let mut document = document;
        self.place(&mut document);
        let (kind, name) = (text(&document, "/kind").to_owned(), text(&document, "/metadata/name").to_owned());
        let resource = resource_of(&kind).ok_or_else(|| format!("a manifest of the unknown kind {kind}"))?;
        let api: Api<DynamicObject> = match document.pointer("/metadata/namespace").and_then(Value::as_str) {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        if document.pointer("/metadata/namespace").is_none() {
            // Recorded before it exists, so that an interrupted demo removes it too.
            self.installed.push((resource.clone(), name.clone()));
        }
        let applied = api.patch(&name, &PatchParams::apply("tabular-demo"), &Patch::Apply(&document)).await;
        applied.map(drop).map_err(|error| format!("failed to apply {kind} {name}: {error}"))
    }

    /// Sets the demo's namespaces, and unique names of cluster-wide roles in a shared cluster.
    fn place(&self, document: &mut Value) {
        let kind = text(document, "/kind").to_owned();
        match kind.as_str() {
            "Namespace" | "CustomResourceDefinition" => {}
            "ClusterRole" | "ClusterRoleBinding" => {
                document["metadata"]["name"] = json!(format!("{}{}", text(document, "/metadata/name"), self.suffix));
            }
            _ => {
                let in_system = text(document, "/metadata/namespace") == SYSTEM;
                document["metadata"]["namespace"] = json!(if in_system { &self.system } else { &self.namespace });
            }
        }
        if text(document, "/roleRef/kind") == "ClusterRole" {
            document["roleRef"]["name"] = json!(format!("{}{}", text(document, "/roleRef/name"), self.suffix));
        }
        for subject in document.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
            subject["namespace"] = json!(self.system);
        }
    }

    /// Writes a kubeconfig with which the operator acts as its `ServiceAccount` only.
    pub async fn write_operator_kubeconfig(&self, path: PathBuf) -> Outcome<PathBuf> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.system);
        let request = TokenRequest {
            spec: TokenRequestSpec { expiration_seconds: Some(86_400), ..TokenRequestSpec::default() },
            ..TokenRequest::default()
        };
        let response = accounts.create_token_request(ACCOUNT, &PostParams::default(), &request).await;
        let response = response.map_err(|error| format!("failed to request the operator's token: {error}"))?;
        let token = response.status.ok_or("the response contains no token for the operator's ServiceAccount")?.token;
        let context = self.context.as_ref().or(self.kubeconfig.current_context.as_ref());
        let context = self.kubeconfig.contexts.iter().find(|named| Some(&named.name) == context).and_then(|named| named.context.as_ref());
        let cluster = context.and_then(|context| self.kubeconfig.clusters.iter().find(|named| named.name == context.cluster));
        let cluster = cluster.ok_or("the kubeconfig's context names no cluster")?;
        let written = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "operator",
            "clusters": [cluster],
            "users": [{"name": "operator", "user": {"token": token}}],
            "contexts": [{"name": "operator", "context": {"cluster": cluster.name, "user": "operator", "namespace": self.system}}],
        });
        std::fs::write(&path, written.to_string()).map_err(|error| format!("failed to write {}: {error}", path.display()))?;
        Ok(path)
    }

    /// Removes all installed objects while the operator still runs, so that it removes its finalizers.
    pub async fn remove_resources(&self) -> Outcome<()> {
        for resource in [ApiResource::erase::<ModelSync>(&()), ApiResource::erase::<ModelRefresh>(&())] {
            self.remove_all_of(&resource).await?;
        }
        Ok(())
    }

    async fn remove_all_of(&self, resource: &ApiResource) -> Outcome<()> {
        let resources: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, resource);
        let failed = |error| format!("failed to remove the resources: {error}");
        if let Err(error) = resources.delete_collection(&DeleteParams::default(), &ListParams::default()).await {
            // The definition may not exist yet.
            return if is_missing(&error) { Ok(()) } else { Err(failed(error)) };
        }
        let began = std::time::Instant::now();
        loop {
            let left = resources.list(&ListParams::default()).await.map_err(failed)?.items;
            if left.is_empty() {
                return Ok(());
            }
            if began.elapsed() > STEP {
                for name in left.iter().filter_map(|object| object.metadata.name.as_deref()) {
                    let patch = Patch::Merge(json!({"metadata": {"finalizers": []}}));
                    resources.patch(name, &PatchParams::default(), &patch).await.map_err(failed)?;
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Removes the remaining objects: the namespaces, the roles, and the definitions installed here.
    pub async fn remove_all(&self) -> Outcome<()> {
        for (resource, name) in self.installed.iter().rev() {
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), resource);
            match api.delete(name, &DeleteParams::default()).await {
                Ok(_) => {}
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(format!("failed to remove {} {name}: {error}", resource.kind)),
            }
        }
        let began = std::time::Instant::now();
        for (resource, name) in &self.installed {
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), resource);
            while api.get_opt(name).await.is_ok_and(|found| found.is_some()) {
                if began.elapsed() > GONE {
                    return Err(format!("{} {name} is still being removed", resource.kind));
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Ok(())
    }
}

fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

fn resource_of(kind: &str) -> Option<ApiResource> {
    Some(match kind {
        "Namespace" => ApiResource::erase::<Namespace>(&()),
        "ServiceAccount" => ApiResource::erase::<ServiceAccount>(&()),
        "Secret" => ApiResource::erase::<Secret>(&()),
        "ClusterRole" => ApiResource::erase::<ClusterRole>(&()),
        "ClusterRoleBinding" => ApiResource::erase::<ClusterRoleBinding>(&()),
        "Role" => ApiResource::erase::<Role>(&()),
        "RoleBinding" => ApiResource::erase::<RoleBinding>(&()),
        "CustomResourceDefinition" => ApiResource::erase::<CustomResourceDefinition>(&()),
        "ModelRefresh" => ApiResource::erase::<ModelRefresh>(&()),
        "ModelSync" => ApiResource::erase::<ModelSync>(&()),
        _ => return None,
    })
}
