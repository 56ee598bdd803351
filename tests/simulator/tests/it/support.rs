//! The tests' own simulator, a client that uses it, and its control API.

use std::time::{Duration, Instant};

use reqwest::{Certificate, Client, Method, Proxy, RequestBuilder, Response};
use serde_json::{Value, json};
use simulator::{Settings, Simulator};

pub const TENANT: &str = "72f988bf-0000-4000-8000-000000000001";
pub const CLIENT: &str = "11111111-0000-4000-8000-000000000001";
pub const SECRET: &str = "s3cret~planted";
pub const SERVER: &str = "asazure://westus.asazure.windows.net/myserver";
pub const DATABASE: &str = "AdventureWorks";
pub const MODEL: &str = "https://westus.asazure.windows.net/servers/myserver/models/AdventureWorks";
pub const SCOPE: &str = "https://*.asazure.windows.net/.default";
pub const GROUP: &str = "f089354e-8366-4e18-aea3-4cb4a3a50b48";
pub const DATASET: &str = "cfafbeb1-8037-4d0c-896e-a46fb27ff229";
pub const API: &str = "https://api.powerbi.com/v1.0/myorg";
pub const POWER_BI_SCOPE: &str = "https://analysis.windows.net/powerbi/api/.default";
pub const AUTHORITY: &str = "https://login.microsoftonline.com";

/// A simulator with one application and one model, and a client that has a token.
pub struct LocalAzure {
    pub simulator: Simulator,
    pub http: Client,
    pub token: String,
    plain: Client,
}

/// A client of the services, configured like a user's.
pub fn client(simulator: &Simulator, http1: bool) -> Client {
    // Tests inspect raw responses, even if the workspace enables decompression in reqwest.
    let builder = Client::builder()
        .no_gzip()
        .no_deflate()
        .proxy(Proxy::https(simulator.proxy_url()).unwrap())
        .tls_certs_only([Certificate::from_pem(simulator.ca_pem().as_bytes()).unwrap()])
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20));
    if http1 { builder.http1_only() } else { builder }.build().unwrap()
}

impl LocalAzure {
    /// The local Azure over HTTP/2, with the given fields of `PUT /models`.
    pub async fn new(model: Value) -> Self {
        Self::over(model, false).await
    }

    pub async fn over(model: Value, http1: bool) -> Self {
        let simulator = Simulator::start(Settings::default()).await.unwrap();
        let http = client(&simulator, http1);
        let mut azure = Self { http, plain: Client::builder().no_proxy().build().unwrap(), token: String::new(), simulator };
        azure.control(Method::PUT, "/applications", json!({"tenantId": TENANT, "clientId": CLIENT, "clientSecret": SECRET})).await;
        let mut settings =
            json!({"server": SERVER, "database": DATABASE, "notStartedMillis": 0, "durationMillis": 600_000, "cancelMillis": 0});
        settings.as_object_mut().unwrap().extend(model.as_object().unwrap().clone());
        azure.control(Method::PUT, "/models", settings).await;
        let granted: Value = azure.sign_in(CLIENT, SECRET, SCOPE).await.json().await.unwrap();
        azure.token.push_str(granted["access_token"].as_str().unwrap());
        azure
    }

    pub async fn sign_in(&self, client: &str, secret: &str, scope: &str) -> Response {
        self.token_request(
            TENANT,
            &[("client_id", client), ("client_secret", secret), ("scope", scope), ("grant_type", "client_credentials")],
        )
        .await
    }

    pub async fn token_request(&self, tenant: &str, form: &[(&str, &str)]) -> Response {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.http.post(format!("{AUTHORITY}/{tenant}/oauth2/v2.0/token"));
        request.header("content-type", "application/x-www-form-urlencoded").body(body).send().await.unwrap()
    }

    /// Requests a token with an assertion.
    pub async fn assert(&self, assertion: &str) -> Response {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let form = [
            ("client_id", CLIENT),
            ("grant_type", "client_credentials"),
            ("scope", SCOPE),
            ("client_assertion_type", kind),
            ("client_assertion", assertion),
        ];
        self.token_request(TENANT, &form).await
    }

    /// A token for a scope of the public cloud.
    pub async fn token_for(&self, scope: &str) -> String {
        let granted: Value = self.sign_in(CLIENT, SECRET, scope).await.json().await.unwrap();
        granted["access_token"].as_str().unwrap().to_owned()
    }

    /// A call below the model's URL.
    pub fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{MODEL}{path}")).bearer_auth(&self.token)
    }

    pub async fn submit(&self, body: Value) -> Response {
        self.call(Method::POST, "/refreshes").json(&body).send().await.unwrap()
    }

    /// Starts a refresh of the whole model and returns its id.
    pub async fn start(&self) -> String {
        let response = self.submit(json!({"Type": "full"})).await;
        assert_eq!(response.status(), 202);
        response.json::<Value>().await.unwrap()["operationId"].as_str().unwrap().to_owned()
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.call(Method::GET, path).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
    }

    /// A call to the control API that must succeed.
    pub async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, response) = self.try_control(method, path, body).await;
        assert_eq!(status, 200, "{path}: {response}");
        response
    }

    pub async fn try_control(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let request = self.plain.request(method, format!("{}{path}", self.simulator.control_url()));
        let request = if body.is_null() { request } else { request.json(&body) };
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    pub async fn inspect(&self, path: &str) -> Value {
        self.control(Method::GET, path, Value::Null).await
    }

    pub async fn patch(&self, mut fields: Value) {
        fields["server"] = SERVER.into();
        fields["database"] = DATABASE.into();
        self.control(Method::PATCH, "/models", fields).await;
    }

    /// Adds a fault for the next such request to Analysis Services.
    pub async fn fault(&self, method: &str, action: Value) -> String {
        let rule = json!({"match": {"method": method, "host": "*.asazure.windows.net"}, "action": action});
        self.control(Method::POST, "/faults", rule).await["faultId"].as_str().unwrap().to_owned()
    }

    pub async fn operations(&self) -> Vec<Value> {
        self.inspect("/operations").await.as_array().unwrap().clone()
    }

    /// The newest row of the ledger.
    pub async fn last_row(&self) -> Value {
        self.inspect("/ledger").await.as_array().unwrap().last().unwrap().clone()
    }
}

/// The local Azure with an additional semantic model, and a token for Power BI.
pub struct PowerBi {
    pub azure: LocalAzure,
    pub token: String,
}

impl PowerBi {
    /// The local Azure with the given fields of `PUT /models`.
    pub async fn new(model: Value) -> Self {
        let azure = LocalAzure::new(json!({})).await;
        let mut settings =
            json!({"groupId": GROUP, "datasetId": DATASET, "notStartedMillis": 0, "durationMillis": 600_000, "cancelMillis": 0});
        settings.as_object_mut().unwrap().extend(model.as_object().unwrap().clone());
        azure.control(Method::PUT, "/models", settings).await;
        let token = azure.token_for(POWER_BI_SCOPE).await;
        Self { azure, token }
    }

    /// A call below the model's URL.
    pub fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.any(method, &format!("/groups/{GROUP}/datasets/{DATASET}{path}"))
    }

    /// A call below the API's URL.
    pub fn any(&self, method: Method, path: &str) -> RequestBuilder {
        self.azure.http.request(method, format!("{API}{path}")).bearer_auth(&self.token)
    }

    pub async fn submit(&self, body: Value) -> Response {
        self.call(Method::POST, "/refreshes").json(&body).send().await.unwrap()
    }

    /// Starts an enhanced refresh and returns its id.
    pub async fn start(&self) -> String {
        let response = self.submit(json!({"type": "full"})).await;
        assert_eq!(response.status(), 202);
        response.headers()["requestid"].to_str().unwrap().to_owned()
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.call(Method::GET, path).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
    }

    pub async fn delete(&self, id: &str) -> (u16, Value) {
        let response = self.call(Method::DELETE, &format!("/refreshes/{id}")).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
    }

    pub async fn patch(&self, mut fields: Value) {
        fields["groupId"] = GROUP.into();
        fields["datasetId"] = DATASET.into();
        self.azure.control(Method::PATCH, "/models", fields).await;
    }

    /// Ends an operation now.
    pub async fn end(&self, id: &str, outcome: Value) {
        self.azure.control(Method::POST, &format!("/operations/{id}/end"), json!({"outcome": outcome})).await;
    }
}

/// Waits until `check` returns a value, for at most ten seconds.
pub async fn until<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
