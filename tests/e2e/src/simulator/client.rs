//! A client of the local Azure's control API: models, faults, and received requests.

use std::time::Duration;

use reqwest::{Client, Method};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Fault, Model, Operation, Row, Sync};
use crate::process::text;

/// A client of the control API. It belongs to the runtime of its first use.
#[derive(Clone, Debug)]
pub struct SimulatorClient {
    http: Client,
    base: String,
}

impl SimulatorClient {
    /// A client of the control API at `base`.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().expect("the client is created");
        Self { http, base: base.to_owned() }
    }

    pub(super) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        self.send_query(method, path, &[], body).await
    }

    async fn send_query(&self, method: Method, path: &str, query: &[(&str, &str)], body: Option<Value>) -> Value {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base)).query(query);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap_or_else(|error| panic!("failed to reach the simulator: {error}"));
        let status = response.status();
        let body_text = response.text().await.unwrap_or_default();
        assert!(status.is_success(), "the simulator refused {method} {path} {body:?}: {status} {body_text}");
        serde_json::from_str(&body_text).unwrap_or_else(|error| panic!("failed to read '{body_text}': {error}"))
    }

    /// Reads a resource of the control API, such as `/operations`.
    pub async fn read<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> T {
        let body_text = self.send_query(Method::GET, path, query, None).await;
        serde_json::from_value(body_text.clone()).unwrap_or_else(|error| panic!("failed to read {body_text}: {error}"))
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

    /// Registers an application with a federated credential for a service account, and no other credential.
    ///
    /// `issuer` is the API server's; [`Self::put_issuer`] publishes its keys.
    pub async fn put_federated(&self, tenant: &str, client: &str, issuer: &str, namespace: &str, service_account: &str) {
        let subject = format!("system:serviceaccount:{namespace}:{service_account}");
        let credential = json!({"issuer": issuer, "subject": subject});
        let body = json!({"tenantId": tenant, "clientId": client, "federatedCredentials": [credential]});
        self.send(Method::PUT, "/applications", Some(body)).await;
    }

    /// Sets the published keys of an issuer (a JWKS), as if Entra ID had fetched them.
    pub async fn put_issuer(&self, issuer: &str, jwks: &Value) {
        self.send(Method::PUT, "/issuers", Some(json!({"issuer": issuer, "jwks": jwks}))).await;
    }

    /// Registers an application with the complete body of `PUT /applications`: for a cloud, or for several credentials.
    pub async fn put_registration(&self, registration: Value) {
        self.send(Method::PUT, "/applications", Some(registration)).await;
    }

    /// Adds a user-assigned managed identity to the machine.
    pub async fn put_managed_identity(&self, tenant: &str, client: &str) {
        self.put_managed(json!({"tenantId": tenant, "clientId": client})).await;
    }

    /// Adds a managed identity with the complete body of `PUT /managed-identities`.
    pub async fn put_managed(&self, identity: Value) {
        self.send(Method::PUT, "/managed-identities", Some(identity)).await;
    }

    /// Removes a managed identity from the machine.
    pub async fn remove_managed_identity(&self, client: &str) {
        self.send_query(Method::DELETE, "/managed-identities", &[("clientId", client)], None).await;
    }

    /// Declares a cloud: `{name, authorityHost, analysisServices: {hostSuffix, audience}, powerBI: {host, audience}}`.
    pub async fn put_cloud(&self, cloud: Value) {
        self.send(Method::PUT, "/clouds", Some(cloud)).await;
    }

    /// Creates a model of either service.
    pub async fn put(&self, model: &Model, settings: Value) {
        self.put_model(model.named(settings)).await;
    }

    /// Changes a model of either service.
    pub async fn patch(&self, model: &Model, changes: Value) {
        self.patch_model(model.named(changes)).await;
    }

    /// Deletes a model of either service and its operations.
    pub async fn delete(&self, model: &Model) {
        self.send(Method::DELETE, "/models", Some(model.named(json!({})))).await;
    }

    /// Starts a refresh of either service as another client would, and returns its id.
    pub async fn start_refresh(&self, model: &Model, operation: Value) -> String {
        self.start(model.named(operation)).await
    }

    /// Starts a sync of either service as another client would, and returns its id.
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

    /// Number of requests of a method and a route for a model of either service.
    pub async fn count_of(&self, model: &Model, method: &str, route: &str) -> u64 {
        count(&self.read::<Vec<Value>>("/ledger/counts", &model.names()).await, method, route)
    }

    /// Creates a model.
    pub async fn put_model(&self, settings: Value) {
        self.send(Method::PUT, "/models", Some(settings)).await;
    }

    /// Changes a model: `server`, `database` and the changed fields.
    pub async fn patch_model(&self, changes: Value) {
        self.send(Method::PATCH, "/models", Some(changes)).await;
    }

    /// Number of requests of a method and a route (`refreshes`, `refresh`, `sync`, `token`, …), of all models.
    pub async fn count(&self, method: &str, route: &str) -> u64 {
        count(&self.read::<Vec<Value>>("/ledger/counts", &[]).await, method, route)
    }

    /// Starts a refresh as another client would, and returns its id.
    pub async fn start(&self, operation: Value) -> String {
        text(&self.send(Method::POST, "/operations", Some(operation)).await, "operationId")
    }

    /// The refreshes of a model of Analysis Services, in the order of their submission.
    pub async fn operations(&self, server: &str, database: &str) -> Vec<Operation> {
        self.refreshes(&Model::analysis_services(server, database)).await
    }

    /// Ends an operation now with details: `{status, messages}` for a refresh, `{state, details}` for a sync.
    pub async fn end_with(&self, id: &str, outcome: Value) {
        self.send(Method::POST, &format!("/operations/{id}/end"), Some(json!({"outcome": outcome}))).await;
    }

    /// Ends an operation now.
    pub async fn end(&self, id: &str, outcome: &str) {
        self.send(Method::POST, &format!("/operations/{id}/end"), Some(json!({"outcome": outcome}))).await;
    }

    /// Ends the refresh that is running on a model.
    pub async fn end_running(&self, model: &Model) {
        let running = self.refreshes(model).await.into_iter().find(|operation| !operation.ended());
        self.end(&running.expect("a refresh is running").operation_id, "succeeded").await;
    }

    /// Makes the service forget an operation; `ended` also frees the model.
    pub async fn vanish(&self, id: &str, ended: bool) {
        self.send(Method::POST, &format!("/operations/{id}/vanish"), Some(json!({"ended": ended}))).await;
    }

    /// The requests for a model.
    pub async fn ledger(&self, server: &str, database: &str) -> Vec<Row> {
        self.read("/ledger", &[("server", server), ("database", database)]).await
    }

    /// All requests of an application, including token requests.
    pub async fn requests_by(&self, client_id: &str) -> Vec<Row> {
        self.read("/ledger", &[("clientId", client_id)]).await
    }

    /// All requests after this one.
    pub async fn ledger_after(&self, sequence: u64) -> Vec<Row> {
        self.read("/ledger", &[("after", &sequence.to_string())]).await
    }

    /// Removes all requests so far from the ledger and its counts.
    pub async fn clear_ledger(&self) {
        self.send(Method::DELETE, "/ledger", None).await;
    }

    /// Makes Entra ID available or not.
    pub async fn set_entra_available(&self, available: bool) {
        self.send(Method::PUT, "/entra", Some(json!({"unavailable": !available}))).await;
    }

    /// Orders a fault: `{match, skip, times, action}`.
    pub async fn fault(&self, order: Value) -> Fault {
        let ordered = self.send(Method::POST, "/faults", Some(order)).await;
        Fault { simulator: self.clone(), id: text(&ordered, "faultId") }
    }

    /// Orders a fault for requests for a model: the method, the end of the path (`refreshes`, `refreshes/*`), and `{skip, times,
    /// action}`.
    pub async fn fault_at(&self, model: &Model, method: &str, path_end: &str, mut order: Value) -> Fault {
        order["match"] = json!({"method": method, "path": model.path(path_end)});
        self.fault(order).await
    }

    /// Sets the responses to the next such requests for a model, one action each; `{"pass": {}}` is the service's own response.
    pub async fn respond(&self, model: &Model, method: &str, path_end: &str, responses: Value) -> Fault {
        self.fault_at(model, method, path_end, json!({"action": {"responses": responses}})).await
    }
}

fn count(counts: &[Value], method: &str, route: &str) -> u64 {
    let of = |count: &Value| (count["method"] == method && count["route"] == route).then(|| count["count"].as_u64()).flatten();
    counts.iter().find_map(of).unwrap_or(0)
}
