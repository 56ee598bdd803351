//! What a record means to the queue of its model.

use crate::api::{Reason, Run, RunState, Status};
use crate::engine::{TurnUse, turn_use};

use super::world::{World, secs};

fn with(run: &Run, state: RunState, reason: Reason) -> TurnUse {
    let run = Run { state, reason: reason.as_str().to_owned(), ..run.clone() };
    turn_use(&Status { run: Some(run), ..Status::default() })
}

#[test]
fn who_waits_for_a_human_holds_up_nobody_and_who_may_run_holds() {
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
        (RunState::Submitting, Reason::Submitting, TurnUse::Holds),
        (RunState::Submitting, Reason::ResolvingSubmission, TurnUse::Holds),
        (RunState::Submitting, Reason::SubmissionUnknown, TurnUse::Free),
        (RunState::Running, Reason::Running, TurnUse::Holds),
        (RunState::Running, Reason::Retrying, TurnUse::Holds),
        (RunState::Running, Reason::SecretNotFound, TurnUse::Free),
        (RunState::Cancelling, Reason::Cancelling, TurnUse::Holds),
        (RunState::Succeeded, Reason::Succeeded, TurnUse::Free),
        (RunState::Failed, Reason::RefreshFailed, TurnUse::Free),
    ] {
        assert_eq!(with(run, state, reason), means, "{state:?} {reason}");
    }
    assert_eq!(turn_use(&Status::default()), TurnUse::Free);
}
