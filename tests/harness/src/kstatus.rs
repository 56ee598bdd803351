//! The rules by which Flux, Helm and Argo CD read a resource, checked on one version of it.

use tabular_operator::api::{Condition, ConditionStatus, ConditionType, Status};

use crate::AnyObject;

/// What kstatus says of a version, as these rules have it; `tests/gitops` asks kstatus itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is being deleted.
    Terminating,
    /// Work is under way, or the operator has not seen this version yet.
    InProgress,
    /// Nothing goes on until somebody acts.
    Failed,
    /// It is as it should be.
    Current,
}

/// What kstatus makes of this version.
#[must_use]
pub fn verdict(object: &AnyObject) -> Verdict {
    if object.metadata.deletion_timestamp.is_some() {
        return Verdict::Terminating;
    }
    // No status, and one without conditions that is of this generation, count as done: neither may ever be written.
    let Some(status) = &object.status else { return Verdict::Current };
    if status.observed_generation != object.metadata.generation.unwrap_or_default() {
        return Verdict::InProgress;
    }
    let is_true = |condition: &&Condition| condition.status == ConditionStatus::True;
    let decides = |condition: &Condition| match condition.r#type {
        ConditionType::Reconciling => Some(Verdict::InProgress),
        ConditionType::Stalled => Some(Verdict::Failed),
        ConditionType::Ready | ConditionType::Succeeded | ConditionType::Finished | ConditionType::Newer(_) => None,
    };
    if let Some(decided) = status.conditions.iter().filter(is_true).find_map(decides) {
        return decided;
    }
    let ready = status.conditions.iter().find(|condition| condition.r#type == ConditionType::Ready);
    if ready.is_none_or(|ready| ready.status == ConditionStatus::True) { Verdict::Current } else { Verdict::InProgress }
}

/// What is wrong with this version; nothing for one that nobody has looked at yet.
#[must_use]
pub fn faults(object: &AnyObject) -> Vec<String> {
    let Some(status) = &object.status else {
        return vec!["there is no status: tools take such a resource for finished".to_owned()];
    };
    let generation = object.metadata.generation.unwrap_or_default();
    let mut faults = Vec::new();
    let mut check = |holds: bool, rule: &str| {
        if !holds {
            faults.push(rule.to_owned());
        }
    };
    check(status.observed_generation <= generation, "observedGeneration is ahead of the generation");
    if status.observed_generation < 0 {
        check(status.conditions.is_empty(), "there are conditions before the first look");
        return faults;
    }
    let find = |wanted: ConditionType| status.conditions.iter().find(|condition| condition.r#type == wanted);
    let is_true = |wanted| find(wanted).is_some_and(|condition| condition.status == ConditionStatus::True);
    for condition in &status.conditions {
        check_condition(condition, status, &mut check);
    }
    for absent_unless_true in [ConditionType::Reconciling, ConditionType::Stalled] {
        check(find(absent_unless_true).is_none() || is_true(absent_unless_true), "Reconciling or Stalled is there without being True");
    }
    let reconciling = is_true(ConditionType::Reconciling);
    let stalled = is_true(ConditionType::Stalled);
    check(!(reconciling && stalled), "Reconciling and Stalled together");
    match find(ConditionType::Ready).map(|ready| ready.status) {
        None => check(false, "Ready is missing"),
        Some(ConditionStatus::True) => check(!reconciling && !stalled, "Ready is True while Reconciling or Stalled"),
        Some(ConditionStatus::Unknown) => check(reconciling, "Ready is Unknown without Reconciling"),
        Some(ConditionStatus::False | ConditionStatus::Newer(_)) => {}
    }
    for short in [ConditionType::Succeeded, ConditionType::Finished] {
        let message = |wanted| find(wanted).map(|condition| condition.message.as_str());
        check(
            message(short).is_none_or(|fact| Some(fact) != message(ConditionType::Ready)),
            "a sentence is in more conditions than Ready's",
        );
    }
    check_run(status, &find, reconciling, &mut check);
    faults
}

fn check_condition(condition: &Condition, status: &Status, check: &mut impl FnMut(bool, &str)) {
    let said = |what: &str| format!("{:?} {what}", condition.r#type);
    check(condition.observed_generation <= status.observed_generation, &said("has an observedGeneration ahead of the status"));
    check(condition.observed_generation > 0, &said("has no observedGeneration"));
    check(!condition.reason.is_empty() && !condition.message.is_empty(), &said("has no reason or no message"));
    check(condition.message.len() <= 32_768, &said("has a message that is too long"));
    let once = status.conditions.iter().filter(|other| other.r#type == condition.r#type).count() == 1;
    check(once, &said("is there twice"));
}

/// The conditions must agree with the run that they speak of.
fn check_run<'a>(
    status: &Status,
    find: &impl Fn(ConditionType) -> Option<&'a Condition>,
    reconciling: bool,
    check: &mut impl FnMut(bool, &str),
) {
    let Some(run) = &status.run else { return };
    let value = |wanted| find(wanted).map(|condition| condition.status);
    if run.state.ended() && status.queued.is_none() && !reconciling {
        let succeeded = run.state == tabular_operator::api::RunState::Succeeded;
        let wanted = if succeeded { ConditionStatus::True } else { ConditionStatus::False };
        check(value(ConditionType::Finished) == Some(ConditionStatus::True), "the run has ended and Finished is not True");
        check(value(ConditionType::Succeeded) == Some(wanted), "Succeeded does not say how the run ended");
        check(run.ended_time.is_some(), "the run has ended without a time");
    }
    if !run.state.ended() {
        check(value(ConditionType::Finished) != Some(ConditionStatus::True), "Finished is True while the run goes on");
        check(value(ConditionType::Succeeded) == Some(ConditionStatus::Unknown), "Succeeded is not Unknown while the run goes on");
    }
}
