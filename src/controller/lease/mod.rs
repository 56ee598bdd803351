//! Leader election: only the holder of a `coordination.k8s.io/v1` Lease acts.
//!
//! The rules that make it safe:
//! - Every write carries the resourceVersion on which it is based, so the API server rejects one of two concurrent candidates.
//! - The holder counts from *before* it sent the accepted request, by its own monotonic clock, and stops acting at four fifths of the
//!   duration. No candidate can have started to count earlier.
//! - A candidate acquires the Lease only after it has observed it unchanged for the whole duration. The times in the Lease are
//!   informational: clocks of different machines are never compared.
//! - A deleted Lease counts as unchanged: its holder creates it again, and a candidate waits for the whole duration. A candidate that has
//!   never seen it also waits if a resource shows that an operator has worked here. A candidate that has created the Lease waits once more
//!   before it acts, because the holder may have created it in between and a client may have deleted it again.
//! - Only a Lease that its holder released is free without this wait. If another client clears the holder or empties the Lease, that
//!   holder acts until its next renewal. The first operator is its holder from the start, because it creates the Lease with its name.
//! - A lost lease stays lost. The process exits, and restarts as a candidate with a new name.
//! - If the Lease is lost during a submission, the intent stays recorded. The next leader resolves it (`engine/rules/submitting.rs`).
//!
//! If the API server is not available, the holder loses its lease although no candidate can acquire it: the holder cannot distinguish
//! this from a network partition that affects only itself.

pub(crate) mod drain_signal;
mod election;
mod elector;
mod handle;
pub(crate) mod installation;
mod prior_use;
mod record;
mod requests;
mod settings;

#[cfg(test)]
mod tests;

pub use election::Lease;
pub use handle::LeaseHandle;
pub(in crate::controller) use record::is_held;
pub use settings::{LeaseReports, LeaseSettings, identity};
