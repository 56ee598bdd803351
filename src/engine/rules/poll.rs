//! The result of a poll: the operation is running, has ended, or is unknown to the service.

use std::time::Duration;

use super::completion::Lost;
use super::errors::{self, Grade};
use super::evidence::Evidence;
use super::{completion, gone, progress};
use crate::api::{Reason, Run, RunState, Time};
use crate::engine::draft::Pass;
use crate::engine::next::Next;
use crate::engine::{Effect, Seen, text, timing};
use crate::operation::{Look, Operation, OperationId, Trouble, TroubleKind};

/// Truncated lists in a row before an operation that the service does not show counts as lost.
const PARTS_READ: u32 = 10;

/// Polls the operation.
pub(super) fn look(pass: &Pass<'_>, id: OperationId) -> Next {
    let handle = pass.handle(id);
    Next::record(Effect::Look(handle), None)
}

/// A record without an id: a client has edited the status. The submission is resolved as one whose response was lost.
pub(super) fn lost_id(pass: &mut Pass<'_>) -> Next {
    if let Some(run) = pass.record.run.as_mut() {
        run.operation_id = None;
        run.tell(
            RunState::Submitting,
            Reason::ResolvingSubmission,
            "the status has no operation id, so the operator reads the service's list",
        );
    }
    Next::record(Effect::Nothing, Some(Duration::ZERO))
}

/// Handles the result of a poll, or of the list after a poll that found nothing.
pub(super) fn observed(pass: &mut Pass<'_>, id: &OperationId) -> Next {
    match &pass.situation.seen {
        Seen::Look(Look::Found { operation, .. }) if !id.same(operation.id.as_str()) => {
            // It is not this run's operation, so it must not end the run.
            troubled_briefly(pass)
        }
        Seen::Look(Look::Found { operation, retry_after, location }) => {
            // A `Location` that is too long leaves the previous one.
            if let Some(newer) = location.as_deref().and_then(text::location) {
                pass.scratch.location = Some(newer);
            }
            found(pass, operation, *retry_after)
        }
        Seen::Look(Look::Gone) => gone(pass),
        Seen::Listing { result: Ok(listing), taken, .. } => {
            match listing.operations.iter().find(|operation| id.same(operation.id.as_str())) {
                Some(operation) => found(pass, operation, None),
                // A truncated list proves nothing. But a service that has lost the operation will not show it later either.
                None if listing.truncated && pass.scratch.contradictions < PARTS_READ => {
                    pass.scratch.contradictions += 1;
                    let pause = timing::retry(pass.scratch.contradictions, pass.seed());
                    pass.stop_for(pause)
                }
                None => {
                    let evidence = Evidence::of(pass, listing, taken);
                    let may_show_it = |evidence: Evidence<'_>| {
                        let may_be = |operation: &Operation| evidence.may_match(operation) && !evidence.seems_older(operation);
                        listing.operations.iter().any(may_be)
                    };
                    let proves = !listing.truncated && !evidence.is_some_and(may_show_it);
                    completion::lost(pass, if proves { Lost::Alone } else { Lost::Unproved })
                }
            }
        }
        Seen::Look(Look::Trouble(trouble)) | Seen::Listing { result: Err(trouble), .. } if gone::is_in_question(pass, trouble) => {
            gone::ask()
        }
        Seen::Presence(presence) => match gone::trouble_of(pass, presence) {
            Some(trouble) => unsure(pass, &trouble),
            None => gone::decide(pass),
        },
        Seen::Look(Look::Trouble(trouble)) | Seen::Listing { result: Err(trouble), .. } | Seen::Trouble(trouble) => {
            troubled(pass, trouble, "cannot be polled")
        }
        Seen::Fault(fault) => {
            if let Some(run) = pass.record.run.as_mut() {
                run.tell(run.state, fault.reason, format!("operation {id} is still running but cannot be polled: {}", fault.message));
            }
            let pause = timing::cluster(pass.hindered_for());
            pass.stop_for(pause)
        }
        Seen::Nothing | Seen::Resolved(_) | Seen::Turn(_) | Seen::Submission(_) | Seen::Cancellation(_) => {
            Next::record(Effect::Nothing, Some(timing::CLUSTER))
        }
    }
}

/// The service shows the operation.
fn found(pass: &mut Pass<'_>, operation: &Operation, retry_after: Option<Duration>) -> Next {
    let settings = pass.situation.settings;
    pass.scratch.troubles = 0;
    (pass.scratch.unseen, pass.scratch.gone_since) = (false, None);
    if operation.phase.ended() {
        return completion::ended(pass, operation);
    }
    pass.scratch.contradictions = 0;
    let now = pass.now;
    let written = pass.scratch.progress_written;
    let mut pause = settings.poll_min;
    let cancelling = pass.record.run.as_ref().is_some_and(|run| run.state == RunState::Cancelling);
    if let Some(run) = pass.record.run.as_mut() {
        let elapsed = run.submitted_time.map_or(settings.poll_min, |submitted| timing::between(submitted.timestamp(), now));
        pause = if cancelling { timing::brief(settings) } else { timing::poll(settings, elapsed, (&pass.desired.uid, now)) };
        // Clears a stale polling error.
        let (calm, message) = if cancelling {
            (Reason::Cancelling, format!("operation {} is being cancelled", operation.id))
        } else {
            (Reason::Running, format!("the service runs operation {}", operation.id))
        };
        let recovered = run.why() != Some(calm) && !(cancelling && pass.scratch.cancel_refusals > 0);
        if recovered {
            run.tell(run.state, calm, message);
        }
        let due = written.is_none_or(|at| timing::passed(at, timing::PROGRESS, now));
        if recovered || due {
            let before = run.clone();
            progress::record(run, operation);
            if let Some(newer) = &pass.scratch.location {
                run.location = Some(newer.clone());
            }
            run.started_time = operation.start.map(Time::from).or(run.started_time);
            if *run != before {
                pass.scratch.progress_written = Some(now);
            }
        }
    }
    // A user waits for the end of an operation that is being cancelled, and the cancellation may have to be repeated.
    let longest = if cancelling { timing::SERVICE } else { timing::LONGEST_ABSENCE };
    pass.stop_for(pause.max(timing::asked(retry_after).min(longest)))
}

/// Handles an operation that the service does not show. A recent one may not be visible yet; otherwise the list is requested.
fn gone(pass: &mut Pass<'_>) -> Next {
    let submitted = pass.record.run.as_ref().and_then(|run| run.submitted_time).map_or(pass.now, Time::timestamp);
    let age = timing::between(submitted, pass.now);
    if age < timing::seen_after(pass.situation.settings) {
        let pause = timing::poll(pass.situation.settings, age, pass.seed());
        return pass.stop_for(pause);
    }
    pass.scratch.troubles = 0;
    let kind = pass.kind();
    Next::record(Effect::List(kind, submitted), None)
}

/// Handles a model whose existence is unknown, so that its operation may still be running. Each check costs three calls.
fn unsure(pass: &mut Pass<'_>, trouble: &Trouble) -> Next {
    if let Some(run) = pass.record.run.as_mut() {
        let id = run.operation_id.clone().unwrap_or_default();
        run.tell(
            run.state,
            errors::reason(trouble.kind),
            format!("operation {id} is still running but cannot be polled: {}", trouble.message),
        );
    }
    pass.stop_for(timing::SERVICE)
}

/// Polls again later, without a write.
fn troubled_briefly(pass: &mut Pass<'_>) -> Next {
    pass.scratch.troubles = pass.scratch.troubles.saturating_add(1);
    let pause = timing::retry(pass.scratch.troubles, pass.seed());
    pass.stop_for(pause)
}

/// Handles a failed call. The operation counts as running, and its id stays recorded.
pub(super) fn troubled(pass: &mut Pass<'_>, trouble: &Trouble, what: &str) -> Next {
    pass.scratch.troubles = pass.scratch.troubles.saturating_add(1);
    // `azure::limiter` delays the calls that are throttled, each kind separately. Calls of another kind need not wait.
    let mut pause = errors::pause(trouble, (pass.scratch.troubles, 0), pass.seed()).min(timing::SERVICE);
    if trouble.kind == TroubleKind::NotFound {
        // From then on the operator checks whether the model exists.
        let submitted = pass.record.run.as_ref().and_then(|run| run.submitted_time).map_or(pass.now, Time::timestamp);
        let settings = pass.situation.settings;
        let in_question = timing::seen_after(settings).saturating_sub(timing::between(submitted, pass.now));
        pause = if in_question.is_zero() { pause } else { pause.min(in_question.max(settings.poll_min)) };
    }
    let passing = match errors::grade(trouble.kind) {
        Grade::Transient | Grade::Rejected => true,
        Grade::Blocked => false,
    };
    if passing && !errors::lasts(trouble, pass.scratch.troubles) {
        return pass.stop_for(pause);
    }
    let reason = errors::reason(trouble.kind);
    // A repeated transient error is not worth a write.
    let known = |run: &Run| passing && run.why() == Some(reason) && !errors::is_news(trouble, &run.message);
    if let Some(run) = pass.record.run.as_mut().filter(|run| !known(run)) {
        let id = run.operation_id.clone().unwrap_or_default();
        run.tell(run.state, reason, format!("operation {id} is still running but {what}: {}", trouble.message));
    }
    pass.stop_for(pause)
}
