//! The manifests of `create`, at the real API server.

use e2e::{TestEnvironment, World};
use serde_json::Value;

use crate::plugin::Plugin;

const GUIDS: [&str; 2] = ["f089354e-8366-4e18-aea3-4cb4a3a50b48", "cfafbeb1-8037-4d0c-896e-a46fb27ff229"];

async fn created(arguments: &[&str]) -> String {
    let printed = Plugin::offline(arguments, "").await;
    assert!(printed.code == 0 && printed.err.is_empty(), "{arguments:?}: {printed:?}");
    printed.out
}

/// The objects of a dry run at the API server.
async fn applied(world: &World, manifests: &str) -> Vec<Value> {
    let arguments = ["apply", "--dry-run=server", "--validate=strict", "-n", &world.namespace, "-o", "json", "-f", "-"];
    let output = TestEnvironment::get().control_plane.kubectl_with(&arguments, manifests).await;
    assert!(output.status.success(), "{}\n{manifests}", String::from_utf8_lossy(&output.stderr));
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    list["items"].as_array().cloned().unwrap_or_else(|| vec![list])
}

#[tokio::test]
async fn each_combination_is_accepted_by_the_api_server() {
    let world = World::new("create").await;
    let url = format!("https://app.powerbi.com/groups/{}/datasets/{}/details?experience=power-bi", GUIDS[0], GUIDS[1]);
    let models: [&[&str]; 4] = [
        &["--server", "asazure://westus.asazure.windows.net/myserver", "--database", "Adventure Works"],
        &["--workspace", "Sales: EU", "--dataset", "null"],
        &["--workspace", GUIDS[0], "--dataset", GUIDS[1]],
        &["--url", &url],
    ];
    let client_id = format!("--managed-identity={}", GUIDS[0]);
    let identities: [&[&str]; 5] = [
        &["--secret", "sp", "--with-access"],
        &["--service-account", "account", "--with-access"],
        &["--managed-identity"],
        &[&client_id],
        &["--operator-identity"],
    ];
    let triggers: [&[&str]; 4] = [
        &[],
        &["--schedule", "0 5 * * *", "--time-zone", "Europe/Rome"],
        &["--after", "other"],
        &["--schedule", "*/5 * * * *", "--suspend"],
    ];
    let contents: [&[&str]; 3] = [&[], &["--type", "dataOnly", "--stale-after", "26h"], &["--table", "yes", "--partition", "a/b/c"]];
    let mut manifests = Vec::new();
    for (model, identity) in models.iter().flat_map(|model| identities.iter().map(move |identity| (*model, *identity))) {
        for (trigger, content) in triggers.iter().flat_map(|trigger| contents.iter().map(move |content| (*trigger, *content))) {
            let name = format!("r{}", manifests.len());
            manifests.push(created(&[&["create", "refresh", &name], model, identity, trigger, content].concat()).await);
        }
        let name = format!("s{}", manifests.len());
        manifests.push(created(&[&["create", "sync", &name], model, identity, triggers[2]].concat()).await);
    }
    manifests.push(created(&["create", "sync", "inherits", "--after", "other"]).await);
    let objects = applied(&world, &manifests.join("---\n")).await;
    let ours = objects.iter().filter(|object| object["apiVersion"] == "tabular-operator.dev/v1alpha1").count();
    assert_eq!(ours, manifests.len());
    let by_url = objects.iter().filter(|object| object["spec"]["model"]["powerBI"]["datasetId"] == GUIDS[1]).count();
    assert_eq!(by_url, 2 * (ours - 1) / 4, "addresses and ids are ids");
    let printed = Plugin::offline(&["validate", "-f", "-"], &manifests.join("---\n")).await;
    assert!(printed.code == 0 && printed.err.contains(&format!("{ours} valid, 0 invalid")), "{printed:?}");
}

#[tokio::test]
async fn text_that_yaml_would_misread_arrives_unchanged() {
    let world = World::new("create-text").await;
    let tables = [
        "yes",
        "No",
        "y",
        "010",
        "0o7",
        "1_000",
        "1e3",
        "0x1F",
        "12:30:45",
        "2026-11-29",
        "null",
        "~",
        "a: b",
        "a #b",
        "- a",
        "'a'",
        "\"",
        "日本",
    ];
    let flags: Vec<String> = tables.iter().map(|table| format!("--table={table}")).collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let head = ["create", "refresh", "text", "--workspace", "on", "--dataset", "3.10", "--operator-identity"];
    let objects = applied(&world, &created(&[&head, flags.as_slice()].concat()).await).await;
    let spec = &objects[0]["spec"];
    let found: Vec<&str> = spec["refresh"]["objects"].as_array().unwrap().iter().map(|object| object["table"].as_str().unwrap()).collect();
    assert_eq!(found, tables);
    let power_bi = &spec["model"]["powerBI"];
    assert_eq!((power_bi["workspace"].as_str(), power_bi["dataset"].as_str()), (Some("on"), Some("3.10")));
}

#[tokio::test]
async fn invalid_manifest_is_not_printed() {
    let head = ["create", "refresh", "r", "--workspace", "w", "--dataset", "d", "--operator-identity"];
    let printed = Plugin::offline(&[head.as_slice(), &["--schedule", "0 0 30 2 *"]].concat(), "").await;
    assert_eq!((printed.code, printed.out.as_str()), (2, ""), "{printed:?}");
    assert!(printed.err.starts_with("error: spec.trigger.schedule: ") && printed.err.contains("never matches"), "{printed:?}");
}
