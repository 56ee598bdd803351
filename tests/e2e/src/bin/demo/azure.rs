//! The local Azure: its initial state, and the actual operations.

use e2e::SimulatorClient;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::manifests::{self, BLOCKED, DELETED, FAILING, FULL, SEMANTIC_FILE, text};

/// The service's message for the failing refresh.
pub const FAILURE_MESSAGE: &str =
    "The credentials provided for the SQL source are invalid. (Source at contoso.database.windows.net;Inventory.)";

/// Creates the service principal of the sample Secret, and the models in the samples.
pub async fn create_initial_state(azure: &SimulatorClient) {
    let secret = manifests::sample("credentials");
    let model = |name: &str, settings: Value| -> Value {
        let sample = manifests::sample(name);
        let mut model = settings;
        model["server"] = json!(text(&sample, "/spec/model/analysisServices/server"));
        model["database"] = json!(text(&sample, "/spec/model/analysisServices/database"));
        model
    };
    let semantic = &manifests::read(SEMANTIC_FILE)[0];
    let years: Vec<String> = (2017..=2026).map(|year| format!("FactSales {year}")).collect();
    let key = |name: &str| text(&secret, &format!("/stringData/{name}"));
    azure.put_application(key("tenantId"), key("clientId"), key("clientSecret")).await;
    let models = [
        model(
            FULL,
            json!({
                "tables": [
                    {"name": "DimCustomer", "partitions": ["DimCustomer"]},
                    {"name": "DimDate", "partitions": ["DimDate"]},
                    {"name": "FactSales", "partitions": years},
                ],
                "notStartedMillis": 1_500,
                "durationMillis": 8_000,
                "outcomes": [{"status": "succeeded", "durationMillis": 30_000}],
                "sync": {"replicatingMillis": 2_500, "rehydratingMillis": 1_500},
            }),
        ),
        model(BLOCKED, json!({"durationMillis": 9_000})),
        model(
            FAILING,
            json!({
                "durationMillis": 3_500,
                "outcome": {"status": "failed", "messages": [{"message": FAILURE_MESSAGE, "type": "Error"}]},
            }),
        ),
        model(DELETED, json!({"durationMillis": 600_000, "cancelMillis": 3_000})),
        json!({
            "groupId": "f089354e-8366-4e18-aea3-4cb4a3a50b48",
            "datasetId": "cfafbeb1-8037-4d0c-896e-a46fb27ff229",
            "workspace": text(semantic, "/spec/model/powerBI/workspace"),
            "dataset": text(semantic, "/spec/model/powerBI/dataset"),
            "durationMillis": 12_000,
            "scaleOut": {"syncMillis": 4_000},
        }),
    ];
    for model in models {
        azure.put_model(model).await;
    }
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

/// All operations, in the order of their submission.
pub async fn operations(azure: &SimulatorClient) -> Vec<Operation> {
    azure.read("/operations", &[]).await
}

/// All requests.
pub async fn ledger(azure: &SimulatorClient) -> Vec<Request> {
    azure.read("/ledger", &[]).await
}
