//! The calls to Analysis Services: each sends what is documented and lets `classify` say what came of it.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use reqwest::Method;
use tokio::time::Instant;
use url::Url;

use super::listing::{Row, Selection, Window};
use super::request;
use super::rows::Rows;
use crate::operation::{Cancellation, Listing, Look, Operation, OperationId, RefreshRequest, Submission, Trouble, TroubleKind};
use crate::service::answer::server_time;
use crate::service::http::{Fault, Incoming, LARGEST_BODY, LARGEST_WORD, Route};
use crate::service::location::{self, Target};
use crate::service::{Call, classify};

const POST_REFRESHES: Route = route("POST refreshes");
const GET_REFRESH: Route = route("GET refresh");
const GET_REFRESHES: Route = route("GET refreshes");
const DELETE_REFRESH: Route = route("DELETE refresh");

const fn route(name: &'static str) -> Route {
    Route { name, host_kind: "analysis-services" }
}

/// How many redirects on the same host a GET follows.
const MOST_REDIRECTS: usize = 3;

/// How many rows of a list are looked at one by one, and how many at a time.
const MOST_DETAILS: usize = 20;
const DETAILS_AT_ONCE: usize = 4;

/// How long the body of a submission's answer is waited for, once its `Location` has named the operation.
const BODY_PATIENCE: Duration = Duration::from_secs(1);

/// `POST refreshes`.
pub(in crate::service) async fn submit(call: &Call, refreshes: &Url, request: &RefreshRequest) -> Submission {
    let post = call.request(Method::POST, refreshes.clone()).json(&request::body(request));
    let incoming = match call.send(POST_REFRESHES, post, call.deadline()).await {
        Ok(incoming) => incoming,
        Err(Fault::NotSent(message)) => return Submission::Refused(unreachable(message)),
        Err(Fault::Lost(message)) => return Submission::Unanswered { message },
    };
    let done = (200..300).contains(&incoming.status());
    let named = done && classify::accepted_location(incoming.headers(), refreshes).is_some();
    let answer = if named { incoming.read_within(LARGEST_WORD, BODY_PATIENCE).await } else { incoming.read(LARGEST_WORD).await };
    call.heed(&answer);
    classify::submission(&answer, refreshes)
}

/// `GET refreshes/<id>`.
pub(in crate::service) async fn look(call: &Call, refreshes: &Url, id: &OperationId) -> Look {
    look_until(call, refreshes, id, call.deadline()).await
}

async fn look_until(call: &Call, refreshes: &Url, id: &OperationId, deadline: Instant) -> Look {
    let incoming = match get(call, GET_REFRESH, one(refreshes, id), deadline).await {
        Ok(incoming) => incoming,
        Err(trouble) => return Look::Trouble(trouble),
    };
    let limit = if (200..300).contains(&incoming.status()) { LARGEST_BODY } else { LARGEST_WORD };
    let answer = incoming.read(limit).await;
    call.heed(&answer);
    classify::look(&answer, id)
}

/// `DELETE refreshes/<id>`.
pub(in crate::service) async fn cancel(call: &Call, refreshes: &Url, id: &OperationId) -> Cancellation {
    let delete = call.request(Method::DELETE, one(refreshes, id));
    let answer = match call.send(DELETE_REFRESH, delete, call.deadline()).await {
        Ok(incoming) => incoming.read(LARGEST_WORD).await,
        Err(fault) => return Cancellation::Trouble(unreachable(fault.into_message())),
    };
    call.heed(&answer);
    classify::cancellation(&answer)
}

/// `GET refreshes`, and then each row that matters. The list and the rows have a deadline each.
pub(in crate::service) async fn list(call: &Call, refreshes: &Url, window: Window) -> Result<Listing, Trouble> {
    let asked = Instant::now();
    let incoming = get(call, GET_REFRESHES, refreshes.clone(), call.deadline()).await?;
    let server_time = server_time(incoming.headers());
    let since = window.since(server_time, asked.elapsed());
    let (rows, more) = select(call, incoming, Selection::new(since)).await?;

    let truncated = more || rows.len() > MOST_DETAILS;
    let deadline = call.deadline();
    let seen = rows
        .into_iter()
        .enumerate()
        .map(|(n, row)| async move { if n < MOST_DETAILS { detail(call, refreshes, row, deadline).await } else { Ok(row.bare()) } });
    let mut operations: Vec<Operation> = stream::iter(seen).buffered(DETAILS_AT_ONCE).try_collect().await?;
    operations.sort_by_key(|operation| std::cmp::Reverse(operation.start.unwrap_or(jiff::Timestamp::MAX)));
    Ok(Listing { operations, truncated, server_time })
}

/// The rows that matter, read as they arrive; and whether there may be more.
async fn select(call: &Call, mut incoming: Incoming, mut selection: Selection) -> Result<(Vec<Row>, bool), Trouble> {
    if !(200..300).contains(&incoming.status()) {
        let answer = incoming.read(LARGEST_WORD).await;
        call.heed(&answer);
        return Err(classify::listing_trouble(&answer));
    }
    let not_a_list = || classify::trouble(TroubleKind::InvalidAnswer, "the service's answer is not a list of refreshes".to_owned());
    let (mut rows, mut length) = (Rows::default(), 0);
    while let Some(piece) = incoming.chunk().await.map_err(classify::body_trouble)? {
        length += piece.len();
        if length > LARGEST_BODY {
            // The rows so far count; that others are missing is said.
            selection.cut_short();
            return Ok(selection.finish());
        }
        rows.feed(&piece, |row| selection.take(row)).map_err(|_| not_a_list())?;
    }
    if rows.complete() { Ok(selection.finish()) } else { Err(not_a_list()) }
}

/// One row with what its own description adds.
async fn detail(call: &Call, refreshes: &Url, row: Row, deadline: Instant) -> Result<Operation, Trouble> {
    match look_until(call, refreshes, &row.id, deadline).await {
        Look::Found { operation, .. } => {
            let bare = row.bare();
            Ok(Operation { start: operation.start.or(bare.start), end: operation.end.or(bare.end), ..*operation })
        }
        // The list says that it is there, so it is.
        Look::Gone => Ok(row.bare()),
        Look::Trouble(trouble) if trouble.kind == TroubleKind::InvalidAnswer => Ok(row.bare()),
        Look::Trouble(trouble) => Err(trouble),
    }
}

/// A GET that follows redirects, on the host that was called alone: the token goes nowhere else.
async fn get(call: &Call, route: Route, url: Url, deadline: Instant) -> Result<Incoming, Trouble> {
    let mut url = url;
    for _ in 0..=MOST_REDIRECTS {
        let request = call.request(Method::GET, url.clone());
        let incoming = call.send(route, request, deadline).await.map_err(|fault| unreachable(fault.into_message()))?;
        if !matches!(incoming.status(), 301 | 302 | 303 | 307 | 308) {
            return Ok(incoming);
        }
        let there = incoming.headers().get(reqwest::header::LOCATION).and_then(|there| there.to_str().ok());
        match there.map(|there| location::target(there, &incoming.url)) {
            Some(Target::Here(next)) => url = next,
            Some(Target::Elsewhere(_) | Target::Nonsense) | None => return Ok(incoming),
        }
    }
    Err(classify::trouble(TroubleKind::InvalidAnswer, "the service redirects in a circle".to_owned()))
}

/// `refreshes/<id>`; an id is safe in a path as it is.
fn one(refreshes: &Url, id: &OperationId) -> Url {
    let mut url = refreshes.clone();
    url.set_path(&format!("{}/{id}", refreshes.path()));
    url
}

fn unreachable(message: String) -> Trouble {
    classify::trouble(TroubleKind::Unreachable, message)
}
