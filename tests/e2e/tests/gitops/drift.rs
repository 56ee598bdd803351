//! Values defaulted by the API server or written by the operator must not appear as drift: in Argo CD's comparison, in kubectl, and in a
//! server-side apply by Flux.

use std::fs;

use e2e::world::merged;
use e2e::{World, gitops_health, paths};
use kube::api::DynamicObject;
use serde_json::{Value, json};
use tabular_operator::api::RunState;

use crate::states::quick;

/// The resources of a directory of manifests, of both kinds, adapted to this world.
fn manifests(world: &World, directory: &str) -> Vec<Value> {
    let directory = paths::workspace().join(directory);
    let mut files: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().filter(|path| path.extension().is_some_and(|end| end == "yaml")).map(|path| fs::read_to_string(path).unwrap());
    let mut all = Vec::new();
    for text in texts {
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        all.extend(documents.into_iter().filter(|object| object["kind"] == "ModelRefresh" || object["kind"] == "ModelSync"));
    }
    let name = |(number, object): (usize, Value)| {
        // Names may repeat between files.
        merged(&object, &json!({"metadata": {"name": format!("drift-{number}"), "namespace": world.namespace}}))
    };
    all.into_iter().enumerate().map(name).collect()
}

fn stream(objects: &[Value]) -> String {
    objects.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n")
}

/// The live objects of these manifests, in order.
async fn live(world: &World, manifests: &[Value]) -> Vec<DynamicObject> {
    let mut live = Vec::new();
    for manifest in manifests {
        let kind = if manifest["kind"] == "ModelSync" { e2e::Kind::Sync } else { e2e::Kind::Refresh };
        let api = kube::Api::<DynamicObject>::namespaced_with(world.client.clone(), &world.namespace, &kind.resource());
        live.push(api.get(manifest["metadata"]["name"].as_str().unwrap()).await.unwrap());
    }
    live
}

/// Asserts that Argo CD reports these as Synced, and that neither kubectl nor Flux would change them.
async fn assert_no_drift(world: &World, manifests: &[Value]) {
    let live = live(world, manifests).await;
    for (manifest, difference) in manifests.iter().zip(gitops_health::differences(manifests, &live).await) {
        assert_eq!(difference["outOfSync"], false, "Argo CD reports a difference in {manifest}: {difference}");
    }
    for flags in [&["--server-side", "--field-manager=kustomize-controller", "--force-conflicts"][..], &[]] {
        let diff = [&["diff", "--namespace", &world.namespace, "-f", "-"], flags].concat();
        let output = world.environment.control_plane.kubectl_with(&diff, &stream(manifests)).await;
        assert!(output.status.success(), "kubectl diff {flags:?}:\n{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[tokio::test]
async fn applied_manifests_are_in_sync() {
    let world = World::new("defaults").await;
    let mut all = manifests(&world, "deploy/samples");
    all.extend(manifests(&world, "tests/e2e/manifests/accepted"));
    for (number, manifest) in all.iter_mut().enumerate() {
        manifest["metadata"]["name"] = json!(format!("drift-{number}"));
    }
    assert!(all.len() >= 60, "only {} manifests", all.len());
    let applied = world.environment.control_plane.kubectl_with(&["apply", "-f", "-"], &stream(&all)).await;
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    assert_no_drift(&world, &all).await;
}

#[tokio::test]
async fn run_causes_no_drift() {
    let (world, _operator) = quick("run-drift").await;
    let manifests = [world.manifest("orders", &json!({})), world.manifest("modelsync/orders", &json!({"suspend": false}))];
    let applied = world.environment.control_plane.kubectl_with(&["apply", "-f", "-"], &stream(&manifests)).await;
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    for name in ["orders", "modelsync/orders"] {
        world.until_state(name, RunState::Succeeded).await;
    }
    assert_no_drift(&world, &manifests).await;
    // An actual difference is detected.
    world.edit("orders", &json!({"spec": {"refresh": {"type": "calculate"}}})).await;
    let live = live(&world, &manifests).await;
    assert_eq!(gitops_health::differences(&manifests, &live).await[0]["outOfSync"], true);
}
