//! How a server synchronises its read-only replicas, and how it shows that: `sync` in the body of `PUT /models`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::world::timestamp::TimestampStyle;

/// The settings of a model's sync. Whatever is absent has the default that is named at the field.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SyncSettings {
    /// Whether the server has a read-only replica. Default true; without one nothing is synchronised.
    pub replica: bool,
    /// The status of the POST where there is no replica: one of success that is not 202. Default 200.
    pub no_replica_status: u16,
    /// Whether the path must name the server with its management suffix `:rw`. Default `either`: clients do both.
    pub suffix: Suffix,
    /// How long a sync is `Replicating`. Default 500.
    pub replicating_millis: u64,
    /// How long a sync is `Rehydrating` after that. Default 500.
    pub rehydrating_millis: u64,
    /// How long a sync that will be `Completed` is `Finalizing` before it. Default 0: not at all.
    pub finalizing_millis: u64,
    /// How a sync ends. Default `completed`.
    pub outcome: SyncOutcome,
    /// How the next syncs end, one after the other; then `outcome` holds again. Default none.
    pub outcomes: Vec<SyncOutcome>,
    /// How `syncstate` is written. Default `number`, as documented.
    pub state_style: StateStyle,
    /// How a poll is answered while the sync goes on. Default `ok`.
    pub poll_style: PollStyle,
    /// How a `Location` names the operation. Default `query`, as documented.
    pub location_style: LocationStyle,
    /// Whether only the newest `Location` is answered and older ones are unknown. Default false.
    pub locations_expire: bool,
    /// The `Retry-After` of the POST and of polls, in seconds. Default 1; 0 leaves it out.
    pub retry_after_seconds: u64,
    /// How long a new sync is unknown to GET by its id. Default 0.
    pub get_lag_millis: u64,
    /// How long a new sync is unknown to GET without an id. Default 0.
    pub list_lag_millis: u64,
    /// What GET without an id answers, which is documented nowhere. Default `latest`.
    pub bare_get: BareGet,
    /// What a POST gets while a sync goes on. Default `refuse`.
    pub while_syncing: WhileSyncing,
    /// Whether a POST is accepted while a refresh goes on. Default true; it is documented nowhere.
    pub during_refresh: bool,
    /// The status of those two refusals. Default 409.
    pub refused_status: u16,
    /// The status of GET for a sync that the server does not know. Default 404.
    pub unknown_status: u16,
    /// How its timestamps are written. Default up to three digits and no `Z`, as documented.
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
    /// Only with it; without it the server is not found.
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
    /// `"Completed"`, as a client's own tests have it.
    Name,
}

/// The answer to a poll while the sync goes on. Once it has ended, a poll gets 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PollStyle {
    /// 200 with the state and a new `Location`.
    Ok,
    /// 202 with the state and a new `Location`.
    Accepted,
    /// 303 with a new `Location` and no body, as long as it goes on.
    SeeOther,
    /// 303 to a new `Location`, which answers 200 with the state and the next `Location`: in turns.
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

/// The answer to GET without an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BareGet {
    /// The latest sync.
    Latest,
    /// An array of all syncs, the newest first.
    List,
    /// The status for what is unknown.
    Unknown,
}

/// What a POST gets while a sync goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WhileSyncing {
    /// A refusal.
    Refuse,
    /// 202 and the id of the sync that goes on.
    Join,
}

/// How a sync ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SyncEnd {
    /// All replicas have the data.
    #[default]
    Completed,
    /// Some replica could not be synchronised.
    Failed,
    /// The server no longer knows what to say of it.
    Invalid,
}

/// How a sync is to go: a mere state, or with details.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "SyncOutcomeForm", rename_all = "camelCase")]
pub struct SyncOutcome {
    /// The state that it ends with.
    pub state: SyncEnd,
    /// What `details` says then. Default `null`, and a sentence for a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    /// In place of the model's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicating_millis: Option<u64>,
    /// In place of the model's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rehydrating_millis: Option<u64>,
    /// In place of the model's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finalizing_millis: Option<u64>,
}

/// The two ways to write a [`SyncOutcome`].
#[derive(Deserialize)]
#[serde(untagged, expecting = "a sync's outcome is completed, failed or invalid, or an object with such a state and details")]
enum SyncOutcomeForm {
    State(SyncEnd),
    Detailed(Detailed),
}

/// The long way to write a [`SyncOutcome`]; the fields are described there.
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
