//! What an answer means: status, headers and body in, one word of [`crate::operation`] out. Nothing else decides it.
//!
//! [`word()`] says what the service said, whatever it was asked; each verb then says what that means for it. The body
//! counts before the status: Analysis Services answers 400 where others answer 401, 404 or 409, and Power BI 400 where
//! others answer 409 or 429.

mod refusal;
mod word;

use reqwest::header::HeaderMap;
use url::Url;

pub(in crate::service) use self::refusal::{COMPRESSED, body_trouble, throttled, trouble, trouble_of, unreachable};
pub(in crate::service) use self::word::{Word, word};
use super::answer::{Answer, BodyFault, Complaint};
use super::location::{self, Target};
use super::{refreshes, text};
use crate::operation::{Cancellation, Look, Operation, OperationId, ServiceKind, Submission, Trouble, TroubleKind};

/// What became of a POST of a refresh to `called`.
pub(in crate::service) fn submission(service: ServiceKind, answer: &Answer, called: &Url) -> Submission {
    submission_with(service, answer, |answer| accepted(service, answer, called))
}

/// What became of a POST; `done` says what 2xx means.
///
/// *Refused* and *Busy* are certain: nothing was started. Whatever leaves a doubt is *Unanswered*: a 5xx may have
/// been accepted behind the gateway that says so, and a page with 2xx is not the service's word for anything. A page
/// with 4xx is not the service's either, but what stood in the way did not let the request through.
pub(in crate::service) fn submission_with(service: ServiceKind, answer: &Answer, done: impl FnOnce(&Answer) -> Submission) -> Submission {
    let complaint = answer.complaint();
    let word = word(answer, &complaint);
    match word {
        Word::Done => done(answer),
        Word::Moved if !matches!(answer.status, 301 | 302 | 307 | 308) => {
            Submission::Unanswered { message: format!("the answer to the submission says neither yes nor no (HTTP {})", answer.status) }
        }
        Word::Unclear | Word::Failed => Submission::Unanswered { message: trouble_of(service, word, answer, &complaint).message },
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
        | Word::Rejected => Submission::Refused(trouble_of(service, word, answer, &complaint)),
    }
}

/// The id of what was accepted: from `Location`, else from the body, else from the headers where it is the refresh's.
///
/// An answer that names none is no loss: the list shows what began. A wrong one is: nobody would look for the right one.
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

/// A doubt: the answer says yes, and not to what.
pub(in crate::service) fn unnamed(answer: &Answer) -> Submission {
    let what = match answer.fault {
        Some(BodyFault::Compressed) => COMPRESSED,
        _ if answer.is_page() => "is a page that is not the service's",
        Some(BodyFault::TooLarge | BodyFault::Slow | BodyFault::Broken) => "could not be read to its end",
        None => "does not name the operation",
    };
    Submission::Unanswered { message: format!("the answer to the submission (HTTP {}) {what}", answer.status) }
}

/// The id in the `Location` of an answer, if it is an address of the host that was called.
pub(in crate::service) fn accepted_location(headers: &HeaderMap, called: &Url) -> Option<OperationId> {
    let location = headers.get(reqwest::header::LOCATION)?.to_str().ok()?;
    match location::target(location, called) {
        Target::Here(url) => location::refresh_id(&url),
        Target::Elsewhere(host) => {
            tracing::warn!(host = text::cut(&host, 253), "the answer to a submission has a Location on another host; it is not used");
            None
        }
        Target::Nonsense => None,
    }
}

/// The id of a refresh in the headers. Power BI documents one for it, and sends two: where they differ, one is the call's.
/// Those of Analysis Services are the call's.
fn refresh_in_headers(service: ServiceKind, answer: &Answer) -> Option<OperationId> {
    match service {
        ServiceKind::AnalysisServices => None,
        ServiceKind::PowerBi => request_id(answer)
            .filter(|id| answer.header("requestid").and_then(OperationId::parse).is_none_or(|other| id.same(other.as_str()))),
    }
}

/// The id of a call, which some of them give to what they began: Power BI documents it, and Analysis Services has been seen to send
/// the first.
pub(in crate::service) fn request_id(answer: &Answer) -> Option<OperationId> {
    ["x-ms-request-id", "requestid"].iter().find_map(|name| OperationId::parse(answer.header(name)?))
}

/// The id in the body. A `requestId` is the call's own, unless the service names its refreshes so.
pub(in crate::service) fn body_id(service: ServiceKind, answer: &Answer) -> Option<OperationId> {
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

/// What a GET of one operation showed.
pub(in crate::service) fn look(service: ServiceKind, answer: &Answer, asked: &OperationId) -> Look {
    let complaint = answer.complaint_unless_done();
    match word(answer, &complaint) {
        Word::Done => match described(service, answer, asked) {
            Ok(operation) => Look::Found { operation: Box::new(operation), retry_after: answer.retry_after(), location: None },
            Err(trouble) => Look::Trouble(trouble),
        },
        Word::NotFound => Look::Gone,
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
        | Word::Rejected) => Look::Trouble(trouble_of(service, word, answer, &complaint)),
    }
}

fn described(service: ServiceKind, answer: &Answer, asked: &OperationId) -> Result<Operation, Trouble> {
    if let Some(fault) = answer.fault {
        return Err(body_trouble(fault));
    }
    // Power BI REST documentation, "Get Refresh Execution Details In Group": 202 is one that runs. The status alone says so.
    if answer.status == 202 && answer.text().is_empty() {
        return Ok(refreshes::running(asked, answer.activity_id()));
    }
    if answer.is_page() {
        return Err(trouble_of(service, Word::Foreign, answer, &Complaint::default()));
    }
    refreshes::operation(service, answer.text(), asked, answer.activity_id())
        .map_err(|fault| trouble(TroubleKind::InvalidAnswer, format!("the service's answer {fault}")))
}

/// The whole text of an answer that says yes; what is in the way otherwise.
pub(in crate::service) fn text_of(service: ServiceKind, answer: &Answer) -> Result<&[u8], Trouble> {
    let complaint = answer.complaint_unless_done();
    match word(answer, &complaint) {
        Word::Done => {}
        word => return Err(trouble_of(service, word, answer, &complaint)),
    }
    if let Some(fault) = answer.fault {
        return Err(body_trouble(fault));
    }
    if answer.is_page() {
        return Err(trouble_of(service, Word::Foreign, answer, &complaint));
    }
    Ok(answer.text())
}

/// What became of a DELETE.
pub(in crate::service) fn cancellation(service: ServiceKind, answer: &Answer) -> Cancellation {
    let complaint = answer.complaint();
    let word = word(answer, &complaint);
    let said = complaint.message.to_ascii_lowercase();
    let over = ["cannot be cancel", "can't be cancel", "not in progress", "already completed", "already ended", "already finished"]
        .iter()
        .any(|words| said.contains(words));
    match word {
        Word::Done if answer.is_page() => Cancellation::Trouble(trouble_of(service, Word::Foreign, answer, &complaint)),
        Word::Done => Cancellation::Accepted,
        // What is locked may be running.
        Word::Busy if answer.status != 423 => Cancellation::NothingToCancel,
        Word::NotFound => Cancellation::NothingToCancel,
        Word::Rejected if over => Cancellation::NothingToCancel,
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
        | Word::Rejected => Cancellation::Trouble(trouble_of(service, word, answer, &complaint)),
    }
}

/// What is in the way, where an answer to a listing is not a list.
pub(in crate::service) fn listing_trouble(service: ServiceKind, answer: &Answer) -> Trouble {
    let complaint = answer.complaint();
    match word(answer, &complaint) {
        Word::Done if answer.is_page() => trouble_of(service, Word::Foreign, answer, &complaint),
        Word::Done => trouble(TroubleKind::InvalidAnswer, "the service's answer is not a list of refreshes".to_owned()),
        word => trouble_of(service, word, answer, &complaint),
    }
}

#[cfg(test)]
mod tests;
