//! The control API: plain HTTP and JSON on loopback, for test setup and for inspection.

mod actual;
mod identities;
pub mod initial_state;
mod operations;

use std::{fmt::Display, io, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query as UrlQuery, State as Shared},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::{faults, ledger, state::State, world::SharedModel};

/// A refused request, and the reason.
#[derive(Debug)]
pub struct Refused(StatusCode, String);

impl Refused {
    fn bad(why: impl Display) -> Self {
        Self(StatusCode::BAD_REQUEST, format!("{why}"))
    }

    fn missing(what: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, what.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

type JsonResult<T> = Result<Json<T>, Refused>;

/// Serves the control API on `listener` until it fails.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, state: Arc<State>) -> io::Result<()> {
    axum::serve(listener, router(state)).await
}

fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { Json(json!({"status": "ok"})) }))
        .route("/applications", put(identities::put_application))
        .route("/issuers", put(identities::put_issuer))
        .route("/managed-identities", put(identities::put_managed).get(identities::get_managed).delete(identities::remove_managed))
        .route("/entra", put(put_entra))
        .route("/clouds", put(put_cloud).get(get_clouds))
        .route("/models", put(put_model).patch(patch_model).get(get_models).delete(delete_model))
        .route("/operations", post(operations::start).get(actual::list))
        .route("/operations/{id}/end", post(operations::end))
        .route("/operations/{id}/vanish", post(operations::vanish))
        .route("/faults", post(add_fault).get(get_faults).delete(clear_faults))
        .route("/faults/{id}", get(get_fault).delete(remove_fault))
        .route("/faults/{id}/release", post(release_fault))
        .route("/ledger", get(get_ledger).delete(clear_ledger))
        .route("/ledger/counts", get(get_counts))
        .route("/stats", get(get_stats))
        .fallback(|| async { Refused::missing("unknown route: see tests/simulator/README.md") })
        .with_state(state)
}

/// Parses a body; the refusal names an unknown field or one of the wrong type.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(Refused::bad)
}

fn done() -> Json<Value> {
    Json(json!({}))
}

async fn put_entra(Shared(state): Shared<Arc<State>>, body: Bytes) -> JsonResult<Value> {
    state.entra.set_health(read(&body)?);
    Ok(done())
}

async fn put_cloud(Shared(state): Shared<Arc<State>>, body: Bytes) -> JsonResult<Value> {
    state.clouds.declare(read(&body)?).map_err(Refused::bad)?;
    Ok(done())
}

async fn get_clouds(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    Json(json!(state.clouds.declared()))
}

async fn put_model(Shared(state): Shared<Arc<State>>, body: Bytes) -> JsonResult<Value> {
    initial_state::put_model(&state, read(&body)?).map_err(Refused::bad)?;
    Ok(done())
}

/// The model named in a body.
fn named(state: &State, body: &Value) -> Result<SharedModel, Refused> {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let id = |name: &str| text(name).and_then(|text| Uuid::try_parse(text).ok());
    let name = operations::Name { server: text("server"), database: text("database"), group: id("groupId"), dataset: id("datasetId") };
    operations::find(state, &name)
}

async fn delete_model(Shared(state): Shared<Arc<State>>, body: Bytes) -> JsonResult<Value> {
    state.world.delete(&named(&state, &read(&body)?)?);
    Ok(done())
}

async fn patch_model(Shared(state): Shared<Arc<State>>, body: Bytes) -> JsonResult<Value> {
    let patch: Value = read(&body)?;
    let model = named(&state, &patch)?;
    let mut model = model.lock();
    let mut settings = model.settings().patched(&patch).map_err(Refused::bad)?;
    initial_state::check(&settings, &state.clouds).map_err(Refused::bad)?;
    // The patch contains these fields to find the model; their original spelling is kept.
    settings.server.clone_from(&model.settings().server);
    settings.database.clone_from(&model.settings().database);
    let restart = patch.get("outcomes").is_some() || patch.pointer("/sync/outcomes").is_some();
    model.set(settings, restart, Timestamp::now());
    Ok(done())
}

async fn get_models(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    Json(state.world.models().iter().map(|model| json!(model.lock().settings())).collect())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FaultId {
    fault_id: Arc<str>,
}

async fn add_fault(Shared(state): Shared<Arc<State>>, body: Bytes) -> JsonResult<FaultId> {
    Ok(Json(FaultId { fault_id: state.faults.add(read(&body)?) }))
}

async fn get_faults(Shared(state): Shared<Arc<State>>) -> Json<Vec<faults::View>> {
    Json(state.faults.views())
}

async fn get_fault(Shared(state): Shared<Arc<State>>, Path(id): Path<String>) -> JsonResult<faults::View> {
    state.faults.view(&id).map(Json).ok_or_else(|| no_fault(&id))
}

async fn remove_fault(Shared(state): Shared<Arc<State>>, Path(id): Path<String>) -> JsonResult<Value> {
    state.faults.remove(&id).then(done).ok_or_else(|| no_fault(&id))
}

async fn release_fault(Shared(state): Shared<Arc<State>>, Path(id): Path<String>) -> JsonResult<Value> {
    state.faults.release(&id).then(done).ok_or_else(|| no_fault(&id))
}

async fn clear_faults(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    state.faults.clear();
    done()
}

fn no_fault(id: &str) -> Refused {
    Refused::missing(format!("fault '{id}' not found"))
}

type LedgerQuery = Result<UrlQuery<ledger::Query>, axum::extract::rejection::QueryRejection>;

async fn get_ledger(Shared(state): Shared<Arc<State>>, query: LedgerQuery) -> JsonResult<Vec<ledger::Row>> {
    let UrlQuery(query) = query.map_err(|error| Refused::bad(error.body_text()))?;
    Ok(Json(state.ledger.rows(&query)))
}

async fn get_counts(Shared(state): Shared<Arc<State>>, query: LedgerQuery) -> JsonResult<Vec<ledger::Count>> {
    let UrlQuery(query) = query.map_err(|error| Refused::bad(error.body_text()))?;
    Ok(Json(state.ledger.counts(&query)))
}

async fn clear_ledger(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    state.ledger.clear();
    done()
}

async fn get_stats(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    Json(json!({"openConnections": state.connections.value(), "requests": state.ledger.requests()}))
}
