//! Behavior that only Power BI has: `powerBI` in the body of `PUT /models`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::world::{task::Origin, timestamp::TimestampStyle};

/// The settings of a semantic model. Each field's comment names its default.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct PowerBiSettings {
    /// The response to a POST while a refresh is in progress. Default `refuse`.
    pub when_busy: WhenBusy,
    /// Number of refreshes that the API accepts in 24 hours; then 400. Default none: unlimited.
    pub daily_limit: Option<u32>,
    /// The body of that refusal. Default: the reported one.
    pub limit_body: Option<Value>,
    /// The language of the refusals' texts. Default `english`.
    pub language: Language,
    /// The refusal of all calls for this model. Default none.
    pub refusal: Option<Refusal>,
    /// The refusal of clients that are not in `administrators`. Default `notFound`.
    pub unauthorized_refusal: Refusal,
    /// The `Retry-After` of the refusal `throttled`, in seconds. Default 1.
    pub retry_after_seconds: u64,
    /// The response to an unsupported combination of parameters. Default `refuse`; both are reported.
    pub validation: Validation,
    /// The status of GET by id while the refresh is in progress. Default 202, as documented; 200 was also observed.
    pub running_status: u16,
    /// The value of `status` while a refresh is in progress. Default `unknown`, as captured.
    pub status_style: StatusStyle,
    /// Whether GET by id shows objects while the refresh is in progress. Default false, as captured.
    pub objects_while_running: bool,
    /// Whether `extendedStatus` is `Cancelling` between DELETE and the end. Default false.
    pub shows_cancelling: bool,
    /// Whether the list is a bare array, as one page documents it. Default false.
    pub bare_list: bool,
    /// The type of an enhanced refresh in the list. Default `ViaEnhancedApi`; formerly `ReliableProcessing`.
    pub enhanced_type: String,
    /// The types of refreshes whose rows have no `requestId`. Default none; reported for refreshes from the portal, `OnDemand`.
    pub nameless_types: Vec<Origin>,
    /// Number of entries in the list without `$top`. Default 60.
    pub default_top: u32,
    /// The status of DELETE after the refresh has ended. Default 409.
    pub delete_ended_status: u16,
    /// The timestamp format of GET by id. Default up to three digits and no `Z`, as captured.
    pub detail_timestamp_style: TimestampStyle,
    /// The timestamp format of the list. Default up to three digits and `Z`, as captured.
    pub list_timestamp_style: TimestampStyle,
    /// Maximum duration of one attempt without `timeout`. Default 5 hours.
    pub attempt_limit_millis: u64,
    /// Maximum duration of all attempts. Default 24 hours.
    pub total_limit_millis: u64,
    /// How long a refresh survives a paused capacity before it times out. Default 6 hours.
    pub pause_limit_millis: u64,
    /// Tables with an incremental refresh policy: a request must not name their partitions while the policy is applied. Default none.
    pub incremental_tables: Vec<String>,
}

const HOUR: u64 = 3_600_000;

impl Default for PowerBiSettings {
    fn default() -> Self {
        Self {
            when_busy: WhenBusy::Refuse,
            daily_limit: None,
            limit_body: None,
            language: Language::English,
            refusal: None,
            unauthorized_refusal: Refusal::NotFound,
            retry_after_seconds: 1,
            validation: Validation::Refuse,
            running_status: 202,
            status_style: StatusStyle::Unknown,
            objects_while_running: false,
            shows_cancelling: false,
            bare_list: false,
            enhanced_type: "ViaEnhancedApi".to_owned(),
            nameless_types: Vec::new(),
            default_top: 60,
            delete_ended_status: 409,
            detail_timestamp_style: TimestampStyle { digits: 3, zone: false, trim_zeros: true },
            list_timestamp_style: TimestampStyle { digits: 3, zone: true, trim_zeros: true },
            attempt_limit_millis: 5 * HOUR,
            total_limit_millis: 24 * HOUR,
            pause_limit_millis: 6 * HOUR,
            incremental_tables: Vec::new(),
        }
    }
}

/// The response to a POST while a refresh is in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WhenBusy {
    /// 400 "already executing".
    Refuse,
    /// 409, as in older documentation.
    Conflict,
    /// 202, and the request is dropped: its id never becomes known.
    Drop,
    /// 202: the next one is queued, and all others are dropped.
    Queue,
}

/// A language of the service's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum Language {
    English,
    German,
    Chinese,
}

/// A refusal of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Refusal {
    /// 401 `PowerBINotAuthorizedException`.
    NotAuthorized,
    /// 401 without a body: the tenant does not admit service principals.
    TenantSetting,
    /// 403 `API is not accessible for application`.
    NotAccessible,
    /// 403 `TokenExpired`.
    TokenExpired,
    /// 404 `PowerBIEntityNotFound`: missing, or not accessible.
    NotFound,
    /// 429 with `Retry-After`.
    Throttled,
}

/// The response to an unsupported combination of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Validation {
    /// 400.
    Refuse,
    /// 202, and the refresh fails with a message.
    Fail,
}

/// The value of `status` while a refresh is in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StatusStyle {
    /// `Unknown`; `extendedStatus` has the details.
    Unknown,
    /// `NotStarted` and `InProgress`, as one page documents it, and no `extendedStatus`.
    Plain,
}
