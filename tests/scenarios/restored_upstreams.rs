//! The status of the upstream refresh is reset, or restored from a backup: its next successes start runs, and no earlier one starts another.

use jiff::Timestamp;
use model::script::{World, secs};
use tabular_operator::api::{AfterRefresh, ConcurrencyPolicy, Reason, RunState, Time};
use tabular_operator::engine::DrainMode;

fn dependents() -> [World; 2] {
    [World::new(|_| {}), World::sync(|_| {})].map(World::dependent)
}

/// Dependents that have run after the first three runs of their upstream.
fn after_three_runs() -> [World; 2] {
    dependents().map(|mut world| {
        world.run_for(secs(5));
        for _ in 0..3 {
            world.upstream_succeeds().run_for(secs(100));
        }
        world
    })
}

/// Asserts after which runs of the upstream a run has started, how often a restored status was reported, and that no run was missed.
#[track_caller]
fn has_run_after(world: &World, numbers: &[i32], restored: usize) {
    let runs: Vec<String> = numbers.iter().map(|number| format!("staging run {number}")).collect();
    assert_eq!((world.runs_after_upstream(), world.service.submits), (runs, numbers.len()));
    assert_eq!((world.event_count(Reason::StatusRestored), world.event_count(Reason::UpstreamRunsMissed)), (restored, 0));
}

#[test]
fn refresh_with_a_reset_status_is_followed_again() {
    for shown in [0, 1, 2] {
        for mut world in after_three_runs() {
            world.restore_upstream(shown).run_for(secs(100));
            has_run_after(&world, &[1, 2, 3], 0);
            for _ in 0..2 {
                world.upstream_succeeds().restart().run_for(secs(100));
            }
            has_run_after(&world, &[1, 2, 3, shown + 1, shown + 2], 1);
        }
    }
}

#[test]
fn reset_is_noticed_after_runs_without_success() {
    for mut world in after_three_runs() {
        world.restore_upstream(1);
        for _ in 0..3 {
            world.upstream_ends(RunState::Failed, 20);
        }
        world.upstream_succeeds().run_for(secs(100));
        has_run_after(&world, &[1, 2, 3, 5], 1);
    }
}

#[test]
fn run_that_a_backup_shows_in_progress_counts_once() {
    for (number, keeps_history) in [(3, true), (3, false), (2, true), (2, false)] {
        for mut world in after_three_runs() {
            // Its operation has succeeded, so the operator records its success once more.
            let now = Some(Time::from(world.now()));
            let status = world.restore_upstream(number).upstream.as_mut().and_then(|upstream| upstream.status.as_mut()).unwrap();
            status.run.as_mut().unwrap().recorded_time = now;
            status.history[0].recorded_time = now;
            status.history.retain(|_| keeps_history);
            world.restart().run_for(secs(100));
            has_run_after(&world, &[1, 2, 3], 0);
            world.upstream_succeeds().run_for(secs(100));
            has_run_after(&world, &[1, 2, 3, number + 1], usize::from(number == 2));
        }
    }
}

#[test]
fn outdated_view_of_the_upstream_repeats_no_run() {
    for mut world in after_three_runs() {
        let before = world.upstream.clone();
        world.restore_upstream(2).restart().run_for(secs(100));
        world.upstream.clone_from(&before);
        world.changed().run_for(secs(100));
        has_run_after(&world, &[1, 2, 3], 0);
        // After a restore, a view from before it has higher numbers.
        world.restore_upstream(1).upstream_succeeds().run_for(secs(100));
        let newest = std::mem::replace(&mut world.upstream, before);
        world.restart().run_for(secs(100));
        has_run_after(&world, &[1, 2, 3, 2], 1);
        world.upstream = newest;
        world.upstream_succeeds().run_for(secs(100));
        has_run_after(&world, &[1, 2, 3, 2, 3], 1);
    }
}

#[test]
fn restored_status_starts_no_run_for_an_excluded_success() {
    for has_run in [true, false] {
        for mut world in dependents() {
            world.run_for(secs(10));
            if has_run {
                world.upstream_succeeds().run_for(secs(100));
            }
            world.upstream = Some(World::upstream_refresh("gold", "led-9"));
            for _ in 0..3 {
                world.advance(secs(10)).upstream_succeeds();
            }
            world.edit(|spec| spec.trigger.as_mut().unwrap().after_refresh = Some(AfterRefresh { name: "gold".to_owned() }));
            world.run_for(secs(100));
            world.restore_upstream(2).run_for(secs(100));
            assert_eq!((world.service.submits, world.event_count(Reason::StatusRestored)), (usize::from(has_run), 0));
            world.upstream_succeeds().run_for(secs(100));
            assert_eq!(world.runs_after_upstream().last().map(String::as_str), Some("gold run 3"));
        }
    }
}

#[test]
fn restored_status_starts_no_run_for_a_dropped_success() {
    let mut world = World::new(|spec| spec.concurrency_policy = ConcurrencyPolicy::Forbid).dependent();
    world.run_for(secs(5));
    world.upstream_succeeds().run_for(secs(10)).is(RunState::Running, Reason::Running);
    for _ in 0..2 {
        world.upstream_succeeds().run_for(secs(2));
    }
    world.run_for(secs(100)).is(RunState::Succeeded, Reason::Succeeded);
    assert_eq!(world.event_count(Reason::TriggerDropped), 2);
    world.restore_upstream(2).run_for(secs(100));
    has_run_after(&world, &[1], 0);
}

#[test]
fn clock_that_is_set_back_shows_no_reset() {
    for mut world in after_three_runs() {
        // The fourth success is recorded before the third one.
        world.step_clock(-110).upstream_succeeds().run_for(secs(100));
        let newest = world.upstream.clone();
        world.restore_upstream(3).restart().run_for(secs(100));
        world.upstream = newest;
        world.upstream_succeeds().run_for(secs(100));
        has_run_after(&world, &[1, 2, 3, 4, 5], 0);
    }
}

#[test]
fn clock_set_back_after_a_reset_delays_no_run() {
    for mut world in after_three_runs() {
        world.restore_upstream(1).step_clock(1_000).upstream_succeeds().run_for(secs(100));
        world.step_clock(-1_000).upstream_succeeds().run_for(secs(100));
        has_run_after(&world, &[1, 2, 3, 2, 3], 1);
    }
}

#[test]
fn status_restored_after_a_reset_repeats_no_run() {
    for mut world in after_three_runs() {
        let before = world.upstream.clone();
        world.restore_upstream(0).upstream_succeeds().run_for(secs(100));
        has_run_after(&world, &[1, 2, 3, 1], 1);
        world.upstream = before;
        world.upstream_succeeds().run_for(secs(100));
        assert_eq!(world.runs_after_upstream()[4..], ["staging run 4"]);
    }
}

#[test]
fn time_that_is_none_neither_shows_nor_hides_a_reset() {
    for mut world in after_three_runs() {
        let status = world.upstream.as_mut().and_then(|upstream| upstream.status.as_mut()).unwrap();
        (status.history[0].recorded_time, status.history[0].requested_time) = (Some(Time::from(Timestamp::MAX)), None);
        world.changed().run_for(secs(100));
        has_run_after(&world, &[1, 2, 3], 0);
        world.restore_upstream(1).upstream_succeeds().run_for(secs(100));
        has_run_after(&world, &[1, 2, 3, 2], 1);
    }
}

#[test]
fn edited_total_makes_no_negative_count() {
    for mut world in dependents() {
        world.advance(secs(10)).upstream_succeeds();
        world.upstream.as_mut().and_then(|upstream| upstream.status.as_mut()).unwrap().successful_runs = 0;
        world.run_for(secs(100));
        has_run_after(&world, &[1], 0);
        assert_eq!(world.status().last_upstream_run.as_ref().unwrap().successful_runs, 1);
    }
}

#[test]
fn refresh_recreated_with_its_status_repeats_no_run() {
    for mut world in after_three_runs() {
        world.upstream.as_mut().unwrap().metadata.uid = Some("led-2".to_owned());
        world.changed().run_for(secs(100));
        has_run_after(&world, &[1, 2, 3], 0);
        world.upstream_succeeds().run_for(secs(100));
        has_run_after(&world, &[1, 2, 3, 4], 0);
    }
}

#[test]
fn impossible_times_of_a_cursor_stop_no_run() {
    for mut world in after_three_runs() {
        world.edit_status(|status| {
            let (cursor, ahead) = (status.last_upstream_run.as_mut().unwrap(), Some(Time::from(Timestamp::MAX)));
            (cursor.recorded_time, cursor.counts_since_time) = (ahead, ahead);
        });
        world.run_for(secs(100));
        world.upstream_succeeds().run_for(secs(100));
        has_run_after(&world, &[1, 2, 3, 4], 0);
        world.restore_upstream(2).upstream_succeeds().run_for(secs(100));
        has_run_after(&world, &[1, 2, 3, 4, 3], 1);
    }
}

#[test]
fn cursor_of_an_earlier_version_is_not_set_back() {
    for mut world in after_three_runs() {
        world.edit_status(|status| status.last_upstream_run.as_mut().unwrap().recorded_time = None);
        world.restore_upstream(2).upstream_succeeds().run_for(secs(100));
        has_run_after(&world, &[1, 2, 3], 0);
        world.upstream_succeeds().run_for(secs(100));
        has_run_after(&world, &[1, 2, 3, 4], 0);
        world.restore_upstream(2).upstream_succeeds().run_for(secs(100));
        has_run_after(&world, &[1, 2, 3, 4, 3], 1);
    }
}

#[test]
fn reset_after_an_upgrade_is_noticed() {
    for mut world in after_three_runs() {
        world.edit_status(|status| status.last_upstream_run.as_mut().unwrap().recorded_time = None);
        world.run_for(secs(100));
        world.restore_upstream(0).upstream_succeeds().run_for(secs(100));
        has_run_after(&world, &[1, 2, 3, 1], 1);
    }
}

#[test]
fn reset_before_an_uninstall_starts_one_run_afterwards() {
    for mut world in after_three_runs() {
        world.upstream_succeeds().run_for(secs(5)).is(RunState::Running, Reason::Running);
        world.drain = Some(DrainMode::Wait);
        world.restore_upstream(0);
        for _ in 0..4 {
            world.upstream_ends(RunState::Failed, 20);
        }
        world.upstream_succeeds().run_for(secs(100)).is(RunState::Succeeded, Reason::Succeeded);
        has_run_after(&world, &[1, 2, 3, 4], 0);
        world.drain = None;
        world.changed().run_for(secs(100));
        has_run_after(&world, &[1, 2, 3, 4, 5], 1);
    }
}
