//! The steps from the start to a decision, and from the decision to its record.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::{DecisionInput, Event, External, Observation, decide};
use super::pending_decision::NextEffect;
use super::stage::Purpose;
use super::{Call, Finish, Freshness, Observed, PendingDecision, Reconciliation, Request, Stage, View};
use crate::operation::Submission;

/// The most decisions of one reconciliation. The next one continues after [`CONTINUE`].
const DECISIONS: u8 = 12;
const CONTINUE: Duration = Duration::from_millis(200);

impl<V: View> Reconciliation<V> {
    pub(super) fn start(&mut self, now: Timestamp) -> Request<V> {
        self.now = Some(now);
        if self.transient.reread {
            self.intent_unanswered = true;
            return self.read(Purpose::Reread);
        }
        self.proceed()
    }

    pub(super) fn proceed(&mut self) -> Request<V> {
        let runs = || self.view.status().run.as_ref().is_some_and(|run| !run.state.ended());
        let reads_namespace = !self.detached && !self.transient.namespace_terminating;
        if reads_namespace && self.view.is_deleting() && self.view.has_finalizer() && runs() {
            self.stage = Stage::ReadingNamespace;
            return Request::ReadNamespace;
        }
        self.first_decision()
    }

    pub(super) fn first_decision(&mut self) -> Request<V> {
        let Some(accepted) = self.transient.accepted_for(self.view.status()) else { return self.observe(Observation::None) };
        self.failed_records = accepted.failed_writes;
        let observation = Observation::Submission(accepted.submission.clone());
        self.observe(observation)
    }

    pub(super) fn observe(&mut self, observation: Observation) -> Request<V> {
        self.stage = Stage::Observing(Box::new(observation));
        Request::Observe
    }

    pub(super) fn read(&mut self, purpose: Purpose) -> Request<V> {
        self.read_after(Duration::ZERO, purpose)
    }

    pub(super) fn read_after(&mut self, after: Duration, purpose: Purpose) -> Request<V> {
        self.stage = Stage::Reading(purpose);
        Request::Read { after }
    }

    pub(super) fn decide(&mut self, observed: Observed, observation: Observation) -> Request<V> {
        let Observed { now, leads, may_submit: _, blocker, upstream, drain, adopt_claimed } = observed;
        self.now = Some(now);
        // A status in memory is changed only while leading, like a written one.
        if self.detached && !leads {
            return self.end(Finish::Conflict);
        }
        if self.decisions >= DECISIONS {
            return self.end(Finish::Settled { requeue: Some(CONTINUE) });
        }
        self.decisions += 1;
        let accepted = accepted(&observation).cloned();
        let external = External {
            blocker,
            namespace_terminating: self.transient.namespace_terminating,
            upstream,
            // These do not apply to a resource that no longer exists, and nothing of it can be written.
            drain: drain.filter(|_| !self.detached),
            adopt_claimed: adopt_claimed && !self.detached,
            metadata_refused: self.detached || self.transient.metadata_waits(now).is_some(),
        };
        let decision = {
            let (desired, status, memory) = (self.view.desired(external), self.view.status(), &self.transient.memory);
            let decision = decide(&DecisionInput { desired: &desired, status, memory, observation, now, settings: &self.settings });
            Box::new(PendingDecision::new(decision, &self.view, &desired, now, accepted))
        };
        let NextEffect::Call(call) = &decision.effect else { return self.prepared(decision) };
        let freshness = match call {
            Call::Submit(_) => Freshness::Fresh,
            Call::ResolveModel | Call::Poll(..) | Call::List(..) | Call::FindModel | Call::Cancel(_) if self.view.is_deleting() => {
                Freshness::LastKnown
            }
            Call::ResolveModel | Call::Poll(..) | Call::List(..) | Call::FindModel | Call::Cancel(_) => Freshness::Cached,
        };
        let (model, call) = (Box::new(decision.model.clone()), call.clone());
        let timeout = decision.deadline.map(|deadline| until(deadline, now));
        self.stage = Stage::Preparing(decision);
        Request::Prepare { model, call, freshness, timeout }
    }

    pub(super) fn prepared(&mut self, mut decision: Box<PendingDecision>) -> Request<V> {
        // Another resource may have adopted the operation since the list was read.
        match decision.adopts.take().filter(|_| !self.detached) {
            Some((model, id)) => {
                self.stage = Stage::Reserving(decision);
                Request::Reserve { model, id }
            }
            None => self.record(decision),
        }
    }

    /// Writes the status if it differs. The decision takes effect only once it is written.
    pub(super) fn record(&mut self, decision: Box<PendingDecision>) -> Request<V> {
        match &decision.status {
            None => self.recorded(decision),
            Some(status) if self.detached => {
                self.view = self.view.with_status(status);
                self.recorded(decision)
            }
            Some(status) => {
                let (status, intent) = (Arc::clone(status), decision.is_intent());
                self.intent_unanswered |= intent;
                self.transient.begin_write();
                self.stage = Stage::Writing(decision);
                Request::WriteStatus { status, intent }
            }
        }
    }

    pub(super) fn written(&mut self, decision: Box<PendingDecision>, view: V) -> Request<V> {
        self.view = view;
        self.transient.unwritten = 0;
        self.intent_unanswered &= !decision.is_intent();
        self.recorded(decision)
    }

    fn recorded(&mut self, mut decision: Box<PendingDecision>) -> Request<V> {
        if decision.accepted.is_some() {
            (self.transient.accepted, self.failed_records) = (None, 0);
        }
        self.transient.memory = std::mem::take(&mut decision.memory);
        if decision.events.is_empty() || matches!(decision.effect, NextEffect::RemoveAnnotation(_)) {
            return self.act(decision);
        }
        let events = decision.events.clone();
        self.stage = Stage::Publishing(decision);
        self.publish(events)
    }

    pub(super) fn publish(&self, events: Vec<Event>) -> Request<V> {
        Request::Publish { events, namespace_terminating: self.transient.namespace_terminating }
    }
}

/// The submission that was just accepted.
pub(super) fn accepted(observation: &Observation) -> Option<&Submission> {
    match observation {
        Observation::Submission(accepted @ Submission::Accepted { .. }) => Some(accepted),
        _ => None,
    }
}

/// The time from a moment to a later one; zero if they are the other way round.
pub(super) fn until(later: Timestamp, moment: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(moment)).unwrap_or_default()
}
