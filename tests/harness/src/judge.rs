//! What other projects' tools say of a resource: kstatus, Flux and Argo CD, by their own libraries (`tests/judge`).

use std::collections::BTreeMap;
use std::sync::OnceLock;

use kube::api::DynamicObject;
use serde::Deserialize;
use serde_json::Value;

use crate::{Tool, paths};

/// Argo CD's settings, as they are patched into its `ConfigMap`.
const ARGOCD: &str = "deploy/argocd/argocd-cm.yaml";
/// The Kustomization whose health checks Flux goes by.
const FLUX: &str = "deploy/flux/sync.yaml";
/// The scripts of [`ARGOCD`] with their tests, in Argo CD's layout.
const SCRIPTS: &str = "deploy/argocd/resource_customizations";

/// What the tools say of one version of a resource.
#[derive(Clone, Debug, Deserialize)]
pub struct Verdict {
    /// kstatus, which Flux and Helm go by where they are given nothing else.
    pub kstatus: Judged,
    /// The health checks of `deploy/flux`.
    pub cel: Judged,
    /// Which of Flux's rules for conditions are broken; empty for none.
    pub faults: String,
    /// Argo CD's health.
    pub argo: Judged,
    /// Argo CD's actions, `enabled` or `disabled`.
    pub actions: BTreeMap<String, String>,
}

/// One tool's word, and the sentence that it shows with it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Judged {
    /// The word.
    pub status: String,
    /// The sentence; empty where the tool has none.
    pub message: String,
}

/// The verdicts on these, in their order.
pub async fn verdicts<'a>(objects: impl IntoIterator<Item = &'a DynamicObject>) -> Vec<Verdict> {
    let (input, count) = lines(objects);
    let verdicts: Vec<Verdict> = answers(&["resources", ARGOCD, FLUX], &input).await;
    assert_eq!(verdicts.len(), count, "there is a verdict on each");
    verdicts
}

/// A resource as one of Argo CD's actions leaves it.
pub async fn after_action(action: &str, object: &DynamicObject) -> Value {
    let (input, _) = lines([object]);
    answers(&["actions", ARGOCD, action], &input).await.pop().expect("an action leaves a resource")
}

/// What Argo CD sees between these manifests and what they became: `outOfSync`, and what it compared.
pub async fn differences(manifests: &[Value], live: &[DynamicObject]) -> Vec<Value> {
    assert_eq!(manifests.len(), live.len(), "each manifest has become a resource");
    let pair =
        |(manifest, live): (&Value, &DynamicObject)| format!("{manifest}\n---\n{}", serde_json::to_string(live).expect("it is JSON"));
    let pairs: Vec<String> = manifests.iter().zip(live).map(pair).collect();
    answers(&["drift"], &pairs.join("\n---\n")).await
}

/// Runs the tests of the scripts, and gives what it says of each. None may fail.
pub async fn scripts() -> String {
    tool().run(&["scripts", SCRIPTS, ARGOCD]).await
}

fn tool() -> &'static Tool {
    static TOOL: OnceLock<Tool> = OnceLock::new();
    TOOL.get_or_init(|| Tool::at(paths::built("tests/judge/build.sh")))
}

fn lines<'a>(objects: impl IntoIterator<Item = &'a DynamicObject>) -> (String, usize) {
    let lines: Vec<String> = objects.into_iter().map(|object| serde_json::to_string(object).expect("it is JSON")).collect();
    (lines.join("\n---\n"), lines.len())
}

async fn answers<T: for<'a> Deserialize<'a>>(arguments: &[&str], input: &str) -> Vec<T> {
    let output = tool().run_with(arguments, input).await;
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the judge failed: {errors}\nIt was given:\n{input}");
    said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))).collect()
}
