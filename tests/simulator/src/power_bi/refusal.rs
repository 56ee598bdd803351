//! Error responses of Power BI: codes and shapes are documented or captured; texts are assumed unless noted.

use hyper::{
    StatusCode,
    header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::{Value, json};

use super::{body::Invalid, text};
use crate::{
    response::ServiceResponse,
    world::{
        model::Model,
        settings::power_bi::{PowerBiSettings, Refusal, WhenBusy},
    },
};

fn error(status: StatusCode, code: &str, message: &str) -> ServiceResponse {
    let mut error = json!({"code": code});
    if !message.is_empty() {
        error["message"] = message.into();
    }
    ServiceResponse::json(status, &json!({"error": error}))
}

/// The token is missing or has another audience. (The empty body is reported.)
pub fn no_token() -> ServiceResponse {
    ServiceResponse::empty(StatusCode::UNAUTHORIZED).with(WWW_AUTHENTICATE, "Bearer")
}

/// The token has expired. (Documented verbatim.)
pub fn token_expired() -> ServiceResponse {
    error(StatusCode::FORBIDDEN, "TokenExpired", "Access token has expired, resubmit with a new access token")
}

/// The workspace, model or refresh does not exist, or is not accessible. (Documented code.)
pub fn not_found() -> ServiceResponse {
    error(StatusCode::NOT_FOUND, "PowerBIEntityNotFound", "")
}

/// The refresh does not exist, or is not known yet.
pub fn unknown_refresh(code: u16) -> ServiceResponse {
    ServiceResponse { status: StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), ..not_found() }
}

/// The route does not exist.
pub fn no_route() -> ServiceResponse {
    ServiceResponse::empty(StatusCode::NOT_FOUND)
}

/// The route does not support this method.
pub fn wrong_method(allowed: &str) -> ServiceResponse {
    let body = json!({"Message": "The requested resource does not support this http method."});
    ServiceResponse::json(StatusCode::METHOD_NOT_ALLOWED, &body).with(ALLOW, allowed)
}

/// A refusal configured by a setting.
pub fn of(refusal: Refusal, settings: &PowerBiSettings) -> ServiceResponse {
    match refusal {
        Refusal::NotAuthorized => error(StatusCode::UNAUTHORIZED, "PowerBINotAuthorizedException", ""),
        Refusal::TenantSetting => ServiceResponse::empty(StatusCode::UNAUTHORIZED),
        Refusal::NotAccessible => {
            ServiceResponse::json(StatusCode::FORBIDDEN, &json!({"Message": "API is not accessible for application"}))
        }
        Refusal::TokenExpired => token_expired(),
        Refusal::NotFound => not_found(),
        Refusal::Throttled => throttled(settings.retry_after_seconds),
    }
}

/// Too many calls. (Captured.)
fn throttled(seconds: u64) -> ServiceResponse {
    let message = format!(
        "You have exceeded the amount of requests allowed in the current time frame and further requests will fail. Retry in {seconds} seconds."
    );
    ServiceResponse::json(StatusCode::TOO_MANY_REQUESTS, &json!({"message": message})).with(RETRY_AFTER, &seconds.to_string())
}

/// A refresh is in progress: 400 (captured), or 409 as in older documentation.
pub fn busy(model: &Model) -> ServiceResponse {
    let settings = model.settings();
    let status = match settings.power_bi.when_busy {
        WhenBusy::Conflict => StatusCode::CONFLICT,
        WhenBusy::Refuse | WhenBusy::Drop | WhenBusy::Queue => StatusCode::BAD_REQUEST,
    };
    configured(status, settings.conflict_body.as_ref(), text::already_executing(settings.power_bi.language))
}

/// Too many refreshes in a day. (Captured.)
pub fn limit(settings: &PowerBiSettings) -> ServiceResponse {
    configured(StatusCode::BAD_REQUEST, settings.limit_body.as_ref(), text::exceeded_limit(settings.language))
}

fn configured(status: StatusCode, body: Option<&Value>, text: &str) -> ServiceResponse {
    body.map_or_else(|| error(status, "InvalidRequest", text), |body| ServiceResponse::json(status, body))
}

/// The refresh has ended. (The status is documented, the text is reported.)
pub fn too_late(settings: &PowerBiSettings) -> ServiceResponse {
    let status = StatusCode::from_u16(settings.delete_ended_status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_success() {
        ServiceResponse::empty(status)
    } else {
        error(status, "InvalidRequest", text::cannot_be_cancelled(settings.language))
    }
}

/// Only an enhanced refresh can be cancelled. (Documented; the status is assumed.)
pub fn not_enhanced() -> ServiceResponse {
    error(StatusCode::BAD_REQUEST, "InvalidRequest", "Only a refresh request that was made by the enhanced API can be cancelled.")
}

/// The capacity is paused. (The code is known from other routes.)
pub fn capacity_paused() -> ServiceResponse {
    error(StatusCode::BAD_REQUEST, "CapacityNotActive", "The capacity is not active.")
}

/// The body is not declared as JSON.
pub fn media_type() -> ServiceResponse {
    let body = json!({"Message": "The request entity's media type is not supported for this resource."});
    ServiceResponse::json(StatusCode::UNSUPPORTED_MEDIA_TYPE, &body)
}

/// A parameter is invalid. (The status is documented, the shape is assumed.)
pub fn invalid(why: &Invalid) -> ServiceResponse {
    let target =
        if why.parameter.is_empty() { "datasetRefreshRequest".to_owned() } else { format!("datasetRefreshRequest.{}", why.parameter) };
    let details = json!([{"message": why.to_string(), "target": target}]);
    ServiceResponse::json(StatusCode::BAD_REQUEST, &json!({"error": {"code": "BadRequest", "message": "Bad Request", "details": details}}))
}

/// A combination of parameters that is not supported. (Documented; the text is assumed.)
pub fn unsupported(sentence: &str) -> ServiceResponse {
    error(StatusCode::BAD_REQUEST, "InvalidRequest", &format!("Invalid dataset refresh request. {sentence}"))
}

/// A query option is invalid.
pub fn bad_query(option: &str) -> ServiceResponse {
    error(StatusCode::BAD_REQUEST, "InvalidRequest", &format!("The query option '{option}' is not valid."))
}

/// Query scale-out is unavailable.
pub fn no_scale_out(code: u16, status: &str) -> ServiceResponse {
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    error(code, status, "Query scale-out is not enabled for the dataset.")
}
