//! The list that is read because polls do not show the operation: when, how often, and what it proves.

use model::script::{World, secs, service_error};
use tabular_operator::api::{Reason, RunState};
use tabular_operator::engine::{Effect, EffectResult};
use tabular_operator::operation::{PollResult, ServiceErrorKind};

/// A run whose operation has been visible for long enough.
fn running() -> World {
    let mut world = World::new(|_| {});
    world.service.length = secs(10_000);
    world.run_for(secs(200)).is(RunState::Running, Reason::Running);
    world
}

#[test]
fn operation_is_lost_after_ten_incomplete_lists() {
    let mut world = running();
    (world.service.ops[0].lost, world.service.truncated) = (true, true);
    world.run_for(secs(60)).is(RunState::Running, Reason::Running);
    world.run_for(secs(1_200)).is(RunState::Failed, Reason::OperationLost);
    assert_eq!(world.service.lists, 11);
}

#[test]
fn unknown_operation_is_listed_after_the_visibility_timeout() {
    let world = running();
    let submitted = world.run().submitted_time.unwrap().timestamp();
    for (after, is_listed) in [(150, false), (151, true)] {
        let decision = world.decide_at(submitted + secs(after), EffectResult::Polled(PollResult::NotFound));
        assert_eq!(matches!(decision.effect, Effect::List(..)), is_listed, "{after} s after the intent");
    }
}

#[test]
fn list_is_read_after_ten_errors_of_the_service() {
    for (kind, expected) in [(ServiceErrorKind::ServerError, Some(11)), (ServiceErrorKind::Unreachable, None)] {
        let mut world = running();
        world.service.poll_error = Some(service_error(kind));
        let before = world.service.polls;
        let polls = (0..1_000).find_map(|_| {
            let is_listed = world.run_for(secs(1)).service.lists > 0;
            is_listed.then(|| world.service.polls - before)
        });
        assert_eq!(polls, expected, "{kind:?}");
    }
}

#[test]
fn missing_model_is_checked_at_the_visibility_timeout() {
    let mut world = World::new(|_| {});
    world.service.length = secs(10_000);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    world.service.poll_error = Some(service_error(ServiceErrorKind::NotFound));
    world.run_for(secs(139));
    assert_eq!(world.service.finds, 0);
    world.run_for(secs(4));
    assert_eq!(world.service.finds, 1);
}
