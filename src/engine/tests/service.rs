//! A service with a clock, a lagging list and one refresh at a time, which loses responses on request.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::engine::ClaimedOperations;
use crate::operation::{
    CancelResult, ClockSkew, FailureCause, Listing, ModelExistence, ObjectName, ObjectProgress, Operation, OperationId, OperationKind,
    OperationRef, Origin, Phase, PollResult, RefreshRequest, Request, ServiceError, ServiceErrorKind, Submission, UnnamedOperation,
};

/// What becomes of a submission on its way.
#[derive(Clone, Debug)]
pub(super) enum SubmitFate {
    /// It arrives, and its response comes back.
    Answered,
    /// It never arrives, and no response reports it.
    LostBefore,
    /// It arrives, and its response is lost.
    LostAfter,
    /// Its response is lost, and it arrives later.
    Late(Duration),
    /// It is refused.
    Refused(ServiceError),
    /// The operator sends nothing.
    Deferred,
}

/// The fate of a poll, a list or a cancellation.
#[derive(Clone, Debug)]
pub(super) enum CallFate {
    Answered,
    LostAfter,
    Failed(ServiceError),
}

/// The owner of an operation: an attempt of a run, or another client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Run(i32, i32),
    OtherClient,
}

#[derive(Clone, Debug)]
pub(super) struct Op {
    pub(super) id: OperationId,
    pub(super) kind: OperationKind,
    pub(super) owner: Owner,
    /// When it started, by the true time.
    pub(super) start: Timestamp,
    /// When it ends of itself.
    pub(super) end: Timestamp,
    pub(super) outcome: Phase,
    /// What the service reports of a failed end.
    pub(super) failure: Option<FailureCause>,
    pub(super) refresh_type: Option<String>,
    pub(super) shows_start: bool,
    pub(super) objects: Vec<ObjectName>,
    pub(super) visible: Timestamp,
    pub(super) vanished: bool,
    /// Who can have submitted it, as the service shows it.
    pub(super) origin: Origin,
    /// Whether its description cannot be read.
    pub(super) incomplete: bool,
}

impl Op {
    pub(super) fn phase(&self, now: Timestamp) -> Phase {
        if now >= self.end { self.outcome } else { Phase::InProgress }
    }

    pub(super) fn live(&self, now: Timestamp) -> bool {
        !self.vanished && now < self.end
    }
}

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // a service is no state machine
pub(super) struct Service {
    pub(super) now: Timestamp,
    pub(super) ops: Vec<Op>,
    /// How much its clock is ahead of the true time, and whether it reports it.
    pub(super) skew: SignedDuration,
    pub(super) reports_time: bool,
    pub(super) lag: Duration,
    pub(super) length: Duration,
    pub(super) outcomes: VecDeque<Phase>,
    pub(super) submit_fates: VecDeque<SubmitFate>,
    pub(super) call_fates: VecDeque<CallFate>,
    /// Submissions that are still on their way.
    pub(super) in_flight: Vec<(Timestamp, Owner, Request)>,
    /// Whether its lists omit operations, and whether those may include a running one.
    pub(super) truncated: bool,
    pub(super) hides_running: bool,
    /// A running operation of another client without an id.
    pub(super) unnamed: Option<UnnamedOperation>,
    /// How long the response to a list takes after it has read the service's clock; and how long before that.
    pub(super) slow: Duration,
    pub(super) hesitates: Duration,
    pub(super) claimed: ClaimedOperations,
    /// How many submissions, cancellations, lists and polls were sent.
    pub(super) submits: usize,
    pub(super) cancels: Vec<OperationId>,
    pub(super) lists: usize,
    pub(super) polls: usize,
    /// How long a cancellation takes; `None` is forever.
    pub(super) cancels_after: Option<Duration>,
    pub(super) cancel_answer: Option<CancelResult>,
    pub(super) all_objects: usize,
    /// If the service reports the model as not found: what its list of models shows, and how often it was requested.
    pub(super) unknown: Option<ModelExistence>,
    pub(super) finds: usize,
    /// Why the next operations fail.
    pub(super) failures: VecDeque<FailureCause>,
    /// Whether there are replicas to synchronize.
    pub(super) replicas: bool,
    /// Whether each response about a sync has another `Location`, and where it was polled.
    pub(super) moves: bool,
    pub(super) asked_at: Vec<Option<String>>,
    /// The `Retry-After` of responses that accept an operation or show a running one.
    pub(super) retry_after: Option<Duration>,
}

impl Service {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            now,
            ops: Vec::new(),
            skew: SignedDuration::ZERO,
            reports_time: true,
            lag: Duration::ZERO,
            length: Duration::from_mins(1),
            outcomes: VecDeque::new(),
            submit_fates: VecDeque::new(),
            call_fates: VecDeque::new(),
            in_flight: Vec::new(),
            truncated: false,
            hides_running: false,
            unnamed: None,
            slow: Duration::ZERO,
            hesitates: Duration::ZERO,
            claimed: ClaimedOperations::default(),
            unknown: None,
            finds: 0,
            submits: 0,
            cancels: Vec::new(),
            lists: 0,
            polls: 0,
            cancels_after: Some(Duration::from_secs(2)),
            cancel_answer: None,
            all_objects: 0,
            failures: VecDeque::new(),
            replicas: true,
            moves: false,
            asked_at: Vec::new(),
            retry_after: None,
        }
    }

    pub(super) fn advance(&mut self, now: Timestamp) {
        self.in_flight.sort_by_key(|(at, _, _)| *at);
        while self.in_flight.first().is_some_and(|(at, _, _)| *at <= now) {
            let (at, owner, request) = self.in_flight.remove(0);
            self.now = at;
            self.accept(owner, &request);
        }
        self.now = now;
    }

    /// Starts an operation, unless one is running. Whether a service refuses a sync during a refresh is not documented; this one
    /// does not.
    pub(super) fn accept(&mut self, owner: Owner, request: &Request) -> Option<OperationId> {
        let kind = request.kind();
        if self.ops.iter().any(|op| op.live(self.now) && op.kind == kind) {
            return None;
        }
        let refresh = request.as_refresh().cloned().unwrap_or_default();
        let id = OperationId::parse(&format!("op-{}", self.ops.len() + 1)).unwrap();
        self.ops.push(Op {
            id: id.clone(),
            kind,
            owner,
            start: self.now,
            end: self.now + self.length,
            outcome: self.outcomes.pop_front().unwrap_or(Phase::Succeeded),
            failure: self.failures.pop_front(),
            refresh_type: refresh.refresh_type,
            shows_start: true,
            objects: refresh.objects,
            visible: self.now + self.lag,
            vanished: false,
            origin: Origin::Client,
            incomplete: false,
        });
        Some(id)
    }

    pub(super) fn submit(&mut self, owner: Owner, request: &Request) -> Submission {
        self.submits += 1;
        if request.kind() == OperationKind::Sync && !self.replicas {
            return Submission::NothingToDo { message: "there is no read-only replica to synchronize".to_owned() };
        }
        let lost = || Submission::Unknown { message: "no answer".to_owned() };
        match self.submit_fates.pop_front().unwrap_or(SubmitFate::Answered) {
            SubmitFate::Answered => match self.accept(owner, request) {
                Some(id) => Submission::Accepted { location: self.place(), id, activity_id: None, retry_after: self.retry_after },
                None => Submission::Busy { message: "another refresh is running".to_owned() },
            },
            SubmitFate::LostBefore => lost(),
            SubmitFate::LostAfter => {
                self.accept(owner, request);
                lost()
            }
            SubmitFate::Late(pause) => {
                self.in_flight.push((self.now + pause, owner, request.clone()));
                lost()
            }
            SubmitFate::Refused(error) => Submission::NotStarted(error),
            SubmitFate::Deferred => Submission::Deferred { message: "nothing was submitted".to_owned() },
        }
    }

    /// Starts a refresh of another client.
    pub(super) fn start_other_refresh(&mut self, length: u64, refresh_type: &str) -> OperationId {
        let own = std::mem::replace(&mut self.length, Duration::from_secs(length));
        let outcomes = std::mem::take(&mut self.outcomes);
        let request = RefreshRequest { refresh_type: Some(refresh_type.to_owned()), ..RefreshRequest::default() };
        let id = self.accept(Owner::OtherClient, &Request::Refresh(request));
        (self.length, self.outcomes) = (own, outcomes);
        id.expect("nothing else runs")
    }

    /// Starts another client's sync.
    pub(super) fn start_other_sync(&mut self, length: u64) -> OperationId {
        let own = std::mem::replace(&mut self.length, Duration::from_secs(length));
        let id = self.accept(Owner::OtherClient, &Request::Sync);
        self.length = own;
        id.expect("no other is running")
    }

    /// The next `Location`.
    fn place(&self) -> Option<String> {
        self.moves.then(|| format!("https://westus.asazure.windows.net/place/{}", self.polls))
    }

    fn view(&self, op: &Op) -> Operation {
        let phase = op.phase(self.now);
        let names = op.objects.iter().cloned();
        let more = (0..self.all_objects).map(|n| ObjectName { table: format!("Table{}", n / 10), partition: Some(format!("P{n}")) });
        let object = |name| ObjectProgress { name, phase, service_status: format!("{phase:?}") };
        Operation {
            id: op.id.clone(),
            phase,
            service_status: format!("{phase:?}"),
            start: op.shows_start.then(|| op.start + self.skew),
            end: phase.ended().then(|| op.end + self.skew),
            refresh_type: op.refresh_type.clone(),
            objects: names.chain(more).map(object).collect(),
            messages: Vec::new(),
            activity_id: None,
            failure: op.failure.filter(|_| matches!(phase, Phase::Failed | Phase::TimedOut | Phase::Cancelled)),
            origin: op.origin,
            incomplete: op.incomplete,
        }
    }

    fn visible(&self) -> impl Iterator<Item = &Op> {
        self.ops.iter().filter(|op| !op.vanished && op.visible <= self.now)
    }

    pub(super) fn look(&mut self, kind: OperationKind, operation: &OperationRef) -> PollResult {
        self.polls += 1;
        self.asked_at.push(operation.location.clone());
        if self.unknown.is_some() {
            return PollResult::NotFound;
        }
        if let Some(CallFate::Failed(error)) = self.call_fates.pop_front() {
            return PollResult::Failed(error);
        }
        let found = self.visible().find(|op| op.kind == kind && op.id.eq_ignoring_case(operation.id.as_str()));
        let (location, retry_after) = (self.place(), self.retry_after);
        found.map_or(PollResult::NotFound, |op| PollResult::Found { operation: Box::new(self.view(op)), retry_after, location })
    }

    pub(super) fn list(&mut self, kind: OperationKind, since: Timestamp) -> Result<Listing, ServiceError> {
        self.lists += 1;
        if self.unknown.is_some() {
            return Err(service_error(ServiceErrorKind::NotFound));
        }
        if let Some(CallFate::Failed(error)) = self.call_fates.pop_front() {
            return Err(error);
        }
        // As in the client: the window starts no later than `since` by the service's own clock.
        let allowance = if self.reports_time { self.skew - SignedDuration::from_secs(5) } else { SignedDuration::from_mins(-5) };
        let from = since + allowance - self.hesitates;
        let mut operations: Vec<Operation> = self.visible().filter(|op| op.kind == kind).map(|op| self.view(op)).collect();
        operations.retain(|op| !op.phase.ended() || op.start.is_none_or(|start| start >= from));
        operations.retain(|op| op.phase.ended() || !self.hides_running);
        operations.reverse();
        let clock_skew = self.reports_time.then(|| ClockSkew::of(self.now + self.skew, (self.now, self.now + self.hesitates)));
        Ok(Listing { operations, truncated: self.truncated, may_hide_running: self.hides_running, unnamed: self.unnamed, clock_skew })
    }

    pub(super) fn find(&mut self) -> ModelExistence {
        self.finds += 1;
        self.unknown.clone().unwrap_or(ModelExistence::Exists)
    }

    pub(super) fn cancel(&mut self, id: &OperationId) -> CancelResult {
        self.cancels.push(id.clone());
        if self.unknown.is_some() {
            return CancelResult::NotRunning;
        }
        let ask = self.call_fates.pop_front().unwrap_or(CallFate::Answered);
        if let CallFate::Failed(error) = ask {
            return CancelResult::Failed(error);
        }
        let (now, after) = (self.now, self.cancels_after);
        let found = self.ops.iter_mut().find(|op| op.id == *id && op.live(now) && op.visible <= now && op.kind == OperationKind::Refresh);
        let answer = match (found, after) {
            (Some(op), Some(after)) => {
                if now + after < op.end {
                    (op.end, op.outcome) = (now + after, Phase::Cancelled);
                }
                CancelResult::Accepted
            }
            (Some(_), None) => CancelResult::Accepted,
            (None, _) => CancelResult::NotRunning,
        };
        if matches!(ask, CallFate::LostAfter) {
            return CancelResult::Failed(unreachable());
        }
        self.cancel_answer.clone().unwrap_or(answer)
    }
}

pub(super) fn service_error(kind: ServiceErrorKind) -> ServiceError {
    ServiceError::new(kind, format!("{kind:?}"))
}

pub(super) fn unreachable() -> ServiceError {
    service_error(ServiceErrorKind::Unreachable)
}
