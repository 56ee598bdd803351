//! Renderings of the chart, checked by Helm, kubeconform and the API server, and compared with the plain manifests.

use std::collections::BTreeMap;
use std::fs;

use e2e::{TestEnvironment, Tool, paths};
use serde_json::{Value, json};

use crate::{CHART, objects, schemas, value_set, value_sets};

/// The release and its namespace, as in the documents.
const RELEASE: &str = "tabular-operator";
const NAMESPACE: &str = "tabular-system";

async fn render(values: &str) -> String {
    render_by("helm", values).await
}

async fn render_by(helm: &str, values: &str) -> String {
    // Without a cluster, Helm assumes a version of Kubernetes that depends on its own release.
    let mut arguments = vec!["template", RELEASE, CHART, "--namespace", NAMESPACE, "--kube-version", "1.29.0"];
    let values = value_set(values);
    arguments.extend(["--values", &values]);
    Tool::named(helm).run(&arguments).await
}

async fn kubeconform(manifests: &str) -> (bool, Value) {
    let location = schemas::location().await;
    let arguments = ["-strict", "-summary", "-output", "json", "-schema-location", &location, "-"];
    let output = Tool::named("kubeconform").run_with(&arguments, manifests).await;
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.success(), report)
}

#[tokio::test]
async fn helm_lint_passes() {
    for values in value_sets() {
        let report = Tool::named("helm").run(&["lint", "--strict", CHART, "--values", &value_set(&values)]).await;
        assert!(report.contains("1 chart(s) linted, 0 chart(s) failed"), "{values}: {report}");
    }
}

#[tokio::test]
async fn helm_3_renders_the_same_manifests() {
    for values in value_sets() {
        let (new, old) = (comparable(&render(&values).await), comparable(&render_by("helm3", &values).await));
        assert!(new.len() > 5 || values == "least-values.yaml", "{values}: {new:#?}");
        assert_eq!(new, old, "{values}");
    }
}

#[tokio::test]
async fn kubeconform_accepts_every_rendering() {
    for values in value_sets() {
        let rendering = render(&values).await;
        let (success, report) = kubeconform(&rendering).await;
        assert!(success, "{values}: {report:#}");
        let summary = json!({"valid": objects(&rendering).len(), "invalid": 0, "errors": 0, "skipped": 0});
        assert_eq!(report["summary"], summary, "{values}");
    }
}

/// Includes those for Flux and Argo CD: kinds of other projects, and recorded states.
#[tokio::test]
async fn kubeconform_accepts_plain_manifests() {
    let mut manifests = Vec::new();
    for built in OVERLAYS.map(|(overlay, _)| overlay).into_iter().chain(["flux/operator"]) {
        manifests.push(TestEnvironment::get().control_plane.kubectl(&["kustomize", &directory(built)]).await);
    }
    let scripts = "deploy/argocd/resource_customizations/tabular-operator.dev";
    let recorded = ["ModelRefresh/testdata", "ModelRefresh/actions/testdata", "ModelSync/testdata", "ModelSync/actions/testdata"];
    let directories = recorded.map(|directory| format!("{scripts}/{directory}")).into_iter().chain(["deploy/samples".to_owned()]);
    let files =
        directories.flat_map(|directory| files(&directory)).chain(["deploy/flux/sync.yaml".into(), "deploy/argocd/argocd-cm.yaml".into()]);
    manifests.extend(files.map(|file| fs::read_to_string(paths::workspace().join(file)).unwrap()));
    let manifests = manifests.join("\n---\n");
    let (success, report) = kubeconform(&manifests).await;
    assert!(success, "{report:#}");
    assert_eq!(report["summary"], json!({"valid": objects(&manifests).len(), "invalid": 0, "errors": 0, "skipped": 0}));
}

/// With the schemas for editors.
#[tokio::test]
async fn kubeconform_accepts_manifests_with_committed_schemas() {
    let location = paths::workspace().join("schemas/{{ .ResourceKind }}_{{ .ResourceAPIVersion }}.json");
    let arguments = ["-strict", "-summary", "-output", "json", "-schema-location", location.to_str().unwrap(), "-"];
    let read = |directory: &str| files(directory).iter().map(|file| fs::read_to_string(file).unwrap()).collect::<Vec<_>>();
    let texts = [read("tests/e2e/manifests/accepted"), read("deploy/samples")].concat().join("\n---\n");
    let ours: Vec<String> =
        objects(&texts).iter().filter(|object| object["kind"].as_str().unwrap().starts_with("Model")).map(Value::to_string).collect();
    assert!(ours.len() > 70, "{}", ours.len());
    let judge = async |manifests: String| {
        let output = Tool::named("kubeconform").run_with(&arguments, &manifests).await;
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    };
    let report = judge(ours.join("\n---\n")).await;
    assert_eq!(report["summary"], json!({"valid": ours.len(), "invalid": 0, "errors": 0, "skipped": 0}), "{report:#}");
    let report = judge(ours[0].replace("\"spec\":{", "\"spec\":{\"suspended\":true,")).await;
    assert_eq!(report["summary"]["invalid"], 1, "{report:#}");
}

#[tokio::test]
async fn chart_accepts_values_of_flux_release() {
    let release = &objects(&fs::read_to_string(paths::workspace().join("deploy/flux/operator/helmrelease.yaml")).unwrap())[0];
    assert_eq!(release["spec"]["chart"]["spec"]["chart"], format!("./{CHART}"));
    let values = release["spec"]["values"].to_string();
    let arguments = ["template", RELEASE, CHART, "--namespace", NAMESPACE, "--values", "-"];
    let rendered = Tool::named("helm").run_with(&arguments, &values).await;
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
}

/// Otherwise the Job of the drain could not run, or its failure would block the release (docs/operations/uninstall.md).
#[test]
fn flux_uninstalls_only_on_deletion_and_keeps_namespace() {
    let read = |file: &str| fs::read_to_string(paths::workspace().join("deploy/flux/operator").join(file)).unwrap();
    let namespace = &objects(&read("namespace.yaml"))[0];
    assert_eq!(namespace["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/prune"], "disabled");
    let release = &objects(&read("helmrelease.yaml"))[0];
    for action in ["install", "upgrade"] {
        let settings = &release["spec"][action];
        assert_eq!((&settings["strategy"]["name"], &settings["remediation"]), (&json!("RetryOnFailure"), &Value::Null), "{action}");
    }
}

#[tokio::test]
async fn kubeconform_detects_misspelled_field() {
    let rendering = render("everything-values.yaml").await;
    for (right, wrong) in
        [("  replicas: 2", "  replica: 2"), ("  replicas: 2", "  replicas: two"), ("      scrapeTimeout:", "      timeout:")]
    {
        assert!(rendering.contains(right));
        let (success, report) = kubeconform(&rendering.replace(right, wrong)).await;
        assert!(!success, "{wrong}: {report:#}");
    }
}

/// Violations of the restricted standard appear as warnings, unknown fields and invalid values as errors.
#[tokio::test]
async fn api_server_accepts_every_rendering() {
    schemas::location().await;
    let control_plane = &TestEnvironment::get().control_plane;
    for namespace in ["bi", "finance"] {
        let made = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        control_plane.kubectl_with(&["apply", "-f", "-"], &made.to_string()).await;
    }
    let made = fs::read_to_string(paths::workspace().join("deploy/base/namespace.yaml")).unwrap().replace("/enforce:", "/warn:");
    control_plane.kubectl_with(&["apply", "-f", "-"], &made).await;
    let dry_run = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-"];
    for values in value_sets() {
        let output = control_plane.kubectl_with(&dry_run, &render(&values).await).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{values}: {errors}");
        // Additional pods of the values, and host networking of the node, are not the chart's.
        let theirs = ["everything-values.yaml", "pod-monitor-values.yaml"].contains(&values.as_str());
        assert_eq!(errors.contains("would violate PodSecurity"), theirs, "{values}: {errors}");
    }
}

/// The plain manifests, each with the values that make the chart equivalent.
const OVERLAYS: [(&str, &str); 3] = [
    ("base", "defaults-values.yaml"),
    ("overlays/namespaced", "namespaced-values.yaml"),
    ("overlays/high-availability", "high-availability-values.yaml"),
];

#[tokio::test]
async fn plain_manifests_equal_chart_objects() {
    for (overlay, values) in OVERLAYS {
        let plain = TestEnvironment::get().control_plane.kubectl(&["kustomize", &directory(overlay)]).await;
        let (mut plain, mut chart) = (comparable(&plain), comparable(&render(values).await));
        // Only Helm runs a Job before an uninstall: users of plain manifests run `tabular-operator drain` manually.
        let hooks = chart.extract_if(.., |_, object| object.pointer("/metadata/annotations/helm.sh~1hook").is_some()).count();
        assert_eq!(hooks, 1, "{values}");
        assert!(
            plain.remove(&format!("v1 Namespace  {NAMESPACE}")).is_some(),
            "{overlay} must create its namespace, which Helm creates itself"
        );
        let names = |objects: &BTreeMap<String, Value>| objects.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&plain), names(&chart), "{overlay}");
        for (name, object) in plain {
            let mut differences = Vec::new();
            compare("", &object, &chart[&name], &mut differences);
            assert!(differences.is_empty(), "{overlay}: {name}: the plain manifest and the chart differ: {differences:#?}");
        }
    }
}

/// Every place where two values differ, with both values.
fn compare(place: &str, left: &Value, right: &Value, differences: &mut Vec<String>) {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            for key in left.keys().chain(right.keys().filter(|key| !left.contains_key(*key))) {
                let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                compare(&format!("{place}.{key}"), &of(left), &of(right), differences);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                compare(&format!("{place}[{index}]"), left, right, differences);
            }
        }
        // Kustomize writes 1.0 as 1.
        (Value::Number(left), Value::Number(right)) if left.as_f64() == right.as_f64() => {}
        _ if left == right => {}
        _ => differences.push(format!("{place}: {left} and {right}")),
    }
}

fn directory(overlay: &str) -> String {
    paths::workspace().join("deploy").join(overlay).to_str().unwrap().to_owned()
}

fn files(directory: &str) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(paths::workspace().join(directory)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    files.sort();
    files
}

/// Objects by identity, without the fields that depend on the tool.
fn comparable(manifests: &str) -> BTreeMap<String, Value> {
    let word = |object: &Value, path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut all = BTreeMap::new();
    for mut object in objects(manifests) {
        let [version, kind, namespace, name] =
            ["/apiVersion", "/kind", "/metadata/namespace", "/metadata/name"].map(|path| word(&object, path));
        let metadata = object["metadata"].as_object_mut().unwrap();
        for (field, helms) in [
            ("labels", &["helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/version"][..]),
            ("annotations", &["helm.sh/resource-policy"]),
        ] {
            let Some(map) = metadata.get_mut(field).and_then(Value::as_object_mut) else { continue };
            map.retain(|key, _| !helms.contains(&key.as_str()));
            if map.is_empty() {
                metadata.remove(field);
            }
        }
        // Their order is irrelevant.
        if let Some(variables) = object.pointer_mut("/spec/template/spec/containers/0/env").and_then(Value::as_array_mut) {
            variables.sort_by_key(|variable| variable["name"].as_str().unwrap_or_default().to_owned());
        }
        let twice = all.insert(format!("{version} {kind} {namespace} {name}"), object);
        assert!(twice.is_none(), "{kind} {namespace}/{name} exists twice");
    }
    all
}
