//! Interprets the responses about a sync.

use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use super::status::Status;
use crate::azure::classify::{self, Word};
use crate::azure::http::location::{self, Target};
use crate::azure::http::{Answer, text};
use crate::operation::{
    Operation, OperationId, OperationRef, Origin, Phase, PollResult, ServiceError, ServiceErrorKind, ServiceKind, Submission,
};

/// The wait before the next poll if the response states none, as in Microsoft's own client.
const DEFAULT_WAIT: Duration = Duration::from_secs(30);

/// Maximum length of a recorded `Location`, as documented in [`OperationRef`].
const LONGEST_LOCATION: usize = 2048;

/// Prefix of an id that is not the service's id of the sync, but the id of the call that started it. The state at its `Location` counts as
/// this sync, independent of the id in it.
const OF_THE_CALL: &str = "request-";

/// The result of a submission with a 2xx response: 202 is a sync, and so is any response with an id. Another 2xx means that there is no
/// replica (seen in Microsoft's own client).
pub(in crate::azure) fn accepted(answer: &Answer, called: &Url) -> Submission {
    let next = next(answer, called);
    let in_location = next.as_ref().and_then(id_in);
    let in_body = if answer.is_page() { None } else { classify::body_id(ServiceKind::AnalysisServices, answer) };
    let named = in_location.or(in_body);
    if answer.status != 202 && next.is_none() && named.is_none() {
        if answer.is_page() || answer.fault.is_some() || answer.location().is_some() || says_otherwise(answer) {
            return classify::unnamed(answer);
        }
        return Submission::NothingToDo { message: "the server has no read-only replica, so there is nothing to synchronize".to_owned() };
    }
    let of_the_call = || {
        let believed = !answer.is_page() && answer.fault.is_none();
        let id = classify::request_id(answer).filter(|_| believed);
        // If the service returns a URL without an id, the URL is sufficient for following the sync.
        let id = id.map(|id| id.to_string()).or_else(|| next.as_ref().map(|_| uuid::Uuid::new_v4().to_string()));
        id.and_then(|id| OperationId::parse(&format!("{OF_THE_CALL}{id}")))
    };
    let Some(id) = named.or_else(of_the_call) else {
        return classify::unnamed(answer);
    };
    let retry_after = answer.retry_after().or((answer.status == 202).then_some(DEFAULT_WAIT));
    Submission::Accepted { id, location: next.map(String::from), activity_id: answer.activity_id(), retry_after }
}

/// Whether the body of a success contradicts it: an error, or a sync that has not ended.
fn says_otherwise(answer: &Answer) -> bool {
    if let Some(status) = Status::read(answer.text()).filter(|_| answer.is_object()) {
        return status.phase != Phase::Succeeded;
    }
    let complaint = answer.complaint();
    answer.is_object() && !(complaint.code.is_empty() && complaint.message.is_empty())
}

/// The URL of the next poll, if the response contains one on the called host.
fn next(answer: &Answer, called: &Url) -> Option<Url> {
    match location::target(answer.location()?, called) {
        // The URL is written to the status, so one that contains our token is ignored.
        Target::Here(url) if url.as_str().len() <= LONGEST_LOCATION && !text::token_like(url.as_str()) => Some(url),
        Target::Elsewhere(host) => {
            tracing::warn!(host = text::cut(&host, 253), "ignoring a Location on another host in a response about a sync");
            None
        }
        Target::Here(_) | Target::Nonsense => None,
    }
}

/// The id in the URL of a sync: `…/sync?operationId=<id>`, or `…/<id>` if it is a GUID or follows `sync`.
fn id_in(url: &Url) -> Option<OperationId> {
    let in_query = url.query_pairs().find(|(key, _)| key.eq_ignore_ascii_case("operationid"));
    if let Some((_, id)) = in_query {
        return OperationId::parse(&id);
    }
    let mut segments = url.path_segments()?.rev().skip_while(|segment| segment.is_empty());
    let (last, before) = (segments.next()?, segments.next()?);
    let named = before.eq_ignore_ascii_case("sync") || (last.len() == 36 && uuid::Uuid::try_parse(last).is_ok());
    OperationId::parse(last).filter(|_| named)
}

/// The recorded `Location`, if a token may be sent there. Anyone with permission to write the resource can edit the record.
pub(in crate::azure) fn stored(operation: &OperationRef, sync: &Url) -> Option<Url> {
    match location::target(operation.location.as_deref()?, sync) {
        Target::Here(url) => Some(url),
        Target::Elsewhere(_) | Target::Nonsense => None,
    }
}

/// `GET sync?operationId=<id>`, which is documented. An id is safe in a query.
pub(super) fn by_id(sync: &Url, id: &OperationId) -> Url {
    let mut url = sync.clone();
    url.set_query(Some(&format!("operationId={}", own(id).0)));
    url
}

/// The id without the prefix for the id of a call, and whether it had the prefix.
fn own(id: &OperationId) -> (&str, bool) {
    id.as_str().strip_prefix(OF_THE_CALL).map_or((id.as_str(), false), |id| (id, true))
}

/// The result of a poll. `named_by_service` states that the service returned this URL for this sync.
pub(in crate::azure) fn seen(answer: &Answer, called: &Url, asked: &OperationId, named_by_service: bool) -> PollResult {
    let service = ServiceKind::AnalysisServices;
    let complaint = answer.complaint_unless_done();
    let next = next(answer, called);
    let word = match classify::word(answer, &complaint) {
        Word::Done | Word::Moved if answer.status == 303 && next.is_some() => {
            return under_way(answer, asked, next);
        }
        word => word,
    };
    match word {
        Word::Done => {}
        Word::NotFound => return PollResult::NotFound,
        word => return PollResult::Failed(classify::error_of(service, word, answer, &complaint)),
    }
    if let Some(fault) = answer.fault {
        return PollResult::Failed(classify::body_error(fault));
    }
    if answer.is_page() {
        return PollResult::Failed(classify::error_of(service, Word::Foreign, answer, &complaint));
    }
    let invalid = |message: &str| PollResult::Failed(classify::service_error(ServiceErrorKind::InvalidResponse, message.to_owned()));
    let Some(status) = Status::read(answer.text()) else {
        // 202 means that the sync is running. Its body may be empty.
        return if answer.status == 202 {
            under_way(answer, asked, next)
        } else {
            invalid("the response of the service is not the status of a sync")
        };
    };
    let (id, of_the_call) = own(asked);
    let another = status.id.as_ref().is_some_and(|shown| !shown.same(id));
    if another && !(of_the_call && named_by_service) {
        return invalid("the service returned the status of another sync");
    }
    let over = status.phase.ended();
    let retry_after = answer.retry_after().or((answer.status == 202 && !over).then_some(DEFAULT_WAIT));
    let operation = status.operation(asked.clone(), answer.activity_id());
    PollResult::Found { operation: Box::new(operation), retry_after, location: next.map(String::from) }
}

/// A running sync without further details.
fn under_way(answer: &Answer, asked: &OperationId, next: Option<Url>) -> PollResult {
    let operation = Operation {
        id: asked.clone(),
        phase: Phase::InProgress,
        service_status: String::new(),
        start: None,
        end: None,
        refresh_type: None,
        objects: Vec::new(),
        messages: Vec::new(),
        activity_id: answer.activity_id(),
        failure: None,
        origin: Origin::Client,
        incomplete: false,
    };
    let retry_after = answer.retry_after().or(Some(DEFAULT_WAIT));
    PollResult::Found { operation: Box::new(operation), retry_after, location: next.map(String::from) }
}

/// The syncs in a response to `GET sync` that are running or started since a time, and whether there may be more.
///
/// The response without any sync is not documented. 404, 204, an empty response and an empty object all count as no sync. If the server
/// does not exist, the next submission reports it.
pub(in crate::azure) fn listed(answer: &Answer, since: Timestamp) -> Result<(Vec<Operation>, bool), ServiceError> {
    let service = ServiceKind::AnalysisServices;
    let complaint = answer.complaint_unless_done();
    match classify::word(answer, &complaint) {
        Word::Done => {}
        Word::NotFound => return Ok((Vec::new(), false)),
        word => return Err(classify::error_of(service, word, answer, &complaint)),
    }
    if let Some(fault) = answer.fault {
        return Err(classify::body_error(fault));
    }
    if answer.is_page() {
        return Err(classify::error_of(service, Word::Foreign, answer, &complaint));
    }
    if answer.text().is_empty() {
        return Ok((Vec::new(), false));
    }
    let statuses = Status::read_all(answer.text()).ok_or_else(|| {
        classify::service_error(ServiceErrorKind::InvalidResponse, "the response of the service is not the status of a sync".to_owned())
    })?;
    let (mut operations, mut doubt) = (Vec::new(), false);
    for status in statuses {
        // Without a start, the sync started no later than its last update.
        let before = status.started.or(status.updated.filter(|_| status.phase.ended())).is_some_and(|moment| moment < since);
        if status.phase.ended() && before {
            continue;
        }
        match status.id.clone() {
            Some(id) => operations.push(status.operation(id, answer.activity_id())),
            // An ended sync without an id is also how the service shows that there is none.
            None => doubt |= !status.phase.ended(),
        }
    }
    operations.sort_by_key(|operation| std::cmp::Reverse(operation.start.unwrap_or(Timestamp::MAX)));
    Ok((operations, doubt))
}

#[cfg(test)]
mod tests;
