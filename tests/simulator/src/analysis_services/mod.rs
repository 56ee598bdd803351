//! Azure Analysis Services: the asynchronous refresh API under `/servers/<server>/models/<model>/`.
//!
//! Sources: "Asynchronous refresh with the REST API" for routes, values and 409; captures by users for the headers, 415,
//! the raw bodies and the refusal of strangers. What nobody has written down is a setting of the model.

mod body;
mod render;

use std::sync::Arc;

use hyper::{
    StatusCode,
    header::{ALLOW, CONTENT_TYPE, HeaderName, LOCATION, WWW_AUTHENTICATE},
};
use percent_encoding::percent_decode_str;
use uuid::Uuid;

pub use self::body::{refresh_type, task_from_value};
use self::render::error_body;
use crate::{
    answer::Answer,
    call::Call,
    entra::Token,
    hosts::Site,
    world::{
        Lookup, World,
        model::{Busy, Cancel, Model},
        operation::Client,
        settings::ModelSettings,
        timestamp::{current_utc_date, http_date},
    },
};

/// A request to Analysis Services, taken apart.
pub struct Request {
    /// The server's name, `asazure://<host>/<server>`.
    pub server: Option<String>,
    /// The database's name.
    pub database: Option<String>,
    /// The operation that the path names.
    pub operation: Option<Uuid>,
    route: Route,
    // As the path has them, for the Location.
    raw: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Route {
    Refreshes,
    Refresh,
    Unknown,
}

impl Request {
    /// Takes a path apart. The fixed words are compared without regard to case.
    #[must_use]
    pub fn parse(call: &Call) -> Self {
        let path = call.path.trim_end_matches('/');
        let segments: Vec<_> = path.split('/').skip(1).collect();
        let is = |segment: &str, word: &str| segment.eq_ignore_ascii_case(word);
        let (server, database, rest) = match segments.as_slice() {
            [servers, server, models, database, rest @ ..]
                if is(servers, "servers") && is(models, "models") =>
            {
                (Some(*server), Some(*database), rest)
            }
            _ => (None, None, &[][..]),
        };
        let (route, operation) = match rest {
            [refreshes] if is(refreshes, "refreshes") => (Route::Refreshes, None),
            [refreshes, id] if is(refreshes, "refreshes") => {
                (Route::Refresh, Uuid::try_parse(id).ok())
            }
            _ => (Route::Unknown, None),
        };
        let decoded = |segment: &str| percent_decode_str(segment).decode_utf8_lossy().into_owned();
        Self {
            server: server.map(|server| format!("asazure://{}/{}", call.host, decoded(server))),
            database: database.map(decoded),
            operation,
            route,
            raw: path.to_owned(),
        }
    }

    /// The route's name in the ledger.
    #[must_use]
    pub fn route(&self) -> &'static str {
        match self.route {
            Route::Refreshes => "refreshes",
            Route::Refresh => "refresh",
            Route::Unknown => "unknown",
        }
    }
}

/// What answering a request takes.
pub struct Context<'a> {
    /// The request.
    pub call: &'a Call,
    /// The host that it was sent to.
    pub site: Site,
    /// What its token says, if Entra ID has issued it.
    pub token: Option<&'a Arc<Token>>,
    /// Where the ledger has it.
    pub sequence: u64,
}

/// Answers a request.
#[must_use]
pub fn handle(world: &World, request: &Request, context: &Context<'_>) -> Answer {
    let now = context.call.now;
    let lookup = match (&request.server, &request.database) {
        (Some(server), Some(database)) => Some(world.find(server, database)),
        _ => None,
    };
    let (answer, server_time) = match &lookup {
        Some(Lookup::Found(model) | Lookup::NoModel(model)) => {
            let mut model = model.lock();
            let found = matches!(lookup, Some(Lookup::Found(_)));
            (
                in_server(&mut model, found, request, context),
                model.server_time(now),
            )
        }
        Some(Lookup::NoServer) => (
            context
                .valid_token()
                .map_or_else(|refusal| refusal, |_| no_server(request, context)),
            now,
        ),
        None => (
            context
                .valid_token()
                .map_or_else(|refusal| refusal, |_| Answer::empty(StatusCode::NOT_FOUND)),
            now,
        ),
    };
    let request_id = answer
        .operation
        .filter(|_| answer.status == StatusCode::ACCEPTED)
        .unwrap_or_else(Uuid::new_v4);
    let activity = context.activity();
    answer
        .with(
            HeaderName::from_static("x-ms-request-id"),
            &request_id.to_string(),
        )
        .with(
            HeaderName::from_static("x-ms-root-activity-id"),
            &activity.to_string(),
        )
        .with(
            HeaderName::from_static("x-ms-current-utc-date"),
            &current_utc_date(server_time),
        )
        .with(hyper::header::DATE, &http_date(server_time))
        .with(hyper::header::CACHE_CONTROL, "no-store, must-revalidate")
        .with(
            HeaderName::from_static("strict-transport-security"),
            "max-age=31536000; includeSubDomains",
        )
}

impl Context<'_> {
    /// The token, if it is for this service, of this cloud, and has not expired; otherwise the refusal.
    fn valid_token(&self) -> Result<&Arc<Token>, Answer> {
        self.token.filter(|token| token.audience == self.site.audience && token.expires > self.call.now).ok_or_else(|| {
            let authority = crate::hosts::authority_host(self.site.cloud);
            Answer::empty(StatusCode::UNAUTHORIZED)
                .with(WWW_AUTHENTICATE, &format!("Bearer authorization_uri=\"https://{authority}/common\", error=\"invalid_token\""))
        })
    }

    /// The id under which the service's support would find the call. The same wherever the answer names it.
    fn activity(&self) -> Uuid {
        let time = u128::try_from(self.call.now.as_nanosecond()).unwrap_or_default();
        uuid::Builder::from_random_bytes(
            (time.rotate_left(64)
                ^ u128::from(self.sequence)
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
            .to_be_bytes(),
        )
        .into_uuid()
    }
}

/// Answers for a server that exists, behind the lock of the model (or of another one of the server, where `found` is false).
fn in_server(model: &mut Model, found: bool, request: &Request, context: &Context<'_>) -> Answer {
    let token = match context.valid_token() {
        Ok(token) => token,
        Err(refusal) => return refusal,
    };
    if !is_administrator(model.settings(), token) {
        return no_server(request, context);
    }
    if model.settings().paused {
        return paused(model, context);
    }
    if !found {
        let database = request.database.as_deref().unwrap_or_default();
        let message = format!("The database '{database}' cannot be found on the server.");
        return Answer::json(
            StatusCode::NOT_FOUND,
            &error_body(
                404,
                "DatabaseNotFound",
                &message,
                context.activity(),
                &[],
                model.server_time(context.call.now),
            ),
        );
    }
    match (request.route, context.call.method.as_str()) {
        (Route::Refreshes, "POST") => submit(model, token, request, context),
        (Route::Refreshes, "GET") => {
            Answer::json(StatusCode::OK, &render::list(model, context.call.now))
        }
        (Route::Refresh, "GET") => show(model, request, context),
        (Route::Refresh, "DELETE") => cancel(model, request, context),
        (Route::Refreshes, _) => not_allowed("GET, POST"),
        (Route::Refresh, _) => not_allowed("GET, DELETE"),
        (Route::Unknown, _) => Answer::empty(StatusCode::NOT_FOUND),
    }
}

fn submit(model: &mut Model, token: &Token, request: &Request, context: &Context<'_>) -> Answer {
    let call = context.call;
    if !call.header(CONTENT_TYPE.as_str()).is_some_and(is_json) {
        let message = "The request entity's media type is not supported for this resource.";
        return Answer::json(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            &serde_json::json!({"Message": message}),
        );
    }
    let task = match body::task(&call.body) {
        Ok(task) => task,
        Err(error) => {
            let body = error_body(
                400,
                "BadRequest",
                &error.to_string(),
                context.activity(),
                &[],
                model.server_time(call.now),
            );
            return Answer::json(StatusCode::BAD_REQUEST, &body);
        }
    };
    match model.submit(
        Client::Application(Arc::clone(&token.client)),
        task,
        None,
        context.sequence,
        call.now,
    ) {
        Ok(id) => Answer::json(
            StatusCode::ACCEPTED,
            &serde_json::json!({"operationId": id}),
        )
        .with(
            LOCATION,
            &format!("https://{}{}/{id}", call.host, request.raw),
        )
        .about(id),
        Err(Busy(running)) => {
            let message = format!(
                "A refresh operation is already running on this database. Operation id: {running}."
            );
            let usual = || {
                error_body(
                    409,
                    "Conflict",
                    &message,
                    context.activity(),
                    &[],
                    model.server_time(call.now),
                )
            };
            Answer::json(
                StatusCode::CONFLICT,
                &model.settings().conflict_body.clone().unwrap_or_else(usual),
            )
        }
    }
}

fn show(model: &Model, request: &Request, context: &Context<'_>) -> Answer {
    let now = context.call.now;
    match request.operation.and_then(|id| model.shown(id, now)) {
        Some(operation) => Answer::json(StatusCode::OK, &render::details(model, operation, now))
            .about(operation.id),
        None => unknown_operation(model, model.settings().get_unknown_status, context),
    }
}

fn cancel(model: &mut Model, request: &Request, context: &Context<'_>) -> Answer {
    let settings = model.settings();
    let (running, ended, unknown) = (
        settings.delete_status,
        settings.delete_ended_status,
        settings.delete_unknown_status,
    );
    match request
        .operation
        .map_or(Cancel::Unknown, |id| model.cancel(id, context.call.now))
    {
        Cancel::Accepted => Answer::empty(status(running)),
        Cancel::Over => Answer::empty(status(ended)),
        Cancel::Unknown => unknown_operation(model, unknown, context),
    }
}

fn unknown_operation(model: &Model, code: u16, context: &Context<'_>) -> Answer {
    let body = error_body(
        code,
        "NotFound",
        "The refresh operation cannot be found.",
        context.activity(),
        &[],
        model.server_time(context.call.now),
    );
    Answer::json(status(code), &body)
}

/// What a stranger and the seeker of a missing server get alike: the useful sentence is in the header.
fn no_server(request: &Request, context: &Context<'_>) -> Answer {
    let server = request.server.as_deref().unwrap_or_default();
    let name = server.rsplit('/').next().unwrap_or_default();
    let body = error_body(
        400,
        "Unauthorized",
        "An internal error occurred.",
        context.activity(),
        &[server],
        context.call.now,
    );
    Answer::json(StatusCode::BAD_REQUEST, &body).with(
        HeaderName::from_static("x-ms-xmlaerror-extended"),
        &format!(
            "Either server '{name}' does not exist or user is not the administrator of '{name}'"
        ),
    )
}

fn paused(model: &Model, context: &Context<'_>) -> Answer {
    let code = model.settings().paused_status;
    let server = &model.settings().server;
    let message =
        format!("The server '{server}' is paused or being scaled. Resume it, or try again later.");
    let body = error_body(
        code,
        "ServerPausedOrScaling",
        &message,
        context.activity(),
        &[server],
        model.server_time(context.call.now),
    );
    Answer::json(status(code), &body)
        .with(HeaderName::from_static("x-ms-xmlaerror-extended"), &message)
}

fn not_allowed(allowed: &str) -> Answer {
    Answer::json(
        StatusCode::METHOD_NOT_ALLOWED,
        &serde_json::json!({"Message": "The requested resource does not support this method."}),
    )
    .with(ALLOW, allowed)
}

fn is_administrator(settings: &ModelSettings, token: &Token) -> bool {
    settings
        .administrators
        .as_ref()
        .is_none_or(|administrators| {
            administrators.iter().any(|principal| {
                principal.tenant_id.eq_ignore_ascii_case(&token.tenant)
                    && principal.client_id.eq_ignore_ascii_case(&token.client)
            })
        })
}

fn is_json(content_type: &str) -> bool {
    let media = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    matches!(media.as_str(), "application/json" | "text/json")
}

/// A status from a setting; one that is no HTTP status at all shows as 500.
fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
