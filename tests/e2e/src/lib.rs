//! Starts the real components for tests and the benchmark, and observes them.
//!
//! A test process has one [`TestEnvironment`]: a control plane and a local Azure, started once and stopped with the process, however it exits. Each
//! test has its own [`World`] in it: a namespace, a model, an application, a recorder of every version of its resources, and any number
//! of [`Operator`] processes. An [`ApiProxy`] can be placed between an operator and the API server; it records requests and injects
//! faults.
//!
//! Functions panic on an error, which fails the test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::missing_panics_doc, reason = "a panic is the way to fail a test")]

pub mod api_proxy;
pub mod audit;
pub mod collector;
pub mod control_plane;
pub mod environment;
pub mod gitops_health;
pub mod guard;
mod invariants;
pub mod kinds;
pub mod kstatus;
pub mod kubeconfig;
pub mod kubelet;
pub mod operator;
pub mod paths;
pub mod pod;
pub mod process;
pub mod prometheus;
pub mod rbac;
pub mod read;
pub mod recorder;
mod semantic_model;
pub mod simulator;
pub mod tools;
mod usage;
pub mod wait;
pub mod world;

pub use api_proxy::{Action, ApiProxy, InjectedFault, RecordedRequest, WatchDelivery, When};
pub use audit::{Audit, AuditLine};
pub use collector::Collector;
pub use control_plane::ControlPlane;
pub use environment::TestEnvironment;
pub use kinds::{AnyObject, Kind};
pub use kubelet::Kubelet;
pub use operator::{Operator, OperatorSettings};
pub use recorder::{Recorder, Version};
pub use semantic_model::semantic_model;
pub use simulator::{Fault, Model, Operation, Row, Simulator, SimulatorClient, Sync};
pub use tools::Tool;
pub use usage::Usage;
pub use wait::{DEADLINE, caught, eventually, within};
pub use world::{TestSetup, World};
