//! The calls about a sync.

use reqwest::Method;
use reqwest::header::CONTENT_LENGTH;
use tokio::time::Instant;
use url::Url;

use super::responses;
use crate::azure::classify;
use crate::azure::http::{Fault, LARGEST_WORD, REDIRECTS, server_time};
use crate::azure::refreshes::Window;
use crate::azure::session::Session;
use crate::operation::{CallKind, Listing, OperationKind, OperationRef, PollResult, ServiceError, ServiceKind, Submission};

/// Redirects that a poll follows. 303 is excluded, because it has the URL of the next poll, after a wait.
const MOVED: [u16; 4] = [301, 302, 307, 308];

/// `POST sync`.
pub(in crate::azure) async fn submit(session: &Session, sync: &Url) -> Submission {
    let post = session.request(Method::POST, sync.clone()).header(CONTENT_LENGTH, 0);
    let mut answer = match session.send(CallKind::Submit(OperationKind::Sync), post, session.deadline()).await {
        Ok(incoming) => incoming.read(LARGEST_WORD).await,
        Err(Fault::NotSent(message)) => return Submission::NotStarted(classify::unreachable(message)),
        Err(Fault::Lost(message)) => return Submission::Unknown { message },
    };
    session.heed(&mut answer);
    classify::submission_with(ServiceKind::AnalysisServices, &answer, |answer| responses::accepted(answer, sync))
}

/// Polls a sync: at the recorded `Location`, or else by its id.
pub(in crate::azure) async fn look(session: &Session, sync: &Url, operation: &OperationRef) -> PollResult {
    let deadline = session.deadline();
    if let Some(there) = responses::stored(operation, sync) {
        match look_at(session, there, operation, true, deadline).await {
            // The service may drop a URL before the sync behind it.
            PollResult::NotFound => {}
            seen => return seen,
        }
    }
    look_at(session, responses::by_id(sync, &operation.id), operation, false, deadline).await
}

async fn look_at(session: &Session, url: Url, operation: &OperationRef, named_by_service: bool, deadline: Instant) -> PollResult {
    let (called, mut answer) = match session.get(CallKind::Poll(OperationKind::Sync), url, deadline, &MOVED).await {
        Ok(incoming) => (incoming.url.clone(), incoming.read(LARGEST_WORD).await),
        Err(error) => return PollResult::Failed(error),
    };
    session.heed(&mut answer);
    responses::seen(&answer, &called, &operation.id, named_by_service)
}

/// `GET sync` without an id: the last sync, as far as the service shows it.
pub(in crate::azure) async fn list(session: &Session, sync: &Url, window: Window) -> Result<Listing, ServiceError> {
    let asked = Instant::now();
    let incoming = session.get(CallKind::List(OperationKind::Sync), sync.clone(), session.deadline(), &REDIRECTS).await?;
    let clock_skew = window.clock_skew(server_time(incoming.headers()), asked.elapsed());
    let mut answer = incoming.read(LARGEST_WORD).await;
    session.heed(&mut answer);
    let (operations, truncated) = responses::listed(&answer, window.since(clock_skew))?;
    Ok(Listing { operations, truncated, may_hide_running: truncated, unnamed: None, clock_skew })
}
