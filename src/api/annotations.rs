//! The finalizer and the annotations by which a person or a tool speaks to one resource.

/// Held by a resource from before its first operation until nothing of it can be left running.
pub const FINALIZER: &str = "tabular-operator.dev/operation";

/// A new value asks for one more run. Removing it, or writing the value again that was handled last, starts nothing.
pub const RUN_REQUESTED_AT: &str = "tabular-operator.dev/run-requested-at";

/// A new value cancels the run that is under way or waits when the operator sees it. Where none is, also on a new resource, it is
/// handled and cancels nothing, a later run neither. Removing it, or writing the value again that was handled last, does nothing.
pub const CANCEL_REQUESTED_AT: &str = "tabular-operator.dev/cancel-requested-at";

/// The id of the operation that an unknown submission started: the run follows it.
pub const ADOPT: &str = "tabular-operator.dev/adopt";

/// `"true"` says that an unknown submission started nothing: the run submits once more, and the annotation is removed.
pub const RESUBMIT: &str = "tabular-operator.dev/resubmit";

/// `"true"` on a resource that is being deleted lets go of it at once; whatever runs at the service goes on.
pub const RELEASE: &str = "tabular-operator.dev/release";
