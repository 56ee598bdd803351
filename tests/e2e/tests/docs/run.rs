//! Runs one page: with its own cluster, local Azure and directory, and a script of all its blocks.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use e2e::{Kubelet, TestEnvironment, paths, tools};
use tokio::sync::Semaphore;

use crate::page::{Page, Part};

/// Number of concurrent pages: each has a control plane of 350 MB.
static CONCURRENT: Semaphore = Semaphore::const_new(6);
/// Timeout of a page, which mostly waits for leases and ends of runs.
const LIMIT: Duration = Duration::from_mins(8);

/// The parts of the repository in a page's directory.
const REPOSITORY: [&str; 4] = ["charts", "crds", "deploy", "docs"];

/// Runs a page.
pub async fn run(page: &Page) {
    let _permit = CONCURRENT.acquire().await.unwrap();
    let environment = Arc::new(tokio::task::spawn_blocking(TestEnvironment::start).await.unwrap());
    let kubelet = Kubelet::start(Arc::clone(&environment)).await;
    let directory = environment.directory().join("reader");
    fs::create_dir(&directory).unwrap();
    for part in REPOSITORY {
        symlink(paths::workspace().join(part), directory.join(part)).unwrap();
    }
    let tools = tools_of(&environment, environment.directory());
    fs::write(directory.join("page.sh"), script(page)).unwrap();
    let command = tokio::process::Command::new("bash")
        .arg("page.sh")
        .current_dir(&directory)
        .env("PATH", format!("{}:{}", tools.display(), std::env::var("PATH").unwrap()))
        .env("KUBECONFIG", environment.control_plane.kubeconfig())
        .env("AZURE_CONTROL", environment.simulator.control())
        .env("AZURE_PROXY", environment.simulator.proxy())
        .env("AZURE_AUTHORITY", environment.simulator.authority())
        .env("HELM_CACHE_HOME", environment.directory().join("helm/cache"))
        .env("HELM_CONFIG_HOME", environment.directory().join("helm/config"))
        .env("HELM_DATA_HOME", environment.directory().join("helm/data"))
        .env_remove("TABULAR_OPERATOR_WATCH_NAMESPACE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(LIMIT, command).await;
    let log = fs::read_to_string(kubelet.log("tabular-system", "tabular-operator")).unwrap_or_default();
    let tail = log.lines().rev().take(25).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
    let output = output.unwrap_or_else(|_| panic!("{} timed out after {LIMIT:?}. The operator's log:\n{tail}", page.file)).unwrap();
    let (stdout, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}:\n{stdout}\n{errors}\nThe operator's log:\n{tail}", page.file);
}

/// The page as a script.
fn script(page: &Page) -> String {
    let given = paths::workspace().join("tests/e2e/tests/docs/given.sh");
    let mut script = format!("set -euo pipefail\nsource '{}'\n", given.display());
    for part in page.parts() {
        match part {
            Part::Given(words) => words.iter().for_each(|word| writeln!(script, "at 'given: {word}'\n{word}").unwrap()),
            Part::Then(line, command) => writeln!(script, "at '{}:{line}: then'\n{command}", page.file).unwrap(),
            Part::Block(block) => {
                if let Some(file) = &block.file {
                    writeln!(script, "cat > '{file}' <<'END OF THE FILE'\n{}END OF THE FILE", block.text).unwrap();
                }
                if block.runs() {
                    writeln!(script, "at '{}:{}'\n{}", page.file, block.line, block.commands()).unwrap();
                }
            }
        }
    }
    script
}

/// The directory of the tools that the documents use.
fn tools_of(environment: &TestEnvironment, directory: &Path) -> std::path::PathBuf {
    let bin = directory.join("bin");
    fs::create_dir(&bin).unwrap();
    let kubectl = include_str!("kubectl.sh")
        .replace("CONTROL_PLANE", environment.control_plane.program().to_str().unwrap())
        .replace("PODS", directory.join("pods").to_str().unwrap());
    fs::write(bin.join("kubectl"), kubectl).unwrap();
    fs::set_permissions(bin.join("kubectl"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink(tools::directory().join("helm"), bin.join("helm")).unwrap();
    // jq is not installed on every machine.
    symlink(tools::directory().join("gojq"), bin.join("jq")).unwrap();
    symlink(paths::operator(), bin.join("tabular-operator")).unwrap();
    symlink(paths::plugin(), bin.join("kubectl-tabular")).unwrap();
    bin
}
