//! An API server, a service and a queue in memory, and a driver that performs each request unless a test responds to it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use tabular_operator::api::{FINALIZER, Kind, ModelRefresh, ResourceKey, Run, Status, has_finalizer};
use tabular_operator::engine::reconcile::{
    DriverRequest, DriverResponse, InMemoryState, Observed, Outcome, PlannedCall, QueueUpdate, Reconciliation, View,
};
use tabular_operator::engine::{CheckReport, ClaimedOperations, DesiredState, EffectResult, External, QueueState, Settings, TurnQueue};
use tabular_operator::operation::{
    CancelResult, Listing, ModelExistence, ModelLookup, Operation, OperationId, OperationKind, Phase, PollResult, SubmitResult,
};

pub(super) const UID: &str = "u-1";
pub(super) const MODEL: &str = "asazure://w.asazure.windows.net/s";

/// One version of a refresh.
#[derive(Clone, Debug)]
pub(super) struct Revision(pub(super) Arc<ModelRefresh>);

impl View for Revision {
    fn status(&self) -> &Status {
        self.0.status.as_ref().unwrap()
    }

    fn version(&self) -> u64 {
        self.0.metadata.resource_version.as_deref().unwrap().parse().unwrap()
    }

    fn is_deleting(&self) -> bool {
        self.0.metadata.deletion_timestamp.is_some()
    }

    fn has_finalizer(&self) -> bool {
        has_finalizer(&self.0.metadata)
    }

    fn desired(&self, external: External) -> Cow<'_, DesiredState> {
        Cow::Owned(DesiredState::of_refresh(&self.0, external))
    }

    fn with_status(&self, status: &Arc<Status>) -> Self {
        self.changed(|object| object["status"] = serde_json::to_value(&**status).unwrap())
    }
}

impl Revision {
    pub(super) fn changed(&self, change: impl FnOnce(&mut Value)) -> Self {
        let mut object = serde_json::to_value(&*self.0).unwrap();
        change(&mut object);
        Self(Arc::new(serde_json::from_value(object).unwrap()))
    }

    fn next(&self, change: impl FnOnce(&mut Value)) -> Self {
        let version = (self.version() + 1).to_string();
        self.changed(|object| {
            change(object);
            object["metadata"]["resourceVersion"] = json!(version);
        })
    }
}

pub(super) fn at(second: i64) -> Timestamp {
    "2026-01-01T12:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_secs(u64::try_from(second).unwrap())
}

pub(super) fn settings() -> Arc<Settings> {
    Arc::new(model::script::settings())
}

/// A refresh that was just applied, with these changes.
pub(super) fn refresh(change: impl FnOnce(&mut Value)) -> Revision {
    let mut object = json!({
        "apiVersion": "tabular-operator.dev/v1alpha1", "kind": "ModelRefresh",
        "metadata": {
            "name": "sales", "namespace": "bi", "uid": UID, "resourceVersion": "1", "generation": 1,
            "creationTimestamp": "2026-01-01T12:00:00Z", "finalizers": [FINALIZER],
        },
        "spec": {"model": {"analysisServices": {"server": MODEL, "database": "d"}}, "refresh": {"type": "full"}},
        "status": {},
    });
    change(&mut object);
    Revision(Arc::new(serde_json::from_value(object).unwrap()))
}

/// What surrounds the machine.
pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) server: Option<Revision>,
    pub(super) in_memory: InMemoryState,
    pub(super) queue: TurnQueue,
    pub(super) may_submit: bool,
    /// What is polled.
    pub(super) phase: Phase,
    pub(super) events: usize,
    /// What a check finds.
    pub(super) check_report: CheckReport,
    /// Every request, by name.
    pub(super) requests: Vec<String>,
}

impl World {
    pub(super) fn new(server: Revision) -> Self {
        let queue = TurnQueue::default();
        let (now, in_memory) = (at(60), InMemoryState::default());
        let (check_report, requests) = (CheckReport::default(), Vec::new());
        Self { now, server: Some(server), in_memory, queue, may_submit: true, phase: Phase::InProgress, events: 0, check_report, requests }
    }

    pub(super) fn view(&self) -> &Revision {
        self.server.as_ref().unwrap()
    }

    pub(super) fn run(&self) -> &Run {
        self.view().status().run.as_ref().unwrap()
    }

    pub(super) fn machine(&self) -> Reconciliation<Revision> {
        Reconciliation::new(self.view().clone(), self.in_memory.clone(), settings())
    }

    /// Another client changes the resource.
    pub(super) fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        self.server = Some(self.view().next(change));
    }

    /// A reconciliation in which every request is performed.
    pub(super) fn reconcile(&mut self) -> Outcome<Revision> {
        self.reconcile_with(|_, _| None)
    }

    /// A reconciliation in which `respond` may respond to a request itself.
    pub(super) fn reconcile_with(
        &mut self,
        respond: impl FnMut(&mut Self, &DriverRequest<Revision>) -> Option<DriverResponse<Revision>>,
    ) -> Outcome<Revision> {
        let machine = self.machine();
        self.drive(machine, respond)
    }

    pub(super) fn drive(
        &mut self,
        mut machine: Reconciliation<Revision>,
        mut respond: impl FnMut(&mut Self, &DriverRequest<Revision>) -> Option<DriverResponse<Revision>>,
    ) -> Outcome<Revision> {
        self.requests.clear();
        let mut request = machine.handle(DriverResponse::Start(self.now));
        for _ in 0..200 {
            self.requests.push(name(&request));
            if let DriverRequest::Done(outcome) = request {
                self.requests.pop();
                self.apply(&outcome);
                return *outcome;
            }
            let response = respond(self, &request).unwrap_or_else(|| self.perform(&request));
            request = machine.handle(response);
        }
        panic!("it does not end: {:?}", self.requests);
    }

    /// What a controller does at the end.
    pub(super) fn apply(&mut self, outcome: &Outcome<Revision>) {
        self.in_memory = outcome.in_memory.clone();
        match &outcome.queue {
            QueueUpdate::Set { model, state } => drop(self.queue.set(model, UID, &key(), *state)),
            QueueUpdate::Remove => drop(self.queue.remove(UID)),
            QueueUpdate::Keep => {}
        }
    }

    /// Performs a request.
    pub(super) fn perform(&mut self, request: &DriverRequest<Revision>) -> DriverResponse<Revision> {
        match request {
            DriverRequest::Observe => DriverResponse::Observed(Box::new(Observed {
                now: self.now,
                is_leader: true,
                may_submit: self.may_submit,
                blocker: None,
                upstream: None,
                drain: None,
                adopt_claimed: false,
            })),
            DriverRequest::Read { .. } => DriverResponse::Read(Ok(self.server.clone())),
            DriverRequest::ReadNamespace => DriverResponse::Namespace { terminating: false },
            DriverRequest::Prepare { .. } => DriverResponse::Prepared,
            DriverRequest::Reserve { .. } => DriverResponse::Reserved { claimed: false },
            DriverRequest::WriteStatus { status, .. } => {
                let status = serde_json::to_value(&**status).unwrap();
                self.write(|object| object["status"] = status)
            }
            DriverRequest::AddFinalizer => self.write(|object| object["metadata"]["finalizers"] = json!([FINALIZER])),
            DriverRequest::RemoveAnnotation(annotation) => self.write(|object| {
                object["metadata"]["annotations"].as_object_mut().unwrap().remove(*annotation).unwrap();
            }),
            DriverRequest::RemoveFinalizer { .. } => {
                self.server = None;
                DriverResponse::Removed
            }
            DriverRequest::AcquireTurn { model, since } => DriverResponse::Turn(self.queue.acquire(model, UID, &key(), *since)),
            DriverRequest::Publish { events, .. } => {
                self.events += events.len();
                DriverResponse::Published
            }
            DriverRequest::Call { call, .. } => DriverResponse::Called(Box::new(self.call(call))),
            DriverRequest::RunCheck { .. } => DriverResponse::CheckCompleted(Box::new(self.check_report.clone())),
            DriverRequest::Done(_) => unreachable!(),
        }
    }

    fn write(&mut self, change: impl FnOnce(&mut Value)) -> DriverResponse<Revision> {
        self.edit(change);
        DriverResponse::Written(self.view().clone())
    }

    fn call(&self, call: &PlannedCall) -> EffectResult {
        match call {
            PlannedCall::Submit(_) => EffectResult::Submitted(accepted()),
            PlannedCall::ResolveModel => EffectResult::ModelResolved(ModelLookup::Ambiguous("no such model".to_owned())),
            PlannedCall::Poll(..) => {
                EffectResult::Polled(PollResult::Found { operation: Box::new(operation(self.phase)), retry_after: None, location: None })
            }
            PlannedCall::List(kind, _) => {
                EffectResult::Listed { kind: *kind, result: Ok(Listing::default()), claimed: ClaimedOperations::default() }
            }
            PlannedCall::FindModel => EffectResult::ModelChecked(ModelExistence::Exists),
            PlannedCall::Cancel(_) => EffectResult::CancelRequested(CancelResult::Accepted),
        }
    }

    /// Whether the turn that the resource holds is backed by its record, or by an intent that may be recorded.
    pub(super) fn turn_is_backed(&self) -> bool {
        let on_record =
            |server: &Revision| tabular_operator::engine::queue_state(server.status(), self.now, &settings()) == QueueState::Holding;
        !self.queue.holds(UID) || self.in_memory.reread || self.server.as_ref().is_some_and(on_record)
    }
}

pub(super) fn key() -> ResourceKey {
    ResourceKey { kind: Kind::ModelRefresh, namespace: "bi".to_owned(), name: "sales".to_owned() }
}

pub(super) fn accepted() -> SubmitResult {
    SubmitResult::Accepted { id: OperationId::parse("op-1").unwrap(), location: None, activity_id: None, retry_after: None }
}

pub(super) fn operation(phase: Phase) -> Operation {
    Operation {
        start: Some(at(60)),
        end: phase.ended().then(|| at(60)),
        refresh_type: Some("full".to_owned()),
        ..model::script::operation("op-1", phase)
    }
}

/// The name of a request.
pub(super) fn name(request: &DriverRequest<Revision>) -> String {
    match request {
        DriverRequest::Observe => "observe".to_owned(),
        DriverRequest::Read { after } if after.is_zero() => "read".to_owned(),
        DriverRequest::Read { after } => format!("read after {} ms", after.as_millis()),
        DriverRequest::ReadNamespace => "namespace".to_owned(),
        DriverRequest::Prepare { .. } => "prepare".to_owned(),
        DriverRequest::Reserve { .. } => "reserve".to_owned(),
        DriverRequest::WriteStatus { intent: true, .. } => "intent".to_owned(),
        DriverRequest::WriteStatus { intent: false, .. } => "status".to_owned(),
        DriverRequest::AddFinalizer => "finalizer".to_owned(),
        DriverRequest::RemoveAnnotation(_) => "annotation".to_owned(),
        DriverRequest::RemoveFinalizer { .. } => "removal".to_owned(),
        DriverRequest::AcquireTurn { .. } => "turn".to_owned(),
        DriverRequest::Publish { .. } => "publish".to_owned(),
        DriverRequest::Call { call, .. } => match call {
            PlannedCall::Submit(_) => "submit",
            PlannedCall::ResolveModel => "resolve",
            PlannedCall::Poll(..) => "poll",
            PlannedCall::List(OperationKind::Refresh | OperationKind::Sync, _) => "list",
            PlannedCall::FindModel => "find",
            PlannedCall::Cancel(_) => "cancel",
        }
        .to_owned(),
        DriverRequest::RunCheck { .. } => "check".to_owned(),
        DriverRequest::Done(_) => "done".to_owned(),
    }
}

/// The requests without those that are always there.
pub(super) fn request_names(world: &World) -> Vec<&str> {
    let dull = ["observe", "prepare", "publish", "turn"];
    world.requests.iter().map(String::as_str).filter(|name| !dull.contains(name)).collect()
}
