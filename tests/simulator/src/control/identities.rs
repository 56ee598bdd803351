//! Identities in the control API: applications, their trusted issuers, and the machine's managed identities.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Query as UrlQuery, State as Shared, rejection::QueryRejection},
};
use serde::Deserialize;
use serde_json::Value;

use super::{JsonResult, Refused, done, initial_state, read};
use crate::{imds::identities::Identity, state::State};

/// Registers an application.
pub async fn put_application(Shared(state): Shared<Arc<State>>, body: Bytes) -> JsonResult<Value> {
    initial_state::register(&state, read(&body)?).map_err(Refused::bad)?;
    Ok(done())
}

/// Sets the published keys of an issuer.
pub async fn put_issuer(Shared(state): Shared<Arc<State>>, body: Bytes) -> JsonResult<Value> {
    state.entra.issuers.put(read(&body)?).map_err(Refused::bad)?;
    Ok(done())
}

/// Adds a managed identity to the machine.
pub async fn put_managed(Shared(state): Shared<Arc<State>>, body: Bytes) -> JsonResult<Value> {
    initial_state::put_identity(&state, read(&body)?).map_err(Refused::bad)?;
    Ok(done())
}

/// The managed identities of the machine.
pub async fn get_managed(Shared(state): Shared<Arc<State>>) -> Json<Vec<Arc<Identity>>> {
    Json(state.identities.all())
}

/// Selects the managed identity to remove.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selection {
    client_id: Option<String>,
}

/// Removes one managed identity from the machine, or all of them.
pub async fn remove_managed(
    Shared(state): Shared<Arc<State>>,
    selection: Result<UrlQuery<Selection>, QueryRejection>,
) -> JsonResult<Value> {
    let UrlQuery(Selection { client_id }) = selection.map_err(|error| Refused::bad(error.body_text()))?;
    match (state.identities.remove(client_id.as_deref()), client_id) {
        (false, Some(id)) => Err(Refused::missing(format!("the machine has no managed identity '{id}'"))),
        (true, _) | (false, None) => Ok(done()),
    }
}
