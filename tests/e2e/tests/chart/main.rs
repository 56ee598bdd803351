//! The chart and the plain manifests: checked by tools of other projects and by a real API server. The operator runs with only the
//! permissions that they grant.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod alerts;
mod grants;
mod in_mid_run;
mod lifecycle;
mod permissions;
mod release;
mod renderings;
mod schemas;
mod two_releases;
mod units;

use std::fs;
use std::path::PathBuf;

use e2e::paths;
use serde_json::Value;

/// The chart, from the workspace.
const CHART: &str = "charts/tabular-operator";

/// The value sets in the chart's `ci/`, in the order of their names.
fn value_sets() -> Vec<String> {
    let entries = fs::read_dir(paths::workspace().join(CHART).join("ci")).expect("the chart has ci/");
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A value set as an argument of Helm.
fn value_set(name: &str) -> String {
    format!("{CHART}/ci/{name}")
}

/// The objects of a file of YAML documents.
fn objects(text: &str) -> Vec<Value> {
    // Empty documents are omitted.
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

/// A temporary directory that is removed with the process' environment.
fn scratch(name: &str) -> PathBuf {
    let directory = e2e::TestEnvironment::get().directory().join(name);
    fs::create_dir_all(&directory).unwrap();
    directory
}
