//! The finalizer and the annotations by which a person or a tool speaks to one resource.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Held by a resource from before its first operation until nothing of it can be left running.
pub const FINALIZER: &str = "tabular-operator.dev/operation";

/// Whether a resource has the operator's finalizer.
#[must_use]
pub fn has_finalizer(metadata: &ObjectMeta) -> bool {
    metadata.finalizers.iter().flatten().any(|name| name == FINALIZER)
}

/// A new value asks for one more run. Removing it, or writing the value again that was handled last, starts nothing. An empty value asks
/// for nothing: the operator removes it, with the event `DecisionIgnored`.
pub const RUN_REQUESTED_AT: &str = "tabular-operator.dev/run-requested-at";

/// A new value cancels the run that is under way or waits when the operator sees it. Where none is, also on a new resource, it is
/// handled and cancels nothing, a later run neither. Removing it, or writing the value again that was handled last, does nothing.
/// The operator removes an empty value, with the event `DecisionIgnored`.
pub const CANCEL_REQUESTED_AT: &str = "tabular-operator.dev/cancel-requested-at";

/// The id of the operation that an unknown submission started: the run follows it, unless another resource has it or it began before
/// the submission. The operator removes the annotation: silently when the run follows the operation, else with the event `DecisionIgnored`.
pub const ADOPT: &str = "tabular-operator.dev/adopt";

/// States that an unknown submission started nothing: the run submits once more. The value names the submission, such as
/// `run-4-attempt-1`, and the message of the resource has the complete command. The operator removes the annotation, and with the event
/// `DecisionIgnored` where the value names nothing that is asked, such as `"true"`.
pub const RESUBMIT: &str = "tabular-operator.dev/resubmit";

/// `"true"` on a resource that is being deleted removes the finalizer at once; a running operation keeps running. The operator removes
/// another value than `"true"` and `"false"`, with the event `DecisionIgnored`.
pub const RELEASE: &str = "tabular-operator.dev/release";

/// The annotations of a resource that the operator reads.
pub const ANNOTATIONS: [&str; 5] = [RUN_REQUESTED_AT, CANCEL_REQUESTED_AT, ADOPT, RESUBMIT, RELEASE];
