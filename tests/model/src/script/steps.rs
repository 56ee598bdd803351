//! The steps of the scripted world: time passes, and the operator reconciles whenever it is due.

use std::sync::Arc;
use std::time::Duration;

use tabular_operator::api::{RunState, TriggerType};
use tabular_operator::engine::reconcile::{DriverRequest, DriverResponse, NextEffect, PlannedCall, Repeated};
use tabular_operator::engine::{Blocker, EffectResult, External, Upstream};
use tabular_operator::operation::{CancelResult, OperationId, OperationKind, RefreshRequest, Request as Operation};

use super::world::{World, secs};
use crate::invariants;
use crate::scenario::Budget;
use crate::world::object::Object;
use crate::world::{Action, Owner, Pending, RequestOutcome, Seconds, Task, Violation, seconds_of, timestamp};

/// Enough of each fault for the next action.
const BUDGET: Budget = Budget {
    submissions: 9,
    calls: 9,
    unprepared: 9,
    stale: 9,
    crashes: 9,
    delays: 9,
    spurious: 9,
    user_actions: 9,
    other_operations: 9,
    failures: 9,
    lost_operations: 9,
    clock_steps: 9,
    drains: 9,
    appearances: 9,
    impairments: 9,
    abandonments: 0,
    visibility_changes: 9,
};

/// How a reconciliation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It has nothing more to do.
    Done,
    /// Its view was stale.
    Stale,
    /// The operator was killed.
    Crashed,
}

fn whole(time: Duration) -> Seconds {
    Seconds::try_from(time.as_secs()).unwrap()
}

impl World {
    /// Lets time pass, without a reconciliation.
    pub fn advance(&mut self, by: Duration) -> &mut Self {
        self.advance_to(self.inner.now + whole(by));
        self
    }

    /// The operator's clock is set back or forward by so many seconds.
    pub fn step_clock(&mut self, by: Seconds) -> &mut Self {
        self.inner.operators[0].clock += by;
        self.changed()
    }

    /// Kills the operator, and starts it.
    pub fn restart(&mut self) -> &mut Self {
        self.apply(Action::Crash { operator: 0 });
        self.apply(Action::Start { operator: 0 });
        self
    }

    /// Lets `time` pass, with a reconciliation whenever one is due.
    #[track_caller]
    pub fn run_for(&mut self, time: Duration) -> &mut Self {
        let end = self.inner.now + whole(time);
        let mut count = 0;
        while !self.gone() {
            let state = &self.inner.operators[0].states[0];
            let due = if state.dirty { Some(self.inner.now) } else { state.due };
            let Some(due) = due.filter(|due| *due <= end) else { break };
            self.advance_to(due.max(self.inner.now));
            count += 1;
            assert!(count < 20_000, "a hot loop: {:#?}", self.status());
            self.reconcile_once(None);
        }
        self.advance_to(end);
        self
    }

    /// Lets time pass until the latest run has this state.
    #[track_caller]
    pub fn run_until(&mut self, state: RunState) -> &mut Self {
        for _ in 0..3_000 {
            if self.status().run.as_ref().is_some_and(|run| run.state == state) {
                return self;
            }
            self.run_for(secs(1));
        }
        panic!("never {state:?}: {:#?}", self.status().run);
    }

    /// One reconciliation, on a view that is `stale` versions old if given.
    #[track_caller]
    pub fn reconcile_once(&mut self, stale: Option<usize>) -> Ended {
        self.synchronize();
        if self.gone() {
            return Ended::Done;
        }
        let refused = self.metadata_refused.then(|| Repeated { times: 8, at: self.now() });
        self.inner.operators[0].states[0].in_memory.metadata_refused = refused;
        self.apply(Action::Reconcile { operator: 0, resource: 0, age: stale.unwrap_or(0) });
        while let Some(task) = self.inner.operators[0].states[0].task.clone() {
            if self.crash_in == Some(0) {
                self.crash_in = None;
                self.restart();
                return Ended::Crashed;
            }
            self.crash_in = self.crash_in.map(|left| left - 1);
            match &task.pending {
                Pending::Response(_) => self.apply(Action::Deliver { operator: 0, resource: 0 }),
                Pending::Request(request) => self.perform(&task, request),
            }
        }
        self.assert_settled();
        if self.inner.operators[0].states[0].dirty { Ended::Stale } else { Ended::Done }
    }

    /// Performs the request of a reconciliation, or responds in place of the world below.
    #[track_caller]
    fn perform(&mut self, task: &Task, request: &DriverRequest<Object>) {
        let effect = task.decision().map(|decision| decision.effect.clone());
        match (request, effect) {
            (DriverRequest::Prepare { call, .. }, _) if self.preparation_failure.is_some() && (self.fails_preparation_of)(call) => {
                let failure = self.preparation_failure.clone().unwrap();
                let result = self.inner.answer(0, 0, DriverResponse::NotPrepared(Box::new(failure)));
                self.record(result);
            }
            (DriverRequest::RunCheck { .. }, _) => {
                self.checks += 1;
                self.apply(Action::Perform { operator: 0, resource: 0, outcome: RequestOutcome::Done });
                if let (Some(report), Some(response)) = (self.check_report.clone(), self.inner.response(0, 0)) {
                    *response = DriverResponse::CheckCompleted(Box::new(report));
                }
            }
            (DriverRequest::Observe | DriverRequest::Call { .. }, Some(NextEffect::Call(call))) => self.call(&call),
            _ => {
                let (version, status) = (self.inner.resources[0].now().version, Arc::clone(&self.inner.resources[0].now().status));
                self.apply(Action::Perform { operator: 0, resource: 0, outcome: RequestOutcome::Done });
                let now = self.inner.resources[0].now();
                self.writes += usize::from(now.version != version);
                if !Arc::ptr_eq(&now.status, &status) {
                    self.statuses.push((*now.status).clone());
                    self.check_shown();
                }
            }
        }
    }

    #[track_caller]
    fn call(&mut self, call: &PlannedCall) {
        let now = timestamp(self.inner.now);
        let is_sync = matches!(call, PlannedCall::Submit(request) if request.kind() == OperationKind::Sync);
        let mut refreshes = self.inner.service.ops.iter().filter(|op| op.request.kind() == OperationKind::Refresh && op.live());
        assert!(!is_sync || refreshes.all(|op| !op.visible), "a sync is submitted during a refresh");
        let (outcome, replacement) = self.service.outcome_of(call, now);
        self.apply(Action::Perform { operator: 0, resource: 0, outcome });
        let Some(response) = self.inner.response(0, 0).cloned() else { return };
        self.service.count(call);
        self.find_started();
        let DriverResponse::Called(mut effect_result) = response else { return };
        if let (PlannedCall::Cancel(id), EffectResult::CancelRequested(result)) = (call, &*effect_result)
            && (*result == CancelResult::Accepted || outcome == RequestOutcome::LostAfter)
        {
            self.service.cancelling(id, now);
        }
        if matches!(call, PlannedCall::ResolveModel) {
            self.resolves += 1;
            *effect_result = EffectResult::ModelResolved(self.resolution.clone());
        }
        *effect_result = replacement.unwrap_or(*effect_result);
        self.service.edit(&mut effect_result, now);
        *self.inner.response(0, 0).unwrap() = DriverResponse::Called(effect_result);
        if matches!(call, PlannedCall::Submit(_))
            && let Some(edit) = self.edit_during_submission.take()
        {
            self.edit_status(edit);
        }
        if let PlannedCall::List(..) = call {
            self.advance(self.service.hesitates + self.service.slow);
        }
    }

    #[track_caller]
    fn apply(&mut self, action: Action) {
        self.inner.budget = BUDGET;
        let result = self.inner.apply(action);
        self.record(result);
    }

    #[track_caller]
    fn record(&mut self, result: Result<(), Violation>) {
        if let Err(violation) = result {
            panic!("{violation}");
        }
        let events = std::mem::take(&mut *self.published.lock().unwrap());
        assert!(events.iter().all(|event| event.reason.warns().is_some()), "an event that is not in the reference: {events:?}");
        self.events.extend(events);
    }

    /// A reconciliation without news writes nothing, also after a restart.
    #[track_caller]
    fn assert_settled(&self) {
        let is_open = !self.gone() && self.status().run.as_ref().is_some_and(|run| !run.state.ended()) && self.drain.is_none();
        let generation = self.metadata().generation.unwrap();
        let is_stale = self.inner.operators[0].states[0].dirty;
        assert!(
            !is_open || is_stale || self.status().observed_generation == generation,
            "an edit is not acknowledged: {:?}",
            self.status()
        );
        if let Err(violation) = invariants::settled(&self.inner, 0, 0, self.preparation_failure.is_some()) {
            panic!("{violation}");
        }
    }

    #[track_caller]
    fn check_shown(&self) {
        let object = self.inner.resources[0].now();
        let result = invariants::shown(object).and_then(|()| invariants::reference(&object.status, self.now(), &self.inner.settings));
        if let Err(violation) = result {
            panic!("{violation}");
        }
    }

    /// Passes the facts of the script to the world below, and lets what is due happen.
    fn synchronize(&mut self) {
        let scripted = &self.inner.scenario.scripted;
        let (blocker, adopt_claimed): (Option<Blocker>, bool) = (self.spec_blocker.clone(), self.adopt_claimed);
        let upstream = self.upstream.as_ref().map(Upstream::of);
        if upstream.as_ref().map(|it| &it.uid) != scripted.external.upstream.as_ref().map(|it| &it.uid) {
            // The runs of another upstream count from 1 again.
            self.inner.resource(0).started_triggers.retain(|trigger| trigger.r#type != TriggerType::AfterRefresh);
        }
        let scripted = &mut Arc::make_mut(&mut self.inner.scenario).scripted;
        scripted.external = External { blocker, upstream, adopt_claimed, ..External::default() };
        scripted.ahead.clone_from(&self.ahead);
        Arc::make_mut(&mut self.inner.scenario).replicas = self.service.replicas;
        self.inner.operators[0].observed_drain = self.drain;
        if self.inner.resources[0].namespace_terminating != self.namespace_terminating {
            self.inner.resource(0).namespace_terminating = self.namespace_terminating;
        }
        self.inner.service.ahead = self.service.skew.as_secs();
        // A response that hesitates has read the clock later, so the list starts earlier.
        self.inner.service.reports_time = self.service.reports_time && self.service.hesitates.is_zero();
        self.inner.service.failure_cause = self.service.ops.iter().find_map(|op| op.failure);
        let now = timestamp(self.inner.now);
        while let Some(submission) = self.service.arrivals.iter().position(|at| *at <= now) {
            self.service.arrivals.remove(submission);
            self.apply(Action::DeliverSubmission { submission });
            self.find_started();
        }
        for (index, op) in self.service.ops.iter().enumerate() {
            let ended = (op.end <= now).then(|| (seconds_of(op.end), op.outcome));
            self.inner.service.change(index, |it| {
                (it.started_at, it.visible, it.lost) = (seconds_of(op.start), op.visible <= now, op.lost);
                it.ended = ended;
            });
        }
    }

    /// Lets time pass until then. What is due meanwhile happens at its time.
    fn advance_to(&mut self, to: Seconds) {
        loop {
            self.synchronize();
            let now = timestamp(self.inner.now);
            let moments = self.service.ops.iter().flat_map(|op| [op.end, op.visible]).chain(self.service.arrivals.iter().copied());
            let Some(next) = moments.filter(|at| *at > now).min().map(seconds_of).filter(|next| *next < to) else { break };
            self.inner.advance(next);
        }
        self.inner.advance(to);
        self.synchronize();
    }

    /// Decides how long the operations take that have just started.
    fn find_started(&mut self) {
        for index in self.service.ops.len()..self.inner.service.ops.len() {
            self.service.started(&self.inner.service.ops[index], timestamp(self.inner.now));
        }
        self.synchronize();
    }

    /// The service forgets the first operation, and gives its id to the next one.
    pub fn reuse_first_id(&mut self) {
        let id = self.service.ops.remove(0).id;
        self.inner.service.ops.remove(0);
        self.service.ops[0].id = id.clone();
        self.inner.service.change(0, |op| op.id = id);
    }

    fn start(&mut self, length: u64, request: Operation) -> OperationId {
        let own = std::mem::replace(&mut self.service.length, secs(length));
        self.synchronize();
        let (model, now) = (self.inner.model_of(0), self.inner.now);
        let id = self.inner.service.accept(model, Owner::OtherClient, &Arc::new(request), now).expect("nothing else runs");
        self.find_started();
        self.service.length = own;
        id
    }

    /// Starts a refresh of another client, which takes so many seconds.
    pub fn start_other_refresh(&mut self, length: u64, refresh_type: &str) -> OperationId {
        let request = RefreshRequest { refresh_type: Some(refresh_type.to_owned()), ..RefreshRequest::default() };
        self.start(length, Operation::Refresh(request))
    }

    /// Starts a sync of another client, which takes so many seconds.
    pub fn start_other_sync(&mut self, length: u64) -> OperationId {
        self.start(length, Operation::Sync)
    }
}
