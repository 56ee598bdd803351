//! The finalizer and the annotations with which users and tools control one resource.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Set on a resource before its first operation, and removed when no operation of the resource can still be running.
pub const FINALIZER: &str = "tabular-operator.dev/operation";

/// Whether a resource has the operator's finalizer.
#[must_use]
pub fn has_finalizer(metadata: &ObjectMeta) -> bool {
    metadata.finalizers.iter().flatten().any(|name| name == FINALIZER)
}

/// Whether a finalizer of another controller keeps a resource.
#[must_use]
pub fn has_other_finalizers(metadata: &ObjectMeta) -> bool {
    metadata.finalizers.iter().flatten().any(|name| name != FINALIZER)
}

/// A new value requests one run. Removing the annotation, or setting the last handled value again, starts nothing. The operator removes an
/// empty value, which requests nothing, and emits the event `DecisionIgnored`. Use a short value in one line, such as the time. If a
/// value has more than 256 bytes or contains a control character, such as a line break, `.status.lastHandledRequest` has only its digest
/// (`sha256:…`). Argo CD and Flux cannot compare a digest with a newer value, so until the operator observes that value, they show the
/// result of the last run.
pub const RUN_REQUESTED_AT: &str = "tabular-operator.dev/run-requested-at";

/// A new value cancels the run that is in progress or waiting when the operator observes the value. If there is no such run, for example on
/// a new resource, the operator marks the value as handled, and the value cancels no later run. Removing the annotation, or setting the
/// last handled value again, does nothing. The operator removes an empty value and emits the event `DecisionIgnored`.
pub const CANCEL_REQUESTED_AT: &str = "tabular-operator.dev/cancel-requested-at";

/// A new value requests a check: the operator tries to reach the model with the credentials of the resource, and reports each step in
/// `.status.check`. A check only reads, even while the resource is suspended or a run is in progress; it waits while a run is being
/// submitted. The operator performs at most one check of a resource every 10 seconds, and reports the last handled value. Removing the
/// annotation, or setting the last handled value again, does nothing. The operator removes an empty value and emits the event
/// `DecisionIgnored`.
pub const CHECK_REQUESTED_AT: &str = "tabular-operator.dev/check-requested-at";

/// The id of the operation that an unresolved submission started. The run tracks this operation, unless another resource owns it or it
/// started before the submission. The operator removes the annotation. If the run does not track the operation, the operator also emits
/// the event `DecisionIgnored`.
pub const ADOPT: &str = "tabular-operator.dev/adopt";

/// States that an unresolved submission started nothing, so that the run submits once more. The value identifies the submission, such as
/// `run-4-attempt-1`. The message of the resource contains the complete command. The operator removes the annotation. If the value applies
/// to no pending decision, such as `"true"`, the operator also emits the event `DecisionIgnored`.
pub const RESUBMIT: &str = "tabular-operator.dev/resubmit";

/// `"true"` on a resource that is being deleted removes the finalizer immediately. A running operation keeps running. The operator removes
/// any value other than `"true"` and `"false"`, and emits the event `DecisionIgnored`.
pub const RELEASE: &str = "tabular-operator.dev/release";

/// The annotations of a resource that the operator reads.
pub const ANNOTATIONS: [&str; 6] = [RUN_REQUESTED_AT, CANCEL_REQUESTED_AT, CHECK_REQUESTED_AT, ADOPT, RESUBMIT, RELEASE];
