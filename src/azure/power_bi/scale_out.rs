//! Query scale-out: syncs the replicas of a semantic model to its latest version.
//!
//! Power BI gives such a sync no id, and returns one status for the model. A run has to wait for the version in the response to its own
//! submission. Later refreshes commit later versions, and waiting for these might never end. The generated id therefore contains this
//! version, and the time of the request. A poll needs nothing else, even after a restart.

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde::de::{IgnoredAny, MapAccess};
use tokio::time::Instant;
use url::Url;

use crate::azure::classify::{self, ResponseKind};
use crate::azure::http::lenient_json::{Fields, Object, Text};
use crate::azure::http::{MAX_SHORT_BODY_BYTES, REDIRECTS, Response, SendError, server_time, timestamp};
use crate::azure::refreshes::ListWindow;
use crate::azure::session::Session;
use crate::operation::{
    CallKind, Listing, Operation, OperationId, OperationKind, Phase, PollResult, ServiceError, ServiceErrorKind, ServiceKind, SubmitResult,
};

/// How long the status may still show the state before a submission. If it shows no sync after this time, none was needed.
const STATUS_LAG: SignedDuration = SignedDuration::from_secs(30);

/// `POST …/queryScaleOut/sync`.
pub(in crate::azure) async fn submit(session: &Session, sync: &Url) -> SubmitResult {
    let (submitted_at, sent_at) = (Timestamp::now(), Instant::now());
    let post = session.request(Method::POST, sync.clone()).header(reqwest::header::CONTENT_LENGTH, 0);
    let mut response = match session.send(CallKind::Submit(OperationKind::Sync), post, session.deadline()).await {
        Ok(incoming) => incoming.read(MAX_SHORT_BODY_BYTES).await,
        Err(SendError::NotSent(message)) => return SubmitResult::NotStarted(classify::unreachable(message)),
        Err(SendError::Lost(message)) => return SubmitResult::Unknown { message },
    };
    session.record_throttle_and_token(&mut response);
    let window = ListWindow { intent: submitted_at, now: submitted_at };
    let requested_at = window.since(window.clock_skew(server_time(&response.headers), sent_at.elapsed()));
    classify::submission_with(ServiceKind::PowerBi, &response, sync, |response| accepted(response, requested_at))
}

/// Sends `GET …/queryScaleOut/syncStatus`, and compares the status with the id.
pub(in crate::azure) async fn poll(session: &Session, status: &Url, id: &OperationId) -> PollResult {
    let mut response = match session.get(CallKind::Poll(OperationKind::Sync), status.clone(), session.deadline(), &REDIRECTS).await {
        Ok(incoming) => incoming.read(MAX_SHORT_BODY_BYTES).await,
        Err(error) => return PollResult::Failed(error),
    };
    session.record_throttle_and_token(&mut response);
    poll_result(&response, id)
}

/// The same, for a sync that started in a window or is running.
pub(in crate::azure) async fn list(session: &Session, status: &Url, window: ListWindow) -> Result<Listing, ServiceError> {
    let sent_at = Instant::now();
    let incoming = session.get(CallKind::List(OperationKind::Sync), status.clone(), session.deadline(), &REDIRECTS).await?;
    let clock_skew = window.clock_skew(server_time(incoming.headers()), sent_at.elapsed());
    let mut response = incoming.read(MAX_SHORT_BODY_BYTES).await;
    session.record_throttle_and_token(&mut response);
    let (operations, truncated) = listed(&response, window.since(clock_skew))?;
    Ok(Listing { operations, truncated, clock_skew, ..Listing::default() })
}

/// The last sync, if it started since a time or is running, and whether there may be another one that is not shown.
pub(in crate::azure) fn listed(response: &Response, since: Timestamp) -> Result<(Vec<Operation>, bool), ServiceError> {
    let status = status_in(response)?;
    // Without a start, the sync may have started at any time, unless the replicas have reached the target of the last sync.
    let inconclusive = status.start.is_none() && status.replicas < status.target;
    Ok((status.listed(since, response).into_iter().collect(), inconclusive))
}

/// The result of a submission with a 2xx response. `requested_at` is the time of the request, by the clock of the service.
pub(in crate::azure) fn accepted(response: &Response, requested_at: Timestamp) -> SubmitResult {
    let unknown = |message: String| SubmitResult::Unknown { message };
    match status_in(response) {
        // If the status already shows the new sync, its id is the same as in a list.
        Ok(status) => match (SyncTarget { version: status.commit, requested_at: status.start.max(Some(requested_at)) }).id() {
            Some(id) => {
                SubmitResult::Accepted { id, location: None, activity_id: response.activity_id(), retry_after: response.retry_after() }
            }
            None => unknown("the response to the submission is unusable".to_owned()),
        },
        Err(error) if error.kind == ServiceErrorKind::ScaleOutDisabled => SubmitResult::NotStarted(error),
        // The sync is probably running. The status shows it.
        Err(error) => unknown(error.message),
    }
}

/// The result of polling the sync with this id.
pub(in crate::azure) fn poll_result(response: &Response, id: &OperationId) -> PollResult {
    let summary = response.error_summary_unless_success();
    match classify::response_kind(response, &summary) {
        ResponseKind::Success => match status_in(response) {
            Ok(status) => {
                let operation = Box::new(status.operation(id.clone(), SyncTarget::of(id), response));
                PollResult::Found { operation, retry_after: response.retry_after(), location: None }
            }
            Err(error) => PollResult::Failed(error),
        },
        // The URL names the model and no sync, so a 404 is about the model.
        kind => PollResult::Failed(classify::error_of(ServiceKind::PowerBi, kind, response, &summary)),
    }
}

/// The status in a 2xx response.
fn status_in(response: &Response) -> Result<Status, ServiceError> {
    let text = classify::body_text(ServiceKind::PowerBi, response)?;
    // Returned until the model is loaded, which the sync itself may cause.
    if text.is_empty() {
        return Ok(Status::default());
    }
    let status = Status::read(text).ok_or_else(|| {
        ServiceError::new(ServiceErrorKind::InvalidResponse, "the response of the service is not a status of query scale-out")
    })?;
    match status.state.to_ascii_lowercase().as_str() {
        // The second and the third are also for a model that is not loaded.
        "enabled" | "" | "unavailable" => Ok(status),
        _ => Err(ServiceError::new(ServiceErrorKind::ScaleOutDisabled, classify::scale_out_disabled(&status.state))),
    }
}

/// The target of a sync, as in its id: `scaleout-<version>-<milliseconds since 1970>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SyncTarget {
    /// The version to wait for; `None` for the latest version, if the service returned none.
    version: Option<u64>,
    /// When the sync was requested or started, by the clock of the service; `None` if the id was not generated by the operator.
    requested_at: Option<Timestamp>,
}

impl SyncTarget {
    fn id(self) -> Option<OperationId> {
        let requested_at = self.requested_at.map_or(0, |requested_at| requested_at.as_millisecond().max(0));
        OperationId::parse(&format!("scaleout-{}-{requested_at}", self.version.unwrap_or_default()))
    }

    fn of(id: &OperationId) -> Self {
        let parts = || {
            let (version, requested_at) = id.as_str().strip_prefix("scaleout-")?.split_once('-')?;
            Some((version.parse::<u64>().ok()?, requested_at.parse::<i64>().ok()?))
        };
        let (version, requested_at) = parts().unwrap_or_default();
        let requested_at = Some(requested_at)
            .filter(|requested_at| *requested_at > 0)
            .and_then(|requested_at| Timestamp::from_millisecond(requested_at).ok());
        Self { version: Some(version).filter(|version| *version > 0), requested_at }
    }
}

/// The versions of a model and its replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Status {
    state: String,
    /// The latest version of the model.
    commit: Option<u64>,
    /// The target version of the last sync.
    target: Option<u64>,
    /// The version that every replica has reached.
    replicas: Option<u64>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

impl Status {
    fn read(body: &[u8]) -> Option<Self> {
        let Object(fields) = serde_json::from_slice::<Object<StatusFields>>(body).ok()?;
        if fields.known == 0 {
            return None;
        }
        let version = |text: Text| text.at_most(32)?.parse::<u64>().ok();
        let time = |text: Text| text.0.as_deref().and_then(timestamp::parse);
        Some(Self {
            state: fields.state.at_most(64).unwrap_or_default(),
            commit: version(fields.commit),
            target: version(fields.target),
            replicas: version(fields.replicas),
            start: time(fields.start),
            end: time(fields.end),
        })
    }

    /// The state of a sync.
    ///
    /// The version of the replicas determines it, and not the end of the last sync, which may be another one. While the status may be from
    /// before the submission, it determines nothing, because it would show the previous state.
    fn operation(&self, id: OperationId, sync_target: SyncTarget, response: &Response) -> Operation {
        let version = sync_target.version.or(self.commit);
        let now = server_time(&response.headers).unwrap_or_else(Timestamp::now);
        let began_since = sync_target.requested_at.is_none_or(|requested_at| self.start.is_some_and(|start| start >= requested_at));
        let lag_elapsed = sync_target.requested_at.is_none_or(|requested_at| now.duration_since(requested_at) >= STATUS_LAG);
        let goal = if began_since { version.max(self.target) } else { version };
        let reached = self.replicas.zip(goal).is_some_and(|(replicas, goal)| replicas >= goal);
        let over = reached && (began_since || lag_elapsed);
        let number = |version: Option<u64>| version.map_or_else(|| "none".to_owned(), |version| version.to_string());
        let phase = if over { Phase::Succeeded } else { Phase::InProgress };
        let service_status = format!("replicas at version {} of {}", number(self.replicas), number(goal));
        Operation {
            start: self.start.filter(|_| began_since),
            end: self.end.filter(|_| over && began_since),
            activity_id: response.activity_id(),
            ..Operation::new(id, phase, service_status)
        }
    }

    /// The last sync, if it started since a time or is running.
    ///
    /// It does not matter which client started it (`triggerReason`): a sync that started after a submission brings the replicas to the
    /// version of that submission.
    fn listed(&self, since: Timestamp, response: &Response) -> Option<Operation> {
        let sync_target = SyncTarget { version: self.target.or(self.commit), requested_at: Some(self.start?) };
        let operation = self.operation(sync_target.id()?, sync_target, response);
        let over = operation.phase.ended() || self.end >= self.start;
        (self.start? >= since || !over).then_some(operation)
    }
}

#[derive(Default)]
struct StatusFields {
    /// Number of fields that a status has. An object without any is not a status.
    known: u32,
    state: Text,
    commit: Text,
    target: Text,
    replicas: Text,
    start: Text,
    end: Text,
}

impl Fields for StatusFields {
    const EXPECTED: &'static str = "a status of query scale-out";

    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, value: &mut A) -> Result<(), A::Error> {
        let slot = match name {
            "scaleoutstatus" => &mut self.state,
            "commitversion" => &mut self.commit,
            "targetsyncversion" => &mut self.target,
            "minactivereadversion" => &mut self.replicas,
            "syncstarttime" => &mut self.start,
            "syncendtime" => &mut self.end,
            _ => {
                value.next_value::<IgnoredAny>()?;
                return Ok(());
            }
        };
        *slot = value.next_value()?;
        self.known = self.known.saturating_add(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
