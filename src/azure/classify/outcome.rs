//! The result of a response for each verb.

use reqwest::header::HeaderMap;
use url::Url;

use super::error::{COMPRESSED, body_error, error_of};
use super::response_kind::{ResponseKind, response_kind};
use crate::azure::http::location::{self, LocationTarget};
use crate::azure::http::{BodyFault, ErrorSummary, Response, text};
use crate::azure::refreshes::{operation, running};
use crate::operation::{CancelResult, Operation, OperationId, PollResult, ServiceError, ServiceErrorKind, ServiceKind, SubmitResult};

/// The result of a POST of a refresh to `called`.
pub(in crate::azure) fn submission(service: ServiceKind, response: &Response, called: &Url) -> SubmitResult {
    submission_with(service, response, called, |response| accepted(service, response, called))
}

/// The result of a POST to `called`; `done` interprets 2xx.
///
/// `NotStarted` and `Busy` are certain: nothing was started. Anything uncertain is `Unknown`: a gateway may return 5xx although the service
/// accepted the request, and a page with 2xx is not a response of the service. A page with 4xx is not from the service either, but whatever
/// returned it did not forward the request.
pub(in crate::azure) fn submission_with(
    service: ServiceKind,
    response: &Response,
    called: &Url,
    done: impl FnOnce(&Response) -> SubmitResult,
) -> SubmitResult {
    let summary = response.error_summary();
    let kind = response_kind(response, &summary);
    match kind {
        ResponseKind::Success => done(response),
        ResponseKind::Redirect if !refuses(response, called) => {
            SubmitResult::Unknown { message: format!("the response to the submission is inconclusive (HTTP {})", response.status) }
        }
        ResponseKind::Inconclusive | ResponseKind::ServerError => {
            SubmitResult::Unknown { message: error_of(service, kind, response, &summary).message }
        }
        ResponseKind::Busy => {
            let message = Some(summary.message).filter(|message| !message.is_empty());
            SubmitResult::Busy { message: message.unwrap_or_else(|| format!("HTTP {}", response.status)) }
        }
        ResponseKind::Redirect
        | ResponseKind::NotFromService
        | ResponseKind::Throttled
        | ResponseKind::CapacityExceeded
        | ResponseKind::Paused
        | ResponseKind::NotFound
        | ResponseKind::ModelNotFound
        | ResponseKind::OwnerNotFound
        | ResponseKind::AccessDenied
        | ResponseKind::Firewall
        | ResponseKind::QuotaExceeded
        | ResponseKind::ScaleOutDisabled
        | ResponseKind::TokenExpired
        | ResponseKind::Rejected => SubmitResult::NotStarted(error_of(service, kind, response, &summary)),
    }
}

/// Whether a redirect is certainly no result of a request. 307 and 308 request that it is sent to another URL. So do 301 and 302, unless
/// they refer to an operation, as 303 does (RFC 9110, 15.4).
fn refuses(response: &Response, called: &Url) -> bool {
    match response.status {
        307 | 308 => true,
        301 | 302 => !response.location().is_some_and(|location| location::names_operation(location, called)),
        _ => false,
    }
}

/// The id of the accepted operation: from `Location`, or else from the body.
///
/// A response without an id does no harm, because the list shows the operation. A wrong id does: the operator would not search for the
/// right one. The ids in other headers therefore do not count: Power BI documents `x-ms-request-id` beside `Location`, and without
/// `Location` it may be the id of the call.
fn accepted(service: ServiceKind, response: &Response, called: &Url) -> SubmitResult {
    let named = id_in_location(&response.headers, called).or_else(|| if response.is_page() { None } else { body_id(service, response) });
    let Some(id) = named else {
        return accepted_without_id(response);
    };
    SubmitResult::Accepted { id, location: None, activity_id: response.activity_id(), retry_after: response.retry_after() }
}

/// An accepted submission without an operation id.
pub(in crate::azure) fn accepted_without_id(response: &Response) -> SubmitResult {
    let what = match response.fault {
        Some(BodyFault::Compressed) => COMPRESSED.to_owned(),
        _ if response.is_page() => "is a page that is not from the service".to_owned(),
        Some(BodyFault::TooLarge | BodyFault::Slow | BodyFault::Broken) => "is incomplete".to_owned(),
        None => format!("does not contain the id of the operation{}", text_of_object(response)),
    };
    SubmitResult::Unknown { message: format!("the response to the submission (HTTP {}) {what}", response.status) }
}

/// The end of a sentence about a successful response: the code and the text of the object in its body, such as an error.
fn text_of_object(response: &Response) -> String {
    let summary = if response.is_object() { response.error_summary() } else { ErrorSummary::default() };
    let parts: Vec<String> = [summary.code, summary.message].into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { String::new() } else { format!(". Its text: {}", parts.join(": ")) }
}

/// The id in the `Location` of a response, if it is a URL on the called host.
pub(in crate::azure) fn id_in_location(headers: &HeaderMap, called: &Url) -> Option<OperationId> {
    let location = headers.get(reqwest::header::LOCATION)?.to_str().ok()?;
    match location::target(location, called) {
        LocationTarget::SameOrigin(url) => location::refresh_id(&url),
        LocationTarget::OtherOrigin(host) => {
            tracing::warn!(host = text::truncate(&host, 253), "ignoring a Location on another host in the response to a submission");
            None
        }
        LocationTarget::Invalid => None,
    }
}

/// The id of a call, which can also be the id of its operation: Analysis Services has been observed to use the first header for it.
pub(in crate::azure) fn request_id(response: &Response) -> Option<OperationId> {
    ["x-ms-request-id", "requestid"].iter().find_map(|name| OperationId::parse(response.header(name)?))
}

/// The id in the body, or in the only element of a list, unless it is an error. A `requestId` is the id of the call, unless the service uses
/// that name for refreshes.
pub(in crate::azure) fn body_id(service: ServiceKind, response: &Response) -> Option<OperationId> {
    const OF_ERRORS: [&str; 3] = ["error", "code", "errorcode"];
    let body: serde_json::Value = serde_json::from_slice(response.text()).ok()?;
    let body = match body.as_array().map(Vec::as_slice) {
        Some([only]) => only.as_object()?,
        _ => body.as_object()?,
    };
    let names: &[&str] = match service {
        ServiceKind::AnalysisServices => &["operationid", "refreshid"],
        ServiceKind::PowerBi => &["operationid", "refreshid", "requestid"],
    };
    let value_of = |name: &str| body.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    if OF_ERRORS.iter().any(|name| value_of(name).is_some_and(|value| !value.is_null())) {
        return None;
    }
    names.iter().find_map(|name| OperationId::parse(value_of(name)?.as_str()?))
}

/// The result of a GET of one operation.
pub(in crate::azure) fn poll_result(service: ServiceKind, response: &Response, polled_id: &OperationId) -> PollResult {
    let summary = response.error_summary_unless_success();
    match response_kind(response, &summary) {
        ResponseKind::Success => match operation_in(service, response, polled_id) {
            Ok(operation) => PollResult::Found { operation: Box::new(operation), retry_after: response.retry_after(), location: None },
            Err(error) => PollResult::Failed(error),
        },
        ResponseKind::NotFound => PollResult::NotFound,
        kind @ (ResponseKind::Redirect
        | ResponseKind::NotFromService
        | ResponseKind::Throttled
        | ResponseKind::CapacityExceeded
        | ResponseKind::Inconclusive
        | ResponseKind::ServerError
        | ResponseKind::Busy
        | ResponseKind::Paused
        | ResponseKind::ModelNotFound
        | ResponseKind::OwnerNotFound
        | ResponseKind::AccessDenied
        | ResponseKind::Firewall
        | ResponseKind::QuotaExceeded
        | ResponseKind::ScaleOutDisabled
        | ResponseKind::TokenExpired
        | ResponseKind::Rejected) => PollResult::Failed(error_of(service, kind, response, &summary)),
    }
}

fn operation_in(service: ServiceKind, response: &Response, polled_id: &OperationId) -> Result<Operation, ServiceError> {
    if let Some(fault) = response.fault {
        return Err(body_error(fault));
    }
    // Power BI REST documentation, "Get Refresh Execution Details In Group": 202 means that the refresh is running. The status alone
    // determines this.
    if response.status == 202 && response.text().is_empty() {
        return Ok(running(polled_id, response.activity_id()));
    }
    if response.is_page() {
        return Err(error_of(service, ResponseKind::NotFromService, response, &ErrorSummary::default()));
    }
    operation(service, response.text(), polled_id, response.activity_id())
        .map_err(|fault| ServiceError::new(ServiceErrorKind::InvalidResponse, format!("the response of the service {fault}")))
}

/// The text of a complete successful response, or else the error.
pub(in crate::azure) fn body_text(service: ServiceKind, response: &Response) -> Result<&[u8], ServiceError> {
    let summary = response.error_summary_unless_success();
    match response_kind(response, &summary) {
        ResponseKind::Success => {}
        kind => return Err(error_of(service, kind, response, &summary)),
    }
    if let Some(fault) = response.fault {
        return Err(body_error(fault));
    }
    if response.is_page() {
        return Err(error_of(service, ResponseKind::NotFromService, response, &summary));
    }
    Ok(response.text())
}

/// The result of a DELETE.
pub(in crate::azure) fn cancel_result(service: ServiceKind, response: &Response) -> CancelResult {
    let summary = response.error_summary();
    let kind = response_kind(response, &summary);
    let message = summary.message.to_ascii_lowercase();
    let over = ["cannot be cancel", "can't be cancel", "not in progress", "already completed", "already ended", "already finished"]
        .iter()
        .any(|words| message.contains(words));
    match kind {
        ResponseKind::Success if response.is_page() => {
            CancelResult::Failed(error_of(service, ResponseKind::NotFromService, response, &summary))
        }
        ResponseKind::Success => CancelResult::Accepted,
        // A locked model may have a running operation.
        ResponseKind::Busy if response.status != 423 => CancelResult::NotRunning,
        ResponseKind::NotFound => CancelResult::NotRunning,
        ResponseKind::Rejected if over => CancelResult::NotRunning,
        ResponseKind::Redirect
        | ResponseKind::NotFromService
        | ResponseKind::Throttled
        | ResponseKind::CapacityExceeded
        | ResponseKind::Inconclusive
        | ResponseKind::ServerError
        | ResponseKind::Busy
        | ResponseKind::Paused
        | ResponseKind::ModelNotFound
        | ResponseKind::OwnerNotFound
        | ResponseKind::AccessDenied
        | ResponseKind::Firewall
        | ResponseKind::QuotaExceeded
        | ResponseKind::ScaleOutDisabled
        | ResponseKind::TokenExpired
        | ResponseKind::Rejected => CancelResult::Failed(error_of(service, kind, response, &summary)),
    }
}

/// The error of a response to a list request that is not a list.
pub(in crate::azure) fn list_error(service: ServiceKind, response: &Response) -> ServiceError {
    let summary = response.error_summary();
    match response_kind(response, &summary) {
        ResponseKind::Success if response.is_page() => error_of(service, ResponseKind::NotFromService, response, &summary),
        ResponseKind::Success => {
            // Of an incomplete list, the rows are no text.
            let is_whole = serde_json::from_slice::<serde_json::Value>(response.text()).is_ok();
            let text = if is_whole { text_of_object(response) } else { String::new() };
            ServiceError::new(ServiceErrorKind::InvalidResponse, format!("the response of the service is not a list of refreshes{text}"))
        }
        kind => error_of(service, kind, response, &summary),
    }
}
