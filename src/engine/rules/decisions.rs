//! A user's decision on a submission whose outcome is unknown: the annotations `adopt` and `resubmit`.
//!
//! A decision answers one question. `resubmit` names the question by a value that no other question of the resource has ([`question`]), and
//! `adopt` names an operation. So a value of an earlier question answers no later one. The operator removes a value that it has followed.
//! It also removes a value that answers no question, with an event.

use std::time::Duration;

use crate::api::{self, Reason, Run, RunState};
use crate::engine::draft::Pass;
use crate::engine::{Effect, Requests, Situation, Step, text};
use crate::operation::OperationId;

/// The longest value that an event repeats, in bytes.
const SHOWN: usize = 64;

/// The value of the annotation `resubmit` that answers the question about a run's present submission: the run, the attempt and, from the
/// second question about that attempt on, its number.
#[must_use]
pub fn question(run: &Run) -> String {
    asked(run, run.resubmissions)
}

/// The question about the present attempt after so many decisions to submit it again.
fn asked(run: &Run, decisions: i32) -> String {
    let nth = if decisions > 0 { format!("-{}", decisions.saturating_add(1)) } else { String::new() };
    format!("run-{}-attempt-{}{nth}", run.number, run.attempt)
}

/// Whether the submission is held until a user decides.
pub(super) fn held(pass: &Pass<'_>) -> bool {
    pass.record.run.as_ref().and_then(Run::why) == Some(Reason::SubmissionUnknown)
}

/// The operation that the annotation `adopt` names, if the present submission can have started it.
pub(super) fn named(pass: &Pass<'_>) -> Option<OperationId> {
    let value = pass.desired.requests.adopt.as_deref()?;
    judge(pass, value).ok()
}

fn judge(pass: &Pass<'_>, value: &str) -> Result<OperationId, &'static str> {
    let run = pass.record.run.as_ref().filter(|run| run.state == RunState::Submitting).ok_or("no submission is unresolved")?;
    let id = OperationId::parse(value).ok_or("the value is not the id of an operation")?;
    if run.knows(&id) {
        return Err("the operation belongs to an earlier run or attempt");
    }
    if pass.desired.adopt_taken {
        return Err("the operation belongs to another resource");
    }
    Ok(id)
}

/// Whether the annotation `resubmit` answers the question about the present submission.
pub(super) fn resubmits(pass: &Pass<'_>) -> bool {
    let run = pass.record.run.as_ref().filter(|run| run.state == RunState::Submitting);
    !pass.deleting() && run.is_some_and(|run| pass.desired.requests.resubmit.as_deref() == Some(&*question(run)))
}

/// The annotation that will be removed now: its decision was followed, or it answers nothing, which an event reports.
pub(in crate::engine) fn leftover(pass: &mut Pass<'_>) -> Option<&'static str> {
    let held = held(pass);
    // An operator that is about to be uninstalled removes no annotations.
    if pass.desired.leaving.is_some() {
        return None;
    }
    if let Some((annotation, value)) = pass.desired.requests.idle.as_ref()
        && (!pass.deleting() || *annotation == api::RELEASE)
    {
        ignore_idle(pass, annotation, value);
        return Some(annotation);
    }
    if pass.deleting() && !held {
        return None;
    }
    let run = pass.record.run.as_ref();
    if let Some(value) = pass.desired.requests.resubmit.as_deref().filter(|_| !resubmits(pass)) {
        let followed = run.is_some_and(|run| (0..run.resubmissions).any(|decisions| asked(run, decisions) == value));
        if !followed {
            let why = if run.is_some_and(|run| run.state == RunState::Submitting) {
                "it answers another question"
            } else {
                "no submission is unresolved"
            };
            ignore(pass, api::RESUBMIT, value, why);
        }
        return Some(api::RESUBMIT);
    }
    let value = pass.desired.requests.adopt.as_deref()?;
    let why = judge(pass, value).err()?;
    let of_run = run.and_then(|run| run.operation_id.as_deref()).is_some_and(|id| id.eq_ignore_ascii_case(value));
    if !of_run {
        ignore(pass, api::ADOPT, value, why);
    }
    Some(api::ADOPT)
}

/// After a step that changes the record, the next pass immediately checks for leftover annotations.
pub(in crate::engine) fn wake(situation: &Situation<'_>, step: Step) -> Step {
    let Requests { adopt, resubmit, .. } = &situation.desired.requests;
    let decided = adopt.is_some() || resubmit.is_some();
    let changes = step.effect == Effect::Nothing && step.recorded != *situation.recorded;
    if decided && changes { Step { look_again: Some(Duration::ZERO), ..step } } else { step }
}

/// Reports that an annotation requests nothing, and which value does.
fn ignore_idle(pass: &mut Pass<'_>, annotation: &'static str, value: &str) {
    let purpose = match annotation {
        api::RUN_REQUESTED_AT => "to request a run",
        api::CANCEL_REQUESTED_AT => "to cancel the run",
        api::RELEASE => {
            let command = pass.desired.annotate(api::RELEASE, "true");
            let value = text::bounded(value, SHOWN);
            let message = format!(
                "removed {annotation}={value}, which has no effect because only \"true\" releases: to release the resource while it is being deleted, run `{command}`"
            );
            return pass.notice(Reason::DecisionIgnored, message);
        }
        _ => return ignore(pass, annotation, value, "the value is empty"),
    };
    let message = format!(
        "removed {annotation}, which has no effect because the value is empty: {purpose}, set a value that it did not have before, such as the time"
    );
    pass.notice(Reason::DecisionIgnored, message);
}

/// Reports that a decision has no effect, and which decision is needed now.
pub(super) fn ignore(pass: &mut Pass<'_>, annotation: &str, value: &str, why: &str) {
    let value = text::bounded(value, SHOWN);
    let now = match remedy(pass).filter(|_| held(pass)) {
        Some(remedy) => remedy,
        None if pass.record.run.as_ref().is_some_and(|run| run.state == RunState::Submitting) => {
            "the operator still reads the service's list, and no decision is needed yet".to_owned()
        }
        None => "no decision is needed now".to_owned(),
    };
    pass.notice(Reason::DecisionIgnored, format!("removed {annotation}={value}, which has no effect because {why}: {now}"));
}

/// The commands that answer the question about the present submission; `None` if there is no run.
fn remedy(pass: &Pass<'_>) -> Option<String> {
    let run = pass.record.run.as_ref()?;
    // With a single candidate, the command is complete.
    let id = match run.candidates.as_slice() {
        [one] => one.operation_id.as_str(),
        _ => "OPERATION_ID",
    };
    let adopt = pass.desired.annotate(api::ADOPT, id);
    Some(if pass.deleting() {
        format!("to follow an operation, run `{adopt}`; to release the resource, run `{}`", pass.desired.annotate(api::RELEASE, "true"))
    } else {
        format!("to follow an operation, run `{adopt}`; if it started none, run `{}`", pass.desired.annotate(api::RESUBMIT, &question(run)))
    })
}

/// Records what a user must decide, and the commands for it, which are complete however long the fact is.
pub(super) fn ask(pass: &mut Pass<'_>, fact: &str) {
    let remedy = remedy(pass).unwrap_or_default();
    let fact = text::bounded(fact, text::SENTENCE.saturating_sub(remedy.len() + ": ".len()));
    if let Some(run) = pass.record.run.as_mut() {
        run.tell(RunState::Submitting, Reason::SubmissionUnknown, format!("{fact}: {remedy}"));
    }
}
