//! What the operator tells about itself: logs, metrics, and whether it is well.

mod connections;
pub mod health;
pub mod labels;
pub mod logs;
pub mod metrics;
pub mod server;
pub mod trace_id;
pub mod traces;
