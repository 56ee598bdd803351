//! The facts outside a resource that a decision depends on.

use super::Upstream;
use crate::api::Reason;

/// The facts outside a resource that a decision depends on.
#[derive(Clone, Debug, Default)]
pub struct External {
    /// A fault in the spec, or in what it refers to, that only the operator can detect. A fault of the upstream refresh
    /// ([`Reason::UpstreamNotFound`], [`Reason::UpstreamUnreadable`], [`Reason::UpstreamCycle`]) blocks the other triggers only if the
    /// model is that of the upstream.
    pub blocker: Option<Blocker>,
    /// Whether its namespace is being deleted. It counts only if the resource is being deleted.
    pub namespace_terminating: bool,
    /// The refresh that `trigger.afterRefresh` names, if it exists and is readable ([`Upstream::of`]).
    pub upstream: Option<Upstream>,
    /// Whether the operator is about to be uninstalled.
    pub drain: Option<DrainMode>,
    /// Whether another resource tracks, or has tracked, the operation that the annotation `adopt` names.
    pub adopt_claimed: bool,
    /// The writes that are left out for now.
    pub skipped_writes: SkippedWrites,
}

/// The writes of a resource that are left out for now, because they failed, or because another client reverts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SkippedWrites {
    /// The finalizers and the annotations: the API server has just refused to change them.
    pub metadata: bool,
    /// The removal of annotations: one was just removed, perhaps the same that was set again.
    pub annotations: bool,
    /// The end of a run that is deleted: the last writes of the status failed.
    pub status: bool,
}

/// What an operator that is about to be uninstalled does with running operations. In either case it starts no runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DrainMode {
    /// It waits for their end.
    Wait,
    /// It cancels those that a deletion of the resource would cancel.
    Cancel,
}

/// A fault that blocks a run, with a message that a user can act on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Blocker {
    /// Its reason.
    pub reason: Reason,
    /// One sentence: what is wrong, and what to do.
    pub message: String,
    /// Where it is fixed.
    pub remedy: Remedy,
}

/// Where a fault is fixed. This determines when the operator checks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// In the spec: only a change of it helps.
    SpecChange,
    /// In the cluster: a Secret, a `ServiceAccount`, a permission. The operator checks after 5 seconds, then at growing intervals of up to a
    /// minute.
    ClusterChange,
}
