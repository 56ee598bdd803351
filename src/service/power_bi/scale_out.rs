//! Query scale-out: the replicas of a semantic model are brought to its latest version.
//!
//! Power BI gives such a synchronisation no id of its own, and one status for the model. What a run has to wait for is the
//! version that its own submission was answered with: later refreshes commit later versions, and who waits for those may
//! wait for ever. So the id made here says that version, and when it was asked for, and a look needs nothing else, after a
//! restart neither.

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde::de::{IgnoredAny, MapAccess};
use tokio::time::Instant;
use url::Url;

use crate::operation::{
    CallKind, Listing, Look, Operation, OperationId, OperationKind, Origin, Phase, ServiceKind, Submission, Trouble, TroubleKind,
};
use crate::service::answer::{Answer, server_time};
use crate::service::classify::{self, Word};
use crate::service::fields::{Fields, Object, Text};
use crate::service::http::{Fault, LARGEST_WORD, REDIRECTS};
use crate::service::refreshes::Window;
use crate::service::{Call, text, timestamp};

/// How long the status may show what was before a submission. If by then it shows no synchronisation since, none was needed.
const STATUS_LAG: SignedDuration = SignedDuration::from_secs(30);

/// `POST …/queryScaleOut/sync`.
pub(in crate::service) async fn submit(call: &Call, sync: &Url) -> Submission {
    let (begun, clock) = (Timestamp::now(), Instant::now());
    let post = call.request(Method::POST, sync.clone()).header(reqwest::header::CONTENT_LENGTH, 0);
    let mut answer = match call.send(call.target(CallKind::Submit(OperationKind::Sync)), post, call.deadline()).await {
        Ok(incoming) => incoming.read(LARGEST_WORD).await,
        Err(Fault::NotSent(message)) => return Submission::Refused(classify::unreachable(message)),
        Err(Fault::Lost(message)) => return Submission::Unanswered { message },
    };
    call.heed(&mut answer);
    let window = Window { intent: begun, now: begun };
    let asked = window.since(window.ahead(server_time(&answer.headers), clock.elapsed()));
    classify::submission_with(ServiceKind::PowerBi, &answer, |answer| accepted(answer, asked))
}

/// `GET …/queryScaleOut/syncStatus`, held against what the id says.
pub(in crate::service) async fn look(call: &Call, status: &Url, id: &OperationId) -> Look {
    let mut answer = match call.get(call.target(CallKind::Poll(OperationKind::Sync)), status.clone(), call.deadline(), &REDIRECTS).await {
        Ok(incoming) => incoming.read(LARGEST_WORD).await,
        Err(trouble) => return Look::Trouble(trouble),
    };
    call.heed(&mut answer);
    seen(&answer, id)
}

/// The same, for what began in a window or is under way.
pub(in crate::service) async fn list(call: &Call, status: &Url, window: Window) -> Result<Listing, Trouble> {
    let asked = Instant::now();
    let incoming = call.get(call.target(CallKind::List(OperationKind::Sync)), status.clone(), call.deadline(), &REDIRECTS).await?;
    let ahead = window.ahead(server_time(incoming.headers()), asked.elapsed());
    let mut answer = incoming.read(LARGEST_WORD).await;
    call.heed(&mut answer);
    let (operations, truncated) = listed(&answer, window.since(ahead))?;
    Ok(Listing { operations, truncated, ahead, ..Listing::default() })
}

/// The last synchronisation, if it began since a moment or is under way, and whether there may be one that is not shown.
pub(in crate::service) fn listed(answer: &Answer, since: Timestamp) -> Result<(Vec<Operation>, bool), Trouble> {
    let status = described(answer)?;
    // Without a start, it may have begun at any time, unless the replicas are where the last one was to bring them.
    let doubt = status.start.is_none() && status.replicas < status.target;
    Ok((status.listed(since, answer).into_iter().collect(), doubt))
}

/// What became of a submission that was answered with 2xx. `asked` is when it was sent, by the service's clock.
pub(in crate::service) fn accepted(answer: &Answer, asked: Timestamp) -> Submission {
    let unanswered = |message: String| Submission::Unanswered { message };
    match described(answer) {
        // Where the status shows the new one already, the id is the one that a listing gives it.
        Ok(status) => match (Wanted { version: status.commit, asked: status.start.max(Some(asked)) }).id() {
            Some(id) => Submission::Accepted { id, location: None, activity_id: answer.activity_id(), retry_after: answer.retry_after() },
            None => unanswered("the answer to the submission cannot be used".to_owned()),
        },
        Err(trouble) if trouble.kind == TroubleKind::ScaleOutOff => Submission::Refused(trouble),
        // It is under way, most likely; the status tells.
        Err(trouble) => unanswered(trouble.message),
    }
}

/// What a look showed of the synchronisation with this id.
pub(in crate::service) fn seen(answer: &Answer, id: &OperationId) -> Look {
    let complaint = answer.complaint_unless_done();
    match classify::word(answer, &complaint) {
        Word::Done => match described(answer) {
            Ok(status) => {
                let operation = Box::new(status.operation(id.clone(), Wanted::of(id), answer));
                Look::Found { operation, retry_after: answer.retry_after(), location: None }
            }
            Err(trouble) => Look::Trouble(trouble),
        },
        Word::NotFound => Look::Gone,
        word => Look::Trouble(classify::trouble_of(ServiceKind::PowerBi, word, answer, &complaint)),
    }
}

/// Why a model's replicas cannot be synchronised, from the state that Power BI shows, and what to switch on.
///
/// Power BI documentation, semantic model scale-out, and its REST documentation, "Get Query Scale Out Sync Status".
pub(in crate::service) fn off(state: &str) -> String {
    match state.to_ascii_lowercase().as_str() {
        "tenantsettingdisabled" => {
            "query scale-out is switched off for the tenant: have an administrator of Power BI switch on the tenant \
                                    setting \"Scale-out queries for large semantic models\""
                .to_owned()
        }
        "storagemodenotsupported" => "the semantic model's storage does not support query scale-out: set the large semantic model storage \
                                      format in its settings"
            .to_owned(),
        "readonlyreplicasdisabled" => "the semantic model has no read-only replicas: switch on query scale-out in its settings, or set \
                                       maxReadOnlyReplicas of its queryScaleOutSettings to another value than 0"
            .to_owned(),
        _ => format!(
            "query scale-out is not enabled for the semantic model ({}): switch it on in its settings",
            if state.is_empty() { "no state given".to_owned() } else { text::tidy(state, 64) }
        ),
    }
}

/// The status in an answer with 2xx.
fn described(answer: &Answer) -> Result<Status, Trouble> {
    let text = classify::text_of(ServiceKind::PowerBi, answer)?;
    // Seen until the model is loaded, which the synchronisation itself may bring about.
    if text.is_empty() {
        return Ok(Status::default());
    }
    let status = Status::read(text).ok_or_else(|| {
        classify::trouble(TroubleKind::InvalidAnswer, "the service's answer is not a status of query scale-out".to_owned())
    })?;
    match status.state.to_ascii_lowercase().as_str() {
        // The second and the third are for a model that is not loaded, too.
        "enabled" | "" | "unavailable" => Ok(status),
        _ => Err(classify::trouble(TroubleKind::ScaleOutOff, off(&status.state))),
    }
}

/// What a synchronisation is to reach, as its id says it: `scaleout-<version>-<milliseconds since 1970>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    /// The version to wait for; where the service did not say, the latest one that it shows.
    version: Option<u64>,
    /// When it was asked for, or began, by the service's clock. An id that was not made here does not say.
    asked: Option<Timestamp>,
}

impl Wanted {
    fn id(self) -> Option<OperationId> {
        let asked = self.asked.map_or(0, |asked| asked.as_millisecond().max(0));
        OperationId::parse(&format!("scaleout-{}-{asked}", self.version.unwrap_or_default()))
    }

    fn of(id: &OperationId) -> Self {
        let parts = || {
            let (version, asked) = id.as_str().strip_prefix("scaleout-")?.split_once('-')?;
            Some((version.parse::<u64>().ok()?, asked.parse::<i64>().ok()?))
        };
        let (version, asked) = parts().unwrap_or_default();
        let asked = Some(asked).filter(|asked| *asked > 0).and_then(|asked| Timestamp::from_millisecond(asked).ok());
        Self { version: Some(version).filter(|version| *version > 0), asked }
    }
}

/// Where the replicas of a model stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Status {
    state: String,
    /// The latest version of the model.
    commit: Option<u64>,
    /// The version that the last synchronisation is to reach.
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
        let moment = |text: Text| text.0.as_deref().and_then(timestamp::moment);
        Some(Self {
            state: fields.state.at_most(64).unwrap_or_default(),
            commit: version(fields.commit),
            target: version(fields.target),
            replicas: version(fields.replicas),
            start: moment(fields.start),
            end: moment(fields.end),
        })
    }

    /// Where a synchronisation stands.
    ///
    /// The replicas' version tells, and not the end of the last synchronisation, which may be that of another one. Nor does
    /// it tell as long as the status may be from before the submission, for then it shows what was in step before.
    fn operation(&self, id: OperationId, wanted: Wanted, answer: &Answer) -> Operation {
        let version = wanted.version.or(self.commit);
        let now = server_time(&answer.headers).unwrap_or_else(Timestamp::now);
        let began_since = wanted.asked.is_none_or(|asked| self.start.is_some_and(|start| start >= asked));
        let settled = wanted.asked.is_none_or(|asked| now.duration_since(asked) >= STATUS_LAG);
        let goal = if began_since { version.max(self.target) } else { version };
        let reached = self.replicas.zip(goal).is_some_and(|(replicas, goal)| replicas >= goal);
        let over = reached && (began_since || settled);
        let number = |version: Option<u64>| version.map_or_else(|| "none".to_owned(), |version| version.to_string());
        Operation {
            id,
            phase: if over { Phase::Succeeded } else { Phase::InProgress },
            reported: format!("replicas at version {} of {}", number(self.replicas), number(goal)),
            start: self.start.filter(|_| began_since),
            end: self.end.filter(|_| over && began_since),
            refresh_type: None,
            objects: Vec::new(),
            messages: Vec::new(),
            activity_id: answer.activity_id(),
            failure: None,
            origin: Origin::Client,
            unread: false,
        }
    }

    /// The last synchronisation, if it began since a moment or is under way.
    ///
    /// Who began it does not matter (`triggerReason`): one that began after a submission brings the replicas to what that
    /// submission was for.
    fn listed(&self, since: Timestamp, answer: &Answer) -> Option<Operation> {
        let wanted = Wanted { version: self.target.or(self.commit), asked: Some(self.start?) };
        let operation = self.operation(wanted.id()?, wanted, answer);
        let over = operation.phase.ended() || self.end >= self.start;
        (self.start? >= since || !over).then_some(operation)
    }
}

#[derive(Default)]
struct StatusFields {
    /// How many fields a status has that are there: an object without any is something else.
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
        let place = match name {
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
        *place = value.next_value()?;
        self.known = self.known.saturating_add(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
