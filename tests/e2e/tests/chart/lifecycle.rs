//! The lifecycle of a release, from installation to removal, on its own cluster.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use e2e::{Kubelet, TestEnvironment, Tool, paths};
use serde_json::Value;

use crate::CHART;

/// An empty cluster, and Helm for it.
struct Cluster {
    environment: Arc<TestEnvironment>,
    helm: Tool,
    _kubelet: Option<Kubelet>,
}

impl Cluster {
    async fn start(helm: &str) -> Self {
        let cluster = Self::without_nodes(helm).await;
        let kubelet = Kubelet::start(Arc::clone(&cluster.environment)).await;
        Self { _kubelet: Some(kubelet), ..cluster }
    }

    /// A cluster that runs no pod.
    async fn without_nodes(helm: &str) -> Self {
        let environment = Arc::new(tokio::task::spawn_blocking(TestEnvironment::start).await.unwrap());
        let helm = Tool::helm(helm, environment.control_plane.kubeconfig(), environment.directory());
        Self { environment, helm, _kubelet: None }
    }

    /// Runs Helm on the release, as in the chart's README.
    async fn helm(&self, command: &str, more: &[&str]) -> String {
        let mut arguments = vec![command, "tabular-operator"];
        arguments.extend(more);
        arguments.extend(["--namespace", "tabular-system"]);
        self.helm.run(&arguments).await
    }

    /// A field of an object, or kubectl's error.
    async fn get(&self, object: &str, path: &str) -> String {
        let path = format!("jsonpath={{{path}}}");
        let output =
            self.environment.control_plane.kubectl_with(&["get", object, "--namespace", "tabular-system", "--output", &path], "").await;
        let bytes = if output.status.success() { output.stdout } else { output.stderr };
        String::from_utf8(bytes).unwrap()
    }

    async fn is_gone(&self, object: &str) -> bool {
        self.get(object, ".metadata.name").await.contains("NotFound")
    }
}

/// A copy of the chart with an older definition.
fn older_chart(directory: &Path) -> String {
    let chart = directory.join("older");
    let copied = Command::new("cp").arg("-R").arg(paths::workspace().join(CHART)).arg(&chart).status();
    assert!(copied.unwrap().success());
    let definition = chart.join("files/crds/modelrefreshes.yaml");
    let text = fs::read_to_string(&definition).unwrap();
    fs::write(definition, text.replace("State of the latest run", "An older description")).unwrap();
    chart.to_str().unwrap().to_owned()
}

const DEFINITION: &str = "crd/modelrefreshes.tabular-operator.dev";
const STATE: &str = ".spec.versions[0].additionalPrinterColumns[?(@.name==\"State\")].description";

#[tokio::test]
async fn release_is_installed_upgraded_rolled_back_uninstalled() {
    let cluster = Cluster::start("helm").await;
    let notes = cluster.helm("install", &[&older_chart(cluster.environment.directory()), "--create-namespace"]).await;
    assert!(notes.contains("STATUS: deployed") && notes.contains("kubectl create rolebinding tabular-operator-secrets"), "{notes}");
    assert_eq!(cluster.get("deployment/tabular-operator", ".spec.replicas").await, "1");
    assert_eq!(cluster.get(DEFINITION, STATE).await, "An older description");

    // A user's resource.
    let sample = paths::workspace().join("deploy/samples/minimal.yaml");
    cluster.environment.control_plane.kubectl(&["wait", DEFINITION, "--for=condition=Established", "--timeout=30s"]).await;
    cluster.environment.control_plane.kubectl(&["apply", "--namespace", "default", "-f", sample.to_str().unwrap()]).await;

    cluster.helm("upgrade", &[CHART, "--set", "replicas=2,podDisruptionBudget.enabled=true"]).await;
    assert_eq!(cluster.get("deployment/tabular-operator", ".spec.replicas").await, "2");
    assert_eq!(cluster.get("pdb/tabular-operator", ".spec.maxUnavailable").await, "1");
    assert_eq!(cluster.get(DEFINITION, STATE).await, "State of the latest run");

    // A misspelled value changes nothing.
    let arguments = ["upgrade", "tabular-operator", CHART, "--namespace", "tabular-system", "--set", "replcas=3"];
    let refused = cluster.helm.run_with(&arguments, "").await;
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("'replcas' not allowed"), "{refused:?}");

    cluster.helm("rollback", &["1"]).await;
    assert_eq!(cluster.get("deployment/tabular-operator", ".spec.replicas").await, "1");
    assert!(cluster.is_gone("pdb/tabular-operator").await);
    let history: Value = serde_json::from_str(&cluster.helm("history", &["--output", "json"]).await).unwrap();
    assert_eq!(history.as_array().unwrap().last().unwrap()["status"], "deployed");

    cluster.helm("uninstall", &[]).await;
    for object in
        ["deployment/tabular-operator", "serviceaccount/tabular-operator", "clusterrole/tabular-operator", "service/tabular-operator"]
    {
        assert!(cluster.is_gone(object).await, "{object} still exists");
    }
    // The definition stays, and with it the users' resources.
    assert_eq!(
        cluster.environment.control_plane.kubectl(&["get", "mref", "--namespace", "default", "--output", "name"]).await.trim(),
        "modelrefresh.tabular-operator.dev/minimal"
    );

    // The remaining definition is adopted, and removed on request.
    cluster.helm("install", &[CHART, "--set", "crds.keep=false"]).await;
    assert_eq!(cluster.get(DEFINITION, STATE).await, "State of the latest run");
    cluster.helm("uninstall", &[]).await;
    e2e::eventually("the removal of the definition", async || cluster.is_gone(DEFINITION).await.then_some(())).await;
}

#[tokio::test]
async fn helm_3_manages_the_same_lifecycle() {
    let cluster = Cluster::start("helm3").await;
    cluster.helm("install", &[CHART, "--create-namespace"]).await;
    cluster.helm("upgrade", &[CHART, "--set", "replicas=2"]).await;
    assert_eq!(cluster.get("deployment/tabular-operator", ".spec.replicas").await, "2");
    cluster.helm("rollback", &["1"]).await;
    assert_eq!(cluster.get("deployment/tabular-operator", ".spec.replicas").await, "1");
    let arguments = ["upgrade", "tabular-operator", CHART, "--namespace", "tabular-system", "--set", "replcas=3"];
    let refused = cluster.helm.run_with(&arguments, "").await;
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("replcas"), "{refused:?}");
    cluster.helm("uninstall", &[]).await;
    assert!(cluster.is_gone("deployment/tabular-operator").await);
    assert_eq!(cluster.get(DEFINITION, STATE).await, "State of the latest run");
}

/// The commands of docs/operations/uninstall.md.
#[tokio::test]
async fn failed_uninstall_is_rolled_back_before_upgrade() {
    let cluster = Cluster::without_nodes("helm").await;
    cluster.helm("install", &[CHART, "--create-namespace"]).await;
    let refused = async |arguments: &[&str]| {
        let output = cluster.helm.run_with(&[arguments, &["--namespace", "tabular-system"]].concat(), "").await;
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    // The Job of the drain does not run.
    refused(&["uninstall", "tabular-operator", "--timeout", "2s"]).await;
    let upgrade = ["upgrade", "tabular-operator", CHART, "--set", "uninstall.runs=Leave"];
    let error = refused(&upgrade).await;
    assert!(error.contains("has no deployed releases"), "{error}");
    cluster.helm("rollback", &["1"]).await;
    cluster.helm("upgrade", &upgrade[2..]).await;
    cluster.helm("uninstall", &[]).await;
    assert!(cluster.is_gone("deployment/tabular-operator").await);
}

#[tokio::test]
async fn definitions_installed_by_kubectl_can_be_adopted() {
    let cluster = Cluster::start("helm").await;
    cluster.environment.control_plane.kubectl(&["apply", "--server-side", "-k", paths::workspace().join("crds").to_str().unwrap()]).await;
    let arguments = ["install", "tabular-operator", CHART, "--namespace", "tabular-system", "--create-namespace"];
    let refused = cluster.helm.run_with(&arguments, "").await;
    assert!(!refused.status.success(), "{refused:?}");
    let mut arguments = arguments.to_vec();
    arguments.push("--take-ownership");
    let taken = cluster.helm.run_with(&arguments, "").await;
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
}
