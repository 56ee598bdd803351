//! Following a refresh: one run for each of its successes, once and in order, whatever happens in between.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as ClusterTime;
use model::script::{World, missing, model, named, secs};
use tabular_operator::api::{
    AfterRefresh, CANCEL_REQUESTED_AT, ConcurrencyPolicy, ConditionStatus, ConditionType, RUN_REQUESTED_AT, Reason, RunState, Time,
};
use tabular_operator::engine::{Blocker, Remedy};
use tabular_operator::operation::{ModelIds, ModelLookup};

fn both() -> [World; 2] {
    [World::new(|_| {}).dependent(), World::sync(|_| {}).dependent()]
}

#[test]
fn each_success_is_followed_once() {
    for mut world in both() {
        world.run_for(secs(60));
        assert_eq!((world.status().run.as_ref(), world.ready()), (None, ConditionStatus::True), "it does not run when it is new");
        world.upstream_succeeds().run_for(secs(100)).is(RunState::Succeeded, Reason::Succeeded);
        world.upstream_ends(RunState::Failed, 20);
        world.run_for(secs(100));
        world.upstream_ends(RunState::Cancelled, 20);
        world.run_for(secs(100));
        world.upstream_succeeds().run_for(secs(100));
        for _ in 0..5 {
            world.restart().run_for(secs(10));
        }
        assert_eq!(world.runs_after_upstream(), ["staging run 1", "staging run 4"]);
        assert_eq!((world.run().number, world.service.submits), (2, 2));
    }
}

#[test]
fn crash_at_any_step_neither_repeats_nor_loses_a_success() {
    for step in 0..24 {
        for mut world in both() {
            world.run_for(secs(60));
            world.crash_in = Some(step);
            world.upstream_succeeds().run_for(secs(2));
            world.crash_in = None;
            world.run_for(secs(900));
            assert_eq!(
                (world.runs_after_upstream(), world.service.ops.len()),
                (vec!["staging run 1".to_owned()], 1),
                "crash at step {step}"
            );
        }
    }
}

#[test]
fn success_during_downtime_is_followed() {
    for mut world in both() {
        world.run_for(secs(60));
        world.advance(secs(600)).upstream_succeeds().advance(secs(600)).restart().run_for(secs(100));
        assert_eq!(world.runs_after_upstream(), ["staging run 1"]);
    }
    // Even if the dependent was never observed before.
    for mut world in both() {
        world.advance(secs(60)).upstream_succeeds().advance(secs(600)).restart().run_for(secs(100));
        assert_eq!(world.runs_after_upstream(), ["staging run 1"]);
    }
}

#[test]
fn successes_are_followed_one_by_one_in_order() {
    for suspend in [true, false] {
        for mut world in both() {
            world.edit(|spec| spec.suspend = suspend).run_for(secs(10));
            for _ in 0..3 {
                world.upstream_succeeds().run_for(secs(2));
            }
            if suspend {
                assert_eq!(world.runs_after_upstream(), Vec::<String>::new());
                assert_eq!((world.ready(), world.service.submits), (ConditionStatus::False, 0));
            }
            world.edit(|spec| spec.suspend = false).run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
            assert_eq!(world.runs_after_upstream(), ["staging run 1", "staging run 2", "staging run 3"]);
            assert_eq!((world.run().number, world.service.submits), (3, 3));
        }
    }
}

#[test]
fn success_not_after_the_creation_is_not_followed() {
    for earlier in [1, 0] {
        for mut world in both() {
            world.step_clock(-earlier).upstream_succeeds().step_clock(earlier);
            world.run_for(secs(100));
            assert!(world.runs_after_upstream().is_empty(), "{earlier} s before");
            let said = world.condition(ConditionType::Ready).map(|ready| ready.message.as_str());
            assert_eq!(said, Some("waiting for the next successful run of ModelRefresh staging"));
            world.upstream_succeeds().run_for(secs(100));
            assert_eq!(world.runs_after_upstream().last().map(String::as_str), Some("staging run 2"));
        }
    }
}

#[test]
fn service_clock_does_not_affect_following() {
    let mut world = World::sync(|_| {}).dependent();
    world.advance(secs(1)).upstream_succeeds();
    let ended = Time::from(world.now() - secs(299));
    world.upstream.as_mut().unwrap().status.as_mut().unwrap().history[0].ended_time = Some(ended);
    world.run_for(secs(100));
    assert_eq!(world.runs_after_upstream(), ["staging run 1"]);
}

#[test]
fn recreated_refresh_is_followed_from_its_first_run() {
    for mut world in both() {
        world.run_for(secs(5));
        for _ in 0..3 {
            world.upstream_succeeds().run_for(secs(100));
        }
        world.upstream = Some(World::upstream_refresh("staging", "led-2"));
        world.upstream_succeeds().run_for(secs(100));
        assert_eq!((world.run().number, world.run().trigger.value.as_str()), (4, "staging run 1"));
        assert_eq!(world.status().last_upstream_run.as_ref().unwrap().uid, "led-2");
    }
}

#[test]
fn newly_named_refresh_is_followed_from_now_on() {
    for mut world in both() {
        world.run_for(secs(10));
        let mut other = World::upstream_refresh("gold", "led-9");
        std::mem::swap(world.upstream.as_mut().unwrap(), &mut other);
        for _ in 0..5 {
            world.upstream_ends(RunState::Succeeded, 20);
        }
        let point = |spec: &mut tabular_operator::api::ModelRefreshSpec, name: &str| {
            spec.trigger.get_or_insert_default().after_refresh = Some(AfterRefresh { name: name.to_owned() });
        };
        world.edit(|spec| point(spec, "gold")).run_for(secs(100));
        assert_eq!(world.runs_after_upstream(), Vec::<String>::new(), "what was before is not followed");
        world.upstream_succeeds().run_for(secs(100));
        assert_eq!(world.runs_after_upstream(), ["gold run 6"]);
        // Removed and set again: nothing was missed in between.
        world.edit(|spec| spec.trigger.as_mut().unwrap().after_refresh = None).run_for(secs(10));
        assert_eq!(world.status().last_upstream_run, None);
        let runs = world.run().number;
        world.upstream_succeeds().run_for(secs(100));
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
                world.upstream_ends(RunState::Succeeded, kept);
            }
            world.edit(|spec| spec.suspend = false).run_for(secs(300));
            assert_eq!(world.runs_after_upstream(), ["staging run 4"], "the latest run is all there is");
            assert_eq!(world.event_count(Reason::UpstreamRunsMissed), 1);
            let said = world.events.iter().find(|event| event.reason == Reason::UpstreamRunsMissed).unwrap();
            assert!(
                said.reason.warns() == Some(true) && said.message.contains("3 successful runs of ModelRefresh staging"),
                "{}",
                said.message
            );
            // Runs that failed are none that were missed.
            for _ in 0..4 {
                world.upstream_ends(RunState::Failed, kept);
            }
            world.upstream_ends(RunState::Succeeded, kept);
            world.restart().run_for(secs(300));
            assert_eq!((world.runs_after_upstream().len(), world.event_count(Reason::UpstreamRunsMissed)), (2, 1));
        }
    }
}

#[test]
fn other_triggers_start_separate_runs() {
    for mut world in both() {
        world.run_for(secs(10));
        world.upstream_succeeds();
        world.annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(300));
        assert_eq!((world.run().number, world.service.submits), (2, 2));
        assert_eq!(world.runs_after_upstream(), ["staging run 1"]);
    }
}

#[test]
fn forbid_drops_a_success_during_a_run_and_names_it() {
    let mut world = World::new(|spec| spec.concurrency_policy = ConcurrencyPolicy::Forbid).dependent();
    world.run_for(secs(5));
    world.upstream_succeeds().run_for(secs(10)).is(RunState::Running, Reason::Running);
    world.upstream_succeeds();
    world.upstream_succeeds().run_for(secs(300));
    assert_eq!((world.runs_after_upstream(), world.event_count(Reason::TriggerDropped)), (vec!["staging run 1".to_owned()], 2));
    assert!(world.events.iter().any(|event| event.message.contains("staging run 3")));
    world.upstream_succeeds().run_for(secs(300));
    assert_eq!(world.runs_after_upstream(), ["staging run 1", "staging run 4"]);
}

#[test]
fn replace_cancels_the_run_of_an_earlier_success() {
    let mut world = World::new(|spec| spec.concurrency_policy = ConcurrencyPolicy::Replace).dependent();
    world.run_for(secs(5));
    world.upstream_succeeds().run_for(secs(10)).is(RunState::Running, Reason::Running);
    world.upstream_succeeds().run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(
        (world.runs_after_upstream(), world.service.cancels.len()),
        (vec!["staging run 1".to_owned(), "staging run 2".to_owned()], 1)
    );
    assert_eq!(world.status().history[1].state, RunState::Cancelled);
}

#[test]
fn missing_upstream_blocks_only_its_trigger() {
    for mut world in both() {
        (world.upstream, world.spec_blocker) = (None, Some(missing(Reason::UpstreamNotFound)));
        world.run_for(secs(60));
        assert!(world.holds(ConditionType::Stalled) && world.due().is_some(), "it is checked again automatically");
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
        (world.upstream, world.spec_blocker) = (Some(World::upstream_refresh("staging", "led-1")), None);
        world.upstream_succeeds().run_for(secs(300));
        assert_eq!((world.runs_after_upstream(), world.ready()), (vec!["staging run 1".to_owned()], ConditionStatus::True));
    }
}

#[test]
fn new_resource_follows_an_upstream_that_was_unreadable() {
    for mut world in both() {
        world.spec_blocker = Some(missing(Reason::UpstreamUnreadable));
        world.run_for(secs(120)).is_stalled(Reason::UpstreamUnreadable);
        world.upstream_succeeds().restart().run_for(secs(100));
        assert_eq!((world.runs_after_upstream().len(), world.service.submits), (0, 0), "its runs are unknown");
        world.spec_blocker = None;
        world.changed().run_for(secs(300));
        assert_eq!((world.runs_after_upstream(), world.ready()), (vec!["staging run 1".to_owned()], ConditionStatus::True));
        assert_eq!(world.event_count(Reason::UpstreamRunsMissed), 0);
    }
}

#[test]
fn runs_before_a_new_resource_are_not_missed() {
    for (is_later, reports) in [(false, 0), (true, 1)] {
        for mut world in both() {
            world.spec_blocker = Some(missing(Reason::UpstreamUnreadable));
            world.run_for(secs(10));
            let created = Some(ClusterTime(world.now())).filter(|_| is_later);
            world.upstream.as_mut().unwrap().metadata.creation_timestamp = created;
            for _ in 0..4 {
                world.upstream_ends(RunState::Succeeded, 1);
            }
            world.spec_blocker = None;
            world.changed().run_for(secs(100));
            assert_eq!((world.runs_after_upstream(), world.service.submits), (vec!["staging run 4".to_owned()], 1));
            assert_eq!(world.event_count(Reason::UpstreamRunsMissed), reports, "only those of a refresh that was created later");
        }
    }
}

#[test]
fn follow_cycle_is_not_followed() {
    for mut world in both() {
        world.run_for(secs(10));
        world.spec_blocker = Some(missing(Reason::UpstreamCycle));
        world.upstream_succeeds().run_for(secs(300));
        assert!(world.holds(ConditionType::Stalled) && world.status().run.is_none());
    }
}

#[test]
fn sync_without_model_uses_that_of_its_upstream() {
    let mut world = World::sync(|_| {}).dependent().without_model();
    world.run_for(secs(10));
    assert_eq!(world.status().model.as_deref(), Some("myserver/Led"));
    world.ahead = Some("another".to_owned());
    world.upstream_succeeds().run_for(secs(20)).is(RunState::Waiting, Reason::WaitingForTurn);
    let gone = world.upstream.take();
    (world.spec_blocker, world.ahead) = (Some(missing(Reason::UpstreamNotFound)), None);
    world.changed().run_for(secs(60)).is(RunState::Waiting, Reason::UpstreamNotFound);
    assert_eq!((&world.run().model, world.service.submits), (&model("Led"), 0), "what is on record stays");
    (world.upstream, world.spec_blocker) = (gone, None);
    world.run_for(secs(100)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.runs_after_upstream(), &world.run().model), (vec!["staging run 1".to_owned()], &model("Led")));

    // Where it was never there, nothing can run.
    let mut world = World::sync(|_| {}).dependent().without_model();
    (world.upstream, world.spec_blocker) = (None, Some(missing(Reason::UpstreamNotFound)));
    world.annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(60));
    assert!(world.holds(ConditionType::Stalled) && world.status().run.is_none() && world.status().model.is_none());
}

#[test]
fn following_run_continues_when_the_refresh_is_deleted() {
    for mut world in both() {
        world.run_for(secs(10));
        world.upstream_succeeds().run_for(secs(5)).is(RunState::Running, Reason::Running);
        (world.upstream, world.spec_blocker) = (None, Some(missing(Reason::UpstreamNotFound)));
        world.changed().run_for(secs(100)).is(RunState::Succeeded, Reason::Succeeded);
        assert!(world.holds(ConditionType::Stalled) && world.holds(ConditionType::Finished));
    }
}

#[test]
fn resource_without_creation_time_runs_for_every_success() {
    let mut world = World::sync(|_| {}).dependent();
    world.upstream_succeeds();
    world.edit_metadata(|metadata| metadata.creation_timestamp = None);
    world.annotate("a", Some("b")).run_for(secs(100));
    assert_eq!(world.runs_after_upstream(), ["staging run 1"]);
}

#[test]
fn accepted_run_is_kept_when_the_upstream_is_replaced() {
    for recreated in [false, true] {
        for mut world in both() {
            world.run_for(secs(10));
            world.upstream_succeeds().run_for(secs(2));
            world.upstream_succeeds().run_for(secs(2));
            assert_eq!(world.status().queued.as_ref().unwrap().value, "staging run 2");
            // The failure takes the successes out of the history.
            world.upstream_ends(RunState::Failed, 1);
            world.run_for(secs(2));
            assert_eq!(world.status().last_upstream_run.as_ref().unwrap().queued, None);
            world.upstream = Some(World::upstream_refresh(if recreated { "staging" } else { "gold" }, "led-2"));
            (0..3).for_each(|_| world.upstream_ends(RunState::Succeeded, 20));
            if !recreated {
                world.edit(|spec| spec.trigger.as_mut().unwrap().after_refresh = Some(AfterRefresh { name: "gold".to_owned() }));
            }
            world.run_for(secs(300)).is(RunState::Succeeded, Reason::Succeeded);
            assert_eq!(world.runs_after_upstream()[..2], ["staging run 1", "staging run 2 (no longer followed)"]);
            let runs = if recreated { 5 } else { 2 };
            assert_eq!(
                (world.service.submits, world.runs_after_upstream().len(), world.event_count(Reason::UpstreamRunsMissed)),
                (runs, runs, 0)
            );
            assert_eq!(world.status().queued, None);
        }
    }
}

#[test]
fn cursor_moves_after_the_result_that_postponed_it() {
    let mut world = World::new(|spec| {
        (spec.active_deadline_seconds, spec.wait_deadline_seconds) = (60, 60);
        spec.model = named("Sales");
    });
    world = world.dependent();
    world.annotate(RUN_REQUESTED_AT, Some("a")).advance(secs(1)).upstream_succeeds().run_for(secs(1));
    world.spec_blocker = Some(Blocker { remedy: Remedy::SpecChange, ..missing(Reason::InvalidSpec) });
    world.annotate(CANCEL_REQUESTED_AT, Some("a")).edit(|spec| spec.history_limit += 1).run_for(secs(1));
    world.spec_blocker = Some(missing(Reason::UpstreamNotFound));
    world.changed().run_for(secs(1));
    world.spec_blocker = None;
    world.resolution = ModelLookup::Found(ModelIds { group_id: "found".to_owned(), dataset_id: "orders".to_owned() });
    world.edit(|spec| spec.history_limit += 1).run_for(secs(3_600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.runs_after_upstream(), ["staging run 1"]);
}
