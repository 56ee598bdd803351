//! The calls about refreshes: each sends what is documented and lets `classify` say what came of it.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use reqwest::Method;
use tokio::time::Instant;
use url::Url;

use super::listing::{Row, Selected, Selection, Window};
use crate::operation::{
    Cancellation, Listing, Look, Operation, OperationId, OperationKind, Origin, RefreshRequest, Submission, Trouble, TroubleKind,
};
use crate::service::answer::server_time;
use crate::service::http::{Fault, Incoming, LARGEST_BODY, LARGEST_WORD, REDIRECTS};
use crate::service::rows::{RowFault, Rows};
use crate::service::{Call, CallKind, Service, analysis_services, classify, power_bi};

/// How many of the newest refreshes Power BI is asked for: more than begin on one model while an answer is lost and found.
const TOP: usize = 100;

/// How many rows of a list are looked at one by one, and how many at a time.
const MOST_DETAILS: usize = 20;
const DETAILS_AT_ONCE: usize = 4;

/// How long the body of a submission's answer is waited for, once its `Location` has named the operation.
const BODY_PATIENCE: Duration = Duration::from_secs(1);

/// `POST refreshes`.
pub(in crate::service) async fn submit(call: &Call, refreshes: &Url, request: &RefreshRequest) -> Submission {
    let (deadline, begun, service) = (call.deadline(), Timestamp::now(), call.service());
    let body = match service {
        Service::AnalysisServices => analysis_services::refresh_body(request),
        Service::PowerBi => power_bi::refresh_body(request),
    };
    let post = call.request(Method::POST, refreshes.clone()).json(&body);
    let incoming = match call.send(call.route("POST refreshes"), post, deadline).await {
        Ok(incoming) => incoming,
        Err(Fault::NotSent(message)) => return Submission::Refused(classify::unreachable(message)),
        Err(Fault::Lost(message)) => return Submission::Unanswered { message },
    };
    let done = (200..300).contains(&incoming.status());
    let named = done && classify::accepted_location(incoming.headers(), refreshes).is_some();
    let mut answer = if named { incoming.read_within(LARGEST_WORD, BODY_PATIENCE).await } else { incoming.read(LARGEST_WORD).await };
    call.heed(&mut answer);
    match (service, classify::submission(service, &answer, refreshes)) {
        (Service::PowerBi, Submission::Refused(trouble)) if trouble.kind == TroubleKind::Rejected && answer.status == 400 => {
            let refusal = power_bi::Refusal::new(trouble, answer.complaint().message);
            power_bi::settle(call, &newest(service, refreshes), refusal, begun, deadline).await
        }
        (Service::PowerBi | Service::AnalysisServices, submission) => submission,
    }
}

/// `GET refreshes/<id>`.
pub(in crate::service) async fn look(call: &Call, refreshes: &Url, id: &OperationId) -> Look {
    look_until(call, refreshes, id, call.deadline()).await
}

async fn look_until(call: &Call, refreshes: &Url, id: &OperationId, deadline: Instant) -> Look {
    let mut answer = match call.get(call.route("GET refresh"), one(refreshes, id), deadline, &REDIRECTS).await {
        Ok(incoming) => incoming.read_whole().await,
        Err(trouble) => return Look::Trouble(trouble),
    };
    call.heed(&mut answer);
    classify::look(call.service(), &answer, id)
}

/// `DELETE refreshes/<id>`.
pub(in crate::service) async fn cancel(call: &Call, refreshes: &Url, id: &OperationId) -> Cancellation {
    let delete = call.request(Method::DELETE, one(refreshes, id));
    let mut answer = match call.send(call.route("DELETE refresh"), delete, call.deadline()).await {
        Ok(incoming) => incoming.read(LARGEST_WORD).await,
        Err(fault) => return Cancellation::Trouble(classify::unreachable(fault.into_message())),
    };
    call.heed(&mut answer);
    classify::cancellation(call.service(), &answer)
}

/// `GET refreshes`, and then each row that matters. The list and the rows have a deadline each.
pub(in crate::service) async fn list(call: &Call, refreshes: &Url, window: Window) -> Result<Listing, Trouble> {
    let (asked, service) = (Instant::now(), call.service());
    let incoming = call.get(call.route("GET refreshes"), newest(service, refreshes), call.deadline(), &REDIRECTS).await?;
    let ahead = window.ahead(server_time(incoming.headers()), asked.elapsed());
    let top = match service {
        Service::AnalysisServices => None,
        Service::PowerBi => Some(TOP),
    };
    let oldest_running = window.oldest_running(ahead, call.longest_refresh());
    let mut selection = Selection::new(service, (window.since(ahead), oldest_running), top);
    if !each_row(call, incoming, |row| selection.take(row)).await? {
        selection.cut_short();
    }
    let Selected { rows, truncated, may_hide_running, unnamed } = selection.finish();

    let truncated = truncated || rows.len() > MOST_DETAILS;
    let deadline = call.deadline();
    let seen = rows.into_iter().enumerate().map(|(n, (id, row))| async move {
        // Power BI documentation, enhanced refresh: details are for enhanced refreshes alone.
        let has_details = row.origin != Origin::External;
        if n < MOST_DETAILS && has_details { detail(call, refreshes, id, row, deadline).await } else { Ok(row.bare(id)) }
    });
    let mut operations: Vec<Operation> = stream::iter(seen).buffered(DETAILS_AT_ONCE).try_collect().await?;
    operations.sort_by_key(|operation| std::cmp::Reverse(operation.start.unwrap_or(Timestamp::MAX)));
    Ok(Listing { operations, truncated, may_hide_running, unnamed, ahead })
}

/// The address of the list. Analysis Services gives all of 30 days.
fn newest(service: Service, refreshes: &Url) -> Url {
    let mut url = refreshes.clone();
    match service {
        Service::AnalysisServices => {}
        Service::PowerBi => url.set_query(Some(&format!("$top={TOP}"))),
    }
    url
}

/// Gives each row of a list to `take` as it arrives; says whether the list was read to its end. Where it is longer than is
/// read, the rows so far count.
pub(in crate::service) async fn each_row(
    call: &Call,
    mut incoming: Incoming,
    mut take: impl FnMut(&[u8]) -> Result<(), RowFault>,
) -> Result<bool, Trouble> {
    if !(200..300).contains(&incoming.status()) {
        let mut answer = incoming.read(LARGEST_WORD).await;
        call.heed_as(CallKind::Read(OperationKind::Refresh), &mut answer);
        return Err(classify::listing_trouble(call.service(), &answer));
    }
    let not_a_list = || classify::trouble(TroubleKind::InvalidAnswer, "the service's answer is not a list of refreshes".to_owned());
    let (mut rows, mut length) = (Rows::default(), 0);
    while let Some(piece) = incoming.chunk().await.map_err(classify::body_trouble)? {
        length += piece.len();
        if length > LARGEST_BODY {
            return Ok(false);
        }
        rows.feed(&piece, &mut take).map_err(|_| not_a_list())?;
    }
    if rows.complete() { Ok(true) } else { Err(not_a_list()) }
}

/// One row with what its own description adds. A description that the service refuses takes nothing from the rest of the list: the
/// operation is then as its row shows it.
///
/// # Errors
/// Where the service asks for fewer calls.
async fn detail(call: &Call, refreshes: &Url, id: OperationId, row: Row, deadline: Instant) -> Result<Operation, Trouble> {
    match look_until(call, refreshes, &id, deadline).await {
        Look::Found { operation, .. } => {
            let bare = row.bare(id);
            // Where the two disagree, the later start: the earlier one may hide an operation that is searched for.
            let (start, end) = (operation.start.max(bare.start), operation.end.or(bare.end));
            // The row may have the error where the description has none.
            let silent = operation.messages.is_empty() && operation.phase == bare.phase;
            let messages = if silent { bare.messages } else { operation.messages };
            let failure = operation.failure.or(bare.failure.filter(|_| silent));
            Ok(Operation { start, end, messages, failure, origin: bare.origin, ..*operation })
        }
        // The list shows it, so it exists.
        Look::Gone => Ok(row.bare(id)),
        Look::Trouble(trouble) if trouble.kind == TroubleKind::Throttled => Err(trouble),
        Look::Trouble(trouble) => Ok(Operation { unread: trouble.kind != TroubleKind::Rejected, ..row.bare(id) }),
    }
}

/// `refreshes/<id>`; an id is safe in a path as it is.
fn one(refreshes: &Url, id: &OperationId) -> Url {
    let mut url = refreshes.clone();
    url.set_path(&format!("{}/{id}", refreshes.path()));
    url
}
