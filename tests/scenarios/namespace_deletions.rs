//! The deletion of a namespace, which stops waiting for an operation: when, and what the event reports.

use model::script::{World, blocked, failed, secs, service_error};
use tabular_operator::api::{Reason, RunState};
use tabular_operator::engine::EffectResult;
use tabular_operator::operation::{ServiceError, ServiceErrorKind};

/// A running operation that no cancellation ends, in a namespace that is being deleted.
fn running() -> World {
    let mut world = World::new(|_| {});
    (world.service.length, world.service.cancels_after) = (secs(1_000), None);
    world.run_for(secs(10)).is(RunState::Running, Reason::Running);
    world.namespace_terminating = true;
    world
}

#[test]
fn released_operation_is_reported_with_what_hid_its_end() {
    let unseen = "operation op-0 may still be running (operation op-0 is still running but cannot be polled: ";
    for (failure, begin, end) in [
        (None, "operation op-0 may still be running: the namespace is", ""),
        (blocked(Reason::SecretNotFound), unseen, "something is missing (SecretNotFound)): the namespace is"),
        (failed(ServiceErrorKind::Unreachable), unseen, "Unreachable): the namespace is"),
    ] {
        let mut world = running();
        world.preparation_failure = failure;
        world.delete().run_for(secs(125));
        assert!(world.gone());
        let message = &world.events.iter().find(|event| event.reason == Reason::Released).unwrap().message;
        assert!(message.starts_with(&format!("{begin}{end}")), "{message}");
    }
}

#[test]
fn repeatedly_failed_cancellation_counts_as_tried() {
    let mut world = running();
    world.delete().run_for(secs(5)).is(RunState::Cancelling, Reason::Cancelling);
    // The next operator sends none: at 5, 55 and 105 seconds its calls are throttled.
    let throttle = ServiceError { retry_after: Some(secs(50)), ..service_error(ServiceErrorKind::Throttled) };
    world.preparation_failure = Some(EffectResult::CallFailed(throttle));
    world.restart().run_for(secs(110));
    assert!(!world.gone());
    world.run_for(secs(6));
    assert!(world.gone() && world.service.cancels.len() == 1);
}
