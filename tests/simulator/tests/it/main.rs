//! The simulator as a client meets it: through the proxy, under the real names, trusting its authority.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod binary;
mod certificates;
mod clouds;
mod entra;
mod faults;
mod federation;
mod managed;
mod operations;
mod proxy;
mod refreshes;
mod refusals;
mod signing;
mod support;
