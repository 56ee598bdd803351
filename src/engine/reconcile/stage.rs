//! The stage of a reconciliation.

use super::super::EffectResult;
use super::{InMemoryState, PendingDecision};
use crate::operation::SubmitResult;

/// Which response the machine waits for, and the data to continue with.
#[derive(Clone, Debug)]
pub enum Stage {
    /// The start.
    Initial,
    /// A read bypassing the cache.
    Reading(ReadPurpose),
    /// A read of the namespace.
    ReadingNamespace,
    /// An observation, before the next decision.
    Observing(Box<EffectResult>),
    /// The preparation of a call.
    Preparing(Box<PendingDecision>),
    /// The reservation of the operation that the decision adopts.
    Reserving(Box<PendingDecision>),
    /// A write of the status.
    Writing(Box<PendingDecision>),
    /// Events, before the effect.
    Publishing(Box<PendingDecision>),
    /// An observation, immediately before the call.
    Checking(Box<PendingDecision>),
    /// The addition of the finalizer, or the removal of an annotation.
    Changing(Box<PendingDecision>),
    /// The removal of the finalizer.
    Removing,
    /// Events, after the effect.
    Reporting,
    /// A turn.
    Acquiring,
    /// A call.
    Calling(Box<PendingDecision>),
    /// A check.
    RunningCheck(Box<PendingDecision>),
    /// None: the reconciliation has ended.
    Ended,
}

/// The purpose of a read bypassing the cache.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReadPurpose {
    /// The previous reconciliation could not learn whether its intent was recorded.
    Reread,
    /// The id of an accepted operation could not be recorded, and is written again.
    Record(SubmitResult),
    /// It could not be recorded, and is written again by the next reconciliation.
    DeferRecord,
    /// Another resource has the operation that was about to be adopted.
    Stale,
    /// A write was rejected as if the view were stale.
    Rejected {
        /// Whether it was one of the finalizer or an annotation.
        metadata: bool,
    },
    /// The removal of the finalizer was rejected as if the view were stale, or had no response.
    Removal {
        /// Whether it was rejected.
        rejected: bool,
        /// Whether only a change of the cluster helps.
        denied: bool,
    },
}

/// The state of the machine, for fingerprints and for the coverage of the model check.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct MachineState<'a, V> {
    pub stage: &'a Stage,
    pub view: &'a V,
    pub in_memory: &'a InMemoryState,
    pub decisions: u8,
    pub failed_records: u32,
    pub intent_unconfirmed: bool,
    pub removal_sent: bool,
}
