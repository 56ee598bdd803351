//! A local Azure for tests: Entra ID, Analysis Services and Power BI under their real names.
//!
//! Clients use it as an HTTPS `CONNECT` proxy on loopback and trust the authority that it creates at startup. They need no other change.
//! A control API on a second port sets the initial state, adds faults, and shows the requests.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod analysis_services;
pub mod ca;
pub mod call;
pub mod connection;
pub mod context;
pub mod control;
pub mod entra;
pub mod exchange;
pub mod faults;
pub mod hosts;
pub mod imds;
pub mod ledger;
pub mod power_bi;
pub mod proxy;
pub mod response;
pub mod simulator;
pub mod state;
pub mod world;

pub use self::simulator::{Settings, Simulator};
