//! Interprets the responses about a sync.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use url::Url;

use super::status::Status;
use crate::azure::classify::{self, ResponseKind};
use crate::azure::http::location::{self, LocationTarget};
use crate::azure::http::{Response, text};
use crate::operation::{
    Operation, OperationId, OperationRef, Phase, PollResult, ServiceError, ServiceErrorKind, ServiceKind, SubmitResult,
};

/// The wait before the next poll if the response states none, as in Microsoft's own client.
const DEFAULT_WAIT: Duration = Duration::from_secs(30);

/// Maximum length of a recorded `Location`, as documented in [`OperationRef`].
const MAX_LOCATION_LENGTH: usize = 2048;

/// Prefix of an id that is not the service's id of the sync, but the id of the call that started it. The state at its `Location` counts as
/// this sync, independent of the id in it.
const CALL_ID_PREFIX: &str = "request-";

/// The result of a submission with a 2xx response: 202 is a sync, and so is any response with an id. Another 2xx means that there is no
/// replica (seen in Microsoft's own client), if it has no content.
pub(in crate::azure) fn accepted(response: &Response, called: &Url) -> SubmitResult {
    let next = next(response, called);
    let in_location = next.as_ref().and_then(id_in);
    let in_body = if response.is_page() { None } else { classify::body_id(ServiceKind::AnalysisServices, response) };
    let named = in_location.or(in_body);
    if response.status != 202 && next.is_none() && named.is_none() {
        if response.is_page() || response.fault.is_some() || response.location().is_some() || !shows_no_sync(response) {
            return classify::accepted_without_id(response);
        }
        return SubmitResult::NothingToDo { message: "the server has no read-only replica, so there is nothing to synchronize".to_owned() };
    }
    // If the service returns a URL without an id, the URL is sufficient for tracking the sync. The id of a call alone is not: the service
    // does not show the sync by it, but the list does.
    let from_call_id = || {
        next.as_ref()?;
        let believed = !response.is_page() && response.fault.is_none();
        let id = classify::request_id(response).filter(|_| believed);
        let id = id.map_or_else(|| uuid::Uuid::new_v4().to_string(), |id| id.to_string());
        OperationId::parse(&format!("{CALL_ID_PREFIX}{id}"))
    };
    let Some(id) = named.or_else(from_call_id) else {
        return classify::accepted_without_id(response);
    };
    let retry_after = response.retry_after().or((response.status == 202).then_some(DEFAULT_WAIT));
    SubmitResult::Accepted { id, location: next.map(String::from), activity_id: response.activity_id(), retry_after }
}

/// Whether the body of a success shows that no sync is running: it has no content, or the state of a sync that has succeeded. Any other
/// text may be about a sync, or from a gateway.
fn shows_no_sync(response: &Response) -> bool {
    let text = response.text();
    match serde_json::from_slice(text) {
        Ok(Value::Null | Value::Bool(true)) => true,
        Ok(Value::Object(fields)) => fields.is_empty() || Status::read(text).is_some_and(|status| status.phase == Phase::Succeeded),
        Ok(Value::Bool(false) | Value::Number(_) | Value::String(_) | Value::Array(_)) => false,
        Err(_) => text.is_empty(),
    }
}

/// The URL of the next poll, if the response contains one on the called host.
fn next(response: &Response, called: &Url) -> Option<Url> {
    match location::target(response.location()?, called) {
        // The URL is written to the status, so one that contains our token is ignored.
        LocationTarget::SameOrigin(url) if url.as_str().len() <= MAX_LOCATION_LENGTH && !text::contains_token(url.as_str()) => Some(url),
        LocationTarget::OtherOrigin(host) => {
            tracing::warn!(host = text::truncate(&host, 253), "ignoring a Location on another host in a response about a sync");
            None
        }
        LocationTarget::SameOrigin(_) | LocationTarget::Invalid => None,
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
pub(in crate::azure) fn recorded_location(operation: &OperationRef, sync: &Url) -> Option<Url> {
    match location::target(operation.location.as_deref()?, sync) {
        LocationTarget::SameOrigin(url) => Some(url),
        LocationTarget::OtherOrigin(_) | LocationTarget::Invalid => None,
    }
}

/// `GET sync?operationId=<id>`, which is documented. An id is safe in a query.
pub(super) fn by_id(sync: &Url, id: &OperationId) -> Url {
    let mut url = sync.clone();
    url.set_query(Some(&format!("operationId={}", service_id(id).0)));
    url
}

/// Whether the result of polling a recorded `Location` may concern only this URL, so that the sync is polled by its id. Not if the identity,
/// the capacity or the connection is the cause. The id of a call shows another sync or none, so it is used only if the URL is gone.
pub(super) fn may_concern_only_the_url(result: &PollResult, status: Option<u16>, id: &OperationId) -> bool {
    match result {
        PollResult::Found { .. } => false,
        PollResult::NotFound => true,
        PollResult::Failed(error) => {
            let affects_all_calls = matches!(
                error.kind,
                ServiceErrorKind::Throttled | ServiceErrorKind::CapacityExceeded | ServiceErrorKind::Paused | ServiceErrorKind::Unreachable
            );
            !affects_all_calls && status != Some(401) && !service_id(id).1
        }
    }
}

/// The id without the prefix for the id of a call, and whether it had the prefix.
fn service_id(id: &OperationId) -> (&str, bool) {
    id.as_str().strip_prefix(CALL_ID_PREFIX).map_or((id.as_str(), false), |id| (id, true))
}

/// The result of a poll. `named_by_service` states that the service returned this URL for this sync.
pub(in crate::azure) fn poll_result(response: &Response, called: &Url, polled_id: &OperationId, named_by_service: bool) -> PollResult {
    let service = ServiceKind::AnalysisServices;
    let summary = response.error_summary_unless_success();
    let next = next(response, called);
    let kind = match classify::response_kind(response, &summary) {
        ResponseKind::Success | ResponseKind::Redirect if response.status == 303 && next.is_some() => {
            return running(response, polled_id, next);
        }
        kind => kind,
    };
    match kind {
        ResponseKind::Success => {}
        ResponseKind::NotFound => return PollResult::NotFound,
        kind => return PollResult::Failed(classify::error_of(service, kind, response, &summary)),
    }
    if let Some(fault) = response.fault {
        return PollResult::Failed(classify::body_error(fault));
    }
    if response.is_page() {
        return PollResult::Failed(classify::error_of(service, ResponseKind::NotFromService, response, &summary));
    }
    let invalid = |message: &str| PollResult::Failed(ServiceError::new(ServiceErrorKind::InvalidResponse, message));
    let Some(status) = Status::read(response.text()) else {
        // 202 means that the sync is running. Its body may be empty.
        return if response.status == 202 {
            running(response, polled_id, next)
        } else {
            invalid("the response of the service is not the status of a sync")
        };
    };
    let (id, from_call_id) = service_id(polled_id);
    let another = status.id.as_ref().is_some_and(|shown| !shown.eq_ignoring_case(id));
    if another && !(from_call_id && named_by_service) {
        return invalid("the service returned the status of another sync");
    }
    let over = status.phase.ended();
    if status.is_absent && (over || !(from_call_id && named_by_service)) {
        return invalid("the service returned the status of no sync");
    }
    let retry_after = response.retry_after().or((response.status == 202 && !over).then_some(DEFAULT_WAIT));
    let operation = status.operation(polled_id.clone(), response.activity_id());
    PollResult::Found { operation: Box::new(operation), retry_after, location: next.map(String::from) }
}

/// A running sync without further details.
fn running(response: &Response, polled_id: &OperationId, next: Option<Url>) -> PollResult {
    let operation =
        Operation { activity_id: response.activity_id(), ..Operation::new(polled_id.clone(), Phase::InProgress, String::new()) };
    let retry_after = response.retry_after().or(Some(DEFAULT_WAIT));
    PollResult::Found { operation: Box::new(operation), retry_after, location: next.map(String::from) }
}

/// The syncs in a response to `GET sync` that are running or started since a time, and whether there may be more.
///
/// The response without any sync is not documented. 404, 204, an empty response and an empty object all count as no sync. If the server
/// does not exist, the next submission reports it. A 404 with another text may be from a gateway: if it counted as no sync, a submission
/// without a response would be repeated.
pub(in crate::azure) fn listed(response: &Response, since: Timestamp) -> Result<(Vec<Operation>, bool), ServiceError> {
    let service = ServiceKind::AnalysisServices;
    let summary = response.error_summary_unless_success();
    match classify::response_kind(response, &summary) {
        ResponseKind::Success => {}
        ResponseKind::NotFound if response.may_be_from_service() => return Ok((Vec::new(), false)),
        ResponseKind::NotFound => return Err(classify::error_of(service, ResponseKind::NotFromService, response, &summary)),
        kind => return Err(classify::error_of(service, kind, response, &summary)),
    }
    if let Some(fault) = response.fault {
        return Err(classify::body_error(fault));
    }
    if response.is_page() {
        return Err(classify::error_of(service, ResponseKind::NotFromService, response, &summary));
    }
    if response.text().is_empty() {
        return Ok((Vec::new(), false));
    }
    let statuses = Status::read_all(response.text())
        .ok_or_else(|| ServiceError::new(ServiceErrorKind::InvalidResponse, "the response of the service is not the status of a sync"))?;
    let (mut operations, mut inconclusive) = (Vec::new(), false);
    for status in statuses {
        // Without a start, the sync started no later than its last update.
        let before = status.started.or(status.updated.filter(|_| status.phase.ended())).is_some_and(|time| time < since);
        if status.phase.ended() && before {
            continue;
        }
        match status.id.clone() {
            Some(id) => operations.push(status.operation(id, response.activity_id())),
            // An ended sync without an id is also how the service shows that there is none.
            None => inconclusive |= !status.phase.ended(),
        }
    }
    operations.sort_by_key(|operation| std::cmp::Reverse(operation.start.unwrap_or(Timestamp::MAX)));
    Ok((operations, inconclusive))
}

#[cfg(test)]
mod tests;
