//! A run whose operation the service has: looked at until the service says that it has ended.

use jiff::Timestamp;

use super::conditions::Standing;
use super::ending::Lost;
use super::evidence::Evidence;
use super::next::Next;
use super::pass::Pass;
use super::troubles::{self, Grade};
use super::{Desired, Effect, Leaving, Seen, Step, cancellation, ending, gone, pace, progress, text, triggers};
use crate::api::{CancelCause, ConcurrencyPolicy, DeletionPolicy, Reason, Run, RunState, Time, TriggerType};
use crate::operation::{Cancellation, Look, Operation, OperationId, Trouble, TroubleKind};

/// Listings in a row that were cut short before an operation that the service does not know is taken for lost.
const PARTS_READ: u32 = 10;

/// Decides for a run that is recorded as Running.
pub(super) fn running(pass: &mut Pass<'_>) -> Next {
    let Some(id) = pass.record.run.as_ref().and_then(Run::operation) else {
        return lost_id(pass);
    };
    // A trigger that waits, or was dropped, is on record before it can be met again.
    let due = heed_triggers(pass);
    match &pass.situation.seen {
        Seen::Nothing => {
            if let Some(cause) = cancel_cause(pass, due) {
                let can_be_cancelled = pass.kind().offers().cancel;
                return if can_be_cancelled { Next::Cancel { cause, id } } else { ending::let_go(pass, &id) };
            }
            match pass.not_before() {
                Some(pause) => Next::record(Effect::Nothing, Some(pause)),
                None => look(pass, id),
            }
        }
        Seen::Look(_) | Seen::Listing { .. } | Seen::Presence(_) | Seen::Trouble(_) | Seen::Fault(_) => observed(pass, &id),
        Seen::Resolved(_) | Seen::Turn(_) | Seen::Submission(_) | Seen::Cancellation(_) => {
            Next::record(Effect::Nothing, Some(pace::CLUSTER))
        }
    }
}

/// Decides for a run that is recorded as Cancelling.
pub(super) fn cancelling(pass: &mut Pass<'_>) -> Next {
    let Some(id) = pass.record.run.as_ref().and_then(Run::operation) else {
        return lost_id(pass);
    };
    heed_triggers(pass);
    match &pass.situation.seen {
        // The request to cancel may have been lost, and to repeat it does no harm.
        Seen::Nothing => match pass.not_before() {
            Some(pause) => Next::record(Effect::Nothing, Some(pause)),
            None if !pass.scratch.look_first && pass.cancel_is_due() => Next::record(Effect::Cancel(id), None),
            None => look(pass, id),
        },
        // Accepted is not cancelled, and "nothing to cancel" is no end either: only a look tells.
        Seen::Cancellation(Cancellation::Accepted | Cancellation::NothingToCancel) => {
            (pass.scratch.cancelled_at, pass.scratch.look_first) = (Some(pass.now), true);
            pass.scratch.cancel_refusals = 0;
            pass.scratch.troubles = 0;
            let pause = pace::brief(pass.situation.settings);
            pass.stop_for(pause)
        }
        // Where the model is not to be seen, there may be nothing to cancel any more: a look tells.
        Seen::Cancellation(Cancellation::Trouble(Trouble { kind: TroubleKind::NotFound, .. })) => {
            (pass.scratch.cancelled_at, pass.scratch.look_first) = (Some(pass.now), true);
            let pause = pace::brief(pass.situation.settings);
            pass.stop_for(pause)
        }
        Seen::Cancellation(Cancellation::Trouble(trouble)) => uncancelled(pass, trouble),
        // It could not even be sent.
        Seen::Trouble(trouble) if !pass.scratch.look_first && pass.cancel_is_due() => uncancelled(pass, trouble),
        Seen::Look(_) | Seen::Listing { .. } | Seen::Presence(_) | Seen::Trouble(_) | Seen::Fault(_) => {
            pass.scratch.look_first = false;
            observed(pass, &id)
        }
        Seen::Resolved(_) | Seen::Turn(_) | Seen::Submission(_) => Next::record(Effect::Nothing, Some(pace::CLUSTER)),
    }
}

/// The operation may have ended meanwhile, so the next look comes first.
fn uncancelled(pass: &mut Pass<'_>, trouble: &Trouble) -> Next {
    if pass.scratch.cancel_refusals > 0 {
        // The second in a row is news, whatever the look in between has brought.
        pass.scratch.troubles = pass.scratch.troubles.max(troubles::SHOWN - 1);
    }
    pass.scratch.cancel_refusals = pass.scratch.cancel_refusals.saturating_add(1);
    let until_next = pace::cancel_again(pass.scratch.cancel_refusals);
    pass.scratch.cancelled_at = pass.now.checked_sub(pace::CANCEL_AGAIN.saturating_sub(until_next)).ok();
    pass.scratch.look_first = true;
    troubled(pass, trouble, "cannot be cancelled")
}

fn look(pass: &mut Pass<'_>, id: OperationId) -> Next {
    let handle = pass.handle(id);
    Next::record(Effect::Look(handle), None)
}

/// A record without an id: somebody has written into the status. The submission is resolved as one whose answer was lost.
fn lost_id(pass: &mut Pass<'_>) -> Next {
    if let Some(run) = pass.record.run.as_mut() {
        run.operation_id = None;
        run.tell(RunState::Submitting, Reason::ResolvingSubmission, "the status lost the operation's id, so the service's listing is read");
    }
    Next::record(Effect::Nothing, Some(std::time::Duration::ZERO))
}

/// What a look, or the listing after a look that found nothing, showed.
fn observed(pass: &mut Pass<'_>, id: &OperationId) -> Next {
    match &pass.situation.seen {
        Seen::Look(Look::Found { operation, .. }) if !id.same(operation.id.as_str()) => {
            // Whatever it is, it is not this run's, and must not end it.
            troubled_briefly(pass)
        }
        Seen::Look(Look::Found { operation, retry_after, location }) => {
            // A place that is too long to be kept leaves the one before.
            if let Some(newer) = location.as_deref().and_then(text::location) {
                pass.scratch.location = Some(newer);
            }
            found(pass, operation, *retry_after)
        }
        Seen::Look(Look::Gone) => gone(pass),
        Seen::Listing { result: Ok(listing), taken, .. } => {
            match listing.operations.iter().find(|operation| id.same(operation.id.as_str())) {
                Some(operation) => found(pass, operation, None),
                // A part of the listing proves nothing; but a service that knows it no longer will not show it later either.
                None if listing.truncated && pass.scratch.contradictions < PARTS_READ => {
                    pass.scratch.contradictions += 1;
                    let pause = pace::retry(pass.scratch.contradictions, pass.seed());
                    pass.stop_for(pause)
                }
                None => {
                    let evidence = Evidence::of(pass, listing, taken);
                    let may_show_it = |evidence: Evidence<'_>| {
                        let may_be = |operation: &Operation| evidence.may_match(operation) && !evidence.seems_older(operation);
                        listing.operations.iter().any(may_be)
                    };
                    let proves = !listing.truncated && !evidence.is_some_and(may_show_it);
                    ending::lost(pass, if proves { Lost::Alone } else { Lost::Unproved })
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
            troubled(pass, trouble, "cannot be looked at")
        }
        Seen::Fault(fault) => {
            if let Some(run) = pass.record.run.as_mut() {
                run.tell(run.state, fault.reason, format!("operation {id} goes on, but cannot be looked at: {}", fault.message));
            }
            let pause = pace::cluster(pass.hindered_for());
            pass.stop_for(pause)
        }
        Seen::Nothing | Seen::Resolved(_) | Seen::Turn(_) | Seen::Submission(_) | Seen::Cancellation(_) => {
            Next::record(Effect::Nothing, Some(pace::CLUSTER))
        }
    }
}

/// Whether the operation is to be cancelled, and why; `due` is whether a run is to follow it.
pub(super) fn cancel_cause(pass: &Pass<'_>, due: bool) -> Option<CancelCause> {
    if cancellation::is_pending(pass) && pass.kind().offers().cancel {
        return Some(CancelCause::Request);
    }
    let submitted = pass.record.run.as_ref()?.submitted_time?;
    if pace::after(submitted, pass.desired.policy.active_deadline).is_some_and(|deadline| pass.now >= deadline) {
        return Some(CancelCause::Deadline);
    }
    if pass.desired.leaving == Some(Leaving::Cancel)
        && pass.desired.policy.deletion == DeletionPolicy::Cancel
        && pass.kind().offers().cancel
    {
        return Some(CancelCause::Uninstall);
    }
    let can_begin = pass.desired.fault.is_none() && !pass.desired.policy.suspend && pass.desired.leaving.is_none();
    let replaces = due && pass.desired.policy.concurrency == ConcurrencyPolicy::Replace && pass.kind().offers().cancel;
    (replaces && can_begin).then_some(CancelCause::Replacement)
}

/// Has the resource looked at when the deadline of its operation comes, however long the service asks to wait.
pub(super) fn wake(desired: &Desired, now: Timestamp, step: Step) -> Step {
    let running = step.recorded.run.as_ref().filter(|run| run.state == RunState::Running && step.effect == Effect::Nothing);
    let deadline = running.and_then(|run| pace::after(run.submitted_time?, desired.policy.active_deadline));
    let Some(deadline) = deadline else { return step };
    // Where it has come already, the cancellation may be hindered, and is not tried again at once.
    let pause = Some(pace::between(now, deadline)).filter(|pause| !pause.is_zero()).unwrap_or(pace::SERVICE);
    Step { look_again: Some(pace::at_latest(step.look_again, pause)), ..step }
}

/// Records what a trigger that came during the run means; whether a run is to follow this one.
///
/// `Forbid` drops occurrences alone. A declared change holds until it has run: it is not accepted, so that taking it back starts
/// nothing, and not handled either, so that this run's end is no success of it.
pub(super) fn heed_triggers(pass: &mut Pass<'_>) -> bool {
    if pass.deleting() {
        return false;
    }
    triggers::withdraw(pass);
    // What a run is being cancelled for must then begin, whatever the policy has become.
    let replaced = pass.record.run.as_ref().is_some_and(|run| run.cancel_cause == Some(CancelCause::Replacement));
    if pass.desired.policy.concurrency == ConcurrencyPolicy::Forbid && !replaced {
        forbid(pass);
    } else if triggers::accept(pass.desired, &mut pass.record, pass.now).is_none() {
        triggers::settle(pass.desired, &mut pass.record);
    }
    triggers::next(pass.desired, &pass.record, pass.now).is_some()
}

/// Drops each occurrence that is due, but not what was accepted under another policy.
fn forbid(pass: &mut Pass<'_>) {
    while let Some(due) = triggers::occurrence(pass.desired, &pass.record, pass.now).filter(|due| pass.record.queued.as_ref() != Some(due))
    {
        triggers::drop(pass.desired, &mut pass.record, &due);
        let of = if due.r#type == TriggerType::AfterRefresh { format!(" of {}", due.value) } else { String::new() };
        let message = format!("a trigger ({}{of}) came during a run, and concurrencyPolicy is Forbid", due.r#type);
        pass.notice(Reason::TriggerDropped, message);
    }
    match triggers::declared(pass.desired, &pass.record) {
        Some(change) => pass.stand(Standing::not_run(&pass.record, &change)),
        None if pass.record.queued.is_none() => triggers::settle(pass.desired, &mut pass.record),
        None => {}
    }
}

/// Ends the pass with what was found out before anything else, so that it is reported once.
pub(super) fn keep_record(pass: &mut Pass<'_>) -> Next {
    if pass.record.run.as_ref().is_some_and(|run| matches!(run.state, RunState::Running | RunState::Cancelling)) {
        heed_triggers(pass);
    }
    Next::record(Effect::Nothing, Some(std::time::Duration::ZERO))
}

/// Records that the operation is to be cancelled.
pub(super) fn begin_to_cancel(pass: &mut Pass<'_>, cause: CancelCause, id: &OperationId) {
    let why = match cause {
        CancelCause::Deletion => "its resource is being deleted".to_owned(),
        CancelCause::Uninstall => "the operator is about to be uninstalled".to_owned(),
        CancelCause::Request => "the annotation cancel-requested-at asks for it".to_owned(),
        CancelCause::Replacement => "a new trigger replaces it (concurrencyPolicy: Replace)".to_owned(),
        CancelCause::Newer(cause) => format!("a newer version of this operator has decided so ({cause})"),
        CancelCause::Deadline => format!("it has run for {} s (activeDeadlineSeconds)", pass.desired.policy.active_deadline.as_secs()),
    };
    if let Some(run) = pass.record.run.as_mut() {
        run.cancel_cause = Some(cause);
        run.tell(RunState::Cancelling, Reason::Cancelling, format!("operation {id} is being cancelled: {why}"));
    }
    pass.scratch = super::Scratch::default();
}

/// The service shows the operation.
fn found(pass: &mut Pass<'_>, operation: &Operation, retry_after: Option<std::time::Duration>) -> Next {
    let settings = pass.situation.settings;
    pass.scratch.troubles = 0;
    (pass.scratch.unseen, pass.scratch.gone_since) = (false, None);
    if operation.phase.ended() {
        return ending::ended(pass, operation);
    }
    pass.scratch.contradictions = 0;
    let now = pass.now;
    let written = pass.scratch.progress_written;
    let mut pause = settings.poll_min;
    let cancelling = pass.record.run.as_ref().is_some_and(|run| run.state == RunState::Cancelling);
    if let Some(run) = pass.record.run.as_mut() {
        let elapsed = run.submitted_time.map_or(settings.poll_min, |submitted| pace::between(submitted.timestamp(), now));
        pause = if cancelling { pace::brief(settings) } else { pace::poll(settings, elapsed, (&pass.desired.uid, now)) };
        // It can be seen again.
        let (calm, message) = if cancelling {
            (Reason::Cancelling, format!("operation {} is being cancelled", operation.id))
        } else {
            (Reason::Running, format!("the service runs operation {}", operation.id))
        };
        let mended = run.why() != Some(calm) && !(cancelling && pass.scratch.cancel_refusals > 0);
        if mended {
            run.tell(run.state, calm, message);
        }
        let due = written.is_none_or(|at| pace::passed(at, pace::PROGRESS, now));
        if mended || due {
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
    // Somebody waits for the end of one that is being cancelled, and the cancellation may have to be repeated.
    let longest = if cancelling { pace::SERVICE } else { pace::LONGEST_ABSENCE };
    pass.stop_for(pause.max(pace::asked(retry_after).min(longest)))
}

/// The service does not know the operation. A young one may not be visible yet; otherwise the listing is asked.
fn gone(pass: &mut Pass<'_>) -> Next {
    let submitted = pass.record.run.as_ref().and_then(|run| run.submitted_time).map_or(pass.now, Time::timestamp);
    let age = pace::between(submitted, pass.now);
    if age < pace::seen_after(pass.situation.settings) {
        let pause = pace::poll(pass.situation.settings, age, pass.seed());
        return pass.stop_for(pause);
    }
    pass.scratch.troubles = 0;
    let kind = pass.kind();
    Next::record(Effect::List(kind, submitted), None)
}

/// Whether the model exists cannot be told, so its operation may go on. Each question is three calls.
fn unsure(pass: &mut Pass<'_>, trouble: &Trouble) -> Next {
    if let Some(run) = pass.record.run.as_mut() {
        let id = run.operation_id.clone().unwrap_or_default();
        run.tell(
            run.state,
            troubles::reason(trouble.kind),
            format!("operation {id} goes on, but cannot be looked at: {}", trouble.message),
        );
    }
    pass.stop_for(pace::SERVICE)
}

/// Nothing was learnt, and it is no news.
fn troubled_briefly(pass: &mut Pass<'_>) -> Next {
    pass.scratch.troubles = pass.scratch.troubles.saturating_add(1);
    let pause = pace::retry(pass.scratch.troubles, pass.seed());
    pass.stop_for(pause)
}

/// A call brought nothing. The operation goes on, and its id stays on record.
fn troubled(pass: &mut Pass<'_>, trouble: &Trouble, what: &str) -> Next {
    pass.scratch.troubles = pass.scratch.troubles.saturating_add(1);
    // `service::traffic` holds back the calls that are throttled, each kind separately. Calls of another kind need not wait.
    let mut pause = troubles::pause(trouble, (pass.scratch.troubles, 0), pass.seed()).min(pace::SERVICE);
    if trouble.kind == TroubleKind::NotFound {
        // From then on the model is asked for.
        let submitted = pass.record.run.as_ref().and_then(|run| run.submitted_time).map_or(pass.now, Time::timestamp);
        let settings = pass.situation.settings;
        let in_question = pace::seen_after(settings).saturating_sub(pace::between(submitted, pass.now));
        pause = if in_question.is_zero() { pause } else { pause.min(in_question.max(settings.poll_min)) };
    }
    let passing = match troubles::grade(trouble.kind) {
        Grade::Transient | Grade::Rejected => true,
        Grade::Blocked => false,
    };
    if passing && !troubles::lasts(trouble, pass.scratch.troubles) {
        return pass.stop_for(pause);
    }
    let reason = troubles::reason(trouble.kind);
    // One passing trouble after another is no news.
    let known = |run: &Run| passing && run.why() == Some(reason) && !troubles::is_news(trouble, &run.message);
    if let Some(run) = pass.record.run.as_mut().filter(|run| !known(run)) {
        let id = run.operation_id.clone().unwrap_or_default();
        run.tell(run.state, reason, format!("operation {id} goes on, but {what}: {}", trouble.message));
    }
    pass.stop_for(pause)
}
