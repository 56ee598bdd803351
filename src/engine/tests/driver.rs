//! The driver of the state machine in the world of the scenarios. It can be killed at any point.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::invariants;
use super::service::Owner;
use super::world::{Ended, World};
use crate::api::{FINALIZER, ModelRefresh, ModelSync, ModelSyncSpec, Status, has_finalizer};
use crate::engine::reconcile::{
    self, DriverRequest, DriverResponse, Finish, Observed, Outcome, PlannedCall, Reconciliation, RefusedMetadata, Rejection, Stage,
    View as _,
};
use crate::engine::{Decision, DecisionInput, DecisionMemory, Desired, Effect, External, Observation, Turn, Upstream, decide};
use crate::operation::OperationKind;

/// A version of the resource, as a reconciliation works on it.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) object: Arc<ModelRefresh>,
    kind: OperationKind,
    takes_model: bool,
}

impl reconcile::View for View {
    fn status(&self) -> &Status {
        self.object.status.as_ref().unwrap()
    }

    fn version(&self) -> u64 {
        self.object.metadata.resource_version.as_deref().unwrap().parse().unwrap()
    }

    fn is_deleting(&self) -> bool {
        self.object.metadata.deletion_timestamp.is_some()
    }

    fn has_finalizer(&self) -> bool {
        has_finalizer(&self.object.metadata)
    }

    fn desired(&self, external: External) -> Cow<'_, Desired> {
        Cow::Owned(match self.kind {
            OperationKind::Refresh => Desired::of_refresh(&self.object, external),
            OperationKind::Sync => {
                let spec = self.object.spec.clone();
                let spec = ModelSyncSpec {
                    model: Some(spec.model).filter(|_| !self.takes_model),
                    credentials: None,
                    trigger: spec.trigger,
                    wait_deadline_seconds: spec.wait_deadline_seconds,
                    active_deadline_seconds: spec.active_deadline_seconds,
                    backoff_limit: spec.backoff_limit,
                    suspend: spec.suspend,
                    history_limit: spec.history_limit,
                };
                let sync = ModelSync { metadata: self.object.metadata.clone(), spec, status: self.object.status.clone() };
                Desired::of_sync(&sync, external)
            }
        })
    }

    fn with_status(&self, status: &Arc<Status>) -> Self {
        let object = ModelRefresh { status: Some((**status).clone()), ..(*self.object).clone() };
        Self { object: Arc::new(object), ..self.clone() }
    }
}

/// A call as the decision requested it.
fn effect_of(call: &PlannedCall) -> Effect {
    match call.clone() {
        PlannedCall::Submit(_) => Effect::Submit,
        PlannedCall::ResolveModel => Effect::ResolveModel,
        PlannedCall::Poll(_, operation) => Effect::Poll(operation),
        PlannedCall::List(kind, since) => Effect::List(kind, since),
        PlannedCall::FindModel => Effect::FindModel,
        PlannedCall::Cancel(id) => Effect::Cancel(id),
    }
}

impl World {
    /// One reconciliation, on a view that is `stale` versions old where that is given.
    pub(super) fn reconcile_once(&mut self, stale: Option<usize>) -> Ended {
        if self.gone {
            return Ended::Done;
        }
        (self.dirty, self.due) = (false, None);
        let last = self.versions.len() - 1;
        let view = self.view(&self.versions[last - stale.unwrap_or(0).min(last)]);
        let Some(outcome) = self.drive(view) else {
            self.restart();
            return Ended::Crashed;
        };
        let requeue = outcome.requeue();
        self.transient = outcome.transient;
        match outcome.finish {
            Finish::Conflict => {
                self.dirty = true;
                return Ended::Stale;
            }
            Finish::Settled { .. } => {
                self.due = requeue.map(|delay| self.now + delay.max(Duration::from_millis(1)));
                self.assert_settled(&outcome.view.object);
            }
            Finish::Released | Finish::Gone => {}
            Finish::Failed | Finish::Unresolvable => panic!("{:?}", outcome.finish),
        }
        Ended::Done
    }

    /// Drives the machine to its end; `None` where the operator is killed.
    fn drive(&mut self, view: View) -> Option<Outcome<View>> {
        let mut transient = self.transient.clone();
        transient.metadata_refused = self.metadata_refused.then_some(RefusedMetadata { times: 8, at: self.now });
        let mut machine = Reconciliation::new(view, transient, Arc::new(self.settings.clone()));
        let mut request = machine.handle(DriverResponse::Start(self.now));
        let (mut decided, mut is_recorded) = (None, false);
        loop {
            // An event is published with the write that it belongs to: what a crash between the two loses is not in question here.
            if is_recorded && !matches!(request, DriverRequest::Publish { .. }) {
                is_recorded = false;
                if self.killed() {
                    return None;
                }
            }
            let response = match request {
                DriverRequest::Done(outcome) => return Some(*outcome),
                DriverRequest::Observe => DriverResponse::Observed(Box::new(self.observe(&machine, &mut decided))),
                DriverRequest::Publish { events, .. } => {
                    // Each event is in the reference of events.
                    assert!(events.iter().all(|event| event.reason.warns().is_some()), "{events:?}");
                    self.events.extend(events);
                    DriverResponse::Published
                }
                DriverRequest::AcquireTurn { .. } => DriverResponse::Turn(self.ahead.clone().map_or(Turn::Granted, Turn::Behind)),
                DriverRequest::Reserve { .. } => DriverResponse::Reserved { claimed: false },
                DriverRequest::ReadNamespace => DriverResponse::Namespace { terminating: self.namespace_terminating },
                DriverRequest::Read { .. } => DriverResponse::Read(Ok((!self.gone).then(|| self.view(&self.object)))),
                DriverRequest::Prepare { ref call, .. } => {
                    match self.preparation_failure.clone().filter(|_| (self.fails_preparation_of)(&effect_of(call))) {
                        Some(preparation_failure) => DriverResponse::NotPrepared(Box::new(preparation_failure)),
                        None => DriverResponse::Prepared,
                    }
                }
                request => {
                    if self.killed() {
                        return None;
                    }
                    is_recorded = matches!(request, DriverRequest::WriteStatus { .. });
                    let (desired, decision) = decided.as_ref().expect("a decision");
                    let response = self.perform(&machine, request, desired, decision);
                    if !is_recorded && self.killed() {
                        return None;
                    }
                    response
                }
            };
            request = machine.handle(response);
        }
    }

    /// The facts outside the resource. The decision that the machine is about to make is checked against the invariants.
    fn observe(&self, machine: &Reconciliation<View>, decided: &mut Option<(Desired, Decision)>) -> Observed {
        if let Stage::Observing(observation) = machine.state().stage {
            let (desired, transient) = (self.desired(&machine.view().object), machine.transient());
            let decision = self.decide(&desired, machine.view().status(), (**observation).clone(), &transient.memory);
            invariants::decision(self, &desired, machine.view().status(), &decision);
            *decided = Some((desired, decision));
        }
        Observed {
            now: self.now,
            is_leader: true,
            may_submit: true,
            blocker: self.spec_blocker.clone(),
            upstream: self.leader.as_ref().map(Upstream::of),
            drain: self.drain,
            adopt_claimed: self.adopt_claimed,
        }
    }

    pub(super) fn decide(&self, desired: &Desired, status: &Status, observation: Observation, memory: &DecisionMemory) -> Decision {
        decide(&DecisionInput { desired, status, memory, observation, now: self.now, settings: &self.settings })
    }

    fn killed(&mut self) -> bool {
        let Some(left) = self.crash_in else { return false };
        self.crash_in = left.checked_sub(1);
        left == 0
    }

    /// A version of the resource, as a reconciliation works on it.
    pub(super) fn view(&self, object: &ModelRefresh) -> View {
        View { object: Arc::new(object.clone()), kind: self.kind, takes_model: self.takes_model }
    }

    fn write(&mut self) -> DriverResponse<View> {
        let dirty = self.dirty;
        self.changed();
        // The operator's own writes are no event to it.
        self.dirty = dirty;
        self.writes += 1;
        DriverResponse::Written(self.view(&self.object))
    }

    /// Performs a write or a call.
    fn perform(
        &mut self,
        machine: &Reconciliation<View>,
        request: DriverRequest<View>,
        desired: &Desired,
        decision: &Decision,
    ) -> DriverResponse<View> {
        let is_current = machine.view().object.metadata.resource_version == self.object.metadata.resource_version;
        match request {
            DriverRequest::Call { call, .. } => DriverResponse::Called(Box::new(self.call(&call, desired, decision))),
            _ if !is_current => DriverResponse::Rejected(Rejection::Conflict),
            DriverRequest::WriteStatus { status, .. } => {
                assert_eq!(*status, decision.status, "another status is written than was decided");
                let resubmissions = |status: &Status| status.run.as_ref().map_or(0, |run| run.resubmissions);
                let before = machine.view().status();
                self.user_decided |= resubmissions(&status) > resubmissions(before);
                invariants::written(self, before, &status);
                self.object.status = Some((*status).clone());
                self.statuses.push((*status).clone());
                self.write()
            }
            DriverRequest::AddFinalizer => {
                self.object.metadata.finalizers.get_or_insert_default().push(FINALIZER.to_owned());
                self.write()
            }
            DriverRequest::RemoveAnnotation(annotation) => {
                let removed = self.object.metadata.annotations.get_or_insert_default().remove(annotation);
                assert!(removed.is_some(), "{annotation} is not there");
                self.write()
            }
            DriverRequest::RemoveFinalizer { .. } => {
                invariants::release(self, desired, decision);
                self.object.metadata.finalizers = None;
                let _ = self.write();
                self.gone = true;
                DriverResponse::Removed
            }
            request => panic!("{request:?}"),
        }
    }

    fn call(&mut self, call: &PlannedCall, desired: &Desired, decision: &Decision) -> Observation {
        match call {
            PlannedCall::ResolveModel => {
                self.resolves += 1;
                Observation::ModelResolved(self.resolution.clone())
            }
            PlannedCall::FindModel => Observation::ModelChecked(self.service.find()),
            PlannedCall::Submit(request) => {
                invariants::submission(self, desired, decision);
                let run = decision.status.run.as_ref().unwrap();
                let observation = Observation::Submission(self.service.submit(Owner::Run(run.number, run.attempt), request));
                if let Some(state) = self.edit_during_submission.take() {
                    self.edit_status(|status| status.run.as_mut().unwrap().state = state);
                }
                if std::mem::take(&mut self.removes_run_during_submission) {
                    self.edit_status(|status| status.run = None);
                }
                observation
            }
            PlannedCall::Poll(kind, operation) => Observation::Polled(self.service.look(*kind, operation)),
            PlannedCall::List(kind, since) => {
                let result = self.service.list(*kind, *since);
                self.advance(self.service.hesitates + self.service.slow);
                Observation::Listed { kind: *kind, result, claimed: self.service.claimed.clone() }
            }
            PlannedCall::Cancel(id) => {
                invariants::cancellation(self, desired, decision, id);
                Observation::CancelRequested(self.service.cancel(id))
            }
        }
    }
}
