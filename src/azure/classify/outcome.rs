//! The result of a response for each verb.

use reqwest::header::HeaderMap;
use url::Url;

use super::error::{COMPRESSED, body_error, error_of, service_error};
use super::response_kind::{Word, word};
use crate::azure::http::location::{self, Target};
use crate::azure::http::{Answer, BodyFault, Complaint, text};
use crate::azure::refreshes::{operation, running};
use crate::operation::{CancelResult, Operation, OperationId, PollResult, ServiceError, ServiceErrorKind, ServiceKind, Submission};

/// The result of a POST of a refresh to `called`.
pub(in crate::azure) fn submission(service: ServiceKind, answer: &Answer, called: &Url) -> Submission {
    submission_with(service, answer, |answer| accepted(service, answer, called))
}

/// The result of a POST; `done` interprets 2xx.
///
/// *Refused* and *Busy* are certain: nothing was started. Anything uncertain is *Unanswered*: a gateway may return 5xx although the service
/// accepted the request, and a page with 2xx is not a response of the service. A page with 4xx is not from the service either, but whatever
/// returned it did not forward the request.
pub(in crate::azure) fn submission_with(service: ServiceKind, answer: &Answer, done: impl FnOnce(&Answer) -> Submission) -> Submission {
    let complaint = answer.complaint();
    let word = word(answer, &complaint);
    match word {
        Word::Done => done(answer),
        Word::Moved if !matches!(answer.status, 301 | 302 | 307 | 308) => {
            Submission::Unknown { message: format!("the response to the submission is inconclusive (HTTP {})", answer.status) }
        }
        Word::Unclear | Word::Failed => Submission::Unknown { message: error_of(service, word, answer, &complaint).message },
        Word::Busy => {
            let said = Some(complaint.message).filter(|said| !said.is_empty());
            Submission::Busy { message: said.unwrap_or_else(|| format!("HTTP {}", answer.status)) }
        }
        Word::Moved
        | Word::Foreign
        | Word::Throttled
        | Word::OverCapacity
        | Word::Paused
        | Word::NotFound
        | Word::NoModel
        | Word::NoOwner
        | Word::Denied
        | Word::Firewall
        | Word::Quota
        | Word::ScaleOutOff
        | Word::Expired
        | Word::Rejected => Submission::NotStarted(error_of(service, word, answer, &complaint)),
    }
}

/// The id of the accepted operation: from `Location`, or else from the body, or else from the headers if they contain the id of the
/// refresh.
///
/// A response without an id does no harm, because the list shows the operation. A wrong id does: the operator would not search for the
/// right one.
fn accepted(service: ServiceKind, answer: &Answer, called: &Url) -> Submission {
    let named = accepted_location(&answer.headers, called).or_else(|| {
        let in_body = if answer.is_page() { None } else { body_id(service, answer) };
        let usable = !answer.is_page() && answer.fault.is_none();
        in_body.or_else(|| refresh_in_headers(service, answer).filter(|_| usable))
    });
    let Some(id) = named else {
        return unnamed(answer);
    };
    Submission::Accepted { id, location: None, activity_id: answer.activity_id(), retry_after: answer.retry_after() }
}

/// An accepted submission without an operation id.
pub(in crate::azure) fn unnamed(answer: &Answer) -> Submission {
    let what = match answer.fault {
        Some(BodyFault::Compressed) => COMPRESSED,
        _ if answer.is_page() => "is a page that is not from the service",
        Some(BodyFault::TooLarge | BodyFault::Slow | BodyFault::Broken) => "is incomplete",
        None => "does not contain the id of the operation",
    };
    Submission::Unknown { message: format!("the response to the submission (HTTP {}) {what}", answer.status) }
}

/// The id in the `Location` of a response, if it is a URL on the called host.
pub(in crate::azure) fn accepted_location(headers: &HeaderMap, called: &Url) -> Option<OperationId> {
    let location = headers.get(reqwest::header::LOCATION)?.to_str().ok()?;
    match location::target(location, called) {
        Target::Here(url) => location::refresh_id(&url),
        Target::Elsewhere(host) => {
            tracing::warn!(host = text::cut(&host, 253), "ignoring a Location on another host in the response to a submission");
            None
        }
        Target::Nonsense => None,
    }
}

/// The id of a refresh in the headers. Power BI documents one header for it, and sends two: if they differ, one is the id of the call. In
/// responses of Analysis Services, both are ids of the call.
fn refresh_in_headers(service: ServiceKind, answer: &Answer) -> Option<OperationId> {
    match service {
        ServiceKind::AnalysisServices => None,
        ServiceKind::PowerBi => request_id(answer)
            .filter(|id| answer.header("requestid").and_then(OperationId::parse).is_none_or(|other| id.same(other.as_str()))),
    }
}

/// The id of a call, which can also be the id of its operation: Power BI documents this, and Analysis Services has been observed to use the
/// first header.
pub(in crate::azure) fn request_id(answer: &Answer) -> Option<OperationId> {
    ["x-ms-request-id", "requestid"].iter().find_map(|name| OperationId::parse(answer.header(name)?))
}

/// The id in the body. A `requestId` is the id of the call, unless the service uses that name for refreshes.
pub(in crate::azure) fn body_id(service: ServiceKind, answer: &Answer) -> Option<OperationId> {
    let body: serde_json::Value = serde_json::from_slice(answer.text()).ok()?;
    let body = body.as_object()?;
    let names: &[&str] = match service {
        ServiceKind::AnalysisServices => &["operationid", "refreshid"],
        ServiceKind::PowerBi => &["operationid", "refreshid", "requestid"],
    };
    names.iter().find_map(|name| {
        let (_, value) = body.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        OperationId::parse(value.as_str()?)
    })
}

/// The result of a GET of one operation.
pub(in crate::azure) fn look(service: ServiceKind, answer: &Answer, asked: &OperationId) -> PollResult {
    let complaint = answer.complaint_unless_done();
    match word(answer, &complaint) {
        Word::Done => match described(service, answer, asked) {
            Ok(operation) => PollResult::Found { operation: Box::new(operation), retry_after: answer.retry_after(), location: None },
            Err(error) => PollResult::Failed(error),
        },
        Word::NotFound => PollResult::NotFound,
        word @ (Word::Moved
        | Word::Foreign
        | Word::Throttled
        | Word::OverCapacity
        | Word::Unclear
        | Word::Failed
        | Word::Busy
        | Word::Paused
        | Word::NoModel
        | Word::NoOwner
        | Word::Denied
        | Word::Firewall
        | Word::Quota
        | Word::ScaleOutOff
        | Word::Expired
        | Word::Rejected) => PollResult::Failed(error_of(service, word, answer, &complaint)),
    }
}

fn described(service: ServiceKind, answer: &Answer, asked: &OperationId) -> Result<Operation, ServiceError> {
    if let Some(fault) = answer.fault {
        return Err(body_error(fault));
    }
    // Power BI REST documentation, "Get Refresh Execution Details In Group": 202 means that the refresh is running. The status alone
    // determines this.
    if answer.status == 202 && answer.text().is_empty() {
        return Ok(running(asked, answer.activity_id()));
    }
    if answer.is_page() {
        return Err(error_of(service, Word::Foreign, answer, &Complaint::default()));
    }
    operation(service, answer.text(), asked, answer.activity_id())
        .map_err(|fault| service_error(ServiceErrorKind::InvalidResponse, format!("the response of the service {fault}")))
}

/// The text of a complete successful response, or else the error.
pub(in crate::azure) fn text_of(service: ServiceKind, answer: &Answer) -> Result<&[u8], ServiceError> {
    let complaint = answer.complaint_unless_done();
    match word(answer, &complaint) {
        Word::Done => {}
        word => return Err(error_of(service, word, answer, &complaint)),
    }
    if let Some(fault) = answer.fault {
        return Err(body_error(fault));
    }
    if answer.is_page() {
        return Err(error_of(service, Word::Foreign, answer, &complaint));
    }
    Ok(answer.text())
}

/// The result of a DELETE.
pub(in crate::azure) fn cancellation(service: ServiceKind, answer: &Answer) -> CancelResult {
    let complaint = answer.complaint();
    let word = word(answer, &complaint);
    let said = complaint.message.to_ascii_lowercase();
    let over = ["cannot be cancel", "can't be cancel", "not in progress", "already completed", "already ended", "already finished"]
        .iter()
        .any(|words| said.contains(words));
    match word {
        Word::Done if answer.is_page() => CancelResult::Failed(error_of(service, Word::Foreign, answer, &complaint)),
        Word::Done => CancelResult::Accepted,
        // A locked model may have a running operation.
        Word::Busy if answer.status != 423 => CancelResult::NotRunning,
        Word::NotFound => CancelResult::NotRunning,
        Word::Rejected if over => CancelResult::NotRunning,
        Word::Moved
        | Word::Foreign
        | Word::Throttled
        | Word::OverCapacity
        | Word::Unclear
        | Word::Failed
        | Word::Busy
        | Word::Paused
        | Word::NoModel
        | Word::NoOwner
        | Word::Denied
        | Word::Firewall
        | Word::Quota
        | Word::ScaleOutOff
        | Word::Expired
        | Word::Rejected => CancelResult::Failed(error_of(service, word, answer, &complaint)),
    }
}

/// The error of a response to a list request that is not a list.
pub(in crate::azure) fn list_error(service: ServiceKind, answer: &Answer) -> ServiceError {
    let complaint = answer.complaint();
    match word(answer, &complaint) {
        Word::Done if answer.is_page() => error_of(service, Word::Foreign, answer, &complaint),
        Word::Done => service_error(ServiceErrorKind::InvalidResponse, "the response of the service is not a list of refreshes".to_owned()),
        word => error_of(service, word, answer, &complaint),
    }
}
