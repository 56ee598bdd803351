//! The decision: from the desired state, the status, the result of the last effect and the time to a new status and one effect.
//!
//! Pure: no clock, no I/O, no tokio, no Kubernetes client, no HTTP. [`decide()`] and the rules of each state implement the guarantees: each
//! run is submitted exactly once, and no operation is left running without being tracked.

mod check;
pub mod claims;
mod conditions;
mod decide;
mod decision;
mod details_url;
mod draft;
mod effect_result;
mod freshness;
mod input;
mod next;
mod queue_state;
pub mod reconcile;
mod rules;
mod text;
mod timing;
mod turns;

pub use check::{CheckFailure, CheckReport, CheckRequest};
pub use decide::decide;
pub use decision::{Decision, DecisionInput, DecisionMemory, Effect, Event, ResolvedModel, TableTimes};
pub use effect_result::{ClaimedOperations, EffectResult, Turn};
pub use freshness::stale_time;
pub use input::{
    AnnotationRequests, Blocker, Deletion, DesiredState, DrainMode, Equivalents, External, OperationSpec, Remedy, RunPolicy, Schedule,
    ScheduleTrigger, Settings, SkippedWrites, SuccessfulRun, Upstream, UpstreamRef,
};
pub use queue_state::{QueueState, is_stuck, queue_state, queue_state_if_unwritable};
pub use rules::{deletion_timeout, namespace_time_left, resubmit_value, was_replaced};
pub use text::{sentence, token};
pub use turns::TurnQueue;
