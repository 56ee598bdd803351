//! What the local Azure tells of what was asked of it and of what came of that, whatever its clients see.

use serde::Deserialize;
use serde_json::Value;

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

impl Operation {
    /// Whether it has ended.
    #[must_use]
    pub fn ended(&self) -> bool {
        !matches!(self.status.as_str(), "notStarted" | "inProgress")
    }
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
