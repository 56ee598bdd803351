//! The settings of one model: what its operations do, and how the service shows them. The bodies of `PUT /models`.

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

/// A model and its behaviour, as the control API takes it. Whatever is absent has the default that is named at the field.
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
    /// Who may refresh it. Absent: every registered application.
    pub administrators: Option<Vec<Principal>>,
    /// Its tables and partitions. Default: those of the example, `DimCustomer`, `DimDate` and `FactSales`.
    pub tables: Vec<Table>,
    /// How long an accepted operation stays `notStarted`. Default 200.
    pub not_started_millis: u64,
    /// How long one attempt of an operation is `inProgress`. Default 2000.
    pub duration_millis: u64,
    /// How an operation ends. Default `succeeded`.
    pub outcome: Outcome,
    /// How the next operations end, one after the other; then `outcome` holds again. Default none.
    pub outcomes: Vec<Outcome>,
    /// What a failed operation says. Default: one message of a data source that refused the credentials.
    pub messages: Option<Vec<Message>>,
    /// Which objects of a failed operation have failed. Default: those that it was working on.
    pub failed_objects: Vec<FailedObject>,
    /// How long a new operation is missing from the list. Default 0.
    pub list_lag_millis: u64,
    /// How long a new operation is unknown to GET by its id. Default 0.
    pub get_lag_millis: u64,
    /// How long an operation goes on after DELETE before it is `cancelled`. Default 200.
    pub cancel_millis: u64,
    /// The order of the list, which the documentation does not promise. Default `newest`.
    pub list_order: ListOrder,
    /// How timestamps are written. Default seven digits and `Z`.
    pub timestamp_style: TimestampStyle,
    /// How far the server's clock is ahead, in its timestamps and headers. Default 0; negative is behind.
    pub clock_skew_millis: i64,
    /// Whether the server is paused: every call is refused with `ServerPausedOrScaling`; or whether the capacity is: refreshes
    /// stand still, and no new one is accepted. Default false.
    pub paused: bool,
    /// The status of that refusal, which is documented nowhere. Default 400, as for the service's other refusals.
    pub paused_status: u16,
    /// The body of 409, which is documented nowhere. Default: the service's usual error body.
    pub conflict_body: Option<Value>,
    /// The status of DELETE while it runs. Default 200.
    pub delete_status: u16,
    /// The status of DELETE once it has ended; it has no effect then. Default 200.
    pub delete_ended_status: u16,
    /// The status of DELETE for an id that the service does not know. Default 404.
    pub delete_unknown_status: u16,
    /// The status of GET for an id that the service does not know. Default 404.
    pub get_unknown_status: u16,
    /// How many ended operations of the past days the list shows besides the real ones. Default 0.
    pub past_operations: u32,
    /// The rows of the list: as they are given, a text as the text of a row. `{own}` stands for those of the model's operations.
    /// Default `["{own}"]`.
    pub rows: Vec<Template>,
    /// What GET of an id gets instead of the service's details, by id; `*` is every other id. Default none.
    pub details: BTreeMap<String, Scripted>,
    /// A merge patch of the rows of the model's operations. Default none.
    pub row_patch: Template,
    /// A merge patch of the details of the model's operations. Default none.
    pub detail_patch: Template,
    /// Syncs of Analysis Services.
    pub sync: SyncSettings,
    /// What Power BI alone does.
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
    /// The workspace's and the semantic model's id, where it is one of Power BI.
    #[must_use]
    pub fn power_bi_ids(&self) -> Option<(Uuid, Uuid)> {
        self.group_id.zip(self.dataset_id)
    }

    /// How its list writes the time.
    #[must_use]
    pub fn list_style(&self) -> TimestampStyle {
        if self.power_bi_ids().is_some() { self.power_bi.list_timestamp_style } else { self.timestamp_style }
    }

    /// What the server's clock shows.
    #[must_use]
    pub fn server_time(&self, time: Timestamp) -> Timestamp {
        time.saturating_add(SignedDuration::from_millis(self.clock_skew_millis)).unwrap_or(time)
    }

    /// Replaces `now` in what is served verbatim by this time, so that it does not move.
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

    /// These settings with the fields of `patch` laid over them; `null` brings a default back. Of `sync`, `powerBI` and `scaleOut`
    /// only the fields that are named change.
    ///
    /// # Errors
    /// When the patch is not an object, or a field of it is unknown or of the wrong type.
    pub fn patched(&self, patch: &Value) -> Result<Self, serde_json::Error> {
        let mut merged = serde_json::to_value(self)?;
        if let (Some(fields), Some(changes)) = (merged.as_object_mut(), patch.as_object()) {
            for (name, value) in changes {
                match (fields.get_mut(name).and_then(Value::as_object_mut), value.as_object()) {
                    (Some(group), Some(changes)) if GROUPS.contains(&name.as_str()) => lay_over(group, changes),
                    _ => lay(fields, name, value),
                }
            }
            serde_json::from_value(merged)
        } else {
            serde_json::from_value(patch.clone())
        }
    }
}

fn lay_over(fields: &mut Map<String, Value>, changes: &Map<String, Value>) {
    for (name, value) in changes {
        lay(fields, name, value);
    }
}

/// Sets a field; `null` leaves it out, so that its default holds.
fn lay(fields: &mut Map<String, Value>, name: &str, value: &Value) {
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
    /// Its partitions. None: one that is named as the table is, which is what the designers make.
    #[serde(default)]
    pub partitions: Vec<String>,
}

/// How an operation ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// All objects were refreshed.
    #[default]
    Succeeded,
    /// Some object could not be refreshed.
    Failed,
    /// The service gave up for its time limit.
    TimedOut,
    /// Somebody, or the service itself, has cancelled it.
    Cancelled,
    /// Power BI alone: selective refresh has disabled it.
    Disabled,
}

/// How an operation is to go: a mere status, or with details.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "OutcomeForm", rename_all = "camelCase")]
pub struct Outcome {
    /// The status that it ends with.
    pub status: End,
    /// Attempts that fail before that. Absent: all of them for `failed` and `timedOut`, otherwise none. The operation's
    /// `retryCount` says how many more attempts the service makes by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_attempts: Option<u32>,
    /// In place of the model's messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<Message>>,
    /// In place of the model's failed objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_objects: Option<Vec<FailedObject>>,
    /// In place of the model's time before the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_started_millis: Option<u64>,
    /// In place of the model's duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_millis: Option<u64>,
}

impl From<End> for Outcome {
    fn from(status: End) -> Self {
        Self { status, ..Self::default() }
    }
}

/// The two ways to write an [`Outcome`].
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "an outcome is succeeded, failed, timedOut, cancelled or disabled, or an object with such a status and details"
)]
enum OutcomeForm {
    Status(End),
    Detailed(Detailed),
}

/// The long way to write an [`Outcome`]; the fields are described there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Detailed {
    status: End,
    failed_attempts: Option<u32>,
    messages: Option<Vec<Message>>,
    failed_objects: Option<Vec<FailedObject>>,
    not_started_millis: Option<u64>,
    duration_millis: Option<u64>,
}

impl From<OutcomeForm> for Outcome {
    fn from(form: OutcomeForm) -> Self {
        match form {
            OutcomeForm::Status(status) => status.into(),
            OutcomeForm::Detailed(Detailed { status, failed_attempts, messages, failed_objects, not_started_millis, duration_millis }) => {
                Self { status, failed_attempts, messages, failed_objects, not_started_millis, duration_millis }
            }
        }
    }
}

/// A message of the service about an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Message {
    /// The service's code, a text or a number; often absent.
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
    /// An error without a code, as the service gives for what a data source has said.
    #[must_use]
    pub fn error(message: impl Into<String>) -> Self {
        Self { code: None, message: message.into(), kind: error_type() }
    }
}

/// An object that fails: a whole table, or one partition of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FailedObject {
    /// The table's name.
    pub table: String,
    /// The partition's name. Absent: all of the table's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
}

/// The order of the list of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ListOrder {
    /// The newest first, as the documentation's example has it.
    Newest,
    /// The oldest first.
    Oldest,
    /// In no order, but the same at each call.
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
