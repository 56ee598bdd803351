//! The sync of a database with its read-only replicas.
//!
//! The operator polls it by the `Location` of each response, or by its id if there is none. It uses the management URL of the server,
//! `<server>:rw`.

pub(in crate::service) mod answers;
mod state;

use reqwest::Method;
use reqwest::header::CONTENT_LENGTH;
use tokio::time::Instant;
use url::Url;

use crate::operation::{CallKind, Handle, Listing, Look, OperationKind, ServiceKind, Submission, Trouble};
use crate::service::answer::server_time;
use crate::service::http::{Fault, LARGEST_WORD, REDIRECTS};
use crate::service::refreshes::Window;
use crate::service::{Call, classify};

/// Redirects that a poll follows. 303 is excluded, because it has the URL of the next poll, after a wait.
const MOVED: [u16; 4] = [301, 302, 307, 308];

/// `POST sync`.
pub(in crate::service) async fn submit(call: &Call, sync: &Url) -> Submission {
    let post = call.request(Method::POST, sync.clone()).header(CONTENT_LENGTH, 0);
    let mut answer = match call.send(call.target(CallKind::Submit(OperationKind::Sync)), post, call.deadline()).await {
        Ok(incoming) => incoming.read(LARGEST_WORD).await,
        Err(Fault::NotSent(message)) => return Submission::Refused(classify::unreachable(message)),
        Err(Fault::Lost(message)) => return Submission::Unanswered { message },
    };
    call.heed(&mut answer);
    classify::submission_with(ServiceKind::AnalysisServices, &answer, |answer| answers::accepted(answer, sync))
}

/// Polls a sync: at the recorded `Location`, or else by its id.
pub(in crate::service) async fn look(call: &Call, sync: &Url, handle: &Handle) -> Look {
    let deadline = call.deadline();
    if let Some(there) = answers::stored(handle, sync) {
        match look_at(call, there, handle, true, deadline).await {
            // The service may drop a URL before the sync behind it.
            Look::Gone => {}
            seen => return seen,
        }
    }
    look_at(call, answers::by_id(sync, &handle.id), handle, false, deadline).await
}

async fn look_at(call: &Call, url: Url, handle: &Handle, named_by_service: bool, deadline: Instant) -> Look {
    let (called, mut answer) = match call.get(call.target(CallKind::Poll(OperationKind::Sync)), url, deadline, &MOVED).await {
        Ok(incoming) => (incoming.url.clone(), incoming.read(LARGEST_WORD).await),
        Err(trouble) => return Look::Trouble(trouble),
    };
    call.heed(&mut answer);
    answers::seen(&answer, &called, &handle.id, named_by_service)
}

/// `GET sync` without an id: the last sync, as far as the service shows it.
pub(in crate::service) async fn list(call: &Call, sync: &Url, window: Window) -> Result<Listing, Trouble> {
    let asked = Instant::now();
    let incoming = call.get(call.target(CallKind::List(OperationKind::Sync)), sync.clone(), call.deadline(), &REDIRECTS).await?;
    let ahead = window.ahead(server_time(incoming.headers()), asked.elapsed());
    let mut answer = incoming.read(LARGEST_WORD).await;
    call.heed(&mut answer);
    let (operations, truncated) = answers::listed(&answer, window.since(ahead))?;
    Ok(Listing { operations, truncated, may_hide_running: truncated, unnamed: None, ahead })
}
