//! The assessment of a resource by tools of other projects: kstatus, Flux and Argo CD, by their own libraries (`tests/tools/gitops-health`).

use std::collections::BTreeMap;
use std::sync::OnceLock;

use kube::api::DynamicObject;
use serde::Deserialize;
use serde_json::Value;

use crate::{Tool, paths};

/// Argo CD's settings, a patch of its `ConfigMap`.
const ARGOCD: &str = "deploy/argocd/argocd-cm.yaml";
/// The Kustomization that contains Flux's health checks.
const FLUX: &str = "deploy/flux/sync.yaml";
/// The scripts of [`ARGOCD`] with their tests, in Argo CD's layout.
const SCRIPTS: &str = "deploy/argocd/resource_customizations";

/// The assessment of one version of a resource.
#[derive(Clone, Debug, Deserialize)]
pub struct Assessment {
    /// kstatus, the default of Flux and Helm.
    pub kstatus: ToolResult,
    /// The health checks of `deploy/flux`.
    pub cel: ToolResult,
    /// Violations of Flux's rules for conditions; empty if none.
    pub faults: String,
    /// Argo CD's health.
    pub argo: ToolResult,
    /// Argo CD's actions, `enabled` or `disabled`.
    pub actions: BTreeMap<String, String>,
}

/// The result of one tool, with its message.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct ToolResult {
    /// The status.
    pub status: String,
    /// The message; empty if the tool has none.
    pub message: String,
}

/// The assessments of these objects, in their order.
pub async fn assessments<'a>(objects: impl IntoIterator<Item = &'a DynamicObject>) -> Vec<Assessment> {
    let (input, count) = lines(objects);
    let assessments: Vec<Assessment> = run_tool(&["resources", ARGOCD, FLUX], &input).await;
    assert_eq!(assessments.len(), count, "one assessment per object");
    assessments
}

/// The resource after one of Argo CD's actions.
pub async fn after_action(action: &str, object: &DynamicObject) -> Value {
    let (input, _) = lines([object]);
    run_tool(&["actions", ARGOCD, action], &input).await.pop().expect("an action returns a resource")
}

/// Argo CD's comparison of these manifests with the live objects: `outOfSync`, and the compared fields.
pub async fn differences(manifests: &[Value], live: &[DynamicObject]) -> Vec<Value> {
    assert_eq!(manifests.len(), live.len(), "one live object per manifest");
    let pair = |(manifest, live): (&Value, &DynamicObject)| {
        format!("{manifest}\n---\n{}", serde_json::to_string(live).expect("objects are serializable"))
    };
    let pairs: Vec<String> = manifests.iter().zip(live).map(pair).collect();
    run_tool(&["drift"], &pairs.join("\n---\n")).await
}

/// Runs the tests of the scripts and returns the output of each. Panics if one fails.
pub async fn scripts() -> String {
    tool().run(&["scripts", SCRIPTS, ARGOCD]).await
}

fn tool() -> &'static Tool {
    static TOOL: OnceLock<Tool> = OnceLock::new();
    TOOL.get_or_init(|| Tool::at(paths::built("tests/tools/gitops-health/build.sh")))
}

fn lines<'a>(objects: impl IntoIterator<Item = &'a DynamicObject>) -> (String, usize) {
    let lines: Vec<String> = objects.into_iter().map(|object| serde_json::to_string(object).expect("objects are serializable")).collect();
    (lines.join("\n---\n"), lines.len())
}

async fn run_tool<T: for<'a> Deserialize<'a>>(arguments: &[&str], input: &str) -> Vec<T> {
    let output = tool().run_with(arguments, input).await;
    let (results, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the assessment failed: {errors}\nIts input:\n{input}");
    results.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))).collect()
}
