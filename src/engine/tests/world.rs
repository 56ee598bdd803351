//! A small world around the real state machine: one resource at an API server that refuses stale writes, a service, and a driver that can be
//! killed at any point. What must never happen is checked at every step.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as ClusterTime;

use super::service::Service;
use crate::api::{
    AnalysisServicesModel, Condition, ConditionStatus, ConditionType, Model, ModelRefresh, ModelRefreshSpec, RESUBMIT, Reason, Run,
    RunState, Status,
};
use crate::engine::reconcile::{Transient, View as _};
use crate::engine::{
    Blocker, DecisionMemory, Desired, DrainMode, Effect, Event, External, Observation, QueueState, Settings, Upstream, queue_state,
    resubmit_value,
};
use crate::operation::{ModelLookup, OperationKind};

/// How a reconciliation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Done,
    Stale,
    Crashed,
}

#[allow(clippy::struct_excessive_bools)] // a world is no state machine
pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) settings: Settings,
    /// What kind the resource is. A `ModelSync` is written here as a `ModelRefresh`, of which it has a part of the fields.
    pub(super) kind: OperationKind,
    /// Whether a `ModelSync` leaves out its model.
    pub(super) takes_model: bool,
    /// The upstream refresh.
    pub(super) leader: Option<ModelRefresh>,
    /// The model that the names resolve to, and how often they were resolved.
    pub(super) resolution: ModelLookup,
    pub(super) resolves: usize,
    /// The object as the API server has it, and each version that it had.
    pub(super) object: ModelRefresh,
    pub(super) versions: Vec<ModelRefresh>,
    pub(super) gone: bool,
    pub(super) service: Service,
    pub(super) transient: Transient,
    /// When the next reconciliation is due; `None` is not before a change.
    pub(super) due: Option<Timestamp>,
    pub(super) ahead: Option<String>,
    pub(super) spec_blocker: Option<Blocker>,
    /// What every preparation of a call brings instead of the call.
    pub(super) preparation_failure: Option<Observation>,
    /// Which calls that concerns.
    pub(super) fails_preparation_of: fn(&Effect) -> bool,
    pub(super) namespace_terminating: bool,
    pub(super) drain: Option<DrainMode>,
    pub(super) adopt_claimed: bool,
    pub(super) metadata_refused: bool,
    /// The state that a user sets in the status while a submission is in progress.
    pub(super) edit_during_submission: Option<RunState>,
    /// Whether a user removes the run meanwhile.
    pub(super) removes_run_during_submission: bool,
    /// After how many further steps of the loop the operator is killed.
    pub(super) crash_in: Option<usize>,
    pub(super) writes: usize,
    pub(super) statuses: Vec<Status>,
    pub(super) events: Vec<Event>,
    /// Whether a user has made a decision that may be wrong, so that a second operation is allowed.
    pub(super) user_decided: bool,
    pub(super) dirty: bool,
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) fn model(database: &str) -> Model {
    let server = "asazure://westus.asazure.windows.net/myserver".to_owned();
    Model { analysis_services: Some(AnalysisServicesModel { server, database: database.to_owned() }), power_bi: None }
}

pub(super) fn settings() -> Settings {
    Settings {
        poll_min: secs(1),
        poll_max: secs(30),
        poll_fraction: 0.1,
        call_timeout: secs(30),
        listing_lag: secs(120),
        reference_grace: secs(60),
    }
}

fn is_call(effect: &Effect) -> bool {
    matches!(effect, Effect::ResolveModel | Effect::FindModel | Effect::Submit | Effect::Poll(_) | Effect::List(..) | Effect::Cancel(_))
}

impl World {
    /// A resource that was just applied, with a spec as `edit` leaves it.
    pub(super) fn new(edit: impl FnOnce(&mut ModelRefreshSpec)) -> Self {
        let now = at("2026-01-01T12:00:00Z");
        let spec = serde_json::json!({"model": model("Sales"), "refresh": {"type": "full"}});
        let mut spec: ModelRefreshSpec = serde_json::from_value(spec).unwrap();
        edit(&mut spec);
        let mut object = ModelRefresh::new("sales", spec);
        object.metadata.uid = Some("u-1".to_owned());
        object.metadata.namespace = Some("bi".to_owned());
        object.metadata.generation = Some(1);
        object.metadata.creation_timestamp = Some(ClusterTime(now));
        object.metadata.resource_version = Some("1".to_owned());
        object.status = Some(Status::default());
        Self {
            now,
            settings: settings(),
            kind: OperationKind::Refresh,
            takes_model: false,
            leader: None,
            resolution: ModelLookup::Ambiguous("no workspace is named Sales".to_owned()),
            resolves: 0,
            versions: vec![object.clone()],
            object,
            gone: false,
            service: Service::new(now),
            transient: Transient::default(),
            due: None,
            ahead: None,
            spec_blocker: None,
            preparation_failure: None,
            fails_preparation_of: is_call,
            namespace_terminating: false,
            drain: None,
            adopt_claimed: false,
            metadata_refused: false,
            edit_during_submission: None,
            removes_run_during_submission: false,
            crash_in: None,
            writes: 0,
            statuses: Vec::new(),
            events: Vec::new(),
            user_decided: false,
            dirty: true,
        }
    }

    /// A `ModelSync` that was just applied.
    pub(super) fn sync(edit: impl FnOnce(&mut ModelRefreshSpec)) -> Self {
        Self { kind: OperationKind::Sync, ..Self::new(edit) }
    }

    /// The request of the resource, with the facts outside it.
    pub(super) fn desired(&self, view: &ModelRefresh) -> Desired {
        let upstream = self.leader.as_ref().map(Upstream::of);
        let external = External {
            blocker: self.spec_blocker.clone(),
            namespace_terminating: self.namespace_terminating,
            upstream,
            drain: self.drain,
            adopt_claimed: self.adopt_claimed,
            metadata_refused: self.metadata_refused,
        };
        self.view(view).desired(external).into_owned()
    }

    // Users:

    pub(super) fn edit(&mut self, edit: impl FnOnce(&mut ModelRefreshSpec)) -> &mut Self {
        let before = self.object.spec.clone();
        edit(&mut self.object.spec);
        if self.object.spec != before {
            self.object.metadata.generation = self.object.metadata.generation.map(|generation| generation + 1);
            self.changed();
        }
        self
    }

    pub(super) fn annotate(&mut self, key: &str, value: Option<&str>) -> &mut Self {
        let annotations = self.object.metadata.annotations.get_or_insert_default();
        match value {
            Some(value) => annotations.insert(key.to_owned(), value.to_owned()),
            None => annotations.remove(key),
        };
        self.changed();
        self
    }

    /// `kubectl edit --subresource=status`.
    pub(super) fn edit_status(&mut self, edit: impl FnOnce(&mut Status)) -> &mut Self {
        edit(self.object.status.as_mut().unwrap());
        self.changed();
        self
    }

    /// Decides that the submission started nothing.
    pub(super) fn resubmit(&mut self) -> &mut Self {
        let value = resubmit_value(self.run());
        self.annotate(RESUBMIT, Some(&value))
    }

    pub(super) fn delete(&mut self) -> &mut Self {
        if self.object.metadata.deletion_timestamp.is_none() {
            self.object.metadata.deletion_timestamp = Some(ClusterTime(self.now));
            self.object.metadata.generation = self.object.metadata.generation.map(|generation| generation + 1);
            self.gone = self.object.metadata.finalizers.as_ref().is_none_or(Vec::is_empty);
            self.changed();
        }
        self
    }

    pub(super) fn changed(&mut self) {
        let version: u64 = self.object.metadata.resource_version.as_deref().unwrap().parse().unwrap();
        self.object.metadata.resource_version = Some((version + 1).to_string());
        self.versions.push(self.object.clone());
        self.dirty = true;
    }

    pub(super) fn restart(&mut self) -> &mut Self {
        self.transient = Transient::default();
        self.dirty = true;
        self
    }

    // What time does.

    pub(super) fn advance(&mut self, by: Duration) -> &mut Self {
        self.now += by;
        self.service.advance(self.now);
        self
    }

    /// Lets `time` pass, with a reconciliation whenever one is due.
    pub(super) fn run_for(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        let mut passes = 0;
        loop {
            let due = if self.dirty { Some(self.now) } else { self.due };
            let Some(due) = due.filter(|due| *due <= end && !self.gone) else { break };
            if due > self.now {
                self.advance(Duration::try_from(due.duration_since(self.now)).unwrap());
            }
            passes += 1;
            assert!(passes < 20_000, "a hot loop: {:#?}", self.object.status);
            self.reconcile_once(None);
        }
        if self.now < end {
            self.advance(Duration::try_from(end.duration_since(self.now)).unwrap());
        }
        self
    }

    /// Lets time go by until the latest run stands so.
    pub(super) fn run_until(&mut self, state: RunState) -> &mut Self {
        for _ in 0..3_000 {
            if self.status().run.as_ref().is_some_and(|run| run.state == state) {
                return self;
            }
            self.run_for(secs(1));
        }
        panic!("never {state:?}: {:#?}", self.status().run);
    }

    /// What has just been decided is not decided again: nothing new is nothing to write.
    pub(super) fn assert_settled(&self, view: &ModelRefresh) {
        let decides_soon = self.dirty || self.due.is_some_and(|due| due <= self.now + Duration::from_millis(200));
        if decides_soon || self.gone {
            return;
        }
        let desired = self.desired(view);
        let status = view.status.clone().unwrap();
        for memory in [&self.transient.memory, &DecisionMemory::default()] {
            let decision = self.decide(&desired, &status, Observation::None, memory);
            // A step whose call cannot be prepared is not taken.
            let void = self.preparation_failure.is_some() && (self.fails_preparation_of)(&decision.effect);
            assert!(
                void || decision.status == status,
                "a reconciliation without news writes (effect {:?}): {:#?} to {:#?}",
                decision.effect,
                status,
                decision.status
            );
        }
    }

    // Observations:

    pub(super) fn status(&self) -> &Status {
        self.object.status.as_ref().unwrap()
    }

    pub(super) fn run(&self) -> &Run {
        self.status().run.as_ref().expect("a run")
    }

    pub(super) fn condition(&self, kind: ConditionType) -> Option<&Condition> {
        self.status().conditions.iter().find(|condition| condition.r#type == kind)
    }

    pub(super) fn ready(&self) -> ConditionStatus {
        self.condition(ConditionType::Ready).expect("Ready").status
    }

    pub(super) fn holds(&self, kind: ConditionType) -> bool {
        self.condition(kind).is_some_and(|condition| condition.status == ConditionStatus::True)
    }

    /// What the record means to the queue of the model now.
    pub(super) fn queue_state(&self) -> QueueState {
        queue_state(self.status(), self.now, &self.settings)
    }

    pub(super) fn event_count(&self, reason: Reason) -> usize {
        self.events.iter().filter(|event| event.reason == reason).count()
    }

    #[track_caller]
    pub(super) fn is(&self, state: RunState, reason: Reason) -> &Self {
        let run = self.run();
        assert_eq!((run.state, run.reason.as_str()), (state, reason.as_str()), "{}", run.message);
        self
    }
}
