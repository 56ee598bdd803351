//! What was accepted runs, whatever becomes of its source: a patch back, a replaced manifest, a deleted refresh.

use model::script::{World, missing, model, secs};
use tabular_operator::api::{ConcurrencyPolicy, RUN_REQUESTED_AT, Reason, RefreshType, RunState, TriggerType};

fn set_type(world: &mut World, kind: RefreshType) -> &mut World {
    world.edit(|spec| spec.refresh.as_mut().unwrap().r#type = kind)
}

fn set_token<'a>(world: &'a mut World, token: &str) -> &'a mut World {
    world.edit(|spec| spec.trigger.get_or_insert_default().token = Some(token.to_owned()))
}

/// A resource whose first run is in progress, of both kinds where the policy is one of both.
fn running(policy: ConcurrencyPolicy) -> Vec<World> {
    let mut worlds = vec![World::new(|spec| spec.concurrency_policy = policy)];
    if policy == ConcurrencyPolicy::Queue {
        worlds.push(World::sync(|_| {}));
    }
    for world in &mut worlds {
        set_token(world, "v1");
        world.service.length = secs(600);
        world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    }
    worlds
}

fn queued(world: &World) -> Option<(TriggerType, &str)> {
    world.status().queued.as_ref().map(|trigger| (trigger.r#type, trigger.value.as_str()))
}

/// `kubectl replace` of a manifest without annotations, which also removes the finalizer.
fn replace_manifest(world: &mut World) -> &mut World {
    world.edit_metadata(|metadata| metadata.finalizers = None);
    world.annotate(RUN_REQUESTED_AT, None)
}

#[test]
fn replacement_runs_when_the_change_is_reverted() {
    for mut world in running(ConcurrencyPolicy::Replace) {
        world.service.cancels_after = Some(secs(20));
        set_type(&mut world, RefreshType::Calculate).run_for(secs(2)).is(RunState::Cancelling, Reason::Cancelling);
        set_type(&mut world, RefreshType::Full).restart().run_for(secs(1_000)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.run().number, world.service.submits), (2, 2));
        assert_eq!(world.status().history[1].state, RunState::Cancelled);
        assert_eq!(queued(&world), None);
    }
}

#[test]
fn replacement_runs_when_a_token_is_reset_twice() {
    for mut world in running(ConcurrencyPolicy::Replace) {
        world.service.cancels_after = Some(secs(20));
        set_token(&mut world, "v2").run_for(secs(1));
        set_token(&mut world, "v3").run_for(secs(1));
        set_token(&mut world, "v1").run_for(secs(1_000)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.run().number, world.service.submits, world.service.cancels.len()), (2, 2, 1));
        assert_eq!(world.status().last_handled_token.as_deref(), Some("v1"));
        world.restart().run_for(secs(1_000));
        assert_eq!(world.service.submits, 2, "once");
    }
}

#[test]
fn replacement_runs_after_the_policy_changes() {
    for policy in [ConcurrencyPolicy::Queue, ConcurrencyPolicy::Forbid] {
        for mut world in running(ConcurrencyPolicy::Replace) {
            world.service.cancels_after = Some(secs(20));
            world.annotate(RUN_REQUESTED_AT, Some("noon")).run_for(secs(2)).is(RunState::Cancelling, Reason::Cancelling);
            world.edit(|spec| spec.concurrency_policy = policy).run_for(secs(2));
            replace_manifest(&mut world).run_for(secs(1_000)).is(RunState::Succeeded, Reason::Succeeded);
            assert_eq!((world.run().number, world.run().trigger.value.as_str()), (2, "noon"), "{policy:?}");
        }
    }
}

#[test]
fn queued_request_runs_after_the_manifest_is_replaced() {
    for mut world in running(ConcurrencyPolicy::Queue) {
        world.annotate(RUN_REQUESTED_AT, Some("noon")).run_for(secs(2));
        assert_eq!(queued(&world), Some((TriggerType::Request, "noon")));
        replace_manifest(&mut world).run_for(secs(2));
        assert_eq!(queued(&world), Some((TriggerType::Request, "noon")));
        world.restart().run_for(secs(2_000)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.run().number, world.run().trigger.value.as_str()), (2, "noon"));
        assert_eq!(world.status().last_handled_request.as_deref(), Some("noon"));
        // The value was handled, so setting it again requests nothing.
        world.annotate(RUN_REQUESTED_AT, Some("noon")).run_for(secs(2_000));
        assert_eq!((world.run().number, queued(&world)), (2, None));
    }
}

#[test]
fn reverted_queued_change_is_reported() {
    for suspend in [false, true] {
        for mut world in running(ConcurrencyPolicy::Queue) {
            if suspend {
                world.run_for(secs(2_000)).is(RunState::Succeeded, Reason::Succeeded);
                world.edit(|spec| spec.suspend = true).run_for(secs(2));
            }
            world.edit(|spec| spec.model = model("Other")).run_for(secs(2));
            assert_eq!(queued(&world), Some((TriggerType::Change, "")));
            world.edit(|spec| spec.model = model("Sales")).run_for(secs(2));
            assert_eq!((queued(&world), world.event_count(Reason::TriggerDropped)), (None, 1));
            set_token(&mut world, "v2").run_for(secs(2));
            set_token(&mut world, "v3").run_for(secs(2));
            assert_eq!(queued(&world), Some((TriggerType::Change, "v3")));
            set_token(&mut world, "v1").restart().run_for(secs(2));
            assert_eq!((queued(&world), world.event_count(Reason::TriggerDropped)), (None, 2));
            world.edit(|spec| spec.suspend = false).run_for(secs(2_000)).is(RunState::Succeeded, Reason::Succeeded);
            assert_eq!((world.run().number, world.event_count(Reason::TriggerDropped)), (1, 2));
        }
    }
}

#[test]
fn queued_request_stays_when_a_change_is_reverted() {
    for mut world in running(ConcurrencyPolicy::Queue) {
        set_token(&mut world, "v2").run_for(secs(2));
        world.annotate(RUN_REQUESTED_AT, Some("noon")).run_for(secs(2));
        set_token(&mut world, "v1").run_for(secs(2));
        replace_manifest(&mut world).run_for(secs(2_000)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.run().number, world.run().trigger.value.as_str()), (2, "noon"));
    }
}

#[test]
fn several_triggers_in_the_queue_are_one_run() {
    for mut world in running(ConcurrencyPolicy::Queue) {
        world.annotate(RUN_REQUESTED_AT, Some("a")).run_for(secs(2));
        replace_manifest(&mut world).run_for(secs(2));
        set_token(&mut world, "v2").run_for(secs(2));
        world.edit(|spec| spec.model = model("Other")).run_for(secs(2));
        assert_eq!(queued(&world), Some((TriggerType::Request, "a")));
        world.run_for(secs(3_000)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.run().number, world.service.submits), (2, 2));
        let handled = (world.status().last_handled_request.as_deref(), world.status().last_handled_token.as_deref());
        assert_eq!(handled, (Some("a"), Some("v2")));
    }
}

#[test]
fn accepted_request_outlives_a_suspension() {
    for mut world in [World::new(|_| {}), World::sync(|_| {})] {
        world.run_for(secs(1_000)).is(RunState::Succeeded, Reason::Succeeded);
        world.edit(|spec| spec.suspend = true);
        world.annotate(RUN_REQUESTED_AT, Some("noon")).run_for(secs(5));
        assert_eq!(queued(&world), Some((TriggerType::Request, "noon")), "what is announced is on record");
        replace_manifest(&mut world).restart().run_for(secs(5));
        world.edit(|spec| spec.suspend = false).run_for(secs(1_000)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.run().number, world.service.submits, queued(&world)), (2, 2, None));
    }
}

#[test]
fn queued_schedule_time_runs_after_the_schedule_is_changed() {
    for edit in [None, Some("0 0 * * *".to_owned())] {
        let mut world = World::new(|spec| spec.trigger.get_or_insert_default().schedule = Some("0 * * * *".to_owned()));
        world.service.length = secs(3_600 + 1_800);
        world.run_for(secs(2 * 3_600 + 60)).is(RunState::Running, Reason::Running);
        assert_eq!(queued(&world), Some((TriggerType::Schedule, "2026-01-01T14:00:00Z")));
        world.service.length = secs(60);
        world.edit(|spec| {
            let trigger = spec.trigger.get_or_insert_default();
            (trigger.schedule, trigger.on_change) = (edit.clone(), Some(false));
        });
        world.run_for(secs(3_600)).is(RunState::Succeeded, Reason::Succeeded);
        assert_eq!((world.run().number, world.run().trigger.value.as_str()), (2, "2026-01-01T14:00:00Z"));
        world.run_for(secs(3 * 3_600));
        assert_eq!((world.run().number, queued(&world), world.event_count(Reason::MissedSchedule)), (2, None, 0), "{edit:?}");
    }
}

#[test]
fn queued_schedule_time_that_is_too_late_is_reported_once() {
    let mut world = World::new(|spec| {
        let trigger = spec.trigger.get_or_insert_default();
        (trigger.schedule, trigger.starting_deadline_seconds) = (Some("0 * * * *".to_owned()), Some(600));
    });
    world.service.length = secs(3_600 + 1_800);
    world.run_for(secs(2 * 3_600 + 60));
    assert_eq!(queued(&world), Some((TriggerType::Schedule, "2026-01-01T14:00:00Z")));
    world.edit(|spec| spec.trigger.get_or_insert_default().schedule = Some("0 0 * * *".to_owned()));
    world.run_for(secs(3_600)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!((world.run().number, queued(&world), world.event_count(Reason::MissedSchedule)), (1, None, 1));
}

fn dependents() -> [World; 2] {
    [World::new(|_| {}).dependent(), World::sync(|_| {}).dependent()].map(|mut world| {
        world.service.length = secs(100);
        world.run_for(secs(10));
        world.upstream_ends(RunState::Succeeded, 20);
        world.run_for(secs(10)).is(RunState::Running, Reason::Running);
        for _ in 0..2 {
            world.upstream_ends(RunState::Succeeded, 20);
            world.run_for(secs(2));
        }
        assert_eq!(queued(&world), Some((TriggerType::AfterRefresh, "staging run 2")));
        world
    })
}

/// The upstream refresh is deleted.
fn delete_upstream(world: &mut World) -> &mut World {
    world.spec_blocker = Some(missing(Reason::UpstreamNotFound));
    world.upstream = None;
    world.changed()
}

#[track_caller]
fn missed(world: &World, times: usize, what: &str) {
    let said: Vec<&str> =
        world.events.iter().filter(|event| event.reason == Reason::UpstreamRunsMissed).map(|event| event.message.as_str()).collect();
    assert_eq!(said.len(), times, "{said:?}");
    assert!(said.iter().all(|message| message.contains(what)), "{said:?}");
}

#[test]
fn queued_runs_of_a_deleted_refresh_run_or_are_reported() {
    for mut world in dependents() {
        delete_upstream(&mut world).restart().run_for(secs(5));
        missed(&world, 1, "1 queued successful run of ModelRefresh staging");
        world.restart().run_for(secs(1_000));
        missed(&world, 1, "staging");
        assert_eq!(world.runs_after_upstream(), ["staging run 1", "staging run 2 (no longer followed)"], "what .status.queued showed runs");
        assert_eq!((world.service.submits, queued(&world)), (2, None));
    }
}

#[test]
fn queued_runs_stay_while_the_upstream_is_unavailable() {
    for reason in [Reason::UpstreamUnreadable, Reason::UpstreamCycle] {
        for mut world in dependents() {
            world.spec_blocker = Some(missing(reason));
            world.changed().restart().run_for(secs(1_000)).is(RunState::Succeeded, Reason::Succeeded);
            assert_eq!((queued(&world), world.service.submits), (Some((TriggerType::AfterRefresh, "staging run 2")), 1), "{reason}");
            world.is_stalled(reason);
            // A success meanwhile counts too.
            world.upstream_ends(RunState::Succeeded, 20);
            world.run_for(secs(100));
            world.spec_blocker = None;
            world.changed().restart().run_for(secs(1_000)).is(RunState::Succeeded, Reason::Succeeded);
            let runs = ["staging run 1", "staging run 2", "staging run 3", "staging run 4"];
            assert_eq!((world.runs_after_upstream(), queued(&world)), (runs.map(str::to_owned).to_vec(), None), "{reason}");
            assert_eq!(world.service.submits, runs.len(), "each success starts one run");
            missed(&world, 0, "");
        }
    }
}

#[test]
fn queued_runs_of_a_reset_status_run_or_are_reported() {
    for failed in [0, 2, 3] {
        for mut world in dependents() {
            world.restore_upstream(0).restart().run_for(secs(1_000));
            assert_eq!(world.runs_after_upstream(), ["staging run 1", "staging run 2"], "what .status.queued showed runs");
            for _ in 0..failed {
                world.upstream_ends(RunState::Failed, 20);
                world.run_for(secs(10));
            }
            missed(&world, 0, "");
            world.upstream_ends(RunState::Succeeded, 20);
            world.run_for(secs(1_000));
            missed(&world, 1, "1 queued successful run of ModelRefresh staging");
            let next = format!("staging run {}", failed + 1);
            assert_eq!(world.runs_after_upstream(), ["staging run 1", "staging run 2", next.as_str()]);
            assert_eq!((world.event_count(Reason::StatusRestored), world.service.submits), (1, 3));
        }
    }
}

#[test]
fn queued_runs_of_a_recreated_refresh_run_or_are_reported() {
    for mut world in dependents() {
        let upstream = world.upstream.as_mut().unwrap();
        upstream.metadata.uid = Some("led-2".to_owned());
        upstream.status = Some(tabular_operator::api::Status::default());
        world.upstream_ends(RunState::Succeeded, 20);
        world.run_for(secs(1_000)).is(RunState::Succeeded, Reason::Succeeded);
        missed(&world, 1, "1 queued successful run of ModelRefresh staging");
        assert_eq!(world.service.submits, 3, "the queued one, and the first of the new refresh");
        assert_eq!(world.run().trigger.value, "staging run 1");
        assert_eq!(queued(&world), None);
    }
}

#[test]
fn queued_runs_are_kept_when_the_upstream_changes() {
    for name in [None, Some("gold")] {
        for mut world in dependents() {
            let after = name.map(|name| tabular_operator::api::AfterRefresh { name: name.to_owned() });
            if name.is_some() {
                let upstream = world.upstream.as_mut().unwrap();
                (upstream.metadata.name, upstream.metadata.uid) = (name.map(str::to_owned), Some("led-9".to_owned()));
            } else {
                world.upstream = None;
            }
            world.edit(|spec| {
                let trigger = spec.trigger.get_or_insert_default();
                (trigger.after_refresh, trigger.on_change) = (after, Some(false));
            });
            world.run_for(secs(1_000)).is(RunState::Succeeded, Reason::Succeeded);
            missed(&world, 1, "1 queued successful run of ModelRefresh staging");
            assert_eq!(world.service.submits, 2, "{name:?}");
        }
    }
}

#[test]
fn replacement_runs_when_the_upstream_is_deleted() {
    let mut world = World::new(|spec| spec.concurrency_policy = ConcurrencyPolicy::Replace).dependent();
    world.run_for(secs(5));
    (world.service.length, world.service.cancels_after) = (secs(100), Some(secs(20)));
    world.upstream_ends(RunState::Succeeded, 20);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    world.upstream_ends(RunState::Succeeded, 20);
    world.run_for(secs(2)).is(RunState::Cancelling, Reason::Cancelling);
    delete_upstream(&mut world).run_for(secs(1_000)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.runs_after_upstream(), ["staging run 1", "staging run 2 (no longer followed)"]);
}

#[test]
fn lost_upstream_runs_of_a_suspended_resource_are_reported() {
    for mut world in [World::new(|_| {}).dependent(), World::sync(|_| {}).dependent()] {
        world.run_for(secs(10)).edit(|spec| spec.suspend = true).run_for(secs(10));
        for _ in 0..3 {
            world.upstream_ends(RunState::Succeeded, 20);
            world.run_for(secs(2));
        }
        delete_upstream(&mut world).run_for(secs(60));
        missed(&world, 1, "2 queued successful runs of ModelRefresh staging");
        world.edit(|spec| spec.suspend = false).run_for(secs(1_000));
        assert_eq!(world.runs_after_upstream(), ["staging run 1 (no longer followed)"]);
    }
}

#[test]
fn queued_run_missing_from_the_history_runs() {
    for end_first in [false, true] {
        for mut world in dependents() {
            // Only a failed run of the upstream refresh is left in its history.
            if end_first {
                world.edit(|spec| spec.suspend = true).run_for(secs(1_000)).is(RunState::Succeeded, Reason::Succeeded);
            }
            world.upstream_ends(RunState::Failed, 1);
            world.edit(|spec| spec.suspend = false).restart().run_for(secs(1_000)).is(RunState::Succeeded, Reason::Succeeded);
            assert_eq!(world.runs_after_upstream(), ["staging run 1", "staging run 2"], "what .status.queued showed runs");
            missed(&world, 1, "1 successful run of ModelRefresh staging");
            assert_eq!((queued(&world), world.status().last_upstream_run.as_ref().unwrap().number), (None, 2));
            world.upstream_ends(RunState::Succeeded, 1);
            world.run_for(secs(1_000));
            assert_eq!(world.runs_after_upstream(), ["staging run 1", "staging run 2", "staging run 5"]);
            missed(&world, 1, "staging");
        }
    }
}

#[test]
fn queue_survives_a_crash_at_any_step() {
    for step in 0..16 {
        for mut world in running(ConcurrencyPolicy::Queue) {
            world.annotate(RUN_REQUESTED_AT, Some("noon")).run_for(secs(2));
            replace_manifest(&mut world);
            world.crash_in = Some(step);
            world.run_for(secs(700));
            world.crash_in = None;
            world.run_for(secs(2_000)).is(RunState::Succeeded, Reason::Succeeded);
            assert_eq!((world.run().number, world.service.submits), (2, 2), "crash at step {step}");
        }
    }
}
