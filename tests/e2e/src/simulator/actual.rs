//! The local Azure's record of requests and their results, independent of what clients see.

use serde::Deserialize;
use serde_json::Value;

/// The actual state of an operation, independent of what the service reports.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Its id.
    pub operation_id: String,
    /// `application <client id>` or `control`.
    pub client: String,
    /// full, calculate, …
    pub r#type: String,
    /// The requested tables and partitions; empty for the whole model.
    pub objects: Vec<Value>,
    /// notStarted, inProgress, succeeded, failed, timedOut or cancelled.
    pub status: String,
    /// The actual time of its start, without the clock skew that clients see.
    pub start_time: Option<String>,
    /// The actual time of its end.
    pub end_time: Option<String>,
    /// The time of the first cancel request.
    pub cancel_requested_time: Option<String>,
    /// Its position among all requests.
    pub submitted_sequence: u64,
    /// The requested value.
    pub commit_mode: String,
    /// The requested value.
    pub max_parallelism: u32,
    /// The requested value.
    pub retry_count: u32,
    /// Power BI only: `ViaEnhancedApi`, `ViaApi`, `OnDemand` or `Scheduled`.
    pub refresh_type: String,
    /// Power BI only: the requested value.
    pub apply_refresh_policy: bool,
    /// Power BI only: the requested value.
    pub effective_date: Option<String>,
    /// Power BI only: the requested timeout of one attempt.
    pub timeout_seconds: Option<i64>,
}

impl Operation {
    /// Whether it has ended.
    #[must_use]
    pub fn ended(&self) -> bool {
        !matches!(self.status.as_str(), "notStarted" | "inProgress")
    }
}

/// The actual state of a sync of either service.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sync {
    /// Its id; Power BI does not show it to clients.
    pub operation_id: String,
    /// `application <client id>` or `control`.
    pub client: String,
    /// replicating, rehydrating, finalizing, completed, failed or invalid.
    pub status: String,
    /// The actual time of its start.
    pub start_time: String,
    /// The actual time of its end.
    pub end_time: Option<String>,
    /// Its position among all requests.
    pub submitted_sequence: u64,
}

/// A received request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its number, counted over all requests.
    pub sequence: u64,
    /// The time of its arrival.
    pub time: String,
    /// The addressed real host name.
    pub host: String,
    /// GET, POST, …; `CONNECT` if the proxy refused a tunnel.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Such as `refresh`, `refreshes`, `sync`, `syncStatus`, `groups`, `datasets`, `token` or `imds`.
    pub route: String,
    /// The database in the path.
    pub database: Option<String>,
    /// The application.
    pub client_id: Option<String>,
    /// The kind of credential that the application used or presented: `secret`, `certificate`, `federated` or `managed`.
    pub credential: Option<String>,
    /// The audience of its token.
    pub token_audience: Option<String>,
    /// The user name that the client gave the proxy.
    pub proxy_user: Option<String>,
    /// The response's status.
    pub status: Option<u16>,
    /// Whether the service handled the request.
    pub handled: bool,
    /// The operation that it started or names.
    pub operation_id: Option<String>,
    /// The start of its body.
    pub request_body: Option<String>,
    /// Time until the response was ready.
    pub duration_millis: Option<u64>,
}
