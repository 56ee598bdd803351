//! Operations in the control API: those of other clients, and changes to the course of any operation.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State as Shared},
    http::StatusCode,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{JsonResult, Refused, done, read};
use crate::{
    analysis_services::{refresh_type, task_from_value},
    state::State,
    world::{
        Lookup, SharedModel,
        model::{Busy, Model},
        operation::Client,
        settings::{
            End, Message, Outcome,
            sync::{SyncEnd, SyncOutcome},
        },
        task::Origin,
    },
};

/// Names of a model: `server` and `database`, or `groupId` and `datasetId`.
pub struct Name<'a> {
    /// The server, `asazure://…`.
    pub server: Option<&'a str>,
    /// The database.
    pub database: Option<&'a str>,
    /// The workspace's id.
    pub group: Option<Uuid>,
    /// The semantic model's id.
    pub dataset: Option<Uuid>,
}

/// Finds a model by its names.
pub fn find(state: &State, name: &Name<'_>) -> Result<SharedModel, Refused> {
    if let (Some(group), Some(dataset)) = (name.group, name.dataset) {
        let missing = || Refused::missing(format!("semantic model {dataset} not found in workspace {group}: create it with PUT /models"));
        return state.world.find_dataset(group, dataset).ok_or_else(missing);
    }
    let (Some(server), Some(database)) = (name.server, name.database) else {
        return Err(Refused::bad("name a model by server and database, or by groupId and datasetId"));
    };
    match state.world.find(server, database) {
        Lookup::Found(model) => Ok(model),
        Lookup::NoServer | Lookup::NoModel(_) => {
            Err(Refused::missing(format!("model '{database}' not found on '{server}': create it with PUT /models")))
        }
    }
}

/// The kind of an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// A refresh of the model.
    #[default]
    Refresh,
    /// A sync to read-only replicas.
    Sync,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Start {
    server: Option<String>,
    database: Option<String>,
    group_id: Option<Uuid>,
    dataset_id: Option<Uuid>,
    #[serde(default)]
    kind: Kind,
    #[serde(default, rename = "type")]
    processing: Option<String>,
    #[serde(default)]
    refresh_type: Option<Origin>,
    #[serde(default)]
    objects: Option<Value>,
    #[serde(default)]
    max_parallelism: Option<u32>,
    #[serde(default)]
    duration_millis: Option<u64>,
    #[serde(default)]
    outcome: Option<Value>,
}

/// Starts a refresh or a sync as another client would.
pub async fn start(Shared(state): Shared<Arc<State>>, body: Bytes) -> JsonResult<Value> {
    let start: Start = read(&body)?;
    let (server, database) = (start.server.as_deref(), start.database.as_deref());
    let model = find(&state, &Name { server, database, group: start.group_id, dataset: start.dataset_id })?;
    let sequence = state.ledger.next_sequence();
    let mut model = model.lock();
    let now = Timestamp::now();
    model.settle(now);
    let started = match start.kind {
        Kind::Refresh => start_refresh(&mut model, start, sequence, now),
        Kind::Sync => start_sync(&mut model, start, sequence, now),
    };
    Ok(Json(json!({"operationId": started?})))
}

fn start_refresh(model: &mut Model, start: Start, sequence: u64, now: Timestamp) -> Result<Uuid, Refused> {
    let processing = start.processing.unwrap_or_else(|| "full".to_owned());
    if refresh_type(&processing).is_none() {
        return Err(Refused::bad(format!("'{processing}' is not a type of refresh")));
    }
    let task = json!({"type": processing, "objects": start.objects, "maxParallelism": start.max_parallelism});
    let mut task = task_from_value(&task).map_err(Refused::bad)?;
    task.origin = start.refresh_type.unwrap_or(task.origin);
    let mut outcome: Outcome = match start.outcome {
        Some(outcome) => serde_json::from_value(outcome).map_err(Refused::bad)?,
        None => model.settings().outcome.clone(),
    };
    outcome.duration_millis = start.duration_millis.or(outcome.duration_millis);
    let busy = |Busy(id)| Refused(StatusCode::CONFLICT, format!("the operation {id} is running on this model"));
    model.submit(Client::Control, task, Some(outcome), sequence, now).map_err(busy)
}

fn start_sync(model: &mut Model, start: Start, sequence: u64, now: Timestamp) -> Result<Uuid, Refused> {
    if start.processing.is_some() || start.refresh_type.is_some() || start.objects.is_some() || start.max_parallelism.is_some() {
        return Err(Refused::bad("a sync has no type, refreshType, objects or maxParallelism"));
    }
    if model.settings().power_bi_ids().is_some() {
        return Ok(model.sync_replicas(Client::Control, sequence, now));
    }
    if let Some(running) = model.syncs.running(now) {
        return Err(Refused(StatusCode::CONFLICT, format!("the sync {} is running on this model", running.id)));
    }
    let mut outcome: Option<SyncOutcome> = start.outcome.map(serde_json::from_value).transpose().map_err(Refused::bad)?;
    if let Some(millis) = start.duration_millis {
        let outcome = outcome.get_or_insert_with(|| model.settings().sync.outcome.clone());
        (outcome.replicating_millis, outcome.rehydrating_millis) = (Some(millis), Some(0));
    }
    let settings = model.settings().sync.clone();
    Ok(model.syncs.submit(Client::Control, outcome, &settings, sequence, now).id)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Ending {
    outcome: Value,
    #[serde(default)]
    messages: Option<Vec<Message>>,
}

/// Ends an operation now.
pub async fn end(Shared(state): Shared<Arc<State>>, Path(id): Path<Uuid>, body: Bytes) -> JsonResult<Value> {
    let Ending { outcome, messages } = read(&body)?;
    let now = Timestamp::now();
    let model = model_of(&state, id)?;
    let mut model = model.lock();
    model.settle(now);
    if let Some(operation) = model.find_mut(id) {
        let outcome: Outcome = serde_json::from_value(outcome).map_err(Refused::bad)?;
        operation.end(now, outcome.status, messages.or(outcome.messages).unwrap_or_default());
    } else if let Some(sync) = model.syncs.find_mut(id) {
        let outcome: SyncOutcome = serde_json::from_value(outcome).map_err(Refused::bad)?;
        sync.end(now, outcome.state, outcome.details);
    } else {
        model.scale_out.end(id, now);
    }
    model.settle(now);
    Ok(done())
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Vanishing {
    #[serde(default)]
    ended: bool,
}

/// Makes the service forget an operation. The operation still occupies the model unless the body states that it has ended.
pub async fn vanish(Shared(state): Shared<Arc<State>>, Path(id): Path<Uuid>, body: Bytes) -> JsonResult<Value> {
    let Vanishing { ended } = if body.is_empty() { Vanishing::default() } else { read(&body)? };
    let now = Timestamp::now();
    let model = model_of(&state, id)?;
    let mut model = model.lock();
    if let Some(operation) = model.find_mut(id) {
        operation.vanished = true;
        if ended {
            operation.end(now, End::Cancelled, Vec::new());
        }
    } else if let Some(sync) = model.syncs.find_mut(id) {
        sync.vanished = true;
        if ended {
            sync.end(now, SyncEnd::Invalid, None);
        }
    }
    Ok(done())
}

fn model_of(state: &State, id: Uuid) -> Result<SharedModel, Refused> {
    state.world.model_of(id).ok_or_else(|| Refused::missing(format!("operation {id} not found")))
}
