//! What a record means to the queue of its model.

use jiff::Timestamp;

use model::script::{World, secs, settings};
use tabular_operator::api::{Reason, Run, RunState, Status};
use tabular_operator::engine::{QueueState, queue_state};

fn with(run: &Run, state: RunState, reason: Reason, now: Timestamp) -> QueueState {
    let run = Run { state, reason: reason.as_str().to_owned(), ..run.clone() };
    queue_state(&Status { run: Some(run), ..Status::default() }, now, &settings())
}

#[test]
fn queue_state_by_run_state() {
    let mut world = World::new(|_| {});
    world.run_for(secs(10));
    let run = world.run();
    let waits = QueueState::Waiting(run.requested_time);
    for (state, reason, means) in [
        (RunState::Waiting, Reason::WaitingForTurn, waits),
        (RunState::Waiting, Reason::ModelBusy, waits),
        (RunState::Waiting, Reason::BackingOff, waits),
        (RunState::Waiting, Reason::Suspended, QueueState::None),
        (RunState::Waiting, Reason::SecretNotFound, QueueState::None),
        (RunState::Waiting, Reason::AccessDenied, QueueState::None),
        (RunState::Waiting, Reason::Retrying, QueueState::None),
        (RunState::Waiting, Reason::CapacityExceeded, waits),
        (RunState::Submitting, Reason::Submitting, QueueState::Holding),
        (RunState::Submitting, Reason::ResolvingSubmission, QueueState::Holding),
        (RunState::Submitting, Reason::SubmissionUnknown, QueueState::None),
        (RunState::Running, Reason::Running, QueueState::Holding),
        (RunState::Running, Reason::CapacityExceeded, QueueState::Holding),
        (RunState::Running, Reason::Retrying, QueueState::None),
        (RunState::Running, Reason::SecretNotFound, QueueState::None),
        (RunState::Cancelling, Reason::Cancelling, QueueState::Holding),
        (RunState::Cancelling, Reason::Retrying, QueueState::None),
        (RunState::Succeeded, Reason::Succeeded, QueueState::None),
        (RunState::Failed, Reason::RefreshFailed, QueueState::None),
    ] {
        assert_eq!(with(run, state, reason, world.now()), means, "{state:?} {reason}");
    }
    assert_eq!(queue_state(&Status::default(), world.now(), &settings()), QueueState::None);
}

#[test]
fn unresolved_submission_holds_until_it_can_no_longer_arrive() {
    let mut world = World::new(|_| {});
    world.run_for(secs(10));
    let run = world.run();
    let intent = run.submitted_time.unwrap().timestamp();
    for reason in [Reason::Retrying, Reason::CredentialsRefused, Reason::AccessDenied, Reason::SecretNotFound, Reason::ModelNotFound] {
        for (after, means) in [(0, QueueState::Holding), (39, QueueState::Holding), (40, QueueState::None), (86_400, QueueState::None)] {
            assert_eq!(with(run, RunState::Submitting, reason, intent + secs(after)), means, "{reason} after {after} s");
        }
    }
    for reason in [Reason::Submitting, Reason::ResolvingSubmission] {
        assert_eq!(with(run, RunState::Submitting, reason, intent + secs(86_400)), QueueState::Holding, "{reason}");
    }
}
