//! `validate` and the real API server agree.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use e2e::{TestEnvironment, World, paths};
use futures::StreamExt as _;
use hyper::Request;
use kube::Client;
use serde_json::{Value, json};

use crate::mutations::mutations;
use crate::plugin::{Plugin, Printed, Role};

const MANY: usize = 16;
/// The seed of the mutations, and their number.
const SEED: u64 = 20_261_130;
const COUNT: usize = 500;

/// What the plugin refuses and the API server accepts: a part of the message, and the reason.
const DIFFERENCES: [(&str, &str); 4] = [
    ("never matches", "a rule of a definition cannot compute a calendar; the operator rejects the schedule"),
    ("is not a valid cron expression", "the rule checks the form of a field, not that a range ascends; the operator rejects the schedule"),
    ("unknown time zone", "the rule checks the form of the name; the operator has the list of time zones"),
    ("is listed twice", "the rule would exceed the cost limit for more than 200 objects; the operator rejects the list"),
];

/// The API server's message if it refuses a manifest; it creates nothing.
async fn refusal(client: &Client, manifest: &Value) -> Option<String> {
    let plural = if manifest["kind"] == "ModelSync" { "modelsyncs" } else { "modelrefreshes" };
    let uri = format!("/apis/tabular-operator.dev/v1alpha1/namespaces/default/{plural}?dryRun=All&fieldValidation=Strict");
    let request = Request::post(uri).header("Content-Type", "application/json").body(manifest.to_string().into_bytes()).unwrap();
    match client.request::<Value>(request).await {
        Ok(_) => None,
        Err(kube::Error::Api(status)) => Some(status.message.clone()),
        Err(error) => panic!("failed to reach the API server: {error}"),
    }
}

/// The report of `validate` by file: the findings, as text.
fn findings(printed: &Printed) -> BTreeMap<String, Vec<String>> {
    let report: Value = serde_json::from_str(&printed.out).unwrap_or_else(|error| panic!("{error}: {printed:?}"));
    let of = |manifest: &Value| {
        let text = |finding: &Value| format!("{}: {}", finding["field"].as_str().unwrap(), finding["message"].as_str().unwrap());
        let name = Path::new(manifest["file"].as_str().unwrap()).file_name().unwrap().to_string_lossy().into_owned();
        (name, manifest["findings"].as_array().unwrap().iter().map(text).collect())
    };
    report["manifests"].as_array().unwrap().iter().map(of).collect()
}

fn scratch(name: &str) -> PathBuf {
    let directory = TestEnvironment::get().directory().join(name);
    fs::create_dir_all(&directory).unwrap();
    directory
}

#[tokio::test]
async fn mutations_are_judged_as_by_the_api_server() {
    let client = TestEnvironment::get().client().await;
    let (directory, mutations) = (scratch("mutations"), mutations(SEED, COUNT));
    for (index, manifest) in mutations.iter().enumerate() {
        fs::write(directory.join(format!("{index:03}.json")), manifest.to_string()).unwrap();
    }
    let printed = Plugin::offline(&["validate", "-o", "json", "-f", directory.to_str().unwrap()], "").await;
    let found = findings(&printed);
    assert_eq!((printed.code, found.len()), (3, COUNT), "{}", printed.err);
    let judged = futures::stream::iter(mutations.iter().enumerate()).map(|(index, manifest)| {
        let (client, found) = (client.clone(), &found[&format!("{index:03}.json")]);
        async move {
            let refusal = refusal(&client, manifest).await;
            let is_known = !found.is_empty() && found.iter().all(|text| DIFFERENCES.iter().any(|(part, _)| text.contains(part)));
            let agree = refusal.is_some() != found.is_empty() || refusal.is_none() && is_known;
            (refusal.is_some(), (!agree).then(|| format!("{index:03}: {found:?}, but the API server: {refusal:?}\n{manifest}")))
        }
    });
    let judged: Vec<(bool, Option<String>)> = judged.buffered(MANY).collect().await;
    let refused = judged.iter().filter(|(refused, _)| *refused).count();
    let differences: Vec<String> = judged.into_iter().filter_map(|(_, difference)| difference).collect();
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert!((100..=COUNT - 100).contains(&refused), "{refused} of {COUNT} are refused, so the mutations show little");
}

#[tokio::test]
async fn known_manifests_are_judged_as_by_the_api_server() {
    let administrator = TestEnvironment::get().control_plane.kubeconfig().to_str().unwrap();
    for (directory, code) in [("accepted", 0), ("refused", 3)] {
        let directory = format!("tests/e2e/manifests/{directory}");
        let arguments = ["validate", "-o", "json", "-f", &directory, "--kubeconfig", administrator];
        let (offline, online) =
            (Plugin::offline(&arguments, "").await, Plugin::offline(&[&arguments[..], &["--dry-run=server"]].concat(), "").await);
        assert_eq!((offline.code, online.code), (code, code), "{offline:?}\n{online:?}");
        let (offline, online) = (findings(&offline), findings(&online));
        assert!(offline.len() >= 50 && offline.keys().eq(online.keys()));
        for (name, found) in &offline {
            assert_eq!((found.is_empty(), online[name].is_empty()), (code == 0, code == 0), "{name}: {found:?} {:?}", online[name]);
        }
    }
}

#[tokio::test]
async fn files_are_reported_with_document_and_field() {
    let directory = scratch("validate");
    let sample = fs::read_to_string(paths::workspace().join("deploy/samples/minimal.yaml")).unwrap();
    let broken = sample.replace("spec:\n", "spec:\n  suspended: true\n");
    assert_ne!(sample, broken);
    fs::write(directory.join("a.yaml"), format!("{sample}---\nkind: ConfigMap\napiVersion: v1\n---\n{broken}")).unwrap();
    let directory = directory.to_str().unwrap();
    let printed = Plugin::offline(&["validate", "-f", directory], "").await;
    let line = format!("{directory}/a.yaml:document 3: spec.suspended: unknown field; did you mean suspend?\n");
    assert_eq!((printed.code, printed.out, printed.err.as_str()), (3, line, "1 valid, 1 invalid, 1 of other kinds skipped\n"));
    let printed = Plugin::offline(&["validate", "-f", "-"], &sample).await;
    assert_eq!((printed.code, printed.out.as_str(), printed.err.as_str()), (0, "", "1 valid, 0 invalid\n"));
    let large = "#".repeat((8 << 20) + 1);
    let printed = Plugin::offline(&["validate", "-f", "-"], &large).await;
    assert_eq!((printed.code, printed.out.as_str()), (1, ""), "{printed:?}");
    assert!(printed.err.starts_with("error: - has more than 8 MiB"), "{printed:?}");
    let printed = Plugin::offline(&["validate", "-f", "missing.yaml", "deploy/samples"], "").await;
    assert!(printed.code == 1 && printed.err.contains("missing.yaml") && printed.err.contains(" 0 invalid"), "{printed:?}");
}

#[tokio::test]
async fn server_needs_a_permission_and_finds_what_only_it_knows() {
    let world = World::new("validate-server").await;
    let (viewer, editor) = (Plugin::new(&world, Role::View).await, Plugin::new(&world, Role::Edit).await);
    let refused = viewer.run("validate -f deploy/samples/minimal.yaml --dry-run=server").await;
    assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{refused:?}");
    let sentence = format!("error: you may not create modelrefreshes in namespace {}: ask for the role edit there\n", world.namespace);
    assert_eq!(refused.err, sentence);
    // The operator rejects these, not the API server.
    let file = scratch("validate-server").join("never.yaml");
    let sample = fs::read_to_string(paths::workspace().join("deploy/samples/minimal.yaml")).unwrap();
    fs::write(&file, format!("{}\n  trigger: {{schedule: 0 0 30 2 *}}\n", sample.trim_end())).unwrap();
    let printed = editor.run(&format!("validate --dry-run=server -f {}", file.display())).await;
    assert!(printed.code == 3 && printed.out.contains("spec.trigger.schedule: ") && printed.out.contains("never matches"), "{printed:?}");
    // A resource of the same name does not matter, and a path in place of a namespace is sent nowhere.
    world.apply("minimal", &json!({"suspend": true})).await;
    fs::write(&file, sample.replace("metadata:\n", "metadata:\n  namespace: a/modelrefreshes?\n")).unwrap();
    let printed = editor.run(&format!("validate --dry-run=server -f {} deploy/samples/minimal.yaml", file.display())).await;
    assert_eq!(printed.code, 3, "{printed:?}");
    assert!(
        printed.out.contains("metadata.namespace: must be the name of a namespace") && printed.err.contains("1 valid, 1 invalid"),
        "{printed:?}"
    );
}
