//! The image that `make image` has built: what is in it, that it can be built again and published, and the operator run in it and
//! nothing else.

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

/// A tool that `tests/builder` builds.
fn tool(name: &str) -> Tool {
    Tool::at(paths::built("tests/builder/build.sh").join(name))
}

/// A temporary directory that goes with the process' site.
fn scratch(name: &str) -> PathBuf {
    let directory = harness::Site::get().directory().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}
