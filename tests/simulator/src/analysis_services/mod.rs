//! Azure Analysis Services: asynchronous refresh and sync under `/servers/<server>/models/<model>/`.
//!
//! Sources: "Asynchronous refresh with the REST API" for routes, values and 409; captures by users for the headers, 415, the raw bodies
//! and the refusal of clients without access. Undocumented behavior is a setting of the model.

mod body;
mod path;
mod refusal;
mod render;
mod sync;

use std::sync::Arc;

use hyper::{
    StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, DATE, HeaderName, LOCATION, STRICT_TRANSPORT_SECURITY},
};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use self::path::Route;
pub use self::{
    body::{BodyError, field, refresh_type, task_from_value},
    path::Request,
};
use crate::{
    context::Context,
    entra::Token,
    response::ServiceResponse,
    world::{
        Lookup, World,
        model::{Busy, Cancel, Model},
        operation::Client,
        timestamp::{current_utc_date, http_date},
    },
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const ROOT_ACTIVITY_ID: HeaderName = HeaderName::from_static("x-ms-root-activity-id");
const CURRENT_UTC_DATE: HeaderName = HeaderName::from_static("x-ms-current-utc-date");

/// Handles a request.
#[must_use]
pub fn handle(world: &World, request: &Request, context: &Context<'_>) -> ServiceResponse {
    let now = context.call.now;
    let lookup = match (&request.server, &request.database) {
        (Some(server), Some(database)) => Some(world.find(server, database)),
        _ => None,
    };
    let (response, server_time) = match (context.valid_token(), &lookup) {
        (Some(token), Some(Lookup::Found(model))) => {
            let mut model = model.lock();
            (with_model(&mut model, token, request, context), model.server_time(now))
        }
        (Some(token), Some(Lookup::NoModel(sibling))) => {
            let sibling = sibling.lock();
            let server_time = sibling.server_time(now);
            (without_model(&sibling, token, request, context, server_time), server_time)
        }
        (Some(_), Some(Lookup::NoServer)) => (refusal::unauthorized(request, context), now),
        (Some(_), None) => (ServiceResponse::empty(StatusCode::NOT_FOUND), now),
        (None, Some(Lookup::Found(model) | Lookup::NoModel(model))) => (refusal::no_token(context), model.lock().server_time(now)),
        (None, Some(Lookup::NoServer) | None) => (refusal::no_token(context), now),
    };
    // Clients may also read the id of an accepted operation from this header.
    let accepted = response.operation.filter(|_| response.status == StatusCode::ACCEPTED);
    response
        .with_usual(REQUEST_ID, &accepted.unwrap_or_else(Uuid::new_v4).to_string())
        .with_usual(ROOT_ACTIVITY_ID, &context.activity.to_string())
        .with_usual(CURRENT_UTC_DATE, &current_utc_date(server_time))
        .with_usual(DATE, &http_date(server_time))
        .with_usual(CACHE_CONTROL, "no-store, must-revalidate")
        .with_usual(STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains")
}

/// Handles a request for a model that exists.
fn with_model(model: &mut Model, token: &Token, request: &Request, context: &Context<'_>) -> ServiceResponse {
    let now = context.call.now;
    if !model.settings().admits(&token.tenant, &token.client) {
        return refusal::unauthorized(request, context);
    }
    if model.settings().paused {
        return refusal::paused(model, context);
    }
    match (request.route, context.call.method.as_str()) {
        (Route::Refreshes, "POST") => submit(model, token, request, context),
        (Route::Refreshes, "GET") => ServiceResponse::json_text(StatusCode::OK, render::list(model, now)),
        (Route::Refresh, "GET") => show(model, request, context),
        (Route::Refresh, "DELETE") => cancel(model, request, context),
        (Route::Sync, "POST") => sync::submit(model, token, request, context),
        (Route::Sync, "GET") => sync::show(model, request, context),
        (Route::Refreshes | Route::Sync, _) => refusal::wrong_method("GET, POST"),
        (Route::Refresh, _) => refusal::wrong_method("GET, DELETE"),
        (Route::Unknown, _) => ServiceResponse::empty(StatusCode::NOT_FOUND),
    }
}

/// Handles a request for a missing model on an existing server. `sibling` provides the server's administrators.
fn without_model(sibling: &Model, token: &Token, request: &Request, context: &Context<'_>, now: Timestamp) -> ServiceResponse {
    if sibling.settings().admits(&token.tenant, &token.client) {
        refusal::unknown_model(request, context, now)
    } else {
        refusal::unauthorized(request, context)
    }
}

fn submit(model: &mut Model, token: &Token, request: &Request, context: &Context<'_>) -> ServiceResponse {
    let call = context.call;
    if !call.header(CONTENT_TYPE.as_str()).is_some_and(is_json) {
        return refusal::media_type();
    }
    let task = match body::task(&call.body) {
        Ok(task) => task,
        Err(error) => return refusal::bad_body(&error, context, model.server_time(call.now)),
    };
    let client = Client::Application(Arc::clone(&token.client));
    match model.submit(client, task, None, context.sequence, call.now) {
        Ok(id) => ServiceResponse::json(StatusCode::ACCEPTED, &json!({"operationId": id}))
            .with(LOCATION, &format!("https://{}{}/{id}", call.host, request.raw))
            .about(id),
        Err(Busy(_)) => refusal::busy(model, context),
    }
}

fn show(model: &Model, request: &Request, context: &Context<'_>) -> ServiceResponse {
    let now = context.call.now;
    let clock = model.clock(model.settings().timestamp_style);
    if let Some(response) = model.scripted(&context.call.last_segment()) {
        return ServiceResponse::scripted(response, &clock.posted_by(now));
    }
    match request.operation.and_then(|id| model.shown(id, now)) {
        Some(operation) => {
            let details = render::details(model, operation, now);
            ServiceResponse::json_text(StatusCode::OK, model.settings().detail_patch.applied_to(&details, &clock.posted_by(now)))
        }
        None => refusal::unknown_operation(model.settings().get_unknown_status, context, model.server_time(now)),
    }
}

fn cancel(model: &mut Model, request: &Request, context: &Context<'_>) -> ServiceResponse {
    let now = context.call.now;
    let cancelled = request.operation.map_or(Cancel::Unknown, |id| model.cancel(id, now));
    let settings = model.settings();
    match cancelled {
        Cancel::Accepted => ServiceResponse::empty(refusal::status(settings.delete_status)),
        Cancel::Over => ServiceResponse::empty(refusal::status(settings.delete_ended_status)),
        Cancel::Unknown => refusal::unknown_operation(settings.delete_unknown_status, context, model.server_time(now)),
    }
}

fn is_json(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    media.eq_ignore_ascii_case("application/json") || media.eq_ignore_ascii_case("text/json")
}
