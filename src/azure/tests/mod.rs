//! Tests of the clients over real HTTPS.

mod check;
mod compressed;
pub(crate) mod fake_azure;
mod http2;
mod identities;
mod large_bodies;
mod lists;
mod names;
mod polls;
mod power_bi;
mod power_bi_limits;
mod submissions;
mod syncs;
mod tokens;
