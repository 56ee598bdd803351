//! The sync of a model to the server's read-only replicas.
//!
//! Sources: "Asynchronous refresh with the REST API" for the routes, the body and the states; `Sync-AzAnalysisServicesInstance` of Azure
//! PowerShell for the 202 with `Location` and `Retry-After`, for a new `Location` at each poll, for the state -1 and for states as
//! strings. Behavior that neither documents is a setting of the model.

use std::sync::Arc;

use hyper::{
    StatusCode,
    header::{LOCATION, RETRY_AFTER},
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Request, refusal};
use crate::{
    context::Context,
    entra::Token,
    response::ServiceResponse,
    world::{
        model::Model,
        operation::Client,
        settings::{
            ModelSettings,
            sync::{BareGet, LocationStyle, PollStyle, StateStyle, Suffix, SyncSettings, WhileSyncing},
        },
        sync::{Sync, SyncState},
    },
};

/// The body of a poll response, field by field as documented, with its mixed capitalization.
#[derive(Serialize)]
struct View<'a> {
    #[serde(rename = "operationId")]
    operation_id: Uuid,
    database: &'a str,
    #[serde(rename = "UpdatedAt")]
    updated_at: String,
    #[serde(rename = "StartedAt")]
    started_at: String,
    syncstate: Value,
    details: &'a Value,
}

/// POST.
pub fn submit(model: &mut Model, token: &Token, request: &Request, context: &Context<'_>) -> ServiceResponse {
    let now = context.call.now;
    let settings = model.settings().clone();
    let sync = &settings.sync;
    if !has_valid_server_suffix(sync, request) {
        return refusal::unauthorized(request, context);
    }
    if !sync.replica {
        return ServiceResponse::empty(refusal::status(sync.no_replica_status));
    }
    let time = model.server_time(now);
    if !sync.during_refresh && model.running(now).is_some() {
        return refusal::sync_conflict(sync.refused_status, "refresh", context, time);
    }
    let running = model.syncs.running(now).map(|running| running.id);
    let accepted = match (running, sync.while_syncing) {
        (Some(_), WhileSyncing::Refuse) => return refusal::sync_conflict(sync.refused_status, "synchronization", context, time),
        (Some(id), WhileSyncing::Join) => model.syncs.find_mut(id),
        (None, _) => Some(model.syncs.submit(Client::Application(Arc::clone(&token.client)), None, sync, context.sequence, now)),
    };
    match accepted {
        Some(accepted) => with_next_location(
            ServiceResponse::json(StatusCode::ACCEPTED, &json!({"operationId": accepted.id})),
            accepted,
            sync,
            request,
            context,
        ),
        None => refusal::unknown_sync(sync.unknown_status, context, time),
    }
}

/// GET, with or without an operation id.
pub fn show(model: &mut Model, request: &Request, context: &Context<'_>) -> ServiceResponse {
    let now = context.call.now;
    let time = model.server_time(now);
    let settings = model.settings().clone();
    let sync = &settings.sync;
    if !has_valid_server_suffix(sync, request) {
        return refusal::unauthorized(request, context);
    }
    if !request.names_operation && sync.bare_get == BareGet::List {
        let all: Vec<_> = model.syncs.listed(sync, now).map(|found| view(found, &settings, now).unwrap_or_default()).collect();
        return ServiceResponse::json(StatusCode::OK, &all);
    }
    let found = match (request.operation, sync.bare_get) {
        (Some(id), _) => model.syncs.shown(id, sync, now),
        (None, BareGet::Latest) if !request.names_operation => model.syncs.listed(sync, now).next(),
        (None, BareGet::Latest | BareGet::List | BareGet::Unknown) => None,
    };
    let stale = |found: &&mut Sync| {
        sync.locations_expire && request.names_operation && request.location.is_some_and(|number| number != found.locations)
    };
    match found.filter(|found| !stale(found)) {
        Some(found) => poll(found, &settings, request, context),
        None => refusal::unknown_sync(sync.unknown_status, context, time),
    }
}

/// The response to a poll of a known sync.
fn poll(found: &mut Sync, settings: &ModelSettings, request: &Request, context: &Context<'_>) -> ServiceResponse {
    let now = context.call.now;
    let body = |code| ServiceResponse::json(code, &view(found, settings, now).unwrap_or_default());
    if found.stage(now).state.is_final() || !request.names_operation {
        return body(StatusCode::OK).about(found.id);
    }
    let is_odd = request.location.unwrap_or(0) % 2 == 1;
    let response = match (settings.sync.poll_style, is_odd) {
        (PollStyle::Accepted, _) => body(StatusCode::ACCEPTED),
        (PollStyle::SeeOther, _) | (PollStyle::Alternating, true) => ServiceResponse::empty(StatusCode::SEE_OTHER),
        (PollStyle::Ok, _) | (PollStyle::Alternating, false) => body(StatusCode::OK),
    };
    with_next_location(response, found, &settings.sync, request, context)
}

/// The response with a new `Location` and `Retry-After`.
fn with_next_location(
    response: ServiceResponse,
    sync: &mut Sync,
    settings: &SyncSettings,
    request: &Request,
    context: &Context<'_>,
) -> ServiceResponse {
    sync.locations += 1;
    // A polled path may already contain an operation id.
    let path = request.raw.to_ascii_lowercase().rfind("/sync").map_or("", |start| &request.raw[..start + "/sync".len()]);
    let (host, id, number) = (&context.call.host, sync.id, sync.locations);
    let location = match settings.location_style {
        LocationStyle::Query => format!("https://{host}{path}?operationId={id}&location={number}"),
        LocationStyle::Path => format!("https://{host}{path}/{id}?location={number}"),
    };
    let response = response.with(LOCATION, &location).about(id);
    match settings.retry_after_seconds {
        0 => response,
        seconds => response.with(RETRY_AFTER, &seconds.to_string()),
    }
}

fn view(sync: &Sync, settings: &ModelSettings, now: Timestamp) -> Option<Value> {
    let stage = sync.stage(now);
    let written = |time| settings.sync.timestamp_style.format(settings.server_time(time));
    serde_json::to_value(View {
        operation_id: sync.id,
        database: &settings.database,
        updated_at: written(stage.since),
        started_at: written(sync.submitted),
        syncstate: state(stage.state, settings.sync.state_style),
        details: sync.details(now),
    })
    .ok()
}

fn state(state: SyncState, style: StateStyle) -> Value {
    match style {
        StateStyle::Number => state.number().into(),
        StateStyle::NumericText => state.number().to_string().into(),
        StateStyle::Name => state.name().into(),
    }
}

fn has_valid_server_suffix(settings: &SyncSettings, request: &Request) -> bool {
    match settings.suffix {
        Suffix::Either => true,
        Suffix::Required => request.management,
        Suffix::Refused => !request.management,
    }
}
