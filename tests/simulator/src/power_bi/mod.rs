//! The part of the Power BI REST API that concerns refreshes, names and query scale-out: `/v1.0/myorg/groups/…`.
//!
//! Sources: "Enhanced refresh with the Power BI REST API" and the reference of the datasets' and groups' operations for routes, values
//! and statuses; published captures of users for headers, raw bodies and errors. Undocumented behavior is a setting of the model.

mod body;
mod catalogue;
mod path;
mod refreshes;
mod refusal;
mod scale_out;
mod text;

use hyper::{
    StatusCode,
    header::{CACHE_CONTROL, DATE, HeaderName, PRAGMA, STRICT_TRANSPORT_SECURITY},
};
use uuid::Uuid;

pub use self::path::Request;
use self::path::Route;
use crate::{
    context::Context,
    entra::Token,
    response::ServiceResponse,
    world::{World, model::Model, timestamp::http_date},
};

/// The id of the request, for the service's support; for an accepted refresh it is the refresh's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("requestid");
const MS_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const HOME_CLUSTER: HeaderName = HeaderName::from_static("home-cluster-uri");
const REDIRECTED: HeaderName = HeaderName::from_static("request-redirected");

/// The cluster behind the API, from a capture.
const CLUSTER: &str = "https://wabi-north-europe-redirect.analysis.windows.net/";

/// Handles a request.
#[must_use]
pub fn handle(world: &World, request: &Request, context: &Context<'_>) -> ServiceResponse {
    let response = response(world, request, context);
    let accepted = response.operation.filter(|_| response.status == StatusCode::ACCEPTED && context.call.method == hyper::Method::POST);
    response
        .with_usual(REQUEST_ID, &accepted.unwrap_or_else(Uuid::new_v4).to_string())
        .with_usual(HOME_CLUSTER, CLUSTER)
        .with_usual(REDIRECTED, "true")
        .with_usual(CACHE_CONTROL, "no-store, must-revalidate, no-cache")
        .with_usual(PRAGMA, "no-cache")
        .with_usual(STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains")
}

fn response(world: &World, request: &Request, context: &Context<'_>) -> ServiceResponse {
    let Some(token) = context.valid_token() else {
        // The service distinguishes an expired token from an invalid one or one with another audience.
        return if context.known_token().is_some() { refusal::token_expired() } else { refusal::no_token() };
    };
    match (request.route, context.call.method.as_str()) {
        (Route::Unknown, _) => return refusal::no_route(),
        (Route::Groups, "GET") => return catalogue::groups(world, token, context),
        (Route::Datasets, "GET") => return catalogue::datasets(world, token, request, context),
        (Route::Groups | Route::Datasets, _) => return refusal::wrong_method("GET"),
        (Route::Dataset | Route::Refreshes | Route::Refresh | Route::Sync | Route::SyncStatus, _) => {}
    }
    let model = request.group.zip(request.dataset).and_then(|(group, dataset)| world.find_dataset(group, dataset));
    let Some(model) = model else {
        return refusal::not_found();
    };
    let mut model = model.lock();
    // Other clouds do not know the model.
    if !model.settings().api_host.eq_ignore_ascii_case(&context.call.host) {
        return refusal::not_found();
    }
    let now = context.call.now;
    model.settle(now);
    // Clients compare the times in bodies with this clock.
    with_model(&mut model, token, request, context).with_usual(DATE, &http_date(model.server_time(now)))
}

/// Handles a request for an existing semantic model.
fn with_model(model: &mut Model, token: &Token, request: &Request, context: &Context<'_>) -> ServiceResponse {
    let settings = model.settings();
    if let Some(refusal) = settings.power_bi.refusal {
        return refusal::of(refusal, &settings.power_bi);
    }
    if !settings.admits(&token.tenant, &token.client) {
        return refusal::of(settings.power_bi.unauthorized_refusal, &settings.power_bi);
    }
    match (request.route, context.call.method.as_str()) {
        (Route::Dataset, "GET") => catalogue::dataset(model),
        (Route::Refreshes, "POST") => refreshes::submit(model, token, request, context),
        (Route::Refreshes, "GET") => refreshes::list(model, context),
        (Route::Refresh, "GET") => refreshes::show(model, request, context),
        (Route::Refresh, "DELETE") => refreshes::cancel(model, request, context),
        (Route::Sync, "POST") => scale_out::sync(model, token, context),
        (Route::SyncStatus, "GET") => scale_out::status(model, context),
        (Route::Refreshes, _) => refusal::wrong_method("GET, POST"),
        (Route::Refresh, _) => refusal::wrong_method("GET, DELETE"),
        (Route::Sync, _) => refusal::wrong_method("POST"),
        (Route::Dataset | Route::SyncStatus, _) => refusal::wrong_method("GET"),
        (Route::Groups | Route::Datasets | Route::Unknown, _) => refusal::no_route(),
    }
}
