//! The driver of the state machine in the world of the scenarios. It can be killed at any point.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::invariants;
use super::service::Owner;
use super::world::{Ended, World};
use crate::api::{FINALIZER, ModelRefresh, ModelSync, ModelSyncSpec, Status, has_finalizer};
use crate::engine::reconcile::{
    self, Call, Finish, Observed, Outcome, Reconciliation, RefusedMetadata, Rejection, Request, Response, Stage, View as _,
};
use crate::engine::{Desired, Effect, Followed, Scratch, Seen, Situation, Step, Surroundings, Turn, decide};
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

    fn desired(&self, external: Surroundings) -> Cow<'_, Desired> {
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
fn effect_of(call: &Call) -> Effect {
    match call.clone() {
        Call::Submit(_) => Effect::Submit,
        Call::ResolveModel => Effect::Resolve,
        Call::Poll(_, handle) => Effect::Look(handle),
        Call::List(kind, since) => Effect::List(kind, since),
        Call::FindModel => Effect::FindModel,
        Call::Cancel(id) => Effect::Cancel(id),
    }
}

impl World {
    /// One reconciliation, on a view that is `stale` versions old where that is given.
    pub(super) fn pass(&mut self, stale: Option<usize>) -> Ended {
        if self.gone {
            return Ended::Done;
        }
        (self.dirty, self.due) = (false, None);
        let last = self.versions.len() - 1;
        let view = self.view(&self.versions[last - stale.unwrap_or(0).min(last)]);
        let Some(outcome) = self.reconcile(view) else {
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
                self.stays_silent(&outcome.view.object);
            }
            Finish::Released | Finish::Gone => {}
            Finish::Failed | Finish::Unresolvable => panic!("{:?}", outcome.finish),
        }
        Ended::Done
    }

    /// Drives the machine to its end; `None` where the operator is killed.
    fn reconcile(&mut self, view: View) -> Option<Outcome<View>> {
        let mut transient = self.transient.clone();
        transient.metadata_refused = self.metadata_refused.then_some(RefusedMetadata { times: 8, at: self.now });
        let mut machine = Reconciliation::new(view, transient, Arc::new(self.settings.clone()));
        let mut request = machine.handle(Response::Start(self.now));
        let (mut decided, mut is_recorded) = (None, false);
        loop {
            // An event is published with the write that it belongs to: what a crash between the two loses is not in question here.
            if is_recorded && !matches!(request, Request::Publish { .. }) {
                is_recorded = false;
                if self.killed() {
                    return None;
                }
            }
            let response = match request {
                Request::Done(outcome) => return Some(*outcome),
                Request::Observe => Response::Observed(Box::new(self.observe(&machine, &mut decided))),
                Request::Publish { events, .. } => {
                    // Each event is in the reference of events.
                    assert!(events.iter().all(|event| event.reason.warns().is_some()), "{events:?}");
                    self.notices.extend(events);
                    Response::Published
                }
                Request::AcquireTurn { .. } => Response::Turn(self.ahead.clone().map_or(Turn::Granted, Turn::Behind)),
                Request::Reserve { .. } => Response::Reserved { taken: false },
                Request::ReadNamespace => Response::Namespace { terminating: self.namespace_ending },
                Request::Read { .. } => Response::Read(Ok((!self.gone).then(|| self.view(&self.object)))),
                Request::Prepare { ref call, .. } => match self.hindrance.clone().filter(|_| (self.hinders)(&effect_of(call))) {
                    Some(hindrance) => Response::NotPrepared(Box::new(hindrance)),
                    None => Response::Prepared,
                },
                request => {
                    if self.killed() {
                        return None;
                    }
                    is_recorded = matches!(request, Request::WriteStatus { .. });
                    let (desired, step) = decided.as_ref().expect("a decision");
                    let response = self.perform(&machine, request, desired, step);
                    if !is_recorded && self.killed() {
                        return None;
                    }
                    response
                }
            };
            request = machine.handle(response);
        }
    }

    /// What surrounds the resource. The decision that the machine is about to make keeps the laws.
    fn observe(&self, machine: &Reconciliation<View>, decided: &mut Option<(Desired, Step)>) -> Observed {
        if let Stage::Observing(seen) = machine.state().stage {
            let (desired, transient) = (self.desired(&machine.view().object), machine.transient());
            let step = self.decide(&desired, machine.view().status(), (**seen).clone(), &transient.scratch);
            invariants::step(self, &desired, machine.view().status(), &step);
            *decided = Some((desired, step));
        }
        Observed {
            now: self.now,
            leads: true,
            may_submit: true,
            fault: self.spec_fault.clone(),
            followed: self.leader.as_ref().map(Followed::of),
            leaving: self.leaving,
            adopt_taken: self.adopt_taken,
        }
    }

    pub(super) fn decide(&self, desired: &Desired, recorded: &Status, seen: Seen, scratch: &Scratch) -> Step {
        decide(&Situation { desired, recorded, scratch, seen, now: self.now, settings: &self.settings })
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

    fn write(&mut self) -> Response<View> {
        let dirty = self.dirty;
        self.changed();
        // The operator's own writes are no event to it.
        self.dirty = dirty;
        self.writes += 1;
        Response::Written(self.view(&self.object))
    }

    /// Performs a write or a call.
    fn perform(&mut self, machine: &Reconciliation<View>, request: Request<View>, desired: &Desired, step: &Step) -> Response<View> {
        let is_current = machine.view().object.metadata.resource_version == self.object.metadata.resource_version;
        match request {
            Request::Call { call, .. } => Response::Called(Box::new(self.call(&call, desired, step))),
            _ if !is_current => Response::Rejected(Rejection::Conflict),
            Request::WriteStatus { status, .. } => {
                assert_eq!(*status, step.recorded, "another status is written than was decided");
                let resubmissions = |status: &Status| status.run.as_ref().map_or(0, |run| run.resubmissions);
                let before = machine.view().status();
                self.person_answers |= resubmissions(&status) > resubmissions(before);
                invariants::written(self, before, &status);
                self.object.status = Some((*status).clone());
                self.statuses.push((*status).clone());
                self.write()
            }
            Request::AddFinalizer => {
                self.object.metadata.finalizers.get_or_insert_default().push(FINALIZER.to_owned());
                self.write()
            }
            Request::RemoveAnnotation(annotation) => {
                let removed = self.object.metadata.annotations.get_or_insert_default().remove(annotation);
                assert!(removed.is_some(), "{annotation} is not there");
                self.write()
            }
            Request::RemoveFinalizer { .. } => {
                invariants::release(self, desired, step);
                self.object.metadata.finalizers = None;
                let _ = self.write();
                self.gone = true;
                Response::Removed
            }
            request => panic!("{request:?}"),
        }
    }

    fn call(&mut self, call: &Call, desired: &Desired, step: &Step) -> Seen {
        match call {
            Call::ResolveModel => {
                self.resolves += 1;
                Seen::Resolved(self.resolution.clone())
            }
            Call::FindModel => Seen::Presence(self.service.find()),
            Call::Submit(request) => {
                invariants::submission(self, desired, step);
                let run = step.recorded.run.as_ref().unwrap();
                let seen = Seen::Submission(self.service.submit(Owner::Run(run.number, run.attempt), request));
                if let Some(state) = self.edit_during_submission.take() {
                    self.edit_status(|status| status.run.as_mut().unwrap().state = state);
                }
                if std::mem::take(&mut self.removes_run_during_submission) {
                    self.edit_status(|status| status.run = None);
                }
                seen
            }
            Call::Poll(kind, handle) => Seen::Look(self.service.look(*kind, handle)),
            Call::List(kind, since) => {
                let result = self.service.list(*kind, *since);
                self.advance(self.service.hesitates + self.service.slow);
                Seen::Listing { kind: *kind, result, taken: self.service.taken.clone() }
            }
            Call::Cancel(id) => {
                invariants::cancellation(self, desired, step, id);
                Seen::Cancellation(self.service.cancel(id))
            }
        }
    }
}
