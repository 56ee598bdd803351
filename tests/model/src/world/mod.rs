//! A simulated environment of the state machine: an API server, a service, other clients, users, operators that crash, and time.
//!
//! Everything that may happen next is an [`Action`]. The invariants are checked as actions are applied. The same world is explored
//! completely ([`crate::explore`]) and at random ([`crate::random`]).

mod action;
mod appearance;
mod apply;
mod calls;
pub mod cluster;
pub mod coverage;
mod display;
mod driver;
mod fingerprint;
pub mod object;
mod operator;
pub mod service;
mod state;
mod time;
mod turns;
mod uninstall;
mod user;
mod writes;

pub use action::{Action, RequestOutcome};
pub use appearance::{Appearance, ClientRequest};
pub(crate) use apply::ids_of;
pub use apply::{index_of, is_unresolved};
pub use cluster::Resource;
pub use operator::{Existence, Leadership, Operator, Pending, ResourceState, Task};
pub use service::{Op, Owner, PendingSubmission, Service, Visibility};
pub use state::{LateWrite, Lease, Violation, World};
pub use time::{GRACE, LEASE_DURATION, LEASE_HOLD, SUBMIT_MARGIN, Seconds, seconds_of, timestamp};
pub use uninstall::Uninstall;
pub use user::UserAction;
