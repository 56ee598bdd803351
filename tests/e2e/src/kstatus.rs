//! The rules by which Flux, Helm and Argo CD read a resource, checked on one version of it.

use tabular_operator::api::{Condition, ConditionStatus, ConditionType, Status};

use crate::AnyObject;

/// The kstatus result for a version according to these rules; `tests/e2e/tests/gitops` uses kstatus itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KStatus {
    /// The object is being deleted.
    Terminating,
    /// A run is in progress, or the operator has not observed this generation yet.
    InProgress,
    /// A user must act.
    Failed,
    /// The object is in its desired state.
    Current,
}

/// The kstatus result of this version.
#[must_use]
pub fn status(object: &AnyObject) -> KStatus {
    if object.metadata.deletion_timestamp.is_some() {
        return KStatus::Terminating;
    }
    // A missing status, or a status of this generation without conditions, counts as current: neither may be written.
    let Some(status) = &object.status else { return KStatus::Current };
    if status.observed_generation != object.metadata.generation.unwrap_or_default() {
        return KStatus::InProgress;
    }
    let is_true = |condition: &&Condition| condition.status == ConditionStatus::True;
    let decides = |condition: &Condition| match condition.r#type {
        ConditionType::Reconciling => Some(KStatus::InProgress),
        ConditionType::Stalled => Some(KStatus::Failed),
        ConditionType::Ready | ConditionType::Succeeded | ConditionType::Finished | ConditionType::Unrecognized(_) => None,
    };
    if let Some(decided) = status.conditions.iter().filter(is_true).find_map(decides) {
        return decided;
    }
    let ready = status.conditions.iter().find(|condition| condition.r#type == ConditionType::Ready);
    if ready.is_none_or(|ready| ready.status == ConditionStatus::True) { KStatus::Current } else { KStatus::InProgress }
}

/// Violations in this version; none for a version that the operator has not processed yet.
#[must_use]
pub fn faults(object: &AnyObject) -> Vec<String> {
    let Some(status) = &object.status else {
        return vec!["the status is missing: tools consider such a resource current".to_owned()];
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
        check(status.conditions.is_empty(), "conditions exist before the first reconciliation");
        return faults;
    }
    let find = |wanted: ConditionType| status.conditions.iter().find(|condition| condition.r#type == wanted);
    let is_true = |wanted| find(wanted).is_some_and(|condition| condition.status == ConditionStatus::True);
    for condition in &status.conditions {
        check_condition(condition, status, &mut check);
    }
    for absent_unless_true in [ConditionType::Reconciling, ConditionType::Stalled] {
        check(find(absent_unless_true).is_none() || is_true(absent_unless_true), "Reconciling or Stalled exists but is not True");
    }
    let reconciling = is_true(ConditionType::Reconciling);
    let stalled = is_true(ConditionType::Stalled);
    check(!(reconciling && stalled), "Reconciling and Stalled are both True");
    match find(ConditionType::Ready).map(|ready| ready.status) {
        None => check(false, "Ready is missing"),
        Some(ConditionStatus::True) => check(!reconciling && !stalled, "Ready is True while Reconciling or Stalled"),
        Some(ConditionStatus::Unknown) => check(reconciling, "Ready is Unknown without Reconciling"),
        Some(ConditionStatus::False | ConditionStatus::Unrecognized(_)) => {}
    }
    for short in [ConditionType::Succeeded, ConditionType::Finished] {
        let message = |wanted| find(wanted).map(|condition| condition.message.as_str());
        check(message(short).is_none_or(|fact| Some(fact) != message(ConditionType::Ready)), "a message is repeated outside Ready");
    }
    check_run(status, &find, reconciling, &mut check);
    faults
}

fn check_condition(condition: &Condition, status: &Status, check: &mut impl FnMut(bool, &str)) {
    let describe = |what: &str| format!("{:?} {what}", condition.r#type);
    check(condition.observed_generation <= status.observed_generation, &describe("has an observedGeneration ahead of the status"));
    check(condition.observed_generation > 0, &describe("has no observedGeneration"));
    check(!condition.reason.is_empty() && !condition.message.is_empty(), &describe("has no reason or no message"));
    check(condition.message.len() <= 32_768, &describe("has a message that is too long"));
    let once = status.conditions.iter().filter(|other| other.r#type == condition.r#type).count() == 1;
    check(once, &describe("exists twice"));
}

/// Checks that the conditions match the run.
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
        check(value(ConditionType::Finished) == Some(ConditionStatus::True), "the run has ended but Finished is not True");
        check(value(ConditionType::Succeeded) == Some(wanted), "Succeeded does not match the result of the run");
        check(run.ended_time.is_some(), "the ended run has no end time");
    }
    if !run.state.ended() {
        check(value(ConditionType::Finished) != Some(ConditionStatus::True), "Finished is True during the run");
        check(value(ConditionType::Succeeded) == Some(ConditionStatus::Unknown), "Succeeded is not Unknown during the run");
    }
}
