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

use harness::{Tool, paths};

/// A tool built by `tests/builder`.
fn tool(name: &str) -> Tool {
    Tool::at(paths::built("tests/builder/build.sh").join(name))
}

/// A temporary directory that is removed with the process' site.
fn scratch(name: &str) -> PathBuf {
    let directory = harness::Site::get().directory().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}
