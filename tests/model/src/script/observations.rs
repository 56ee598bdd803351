//! What a test observes of the scripted world.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tabular_operator::api::{Condition, ConditionStatus, ConditionType, ModelRefreshSpec, Reason, Run, RunState, Status};
use tabular_operator::engine::reconcile::View;
use tabular_operator::engine::{Decision, DecisionInput, DecisionMemory, EffectResult, QueueState, Upstream, decide, queue_state};

use super::world::World;
use crate::world::object::metadata;
use crate::world::timestamp;

impl World {
    /// The time by the operator's clock.
    pub fn now(&self) -> Timestamp {
        self.inner.wall(0)
    }

    /// Whether the resource is deleted.
    pub fn gone(&self) -> bool {
        self.inner.resources[0].is_deleted
    }

    /// The status.
    pub fn status(&self) -> &Status {
        &self.inner.resources[0].now().status
    }

    /// The spec, as that of a refresh.
    pub fn spec(&self) -> &ModelRefreshSpec {
        &self.spec
    }

    /// The metadata.
    pub fn metadata(&self) -> &ObjectMeta {
        metadata(&self.inner.resources[0].now().revision.manifest)
    }

    /// Its runs, as an upstream.
    pub fn as_upstream(&self) -> Upstream {
        self.inner.resources[0].as_upstream().expect("a refresh")
    }

    /// The latest run.
    pub fn run(&self) -> &Run {
        self.status().run.as_ref().expect("a run")
    }

    /// A condition.
    pub fn condition(&self, kind: ConditionType) -> Option<&Condition> {
        self.status().conditions.iter().find(|condition| condition.r#type == kind)
    }

    /// The status of `Ready`.
    pub fn ready(&self) -> ConditionStatus {
        self.condition(ConditionType::Ready).expect("Ready").status
    }

    /// Whether a condition is true.
    pub fn holds(&self, kind: ConditionType) -> bool {
        self.condition(kind).is_some_and(|condition| condition.status == ConditionStatus::True)
    }

    /// What the record means to the queue of the model now.
    pub fn queue_state(&self) -> QueueState {
        queue_state(self.status(), self.now(), &self.inner.settings)
    }

    /// When the next reconciliation is due; `None` if only a change leads to one.
    pub fn due(&self) -> Option<Timestamp> {
        self.inner.operators[0].states[0].due.map(timestamp)
    }

    /// How many versions of the resource a stale view can show.
    pub fn versions(&self) -> usize {
        self.inner.resources[0].versions.len()
    }

    /// What the operator remembers of its last decision.
    pub fn memory(&self) -> &DecisionMemory {
        &self.inner.operators[0].states[0].in_memory().memory
    }

    /// The decision on a status and the result of an effect, outside of any reconciliation.
    pub fn decide(&self, status: &Status, memory: &DecisionMemory, effect_result: EffectResult) -> Decision {
        self.decision(status, memory, effect_result, self.now())
    }

    /// The decision on the record and the result of an effect at this time, outside of any reconciliation.
    pub fn decide_at(&self, now: Timestamp, effect_result: EffectResult) -> Decision {
        self.decision(self.status(), self.memory(), effect_result, now)
    }

    fn decision(&self, status: &Status, memory: &DecisionMemory, effect_result: EffectResult, now: Timestamp) -> Decision {
        let view = self.inner.resources[0].now();
        let (desired, settings) = (view.desired(self.inner.external(0, 0, view)), &self.inner.settings);
        decide(&DecisionInput { desired: &desired, status, memory, effect_result, now, settings })
    }

    /// The number of events with this reason.
    pub fn event_count(&self, reason: Reason) -> usize {
        self.events.iter().filter(|event| event.reason == reason).count()
    }

    /// Asserts that a missing reference is shown as one that may still arrive.
    #[track_caller]
    pub fn awaits(&self, reason: Reason) -> &Self {
        self.shows(reason, true)
    }

    /// Asserts that a missing reference is shown as one that does not arrive.
    #[track_caller]
    pub fn is_stalled(&self, reason: Reason) -> &Self {
        self.shows(reason, false)
    }

    /// Asserts how a missing reference is shown.
    #[track_caller]
    pub fn shows(&self, reason: Reason, is_awaited: bool) -> &Self {
        let ready = self.condition(ConditionType::Ready).expect("Ready");
        assert_eq!((ready.status, ready.reason.as_str()), (ConditionStatus::False, reason.as_str()), "{}", ready.message);
        let shown = (self.condition(ConditionType::Reconciling).is_some(), self.condition(ConditionType::Stalled).is_some());
        assert_eq!(shown, (is_awaited, !is_awaited), "Reconciling and Stalled");
        self
    }

    /// Asserts the state of the latest run, and its reason.
    #[track_caller]
    pub fn is(&self, state: RunState, reason: Reason) -> &Self {
        let run = self.run();
        assert_eq!((run.state, run.reason.as_str()), (state, reason.as_str()), "{}", run.message);
        self
    }
}
