//! Tests of the clients over real HTTPS.

mod listings;
mod looks;
mod stage;
mod submissions;
mod tokens;
