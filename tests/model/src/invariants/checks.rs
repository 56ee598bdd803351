//! Invariants of checks: a check only reads, its result is recorded once, and nothing else changes with it.

use tabular_operator::api::{CheckResult, CheckStepName, Reason, Run, RunState, Status};
use tabular_operator::engine::reconcile::{NextEffect, PendingDecision};

use super::names::{CHECK, holds};
use crate::world::object::Object;
use crate::world::{Violation, World};

/// The shortest time between two checks, in seconds.
const INTERVAL: i64 = 10;

/// A check that appears to be this far in the future, in seconds, delays no other.
const MAX_WAIT: i64 = 40;

/// Checks a decision that starts a check: it answers the annotation, and nothing else is due.
pub(super) fn starts(world: &World, operator: usize, resource: usize, view: &Object, decision: &PendingDecision) -> Result<(), Violation> {
    let NextEffect::Check(request) = &decision.effect else { return Ok(()) };
    let (desired, status) = (&view.revision.desired, &view.status);
    let before = status.check.as_ref();
    let is_requested = desired.requests.check.as_ref() == Some(&request.value) && before.is_none_or(|it| it.request != request.value);
    holds(is_requested, CHECK, || format!("resource {resource}: the check {:?} is not requested, after {before:?}", request.value))?;
    let is_on_its_way = |run: &Run| run.state == RunState::Submitting && run.reason != Reason::SubmissionUnknown.as_str();
    let submits = status.run.as_ref().is_some_and(is_on_its_way);
    holds(!submits && desired.deletion.is_none() && decision.status.is_none(), CHECK, || {
        format!("resource {resource} is checked in the state {status:#?}")
    })?;
    // A clock that was set back does not delay a check for long.
    let since = before.map_or(INTERVAL, |it| world.wall(operator).duration_since(it.time.timestamp()).as_secs());
    let has_steps = !world.scenario.clock_steps.is_empty();
    holds(has_steps || !(-MAX_WAIT..INTERVAL).contains(&since), CHECK, || format!("resource {resource} is checked again after {since} s"))
}

/// Checks the write of a result: it is the only change, and the first result of its request.
pub(super) fn recorded(resource: usize, (before, after): (&Status, &Status), decision: &PendingDecision) -> Result<(), Violation> {
    if before.check == after.check {
        return Ok(());
    }
    let Some(check) = &after.check else { return holds(false, CHECK, || format!("resource {resource}: a result is removed")) };
    let only_check = Status { check: before.check.clone(), ..after.clone() };
    let is_alone = only_check == *before && decision.effect == NextEffect::Settle && decision.events.is_empty();
    holds(is_alone, CHECK, || format!("resource {resource}: a check changes {before:#?} to {after:#?}"))?;
    holds(before.check.as_ref().is_none_or(|it| it.request != check.request), CHECK, || {
        format!("resource {resource}: the check {:?} is recorded twice", check.request)
    })?;
    let names: Vec<CheckStepName> = check.steps.iter().map(|step| step.name).collect();
    let mut rest = check.steps.iter().map(|step| step.result).skip_while(|result| *result == CheckResult::Passed);
    let is_consistent = match check.result {
        CheckResult::Passed => rest.next().is_none(),
        _ => rest.filter(|result| *result == CheckResult::Failed).count() == 1,
    };
    holds(names == CheckStepName::ALL && is_consistent, CHECK, || format!("resource {resource}: {check:#?}"))
}

/// Checks, after all faults have stopped, that each request has its result.
pub fn checks_answered(world: &World) -> Result<(), Violation> {
    for (index, resource) in world.resources.iter().enumerate().filter(|(_, it)| !it.is_deleted && it.deleted.is_none()) {
        let Some(value) = &resource.now().revision.desired.requests.check else { continue };
        let answered = resource.now().status.check.as_ref().map(|check| &check.request);
        holds(answered == Some(value), CHECK, || format!("resource {index}: the check {value:?} has no result, only {answered:?}"))?;
    }
    Ok(())
}
