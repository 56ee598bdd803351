//! What stands around a resource, which its own spec does not say.

use super::Followed;
use crate::api::Reason;

/// What stands around a resource, which its own spec does not say.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// What is wrong with the spec, or with what it refers to, in a way that only the operator can tell. One of a followed refresh
    /// ([`Reason::FollowedNotFound`], [`Reason::FollowCycle`]) hinders the other triggers only where the model is the followed one's.
    pub fault: Option<Fault>,
    /// Whether its namespace is being deleted. It counts only where the resource is being deleted.
    pub namespace_ending: bool,
    /// The refresh that `trigger.afterRefresh` names, where it exists: [`Followed::of`] it.
    pub followed: Option<Followed>,
    /// Whether the operator is about to be uninstalled.
    pub leaving: Option<Leaving>,
    /// Whether another resource follows, or has followed, the operation that the annotation `adopt` names.
    pub adopt_taken: bool,
    /// Whether the API server has just refused to change the finalizers or the annotations.
    pub metadata_refused: bool,
}

/// What an operator that is about to be uninstalled does with what runs. It begins nothing in either case: for all that has not
/// begun it is as if it were gone already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leaving {
    /// It waits for the end.
    Wait,
    /// It cancels what the deletion of the resource would cancel.
    Cancel,
}

/// What hinders a run, in words that a user can act on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// Which fault.
    pub reason: Reason,
    /// One sentence: what is wrong, and what to do.
    pub message: String,
    /// Where the cure lies.
    pub cure: Cure,
}

/// Where the cure of a fault lies, which says when to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cure {
    /// In the spec: only a change of it helps.
    Spec,
    /// In the cluster: a Secret, a `ServiceAccount`, a permission. Looked at after a few seconds, and ever more seldom, up to a minute.
    Cluster,
}
