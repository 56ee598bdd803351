//! The control API's view of operations: the truth about them, and ways to make it other.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query as UrlQuery, State as Shared, rejection::QueryRejection},
    http::StatusCode,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Refused, done, read};
use crate::{
    analysis_services::{refresh_type, task_from_value},
    state::State,
    world::{
        Lookup, SharedModel,
        model::{Busy, Model},
        operation::{Client, Operation, Phase, RefreshType, Status},
        settings::{End, Message, Outcome},
    },
};

/// A model by its names.
pub fn find(state: &State, server: &str, database: &str) -> Result<SharedModel, Refused> {
    match state.world.find(server, database) {
        Lookup::Found(model) => Ok(model),
        Lookup::NoServer | Lookup::NoModel(_) => {
            Err(Refused::missing(format!("there is no model '{database}' on '{server}'; make it by PUT /models")))
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Start {
    server: String,
    database: String,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    objects: Option<Value>,
    #[serde(default)]
    max_parallelism: Option<u32>,
    #[serde(default)]
    duration_millis: Option<u64>,
    #[serde(default)]
    outcome: Option<Outcome>,
}

/// Starts a refresh as another client would.
pub async fn start(Shared(state): Shared<Arc<State>>, body: Bytes) -> Answer<Value> {
    let Start { server, database, kind, objects, max_parallelism, duration_millis, outcome } = read(&body)?;
    let model = find(&state, &server, &database)?;
    let kind = kind.unwrap_or_else(|| "full".to_owned());
    if refresh_type(&kind).is_none() {
        return Err(Refused::bad(format!("'{kind}' is no type of a refresh")));
    }
    let task = task_from_value(&json!({"type": kind, "objects": objects, "maxParallelism": max_parallelism})).map_err(Refused::bad)?;
    let mut model = model.lock();
    let mut outcome = outcome.unwrap_or_else(|| model.settings().outcome.clone());
    outcome.duration_millis = duration_millis.or(outcome.duration_millis);
    let submitted = model.submit(Client::Control, task, Some(outcome), state.ledger.next_sequence(), Timestamp::now());
    match submitted {
        Ok(id) => Ok(Json(json!({"operationId": id}))),
        Err(Busy(id)) => Err(Refused(StatusCode::CONFLICT, format!("the operation {id} is running on this model"))),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Ending {
    outcome: Outcome,
    #[serde(default)]
    messages: Option<Vec<Message>>,
}

/// Ends an operation now.
pub async fn end(Shared(state): Shared<Arc<State>>, Path(id): Path<Uuid>, body: Bytes) -> Answer<Value> {
    let Ending { outcome, messages } = read(&body)?;
    let messages = messages.or(outcome.messages).unwrap_or_default();
    change(&state, id, |operation| {
        operation.end(Timestamp::now(), outcome.status, messages);
    })
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Vanishing {
    #[serde(default)]
    ended: bool,
}

/// Makes the service forget an operation, which goes on occupying the model unless it is said to have ended.
pub async fn vanish(Shared(state): Shared<Arc<State>>, Path(id): Path<Uuid>, body: Bytes) -> Answer<Value> {
    let Vanishing { ended } = if body.is_empty() { Vanishing::default() } else { read(&body)? };
    change(&state, id, |operation| {
        operation.vanished = true;
        if ended {
            operation.end(Timestamp::now(), End::Cancelled, Vec::new());
        }
    })
}

fn change(state: &State, id: Uuid, change: impl FnOnce(&mut Operation)) -> Answer<Value> {
    let model = state.world.model_of(id).ok_or_else(|| Refused::missing(format!("there is no operation {id}")))?;
    let mut model = model.lock();
    model.find_mut(id).map(change);
    Ok(done())
}

/// Which operations to show.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selection {
    server: Option<String>,
    database: Option<String>,
}

/// An operation as it really is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Truth {
    operation_id: Uuid,
    server: String,
    database: String,
    client: String,
    #[serde(rename = "type")]
    kind: RefreshType,
    objects: Vec<Value>,
    status: Status,
    start_time: Timestamp,
    end_time: Option<Timestamp>,
    cancel_requested_time: Option<Timestamp>,
    submitted_sequence: u64,
    vanished: bool,
    commit_mode: &'static str,
    max_parallelism: u32,
    retry_count: u32,
}

/// All operations, in the order of their submission.
pub async fn list(Shared(state): Shared<Arc<State>>, selection: Result<UrlQuery<Selection>, QueryRejection>) -> Answer<Vec<Truth>> {
    let UrlQuery(Selection { server, database }) = selection.map_err(|error| Refused::bad(error.body_text()))?;
    let now = Timestamp::now();
    let mut truths = Vec::new();
    for model in state.world.models() {
        let model = model.lock();
        let same = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|wanted| wanted.to_lowercase() == name.to_lowercase());
        if same(&server, &model.settings().server) && same(&database, &model.settings().database) {
            truths.extend(model.operations().iter().map(|operation| truth(&model, operation, now)));
        }
    }
    truths.sort_by_key(|truth| truth.submitted_sequence);
    Ok(Json(truths))
}

fn truth(model: &Model, operation: &Operation, now: Timestamp) -> Truth {
    let phase = operation.phase(now);
    Truth {
        operation_id: operation.id,
        server: model.settings().server.clone(),
        database: model.settings().database.clone(),
        client: match &operation.client {
            Client::Application(id) => format!("application {id}"),
            Client::Control => "control".to_owned(),
        },
        kind: operation.task.kind,
        objects: operation
            .task
            .objects
            .iter()
            .map(|object| match &object.partition {
                Some(partition) => json!({"table": object.table, "partition": partition}),
                None => json!({"table": object.table}),
            })
            .collect(),
        status: phase.word(),
        start_time: operation.submitted,
        end_time: match phase {
            Phase::Ended(at, _) => Some(at),
            Phase::NotStarted | Phase::InProgress => None,
        },
        cancel_requested_time: operation.cancel_requested,
        submitted_sequence: operation.sequence,
        vanished: operation.vanished,
        commit_mode: if operation.task.partial_batch { "partialBatch" } else { "transactional" },
        max_parallelism: operation.task.max_parallelism,
        retry_count: operation.task.retry_count,
    }
}
