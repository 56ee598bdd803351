//! Following a refresh: one run for each of its successes, once and in order, whatever happens in between.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as ClusterTime;

use super::world::{World, model, secs};
use crate::api::{
    AfterRefresh, ConcurrencyPolicy, ConditionStatus, ConditionType, HistoryEntry, ModelRefresh, RUN_REQUESTED_AT, Reason, Run, RunState,
    Status, Time, Trigger, TriggerType,
};
use crate::engine::{Blocker, Remedy};

fn leader(name: &str, uid: &str) -> ModelRefresh {
    let spec = serde_json::from_value(serde_json::json!({"model": model("Led")})).unwrap();
    let mut leader = ModelRefresh::new(name, spec);
    leader.metadata.uid = Some(uid.to_owned());
    leader.status = Some(Status::default());
    leader
}

impl World {
    /// A dependent of the refresh `staging`, which exists and has not run.
    pub(super) fn follower(mut self) -> Self {
        self.edit(|spec| spec.trigger.get_or_insert_default().after_refresh = Some(AfterRefresh { name: "staging".to_owned() }));
        self.leader = Some(leader("staging", "led-1"));
        self.service.length = secs(20);
        self
    }

    /// A run of the upstream refresh ends; `kept` of its ended runs stay in its history.
    pub(super) fn leader_ends(&mut self, state: RunState, kept: usize) {
        let now = Time::from(self.now);
        let Some(leader) = self.leader.as_mut() else { return };
        let status = leader.status.as_mut().unwrap();
        let number = status.run.as_ref().map_or(1, |run| run.number + 1);
        let trigger = Trigger { r#type: TriggerType::Request, value: String::new() };
        status.successful_runs += i64::from(state == RunState::Succeeded);
        let run = serde_json::json!({"number": number, "trigger": trigger, "attempt": 1, "state": state, "model": leader.spec.model, "requestDigest": "w",
            "requestedTime": now, "recordedTime": now});
        status.run = Some(serde_json::from_value::<Run>(run).unwrap());
        let entry = serde_json::json!({"number": number, "trigger": trigger, "attempts": 1, "state": state, "recordedTime": now});
        status.history.insert(0, serde_json::from_value::<HistoryEntry>(entry).unwrap());
        status.history.truncate(kept);
        self.dirty = true;
    }

    fn leader_succeeds(&mut self) -> &mut Self {
        self.leader_ends(RunState::Succeeded, 20);
        self
    }

    /// The runs that the upstream started, oldest first.
    pub(super) fn followings(&self) -> Vec<String> {
        let mut seen: Vec<(i32, String)> = Vec::new();
        for run in self.statuses.iter().filter_map(|status| status.run.as_ref()) {
            if run.trigger.r#type == TriggerType::AfterRefresh && seen.iter().all(|(number, _)| *number != run.number) {
                seen.push((run.number, run.trigger.value.clone()));
            }
        }
        seen.into_iter().map(|(_, value)| value).collect()
    }
}

fn both() -> [World; 2] {
    [World::new(|_| {}).follower(), World::sync(|_| {}).follower()]
}

fn missing(reason: Reason) -> Blocker {
    Blocker { reason, message: "the ModelRefresh staging is not there".to_owned(), remedy: Remedy::ClusterChange }
}

#[test]
fn each_success_is_followed_once() {
    for mut world in both() {
        world.run_for(secs(60));
        assert_eq!((world.status().run.as_ref(), world.ready()), (None, ConditionStatus::True), "it does not run when it is new");
        world.leader_succeeds().run_for(secs(100)).is(RunState::Succeeded, Reason::Succeeded);
        world.leader_ends(RunState::Failed, 20);
        world.run_for(secs(100));
        world.leader_ends(RunState::Cancelled, 20);
        world.run_for(secs(100));
        world.leader_succeeds().run_for(secs(100));
        for _ in 0..5 {
            world.restart().run_for(secs(10));
        }
        assert_eq!(world.followings(), ["staging run 1", "staging run 4"]);
        assert_eq!((world.run().number, world.service.submits), (2, 2));
    }
}

#[test]
fn crash_at_any_step_neither_repeats_nor_loses_a_success() {
    for step in 0..24 {
        for mut world in both() {
            world.run_for(secs(60));
            world.crash_in = Some(step);
            world.leader_succeeds().run_for(secs(2));
            world.crash_in = None;
            world.run_for(secs(900));
            assert_eq!((world.followings(), world.service.ops.len()), (vec!["staging run 1".to_owned()], 1), "crash at step {step}");
        }
    }
}

#[test]
fn success_during_downtime_is_followed() {
    for mut world in both() {
        world.run_for(secs(60));
        world.advance(secs(600)).leader_succeeds().advance(secs(600)).restart().run_for(secs(100));
        assert_eq!(world.followings(), ["staging run 1"]);
    }
    // Even if the dependent was never observed before.
    for mut world in both() {
        world.advance(secs(60)).leader_succeeds().advance(secs(600)).restart().run_for(secs(100));
        assert_eq!(world.followings(), ["staging run 1"]);
    }
}

#[test]
fn successes_are_followed_one_by_one_in_order() {
    for suspend in [true, false] {
        for mut world in both() {
            world.edit(|spec| spec.suspend = suspend).run_for(secs(10));
            for _ in 0..3 {
                world.leader_succeeds().run_for(secs(2));
            }
            if suspend {
                assert_eq!(world.followings(), Vec::<String>::new());
                assert_eq!((world.ready(), world.service.submits), (ConditionStatus::False, 0));
            }
            world.edit(|spec| spec.suspend = false).run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
            assert_eq!(world.followings(), ["staging run 1", "staging run 2", "staging run 3"]);
            assert_eq!((world.run().number, world.service.submits), (3, 3));
        }
    }
}

#[test]
fn success_not_after_the_creation_is_not_followed() {
    for earlier in [1, 0] {
        for mut world in both() {
            let created = world.now;
            world.now = created - secs(earlier);
            world.leader_succeeds();
            world.now = created;
            world.run_for(secs(100));
            assert!(world.followings().is_empty(), "{earlier} s before");
            let said = world.condition(ConditionType::Ready).map(|ready| ready.message.as_str());
            assert_eq!(said, Some("waiting for the next successful run of ModelRefresh staging"));
            world.leader_succeeds().run_for(secs(100));
            assert_eq!(world.followings().last().map(String::as_str), Some("staging run 2"));
        }
    }
}

#[test]
fn service_clock_does_not_affect_following() {
    let mut world = World::sync(|_| {}).follower();
    world.advance(secs(1)).leader_succeeds();
    let status = world.leader.as_mut().unwrap().status.as_mut().unwrap();
    status.history[0].ended_time = Some(Time::from(world.now - secs(299)));
    world.run_for(secs(100));
    assert_eq!(world.followings(), ["staging run 1"]);
}

#[test]
fn recreated_refresh_is_followed_from_its_first_run() {
    for mut world in both() {
        world.run_for(secs(5));
        for _ in 0..3 {
            world.leader_succeeds().run_for(secs(100));
        }
        world.leader = Some(leader("staging", "led-2"));
        world.leader_succeeds().run_for(secs(100));
        assert_eq!((world.run().number, world.run().trigger.value.as_str()), (4, "staging run 1"));
        assert_eq!(world.status().last_upstream_run.as_ref().unwrap().uid, "led-2");
    }
}

#[test]
fn newly_named_refresh_is_followed_from_now_on() {
    for mut world in both() {
        world.run_for(secs(10));
        let mut other = leader("gold", "led-9");
        std::mem::swap(world.leader.as_mut().unwrap(), &mut other);
        for _ in 0..5 {
            world.leader_ends(RunState::Succeeded, 20);
        }
        let point = |spec: &mut crate::api::ModelRefreshSpec, name: &str| {
            spec.trigger.get_or_insert_default().after_refresh = Some(AfterRefresh { name: name.to_owned() });
        };
        world.edit(|spec| point(spec, "gold")).run_for(secs(100));
        assert_eq!(world.followings(), Vec::<String>::new(), "what was before is not followed");
        world.leader_succeeds().run_for(secs(100));
        assert_eq!(world.followings(), ["gold run 6"]);
        // Removed and set again: nothing was missed in between.
        world.edit(|spec| spec.trigger.as_mut().unwrap().after_refresh = None).run_for(secs(10));
        assert_eq!(world.status().last_upstream_run, None);
        let runs = world.run().number;
        world.leader_succeeds().run_for(secs(100));
        world.edit(|spec| point(spec, "gold")).run_for(secs(100));
        assert_eq!(world.run().number, runs);
    }
}

#[test]
fn success_missing_from_the_history_is_reported_once() {
    for kept in [0, 1] {
        for mut world in both() {
            world.edit(|spec| spec.suspend = true).run_for(secs(10));
            for _ in 0..4 {
                world.leader_ends(RunState::Succeeded, kept);
            }
            world.edit(|spec| spec.suspend = false).run_for(secs(300));
            assert_eq!(world.followings(), ["staging run 4"], "the latest run is all there is");
            assert_eq!(world.event_count(Reason::UpstreamRunsMissed), 1);
            let said = world.events.iter().find(|event| event.reason == Reason::UpstreamRunsMissed).unwrap();
            assert!(
                said.reason.warns() == Some(true) && said.message.contains("3 successful runs of ModelRefresh staging"),
                "{}",
                said.message
            );
            // Runs that failed are none that were missed.
            for _ in 0..4 {
                world.leader_ends(RunState::Failed, kept);
            }
            world.leader_ends(RunState::Succeeded, kept);
            world.restart().run_for(secs(300));
            assert_eq!((world.followings().len(), world.event_count(Reason::UpstreamRunsMissed)), (2, 1));
        }
    }
}

#[test]
fn other_triggers_start_separate_runs() {
    for mut world in both() {
        world.run_for(secs(10));
        world.leader_succeeds();
        world.annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(300));
        assert_eq!((world.run().number, world.service.submits), (2, 2));
        assert_eq!(world.followings(), ["staging run 1"]);
    }
}

#[test]
fn forbid_drops_a_success_during_a_run_and_names_it() {
    let mut world = World::new(|spec| spec.concurrency_policy = ConcurrencyPolicy::Forbid).follower();
    world.run_for(secs(5));
    world.leader_succeeds().run_for(secs(10)).is(RunState::Running, Reason::Running);
    world.leader_succeeds();
    world.leader_succeeds().run_for(secs(300));
    assert_eq!((world.followings(), world.event_count(Reason::TriggerDropped)), (vec!["staging run 1".to_owned()], 2));
    assert!(world.events.iter().any(|event| event.message.contains("staging run 3")));
    world.leader_succeeds().run_for(secs(300));
    assert_eq!(world.followings(), ["staging run 1", "staging run 4"]);
}

#[test]
fn replace_cancels_the_run_of_an_earlier_success() {
    let mut world = World::new(|spec| spec.concurrency_policy = ConcurrencyPolicy::Replace).follower();
    world.run_for(secs(5));
    world.leader_succeeds().run_for(secs(10)).is(RunState::Running, Reason::Running);
    world.leader_succeeds().run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.followings(), world.service.cancels.len()), (vec!["staging run 1".to_owned(), "staging run 2".to_owned()], 1));
    assert_eq!(world.status().history[1].state, RunState::Cancelled);
}

#[test]
fn missing_upstream_blocks_only_its_trigger() {
    for mut world in both() {
        (world.leader, world.spec_blocker) = (None, Some(missing(Reason::UpstreamNotFound)));
        world.run_for(secs(60));
        assert!(world.holds(ConditionType::Stalled) && world.due.is_some(), "it is checked again automatically");
        assert_eq!((world.writes, world.service.submits), (2, 0), "that it is awaited, and that it has not come");
        world.annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(300));
        assert_eq!((world.service.submits, world.run().state), (1, RunState::Succeeded), "the model is known, so a request runs");
        assert!(
            world.holds(ConditionType::Stalled) && world.holds(ConditionType::Finished),
            "and its outcome is shown besides the blocker"
        );
        let (ready, finished) = (world.condition(ConditionType::Ready).unwrap(), world.condition(ConditionType::Finished).unwrap());
        assert_eq!((ready.reason.as_str(), finished.reason.as_str()), ("UpstreamNotFound", "Succeeded"), "each has its own reason");
        assert_eq!(finished.message, "run 1 succeeded");
        // It is created, and has run before the next poll.
        (world.leader, world.spec_blocker) = (Some(leader("staging", "led-1")), None);
        world.leader_succeeds().run_for(secs(300));
        assert_eq!((world.followings(), world.ready()), (vec!["staging run 1".to_owned()], ConditionStatus::True));
    }
}

#[test]
fn follow_cycle_is_not_followed() {
    for mut world in both() {
        world.run_for(secs(10));
        world.spec_blocker = Some(missing(Reason::UpstreamCycle));
        world.leader_succeeds().run_for(secs(300));
        assert!(world.holds(ConditionType::Stalled) && world.status().run.is_none());
    }
}

#[test]
fn sync_without_model_uses_that_of_its_upstream() {
    let mut world = World::sync(|_| {}).follower();
    world.takes_model = true;
    world.run_for(secs(10));
    assert_eq!(world.status().model.as_deref(), Some("myserver/Led"));
    world.ahead = Some("another".to_owned());
    world.leader_succeeds().run_for(secs(20)).is(RunState::Waiting, Reason::WaitingForTurn);
    let gone = world.leader.take();
    (world.spec_blocker, world.ahead, world.dirty) = (Some(missing(Reason::UpstreamNotFound)), None, true);
    world.run_for(secs(60)).is(RunState::Waiting, Reason::UpstreamNotFound);
    assert_eq!((&world.run().model, world.service.submits), (&model("Led"), 0), "what is on record stays");
    (world.leader, world.spec_blocker) = (gone, None);
    world.run_for(secs(100)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.followings(), &world.run().model), (vec!["staging run 1".to_owned()], &model("Led")));

    // Where it was never there, nothing can run.
    let mut world = World::sync(|_| {}).follower();
    (world.takes_model, world.leader, world.spec_blocker) = (true, None, Some(missing(Reason::UpstreamNotFound)));
    world.annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(60));
    assert!(world.holds(ConditionType::Stalled) && world.status().run.is_none() && world.status().model.is_none());
}

#[test]
fn following_run_continues_when_the_refresh_is_deleted() {
    for mut world in both() {
        world.run_for(secs(10));
        world.leader_succeeds().run_for(secs(5)).is(RunState::Running, Reason::Running);
        (world.leader, world.spec_blocker, world.dirty) = (None, Some(missing(Reason::UpstreamNotFound)), true);
        world.run_for(secs(100)).is(RunState::Succeeded, Reason::Succeeded);
        assert!(world.holds(ConditionType::Stalled) && world.holds(ConditionType::Finished));
    }
}

#[test]
fn resource_without_creation_time_runs_for_every_success() {
    let mut world = World::sync(|_| {}).follower();
    world.leader_succeeds();
    world.object.metadata.creation_timestamp = None::<ClusterTime>;
    world.annotate("a", Some("b")).run_for(secs(100));
    assert_eq!(world.followings(), ["staging run 1"]);
}

#[test]
fn accepted_run_is_kept_when_the_upstream_is_replaced() {
    for recreated in [false, true] {
        for mut world in both() {
            world.run_for(secs(10));
            world.leader_succeeds().run_for(secs(2));
            world.leader_succeeds().run_for(secs(2));
            assert_eq!(world.status().queued.as_ref().unwrap().value, "staging run 2");
            // The failure takes the successes out of the history.
            world.leader_ends(RunState::Failed, 1);
            world.run_for(secs(2));
            assert_eq!(world.status().last_upstream_run.as_ref().unwrap().queued, None);
            world.leader = Some(leader(if recreated { "staging" } else { "gold" }, "led-2"));
            (0..3).for_each(|_| world.leader_ends(RunState::Succeeded, 20));
            if !recreated {
                world.edit(|spec| spec.trigger.as_mut().unwrap().after_refresh = Some(AfterRefresh { name: "gold".to_owned() }));
            }
            world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
            assert_eq!(world.followings()[..2], ["staging run 1", "staging run 2 (no longer followed)"]);
            let runs = if recreated { 5 } else { 2 };
            assert_eq!((world.service.submits, world.followings().len(), world.event_count(Reason::UpstreamRunsMissed)), (runs, runs, 0));
            assert_eq!(world.status().queued, None);
        }
    }
}
