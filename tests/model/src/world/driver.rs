//! A driver of the real machine, `tabular_operator::engine::reconcile::Reconciliation`: it performs the requests one by one, and decides
//! nothing. Local requests are answered at once; the others wait for what becomes of them ([`How`]).

use std::sync::Arc;
use std::time::Duration;

use tabular_operator::api::{Reason, Time};
use tabular_operator::engine::reconcile::{
    Finish, Observed, Outcome, Reconciliation, Request, Response, Stage, Tracking, Transient, Unavailable, View,
};
use tabular_operator::engine::{Blocker, Decision, DecisionInput, External, Observation, Remedy, Upstream, decide};
use tabular_operator::operation::{ServiceError, ServiceErrorKind};

use super::cluster::Object;
use super::operator::{Gone, decision};
use super::{Broken, How, MARGIN, Second, Task, Waits, World};
use crate::laws;
use crate::scenario::Ail;

impl World {
    /// A reconciliation begins, on a view that is so many versions old.
    pub(super) fn begins(&mut self, operator: usize, resource: usize, age: usize) -> Result<(), Broken> {
        let (wall, settings) = (self.wall(operator), Arc::clone(&self.settings));
        let view = self.resources[resource].aged(age).clone();
        let mind = &mut self.operators[operator].minds[resource];
        // What is older than the newest is shown again by the watch as soon as it has caught up.
        (mind.dirty, mind.due) = (age > 0, None);
        let transient = std::mem::take(&mut mind.transient);
        let machine = match mind.tracked.clone().filter(|_| mind.gone == Gone::Detached) {
            Some(tracked) => Reconciliation::detached(tracked, transient, settings),
            None => Reconciliation::new(view, transient, settings),
        };
        self.drives(operator, resource, machine, Response::Start(wall))
    }

    /// The response to the last request has come.
    pub(super) fn delivers(&mut self, operator: usize, resource: usize) -> Result<(), Broken> {
        let Some(task) = self.operators[operator].minds[resource].task.take() else { return Ok(()) };
        match Arc::unwrap_or_clone(task) {
            Task { machine, waits: Waits::Response(response) } => self.drives(operator, resource, machine, response),
            Task { waits: Waits::Request(_), .. } => Ok(()),
        }
    }

    /// The driver stops: its timeout has passed, it panics, or its future is dropped.
    pub(super) fn abandons(&mut self, operator: usize, resource: usize) -> Result<(), Broken> {
        let Some(task) = self.operators[operator].minds[resource].task.take() else { return Ok(()) };
        Self::covers_abandonment();
        let outcome = Arc::unwrap_or_clone(task).machine.abandon();
        self.applies(operator, resource, outcome)
    }

    /// Hands a response to the machine.
    fn drives(
        &mut self,
        operator: usize,
        resource: usize,
        mut machine: Reconciliation<Object>,
        response: Response<Object>,
    ) -> Result<(), Broken> {
        Self::covers(&machine, &response);
        let request = machine.handle(response);
        self.continues(operator, resource, machine, request)
    }

    /// Answers what is local, until something is to be performed. The observation immediately before a call belongs to the call.
    fn continues(
        &mut self,
        operator: usize,
        resource: usize,
        mut machine: Reconciliation<Object>,
        mut request: Request<Object>,
    ) -> Result<(), Broken> {
        loop {
            let response = match request {
                Request::Observe if !matches!(machine.state().stage, Stage::Checking(_)) => {
                    Response::Observed(Box::new(self.observed(operator, resource, &machine)))
                }
                Request::AcquireTurn { model, since } => Response::Turn(self.acquire_turn(operator, resource, &model, since)),
                Request::Reserve { model, id } => Response::Reserved { claimed: self.reserve(operator, resource, Some((&model, &id))) },
                Request::Publish { .. } => Response::Published,
                Request::Done(outcome) => return self.applies(operator, resource, *outcome),
                request @ (Request::Observe
                | Request::Read { .. }
                | Request::ReadNamespace
                | Request::Prepare { .. }
                | Request::WriteStatus { .. }
                | Request::AddFinalizer
                | Request::RemoveAnnotation(_)
                | Request::RemoveFinalizer { .. }
                | Request::Call { .. }) => {
                    if let Some(decision) = decision(&machine) {
                        laws::decision(self, resource, machine.view(), decision)?;
                    }
                    let task = Task { machine, waits: Waits::Request(request) };
                    self.operators[operator].minds[resource].task = Some(Arc::new(task));
                    return Ok(());
                }
            };
            Self::covers(&machine, &response);
            request = machine.handle(response);
        }
    }

    /// What surrounds a resource.
    fn observed(&mut self, operator: usize, resource: usize, machine: &Reconciliation<Object>) -> Observed {
        let view = machine.view();
        let adopt_claimed = self.adopt_claimed(operator, resource, view);
        let intent = view.status.run.as_ref().and_then(|run| run.submitted_time).map(Time::timestamp);
        let is_careless = self.scenario.careless.deadline && matches!(machine.state().stage, Stage::Checking(_));
        Observed {
            now: intent.filter(|_| is_careless).unwrap_or_else(|| self.wall(operator)),
            leads: self.leads(operator),
            may_submit: self.leads_for(operator, MARGIN),
            blocker: None,
            upstream: self.followed_by(view),
            drain: self.operators[operator].heard.filter(|_| !self.scenario.careless.drain),
            adopt_claimed,
        }
    }

    /// The refresh that a resource follows.
    fn followed_by(&self, view: &Object) -> Option<Upstream> {
        let index: usize = view.edition.manifest.upstream_name()?.strip_prefix("resource-")?.parse().ok()?;
        self.resources.get(index)?.followed()
    }

    /// Asks the real decision, beside any reconciliation.
    pub(crate) fn decide(&self, operator: usize, resource: usize, view: &Object, seen: Observation) -> Decision {
        let mind = &self.operators[operator].minds[resource];
        let external = External { upstream: self.followed_by(view), drain: self.operators[operator].heard, ..External::default() };
        decide(&DecisionInput {
            desired: &view.desired(external),
            status: &view.status,
            memory: &mind.transient().memory,
            observation: seen,
            now: self.wall(operator),
            settings: &self.settings,
        })
    }

    /// Performs the request that a reconciliation waits for.
    pub(super) fn go(&mut self, operator: usize, resource: usize, how: How) -> Result<(), Broken> {
        let Some(task) = self.operators[operator].minds[resource].task.take() else { return Ok(()) };
        let is_committed = task.is_committed();
        let Task { mut machine, waits } = Arc::unwrap_or_clone(task);
        let Waits::Request(mut request) = waits else { return Ok(()) };
        self.spends(&machine, &request, how);
        if matches!(request, Request::Observe) {
            let observed = Response::Observed(Box::new(self.observed(operator, resource, &machine)));
            Self::covers(&machine, &observed);
            request = machine.handle(observed);
            if !matches!(request, Request::Call { .. }) {
                return self.continues(operator, resource, machine, request);
            }
        }
        let response = match &request {
            Request::Read { .. } if how == How::LostBefore => Response::Read(Err(Unavailable)),
            Request::Read { .. } => {
                let it = &self.resources[resource];
                Response::Read(Ok((!it.gone).then(|| it.now().clone())))
            }
            Request::ReadNamespace => {
                Response::Namespace { terminating: how != How::LostBefore && self.resources[resource].namespace_terminating }
            }
            Request::Prepare { .. } => self.prepares(resource, how),
            Request::WriteStatus { status, .. } => self.writes_status(operator, resource, &machine, status, how)?,
            Request::AddFinalizer | Request::RemoveAnnotation(_) => self.writes_metadata(operator, resource, &machine, &request, how),
            Request::RemoveFinalizer { events } => self.removes_finalizer(operator, resource, &machine, events, how)?,
            Request::Call { call, timeout } => self.call((operator, resource), &machine, call, *timeout, how)?,
            Request::Observe | Request::Reserve { .. } | Request::AcquireTurn { .. } | Request::Publish { .. } | Request::Done(_) => {
                return Ok(());
            }
        };
        if is_committed && self.left.abandons == 0 {
            return self.drives(operator, resource, machine, response);
        }
        self.operators[operator].minds[resource].task = Some(Arc::new(Task { machine, waits: Waits::Response(response) }));
        Ok(())
    }

    fn spends(&mut self, machine: &Reconciliation<Object>, request: &Request<Object>, how: How) {
        let left = match how {
            How::Well => return,
            How::Shown(_) => &mut self.left.guises,
            How::Unprepared => &mut self.left.unprepared,
            How::Slow(_) => &mut self.left.delays,
            _ if matches!(request, Request::Observe) && decision(machine).is_some_and(laws::submits) => &mut self.left.posts,
            _ => &mut self.left.calls,
        };
        *left -= 1;
    }

    fn prepares(&mut self, resource: usize, how: How) -> Response<Object> {
        let secret = || {
            let message = "Secret aas-sp is not in this namespace".to_owned();
            Observation::Blocked(Blocker { reason: Reason::SecretNotFound, message, remedy: Remedy::ClusterChange })
        };
        let service_error = |kind| Observation::CallFailed(ServiceError::new(kind, format!("{kind:?}")));
        let seen = match (self.ail_of(resource), how) {
            (Some(Ail::Throttled), _) => service_error(ServiceErrorKind::Throttled),
            (Some(Ail::Refused), _) => service_error(ServiceErrorKind::CredentialsRefused),
            (Some(Ail::SecretGone), _) | (_, How::Unprepared) => secret(),
            (_, How::TimedOut) => return Response::TimedOut,
            (_, How::Slow(by)) => {
                self.advance(self.now + by);
                return Response::Prepared;
            }
            (Some(Ail::Writes | Ail::WritesDenied | Ail::WritesRefused) | None, _) => return Response::Prepared,
        };
        Response::NotPrepared(Box::new(seen))
    }

    /// A reconciliation has ended.
    fn applies(&mut self, operator: usize, resource: usize, outcome: Outcome<Object>) -> Result<(), Broken> {
        let Outcome { finish, view, transient, queue, tracking } = outcome;
        let now = self.now;
        let mind = &mut self.operators[operator].minds[resource];
        mind.known = view.version.max(mind.known);
        mind.transient = transient;
        let is_detached = mind.gone == Gone::Detached;
        match tracking {
            _ if is_detached => mind.tracked = Some(view),
            Tracking::Track => mind.tracked = Some(view),
            Tracking::Untrack => mind.tracked = None,
            Tracking::Keep => {}
        }
        match finish {
            Finish::Settled { requeue } if is_detached => mind.due = Some(now + requeue.map_or(PAUSE, whole).max(1)),
            Finish::Settled { requeue } => mind.due = requeue.map(|pause| now + whole(pause)),
            // A fresh look follows at once, and after a failure soon.
            Finish::Conflict => mind.dirty = true,
            Finish::Failed => mind.due = Some(now + whole(mind.transient.after_failure())),
            Finish::Released | Finish::Gone | Finish::Unresolvable => mind.transient = Transient::default(),
        }
        if is_detached {
            if matches!(finish, Finish::Released | Finish::Unresolvable) {
                (mind.gone, mind.tracked, mind.due) = (Gone::Forgotten, None, None);
                self.resource(resource).said |= finish == Finish::Unresolvable;
            }
            return Ok(());
        }
        self.update_queue(operator, resource, &queue);
        laws::turn(self, operator, resource)
    }
}

/// The delay of a detached reconciliation that has none of its own.
const PAUSE: Second = 5;

/// Whole seconds, rounded up.
pub(super) fn whole(pause: Duration) -> Second {
    // From nanoseconds: a pause of less than a millisecond is a pause.
    Second::try_from(pause.as_nanos().div_ceil(1_000_000_000)).unwrap_or(Second::MAX)
}
