//! The actual state of operations, independent of what the services report.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query as UrlQuery, State as Shared, rejection::QueryRejection},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{JsonResult, Refused, operations::Kind};
use crate::{
    state::State,
    world::{
        model::Model,
        operation::{Client, Operation, Phase},
        scale_out::Run,
        settings::ModelSettings,
        sync::Sync,
        task::{Origin, RefreshType},
    },
};

/// Filter of the operations to show.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selection {
    server: Option<String>,
    database: Option<String>,
    group_id: Option<Uuid>,
    dataset_id: Option<Uuid>,
    kind: Option<Kind>,
}

impl Selection {
    fn has(&self, settings: &ModelSettings) -> bool {
        let same = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|wanted| wanted.to_lowercase() == name.to_lowercase());
        same(&self.server, &settings.server)
            && same(&self.database, &settings.database)
            && self.group_id.is_none_or(|id| settings.group_id == Some(id))
            && self.dataset_id.is_none_or(|id| settings.dataset_id == Some(id))
    }
}

/// The actual state of an operation.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActualOperation {
    operation_id: Uuid,
    kind: Kind,
    #[serde(skip_serializing_if = "String::is_empty")]
    server: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    database: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_id: Option<Uuid>,
    client: String,
    /// The service's status value; for a sync in lower case, such as `replicating`.
    status: Value,
    start_time: Timestamp,
    end_time: Option<Timestamp>,
    submitted_sequence: u64,
    vanished: bool,
    #[serde(flatten)]
    refresh: Option<Refresh>,
}

/// Fields that only a refresh has.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Refresh {
    #[serde(rename = "type")]
    kind: RefreshType,
    #[serde(rename = "refreshType")]
    origin: Origin,
    objects: Vec<Value>,
    cancel_requested_time: Option<Timestamp>,
    commit_mode: &'static str,
    max_parallelism: u32,
    retry_count: u32,
    apply_refresh_policy: bool,
    effective_date: Option<String>,
    timeout_seconds: Option<i64>,
}

/// All operations, in the order of their submission.
pub async fn list(
    Shared(state): Shared<Arc<State>>,
    selection: Result<UrlQuery<Selection>, QueryRejection>,
) -> JsonResult<Vec<ActualOperation>> {
    let UrlQuery(selection) = selection.map_err(|error| Refused::bad(error.body_text()))?;
    let now = Timestamp::now();
    let mut operations = Vec::new();
    for model in state.world.models() {
        let mut model = model.lock();
        if !selection.has(model.settings()) {
            continue;
        }
        model.settle(now);
        if selection.kind != Some(Kind::Sync) {
            operations.extend(model.operations().iter().map(|operation| of_refresh(&model, operation, now)));
        }
        if selection.kind != Some(Kind::Refresh) {
            operations.extend(model.syncs.all().iter().map(|sync| of_sync(&model, sync, now)));
            operations.extend(model.scale_out.runs().iter().map(|run| of_run(&model, run, now)));
        }
    }
    operations.sort_by_key(|actual| actual.submitted_sequence);
    Ok(Json(operations))
}

fn actual(model: &Model, kind: Kind, id: Uuid, client: &Client, start_time: Timestamp, submitted_sequence: u64) -> ActualOperation {
    let settings = model.settings();
    ActualOperation {
        operation_id: id,
        kind,
        server: settings.server.clone(),
        database: settings.database.clone(),
        group_id: settings.group_id,
        dataset_id: settings.dataset_id,
        client: match client {
            Client::Application(id) => format!("application {id}"),
            Client::Control => "control".to_owned(),
        },
        status: Value::Null,
        start_time,
        end_time: None,
        submitted_sequence,
        vanished: false,
        refresh: None,
    }
}

fn of_refresh(model: &Model, operation: &Operation, now: Timestamp) -> ActualOperation {
    let phase = operation.phase(now);
    let task = &operation.task;
    let objects = task.objects.iter().map(|object| match &object.partition {
        Some(partition) => json!({"table": object.table, "partition": partition}),
        None => json!({"table": object.table}),
    });
    ActualOperation {
        status: json!(phase.status()),
        end_time: match phase {
            Phase::Ended(at, _) => Some(at),
            Phase::NotStarted | Phase::InProgress => None,
        },
        vanished: operation.vanished,
        refresh: Some(Refresh {
            kind: task.kind,
            origin: task.origin,
            objects: objects.collect(),
            cancel_requested_time: operation.cancel_requested,
            commit_mode: if task.partial_batch { "partialBatch" } else { "transactional" },
            max_parallelism: task.max_parallelism,
            retry_count: task.retry_count,
            apply_refresh_policy: task.apply_refresh_policy,
            effective_date: task.effective_date.clone(),
            timeout_seconds: task.timeout.map(|timeout| timeout.as_secs()),
        }),
        ..actual(model, Kind::Refresh, operation.id, &operation.client, operation.submitted, operation.sequence)
    }
}

fn of_sync(model: &Model, sync: &Sync, now: Timestamp) -> ActualOperation {
    let stage = sync.stage(now);
    ActualOperation {
        status: stage.state.name().to_ascii_lowercase().into(),
        end_time: stage.state.is_final().then_some(stage.since),
        vanished: sync.vanished,
        ..actual(model, Kind::Sync, sync.id, &sync.client, sync.submitted, sync.sequence)
    }
}

fn of_run(model: &Model, run: &Run, now: Timestamp) -> ActualOperation {
    let end_time = run.end.filter(|end| *end <= now);
    ActualOperation {
        status: if end_time.is_some() { "completed" } else { "replicating" }.into(),
        end_time,
        ..actual(model, Kind::Sync, run.id, &run.client, run.start, run.sequence)
    }
}
