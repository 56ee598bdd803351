//! Tests of the clients over real HTTPS.

mod http2;
mod identities;
mod listings;
mod looks;
mod stage;
mod submissions;
mod tokens;
