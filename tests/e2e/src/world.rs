//! The environment of one test: a namespace, a model, an application with its Secret, and operators.

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tabular_operator::api::RunState;
use uuid::Uuid;

use crate::operator::{self, Operator, OperatorSettings};
use crate::rbac::{self, make};
pub use crate::read::{condition, merged, run, run_state, status};
use crate::{
    AnyObject, ApiProxy, DEADLINE, Fault, Kind, Model, Operation, Recorder, Row, SimulatorClient, Site, Sync, Version, kubeconfig,
};

/// The tenant of all applications.
pub const TENANT: &str = "72f988bf-0000-4000-8000-0000000000aa";
/// The name of each world's Secret.
pub const SECRET: &str = "aas-sp";

/// Deviations from the defaults.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// Settings of the model in the local Azure, merged into the defaults.
    pub model: Option<Value>,
    /// Whether operators reach the API server through an [`ApiProxy`].
    pub api_proxy: bool,
    /// Whether operators have permissions in all namespaces, so that they can act in a namespace that is being deleted.
    pub everywhere: bool,
    /// Additional flags for operators.
    pub arguments: Vec<String>,
    /// Additional environment variables.
    pub environment: Vec<(String, String)>,
    /// Whether operators cannot read Secrets until a test grants it.
    pub without_secrets: bool,
}

/// The environment of one test.
pub struct World {
    /// The shared components.
    pub site: &'static Site,
    /// An administrator's client.
    pub client: Client,
    /// The local Azure.
    pub azure: SimulatorClient,
    /// Its namespace, and the name of its `ServiceAccount` and its Lease.
    pub namespace: String,
    /// Its server, `asazure://…`.
    pub server: String,
    /// Its database.
    pub database: String,
    /// Its application's id.
    pub client_id: String,
    /// Every version of its resources.
    pub recorder: Recorder,
    /// The proxy between its operators and the API server, if requested.
    pub api_proxy: Option<ApiProxy>,
    settings: OperatorSettings,
}

impl World {
    /// A world with the defaults, without an operator.
    pub async fn new(name: &str) -> Self {
        Self::with(name, Setting::default()).await
    }

    /// A world with these settings.
    pub async fn with(name: &str, setting: Setting) -> Self {
        let site = Site::get();
        let client = site.client().await;
        let id = Uuid::new_v4().simple().to_string();
        // The fault matrix creates thousands of worlds: six digits would collide.
        let namespace = format!("{name}-{}", &id[..10]);
        make::<Namespace>(&Api::all(client.clone()), json!({"metadata": {"name": namespace}})).await;
        let role = if setting.without_secrets { rbac::BARE_ROLE } else { rbac::ROLE };
        let token = rbac::account(&client, &namespace, &namespace, role, setting.everywhere).await;
        let api_proxy = if setting.api_proxy { Some(ApiProxy::start(&site.endpoint())) } else { None };
        let endpoint = api_proxy.as_ref().map_or_else(|| site.endpoint(), |proxy| proxy.endpoint().clone());
        let file = |suffix: &str| -> PathBuf { site.directory().join(format!("{namespace}.{suffix}")) };
        kubeconfig::write(&file("kubeconfig"), &endpoint, &token, &namespace);
        let mut arguments = vec![
            format!("--watch-namespace={namespace}"),
            format!("--lease-namespace={}", rbac::OPERATORS),
            format!("--lease-name={namespace}"),
        ];
        arguments.extend(setting.arguments);
        let settings = OperatorSettings {
            kubeconfig: file("kubeconfig"),
            proxy: site.simulator.proxy().to_owned(),
            authority: site.simulator.authority().to_owned(),
            arguments,
            environment: setting.environment,
            log: file("log"),
            pod: None,
        };
        let world = Self {
            azure: site.simulator.client(),
            recorder: Recorder::start(client.clone(), &namespace).await,
            server: format!("asazure://westus.asazure.windows.net/{}", namespace.replace('-', "")),
            database: "AdventureWorks".to_owned(),
            client_id: Uuid::new_v4().to_string(),
            site,
            client,
            namespace,
            api_proxy,
            settings,
        };
        world.azure.put_application(TENANT, &world.client_id, "right").await;
        world.put_model(&json!({"notStartedMillis": 100, "durationMillis": 900, "cancelMillis": 100})).await;
        if let Some(model) = &setting.model {
            world.patch_model(model).await;
        }
        world.put_secret("right").await;
        world
    }

    /// A world with an operator that is ready.
    pub async fn running(name: &str, setting: Setting) -> (Self, Operator) {
        let world = Self::with(name, setting).await;
        let mut operator = world.start_operator();
        operator.ready().await;
        (world, operator)
    }

    /// Starts an operator without waiting.
    #[must_use]
    pub fn start_operator(&self) -> Operator {
        Operator::start(&self.settings, self.site.guard())
    }

    /// Starts another operator with its own proxy; the others keep theirs. Does not wait.
    pub async fn start_beside(&self) -> (ApiProxy, Operator) {
        let proxy = ApiProxy::start(&self.site.endpoint());
        let mut settings = self.settings.clone();
        let suffix = Uuid::new_v4().simple().to_string();
        settings.kubeconfig.set_extension(format!("{}.kubeconfig", &suffix[..6]));
        settings.log.set_extension(format!("{}.log", &suffix[..6]));
        let token = rbac::token(&self.client, &self.namespace).await;
        kubeconfig::write(&settings.kubeconfig, proxy.endpoint(), &token, &self.namespace);
        (proxy, Operator::start(&settings, self.site.guard()))
    }

    /// The settings of this world's operators.
    #[must_use]
    pub fn operator_settings(&self) -> &OperatorSettings {
        &self.settings
    }

    /// The proxy in front of the API server. Panics if it was not requested.
    #[must_use]
    pub fn proxy(&self) -> &ApiProxy {
        self.api_proxy.as_ref().expect("set Setting::api_proxy")
    }

    /// The operators' user name at the API server.
    #[must_use]
    pub fn user(&self) -> String {
        rbac::user(&self.namespace)
    }

    /// The writes of the operators so far, without events and leases, in order.
    #[must_use]
    pub fn writes(&self) -> Vec<String> {
        let lines = self.site.control_plane.audit().writes(&self.user(), &["modelrefreshes", "modelsyncs"]);
        lines.iter().map(crate::AuditLine::summary).collect()
    }

    // ---- the local Azure ----

    async fn put_model(&self, settings: &Value) {
        self.azure.put_model(self.named(settings)).await;
    }

    /// Creates another model on the server, and returns the part of a spec that refers to it.
    pub async fn put_database(&self, database: &str, settings: &Value) -> Value {
        self.put_model(&merged(settings, &json!({"database": database}))).await;
        json!({"model": {"analysisServices": {"database": database}}})
    }

    /// The operations of another model on the server.
    pub async fn operations_on(&self, database: &str) -> Vec<Operation> {
        self.azure.operations(&self.server, database).await
    }

    /// Changes the model.
    pub async fn patch_model(&self, changes: &Value) {
        self.azure.patch_model(self.named(changes)).await;
    }

    fn named(&self, settings: &Value) -> Value {
        merged(&json!({"server": self.server, "database": self.database}), settings)
    }

    /// The model, as named in the control API.
    #[must_use]
    pub fn model(&self) -> Model {
        Model::analysis_services(&self.server, &self.database)
    }

    /// The actual state of the model's syncs.
    pub async fn syncs(&self) -> Vec<Sync> {
        self.azure.syncs(&self.model()).await
    }

    /// The actual state of the model's operations.
    pub async fn operations(&self) -> Vec<Operation> {
        self.azure.operations(&self.server, &self.database).await
    }

    /// Starts a refresh of another client, and returns its id.
    pub async fn start_foreign(&self, operation: &Value) -> String {
        self.azure.start(self.named(operation)).await
    }

    /// The requests for the model.
    pub async fn ledger(&self) -> Vec<Row> {
        self.azure.ledger(&self.server, &self.database).await
    }

    /// Number of POSTs of refreshes.
    pub async fn posts(&self) -> usize {
        self.ledger().await.iter().filter(|row| row.method == "POST").count()
    }

    /// Orders a fault for requests for this world's model: `method`, a glob for the end of the path, and the fault.
    pub async fn fault(&self, method: &str, path_end: &str, order: &Value) -> Fault {
        let server = self.server.rsplit('/').next().unwrap_or_default();
        // Syncs address the server's management name, `<server>:rw`.
        let path = format!("*/{server}*/*{path_end}");
        self.azure.fault(merged(&json!({"match": {"method": method, "path": path}}), order)).await
    }

    // ---- the cluster ----

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
        applied.unwrap_or_else(|error| panic!("failed to apply {named}: {error}"))
    }

    /// Changes a resource by a merge patch.
    pub async fn edit(&self, named: &str, patch: &Value) -> AnyObject {
        let (kind, name) = Kind::of(named);
        let edited = self.api(kind).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        edited.unwrap_or_else(|error| panic!("failed to edit {named}: {error}"))
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

    // ---- waiting ----

    /// Waits for a matching version of a resource, starting with the current one.
    pub async fn until(&self, name: &str, what: &str, fits: impl Fn(&AnyObject) -> bool) -> AnyObject {
        self.until_within(DEADLINE, name, what, fits).await
    }

    /// The same, for at most `limit`.
    pub async fn until_within(&self, limit: Duration, name: &str, what: &str, fits: impl Fn(&AnyObject) -> bool) -> AnyObject {
        self.wait_within(limit, name, what, |version| {
            let object = version.decode().ok()?;
            (!version.deleted && fits(&object)).then_some(object)
        })
        .await
    }

    /// Waits until the latest run is in this state, for at most `limit`.
    pub async fn until_state_within(&self, limit: Duration, name: &str, state: RunState) -> AnyObject {
        self.wait_within(limit, name, &format!("{state:?}"), |version| {
            let object = version.decode().ok()?;
            (!version.deleted && run_state(&object) == Some(state)).then_some(object)
        })
        .await
    }

    /// Waits until the latest run is in this state.
    pub async fn until_state(&self, name: &str, state: RunState) -> AnyObject {
        self.until(name, &format!("{state:?}"), |object| run_state(object) == Some(state)).await
    }

    /// Waits until the run of this number is in this state.
    pub async fn until_run(&self, name: &str, number: i32, state: RunState) -> AnyObject {
        let fits = |object: &AnyObject| {
            let run = object.status.as_ref().and_then(|status| status.run.as_ref());
            run.is_some_and(|run| run.number == number && run.state == state)
        };
        self.until(name, &format!("{state:?} in run {number}"), fits).await
    }

    /// Waits until a condition of this type has this reason.
    pub async fn until_reason(&self, name: &str, condition: &str, reason: &str) -> AnyObject {
        let fits = |object: &AnyObject| {
            let conditions = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
            conditions.iter().any(|found| format!("{:?}", found.r#type) == condition && found.reason == reason)
        };
        self.until(name, &format!("{condition} with reason {reason}"), fits).await
    }

    /// Waits until a resource is deleted.
    pub async fn until_gone(&self, name: &str) {
        self.wait(name, "its deletion", |version| version.deleted.then_some(())).await;
    }

    async fn wait<T>(&self, name: &str, what: &str, look: impl FnMut(&Version) -> Option<T>) -> T {
        self.wait_within(DEADLINE, name, what, look).await
    }

    async fn wait_within<T>(&self, limit: Duration, name: &str, what: &str, look: impl FnMut(&Version) -> Option<T>) -> T {
        if let Ok(found) = tokio::time::timeout(limit, self.recorder.wait(name, look)).await {
            return found;
        }
        let latest = self.recorder.latest(name).map(|version| version.object.data["status"].clone());
        let latest = serde_saphyr::to_string(&latest).unwrap_or_default();
        let events = self.events(name).await.join("\n");
        let azure = self.operations().await;
        let ledger: Vec<String> =
            self.ledger().await.iter().map(|row| format!("{} {} {} -> {:?}", row.time, row.method, row.path, row.status)).collect();
        let ledger = ledger[ledger.len().saturating_sub(20)..].join("\n");
        panic!(
            "timed out after {limit:?} waiting for {what} of {name}. Its status:\n{latest}\nIts events:\n{events}\n\
             At the service:\n{azure:#?}\nThe last requests:\n{ledger}"
        );
    }

    /// The reasons and notes of the events of a resource.
    pub async fn events(&self, named: &str) -> Vec<String> {
        let api: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let events = api.list(&kube::api::ListParams::default()).await.expect("failed to list events");
        let (kind, name) = Kind::of(named);
        let ours = events.items.into_iter().filter(|event| {
            let regarding = event.regarding.as_ref();
            regarding.is_some_and(|about| about.name.as_deref() == Some(name) && about.kind == Some(kind.name()))
        });
        let notes = ours.map(|event| format!("{}: {}", event.reason.unwrap_or_default(), event.note.unwrap_or_default()));
        notes.collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the operator's log in {}:\n{}", self.namespace, operator::tail(&self.settings.log, 60));
        }
    }
}
