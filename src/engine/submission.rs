//! A run whose intent is recorded: the service may have its operation, or may not.
//!
//! The services offer no idempotency key, so nothing is submitted again on a guess: the listing is read until it shows the
//! operation, or until it can no longer be late, or until a person says what happened.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::pass::Pass;
use super::troubles::{self, Grade};
use super::{Effect, Seen, Step, deletion, pace, text, waiting};
use crate::api::{Candidate, Reason, Run, RunState, Time};
use crate::operation::{Listing, Look, ObjectName, Operation, OperationId, Phase, RefreshRequest, Submission, Trouble};

/// How much the service's clock may differ from what it just said it was: its answers give whole seconds.
const CLOCK_GRAIN: Duration = Duration::from_secs(2);
/// How much the service's clock may differ from ours where it did not say what it was.
const CLOCK_SKEW: Duration = Duration::from_secs(300);
/// The most candidates that the status shows.
const SHOWN_CANDIDATES: usize = 10;

/// Decides for a run that is recorded as Submitting.
pub(super) fn decide(mut pass: Pass<'_>) -> Step {
    match &pass.situation.seen {
        Seen::Submission(Submission::Accepted { id, activity_id, retry_after }) => accepted(pass, id, activity_id.as_deref(), *retry_after),
        Seen::Submission(Submission::Unanswered { message }) => {
            if let Some(run) = pass.record.run.as_mut() {
                let message = format!("the answer to the submission was lost, so the service's listing is read: {message}");
                run.tell(RunState::Submitting, Reason::ResolvingSubmission, message);
            }
            let pause = pass.situation.settings.poll_min;
            pass.stop_for(pause)
        }
        Seen::Submission(refused @ (Submission::Refused(_) | Submission::Busy { .. })) => waiting::not_started(pass, refused),
        Seen::Nothing if held(&pass) => {
            let effect = requested(&pass).unwrap_or(Effect::Nothing);
            pass.keep(effect, None)
        }
        // Found after a restart, or after an answer that was lost.
        Seen::Nothing => match pass.not_before() {
            Some(pause) => pass.keep(Effect::Nothing, Some(pause)),
            None => {
                let since = intent(&pass);
                pass.keep(Effect::List(since), None)
            }
        },
        Seen::ResubmitTaken if !pass.deleting() => {
            pass.notice(Reason::ResolvingSubmission, true, "submits again, as the annotation resubmit says");
            waiting::submit(pass)
        }
        Seen::Listing { result: Ok(listing), taken } => resolve(pass, listing, taken),
        Seen::Look(Look::Found(operation, _)) => {
            let operation = operation.clone();
            adopt(pass, &operation)
        }
        Seen::Look(Look::Gone) => {
            let unknown = "the service does not know the operation that the annotation adopt names";
            hold(pass, unknown, &[])
        }
        Seen::Listing { result: Err(trouble), .. } | Seen::Look(Look::Trouble(trouble)) | Seen::Trouble(trouble) => unheard(pass, trouble),
        Seen::Fault(fault) => {
            if let Some(run) = pass.record.run.as_mut() {
                run.tell(RunState::Submitting, fault.reason, &fault.message);
            }
            pass.stop_for(pace::CLUSTER)
        }
        Seen::Turn(_) | Seen::Cancellation(_) | Seen::ResubmitTaken => pass.keep(Effect::Nothing, Some(pace::CLUSTER)),
    }
}

/// The service has it.
fn accepted(mut pass: Pass<'_>, id: &OperationId, activity_id: Option<&str>, retry_after: Option<Duration>) -> Step {
    if let Some(run) = pass.record.run.as_mut() {
        run.activity_id = activity_id.map(|id| text::bounded(id, text::NAME));
        run.started_time = Some(Time::from(pass.now));
    }
    let pause = pass.situation.settings.poll_min.max(retry_after.unwrap_or_default());
    follow(pass, id, pause)
}

/// Records the operation's id: from here on the run is followed by it.
fn follow(mut pass: Pass<'_>, id: &OperationId, pause: Duration) -> Step {
    if let Some(run) = pass.record.run.as_mut() {
        run.operation_id = Some(id.to_string());
        run.candidates.clear();
        run.tell(RunState::Running, Reason::Running, format!("the service runs operation {id}"));
    }
    pass.scratch = super::Scratch { progress_written: Some(pass.now), ..super::Scratch::default() };
    pass.stop_for(pause)
}

/// The operation that began without our hearing of it is found.
fn adopt(mut pass: Pass<'_>, operation: &Operation) -> Step {
    pass.notice(Reason::Adopted, false, format!("operation {} is the one that was submitted", operation.id));
    let now = pass.now;
    if let Some(run) = pass.record.run.as_mut() {
        run.activity_id = operation.activity_id.as_deref().map(|id| text::bounded(id, text::NAME));
        run.started_time = operation.start.or(Some(now)).map(Time::from);
    }
    // The next look, at once, shows where it stands; its end is recorded like any other.
    let id = operation.id.clone();
    let step = follow(pass, &id, Duration::ZERO);
    Step { look_again: Some(Duration::ZERO), ..step }
}

/// Whether the submission is held until a person says what became of it.
fn held(pass: &Pass<'_>) -> bool {
    pass.record.run.as_ref().and_then(Run::why) == Some(Reason::SubmissionUnknown)
}

/// What a person asked for by an annotation, where the submission is held for one.
fn requested(pass: &Pass<'_>) -> Option<Effect> {
    let run = pass.record.run.as_ref()?;
    if pass.desired.requests.resubmit && !pass.deleting() {
        return Some(Effect::TakeResubmit);
    }
    let asked = OperationId::parse(pass.desired.requests.adopt.as_deref()?)?;
    // An annotation that was left over from an earlier run names an operation of that run.
    let earlier = run.earlier_operation_ids.iter().any(|id| asked.same(id));
    // One that the service did not know is asked about again only slowly.
    (!earlier && pass.not_before().is_none()).then_some(Effect::Look(asked))
}

/// When the intent was recorded.
fn intent(pass: &Pass<'_>) -> Timestamp {
    pass.record.run.as_ref().and_then(|run| run.submitted_time).map_or(pass.now, Time::timestamp)
}

/// The listing was read: is the operation in it?
fn resolve(mut pass: Pass<'_>, listing: &Listing, taken: &BTreeSet<String>) -> Step {
    pass.scratch.troubles = 0;
    let settings = pass.situation.settings;
    let Some(run) = pass.record.run.as_ref() else {
        return pass.keep(Effect::Nothing, None);
    };
    // The spec may have changed since; then only what is on record can be compared.
    let request = (run.work == pass.desired.work.digest).then_some(&pass.desired.work.request);
    let window = window(intent(&pass), pass.now, listing.server_time);
    let judged = |operation: &&Operation| judge(operation, run, request, window, taken);
    let candidates: Vec<&Operation> = listing.operations.iter().filter(judged).collect();
    // The call may still have been under way until its deadline, and then the listing may be late.
    let certain_after = settings.call_timeout + settings.listing_lag;
    let waited = pace::between(intent(&pass), pass.now);
    let certain = waited >= certain_after;
    match candidates.as_slice() {
        [one] if !listing.truncated && (certain || evident(one, request)) => {
            let one = (*one).clone();
            adopt(pass, &one)
        }
        [] if !listing.truncated && certain => never_started(pass),
        _ if !certain => {
            let message = "the answer to the submission was lost, so the service's listing is read until it shows the operation";
            if let Some(run) = pass.record.run.as_mut().filter(|run| run.why() != Some(Reason::ResolvingSubmission)) {
                run.tell(RunState::Submitting, Reason::ResolvingSubmission, message);
            }
            let pause = pace::poll(settings, waited, pass.seed()).min(certain_after.saturating_sub(waited) + settings.poll_min);
            pass.stop_for(pause)
        }
        [] | [_] => {
            let shown: Vec<Operation> = candidates.into_iter().cloned().collect();
            hold(pass, "the service's listing is too long to be read whole", &shown)
        }
        several => {
            let why = format!("{} operations may be the one that it began", several.len());
            let shown: Vec<Operation> = several.iter().map(|operation| (*operation).clone()).collect();
            hold(pass, &why, &shown)
        }
    }
}

/// It is certain that nothing began: the service would show it by now.
fn never_started(mut pass: Pass<'_>) -> Step {
    if pass.deleting() {
        return deletion::release(pass, None);
    }
    if pass.desired.policy.suspend || pass.desired.fault.is_some() {
        if let Some(run) = pass.record.run.as_mut() {
            run.tell(RunState::Waiting, Reason::Retrying, "the submission never reached the service");
        }
        return waiting::decide(pass);
    }
    pass.notice(Reason::ResolvingSubmission, false, "the submission never reached the service, so it is submitted again");
    waiting::submit(pass)
}

/// Only a person can say which operation it was.
fn hold(mut pass: Pass<'_>, why: &str, candidates: &[Operation]) -> Step {
    let ids: Vec<&str> = candidates.iter().take(3).map(|operation| operation.id.as_str()).collect();
    let which =
        if ids.is_empty() { String::new() } else { format!(" ({}{})", ids.join(", "), if candidates.len() > 3 { ", …" } else { "" }) };
    let message = format!(
        "the answer to the submission was lost, and {why}{which}: annotate with tabular-operator.dev/adopt=<operation id> to follow one, \
         or with tabular-operator.dev/{}=true {}",
        if pass.deleting() { "release" } else { "resubmit" },
        if pass.deleting() { "to let go of it" } else { "if none is it" },
    );
    if let Some(run) = pass.record.run.as_mut() {
        run.tell(RunState::Submitting, Reason::SubmissionUnknown, message);
        run.candidates = candidates
            .iter()
            .take(SHOWN_CANDIDATES)
            .map(|operation| Candidate {
                operation_id: operation.id.to_string(),
                started_time: operation.start.map(Time::from),
                status: text::bounded(&operation.reported, text::NAME),
            })
            .collect();
    }
    pass.stop_for(pace::SERVICE)
}

/// The listing could not be read: nothing is known, nothing is done.
fn unheard(mut pass: Pass<'_>, trouble: &Trouble) -> Step {
    pass.scratch.troubles = pass.scratch.troubles.saturating_add(1);
    let pause = troubles::pause(trouble, pass.scratch.troubles, pass.seed());
    if let Some(run) = pass.record.run.as_mut().filter(|run| run.why() != Some(Reason::SubmissionUnknown)) {
        let reason = match troubles::grade(trouble.kind) {
            Grade::Transient | Grade::Rejected => Reason::ResolvingSubmission,
            Grade::Blocked => troubles::reason(trouble.kind),
        };
        run.tell(
            RunState::Submitting,
            reason,
            format!("the answer to the submission was lost, and the listing cannot be read: {}", trouble.message),
        );
    }
    pass.stop_for(pause)
}

/// The earliest moment, by the service's clock, at which an operation of this intent can have begun.
fn window(intent: Timestamp, now: Timestamp, server_time: Option<Timestamp>) -> Timestamp {
    let (offset, allowance) = match server_time {
        Some(server) => (server.duration_since(now), CLOCK_GRAIN),
        None => (jiff::SignedDuration::ZERO, CLOCK_SKEW),
    };
    intent.checked_add(offset).and_then(|start| start.checked_sub(allowance)).unwrap_or(intent)
}

/// Whether an operation can be the one that was submitted: nothing that it shows contradicts it.
fn judge(operation: &Operation, run: &Run, request: Option<&RefreshRequest>, window: Timestamp, taken: &BTreeSet<String>) -> bool {
    let id = &operation.id;
    if taken.contains(&id.as_str().to_lowercase()) || run.earlier_operation_ids.iter().any(|earlier| id.same(earlier)) {
        return false;
    }
    if operation.start.is_some_and(|start| start < window) {
        return false;
    }
    let Some(request) = request else { return true };
    let same_type = match (&operation.refresh_type, &request.refresh_type) {
        (Some(shown), Some(asked)) => shown.eq_ignore_ascii_case(asked),
        (None, _) | (_, None) => true,
    };
    same_type && objects_agree(operation, request)
}

/// Whether the objects that an operation shows can be those that were asked for.
fn objects_agree(operation: &Operation, request: &RefreshRequest) -> bool {
    if operation.objects.is_empty() || request.objects.is_empty() {
        // Before it begins an operation shows none; and of a whole model nobody here knows the tables.
        return true;
    }
    let covers = |asked: &ObjectName, shown: &ObjectName| {
        asked.table.eq_ignore_ascii_case(&shown.table)
            && match (&asked.partition, &shown.partition) {
                (Some(asked), Some(shown)) => asked.eq_ignore_ascii_case(shown),
                (None, _) | (_, None) => true,
            }
    };
    let none_strange = operation.objects.iter().all(|shown| request.objects.iter().any(|asked| covers(asked, &shown.name)));
    // A table asked for must show; a partition may be absent from what Power BI shows of an ended operation.
    let shows = |asked: &ObjectName| operation.objects.iter().any(|shown| shown.name.table.eq_ignore_ascii_case(&asked.table));
    none_strange && request.objects.iter().all(shows)
}

/// Whether an operation has shown enough to be taken for ours before the listing is certain: its type, and its objects where
/// objects were asked for.
fn evident(operation: &Operation, request: Option<&RefreshRequest>) -> bool {
    let Some(request) = request else { return false };
    let shows_objects = !operation.objects.is_empty() || request.objects.is_empty();
    operation.refresh_type.is_some() && (shows_objects || operation.phase != Phase::NotStarted)
}
