//! Error responses of Analysis Services: their shape is from a capture; their texts are assumed unless noted.

use hyper::{
    StatusCode,
    header::{ALLOW, HeaderName, WWW_AUTHENTICATE},
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{body::BodyError, path::Request};
use crate::{
    context::Context,
    hosts,
    response::ServiceResponse,
    world::{model::Model, timestamp::TimestampStyle},
};

/// The header with the explanation, where the body has none.
const EXTENDED: HeaderName = HeaderName::from_static("x-ms-xmlaerror-extended");

/// The body of an error.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    code: &'a str,
    sub_code: u32,
    message: &'a str,
    time_stamp: String,
    http_status_code: u16,
    details: Vec<Detail<'a>>,
}

#[derive(Serialize)]
struct Detail<'a> {
    code: &'static str,
    message: DetailMessage<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum DetailMessage<'a> {
    Id(Uuid),
    Text(&'a str),
}

/// An error of the service. `server` is its only parameter, if present.
fn error(code: u16, name: &str, message: &str, server: Option<&str>, context: &Context<'_>, now: Timestamp) -> ServiceResponse {
    let mut details = vec![Detail { code: "RootActivityId", message: DetailMessage::Id(context.activity) }];
    details.extend(server.map(|server| Detail { code: "Param1", message: DetailMessage::Text(server) }));
    let time_stamp = TimestampStyle::default().format(now);
    ServiceResponse::json(status(code), &Body { code: name, sub_code: 0, message, time_stamp, http_status_code: code, details })
}

/// The token is missing, has expired, or has another audience.
pub fn no_token(context: &Context<'_>) -> ServiceResponse {
    let authority = hosts::authority_host(context.site.cloud);
    let challenge = format!("Bearer authorization_uri=\"https://{authority}/common\", error=\"invalid_token\"");
    ServiceResponse::empty(StatusCode::UNAUTHORIZED).with(WWW_AUTHENTICATE, &challenge)
}

/// Response to clients without access and for unknown servers: only the header explains it. (Captured.)
pub fn unauthorized(request: &Request, context: &Context<'_>) -> ServiceResponse {
    let server = request.server.as_deref().unwrap_or_default();
    let name = server.rsplit('/').next().unwrap_or_default();
    let sentence = format!("Either server '{name}' does not exist or user is not the administrator of '{name}'");
    error(400, "Unauthorized", "An internal error occurred.", Some(server), context, context.call.now).with(EXTENDED, &sentence)
}

/// The server is paused. (The code is known, the status is not.)
pub fn paused(model: &Model, context: &Context<'_>) -> ServiceResponse {
    let settings = model.settings();
    let message = format!("The server '{}' is paused or being scaled. Resume it, or try again later.", settings.server);
    let now = model.server_time(context.call.now);
    error(settings.paused_status, "ServerPausedOrScaling", &message, Some(&settings.server), context, now).with(EXTENDED, &message)
}

/// The server has no such model.
pub fn unknown_model(request: &Request, context: &Context<'_>, now: Timestamp) -> ServiceResponse {
    let database = request.database.as_deref().unwrap_or_default();
    error(404, "DatabaseNotFound", &format!("The database '{database}' cannot be found on the server."), None, context, now)
}

/// The service does not know the sync.
pub fn unknown_sync(code: u16, context: &Context<'_>, now: Timestamp) -> ServiceResponse {
    error(code, "NotFound", "The synchronization operation cannot be found.", None, context, now)
}

/// A sync cannot start now. (Assumed.)
pub fn sync_conflict(code: u16, running: &str, context: &Context<'_>, now: Timestamp) -> ServiceResponse {
    error(code, "Conflict", &format!("A {running} operation is already running on this database."), None, context, now)
}

/// The service does not know the operation.
pub fn unknown_operation(code: u16, context: &Context<'_>, now: Timestamp) -> ServiceResponse {
    error(code, "NotFound", "The refresh operation cannot be found.", None, context, now)
}

/// The body is not declared as JSON. (The status is reported by users.)
pub fn media_type() -> ServiceResponse {
    let body = json!({"Message": "The request entity's media type is not supported for this resource."});
    ServiceResponse::json(StatusCode::UNSUPPORTED_MEDIA_TYPE, &body)
}

/// The body is invalid.
pub fn bad_body(why: &BodyError, context: &Context<'_>, now: Timestamp) -> ServiceResponse {
    error(400, "BadRequest", &why.to_string(), None, context, now)
}

/// A refresh is in progress. (The status is documented, the body is not.)
pub fn busy(model: &Model, context: &Context<'_>) -> ServiceResponse {
    let configured: Option<&Value> = model.settings().conflict_body.as_ref();
    configured.map_or_else(
        || {
            let message = "A refresh operation is already running on this database.";
            error(409, "Conflict", message, None, context, model.server_time(context.call.now))
        },
        |body| ServiceResponse::json(StatusCode::CONFLICT, body),
    )
}

/// The route does not support this method.
pub fn wrong_method(allowed: &str) -> ServiceResponse {
    let body = json!({"Message": "The requested resource does not support this http method."});
    ServiceResponse::json(StatusCode::METHOD_NOT_ALLOWED, &body).with(ALLOW, allowed)
}

/// A status from a setting; an invalid HTTP status becomes 500.
pub fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
