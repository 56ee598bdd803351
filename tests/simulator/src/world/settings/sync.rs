//! The sync of a server's read-only replicas, and its presentation: `sync` in the body of `PUT /models`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::world::timestamp::TimestampStyle;

/// The settings of a model's sync. Each field's comment names its default.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SyncSettings {
    /// Whether the server has a read-only replica. Default true; without one nothing is synchronized.
    pub replica: bool,
    /// The status of the POST without a replica: a success other than 202. Default 200.
    pub no_replica_status: u16,
    /// Whether the path must contain the server's management suffix `:rw`. Default `either`: clients do both.
    pub suffix: Suffix,
    /// How long a sync is `Replicating`. Default 500.
    pub replicating_millis: u64,
    /// How long a sync is `Rehydrating` after that. Default 500.
    pub rehydrating_millis: u64,
    /// How long a sync is `Finalizing` before it is `Completed`. Default 0: not at all.
    pub finalizing_millis: u64,
    /// The result of a sync. Default `completed`.
    pub outcome: SyncOutcome,
    /// Results of the next syncs, in order; then `outcome` applies again. Default none.
    pub outcomes: Vec<SyncOutcome>,
    /// The format of `syncstate`. Default `number`, as documented.
    pub state_style: StateStyle,
    /// The response to a poll while the sync is in progress. Default `ok`.
    pub poll_style: PollStyle,
    /// The form of the operation in a `Location`. Default `query`, as documented.
    pub location_style: LocationStyle,
    /// Whether only the newest `Location` is valid and older ones are unknown. Default false.
    pub locations_expire: bool,
    /// The `Retry-After` of the POST and of polls, in seconds. Default 1; 0 omits it.
    pub retry_after_seconds: u64,
    /// How long a new sync is unknown to GET by its id. Default 0.
    pub get_lag_millis: u64,
    /// How long a new sync is unknown to GET without an id. Default 0.
    pub list_lag_millis: u64,
    /// The response to GET without an id, which is undocumented. Default `latest`.
    pub bare_get: BareGet,
    /// The response to a POST while a sync is in progress. Default `refuse`.
    pub while_syncing: WhileSyncing,
    /// Whether a POST is accepted while a refresh is in progress. Default true; this is undocumented.
    pub during_refresh: bool,
    /// The status of those two refusals. Default 409.
    pub refused_status: u16,
    /// The status of GET for a sync that the server does not know. Default 404.
    pub unknown_status: u16,
    /// The format of its timestamps. Default up to three digits and no `Z`, as documented.
    pub timestamp_style: TimestampStyle,
}

impl Default for SyncSettings {
    fn default() -> Self {
        Self {
            replica: true,
            no_replica_status: 200,
            suffix: Suffix::Either,
            replicating_millis: 500,
            rehydrating_millis: 500,
            finalizing_millis: 0,
            outcome: SyncOutcome::default(),
            outcomes: Vec::new(),
            state_style: StateStyle::Number,
            poll_style: PollStyle::Ok,
            location_style: LocationStyle::Query,
            locations_expire: false,
            retry_after_seconds: 1,
            get_lag_millis: 0,
            list_lag_millis: 0,
            bare_get: BareGet::Latest,
            while_syncing: WhileSyncing::Refuse,
            during_refresh: true,
            refused_status: 409,
            unknown_status: 404,
            timestamp_style: TimestampStyle { digits: 3, zone: false, trim_zeros: true },
        }
    }
}

/// The management suffix `:rw` of the server's name in a sync's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Suffix {
    /// With or without it.
    Either,
    /// Only with it; otherwise the server is not found.
    Required,
    /// Only without it.
    Refused,
}

/// The form of `syncstate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StateStyle {
    /// `2`, as documented.
    Number,
    /// `"2"`.
    NumericText,
    /// `"Completed"`, as in the tests of a client.
    Name,
}

/// The response to a poll while the sync is in progress. After its end, a poll gets 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PollStyle {
    /// 200 with the state and a new `Location`.
    Ok,
    /// 202 with the state and a new `Location`.
    Accepted,
    /// 303 with a new `Location` and no body while it is in progress.
    SeeOther,
    /// 303 to a new `Location`, which responds with 200, the state and the next `Location`; the two alternate.
    Alternating,
}

/// The form of a sync's `Location`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LocationStyle {
    /// `…/sync?operationId=<id>`.
    Query,
    /// `…/sync/<id>`.
    Path,
}

/// The response to GET without an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BareGet {
    /// The latest sync.
    Latest,
    /// An array of all syncs, newest first.
    List,
    /// The status for an unknown sync.
    Unknown,
}

/// The response to a POST while a sync is in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WhileSyncing {
    /// A refusal.
    Refuse,
    /// 202 and the id of the sync in progress.
    Join,
}

/// The result of a sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SyncEnd {
    /// All replicas have the data.
    #[default]
    Completed,
    /// A replica could not be synchronized.
    Failed,
    /// The server no longer has the sync's state.
    Invalid,
}

/// The planned course of a sync: a state, or a state with details.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "SyncOutcomeForm", rename_all = "camelCase")]
pub struct SyncOutcome {
    /// The final state.
    pub state: SyncEnd,
    /// The final value of `details`. Default `null`, and a message for a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    /// Overrides the model's setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicating_millis: Option<u64>,
    /// Overrides the model's setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rehydrating_millis: Option<u64>,
    /// Overrides the model's setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finalizing_millis: Option<u64>,
}

/// The two forms of a [`SyncOutcome`].
#[derive(Deserialize)]
#[serde(untagged, expecting = "a sync's outcome is completed, failed or invalid, or an object with such a state and details")]
enum SyncOutcomeForm {
    State(SyncEnd),
    Detailed(Detailed),
}

/// The long form of a [`SyncOutcome`], which describes the fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Detailed {
    state: SyncEnd,
    details: Option<Value>,
    replicating_millis: Option<u64>,
    rehydrating_millis: Option<u64>,
    finalizing_millis: Option<u64>,
}

impl From<SyncOutcomeForm> for SyncOutcome {
    fn from(form: SyncOutcomeForm) -> Self {
        match form {
            SyncOutcomeForm::State(state) => Self { state, ..Self::default() },
            SyncOutcomeForm::Detailed(Detailed { state, details, replicating_millis, rehydrating_millis, finalizing_millis }) => {
                Self { state, details, replicating_millis, rehydrating_millis, finalizing_millis }
            }
        }
    }
}
