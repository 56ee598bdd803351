//! Leader election: only the holder of a `coordination.k8s.io/v1` Lease acts.
//!
//! What makes it safe, each rule on its own:
//! - Every write carries the resourceVersion that it was decided on, so of two candidates one is refused.
//! - The holder counts from *before* it sent the request that the API server accepted, by its own monotonic clock, and
//!   stops at four fifths of the lease's duration. Nobody else can have begun to count earlier.
//! - A candidate takes over only when it has itself seen the Lease unchanged for the whole duration. The times written
//!   in the Lease are for people; no clock is ever compared with another machine's.
//! - A deleted Lease counts as one that is unchanged: its holder creates it again, and a candidate waits for the whole duration, even one that
//!   starts and has not seen it, if a resource shows that an operator has worked here. A candidate that has created it waits once more before
//!   it acts: the holder may have created it in between, and somebody deleted it again.
//! - A lease that was lost stays lost. The process ends, and comes back as a candidate of a new name.
//!
//! An API server that is away costs the holder its lease, though nobody can take it meanwhile: the holder cannot tell
//! that from being cut off alone.

mod candidate;
mod election;
mod handle;
pub(crate) mod installation;
pub(crate) mod leaving;
mod precedent;
mod record;
mod settings;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod tests;

pub use election::Lease;
pub use handle::LeaseHandle;
pub use settings::{LeaseReports, LeaseSettings, identity};
