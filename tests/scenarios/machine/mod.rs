//! The machine against an API server and a service in memory.

mod abandon;
mod checks;
mod failures;
mod flow;
mod memory;
mod world;
