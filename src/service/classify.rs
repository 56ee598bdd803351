//! What an answer means: status, headers and body in, one word of [`crate::operation`] out. Nothing else decides it.
//!
//! [`word`] says what the service said, whatever it was asked; each verb then says what that means for it. The body
//! counts before the status: Analysis Services answers 400 where others answer 401, 404 or 409.

use reqwest::header::HeaderMap;
use url::Url;

use super::answer::{Answer, BodyFault, Complaint};
use super::location::{self, Target};
use super::{analysis_services, text};
use crate::operation::{Cancellation, Look, OperationId, Submission, Trouble, TroubleKind};

/// What the service said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// 2xx.
    Done,
    /// 3xx.
    Moved,
    /// A page for people, or what is left of an answer: not the service's own.
    Foreign,
    /// 429.
    Throttled,
    /// 1xx, 408, 425: it may have been taken, or not.
    Unclear,
    /// 5xx.
    Failed,
    /// Another operation runs on the model.
    Busy,
    /// The server sleeps.
    Paused,
    /// What was asked for is not there; for one operation, it is the operation.
    NotFound,
    /// The server or the database is not there.
    NoModel,
    /// The identity may not.
    Denied,
    /// The server's firewall does not let us in.
    Firewall,
    /// The request itself is wrong.
    Rejected,
}

/// Reads an answer. The order of the lines is the order in which they count.
fn word(answer: &Answer, complaint: &Complaint) -> Word {
    let page = answer.is_page();
    let code = complaint.code.to_ascii_lowercase();
    let said = format!("{} {}", complaint.message, answer.extended_error().unwrap_or_default()).to_ascii_lowercase();
    match answer.status {
        200..=299 => Word::Done,
        300..=399 => Word::Moved,
        429 => Word::Throttled,
        ..200 | 408 | 425 => Word::Unclear,
        401 if answer.wants_bearer() => Word::Denied,
        500.. if page => Word::Failed,
        407 => Word::Foreign,
        _ if page => Word::Foreign,
        _ if matches!(code.as_str(), "serverpausedorscaling" | "servernotready" | "capacitynotactive") => Word::Paused,
        _ if no_model(&code) => Word::NoModel,
        _ if said.contains("client with ip address") => Word::Firewall,
        _ if code == "xmlaendpointdisabled" => Word::Denied,
        500.. => Word::Failed,
        401 | 403 => Word::Denied,
        409 => Word::Busy,
        404 | 410 if answer.fault.is_none() => Word::NotFound,
        _ if answer.fault.is_some() => Word::Foreign,
        400 if code == "unauthorized" => Word::Denied,
        400 if busy(&code, &said) => Word::Busy,
        _ if code.ends_with("notfound") => Word::NotFound,
        _ => Word::Rejected,
    }
}

fn no_model(code: &str) -> bool {
    let missing = code.contains("notfound") || code.contains("doesnotexist");
    missing && ["server", "database", "model"].iter().any(|what| code.starts_with(what))
}

fn busy(code: &str, said: &str) -> bool {
    let other = said.contains("another") || said.contains("already");
    let runs = ["execut", "progress", "running"].iter().any(|word| said.contains(word));
    matches!(code, "conflict" | "refreshinprogress" | "operationinprogress") || (said.contains("refresh") && other && runs)
}

/// What became of a POST to `called`.
///
/// *Refused* and *Busy* are certain: nothing was started. Whatever leaves a doubt is *Unanswered*: a 5xx may have
/// been accepted behind the gateway that says so, and a page with 2xx is not the service's word for anything. A page
/// with 4xx is not the service's either, but what stood in the way did not let the request through.
pub(super) fn submission(answer: &Answer, called: &Url) -> Submission {
    let complaint = answer.complaint();
    let word = word(answer, &complaint);
    match word {
        Word::Done => accepted(answer, called),
        Word::Moved if !matches!(answer.status, 301 | 302 | 307 | 308) => {
            Submission::Unanswered { message: format!("the answer to the submission says neither yes nor no (HTTP {})", answer.status) }
        }
        Word::Unclear | Word::Failed => Submission::Unanswered { message: trouble_of(word, answer, &complaint).message },
        Word::Busy => {
            let said = Some(complaint.message).filter(|said| !said.is_empty());
            Submission::Busy { message: said.unwrap_or_else(|| "another refresh runs on the model".to_owned()) }
        }
        Word::Moved
        | Word::Foreign
        | Word::Throttled
        | Word::Paused
        | Word::NotFound
        | Word::NoModel
        | Word::Denied
        | Word::Firewall
        | Word::Rejected => Submission::Refused(trouble_of(word, answer, &complaint)),
    }
}

/// The id of what was accepted: from `Location`, else from the body, else from `x-ms-request-id`.
fn accepted(answer: &Answer, called: &Url) -> Submission {
    let named = accepted_location(&answer.headers, called).or_else(|| {
        let in_body = if answer.is_page() { None } else { body_id(answer) };
        let usable = !answer.is_page() && answer.fault.is_none();
        in_body.or_else(|| answer.header("x-ms-request-id").filter(|_| usable).and_then(OperationId::parse))
    });
    let Some(id) = named else {
        let what = if answer.is_page() { "is a page that is not the service's" } else { "does not name the operation" };
        return Submission::Unanswered { message: format!("the answer to the submission {what} (HTTP {})", answer.status) };
    };
    Submission::Accepted { id, location: None, activity_id: answer.activity_id(), retry_after: answer.retry_after() }
}

/// The id in the `Location` of an answer, if it is an address of the host that was called.
pub(super) fn accepted_location(headers: &HeaderMap, called: &Url) -> Option<OperationId> {
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

fn body_id(answer: &Answer) -> Option<OperationId> {
    let body: serde_json::Value = serde_json::from_slice(answer.text()).ok()?;
    let body = body.as_object()?;
    ["operationid", "refreshid"].iter().find_map(|name| {
        let (_, value) = body.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        OperationId::parse(value.as_str()?)
    })
}

/// What a GET of one operation showed.
pub(super) fn look(answer: &Answer, asked: &OperationId) -> Look {
    let complaint = answer.complaint_unless_done();
    match word(answer, &complaint) {
        Word::Done => match described(answer, asked) {
            Ok(operation) => Look::Found { operation: Box::new(operation), retry_after: answer.retry_after(), location: None },
            Err(trouble) => Look::Trouble(trouble),
        },
        Word::NotFound => Look::Gone,
        word @ (Word::Moved
        | Word::Foreign
        | Word::Throttled
        | Word::Unclear
        | Word::Failed
        | Word::Busy
        | Word::Paused
        | Word::NoModel
        | Word::Denied
        | Word::Firewall
        | Word::Rejected) => Look::Trouble(trouble_of(word, answer, &complaint)),
    }
}

fn described(answer: &Answer, asked: &OperationId) -> Result<crate::operation::Operation, Trouble> {
    if let Some(fault) = answer.fault {
        return Err(body_trouble(fault));
    }
    if answer.is_page() {
        return Err(trouble_of(Word::Foreign, answer, &Complaint::default()));
    }
    analysis_services::operation(answer.text(), asked, answer.activity_id())
        .map_err(|fault| trouble(TroubleKind::InvalidAnswer, format!("the service's answer {fault}")))
}

/// What became of a DELETE.
pub(super) fn cancellation(answer: &Answer) -> Cancellation {
    let complaint = answer.complaint();
    let word = word(answer, &complaint);
    let said = complaint.message.to_ascii_lowercase();
    let over = ["cannot be cancel", "can't be cancel", "not in progress", "already completed", "already ended", "already finished"]
        .iter()
        .any(|words| said.contains(words));
    match word {
        Word::Done if answer.is_page() => Cancellation::Trouble(trouble_of(Word::Foreign, answer, &complaint)),
        Word::Done => Cancellation::Accepted,
        Word::Busy | Word::NotFound => Cancellation::NothingToCancel,
        Word::Rejected if over => Cancellation::NothingToCancel,
        Word::Moved
        | Word::Foreign
        | Word::Throttled
        | Word::Unclear
        | Word::Failed
        | Word::Paused
        | Word::NoModel
        | Word::Denied
        | Word::Firewall
        | Word::Rejected => Cancellation::Trouble(trouble_of(word, answer, &complaint)),
    }
}

/// What is in the way, where an answer to a listing is not a list.
pub(super) fn listing_trouble(answer: &Answer) -> Trouble {
    let complaint = answer.complaint();
    match word(answer, &complaint) {
        Word::Done if answer.is_page() => trouble_of(Word::Foreign, answer, &complaint),
        Word::Done => trouble(TroubleKind::InvalidAnswer, "the service's answer is not a list of refreshes".to_owned()),
        word => trouble_of(word, answer, &complaint),
    }
}

/// A body that could not be read, as trouble.
pub(super) fn body_trouble(fault: BodyFault) -> Trouble {
    match fault {
        BodyFault::TooLarge => trouble(TroubleKind::InvalidAnswer, "the service's answer is larger than 8 MiB".to_owned()),
        BodyFault::Broken => trouble(TroubleKind::InvalidAnswer, "the service's answer broke off".to_owned()),
        BodyFault::Slow => trouble(TroubleKind::Unreachable, "the service's answer did not end in time".to_owned()),
    }
}

/// What the service said, as a trouble with a sentence that says what to do.
fn trouble_of(word: Word, answer: &Answer, complaint: &Complaint) -> Trouble {
    let status = answer.status;
    // The header has the useful sentence where the body says "An internal error occurred." (seen in captures).
    let said = answer.extended_error().unwrap_or_else(|| complaint.message.clone());
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let code = if complaint.code.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}, {}", complaint.code) };
    let (kind, message) = match word {
        Word::Done => (TroubleKind::InvalidAnswer, format!("the service's answer cannot be used ({code})")),
        Word::Moved => {
            let host = answer.location().and_then(|location| Url::parse(location).ok());
            let host = host.as_ref().and_then(Url::host_str).map(|host| format!(" to host {host}")).unwrap_or_default();
            (TroubleKind::InvalidAnswer, format!("the service redirects{host} ({code}), which is not followed"))
        }
        Word::Foreign => (
            TroubleKind::InvalidAnswer,
            format!("something that is not the service answered in its place (HTTP {status}): a proxy or a gateway on the way?"),
        ),
        Word::Throttled => (TroubleKind::Throttled, "the service asks for fewer calls (HTTP 429); they resume by themselves".to_owned()),
        Word::Unclear | Word::Failed => (TroubleKind::ServiceError, format!("the service failed ({code}){said}")),
        Word::Busy => (TroubleKind::ServiceError, format!("the service is busy with another operation ({code}){said}")),
        Word::Paused => (
            TroubleKind::Paused,
            format!("the server is paused, scaling or not ready ({code}): resume it in Azure; it is tried again by itself"),
        ),
        Word::NotFound | Word::NoModel => {
            (TroubleKind::NotFound, format!("the service does not know the server or the database ({code}): check their names{said}"))
        }
        Word::Denied if status == 401 => (
            TroubleKind::AccessDenied,
            format!("the service does not accept the token ({code}): check that the credentials belong to the server's tenant{said}"),
        ),
        Word::Denied if complaint.code.eq_ignore_ascii_case("xmlaendpointdisabled") => (
            TroubleKind::AccessDenied,
            format!("the server's XMLA endpoint is switched off ({code}): enable it in the server's settings{said}"),
        ),
        Word::Denied => (
            TroubleKind::AccessDenied,
            format!(
                "the service denies access ({code}): check the server's name, and that the service principal is one of its administrators, added directly and not through a group{said}"
            ),
        ),
        Word::Firewall => {
            (TroubleKind::AccessDenied, format!("the server's firewall keeps the operator out: allow its address there{said}"))
        }
        Word::Rejected => (TroubleKind::Rejected, format!("the service rejects the request ({code}){said}")),
    };
    Trouble {
        kind,
        message: text::cut(&message, 1024),
        retry_after: answer.retry_after(),
        activity_id: complaint.activity_id.clone().or_else(|| answer.activity_id()),
    }
}

/// A trouble without more to it.
pub(super) fn trouble(kind: TroubleKind, message: String) -> Trouble {
    Trouble { kind, message, retry_after: None, activity_id: None }
}

#[cfg(test)]
mod tests;
