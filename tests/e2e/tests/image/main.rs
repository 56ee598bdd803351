//! The image built by `make image`: its contents, a repeated build, publishing, and the operator running in it.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bill;
mod contents;
mod layout;
mod nameserver;
mod publishing;
mod running;

use std::path::PathBuf;

use e2e::{Tool, paths};

/// A tool built by `tests/tools/builder`.
fn tool(name: &str) -> Tool {
    Tool::at(paths::built("tests/tools/builder/build.sh").join(name))
}

/// A temporary directory that is removed with the process' environment.
fn scratch(name: &str) -> PathBuf {
    let directory = e2e::TestEnvironment::get().directory().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}
