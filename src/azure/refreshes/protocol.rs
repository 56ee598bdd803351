//! The calls about refreshes. Each sends the documented request, and `classify` interprets the response.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use reqwest::Method;
use serde::Serialize;
use tokio::time::Instant;
use url::Url;

use super::list::{Row, Window};
use super::merge::{self, TOP};
use crate::azure::classify;
use crate::azure::http::json_array::{RowFault, Rows};
use crate::azure::http::{Fault, Incoming, LARGEST_BODY, LARGEST_WORD, REDIRECTS, server_time};
use crate::azure::session::Session;
use crate::operation::{
    CallKind, CancelResult, Listing, Operation, OperationId, OperationKind, Phase, PollResult, ServiceError, ServiceErrorKind, ServiceKind,
    Submission,
};

/// Number of rows of a list whose details are read concurrently.
const DETAILS_AT_ONCE: usize = 4;

/// Maximum wait for the body of the response to a submission, after its `Location` has returned the id.
const BODY_PATIENCE: Duration = Duration::from_secs(1);

/// A 400 to a submission with an unclear cause: neither busy nor a quota.
#[derive(Clone, Debug)]
pub(in crate::azure) struct Refusal {
    pub(in crate::azure) error: ServiceError,
    /// The text of the service.
    pub(in crate::azure) said: String,
    /// When the request was sent.
    pub(in crate::azure) submitted: Timestamp,
    /// When the call must be over.
    pub(in crate::azure) deadline: Instant,
}

/// `POST refreshes`, with the body of the service.
///
/// # Errors
/// A refusal that the list of the service may explain.
pub(in crate::azure) async fn submit(session: &Session, refreshes: &Url, body: &impl Serialize) -> Result<Submission, Refusal> {
    let (deadline, submitted) = (session.deadline(), Timestamp::now());
    let post = session.request(Method::POST, refreshes.clone()).json(body);
    let incoming = match session.send(CallKind::Submit(OperationKind::Refresh), post, deadline).await {
        Ok(incoming) => incoming,
        Err(Fault::NotSent(message)) => return Ok(Submission::NotStarted(classify::unreachable(message))),
        Err(Fault::Lost(message)) => return Ok(Submission::Unknown { message }),
    };
    let done = (200..300).contains(&incoming.status());
    let named = done && classify::accepted_location(incoming.headers(), refreshes).is_some();
    let mut answer = if named { incoming.read_within(LARGEST_WORD, BODY_PATIENCE).await } else { incoming.read(LARGEST_WORD).await };
    session.heed(&mut answer);
    match classify::submission(session.service, &answer, refreshes) {
        Submission::NotStarted(error) if error.kind == ServiceErrorKind::Rejected && answer.status == 400 => {
            Err(Refusal { error, said: answer.complaint().message, submitted, deadline })
        }
        submission => Ok(submission),
    }
}

/// `GET refreshes/<id>`. If the service refuses the details of a refresh, or returns unreadable ones, the list may still show its state.
/// Without it, the operator would not observe its end. A row of Power BI may also contain the error of a failure that the details do not
/// explain.
pub(in crate::azure) async fn look(session: &Session, refreshes: &Url, id: &OperationId) -> PollResult {
    let (seen, of_details) = described(session, refreshes, id, session.deadline()).await;
    let asks = match &seen {
        PollResult::Failed(_) => of_details,
        PollResult::Found { operation, .. } => {
            let failed = operation.phase.ended() && operation.phase != Phase::Succeeded;
            session.service == ServiceKind::PowerBi && failed && operation.messages.is_empty()
        }
        PollResult::NotFound => false,
    };
    let row = if asks { as_listed(session, refreshes, id).await } else { None };
    match (seen, row) {
        (PollResult::Failed(_), Some(row)) => PollResult::Found { operation: Box::new(row), retry_after: None, location: None },
        (PollResult::Found { operation, retry_after, location }, Some(row)) => {
            PollResult::Found { operation: Box::new(merge::explained(*operation, row)), retry_after, location }
        }
        (seen, _) => seen,
    }
}

/// The result of reading the details, and whether an inconclusive result concerns only the details, as far as the response shows it.
async fn described(session: &Session, refreshes: &Url, id: &OperationId, deadline: Instant) -> (PollResult, bool) {
    let mut answer = match session.get(CallKind::Poll(OperationKind::Refresh), one(refreshes, id), deadline, &REDIRECTS).await {
        Ok(incoming) => incoming.read_whole().await,
        Err(error) => return (PollResult::Failed(error), false),
    };
    session.heed(&mut answer);
    let seen = classify::look(session.service, &answer, id);
    let of_all_calls = match &seen {
        PollResult::Failed(error) => {
            matches!(error.kind, ServiceErrorKind::Throttled | ServiceErrorKind::CapacityExceeded | ServiceErrorKind::Paused)
        }
        PollResult::Found { .. } | PollResult::NotFound => false,
    };
    (seen, !of_all_calls && answer.fault.is_none() && !matches!(answer.status, 300..=399 | 401))
}

/// The operation as its row of the list shows it.
async fn as_listed(session: &Session, refreshes: &Url, id: &OperationId) -> Option<Operation> {
    let service = session.service;
    let incoming =
        session.get(CallKind::List(OperationKind::Refresh), newest(service, refreshes), session.deadline(), &REDIRECTS).await.ok()?;
    let mut found = None;
    let take = |row: &[u8]| {
        let read = Row::read(service, row).ok();
        found = found.take().or_else(|| read.filter(|row| row.id.as_ref().is_some_and(|listed| listed.same(id.as_str()))));
        Ok(())
    };
    each_row(session, incoming, take).await.ok()?;
    found.map(|row| row.bare(id.clone()))
}

/// `DELETE refreshes/<id>`.
pub(in crate::azure) async fn cancel(session: &Session, refreshes: &Url, id: &OperationId) -> CancelResult {
    let delete = session.request(Method::DELETE, one(refreshes, id));
    let mut answer = match session.send(CallKind::Cancel, delete, session.deadline()).await {
        Ok(incoming) => incoming.read(LARGEST_WORD).await,
        Err(fault) => return CancelResult::Failed(classify::unreachable(fault.into_message())),
    };
    session.heed(&mut answer);
    classify::cancellation(session.service, &answer)
}

/// `GET refreshes`, and then the details of each relevant row. The list and the rows have separate deadlines.
pub(in crate::azure) async fn list(session: &Session, refreshes: &Url, window: Window) -> Result<Listing, ServiceError> {
    let (asked, service) = (Instant::now(), session.service);
    let incoming = session.get(CallKind::List(OperationKind::Refresh), newest(service, refreshes), session.deadline(), &REDIRECTS).await?;
    let clock_skew = window.clock_skew(server_time(incoming.headers()), asked.elapsed());
    let mut selection = merge::selection(service, &window, clock_skew, session.longest_refresh());
    let take = |row: &[u8]| {
        selection.take(row);
        Ok(())
    };
    match each_row(session, incoming, take).await? {
        Extent::Whole => {}
        Extent::GoesOn => selection.goes_on(),
        Extent::CutShort => selection.cut_short(),
    }
    let mut selected = selection.finish();
    let deadline = session.deadline();
    let seen = std::mem::take(&mut selected.rows).into_iter().enumerate().map(|(index, (id, row))| async move {
        if !merge::are_requested(index, &row) {
            return Ok(row.bare(id));
        }
        let (look, _) = described(session, refreshes, &id, deadline).await;
        merge::joined(id, row, look)
    });
    let operations: Vec<Operation> = stream::iter(seen).buffered(DETAILS_AT_ONCE).try_collect().await?;
    Ok(selected.listing(operations, clock_skew))
}

/// The URL of the list. Analysis Services returns all refreshes of 30 days.
pub(in crate::azure) fn newest(service: ServiceKind, refreshes: &Url) -> Url {
    let mut url = refreshes.clone();
    match service {
        ServiceKind::AnalysisServices => {}
        ServiceKind::PowerBi => url.set_query(Some(&format!("$top={TOP}"))),
    }
    url
}

/// How much of a list was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::azure) enum Extent {
    /// The complete list.
    Whole,
    /// The complete response; the service has more on another page.
    GoesOn,
    /// The start of the list, which exceeds the size limit.
    CutShort,
}

/// Passes each row of a list to `take` as it arrives, and returns how much was read. If the list exceeds the size limit, the rows so far
/// count.
pub(in crate::azure) async fn each_row(
    session: &Session,
    mut incoming: Incoming,
    mut take: impl FnMut(&[u8]) -> Result<(), RowFault>,
) -> Result<Extent, ServiceError> {
    if !(200..300).contains(&incoming.status()) {
        let mut answer = incoming.read(LARGEST_WORD).await;
        session.heed_as(CallKind::List(OperationKind::Refresh), &mut answer);
        return Err(classify::list_error(session.service, &answer));
    }
    let not_a_list =
        || classify::service_error(ServiceErrorKind::InvalidResponse, "the response of the service is not a list of refreshes".to_owned());
    let (mut rows, mut length) = (Rows::default(), 0);
    while let Some(piece) = incoming.chunk().await.map_err(classify::body_error)? {
        length += piece.len();
        if length > LARGEST_BODY {
            return Ok(Extent::CutShort);
        }
        rows.feed(&piece, &mut take).map_err(|_| not_a_list())?;
    }
    match (rows.complete(), rows.go_on()) {
        (false, _) => Err(not_a_list()),
        (true, true) => Ok(Extent::GoesOn),
        (true, false) => Ok(Extent::Whole),
    }
}

/// `refreshes/<id>`. An id is safe in a path.
fn one(refreshes: &Url, id: &OperationId) -> Url {
    let mut url = refreshes.clone();
    url.set_path(&format!("{}/{id}", refreshes.path()));
    url
}
