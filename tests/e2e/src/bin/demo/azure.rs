//! The local Azure: its initial state, and the actual operations.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::Outcome;
use crate::manifests::{self, BLOCKED, DELETED, FAILING, FULL, SEMANTIC_FILE, text};

/// The service's message for the failing refresh.
pub const COMPLAINT: &str = "The credentials provided for the SQL source are invalid. (Source at contoso.database.windows.net;Inventory.)";

/// The initial state: the service principal of the sample Secret, and the models in the samples.
pub fn world() -> Outcome<Value> {
    let secret = manifests::sample("credentials")?;
    let model = |name: &str, settings: Value| -> Outcome<Value> {
        let sample = manifests::sample(name)?;
        let mut model = settings;
        model["server"] = json!(text(&sample, "/spec/model/analysisServices/server"));
        model["database"] = json!(text(&sample, "/spec/model/analysisServices/database"));
        Ok(model)
    };
    let semantic = manifests::read(SEMANTIC_FILE)?;
    let semantic = semantic.first().ok_or_else(|| format!("{SEMANTIC_FILE} is empty"))?;
    let years: Vec<String> = (2017..=2026).map(|year| format!("FactSales {year}")).collect();
    Ok(json!({
        "applications": [{
            "tenantId": text(&secret, "/stringData/tenantId"),
            "clientId": text(&secret, "/stringData/clientId"),
            "clientSecret": text(&secret, "/stringData/clientSecret"),
        }],
        "models": [
            model(FULL, json!({
                "tables": [
                    {"name": "DimCustomer", "partitions": ["DimCustomer"]},
                    {"name": "DimDate", "partitions": ["DimDate"]},
                    {"name": "FactSales", "partitions": years},
                ],
                "notStartedMillis": 1_500,
                "durationMillis": 8_000,
                "outcomes": [{"status": "succeeded", "durationMillis": 30_000}],
                "sync": {"replicatingMillis": 2_500, "rehydratingMillis": 1_500},
            }))?,
            model(BLOCKED, json!({"durationMillis": 9_000}))?,
            model(FAILING, json!({
                "durationMillis": 3_500,
                "outcome": {"status": "failed", "messages": [{"message": COMPLAINT, "type": "Error"}]},
            }))?,
            model(DELETED, json!({"durationMillis": 600_000, "cancelMillis": 3_000}))?,
            {
                "groupId": "f089354e-8366-4e18-aea3-4cb4a3a50b48",
                "datasetId": "cfafbeb1-8037-4d0c-896e-a46fb27ff229",
                "workspace": text(semantic, "/spec/model/powerBI/workspace"),
                "dataset": text(semantic, "/spec/model/powerBI/dataset"),
                "durationMillis": 12_000,
                "scaleOut": {"syncMillis": 4_000},
            },
        ],
    }))
}

/// The actual state of an operation.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    #[serde(rename = "operationId")]
    pub id: String,
    /// `refresh` or `sync`.
    pub kind: String,
    /// Empty for Power BI.
    #[serde(default)]
    pub database: String,
    /// Power BI only.
    pub dataset_id: Option<String>,
    pub client: String,
    /// Refreshes only, as are the fields below.
    #[serde(default)]
    pub r#type: String,
    #[serde(default)]
    pub refresh_type: String,
    #[serde(default)]
    pub objects: Vec<Value>,
    pub status: String,
    pub start_time: jiff::Timestamp,
    pub end_time: Option<jiff::Timestamp>,
    pub cancel_requested_time: Option<jiff::Timestamp>,
}

impl Operation {
    /// Whether the demo started it as another client.
    pub fn by_another(&self) -> bool {
        self.client == "control"
    }
}

/// A received request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pub method: String,
    pub route: String,
    pub database: Option<String>,
    pub status: Option<u16>,
}

/// Its control API.
#[derive(Clone, Debug)]
pub struct Azure {
    http: reqwest::Client,
    pub control: String,
    pub proxy: String,
    pub authority: String,
}

impl Azure {
    /// Created from its ready line.
    pub fn new(ready: &Value) -> Outcome<Self> {
        let http = reqwest::Client::builder().no_proxy().build().map_err(|error| format!("failed to create an HTTP client: {error}"))?;
        let own = |name: &str| text(ready, name).to_owned();
        Ok(Self { http, control: own("/control"), proxy: own("/proxy"), authority: own("/caFile") })
    }

    /// A plain client for other local servers.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Starts a refresh as another client.
    pub async fn refresh_as_another(&self, server: &str, database: &str, millis: u32) -> Outcome<()> {
        let body = json!({"server": server, "database": database, "type": "full", "durationMillis": millis});
        let sent = self.http.post(format!("{}/operations", self.control)).json(&body).send().await;
        let response = sent.and_then(reqwest::Response::error_for_status);
        response.map(drop).map_err(|error| format!("failed to start another client's refresh: {error}"))
    }

    /// All operations, in the order of their submission.
    pub async fn operations(&self) -> Outcome<Vec<Operation>> {
        self.get("operations").await
    }

    /// All requests.
    pub async fn ledger(&self) -> Outcome<Vec<Request>> {
        self.get("ledger").await
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, what: &str) -> Outcome<T> {
        let failed = |error| format!("failed to read the {what} of the local Azure: {error}");
        let response = self.http.get(format!("{}/{what}", self.control)).send().await.map_err(failed)?;
        response.json().await.map_err(failed)
    }
}
