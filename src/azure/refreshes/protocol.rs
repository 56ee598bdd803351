//! The calls about refreshes. Each sends the documented request, and `classify` interprets the response.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use reqwest::Method;
use serde::Serialize;
use tokio::time::Instant;
use url::Url;

use super::list::Row;
use super::merge::{self, PAGE_SIZE};
use super::window::ListWindow;
use crate::azure::classify;
use crate::azure::http::json_array::{JsonArrayReader, MalformedArray};
use crate::azure::http::{Incoming, MAX_BODY_BYTES, MAX_SHORT_BODY_BYTES, REDIRECTS, Response, SendError, server_time};
use crate::azure::session::Session;
use crate::operation::{
    CallKind, CancelResult, Listing, Operation, OperationId, OperationKind, Phase, PollResult, ServiceError, ServiceErrorKind, ServiceKind,
    SubmitResult,
};

/// The kinds of the requests for one refresh and for all of them, by which the service limits them.
const POLL: CallKind = CallKind::Poll(OperationKind::Refresh);
const LIST: CallKind = CallKind::List(OperationKind::Refresh);

/// Number of rows of a list whose details are read concurrently.
const CONCURRENT_DETAILS: usize = 4;

/// How much of the body of a list is kept, because it may be an error or a page.
const MAX_ERROR_BYTES: usize = 16 * 1024;

/// Maximum wait for the body of the response to a submission, after its `Location` has returned the id.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// A 400 to a submission with an unclear cause: neither busy nor a quota.
#[derive(Clone, Debug)]
pub(in crate::azure) struct BadRequest {
    pub(in crate::azure) error: ServiceError,
    /// The text of the service.
    pub(in crate::azure) message: String,
    /// When the request was sent.
    pub(in crate::azure) submitted_at: Timestamp,
    /// When the call must be over.
    pub(in crate::azure) deadline: Instant,
}

/// `POST refreshes`, with the body of the service.
///
/// # Errors
/// A refusal that the list of the service may explain.
pub(in crate::azure) async fn submit(session: &Session, refreshes: &Url, body: &impl Serialize) -> Result<SubmitResult, BadRequest> {
    let (deadline, submitted_at) = (session.deadline(), Timestamp::now());
    let post = session.request(Method::POST, refreshes.clone()).json(body);
    let incoming = match session.send(CallKind::Submit(OperationKind::Refresh), post, deadline).await {
        Ok(incoming) => incoming,
        Err(SendError::NotSent(message)) => return Ok(SubmitResult::NotStarted(classify::unreachable(message))),
        Err(SendError::Lost(message)) => return Ok(SubmitResult::Unknown { message }),
    };
    let done = (200..300).contains(&incoming.status());
    let has_id = done && classify::id_in_location(incoming.headers(), refreshes).is_some();
    let mut response =
        if has_id { incoming.read_within(MAX_SHORT_BODY_BYTES, BODY_TIMEOUT).await } else { incoming.read(MAX_SHORT_BODY_BYTES).await };
    session.record_throttle_and_token(&mut response);
    match classify::submission(session.service, &response, refreshes) {
        SubmitResult::NotStarted(error) if error.kind == ServiceErrorKind::Rejected && response.status == 400 => {
            Err(BadRequest { error, message: response.error_summary().message, submitted_at, deadline })
        }
        submission => Ok(submission),
    }
}

/// `GET refreshes/<id>`. If the service refuses the details of a refresh, or returns unreadable ones, the list may still show its state.
/// Without it, the operator would not observe its end. A row of Power BI may also contain the error of a failure that the details do not
/// explain.
pub(in crate::azure) async fn poll(session: &Session, refreshes: &Url, id: &OperationId) -> PollResult {
    let (result, of_details) = read_details(session, refreshes, id, session.deadline()).await;
    let needs_row = match &result {
        PollResult::Failed(_) => of_details,
        PollResult::Found { operation, .. } => {
            let failed = operation.phase.ended() && operation.phase != Phase::Succeeded;
            session.service == ServiceKind::PowerBi && failed && operation.messages.is_empty()
        }
        PollResult::NotFound => false,
    };
    let row = if needs_row { find_in_list(session, refreshes, id).await } else { None };
    match (result, row) {
        (PollResult::Failed(_), Some(row)) => PollResult::Found { operation: Box::new(row), retry_after: None, location: None },
        (PollResult::Found { operation, retry_after, location }, Some(row)) => {
            PollResult::Found { operation: Box::new(merge::with_row_errors(*operation, row)), retry_after, location }
        }
        (result, _) => result,
    }
}

/// Whether a refresh may be running that a later row of the list outdates: its details show it.
pub(in crate::azure) async fn may_run(session: &Session, refreshes: &Url, id: &OperationId, deadline: Instant) -> bool {
    match read_details(session, refreshes, id, deadline).await.0 {
        PollResult::Found { operation, .. } => !operation.phase.ended(),
        // It has no details.
        PollResult::NotFound => false,
        PollResult::Failed(error) => error.kind != ServiceErrorKind::Rejected,
    }
}

/// The result of reading the details, and whether an inconclusive result concerns only the details, as far as the response shows it.
async fn read_details(session: &Session, refreshes: &Url, id: &OperationId, deadline: Instant) -> (PollResult, bool) {
    let mut response = match session.get(POLL, operation_url(refreshes, id), deadline, &REDIRECTS).await {
        Ok(incoming) => incoming.read_whole().await,
        Err(error) => return (PollResult::Failed(error), false),
    };
    session.record_throttle_and_token_for(POLL, &mut response);
    let result = classify::poll_result(session.service, &response, id);
    let affects_all_calls = match &result {
        PollResult::Failed(error) => {
            matches!(error.kind, ServiceErrorKind::Throttled | ServiceErrorKind::CapacityExceeded | ServiceErrorKind::Paused)
        }
        PollResult::Found { .. } | PollResult::NotFound => false,
    };
    (result, !affects_all_calls && response.fault.is_none() && !matches!(response.status, 300..=399 | 401))
}

/// The operation as its row of the list shows it: the most relevant one, if several rows have its id. `None` also while the service
/// throttles lists.
async fn find_in_list(session: &Session, refreshes: &Url, id: &OperationId) -> Option<Operation> {
    if session.throttle(LIST).is_some() {
        return None;
    }
    let service = session.service;
    let incoming = session.get(LIST, list_url(service, refreshes), session.deadline(), &REDIRECTS).await.ok()?;
    let mut found: Option<Row> = None;
    let take = |row: &[u8]| {
        let read = Row::read(service, row).ok();
        let read = read.filter(|row| row.id.as_ref().is_some_and(|listed| listed.eq_ignoring_case(id.as_str())));
        if read.as_ref().map(Row::rank) > found.as_ref().map(Row::rank) {
            found = read;
        }
        Ok(())
    };
    for_each_row(session, incoming, take).await.ok()?;
    found.map(|row| row.into_operation(id.clone()))
}

/// `DELETE refreshes/<id>`.
pub(in crate::azure) async fn cancel(session: &Session, refreshes: &Url, id: &OperationId) -> CancelResult {
    let delete = session.request(Method::DELETE, operation_url(refreshes, id));
    let mut response = match session.send(CallKind::Cancel, delete, session.deadline()).await {
        Ok(incoming) => incoming.read(MAX_SHORT_BODY_BYTES).await,
        Err(fault) => return CancelResult::Failed(classify::unreachable(fault.into_message())),
    };
    session.record_throttle_and_token(&mut response);
    classify::cancel_result(session.service, &response)
}

/// `GET refreshes`, and then the details of each relevant row. The list and the rows have separate deadlines. The row of `wanted` is always
/// relevant.
pub(in crate::azure) async fn list(
    session: &Session,
    refreshes: &Url,
    window: ListWindow,
    wanted: Option<OperationId>,
) -> Result<Listing, ServiceError> {
    let (sent_at, service) = (Instant::now(), session.service);
    let incoming = session.get(LIST, list_url(service, refreshes), session.deadline(), &REDIRECTS).await?;
    let clock_skew = window.clock_skew(server_time(incoming.headers()), sent_at.elapsed());
    let mut selection = merge::selection(service, &window, clock_skew, session.max_refresh_duration());
    selection.search_for(wanted);
    let take = |row: &[u8]| {
        selection.add(row);
        Ok(())
    };
    match for_each_row(session, incoming, take).await? {
        Extent::Complete => {}
        Extent::MorePages => selection.set_more_pages(),
        Extent::Truncated => selection.set_truncated(),
    }
    let mut selected = selection.finish();
    let deadline = session.deadline();
    let result = std::mem::take(&mut selected.rows).into_iter().enumerate().map(|(index, (id, row))| async move {
        if !merge::needs_details(index, &row) {
            return Ok(Some(row.into_operation(id)));
        }
        if let Some(throttle) = session.throttle(POLL) {
            return Err(throttle);
        }
        let (result, _) = read_details(session, refreshes, &id, deadline).await;
        merge::merge_details(id, row, result)
    });
    let operations: Vec<Option<Operation>> = stream::iter(result).buffered(CONCURRENT_DETAILS).try_collect().await?;
    Ok(selected.listing(operations, clock_skew))
}

/// `GET refreshes` for the newest refresh, of which only an error is relevant.
pub(in crate::azure) async fn check_list(session: &Session, refreshes: &Url) -> Result<(), ServiceError> {
    let mut url = refreshes.clone();
    match session.service {
        ServiceKind::AnalysisServices => {}
        ServiceKind::PowerBi => url.set_query(Some("$top=1")),
    }
    let incoming = session.get(LIST, url, session.deadline(), &REDIRECTS).await?;
    for_each_row(session, incoming, |_| Ok(())).await.map(drop)
}

/// The URL of the list. Analysis Services returns all refreshes of 30 days.
pub(in crate::azure) fn list_url(service: ServiceKind, refreshes: &Url) -> Url {
    let mut url = refreshes.clone();
    match service {
        ServiceKind::AnalysisServices => {}
        ServiceKind::PowerBi => url.set_query(Some(&format!("$top={PAGE_SIZE}"))),
    }
    url
}

/// How much of a list was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::azure) enum Extent {
    /// The complete list.
    Complete,
    /// The complete response; the service has more on another page.
    MorePages,
    /// The start of the list, which exceeds the size limit.
    Truncated,
}

/// Passes each row of a list to `take` as it arrives, and returns how much was read. If the list exceeds the size limit, the rows so far
/// count.
pub(in crate::azure) async fn for_each_row(
    session: &Session,
    mut incoming: Incoming,
    mut take: impl FnMut(&[u8]) -> Result<(), MalformedArray>,
) -> Result<Extent, ServiceError> {
    if !(200..300).contains(&incoming.status()) {
        let mut response = incoming.read(MAX_SHORT_BODY_BYTES).await;
        session.record_throttle_and_token_for(LIST, &mut response);
        return Err(classify::list_error(session.service, &response));
    }
    let (mut rows, mut length, mut start) = (JsonArrayReader::default(), 0, Vec::new());
    while let Some(piece) = incoming.chunk().await.map_err(classify::body_error)? {
        length += piece.len();
        if length > MAX_BODY_BYTES {
            return Ok(Extent::Truncated);
        }
        start.extend(piece.iter().copied().take(MAX_ERROR_BYTES.saturating_sub(start.len())));
        if rows.feed(&piece, &mut take).is_err() {
            return Err(not_a_list(session, &incoming, start));
        }
    }
    match (rows.is_complete(), rows.has_next_page()) {
        (false, _) => Err(not_a_list(session, &incoming, start)),
        (true, true) => Ok(Extent::MorePages),
        (true, false) => Ok(Extent::Complete),
    }
}

/// The error of a successful response that is not a list, from the start of its body.
fn not_a_list(session: &Session, incoming: &Incoming, start: Vec<u8>) -> ServiceError {
    // A list is read as it arrives, and only in UTF-8. The other encodings of JSON have zeros in its first characters.
    let is_utf8 = !start.iter().take(4).any(|byte| *byte == 0);
    let mut error = classify::list_error(session.service, &Response::new(incoming.status(), incoming.headers().clone(), start, None));
    if !is_utf8 {
        error.message = format!("the list is not UTF-8 text; check the proxies and gateways in between: {}", error.message);
    }
    error
}

/// `refreshes/<id>`. An id is safe in a path.
fn operation_url(refreshes: &Url, id: &OperationId) -> Url {
    let mut url = refreshes.clone();
    url.set_path(&format!("{}/{id}", refreshes.path()));
    url
}
