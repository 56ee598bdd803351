//! Paths of the workspace and of the programs built from it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The workspace's root directory.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tests/e2e is in the workspace").to_owned()
}

/// The path printed by a build script such as `tests/tools/control-plane/build.sh`.
#[must_use]
pub fn built(script: &str) -> PathBuf {
    let output = Command::new(workspace().join(script)).stderr(Stdio::inherit()).output();
    let output = output.unwrap_or_else(|error| panic!("failed to run {script}: {error}"));
    assert!(output.status.success(), "{script} failed: see above");
    String::from_utf8_lossy(&output.stdout).trim().into()
}

/// The operator under test: `TABULAR_OPERATOR_BINARY`, or the release build of this workspace.
#[must_use]
pub fn operator() -> PathBuf {
    program("TABULAR_OPERATOR_BINARY", "tabular-operator")
}

/// The plugin under test: `KUBECTL_TABULAR_BINARY`, or the release build of this workspace.
#[must_use]
pub fn plugin() -> PathBuf {
    program("KUBECTL_TABULAR_BINARY", "kubectl-tabular")
}

/// The local Azure: `TABULAR_SIMULATOR_BINARY`, or the release build of this workspace.
#[must_use]
pub fn simulator() -> PathBuf {
    program("TABULAR_SIMULATOR_BINARY", "simulator")
}

fn program(variable: &str, name: &str) -> PathBuf {
    let path = env::var_os(variable).map_or_else(|| target().join("release").join(name), PathBuf::from);
    assert!(path.is_file(), "{} not found: build it with `make build`, or set {variable}", path.display());
    path
}

/// Cargo's target directory: the one that contains this test program, unless it was moved.
#[must_use]
pub fn target() -> PathBuf {
    let here = env::current_exe().ok();
    let beside = here.as_deref().and_then(|here| here.ancestors().find(|directory| directory.join("CACHEDIR.TAG").is_file()));
    beside.map_or_else(|| workspace().join("target"), Path::to_owned)
}
