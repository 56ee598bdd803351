//! The local Azure, and a client of its control interface: what is there, what goes wrong, what was asked of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use reqwest::{Client, Method};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::paths;
use crate::process::{Server, text};
use crate::wait::eventually;

/// A running local Azure.
#[derive(Debug)]
pub struct Simulator {
    server: Server,
    proxy: String,
    control: String,
    authority: PathBuf,
}

impl Simulator {
    /// Starts it, with its certificate authority in `directory`.
    #[must_use]
    pub fn start(directory: &Path) -> Self {
        let authority = directory.join("azure-ca.pem");
        let mut command = Command::new(paths::simulator());
        command.args(["--proxy-address", "127.0.0.1:0", "--control-address", "127.0.0.1:0", "--parent-exits"]);
        command.arg("--ca-file").arg(&authority);
        let (server, ready) = Server::start(&mut command, &directory.join("simulator.stderr"));
        Self { server, proxy: text(&ready, "proxy"), control: text(&ready, "control"), authority }
    }

    /// What `HTTPS_PROXY` has to be.
    #[must_use]
    pub fn proxy(&self) -> &str {
        &self.proxy
    }

    /// Who signs its certificates, a PEM file.
    #[must_use]
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// Where its control interface is.
    #[must_use]
    pub fn control(&self) -> &str {
        &self.control
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// A client of its control interface.
    #[must_use]
    pub fn client(&self) -> SimulatorClient {
        SimulatorClient::new(&self.control)
    }
}

/// A client of the control interface. It belongs to the runtime that it is first used in.
#[derive(Clone, Debug)]
pub struct SimulatorClient {
    http: Client,
    base: String,
}

/// An operation as it really is, whatever the service says of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Its id.
    pub operation_id: String,
    /// `application <client id>` or `control`.
    pub client: String,
    /// full, calculate, …
    pub r#type: String,
    /// The tables and partitions that were asked for; none for the whole model.
    pub objects: Vec<Value>,
    /// notStarted, inProgress, succeeded, failed, timedOut or cancelled.
    pub status: String,
    /// When it began, truly: without the clock skew that clients see.
    pub start_time: Option<String>,
    /// When it ended, truly.
    pub end_time: Option<String>,
    /// When somebody asked for its end.
    pub cancel_requested_time: Option<String>,
    /// Its place among all requests.
    pub submitted_sequence: u64,
    /// As it was asked for.
    pub commit_mode: String,
    /// As it was asked for.
    pub max_parallelism: u32,
    /// As it was asked for.
    pub retry_count: u32,
    /// Power BI's: `ViaEnhancedApi`, `ViaApi`, `OnDemand` or `Scheduled`.
    pub refresh_type: String,
    /// Power BI's, as it was asked for.
    pub apply_refresh_policy: bool,
    /// Power BI's, as it was asked for.
    pub effective_date: Option<String>,
    /// Power BI's, as it was asked for: of one attempt.
    pub timeout_seconds: Option<i64>,
}

/// A sync as it really is, of either service.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sync {
    /// Its id; Power BI shows it to nobody.
    pub operation_id: String,
    /// `application <client id>` or `control`.
    pub client: String,
    /// replicating, rehydrating, finalizing, completed, failed or invalid.
    pub status: String,
    /// When it began, truly.
    pub start_time: String,
    /// When it ended, truly.
    pub end_time: Option<String>,
    /// Its place among all requests.
    pub submitted_sequence: u64,
}

/// A model of either service, as the control interface names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Model {
    /// A database of Analysis Services.
    AnalysisServices {
        /// The server, `asazure://…`.
        server: String,
        /// The database.
        database: String,
    },
    /// A semantic model of Power BI.
    PowerBi {
        /// The workspace's id.
        group: String,
        /// The semantic model's id.
        dataset: String,
    },
}

impl Model {
    /// A database of Analysis Services.
    #[must_use]
    pub fn analysis_services(server: &str, database: &str) -> Self {
        Self::AnalysisServices { server: server.to_owned(), database: database.to_owned() }
    }

    /// A semantic model of Power BI.
    #[must_use]
    pub fn power_bi(group: &str, dataset: &str) -> Self {
        Self::PowerBi { group: group.to_owned(), dataset: dataset.to_owned() }
    }

    fn names(&self) -> [(&'static str, &str); 2] {
        match self {
            Self::AnalysisServices { server, database } => [("server", server), ("database", database)],
            Self::PowerBi { group, dataset } => [("groupId", group), ("datasetId", dataset)],
        }
    }

    /// `fields` with the model's names.
    fn named(&self, mut fields: Value) -> Value {
        for (name, value) in self.names() {
            fields[name] = value.into();
        }
        fields
    }
}

impl Operation {
    /// Whether it has ended.
    #[must_use]
    pub fn ended(&self) -> bool {
        !matches!(self.status.as_str(), "notStarted" | "inProgress")
    }
}

/// A request that it got.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Counts all requests.
    pub sequence: u64,
    /// When it came.
    pub time: String,
    /// The real name that it was sent to.
    pub host: String,
    /// GET, POST, …; `CONNECT` where the proxy has refused a tunnel.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Such as `refresh`, `refreshes`, `sync`, `syncStatus`, `groups`, `datasets`, `token` or `imds`.
    pub route: String,
    /// The application.
    pub client_id: Option<String>,
    /// How it has proved itself, or tries to: `secret`, `certificate`, `federated` or `managed`.
    pub credential: Option<String>,
    /// The audience of its token.
    pub token_audience: Option<String>,
    /// The answer's status.
    pub status: Option<u16>,
    /// Whether the service has done what was asked.
    pub handled: bool,
    /// The operation that it has started or that it names.
    pub operation_id: Option<String>,
    /// The beginning of its body.
    pub request_body: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FaultView {
    hits: u64,
    held: u64,
}

impl SimulatorClient {
    /// A client of the control interface at `base`.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().expect("a plain client can be made");
        Self { http, base: base.to_owned() }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        self.send_query(method, path, &[], body).await
    }

    async fn send_query(&self, method: Method, path: &str, query: &[(&str, &str)], body: Option<Value>) -> Value {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base)).query(query);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap_or_else(|error| panic!("failed to reach the simulator: {error}"));
        let status = answer.status();
        let said = answer.text().await.unwrap_or_default();
        assert!(status.is_success(), "the simulator refused {method} {path} {body:?}: {status} {said}");
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("failed to read '{said}': {error}"))
    }

    async fn read<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> T {
        let said = self.send_query(Method::GET, path, query, None).await;
        serde_json::from_value(said.clone()).unwrap_or_else(|error| panic!("failed to read {said}: {error}"))
    }

    /// Registers an application, or changes its secret.
    pub async fn put_application(&self, tenant: &str, client: &str, secret: &str) {
        let body = json!({"tenantId": tenant, "clientId": client, "clientSecret": secret});
        self.send(Method::PUT, "/applications", Some(body)).await;
    }

    /// Registers an application with these certificates (PEM), and no other credential.
    pub async fn put_certificates(&self, tenant: &str, client: &str, certificates: &[&str]) {
        let body = json!({"tenantId": tenant, "clientId": client, "certificates": certificates});
        self.send(Method::PUT, "/applications", Some(body)).await;
    }

    /// Registers an application that takes the tokens of a service account for its own, and no other credential.
    ///
    /// `issuer` is the API server's, whose keys [`Self::put_issuer`] makes known.
    pub async fn put_federated(&self, tenant: &str, client: &str, issuer: &str, namespace: &str, service_account: &str) {
        let subject = format!("system:serviceaccount:{namespace}:{service_account}");
        let credential = json!({"issuer": issuer, "subject": subject});
        let body = json!({"tenantId": tenant, "clientId": client, "federatedCredentials": [credential]});
        self.send(Method::PUT, "/applications", Some(body)).await;
    }

    /// Makes known which keys an issuer publishes (a JWKS), as if Entra ID had asked it.
    pub async fn put_issuer(&self, issuer: &str, jwks: &Value) {
        self.send(Method::PUT, "/issuers", Some(json!({"issuer": issuer, "jwks": jwks}))).await;
    }

    /// Registers an application by the whole body of `PUT /applications`: for a cloud, or for several credentials.
    pub async fn put_registration(&self, registration: Value) {
        self.send(Method::PUT, "/applications", Some(registration)).await;
    }

    /// Gives the machine a user-assigned managed identity.
    pub async fn put_managed_identity(&self, tenant: &str, client: &str) {
        self.put_managed(json!({"tenantId": tenant, "clientId": client})).await;
    }

    /// Gives the machine a managed identity by the whole body of `PUT /managed-identities`.
    pub async fn put_managed(&self, identity: Value) {
        self.send(Method::PUT, "/managed-identities", Some(identity)).await;
    }

    /// Takes a managed identity away from the machine.
    pub async fn remove_managed_identity(&self, client: &str) {
        self.send_query(Method::DELETE, "/managed-identities", &[("clientId", client)], None).await;
    }

    /// Declares a cloud: `{name, authorityHost, analysisServices: {hostSuffix, audience}, powerBI: {host, audience}}`.
    pub async fn put_cloud(&self, cloud: Value) {
        self.send(Method::PUT, "/clouds", Some(cloud)).await;
    }

    /// Makes a model of either service.
    pub async fn put(&self, model: &Model, settings: Value) {
        self.put_model(model.named(settings)).await;
    }

    /// Changes a model of either service.
    pub async fn patch(&self, model: &Model, changes: Value) {
        self.patch_model(model.named(changes)).await;
    }

    /// Starts a refresh of either service as another client would, and gives its id.
    pub async fn start_refresh(&self, model: &Model, operation: Value) -> String {
        self.start(model.named(operation)).await
    }

    /// Starts a sync of either service as another client would, and gives its id.
    pub async fn start_sync(&self, model: &Model, mut operation: Value) -> String {
        operation["kind"] = "sync".into();
        self.start(model.named(operation)).await
    }

    /// The refreshes of a model of either service, in the order of their submission.
    pub async fn refreshes(&self, model: &Model) -> Vec<Operation> {
        let [first, second] = model.names();
        self.read("/operations", &[first, second, ("kind", "refresh")]).await
    }

    /// The syncs of a model of either service, in the order of their submission.
    pub async fn syncs(&self, model: &Model) -> Vec<Sync> {
        let [first, second] = model.names();
        self.read("/operations", &[first, second, ("kind", "sync")]).await
    }

    /// The requests for a model of either service.
    pub async fn requests(&self, model: &Model) -> Vec<Row> {
        self.read("/ledger", &model.names()).await
    }

    /// How many requests of a method and a route there were for a model of either service.
    pub async fn count_of(&self, model: &Model, method: &str, route: &str) -> u64 {
        count(&self.read::<Vec<Value>>("/ledger/counts", &model.names()).await, method, route)
    }

    /// Makes a model.
    pub async fn put_model(&self, settings: Value) {
        self.send(Method::PUT, "/models", Some(settings)).await;
    }

    /// Changes a model: `server`, `database` and what is to be other.
    pub async fn patch_model(&self, changes: Value) {
        self.send(Method::PATCH, "/models", Some(changes)).await;
    }

    /// How many requests of a method and a route (`refreshes`, `refresh`, `sync`, `token`, …) there were, of all models.
    pub async fn count(&self, method: &str, route: &str) -> u64 {
        count(&self.read::<Vec<Value>>("/ledger/counts", &[]).await, method, route)
    }

    /// Starts a refresh as another client would, and gives its id.
    pub async fn start(&self, operation: Value) -> String {
        text(&self.send(Method::POST, "/operations", Some(operation)).await, "operationId")
    }

    /// The refreshes of a model of Analysis Services, in the order of their submission.
    pub async fn operations(&self, server: &str, database: &str) -> Vec<Operation> {
        self.refreshes(&Model::analysis_services(server, database)).await
    }

    /// Ends an operation now, in a way that has details: `{status, messages}` for a refresh, `{state, details}` for a sync.
    pub async fn end_with(&self, id: &str, outcome: Value) {
        self.send(Method::POST, &format!("/operations/{id}/end"), Some(json!({"outcome": outcome}))).await;
    }

    /// Ends an operation now.
    pub async fn end(&self, id: &str, outcome: &str) {
        self.send(Method::POST, &format!("/operations/{id}/end"), Some(json!({"outcome": outcome}))).await;
    }

    /// Makes the service forget an operation; `ended` frees the model as well.
    pub async fn vanish(&self, id: &str, ended: bool) {
        self.send(Method::POST, &format!("/operations/{id}/vanish"), Some(json!({"ended": ended}))).await;
    }

    /// The requests for a model.
    pub async fn ledger(&self, server: &str, database: &str) -> Vec<Row> {
        self.read("/ledger", &[("server", server), ("database", database)]).await
    }

    /// All requests by an application, those for its tokens among them.
    pub async fn requests_by(&self, client_id: &str) -> Vec<Row> {
        self.read("/ledger", &[("clientId", client_id)]).await
    }

    /// All requests after this one.
    pub async fn ledger_after(&self, sequence: u64) -> Vec<Row> {
        self.read("/ledger", &[("after", &sequence.to_string())]).await
    }

    /// Orders a fault: `{match, skip, times, action}`.
    pub async fn fault(&self, order: Value) -> Fault {
        let ordered = self.send(Method::POST, "/faults", Some(order)).await;
        Fault { simulator: self.clone(), id: text(&ordered, "faultId") }
    }
}

fn count(counts: &[Value], method: &str, route: &str) -> u64 {
    let of = |count: &Value| (count["method"] == method && count["route"] == route).then(|| count["count"].as_u64()).flatten();
    counts.iter().find_map(of).unwrap_or(0)
}

/// A fault that was ordered.
#[derive(Clone, Debug)]
pub struct Fault {
    simulator: SimulatorClient,
    id: String,
}

impl Fault {
    async fn view(&self) -> FaultView {
        self.simulator.read(&format!("/faults/{}", self.id), &[]).await
    }

    /// How many requests it has hit.
    pub async fn hits(&self) -> u64 {
        self.view().await.hits
    }

    /// How many requests it holds now.
    pub async fn held(&self) -> u64 {
        self.view().await.held
    }

    /// Waits until it holds a request.
    pub async fn holds(&self) {
        eventually("the fault to hold a request", async || (self.view().await.held > 0).then_some(())).await;
    }

    /// Waits until it holds none any more: whoever asked is gone.
    pub async fn holds_none(&self) {
        eventually("the held request to be given up", async || (self.view().await.held == 0).then_some(())).await;
    }

    /// Waits until it has hit as many requests.
    pub async fn has_hit(&self, count: u64) {
        eventually("the fault to hit", async || (self.hits().await >= count).then_some(())).await;
    }

    /// Lets go what it holds.
    pub async fn release(&self) {
        self.simulator.send(Method::POST, &format!("/faults/{}/release", self.id), None).await;
    }

    /// Ends it, which lets go what it holds.
    pub async fn remove(self) {
        self.simulator.send(Method::DELETE, &format!("/faults/{}", self.id), None).await;
    }
}
