//! The behavior of the service in a script: how long operations take, how they end, and which responses differ.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tabular_operator::api::Reason;
use tabular_operator::engine::reconcile::PlannedCall;
use tabular_operator::engine::{Blocker, ClaimedOperations, EffectResult, Remedy};
use tabular_operator::operation::{
    CancelResult, ClockSkew, FailureCause, Listing, ModelExistence, ObjectName, ObjectProgress, Operation, OperationId, OperationKind,
    Origin, Phase, PollResult, ServiceError, ServiceErrorKind, SubmitResult, UnnamedOperation,
};

use crate::world::{self, RequestOutcome};

/// The outcome of a submission.
#[derive(Clone, Debug)]
pub enum SubmitOutcome {
    /// It arrives, and its response comes back.
    Answered,
    /// It never arrives, and no response reports it.
    LostBefore,
    /// It arrives, and its response is lost.
    LostAfter,
    /// Its response is lost, and it arrives later.
    Late(Duration),
    /// The service refuses it.
    Refused(ServiceError),
    /// The operator sends nothing.
    Deferred,
}

/// The outcome of a poll, a list or a cancellation.
#[derive(Clone, Debug)]
pub enum CallOutcome {
    /// Its response comes back.
    Answered,
    /// It arrives, and its response is lost.
    LostAfter,
    /// It fails.
    Failed(ServiceError),
}

/// How an operation ends, and how the service shows it.
#[derive(Clone, Debug)]
pub struct Op {
    /// Its id.
    pub id: OperationId,
    /// When it started.
    pub start: Timestamp,
    /// When it ends.
    pub end: Timestamp,
    /// How it ends.
    pub outcome: Phase,
    /// What the service reports of a failed end.
    pub failure: Option<FailureCause>,
    /// Its type.
    pub refresh_type: Option<String>,
    /// Whether its start is shown.
    pub shows_start: bool,
    /// Its objects.
    pub objects: Vec<ObjectName>,
    /// When it becomes visible.
    pub visible: Timestamp,
    /// Whether the service has lost it.
    pub lost: bool,
    /// Who can have submitted it.
    pub origin: Origin,
    /// Whether its description cannot be read.
    pub incomplete: bool,
}

impl Op {
    /// Whether it is running.
    pub fn live(&self, now: Timestamp) -> bool {
        !self.lost && now < self.end
    }
}

/// The service.
#[allow(missing_docs)] // the names are self-explanatory
#[derive(Debug)]
pub struct Service {
    /// The operations, the oldest first.
    pub ops: Vec<Op>,
    /// How far its clock is ahead, and whether it reports it.
    pub skew: SignedDuration,
    pub reports_time: bool,
    /// How late it shows the next operations, how long they take, how they end, and why they fail.
    pub lag: Duration,
    pub length: Duration,
    pub outcomes: VecDeque<Phase>,
    pub failures: VecDeque<FailureCause>,
    /// The outcomes of the next calls.
    pub submit_outcomes: VecDeque<SubmitOutcome>,
    pub call_outcomes: VecDeque<CallOutcome>,
    pub(super) arrivals: Vec<Timestamp>,
    /// Whether its lists omit operations, and whether those may include a running one.
    pub truncated: bool,
    pub hides_running: bool,
    /// Whether its lists have rows of unknown origin without an id.
    pub has_unknown_rows: bool,
    /// A running operation of another client without an id.
    pub unnamed: Option<UnnamedOperation>,
    /// How long the response to a list takes after it has read the service's clock; and how long before that.
    pub slow: Duration,
    pub hesitates: Duration,
    pub claimed: ClaimedOperations,
    /// How many calls of each kind were made.
    pub submits: usize,
    pub cancels: Vec<OperationId>,
    pub lists: usize,
    pub polls: usize,
    pub finds: usize,
    /// How long a cancellation takes; `None` is forever.
    pub cancels_after: Option<Duration>,
    pub cancel_answer: Option<CancelResult>,
    /// The number of partitions that each operation shows.
    pub all_objects: usize,
    /// If the service reports the model as not found: what its list of models shows.
    pub unknown: Option<ModelExistence>,
    /// The response to each poll by id.
    pub poll_error: Option<ServiceError>,
    /// Whether there are replicas to synchronize.
    pub replicas: bool,
    /// Whether each response about a sync has another `Location`, and where it was polled.
    pub moves: bool,
    pub polled_at: Vec<Option<String>>,
    /// The `Retry-After` of responses that accept an operation or show a running one.
    pub retry_after: Option<Duration>,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            ops: Vec::new(),
            skew: SignedDuration::ZERO,
            reports_time: true,
            lag: Duration::ZERO,
            length: Duration::from_mins(1),
            outcomes: VecDeque::new(),
            failures: VecDeque::new(),
            submit_outcomes: VecDeque::new(),
            call_outcomes: VecDeque::new(),
            arrivals: Vec::new(),
            truncated: false,
            hides_running: false,
            has_unknown_rows: false,
            unnamed: None,
            slow: Duration::ZERO,
            hesitates: Duration::ZERO,
            claimed: ClaimedOperations::default(),
            submits: 0,
            cancels: Vec::new(),
            lists: 0,
            polls: 0,
            finds: 0,
            cancels_after: Some(Duration::from_secs(2)),
            cancel_answer: None,
            all_objects: 0,
            unknown: None,
            poll_error: None,
            replicas: true,
            moves: false,
            polled_at: Vec::new(),
            retry_after: None,
        }
    }
}

/// An error of this kind.
pub fn service_error(kind: ServiceErrorKind) -> ServiceError {
    ServiceError::new(kind, format!("{kind:?}"))
}

/// The error of a service that does not respond.
pub fn unreachable() -> ServiceError {
    service_error(ServiceErrorKind::Unreachable)
}

/// A reference that is missing, or another fault that a change of the cluster fixes.
pub fn missing(reason: Reason) -> Blocker {
    Blocker { reason, message: format!("something is missing ({reason})"), remedy: Remedy::ClusterChange }
}

/// The preparation of a call finds such a fault.
pub fn blocked(reason: Reason) -> Option<EffectResult> {
    Some(EffectResult::Blocked(missing(reason)))
}

/// The preparation of a call fails with an error of this kind.
pub fn failed(kind: ServiceErrorKind) -> Option<EffectResult> {
    Some(EffectResult::CallFailed(service_error(kind)))
}

/// An operation of a client.
pub fn operation(id: &str, phase: Phase) -> Operation {
    Operation::new(OperationId::parse(id).unwrap(), phase, format!("{phase:?}"))
}

/// The response to a poll that shows this operation.
pub fn polled(operation: Operation) -> EffectResult {
    EffectResult::Polled(PollResult::Found { operation: Box::new(operation), retry_after: None, location: None })
}

impl Service {
    /// How the next operations behave.
    pub(super) fn started(&mut self, op: &world::Op, now: Timestamp) {
        let ours = op.owner != world::Owner::OtherClient;
        let request = op.request.as_refresh().cloned().unwrap_or_default();
        self.ops.push(Op {
            id: op.id.clone(),
            start: now,
            end: now + self.length,
            outcome: ours.then(|| self.outcomes.pop_front()).flatten().unwrap_or(Phase::Succeeded),
            failure: ours.then(|| self.failures.pop_front()).flatten(),
            refresh_type: request.refresh_type,
            shows_start: true,
            objects: request.objects,
            visible: now + self.lag,
            lost: false,
            origin: Origin::Client,
            incomplete: false,
        });
    }

    /// The outcome of a call in the world below, and the response that replaces its response.
    pub(super) fn outcome_of(&mut self, call: &PlannedCall, now: Timestamp) -> (RequestOutcome, Option<EffectResult>) {
        let submission = |submission| (RequestOutcome::Refused(ServiceErrorKind::Throttled), Some(EffectResult::Submitted(submission)));
        match call {
            PlannedCall::Submit(_) => match self.submit_outcomes.pop_front().unwrap_or(SubmitOutcome::Answered) {
                SubmitOutcome::Answered => (RequestOutcome::Done, None),
                SubmitOutcome::LostBefore => (RequestOutcome::LostBefore, None),
                SubmitOutcome::LostAfter => (RequestOutcome::LostAfter, None),
                SubmitOutcome::Late(pause) => {
                    self.arrivals.push(now + pause);
                    (RequestOutcome::Late, None)
                }
                SubmitOutcome::Refused(error) => submission(SubmitResult::NotStarted(error)),
                SubmitOutcome::Deferred => submission(SubmitResult::Deferred { message: "nothing was submitted".to_owned() }),
            },
            PlannedCall::Poll(..) if self.unknown.is_some() => {
                (RequestOutcome::LostBefore, Some(EffectResult::Polled(PollResult::NotFound)))
            }
            PlannedCall::Poll(..) if self.poll_error.is_some() => {
                (RequestOutcome::LostBefore, self.poll_error.clone().map(|error| EffectResult::Polled(PollResult::Failed(error))))
            }
            PlannedCall::Cancel(_) if self.unknown.is_some() => {
                (RequestOutcome::LostBefore, Some(EffectResult::CancelRequested(CancelResult::NotRunning)))
            }
            PlannedCall::List(kind, _) if self.unknown.is_some() => self.unlisted(*kind, service_error(ServiceErrorKind::NotFound)),
            PlannedCall::FindModel => (RequestOutcome::Done, self.unknown.clone().map(EffectResult::ModelChecked)),
            PlannedCall::ResolveModel => (RequestOutcome::Done, None),
            PlannedCall::Poll(..) | PlannedCall::List(..) | PlannedCall::Cancel(_) => match (self.call_outcomes.pop_front(), call) {
                (Some(CallOutcome::Failed(error)), PlannedCall::List(kind, _)) => self.unlisted(*kind, error),
                (Some(CallOutcome::Failed(error)), PlannedCall::Cancel(_)) => {
                    (RequestOutcome::LostBefore, Some(EffectResult::CancelRequested(CancelResult::Failed(error))))
                }
                (Some(CallOutcome::Failed(error)), _) => {
                    (RequestOutcome::LostBefore, Some(EffectResult::Polled(PollResult::Failed(error))))
                }
                (Some(CallOutcome::LostAfter), PlannedCall::Cancel(_)) => {
                    (RequestOutcome::LostAfter, Some(EffectResult::CancelRequested(CancelResult::Failed(unreachable()))))
                }
                (Some(CallOutcome::Answered | CallOutcome::LostAfter) | None, _) => (RequestOutcome::Done, None),
            },
        }
    }

    fn unlisted(&self, kind: OperationKind, error: ServiceError) -> (RequestOutcome, Option<EffectResult>) {
        (RequestOutcome::LostBefore, Some(EffectResult::Listed { kind, result: Err(error), claimed: self.claimed.clone() }))
    }

    /// Counts a call that was made.
    pub(super) fn count(&mut self, call: &PlannedCall) {
        match call {
            PlannedCall::Submit(_) => self.submits += 1,
            PlannedCall::Poll(_, operation) => {
                self.polls += 1;
                self.polled_at.push(operation.location.clone());
            }
            PlannedCall::List(..) => self.lists += 1,
            PlannedCall::FindModel => self.finds += 1,
            PlannedCall::Cancel(id) => self.cancels.push(id.clone()),
            PlannedCall::ResolveModel => {}
        }
    }

    /// A cancellation was accepted.
    pub(super) fn cancelling(&mut self, id: &OperationId, now: Timestamp) {
        let Some(after) = self.cancels_after else { return };
        if let Some(op) = self.ops.iter_mut().find(|op| op.id == *id).filter(|op| now + after < op.end) {
            (op.end, op.outcome) = (now + after, Phase::Cancelled);
        }
    }

    /// Changes a response as the script describes.
    pub(super) fn edit(&self, effect_result: &mut EffectResult, now: Timestamp) {
        match effect_result {
            EffectResult::Submitted(SubmitResult::Accepted { location, retry_after, .. }) => {
                (*location, *retry_after) = (self.location(), self.retry_after);
            }
            EffectResult::Polled(PollResult::Found { operation, retry_after, location }) => {
                self.show(operation);
                (*location, *retry_after) = (self.location(), self.retry_after);
            }
            EffectResult::Listed { result, claimed, .. } => {
                claimed.clone_from(&self.claimed);
                let Ok(Listing { operations, truncated, may_hide_running, has_unknown_rows, unnamed, clock_skew }) = result else {
                    return;
                };
                for operation in operations.iter_mut() {
                    self.show(operation);
                }
                operations.retain(|operation| operation.phase.ended() || !self.hides_running);
                (*truncated, *may_hide_running, *unnamed) = (self.truncated, self.hides_running, self.unnamed);
                *has_unknown_rows = self.has_unknown_rows;
                *clock_skew = self.reports_time.then(|| ClockSkew::of(now + self.skew, (now, now + self.hesitates)));
            }
            EffectResult::CancelRequested(result @ (CancelResult::Accepted | CancelResult::NotRunning)) => {
                if let Some(answer) = &self.cancel_answer {
                    result.clone_from(answer);
                }
            }
            _ => {}
        }
    }

    /// The next `Location`.
    fn location(&self) -> Option<String> {
        self.moves.then(|| format!("https://westus.asazure.windows.net/place/{}", self.polls))
    }

    fn show(&self, operation: &mut Operation) {
        let Some(op) = self.ops.iter().find(|op| op.id == operation.id) else { return };
        let (phase, status) = (operation.phase, operation.service_status.clone());
        let more = (0..self.all_objects).map(|n| ObjectName { table: format!("Table{}", n / 10), partition: Some(format!("P{n}")) });
        let object = |name| ObjectProgress { name, phase, service_status: status.clone() };
        operation.objects = op.objects.iter().cloned().chain(more).map(object).collect();
        operation.start = op.shows_start.then(|| op.start + self.skew);
        operation.refresh_type.clone_from(&op.refresh_type);
        operation.failure = op.failure.filter(|_| matches!(phase, Phase::Failed | Phase::TimedOut | Phase::Cancelled));
        (operation.origin, operation.incomplete) = (op.origin, op.incomplete);
    }
}
