//! A run whose operation the service has: looked at until the service says that it has ended.

use super::pass::Pass;
use super::troubles::{self, Grade};
use super::{Effect, Seen, Step, ending, pace, progress, triggers, waiting};
use crate::api::{CancelCause, ConcurrencyPolicy, Reason, Run, RunState, Time};
use crate::operation::{Cancellation, Look, Operation, OperationId, Trouble};

/// Troubles in a row before a run that goes on says so: a single lost answer is not worth a write.
const TROUBLES_SHOWN: u32 = 3;

/// Decides for a run that is recorded as Running.
pub(super) fn running(mut pass: Pass<'_>) -> Step {
    let Some(id) = pass.record.run.as_ref().and_then(Run::operation) else {
        return lost_id(pass);
    };
    match &pass.situation.seen {
        Seen::Nothing => {
            if let Some(cause) = cancel_cause(&mut pass) {
                return cancel(pass, cause, id);
            }
            match pass.not_before() {
                Some(pause) => pass.stop(Effect::Nothing, Some(pause)),
                None => pass.keep(Effect::Look(id), None),
            }
        }
        Seen::Look(_) | Seen::Listing { .. } | Seen::Trouble(_) | Seen::Fault(_) => observed(pass, id),
        Seen::Turn(_) | Seen::Submission(_) | Seen::Cancellation(_) | Seen::ResubmitTaken => {
            pass.keep(Effect::Nothing, Some(pace::CLUSTER))
        }
    }
}

/// Decides for a run that is recorded as Cancelling.
pub(super) fn cancelling(mut pass: Pass<'_>) -> Step {
    let Some(id) = pass.record.run.as_ref().and_then(Run::operation) else {
        return lost_id(pass);
    };
    match &pass.situation.seen {
        // The request to cancel may have been lost, and to repeat it does no harm.
        Seen::Nothing => match pass.not_before() {
            Some(pause) => pass.stop(Effect::Nothing, Some(pause)),
            None if waiting::cancel_is_due(&pass) => pass.keep(Effect::Cancel(id), None),
            None => pass.keep(Effect::Look(id), None),
        },
        // Accepted is not cancelled, and "nothing to cancel" is no end either: only a look tells.
        Seen::Cancellation(Cancellation::Accepted | Cancellation::NothingToCancel) => {
            pass.scratch.cancelled_at = Some(pass.now);
            pass.scratch.troubles = 0;
            let pause = pace::brief(pass.situation.settings);
            pass.keep_for(pause)
        }
        Seen::Cancellation(Cancellation::Trouble(trouble)) => {
            // The operation may have ended meanwhile, so the next look comes first.
            pass.scratch.cancelled_at = pass.now.checked_sub(pace::CANCEL_AGAIN / 2).ok();
            troubled(pass, trouble)
        }
        Seen::Look(_) | Seen::Listing { .. } | Seen::Trouble(_) | Seen::Fault(_) => observed(pass, id),
        Seen::Turn(_) | Seen::Submission(_) | Seen::ResubmitTaken => pass.keep(Effect::Nothing, Some(pace::CLUSTER)),
    }
}

/// A record without an id: somebody has written into the status. The submission is resolved as one whose answer was lost.
fn lost_id(mut pass: Pass<'_>) -> Step {
    if let Some(run) = pass.record.run.as_mut() {
        run.tell(RunState::Submitting, Reason::ResolvingSubmission, "the status lost the operation's id, so the service's listing is read");
    }
    pass.stop(Effect::Nothing, Some(std::time::Duration::ZERO))
}

/// What a look, or the listing after a look that found nothing, showed.
fn observed(pass: Pass<'_>, id: OperationId) -> Step {
    match &pass.situation.seen {
        Seen::Look(Look::Found(operation, retry_after)) => {
            let operation = (**operation).clone();
            found(pass, &operation, *retry_after)
        }
        Seen::Look(Look::Gone) => gone(pass),
        Seen::Listing { result: Ok(listing), .. } => match listing.operations.iter().find(|operation| id.same(operation.id.as_str())) {
            Some(operation) => {
                let operation = operation.clone();
                found(pass, &operation, None)
            }
            None if listing.truncated => troubled_briefly(pass),
            None => ending::lost(pass),
        },
        Seen::Look(Look::Trouble(trouble)) | Seen::Listing { result: Err(trouble), .. } | Seen::Trouble(trouble) => {
            let trouble = trouble.clone();
            troubled(pass, &trouble)
        }
        Seen::Fault(fault) => {
            let fault = fault.clone();
            let mut pass = pass;
            if let Some(run) = pass.record.run.as_mut() {
                run.tell(run.state, fault.reason, format!("operation {id} goes on, but cannot be looked at: {}", fault.message));
            }
            pass.stop_for(pace::CLUSTER)
        }
        Seen::Nothing | Seen::Turn(_) | Seen::Submission(_) | Seen::Cancellation(_) | Seen::ResubmitTaken => {
            pass.keep(Effect::Nothing, Some(pace::CLUSTER))
        }
    }
}

/// Whether the operation is to be cancelled, and what a trigger that came meanwhile means.
fn cancel_cause(pass: &mut Pass<'_>) -> Option<CancelCause> {
    let submitted = pass.record.run.as_ref()?.submitted_time?.timestamp();
    if submitted.checked_add(pass.desired.policy.active_deadline).is_ok_and(|deadline| pass.now >= deadline) {
        return Some(CancelCause::Deadline);
    }
    let Some(due) = triggers::due(pass.desired, &pass.record).filter(|_| !pass.deleting()) else {
        triggers::settle(pass.desired, &mut pass.record);
        return None;
    };
    if pass.desired.fault.is_some() || pass.desired.policy.suspend {
        return None;
    }
    match pass.desired.policy.concurrency {
        ConcurrencyPolicy::Queue => {
            pass.record.queued = Some(due);
            None
        }
        ConcurrencyPolicy::Replace => Some(CancelCause::Replacement),
        ConcurrencyPolicy::Forbid => {
            triggers::settle(pass.desired, &mut pass.record);
            pass.notice(
                Reason::TriggerDropped,
                true,
                format!("a trigger ({}) came during a run, and concurrencyPolicy is Forbid", due.r#type),
            );
            None
        }
    }
}

/// Records that the operation is to be cancelled, and asks the service to.
pub(super) fn cancel(mut pass: Pass<'_>, cause: CancelCause, id: OperationId) -> Step {
    let why = match cause {
        CancelCause::Deletion => "its resource is being deleted".to_owned(),
        CancelCause::Replacement => "a new trigger replaces it (concurrencyPolicy: Replace)".to_owned(),
        CancelCause::Deadline => format!("it has run for {} s (activeDeadlineSeconds)", pass.desired.policy.active_deadline.as_secs()),
    };
    if let Some(run) = pass.record.run.as_mut() {
        run.cancel_cause = Some(cause);
        run.tell(RunState::Cancelling, Reason::Cancelling, format!("operation {id} is being cancelled: {why}"));
    }
    pass.scratch = super::Scratch::default();
    pass.stop(Effect::Cancel(id), None)
}

/// The service shows the operation.
fn found(mut pass: Pass<'_>, operation: &Operation, retry_after: Option<std::time::Duration>) -> Step {
    let settings = pass.situation.settings;
    pass.scratch.troubles = 0;
    if operation.phase.ended() {
        return ending::ended(pass, operation);
    }
    pass.scratch.contradictions = 0;
    let now = pass.now;
    let written = pass.scratch.progress_written;
    let mut pause = settings.poll_min;
    if let Some(run) = pass.record.run.as_mut() {
        let elapsed = run.submitted_time.map_or(settings.poll_min, |submitted| pace::between(submitted.timestamp(), now));
        pause = match run.state {
            RunState::Cancelling => pace::brief(settings),
            RunState::Waiting
            | RunState::Submitting
            | RunState::Running
            | RunState::Succeeded
            | RunState::Failed
            | RunState::TimedOut
            | RunState::Cancelled => pace::poll(settings, elapsed, (&pass.desired.uid, now)),
        };
        // It can be seen again.
        let calm = if run.state == RunState::Cancelling { Reason::Cancelling } else { Reason::Running };
        let mended = run.why() != Some(calm);
        if mended {
            let message = match run.state {
                RunState::Cancelling => format!("operation {} is being cancelled", operation.id),
                RunState::Waiting
                | RunState::Submitting
                | RunState::Running
                | RunState::Succeeded
                | RunState::Failed
                | RunState::TimedOut
                | RunState::Cancelled => format!("the service runs operation {}", operation.id),
            };
            run.tell(run.state, calm, message);
        }
        let due = written.is_none_or(|at| pace::between(at, now) >= pace::PROGRESS);
        if mended || due {
            let before = run.clone();
            progress::record(run, operation);
            run.started_time = operation.start.map(Time::from).or(run.started_time);
            if *run != before {
                pass.scratch.progress_written = Some(now);
            }
        }
    }
    pass.stop_for(pause.max(retry_after.unwrap_or_default()))
}

/// The service does not know the operation. A young one may not be visible yet; otherwise the listing is asked.
fn gone(mut pass: Pass<'_>) -> Step {
    let submitted = pass.record.run.as_ref().and_then(|run| run.submitted_time).map_or(pass.now, Time::timestamp);
    let age = pace::between(submitted, pass.now);
    if age < pass.situation.settings.listing_lag {
        let pause = pace::poll(pass.situation.settings, age, pass.seed());
        return pass.keep_for(pause);
    }
    pass.scratch.troubles = 0;
    pass.keep(Effect::List(submitted), None)
}

/// Nothing was learnt, and it is no news.
fn troubled_briefly(mut pass: Pass<'_>) -> Step {
    pass.scratch.troubles = pass.scratch.troubles.saturating_add(1);
    let pause = pace::retry(pass.scratch.troubles, pass.seed());
    pass.keep_for(pause)
}

/// A call brought nothing. The operation goes on, and its id stays on record.
fn troubled(mut pass: Pass<'_>, trouble: &Trouble) -> Step {
    pass.scratch.troubles = pass.scratch.troubles.saturating_add(1);
    let pause = troubles::pause(trouble, pass.scratch.troubles, pass.seed());
    let passing = match troubles::grade(trouble.kind) {
        Grade::Transient | Grade::Rejected => true,
        Grade::Blocked => false,
    };
    if passing && pass.scratch.troubles < TROUBLES_SHOWN {
        return pass.keep_for(pause);
    }
    if let Some(run) = pass.record.run.as_mut() {
        let id = run.operation_id.clone().unwrap_or_default();
        let message = format!("operation {id} goes on, but cannot be looked at: {}", trouble.message);
        run.tell(run.state, troubles::reason(trouble.kind), message);
    }
    pass.stop_for(pause)
}
