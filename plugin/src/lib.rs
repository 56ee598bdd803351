//! `kubectl tabular`: shows and controls the refreshes and syncs of the tabular-operator.
//!
//! A command in [`commands`] reads the cluster ([`connect`], [`objects`], [`watch`]). The functions in [`screens`] render what it read.
//! They are pure: resources, the time and the width in, lines out. [`facts`] has what several screens need to know of a resource.
//! [`report`] is the documented JSON of each command. [`manifests`] checks and writes manifests, also pure. The plugin never reads a Secret.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod cli;
pub mod commands;
pub mod completion;
pub mod connect;
pub mod dry_run;
pub mod evidence;
pub mod exit;
pub mod facts;
pub mod failure;
pub mod manifests;
pub mod objects;
pub mod output;
pub mod patch;
pub mod prompt;
pub mod report;
pub mod request_value;
pub mod screens;
pub mod session;
pub mod sources;
pub mod target;
pub mod watch;

#[cfg(test)]
mod fixture;
