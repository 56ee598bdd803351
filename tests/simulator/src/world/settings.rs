//! The settings of one model: the course of its operations, and their presentation by the service. The bodies of `PUT /models`.

pub mod power_bi;
pub mod scale_out;
pub mod sync;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use self::{power_bi::PowerBiSettings, scale_out::ScaleOutSettings, sync::SyncSettings};
use super::{
    timestamp::TimestampStyle,
    verbatim::{self, Scripted, Template},
};

/// Groups of settings that a patch changes field by field.
const GROUPS: [&str; 3] = ["powerBI", "scaleOut", "sync"];

/// A model and its behavior in the control API. Each field's comment names its default.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ModelSettings {
    /// The server's name, `asazure://<rollout>.asazure.windows.net/<server>`. Required for Analysis Services.
    pub server: String,
    /// The model's (database's) name. Required for Analysis Services.
    pub database: String,
    /// The workspace's id. Required for Power BI, and only there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<Uuid>,
    /// The semantic model's id. Required for Power BI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_id: Option<Uuid>,
    /// The workspace's name. Default `Workspace`.
    pub workspace: String,
    /// The semantic model's name. Default `Dataset`.
    pub dataset: String,
    /// The host of the Power BI API that has the workspace. Default `api.powerbi.com`.
    pub api_host: String,
    /// The applications that may refresh it. Absent: every registered application.
    pub administrators: Option<Vec<Principal>>,
    /// Its tables and partitions. Default: those of the example, `DimCustomer`, `DimDate` and `FactSales`.
    pub tables: Vec<Table>,
    /// How long an accepted operation stays `notStarted`. Default 200.
    pub not_started_millis: u64,
    /// How long one attempt of an operation is `inProgress`. Default 2000.
    pub duration_millis: u64,
    /// How an operation ends. Default `succeeded`.
    pub outcome: Outcome,
    /// Results of the next operations, in order; then `outcome` applies again. Default none.
    pub outcomes: Vec<Outcome>,
    /// The messages of a failed operation. Default: one message of a data source that refused the credentials.
    pub messages: Option<Vec<Message>>,
    /// The objects that fail in a failed operation. Default: those in progress.
    pub failed_objects: Vec<FailedObject>,
    /// How long the list omits a new operation. Default 0.
    pub list_lag_millis: u64,
    /// How long a new operation is unknown to GET by its id. Default 0.
    pub get_lag_millis: u64,
    /// How long an operation continues after DELETE before it is `cancelled`. Default 200.
    pub cancel_millis: u64,
    /// The order of the list, which the documentation does not specify. Default `newest`.
    pub list_order: ListOrder,
    /// The format of timestamps. Default seven digits and `Z`.
    pub timestamp_style: TimestampStyle,
    /// How far the server's clock is ahead, in its timestamps and headers. Default 0; negative values are behind.
    pub clock_skew_millis: i64,
    /// Whether the server is paused: every call is refused with `ServerPausedOrScaling`. For Power BI, whether the capacity is paused:
    /// refreshes are suspended and new ones are refused. Default false.
    pub paused: bool,
    /// The status of that refusal, which is undocumented. Default 400, as for the service's other refusals.
    pub paused_status: u16,
    /// The body of 409, which is undocumented. Default: the service's usual error body.
    pub conflict_body: Option<Value>,
    /// The status of DELETE while the operation runs. Default 200.
    pub delete_status: u16,
    /// The status of DELETE after the operation has ended, without effect. Default 200.
    pub delete_ended_status: u16,
    /// The status of DELETE for an id that the service does not know. Default 404.
    pub delete_unknown_status: u16,
    /// The status of GET for an id that the service does not know. Default 404.
    pub get_unknown_status: u16,
    /// Number of ended operations of past days that the list shows besides the real ones. Default 0.
    pub past_operations: u32,
    /// The rows of the list, unchanged; a string is the text of a row. `{own}` stands for those of the model's operations. Default
    /// `["{own}"]`.
    pub rows: Vec<Template>,
    /// Responses to GET by id in place of the service's details, by id; `*` is every other id. Default none.
    pub details: BTreeMap<String, Scripted>,
    /// A merge patch of the rows of the model's operations. Default none.
    pub row_patch: Template,
    /// A merge patch of the details of the model's operations. Default none.
    pub detail_patch: Template,
    /// Syncs of Analysis Services.
    pub sync: SyncSettings,
    /// Settings that only Power BI has.
    #[serde(rename = "powerBI")]
    pub power_bi: PowerBiSettings,
    /// Query scale-out of Power BI.
    pub scale_out: ScaleOutSettings,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            server: String::new(),
            database: String::new(),
            group_id: None,
            dataset_id: None,
            workspace: "Workspace".to_owned(),
            dataset: "Dataset".to_owned(),
            api_host: "api.powerbi.com".to_owned(),
            administrators: None,
            tables: example_tables(),
            not_started_millis: 200,
            duration_millis: 2_000,
            outcome: Outcome::default(),
            outcomes: Vec::new(),
            messages: None,
            failed_objects: Vec::new(),
            list_lag_millis: 0,
            get_lag_millis: 0,
            cancel_millis: 200,
            list_order: ListOrder::Newest,
            timestamp_style: TimestampStyle::default(),
            clock_skew_millis: 0,
            paused: false,
            paused_status: 400,
            conflict_body: None,
            delete_status: 200,
            delete_ended_status: 200,
            delete_unknown_status: 404,
            get_unknown_status: 404,
            past_operations: 0,
            rows: verbatim::own_rows(),
            details: BTreeMap::new(),
            row_patch: Template::default(),
            detail_patch: Template::default(),
            sync: SyncSettings::default(),
            power_bi: PowerBiSettings::default(),
            scale_out: ScaleOutSettings::default(),
        }
    }
}

impl ModelSettings {
    /// The workspace's and the semantic model's id, if it is in Power BI.
    #[must_use]
    pub fn power_bi_ids(&self) -> Option<(Uuid, Uuid)> {
        self.group_id.zip(self.dataset_id)
    }

    /// The timestamp format of its list.
    #[must_use]
    pub fn list_style(&self) -> TimestampStyle {
        if self.power_bi_ids().is_some() { self.power_bi.list_timestamp_style } else { self.timestamp_style }
    }

    /// The server's clock.
    #[must_use]
    pub fn server_time(&self, time: Timestamp) -> Timestamp {
        time.saturating_add(SignedDuration::from_millis(self.clock_skew_millis)).unwrap_or(time)
    }

    /// Replaces `now` in verbatim settings by this time, so that it is fixed.
    pub fn pin(&mut self, now: Timestamp) {
        let bodies = self.details.values_mut().filter_map(|response| response.body.as_mut());
        for template in self.rows.iter_mut().chain(bodies).chain([&mut self.row_patch, &mut self.detail_patch]) {
            template.pin(now);
        }
    }

    /// Whether an application may use it.
    #[must_use]
    pub fn admits(&self, tenant: &str, client: &str) -> bool {
        self.administrators.as_ref().is_none_or(|administrators| {
            let same = |principal: &Principal| {
                principal.tenant_id.eq_ignore_ascii_case(tenant) && principal.client_id.eq_ignore_ascii_case(client)
            };
            administrators.iter().any(same)
        })
    }

    /// These settings with the fields of `patch` applied; `null` restores a default. Of `sync`, `powerBI` and `scaleOut` only the named
    /// fields change.
    ///
    /// # Errors
    /// When the patch is not an object, or a field of it is unknown or of the wrong type.
    pub fn patched(&self, patch: &Value) -> Result<Self, serde_json::Error> {
        let mut merged = serde_json::to_value(self)?;
        if let (Some(fields), Some(changes)) = (merged.as_object_mut(), patch.as_object()) {
            for (name, value) in changes {
                match (fields.get_mut(name).and_then(Value::as_object_mut), value.as_object()) {
                    (Some(group), Some(changes)) if GROUPS.contains(&name.as_str()) => set_fields(group, changes),
                    _ => set_field(fields, name, value),
                }
            }
            serde_json::from_value(merged)
        } else {
            serde_json::from_value(patch.clone())
        }
    }
}

fn set_fields(fields: &mut Map<String, Value>, changes: &Map<String, Value>) {
    for (name, value) in changes {
        set_field(fields, name, value);
    }
}

/// Sets a field; `null` removes it, so that its default applies.
fn set_field(fields: &mut Map<String, Value>, name: &str, value: &Value) {
    if value.is_null() {
        fields.remove(name);
    } else {
        fields.insert(name.to_owned(), value.clone());
    }
}

/// An application in its tenant.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Principal {
    /// The tenant's id.
    pub tenant_id: String,
    /// The application's (client's) id.
    pub client_id: String,
}

/// A table and the names of its partitions.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Table {
    /// The table's name.
    pub name: String,
    /// Its partitions. Empty: one with the table's name, as the designers create it.
    #[serde(default)]
    pub partitions: Vec<String>,
}

/// The result of an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// All objects were refreshed.
    #[default]
    Succeeded,
    /// An object could not be refreshed.
    Failed,
    /// The service's time limit has passed.
    TimedOut,
    /// A client or the service cancelled it.
    Cancelled,
    /// Power BI only: selective refresh disabled it.
    Disabled,
}

/// The planned course of an operation: a status, or a status with details.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "OutcomeForm", rename_all = "camelCase")]
pub struct Outcome {
    /// The final status.
    pub status: End,
    /// Number of attempts that fail first. Absent: all of them for `failed` and `timedOut`, otherwise none. The operation's `retryCount`
    /// limits the service's automatic attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_attempts: Option<u32>,
    /// Number of failed attempts that the service repeats besides those of `retryCount`. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_retries: Option<u32>,
    /// Overrides the model's messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<Message>>,
    /// Overrides the model's failed objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_objects: Option<Vec<FailedObject>>,
    /// Overrides the model's time before the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_started_millis: Option<u64>,
    /// Overrides the model's duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_millis: Option<u64>,
}

impl From<End> for Outcome {
    fn from(status: End) -> Self {
        Self { status, ..Self::default() }
    }
}

/// The two forms of an [`Outcome`].
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "an outcome is succeeded, failed, timedOut, cancelled or disabled, or an object with such a status and details"
)]
enum OutcomeForm {
    Status(End),
    Detailed(Detailed),
}

/// The long form of an [`Outcome`], which describes the fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Detailed {
    status: End,
    failed_attempts: Option<u32>,
    internal_retries: Option<u32>,
    messages: Option<Vec<Message>>,
    failed_objects: Option<Vec<FailedObject>>,
    not_started_millis: Option<u64>,
    duration_millis: Option<u64>,
}

impl From<OutcomeForm> for Outcome {
    fn from(form: OutcomeForm) -> Self {
        match form {
            OutcomeForm::Status(status) => status.into(),
            OutcomeForm::Detailed(detailed) => {
                let Detailed { status, failed_attempts, internal_retries, messages, failed_objects, not_started_millis, duration_millis } =
                    detailed;
                Self { status, failed_attempts, internal_retries, messages, failed_objects, not_started_millis, duration_millis }
            }
        }
    }
}

/// A message of the service about an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Message {
    /// The service's code, a string or a number; often absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Value>,
    /// The text.
    pub message: String,
    /// `Error` or `Warning`.
    #[serde(rename = "type", default = "error_type")]
    pub kind: String,
}

fn error_type() -> String {
    "Error".to_owned()
}

impl Message {
    /// An error without a code, as the service reports errors of a data source.
    #[must_use]
    pub fn error(message: impl Into<String>) -> Self {
        Self { code: None, message: message.into(), kind: error_type() }
    }
}

/// An object that fails: a whole table, or one of its partitions.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FailedObject {
    /// The table's name.
    pub table: String,
    /// The partition's name. Absent: all partitions of the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
}

/// The order of the list of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ListOrder {
    /// Newest first, as in the documentation's example.
    Newest,
    /// Oldest first.
    Oldest,
    /// Unordered, but stable between calls.
    Shuffled,
}

/// The tables of the documentation's example.
fn example_tables() -> Vec<Table> {
    let table =
        |name: &str, partitions: &[&str]| Table { name: name.to_owned(), partitions: partitions.iter().map(ToString::to_string).collect() };
    vec![
        table("DimCustomer", &["DimCustomer"]),
        table("DimDate", &["DimDate"]),
        table("FactSales", &["FactSales 2023", "FactSales 2024", "FactSales 2025", "FactSales 2026"]),
    ]
}
