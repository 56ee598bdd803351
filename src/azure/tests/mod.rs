//! Tests of the clients over real HTTPS.

mod compressed;
mod http2;
mod identities;
mod listings;
mod looks;
mod names;
mod power_bi;
mod stage;
mod submissions;
mod syncs;
mod tokens;
