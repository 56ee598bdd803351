//! The kstatus result of a resource, by which Flux, Helm and Argo CD wait for it.

use tabular_operator::api::{Condition, ConditionStatus, ConditionType};

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
        ConditionType::Ready
        | ConditionType::Succeeded
        | ConditionType::Finished
        | ConditionType::Fresh
        | ConditionType::Unrecognized(_) => None,
    };
    if let Some(decided) = status.conditions.iter().filter(is_true).find_map(decides) {
        return decided;
    }
    let ready = status.conditions.iter().find(|condition| condition.r#type == ConditionType::Ready);
    if ready.is_none_or(|ready| ready.status == ConditionStatus::True) { KStatus::Current } else { KStatus::InProgress }
}
