//! What the answers about a synchronisation mean.

use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use super::state::Status;
use crate::operation::{Handle, Look, Operation, OperationId, Origin, Phase, ServiceKind, Submission, Trouble, TroubleKind};
use crate::service::answer::Answer;
use crate::service::classify::{self, Word};
use crate::service::location::{self, Target};
use crate::service::text;

/// How long to wait where an answer says to look again and not when: what Microsoft's own client does.
const DEFAULT_WAIT: Duration = Duration::from_secs(30);

/// The longest `Location` that is kept, as [`Handle`] says.
const LONGEST_LOCATION: usize = 2048;

/// Before an id that is not the service's id of the synchronisation, but that of the call which began it. What its
/// `Location` shows is believed to be it, under whatever id.
const OF_THE_CALL: &str = "request-";

/// What became of a submission that was answered with 2xx: 202 is a synchronisation, and so is whatever names one. Another
/// 2xx means that there is no replica (seen in Microsoft's own client).
pub(in crate::service) fn accepted(answer: &Answer, called: &Url) -> Submission {
    let next = next(answer, called);
    let in_location = next.as_ref().and_then(id_in);
    let in_body = if answer.is_page() { None } else { classify::body_id(ServiceKind::AnalysisServices, answer) };
    let named = in_location.or(in_body);
    if answer.status != 202 && next.is_none() && named.is_none() {
        if answer.is_page() || answer.fault.is_some() || answer.location().is_some() || says_otherwise(answer) {
            return classify::unnamed(answer);
        }
        return Submission::Completed { message: "the server has no read-only replica, so there is nothing to synchronise".to_owned() };
    }
    let of_the_call = || {
        let believed = !answer.is_page() && answer.fault.is_none();
        let id = classify::request_id(answer).filter(|_| believed);
        // Where the service gives an address and no id at all, the address is enough to follow it by.
        let id = id.map(|id| id.to_string()).or_else(|| next.as_ref().map(|_| uuid::Uuid::new_v4().to_string()));
        id.and_then(|id| OperationId::parse(&format!("{OF_THE_CALL}{id}")))
    };
    let Some(id) = named.or_else(of_the_call) else {
        return classify::unnamed(answer);
    };
    let retry_after = answer.retry_after().or((answer.status == 202).then_some(DEFAULT_WAIT));
    Submission::Accepted { id, location: next.map(String::from), activity_id: answer.activity_id(), retry_after }
}

/// Whether the body of a success says that it is none: an error, or a synchronisation that has not come to its end.
fn says_otherwise(answer: &Answer) -> bool {
    if let Some(status) = Status::read(answer.text()).filter(|_| answer.is_object()) {
        return status.phase != Phase::Succeeded;
    }
    let complaint = answer.complaint();
    answer.is_object() && !(complaint.code.is_empty() && complaint.message.is_empty())
}

/// Where an answer says to look next, if that is on the host that was called.
fn next(answer: &Answer, called: &Url) -> Option<Url> {
    match location::target(answer.location()?, called) {
        // It goes into the status, so none that has our token in it is taken.
        Target::Here(url) if url.as_str().len() <= LONGEST_LOCATION && !text::token_like(url.as_str()) => Some(url),
        Target::Elsewhere(host) => {
            tracing::warn!(
                host = text::cut(&host, 253),
                "an answer about a synchronisation has a Location on another host; it is not used"
            );
            None
        }
        Target::Here(_) | Target::Nonsense => None,
    }
}

/// The id in the address of a synchronisation: `…/sync?operationId=<id>`, or `…/<id>`, where it is a GUID or follows `sync`.
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

/// The `Location` on record, if a token may be sent there: the record can be edited by whoever may write the resource.
pub(in crate::service) fn stored(handle: &Handle, sync: &Url) -> Option<Url> {
    match location::target(handle.location.as_deref()?, sync) {
        Target::Here(url) => Some(url),
        Target::Elsewhere(_) | Target::Nonsense => None,
    }
}

/// `GET sync?operationId=<id>`, which is documented; an id is safe in a query as it is.
pub(super) fn by_id(sync: &Url, id: &OperationId) -> Url {
    let mut url = sync.clone();
    url.set_query(Some(&format!("operationId={}", own(id).0)));
    url
}

/// The id without the mark of one that is the call's, and whether it is.
fn own(id: &OperationId) -> (&str, bool) {
    id.as_str().strip_prefix(OF_THE_CALL).map_or((id.as_str(), false), |id| (id, true))
}

/// What a look showed. `named_by_service` says that the address was the service's own for this synchronisation.
pub(in crate::service) fn seen(answer: &Answer, called: &Url, asked: &OperationId, named_by_service: bool) -> Look {
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
        Word::NotFound => return Look::Gone,
        word => return Look::Trouble(classify::trouble_of(service, word, answer, &complaint)),
    }
    if let Some(fault) = answer.fault {
        return Look::Trouble(classify::body_trouble(fault));
    }
    if answer.is_page() {
        return Look::Trouble(classify::trouble_of(service, Word::Foreign, answer, &complaint));
    }
    let invalid = |message: &str| Look::Trouble(classify::trouble(TroubleKind::InvalidAnswer, message.to_owned()));
    let Some(status) = Status::read(answer.text()) else {
        // 202 says that it goes on; its body may be empty.
        return if answer.status == 202 {
            under_way(answer, asked, next)
        } else {
            invalid("the service's answer is not the status of a synchronisation")
        };
    };
    let (id, of_the_call) = own(asked);
    let another = status.id.as_ref().is_some_and(|shown| !shown.same(id));
    if another && !(of_the_call && named_by_service) {
        return invalid("the service shows another synchronisation than was asked for");
    }
    let over = status.phase.ended();
    let retry_after = answer.retry_after().or((answer.status == 202 && !over).then_some(DEFAULT_WAIT));
    let operation = status.operation(asked.clone(), answer.activity_id());
    Look::Found { operation: Box::new(operation), retry_after, location: next.map(String::from) }
}

/// It goes on, and that is all the answer says.
fn under_way(answer: &Answer, asked: &OperationId, next: Option<Url>) -> Look {
    let operation = Operation {
        id: asked.clone(),
        phase: Phase::InProgress,
        reported: String::new(),
        start: None,
        end: None,
        refresh_type: None,
        objects: Vec::new(),
        messages: Vec::new(),
        activity_id: answer.activity_id(),
        failure: None,
        origin: Origin::Client,
        unread: false,
    };
    let retry_after = answer.retry_after().or(Some(DEFAULT_WAIT));
    Look::Found { operation: Box::new(operation), retry_after, location: next.map(String::from) }
}

/// The synchronisations in an answer to `GET sync` that run or began since a moment, and whether there may be more.
///
/// What the service shows where there never was one is not written down: 404, 204, an empty answer and an empty object are
/// all taken for it. Were it the server that is not there, the next submission would say so.
pub(in crate::service) fn listed(answer: &Answer, since: Timestamp) -> Result<(Vec<Operation>, bool), Trouble> {
    let service = ServiceKind::AnalysisServices;
    let complaint = answer.complaint_unless_done();
    match classify::word(answer, &complaint) {
        Word::Done => {}
        Word::NotFound => return Ok((Vec::new(), false)),
        word => return Err(classify::trouble_of(service, word, answer, &complaint)),
    }
    if let Some(fault) = answer.fault {
        return Err(classify::body_trouble(fault));
    }
    if answer.is_page() {
        return Err(classify::trouble_of(service, Word::Foreign, answer, &complaint));
    }
    if answer.text().is_empty() {
        return Ok((Vec::new(), false));
    }
    let statuses = Status::read_all(answer.text()).ok_or_else(|| {
        classify::trouble(TroubleKind::InvalidAnswer, "the service's answer is not the status of a synchronisation".to_owned())
    })?;
    let (mut operations, mut doubt) = (Vec::new(), false);
    for status in statuses {
        // Without a start, it began no later than it was last touched.
        let before = status.started.or(status.updated.filter(|_| status.phase.ended())).is_some_and(|moment| moment < since);
        if status.phase.ended() && before {
            continue;
        }
        match status.id.clone() {
            Some(id) => operations.push(status.operation(id, answer.activity_id())),
            // An ended one that has no name is how none is shown, too.
            None => doubt |= !status.phase.ended(),
        }
    }
    operations.sort_by_key(|operation| std::cmp::Reverse(operation.start.unwrap_or(Timestamp::MAX)));
    Ok((operations, doubt))
}

#[cfg(test)]
mod tests;
