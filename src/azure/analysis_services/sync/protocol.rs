//! The calls about a sync.

use reqwest::Method;
use reqwest::header::CONTENT_LENGTH;
use tokio::time::Instant;
use url::Url;

use super::responses;
use crate::azure::classify;
use crate::azure::http::{MAX_SHORT_BODY_BYTES, REDIRECTS, SendError, server_time};
use crate::azure::refreshes::ListWindow;
use crate::azure::session::Session;
use crate::operation::{
    CallKind, Listing, OperationKind, OperationRef, PollResult, ServiceError, ServiceErrorKind, ServiceKind, SubmitResult,
};

/// Redirects that a poll follows. 303 is excluded, because it has the URL of the next poll, after a wait.
const MOVED: [u16; 4] = [301, 302, 307, 308];

/// `POST sync`.
pub(in crate::azure) async fn submit(session: &Session, sync: &Url) -> SubmitResult {
    let post = session.request(Method::POST, sync.clone()).header(CONTENT_LENGTH, 0);
    let mut response = match session.send(CallKind::Submit(OperationKind::Sync), post, session.deadline()).await {
        Ok(incoming) => incoming.read(MAX_SHORT_BODY_BYTES).await,
        Err(SendError::NotSent(message)) => return SubmitResult::NotStarted(classify::unreachable(message)),
        Err(SendError::Lost(message)) => return SubmitResult::Unknown { message },
    };
    session.record_throttle_and_token(&mut response);
    classify::submission_with(ServiceKind::AnalysisServices, &response, sync, |response| responses::accepted(response, sync))
}

/// Polls a sync: at the recorded `Location`, or else by its id.
///
/// The service may drop a URL before the sync behind it, and does not document how it responds then.
pub(in crate::azure) async fn poll(session: &Session, sync: &Url, operation: &OperationRef) -> PollResult {
    let deadline = session.deadline();
    let by_id = responses::by_id(sync, &operation.id);
    let Some(there) = responses::recorded_location(operation, sync) else {
        return poll_url(session, by_id, operation, false, deadline).await.0;
    };
    let (result, status) = poll_url(session, there, operation, true, deadline).await;
    if !responses::may_concern_only_the_url(&result, status, &operation.id) {
        return result;
    }
    match (result, poll_url(session, by_id, operation, false, deadline).await.0) {
        // Neither shows that the sync is lost.
        (PollResult::Failed(error), PollResult::NotFound) if error.kind != ServiceErrorKind::Rejected => PollResult::Failed(error),
        (_, result) => result,
    }
}

/// The result of polling a URL, and the status of the response, if there is one.
async fn poll_url(
    session: &Session,
    url: Url,
    operation: &OperationRef,
    named_by_service: bool,
    deadline: Instant,
) -> (PollResult, Option<u16>) {
    let (called, mut response) = match session.get(CallKind::Poll(OperationKind::Sync), url, deadline, &MOVED).await {
        Ok(incoming) => (incoming.url.clone(), incoming.read(MAX_SHORT_BODY_BYTES).await),
        Err(error) => return (PollResult::Failed(error), None),
    };
    session.record_throttle_and_token(&mut response);
    (responses::poll_result(&response, &called, &operation.id, named_by_service), Some(response.status))
}

/// `GET sync` without an id: the last sync, as far as the service shows it.
pub(in crate::azure) async fn list(session: &Session, sync: &Url, window: ListWindow) -> Result<Listing, ServiceError> {
    let sent_at = Instant::now();
    let incoming = session.get(CallKind::List(OperationKind::Sync), sync.clone(), session.deadline(), &REDIRECTS).await?;
    let clock_skew = window.clock_skew(server_time(incoming.headers()), sent_at.elapsed());
    let mut response = incoming.read(MAX_SHORT_BODY_BYTES).await;
    session.record_throttle_and_token(&mut response);
    let (operations, truncated) = responses::listed(&response, window.since(clock_skew))?;
    Ok(Listing { operations, truncated, may_hide_running: truncated, clock_skew, ..Listing::default() })
}
