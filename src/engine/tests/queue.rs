//! What a record means to the queue of its model.

use jiff::Timestamp;

use crate::api::{Reason, Run, RunState, Status};
use crate::engine::{TurnUse, turn_use};

use super::world::{World, secs, settings};

fn with(run: &Run, state: RunState, reason: Reason, now: Timestamp) -> TurnUse {
    let run = Run { state, reason: reason.as_str().to_owned(), ..run.clone() };
    turn_use(&Status { run: Some(run), ..Status::default() }, now, &settings())
}

#[test]
fn queue_state_by_run_state() {
    let mut world = World::new(|_| {});
    world.run_for(secs(10));
    let run = world.run();
    let waits = TurnUse::Waits(run.requested_time);
    for (state, reason, means) in [
        (RunState::Waiting, Reason::WaitingForTurn, waits),
        (RunState::Waiting, Reason::ModelBusy, waits),
        (RunState::Waiting, Reason::BackingOff, waits),
        (RunState::Waiting, Reason::Suspended, TurnUse::Free),
        (RunState::Waiting, Reason::SecretNotFound, TurnUse::Free),
        (RunState::Waiting, Reason::AccessDenied, TurnUse::Free),
        (RunState::Waiting, Reason::Retrying, TurnUse::Free),
        (RunState::Waiting, Reason::CapacityExceeded, waits),
        (RunState::Submitting, Reason::Submitting, TurnUse::Holds),
        (RunState::Submitting, Reason::ResolvingSubmission, TurnUse::Holds),
        (RunState::Submitting, Reason::SubmissionUnknown, TurnUse::Free),
        (RunState::Running, Reason::Running, TurnUse::Holds),
        (RunState::Running, Reason::CapacityExceeded, TurnUse::Holds),
        (RunState::Running, Reason::Retrying, TurnUse::Free),
        (RunState::Running, Reason::SecretNotFound, TurnUse::Free),
        (RunState::Cancelling, Reason::Cancelling, TurnUse::Holds),
        (RunState::Cancelling, Reason::Retrying, TurnUse::Free),
        (RunState::Succeeded, Reason::Succeeded, TurnUse::Free),
        (RunState::Failed, Reason::RefreshFailed, TurnUse::Free),
    ] {
        assert_eq!(with(run, state, reason, world.now), means, "{state:?} {reason}");
    }
    assert_eq!(turn_use(&Status::default(), world.now, &settings()), TurnUse::Free);
}

#[test]
fn unresolved_submission_holds_until_it_can_no_longer_arrive() {
    let mut world = World::new(|_| {});
    world.run_for(secs(10));
    let run = world.run();
    let intent = run.submitted_time.unwrap().timestamp();
    for reason in [Reason::Retrying, Reason::CredentialsRefused, Reason::AccessDenied, Reason::SecretNotFound, Reason::ModelNotFound] {
        for (after, means) in [(0, TurnUse::Holds), (39, TurnUse::Holds), (40, TurnUse::Free), (86_400, TurnUse::Free)] {
            assert_eq!(with(run, RunState::Submitting, reason, intent + secs(after)), means, "{reason} after {after} s");
        }
    }
    for reason in [Reason::Submitting, Reason::ResolvingSubmission] {
        assert_eq!(with(run, RunState::Submitting, reason, intent + secs(86_400)), TurnUse::Holds, "{reason}");
    }
}
