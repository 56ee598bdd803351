//! A resource as the API server returns it, with any spec, annotations and status. The target drives the real reconciliation of this
//! resource with responses that the input selects.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tabular_operator::api::{FINALIZER, Kind, ModelResource, ResourceKey, Status};
use tabular_operator::controller::fuzzing;
use tabular_operator::engine::reconcile::{
    DriverRequest, DriverResponse, Finish, InMemoryState, Observed, Outcome, PlannedCall, QueueUpdate, ReadFailed, Reconciliation,
    Rejection, View,
};
use tabular_operator::engine::{
    CheckFailure, CheckReport, ClaimedOperations, DrainMode, EffectResult, QueueState, Turn, TurnQueue, queue_state,
};
use tabular_operator::operation::{
    CancelResult, Listing, ModelExistence, ModelLookup, Operation, OperationId, Phase, PollResult, ServiceError, ServiceErrorKind,
    SubmitResult,
};

use crate::{fixtures, invariants};

/// Maximum number of requests of one reconciliation.
const MAX_REQUESTS: usize = 200;
/// Number of consecutive reconciliations.
const RECONCILIATIONS: usize = 4;
/// The byte between the resource and the responses in an input.
const SEPARATOR: u8 = 0;
const MODEL: &str = "model";
const UID: &str = "uid";

/// A resource in JSON, and the responses of the API server and of the services.
///
/// Each reconciliation ends. Each written status is readable. A submission follows only its recorded intent. Wherever the driver stops,
/// a turn that remains held is backed by the recorded status.
pub fn resource(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == SEPARATOR).unwrap_or(input.len());
    for kind in [Kind::ModelRefresh, Kind::ModelSync] {
        let Ok(object) = fuzzing::resource(kind, &input[..end]) else { continue };
        let mut driver = Driver {
            server: Arc::new(object),
            is_gone: false,
            version: 1,
            now: invariants::now(),
            intent: None,
            queue: TurnQueue::default(),
            choices: input[end..].iter().skip(1),
        };
        let mut in_memory = InMemoryState::default();
        for _ in 0..RECONCILIATIONS {
            in_memory = driver.reconcile(in_memory);
            driver.now = driver.now.checked_add(SignedDuration::from_secs(61)).unwrap();
        }
    }
}

/// The simulated API server, services and queue of one resource.
struct Driver<'a> {
    server: Arc<ModelResource>,
    is_gone: bool,
    version: u64,
    now: Timestamp,
    /// The last written status, if it records an intent.
    intent: Option<Arc<Status>>,
    queue: TurnQueue,
    choices: std::iter::Skip<std::slice::Iter<'a, u8>>,
}

impl Driver<'_> {
    /// The next choice, below `count`. After the end of the input it is 0, the success case.
    fn choose(&mut self, count: u8) -> u8 {
        self.choices.next().map_or(0, |byte| byte % count)
    }

    fn reconcile(&mut self, in_memory: InMemoryState) -> InMemoryState {
        let mut machine = Reconciliation::new(Arc::clone(&self.server), in_memory, Arc::new(fixtures::settings()));
        let mut request = machine.handle(DriverResponse::Start(self.now));
        for _ in 0..MAX_REQUESTS {
            if let DriverRequest::Done(outcome) = request {
                return self.apply(&machine, *outcome);
            }
            Self::check_turn(&self.queue, &machine, &machine.clone().abandon(self.now));
            let response = self.respond(&machine, request);
            request = machine.handle(response);
        }
        panic!("no end after {MAX_REQUESTS} requests; the next one is {request:?}");
    }

    fn apply(&mut self, machine: &Reconciliation<Arc<ModelResource>>, outcome: Outcome<Arc<ModelResource>>) -> InMemoryState {
        Self::check_turn(&self.queue, machine, &outcome);
        update(&mut self.queue, &outcome.queue);
        if matches!(outcome.finish, Finish::Gone | Finish::FinalizerRemoved) { InMemoryState::default() } else { outcome.in_memory }
    }

    /// After the driver has stopped, a held turn is backed by the recorded status or by an intent whose write got no response.
    fn check_turn(queue: &TurnQueue, machine: &Reconciliation<Arc<ModelResource>>, outcome: &Outcome<Arc<ModelResource>>) {
        let (mut queue, state) = (queue.clone(), machine.state());
        update(&mut queue, &outcome.queue);
        if queue.holds(UID) && !outcome.in_memory.reread && outcome.queue != QueueUpdate::Keep {
            let turn = queue_state(View::status(&outcome.view), invariants::now(), &fixtures::settings());
            assert!(
                turn == QueueState::Holding,
                "a turn is held but the status records {turn:?}, after {:?} at {:?}",
                outcome.finish,
                state.stage
            );
        }
    }

    fn respond(
        &mut self,
        machine: &Reconciliation<Arc<ModelResource>>,
        request: DriverRequest<Arc<ModelResource>>,
    ) -> DriverResponse<Arc<ModelResource>> {
        match request {
            DriverRequest::Observe => DriverResponse::Observed(Box::new(Observed {
                now: self.now,
                is_leader: true,
                may_submit: self.choose(4) != 1,
                blocker: None,
                upstream: None,
                drain: match self.choose(8) {
                    1 => Some(DrainMode::Cancel),
                    2 => Some(DrainMode::Wait),
                    _ => None,
                },
                adopt_claimed: self.choose(4) == 1,
            })),
            DriverRequest::Read { .. } => DriverResponse::Read(match self.choose(4) {
                1 => Err(ReadFailed),
                _ => Ok((!self.is_gone).then(|| Arc::clone(&self.server))),
            }),
            DriverRequest::ReadNamespace => DriverResponse::Namespace { terminating: self.choose(2) == 1 },
            DriverRequest::Prepare { timeout, .. } => match self.choose(4) {
                1 => DriverResponse::NotPrepared(Box::new(EffectResult::CallFailed(service_error(ServiceErrorKind::CredentialsRefused)))),
                2 if timeout.is_some() => DriverResponse::TimedOut,
                _ => DriverResponse::Prepared,
            },
            DriverRequest::Reserve { .. } => DriverResponse::Reserved { claimed: self.choose(4) == 1 },
            DriverRequest::WriteStatus { status, intent } => {
                invariants::round_trips(&status);
                self.intent = None;
                let written = ModelResource::with_status(&self.server, &status);
                let response = self.write(written);
                if matches!(response, DriverResponse::Written(_)) && intent {
                    self.intent = Some(status);
                }
                response
            }
            DriverRequest::AddFinalizer => {
                let mut object = ModelResource::clone(&self.server);
                metadata(&mut object).finalizers.get_or_insert_default().push(FINALIZER.to_owned());
                self.write(object)
            }
            DriverRequest::RemoveAnnotation(annotation) => {
                let mut object = ModelResource::clone(&self.server);
                metadata(&mut object).annotations.get_or_insert_default().remove(annotation);
                self.write(object)
            }
            DriverRequest::RemoveFinalizer { .. } => match self.write(ModelResource::clone(&self.server)) {
                DriverResponse::Written(_) => {
                    self.is_gone = true;
                    DriverResponse::Removed
                }
                response => response,
            },
            DriverRequest::AcquireTurn { since, .. } => DriverResponse::Turn(match self.choose(4) {
                1 => Turn::Behind("another".to_owned()),
                _ => self.queue.acquire(MODEL, UID, &key(), since),
            }),
            DriverRequest::Publish { events, .. } => {
                for event in &events {
                    invariants::contains_no_token(&event.message);
                }
                DriverResponse::Published
            }
            DriverRequest::Call { call, timeout } => {
                if let PlannedCall::Submit(_) = &call {
                    let is_recorded = self.intent.take().is_some_and(|intent| *intent == *View::status(machine.view()));
                    assert!(is_recorded, "a submission without its recorded intent");
                }
                match self.choose(8) {
                    1 if timeout.is_some() => DriverResponse::TimedOut,
                    // A response that does not belong to the request.
                    2 => DriverResponse::Published,
                    _ => DriverResponse::Called(Box::new(self.call(&call))),
                }
            }
            DriverRequest::RunCheck { .. } => {
                let failure = (self.choose(2) == 1).then(|| CheckFailure::CallFailed(service_error(ServiceErrorKind::Unreachable)));
                DriverResponse::CheckCompleted(Box::new(CheckReport { failure, ..CheckReport::default() }))
            }
            DriverRequest::Done(_) => unreachable!("the reconciliation has ended"),
        }
    }

    fn write(&mut self, object: ModelResource) -> DriverResponse<Arc<ModelResource>> {
        let choice = self.choose(12);
        match choice {
            1 => return DriverResponse::Rejected(Rejection::Conflict),
            2 => return DriverResponse::Rejected(Rejection::NotFound),
            3 => return DriverResponse::Rejected(Rejection::NotLeader),
            4 => return DriverResponse::Rejected(Rejection::Permanent),
            5 => return DriverResponse::Rejected(Rejection::Temporary),
            6 => return DriverResponse::Unconfirmed { denied: false },
            7 => return DriverResponse::Unconfirmed { denied: true },
            _ => {}
        }
        self.version += 1;
        self.server = Arc::new(object);
        let version = self.version.to_string();
        metadata(Arc::make_mut(&mut self.server)).resource_version = Some(version);
        if choice == 8 { DriverResponse::Unconfirmed { denied: false } } else { DriverResponse::Written(Arc::clone(&self.server)) }
    }

    /// The result of a call.
    fn call(&mut self, call: &PlannedCall) -> EffectResult {
        let choice = self.choose(4);
        let service_error = || service_error(ServiceErrorKind::Unreachable);
        match call {
            PlannedCall::Submit(_) => EffectResult::Submitted(match choice {
                0 => SubmitResult::Accepted { id: fixtures::operation_id(), location: None, activity_id: None, retry_after: None },
                1 => SubmitResult::Busy { message: "another refresh is running".to_owned() },
                2 => SubmitResult::Unknown { message: "no response".to_owned() },
                _ => SubmitResult::NotStarted(service_error()),
            }),
            PlannedCall::ResolveModel => EffectResult::ModelResolved(ModelLookup::Failed(service_error())),
            PlannedCall::Poll(_, operation) => EffectResult::Polled(match choice {
                0 => PollResult::Found { operation: Box::new(self.operation(&operation.id)), retry_after: None, location: None },
                1 => PollResult::NotFound,
                _ => PollResult::Failed(service_error()),
            }),
            PlannedCall::List(kind, _) => {
                let operations = (choice < 2).then(|| self.operation(&fixtures::operation_id())).into_iter().collect();
                let result = if choice == 3 { Err(service_error()) } else { Ok(Listing { operations, ..Listing::default() }) };
                EffectResult::Listed { kind: *kind, result, claimed: ClaimedOperations::default() }
            }
            PlannedCall::FindModel => EffectResult::ModelChecked(if choice == 1 { ModelExistence::Absent } else { ModelExistence::Exists }),
            PlannedCall::Cancel(_) => EffectResult::CancelRequested(match choice {
                0 => CancelResult::Accepted,
                1 => CancelResult::NotRunning,
                _ => CancelResult::Failed(service_error()),
            }),
        }
    }

    fn operation(&mut self, id: &OperationId) -> Operation {
        let phase = [Phase::InProgress, Phase::Succeeded, Phase::Failed, Phase::Cancelled][usize::from(self.choose(4))];
        fixtures::operation(id, phase)
    }
}

fn update(queue: &mut TurnQueue, update: &QueueUpdate) {
    let _ = match update {
        QueueUpdate::Set { state, .. } => queue.set(MODEL, UID, &key(), *state),
        QueueUpdate::Remove => queue.remove(UID),
        QueueUpdate::Keep => Vec::new(),
    };
}

fn key() -> ResourceKey {
    ResourceKey { kind: Kind::ModelRefresh, namespace: "bi".to_owned(), name: "orders".to_owned() }
}

fn service_error(kind: ServiceErrorKind) -> ServiceError {
    ServiceError::new(kind, format!("{kind:?}"))
}

fn metadata(object: &mut ModelResource) -> &mut ObjectMeta {
    match object {
        ModelResource::ModelRefresh(refresh) => &mut refresh.metadata,
        ModelResource::ModelSync(sync) => &mut sync.metadata,
    }
}
