//! A run whose intent is recorded: the service may or may not have its operation.
//!
//! The services have no idempotency keys, so the operator does not submit again while the outcome is unknown. It reads the list until the
//! list shows the operation or can no longer be late, or until a user decides.

use std::time::Duration;

use super::errors::{self, Grade};
use super::evidence::{self, Ambiguity, Evidence};
use super::{cancel_request, completion, decisions, gone, interrupts};
use crate::api::{self, Candidate, Reason, Run, RunState, Time};
use crate::engine::draft::Pass;
use crate::engine::next::Next;
use crate::engine::{Effect, Scratch, Seen, Taken, text, timing};
use crate::operation::{Handle, Listing, Look, Operation, OperationId, Origin, Submission, Trouble, TroubleKind};

/// The most candidates that the status shows.
const SHOWN_CANDIDATES: usize = 10;

/// Decides for a run that is recorded as Submitting.
pub(in crate::engine) fn decide(pass: &mut Pass<'_>) -> Next {
    match &pass.situation.seen {
        Seen::Submission(Submission::Accepted { id, location, activity_id, retry_after }) => {
            accepted(pass, id, location.as_deref(), activity_id.as_deref(), *retry_after)
        }
        // No operation was necessary: the requested state holds.
        Seen::Submission(Submission::Completed { message }) => {
            completion::end(pass, RunState::Succeeded, Reason::Succeeded, message.clone())
        }
        Seen::Submission(Submission::Unanswered { message }) => {
            if let Some(run) = pass.record.run.as_mut() {
                let message = format!("the response to the submission was lost, so the operator reads the service's list: {message}");
                run.tell(RunState::Submitting, Reason::ResolvingSubmission, message);
            }
            let pause = pass.situation.settings.poll_min;
            pass.stop_for(pause)
        }
        Seen::Submission(Submission::Refused(trouble)) if errors::grade(trouble.kind) == Grade::Rejected => {
            completion::end(pass, RunState::Failed, Reason::RequestRejected, trouble.message.clone())
        }
        Seen::Submission(Submission::Refused(_) | Submission::Busy { .. } | Submission::Deferred { .. }) => Next::Wait,
        Seen::Nothing if decisions::held(pass) => wait_for_a_word(pass),
        // After a restart, or after a lost response.
        Seen::Nothing => {
            if let Some(pause) = pass.not_before() {
                Next::record(Effect::Nothing, Some(pause))
            } else {
                let (kind, since) = (pass.kind(), pass.intent());
                pass.scratch.listed_at = Some(pass.now);
                Next::keep(Effect::List(kind, since), None)
            }
        }
        Seen::Listing { kind, result: Ok(listing), taken } if *kind == pass.kind() => resolve(pass, listing, taken),
        Seen::Look(Look::Found { operation, .. }) if decisions::named(pass).is_some_and(|id| id.same(operation.id.as_str())) => {
            if evidence::began_before(operation, pass.intent()) {
                return refuse(pass, "the operation started before the submission");
            }
            adopt(pass, operation)
        }
        Seen::Look(Look::Gone) if decisions::named(pass).is_some() => refuse(pass, "the service does not show the operation"),
        Seen::Listing { result: Err(trouble), .. } if !decisions::held(pass) && gone::is_in_question(pass, trouble) => gone::ask(),
        Seen::Presence(presence) => match gone::trouble_of(pass, presence) {
            Some(trouble) => unheard(pass, &trouble, timing::SERVICE),
            None => gone::decide(pass),
        },
        Seen::Listing { result: Err(trouble), .. } | Seen::Look(Look::Trouble(trouble)) | Seen::Trouble(trouble) => {
            unheard(pass, trouble, Duration::ZERO)
        }
        Seen::Fault(fault) => {
            let message = format!("the response to the submission was lost, and the submission cannot be resolved: {}", fault.message);
            unheard_of(pass, fault.reason, &message, &fault.message);
            let pause = timing::cluster(timing::between(pass.intent(), pass.now));
            pass.stop_for(pause)
        }
        Seen::Resolved(_) | Seen::Listing { .. } | Seen::Turn(_) | Seen::Look(Look::Found { .. } | Look::Gone) | Seen::Cancellation(_) => {
            Next::keep(Effect::Nothing, Some(timing::CLUSTER))
        }
    }
}

/// Handles an accepted submission. The id may be known from an earlier run: if the service returns no id for a synchronization, the client
/// makes one, and two synchronizations of the same state get the same id.
fn accepted(
    pass: &mut Pass<'_>,
    id: &OperationId,
    location: Option<&str>,
    activity_id: Option<&str>,
    retry_after: Option<Duration>,
) -> Next {
    if let Some(run) = pass.record.run.as_mut() {
        run.location = location.and_then(text::location);
        run.activity_id = activity_id.map(|id| text::bounded(id, text::WORD));
        run.started_time = Some(Time::from(pass.now));
    }
    let pause = pass.situation.settings.poll_min.max(timing::asked(retry_after));
    let next = follow(pass, id, pause);
    pass.scratch.unseen = true;
    next
}

/// Records the operation's id, by which the run is tracked from now on.
fn follow(pass: &mut Pass<'_>, id: &OperationId, pause: Duration) -> Next {
    if let Some(run) = pass.record.run.as_mut() {
        run.operation_id = Some(id.to_string());
        run.candidates.clear();
        run.waiting_since_time = None;
        run.tell(RunState::Running, Reason::Running, format!("the service runs operation {id}"));
    }
    if cancel_request::is_pending(pass) && !pass.kind().offers().cancel {
        cancel_request::goes_on(pass);
    }
    let due = interrupts::heed_triggers(pass);
    pass.scratch = Scratch { progress_written: Some(pass.now), ..Scratch::default() };
    // A trigger, a cancellation or a deletion may have come already.
    let goes_on = interrupts::cancel_cause(pass, due).is_none() && !pass.deleting();
    pass.stop_for(if goes_on { pause } else { Duration::ZERO })
}

/// Adopts the operation of a submission whose response was lost.
fn adopt(pass: &mut Pass<'_>, operation: &Operation) -> Next {
    pass.notice(Reason::Adopted, format!("operation {} is the one that was submitted", operation.id));
    let now = pass.now;
    if let Some(run) = pass.record.run.as_mut() {
        run.activity_id = operation.activity_id.as_deref().map(|id| text::bounded(id, text::WORD));
        run.started_time = operation.start.or(Some(now)).map(Time::from);
        run.service_state = Some(text::bounded(&operation.reported, text::WORD));
    }
    // An immediate poll shows its state; its end is recorded like any other.
    let id = operation.id.clone();
    follow(pass, &id, Duration::ZERO)
}

/// Waits for a user's decision on the submission. If both annotations are set, `adopt` is tried, because it submits nothing.
fn wait_for_a_word(pass: &mut Pass<'_>) -> Next {
    if let Some(id) = decisions::named(pass) {
        return match pass.not_before() {
            Some(pause) => Next::record(Effect::Nothing, Some(pause)),
            None => Next::keep(Effect::Look(Handle::by_id(id)), None),
        };
    }
    if decisions::resubmits(pass) {
        if let Some(run) = pass.record.run.as_mut() {
            // The decision counts with this record; the next question has another value.
            run.resubmissions = run.resubmissions.saturating_add(1);
        }
        return Next::Wait;
    }
    Next::record(Effect::Nothing, None)
}

/// Rejects the operation that the annotation `adopt` names: the annotation is removed, and an event states the remedy.
fn refuse(pass: &mut Pass<'_>, why: &str) -> Next {
    let value = pass.desired.requests.adopt.as_deref().unwrap_or_default();
    decisions::ignore(pass, api::ADOPT, value, why);
    Next::keep(Effect::RemoveAnnotation(api::ADOPT), None)
}

/// Resolves the submission by the list.
fn resolve(pass: &mut Pass<'_>, listing: &Listing, taken: &Taken) -> Next {
    (pass.scratch.troubles, pass.scratch.gone_since) = (0, None);
    let settings = pass.situation.settings;
    let Some(evidence) = Evidence::of(pass, listing, taken) else {
        return Next::keep(Effect::Nothing, None);
    };
    let certain_after = timing::seen_after(settings);
    let waited = timing::between(pass.intent(), pass.now);
    let certain = pass.scratch.listed_at.is_some_and(|asked| timing::between(pass.intent(), asked) >= certain_after);
    let candidates: Vec<&Operation> = listing.operations.iter().filter(|operation| evidence.may_match(operation)).collect();
    // If a client has submitted one of the operations, those of unknown origin do not count.
    let by_clients: Vec<&Operation> = candidates.iter().copied().filter(|operation| operation.origin == Origin::Client).collect();
    let likely = if by_clients.is_empty() { candidates.clone() } else { by_clients };
    // Details that the service did not show may come with the next list, but the operator does not wait for them forever.
    let unread = likely.iter().any(|operation| operation.unread) && waited < 2 * certain_after;
    // Another resource's unresolved submission may have started the operation too; that resource may resolve it soon.
    let rival = likely.iter().filter_map(|operation| evidence::rival(operation, taken, listing.ahead, settings)).max();
    let disputed = rival.is_some() || likely.iter().any(|operation| taken.is_candidate(&operation.id));
    let verdict = match likely.as_slice() {
        _ if disputed && !certain => Verdict::TooEarly(None),
        _ if rival.is_some_and(|intent| timing::between(intent, pass.now) < 2 * certain_after) => Verdict::TooEarly(None),
        _ if disputed => Verdict::Unclear(
            "the submission of another resource, which is also unresolved, may have started the candidate operation".to_owned(),
        ),
        [one] => match evidence.ambiguity(one, certain) {
            None if !listing.truncated => Verdict::It((*one).clone()),
            _ if !certain || unread => Verdict::TooEarly(None),
            _ if listing.truncated => truncated(),
            None => Verdict::It((*one).clone()),
            // A running operation shows its objects at its end. Some lists never show an end.
            Some(Ambiguity::ObjectsNotShown) if !one.phase.ended() && waited < pass.desired.policy.active_deadline => {
                Verdict::TooEarly(Some(one.id.clone()))
            }
            Some(ambiguity) => Verdict::Unclear(ambiguity.to_string()),
        },
        _ if !certain || unread => Verdict::TooEarly(None),
        _ if listing.truncated => truncated(),
        [] => Verdict::None,
        several => Verdict::Unclear(format!("{} operations may be the one that it started", several.len())),
    };
    // A user sees all candidates, because the operation may be one of unknown origin.
    let candidates: Vec<Operation> = candidates.into_iter().cloned().collect();
    match verdict {
        Verdict::It(operation) => adopt(pass, &operation),
        // Certainly no operation started: the service would show it by now.
        Verdict::None => Next::Wait,
        Verdict::Unclear(why) => hold(pass, &why, &candidates),
        Verdict::TooEarly(candidate) => {
            let lost = "the response to the submission was lost";
            let message = match candidate {
                None => format!("{lost}: the operator reads the service's list until it shows the operation"),
                Some(id) => {
                    format!("{lost}: operation {id} may be the one that it started, and shows its tables and partitions when it ends")
                }
            };
            if let Some(run) =
                pass.record.run.as_mut().filter(|run| run.why() != Some(Reason::ResolvingSubmission) || run.message != message)
            {
                run.tell(RunState::Submitting, Reason::ResolvingSubmission, message);
            }
            let pause = timing::poll(settings, waited, pass.seed());
            let certain_in = certain_after.saturating_sub(waited).max(settings.poll_min);
            pass.stop_for(if certain { pause } else { pause.min(certain_in) })
        }
    }
}

/// What a list shows of a submission whose response was lost.
enum Verdict {
    /// This operation is the one.
    It(Operation),
    /// It never started.
    None,
    /// A later list will show more: of this operation, if it is a candidate.
    TooEarly(Option<OperationId>),
    /// Only a user can decide.
    Unclear(String),
}

/// The list does not show everything that matters.
fn truncated() -> Verdict {
    Verdict::Unclear("the service's list is too long to read completely, or has rows without an id or a start".to_owned())
}

/// Asks a user which operation the submission started.
fn hold(pass: &mut Pass<'_>, why: &str, candidates: &[Operation]) -> Next {
    let ids: Vec<&str> = candidates.iter().take(3).map(|operation| operation.id.as_str()).collect();
    let which =
        if ids.is_empty() { String::new() } else { format!(" ({}{})", ids.join(", "), if candidates.len() > 3 { ", …" } else { "" }) };
    if let Some(run) = pass.record.run.as_mut() {
        run.candidates = candidates
            .iter()
            .take(SHOWN_CANDIDATES)
            .map(|operation| Candidate {
                operation_id: operation.id.to_string(),
                started_time: operation.start.map(Time::from),
                status: text::bounded(&operation.reported, text::WORD),
            })
            .collect();
    }
    decisions::ask(pass, &format!("the response to the submission was lost, and {why}{which}"));
    pass.scratch.next_look = None;
    // A user may have decided in advance.
    let decided = decisions::named(pass).is_some() || decisions::resubmits(pass);
    Next::record(Effect::Nothing, decided.then_some(Duration::ZERO))
}

/// Handles a list that cannot be read: the submission stays unresolved. The list is not requested again before `least` has passed.
fn unheard(pass: &mut Pass<'_>, trouble: &Trouble, least: Duration) -> Next {
    pass.scratch.troubles = pass.scratch.troubles.saturating_add(1);
    let pause = errors::pause(trouble, (pass.scratch.troubles, 0), pass.seed()).max(least);
    let message = format!("the response to the submission was lost, and the service's list cannot be read: {}", trouble.message);
    let waited = timing::between(pass.intent(), pass.now);
    let late = waited >= timing::seen_after(pass.situation.settings);
    // An outage passes. But if the list cannot be read for as long as an operation may run, a user must decide.
    let too_long = waited >= pass.desired.policy.active_deadline;
    match errors::grade(trouble.kind) {
        // The service has no such list: the list of synchronizations is not documented.
        Grade::Rejected if late && !decisions::held(pass) => {
            return hold(pass, &format!("the service's list cannot be read ({})", trouble.message), &[]);
        }
        Grade::Transient if too_long && !decisions::held(pass) => {
            return hold(pass, &format!("the service's list cannot be read ({})", trouble.message), &[]);
        }
        Grade::Blocked => unheard_of(pass, errors::reason(trouble.kind), &message, &trouble.message),
        // A transient error is worth a write only if it lasts.
        Grade::Transient | Grade::Rejected => {
            let lasts = errors::lasts(trouble, pass.scratch.troubles);
            let reason = if lasts && trouble.kind != TroubleKind::Rejected { Reason::Retrying } else { Reason::ResolvingSubmission };
            let why = pass.record.run.as_ref().and_then(Run::why);
            let told = why == Some(Reason::Retrying) || why == Some(reason);
            if !told && !decisions::held(pass) {
                unheard_of(pass, reason, &message, &trouble.message);
            }
        }
    }
    // From then on it blocks no other resource, however long the delay is.
    let until_free = timing::arrived_after(pass.situation.settings).saturating_sub(timing::between(pass.intent(), pass.now));
    pass.pause(pause);
    Next::record(Effect::Nothing, Some(if until_free.is_zero() { pause } else { pause.min(until_free) }))
}

/// Records why the submission cannot be resolved. A submission that is held for a user's decision stays held.
fn unheard_of(pass: &mut Pass<'_>, reason: Reason, message: &str, cause: &str) {
    if decisions::held(pass) {
        decisions::ask(pass, &format!("the operation that the annotation adopt names cannot be polled: {cause}"));
    } else if let Some(run) = pass.record.run.as_mut() {
        run.tell(RunState::Submitting, reason, message);
    }
}
