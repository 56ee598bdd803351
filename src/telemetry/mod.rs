//! Observability of the operator: logs, metrics, traces and health.

mod connections;
pub mod health;
pub mod labels;
pub mod logs;
pub mod metrics;
pub mod server;
pub mod trace_id;
pub mod traces;
