//! The plugin's view of what the demo showed: screens for the user, and reports for the check.

use std::path::PathBuf;
use std::process::Output;

use e2e::paths;
use screen::{Screen, Style};
use serde_json::Value;
use tokio::process::Command;

use crate::Outcome;
use crate::azure::Operation;
use crate::manifests::{DELETED, FAILING, FULL};

/// The commands whose screens are shown, with the resource of each.
const SHOWN: [(&str, Option<&str>); 4] = [("get", None), ("status", Some(FULL)), ("history", Some(FULL)), ("why", Some(FAILING))];
/// Commands to try while the demo is kept running.
const TO_TRY: [(&str, &str); 6] = [
    ("get", ""),
    ("status", " adventureworks"),
    ("why", " inventory"),
    ("check", " sales-orders"),
    ("run", " sales-orders --wait --reason \"first try\""),
    ("history", " sales-orders"),
];

/// The plugin for the demo's cluster.
pub struct Plugin {
    program: PathBuf,
    /// The flag that selects the cluster.
    cluster: [String; 2],
    namespace: String,
}

impl Plugin {
    /// The plugin of this build, with the flag that selects the cluster.
    pub fn new(cluster: [String; 2], namespace: &str) -> Self {
        Self { program: paths::plugin(), cluster, namespace: namespace.to_owned() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).args(&self.cluster).args(["--namespace", &self.namespace]).kill_on_drop(true);
        command
    }

    /// Whether this build has the command.
    async fn has(&self, command: &str) -> bool {
        let output = Command::new(&self.program).args([command, "--help"]).output().await;
        output.is_ok_and(|output| output.status.success())
    }

    /// Shows the screens, which the plugin prints itself, with the width and the colors of the terminal.
    pub async fn show(&self, screen: &mut Screen) -> Outcome<()> {
        for (command, name) in SHOWN {
            if !self.has(command).await {
                continue;
            }
            let arguments: Vec<&str> = [command].into_iter().chain(name).collect();
            let line = format!("$ kubectl tabular {} --namespace {}", arguments.join(" "), self.namespace);
            screen.print("");
            screen.print_styled(&vec![(Style::Faint, line.clone())]);
            let status = self.command(&arguments).status().await.map_err(|error| format!("failed to run the plugin: {error}"))?;
            if !status.success() {
                return Err(format!("{line}: {status}"));
            }
        }
        Ok(())
    }

    /// Checks that its reports have every resource with its end, and the operation at the service.
    pub async fn check(&self, names: &[&str], operations: &[Operation]) -> Outcome<()> {
        let list = self.report(&["get"]).await?;
        let resources = list["resources"].as_array().ok_or("the report of `get` has no resources")?;
        let name_of = |resource: &Value| {
            let name = resource["name"].as_str().unwrap_or_default();
            if resource["kind"] == "ModelSync" { format!("msync/{name}") } else { name.to_owned() }
        };
        for name in names.iter().filter(|name| **name != DELETED) {
            let expected = if *name == FAILING { "Failed" } else { "Succeeded" };
            let found = resources.iter().find(|resource| name_of(resource) == *name).map(|resource| &resource["state"]);
            if found.is_none_or(|state| state != expected) {
                return Err(format!("kubectl tabular get: {name} is {found:?}, not {expected}"));
            }
        }
        if resources.len() != names.len() - 1 {
            return Err(format!("kubectl tabular get: {} resources, not {}", resources.len(), names.len() - 1));
        }
        let status = self.report(&["status", FULL]).await?;
        let id = status["latestRun"]["operationId"].as_str().unwrap_or_default();
        if !operations.iter().any(|operation| operation.id == id && operation.status == "succeeded") {
            return Err(format!("kubectl tabular status {FULL}: the service has no succeeded operation '{id}'"));
        }
        let history = self.report(&["history", FULL]).await?;
        let ends: Vec<&Value> = history["runs"].as_array().into_iter().flatten().map(|run| &run["state"]).collect();
        if ends != ["Succeeded"] {
            return Err(format!("kubectl tabular history {FULL}: {ends:?}, not one success"));
        }
        if self.has("why").await {
            let why = self.report(&["why", FAILING]).await?;
            if why["reason"] != "RefreshFailed" {
                return Err(format!("kubectl tabular why {FAILING}: the reason is {}", why["reason"]));
            }
        }
        Ok(())
    }

    async fn report(&self, arguments: &[&str]) -> Outcome<Value> {
        let line = format!("kubectl tabular {} -o json", arguments.join(" "));
        let Output { status, stdout, stderr } =
            self.command(arguments).args(["-o", "json"]).output().await.map_err(|error| format!("{line}: {error}"))?;
        if !status.success() {
            return Err(format!("{line}: {status}: {}", String::from_utf8_lossy(&stderr).trim_end()));
        }
        serde_json::from_slice(&stdout).map_err(|error| format!("{line}: {error}"))
    }

    /// Lines that explain its use while the demo is kept running. `in_context` is the flag of a user's cluster.
    pub async fn lines(&self, in_context: &str) -> Vec<String> {
        let directory = self.program.parent().map(|directory| directory.display().to_string()).unwrap_or_default();
        let mut lines = vec![String::new(), "The plugin, which kubectl finds in PATH:".to_owned(), String::new()];
        lines.push(format!("  export PATH=\"{directory}:$PATH\""));
        for (command, arguments) in TO_TRY {
            if self.has(command).await {
                lines.push(format!("  kubectl tabular {command}{arguments} --namespace {}{in_context}", self.namespace));
            }
        }
        lines
    }
}
