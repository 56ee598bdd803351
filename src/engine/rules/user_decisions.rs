//! A user's decision on a submission whose outcome is unknown: the annotations `adopt` and `resubmit`.
//!
//! A decision applies to one unresolved submission. `resubmit` names it by a value that no other submission of the resource has
//! ([`resubmit_value`]), and `adopt` names an operation. So a value for an earlier submission does not apply to a later one. The operator
//! removes a value that it has applied. It also removes a value that applies to no submission, with an event.

use std::time::Duration;

use crate::api::{self, Reason, Run, RunState};
use crate::engine::draft::Draft;
use crate::engine::{AnnotationRequests, Decision, DecisionInput, Effect, text};
use crate::operation::OperationId;

/// The longest value that an event repeats, in bytes.
const SHOWN: usize = 64;

/// The value of the annotation `resubmit` that applies to a run's present submission: the run, the attempt and, from the
/// second decision about that attempt on, its number.
#[must_use]
pub fn resubmit_value(run: &Run) -> String {
    resubmit_value_after(run, run.resubmissions)
}

/// The value for the current attempt after this number of decisions to submit it again.
fn resubmit_value_after(run: &Run, decisions: i32) -> String {
    let nth = if decisions > 0 { format!("-{}", decisions.saturating_add(1)) } else { String::new() };
    format!("run-{}-attempt-{}{nth}", run.number, run.attempt)
}

/// Whether the submission is held until a user decides.
pub(super) fn is_needed(draft: &Draft<'_>) -> bool {
    draft.status.run.as_ref().is_some_and(Run::awaits_decision)
}

/// The operation that the annotation `adopt` names, if the present submission can have started it.
pub(super) fn operation_to_adopt(draft: &Draft<'_>) -> Option<OperationId> {
    let value = draft.desired.requests.adopt.as_deref()?;
    validate_adopt(draft, value).ok()
}

fn validate_adopt(draft: &Draft<'_>, value: &str) -> Result<OperationId, &'static str> {
    let run = draft.status.run.as_ref().filter(|run| run.state == RunState::Submitting).ok_or("no submission is unresolved")?;
    let id = OperationId::parse(value).ok_or("the value is not the id of an operation")?;
    if run.has_previous(&id) {
        return Err("the operation belongs to an earlier run or attempt");
    }
    if draft.desired.adopt_claimed {
        return Err("the operation belongs to another resource");
    }
    Ok(id)
}

/// Whether the annotation `resubmit` applies to the present submission.
pub(super) fn is_resubmit(draft: &Draft<'_>) -> bool {
    let run = draft.status.run.as_ref().filter(|run| run.state == RunState::Submitting);
    !draft.is_deleting() && run.is_some_and(|run| draft.desired.requests.resubmit.as_deref() == Some(&*resubmit_value(run)))
}

/// The annotation that will be removed now: its decision was applied, or it applies to nothing, which an event reports.
pub(in crate::engine) fn obsolete_annotation(draft: &mut Draft<'_>) -> Option<&'static str> {
    let is_needed = is_needed(draft);
    // An operator that is about to be uninstalled removes no annotations.
    if draft.desired.drain.is_some() {
        return None;
    }
    if let Some((annotation, value)) = draft.desired.requests.no_op.as_ref()
        && (!draft.is_deleting() || *annotation == api::RELEASE)
    {
        ignore_no_op(draft, annotation, value);
        return Some(annotation);
    }
    if draft.is_deleting() && !is_needed {
        return None;
    }
    let run = draft.status.run.as_ref();
    if let Some(value) = draft.desired.requests.resubmit.as_deref().filter(|_| !is_resubmit(draft)) {
        let is_known = run.is_some_and(|run| (0..run.resubmissions).any(|decisions| resubmit_value_after(run, decisions) == value));
        if !is_known {
            let why = if run.is_some_and(|run| run.state == RunState::Submitting) {
                "it is the value for another submission"
            } else {
                "no submission is unresolved"
            };
            ignore(draft, api::RESUBMIT, value, why);
        }
        return Some(api::RESUBMIT);
    }
    let value = draft.desired.requests.adopt.as_deref()?;
    let why = validate_adopt(draft, value).err()?;
    let of_run = run.and_then(|run| run.operation_id.as_deref()).is_some_and(|id| id.eq_ignore_ascii_case(value));
    if !of_run {
        ignore(draft, api::ADOPT, value, why);
    }
    Some(api::ADOPT)
}

/// After a decision that changes the record, the next decision immediately checks for leftover annotations.
pub(in crate::engine) fn requeue_after_decision(input: &DecisionInput<'_>, decision: Decision) -> Decision {
    let AnnotationRequests { adopt, resubmit, .. } = &input.desired.requests;
    let decided = adopt.is_some() || resubmit.is_some();
    let changes = decision.effect == Effect::None && decision.status != *input.status;
    if decided && changes { Decision { requeue_after: Some(Duration::ZERO), ..decision } } else { decision }
}

/// Reports that an annotation requests nothing, and which value does.
fn ignore_no_op(draft: &mut Draft<'_>, annotation: &'static str, value: &str) {
    let purpose = match annotation {
        api::RUN_REQUESTED_AT => "to request a run",
        api::CANCEL_REQUESTED_AT => "to cancel the run",
        api::CHECK_REQUESTED_AT => "to request a check",
        api::RELEASE => {
            let command = draft.desired.annotate(api::RELEASE, "true");
            let value = text::bounded(value, SHOWN);
            let message = format!(
                "removed {annotation}={value}, which has no effect because only the value \"true\" releases the resource: to release the resource while it is being deleted, run `{command}`"
            );
            return draft.emit(Reason::DecisionIgnored, message);
        }
        _ => return ignore(draft, annotation, value, "the value is empty"),
    };
    let message =
        format!("removed {annotation}, which has no effect because the value is empty: {purpose}, set a new value, such as the time");
    draft.emit(Reason::DecisionIgnored, message);
}

/// Reports that a decision has no effect, and which decision is needed now.
pub(super) fn ignore(draft: &mut Draft<'_>, annotation: &str, value: &str, why: &str) {
    let value = text::bounded(value, SHOWN);
    let now = match remedy(draft).filter(|_| is_needed(draft)) {
        Some(remedy) => remedy,
        None if draft.status.run.as_ref().is_some_and(|run| run.state == RunState::Submitting) => {
            "the operator is still reading the service's list, so no decision is needed yet".to_owned()
        }
        None => "no decision is needed now".to_owned(),
    };
    draft.emit(Reason::DecisionIgnored, format!("removed {annotation}={value}, which has no effect because {why}: {now}"));
}

/// The commands that decide about the present submission; `None` if there is no run.
fn remedy(draft: &Draft<'_>) -> Option<String> {
    let run = draft.status.run.as_ref()?;
    // With a single candidate, the command is complete.
    let id = match run.candidates.as_slice() {
        [one] => one.operation_id.as_str(),
        _ => "OPERATION_ID",
    };
    let adopt = draft.desired.annotate(api::ADOPT, id);
    Some(if draft.is_deleting() {
        format!("to track an operation, run `{adopt}`; to release the resource, run `{}`", draft.desired.annotate(api::RELEASE, "true"))
    } else {
        format!(
            "to track an operation, run `{adopt}`; if it started none, run `{}`",
            draft.desired.annotate(api::RESUBMIT, &resubmit_value(run))
        )
    })
}

/// Records what a user must decide, and the commands for it, which are complete however long the fact is.
pub(super) fn require(draft: &mut Draft<'_>, fact: &str) {
    let remedy = remedy(draft).unwrap_or_default();
    let fact = text::bounded(fact, text::SENTENCE.saturating_sub(remedy.len() + ": ".len()));
    if let Some(run) = draft.status.run.as_mut() {
        run.set_state(RunState::Submitting, Reason::SubmissionUnknown, format!("{fact}: {remedy}"));
    }
}
