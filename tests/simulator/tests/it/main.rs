//! The simulator as seen by a client: through the proxy, under the real names, with its authority trusted.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod binary;
mod catalogue;
mod certificates;
mod clouds;
mod deleted;
mod entra;
mod faults;
mod federation;
mod managed;
mod operations;
mod power_bi;
mod power_bi_refusals;
mod proxy;
mod readme;
mod refreshes;
mod refusals;
mod scale_out;
mod signing;
mod support;
mod syncs;
mod tenants;
mod verbatim;
