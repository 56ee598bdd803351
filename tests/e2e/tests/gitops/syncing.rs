//! Repeated operations of a tool that deploys from Git on a resource: server-side apply, prune, and new commits.

use e2e::world::{merged, run, status};
use e2e::{Kind, TestSetup, World};
use kube::api::{DeleteParams, Patch, PatchParams, PropagationPolicy};
use serde_json::{Value, json};
use tabular_operator::api::{FINALIZER, RUN_REQUESTED_AT, RunState};

use crate::history::Histories;
use crate::states::quick;

/// The field manager of Flux's kustomize-controller.
const FLUX: &str = "kustomize-controller";

/// Applies the manifest in Git as Flux does.
async fn reconcile(world: &World, manifest: &Value) {
    let apply = PatchParams::apply(FLUX).force();
    world.api(Kind::Refresh).patch("orders", &apply, &Patch::Apply(manifest)).await.unwrap();
}

#[tokio::test]
async fn corrected_drift_during_run_affects_no_run() {
    let setup = TestSetup::with_model(json!({"durationMillis": 600_000}));
    let (world, _operator) = World::running("revert", setup).await;
    let git = world.manifest("orders", &json!({"historyLimit": 5, "activeDeadlineSeconds": 3_600, "trigger": {"token": "one"}}));
    reconcile(&world, &git).await;
    let began = world.until_state("orders", RunState::Running).await;
    for number in 0..5 {
        // A user's edits: of a number, of a label, and of the refresh itself.
        let edit = json!({"metadata": {"labels": {"edited": format!("{number}")}},
            "spec": {"historyLimit": 1 + number, "refresh": {"type": "calculate"}, "trigger": {"token": "mine"}}});
        let edited = world.edit("orders", &edit).await;
        let seen = |object: &e2e::AnyObject| status(object).observed_generation >= edited.metadata.generation.unwrap();
        world.until("orders", "the observation of the edit", seen).await;
        reconcile(&world, &git).await;
    }
    world.azure.end(run(&began).operation_id.as_deref().unwrap(), "succeeded").await;
    let done = world.until_state("orders", RunState::Succeeded).await;
    assert_eq!((run(&done).number, run(&done).operation_id.clone()), (1, run(&began).operation_id.clone()));
    assert_eq!((world.posts().await, status(&done).queued.clone()), (1, None));
    assert_eq!(done.metadata.finalizers.as_deref(), Some([FINALIZER.to_owned()].as_slice()), "Flux must not remove it");
    assert_eq!(done.spec["historyLimit"], 5);
    // Nor does a further reconciliation after the end.
    reconcile(&world, &git).await;
    let histories = Histories::of(&world).await;
    histories.assert("orders", &["InProgress Progressing", "Current Healthy"]);
}

#[tokio::test]
async fn commit_with_new_token_runs_once() {
    let (world, _operator) = quick("commit").await;
    let commit = |token: &str| world.manifest("orders", &json!({"trigger": {"token": token}}));
    for (number, token) in [(1, "0a1b2c3"), (2, "4d5e6f7")] {
        for _ in 0..3 {
            reconcile(&world, &commit(token)).await;
        }
        let done = world.until_run("orders", number, RunState::Succeeded).await;
        assert_eq!(run(&done).trigger.value, token);
        for _ in 0..3 {
            reconcile(&world, &commit(token)).await;
        }
    }
    assert_eq!(world.posts().await, 2);
    let expected = ["InProgress Progressing", "Current Healthy", "InProgress Progressing", "Current Healthy"];
    Histories::of(&world).await.assert("orders", &expected);
}

#[tokio::test]
async fn annotation_removed_by_drift_correction_starts_no_run() {
    let (world, _operator) = quick("annotation").await;
    let git = world.manifest("orders", &json!({}));
    reconcile(&world, &git).await;
    world.until_run("orders", 1, RunState::Succeeded).await;
    // A user requests a run. Flux may also do so with an annotation in Git, which Flux then removes.
    let asks = merged(&git, &json!({"metadata": {"annotations": {RUN_REQUESTED_AT: "2026-11-21T05:00:00Z"}}}));
    reconcile(&world, &asks).await;
    world.until_run("orders", 2, RunState::Succeeded).await;
    reconcile(&world, &git).await;
    let without = world.until("orders", "the removal of the annotation", |object| {
        object.metadata.annotations.as_ref().is_none_or(|annotations| !annotations.contains_key(RUN_REQUESTED_AT))
    });
    without.await;
    // Nor does its restoration.
    reconcile(&world, &asks).await;
    // An earlier run from either would precede this one.
    world.annotate("orders", RUN_REQUESTED_AT, Some("2026-11-21T06:00:00Z")).await;
    let third = world.until_run("orders", 3, RunState::Succeeded).await;
    assert_eq!(run(&third).trigger.value, "2026-11-21T06:00:00Z");
    assert_eq!(world.posts().await, 3);
    Histories::of(&world).await;
}

#[tokio::test]
async fn prune_during_run_cancels_and_deletes() {
    let setup = TestSetup::with_model(json!({"durationMillis": 600_000, "cancelMillis": 500}));
    let (world, _operator) = World::running("prune", setup).await;
    reconcile(&world, &world.manifest("orders", &json!({}))).await;
    world.until_state("orders", RunState::Running).await;
    // As Argo CD prunes. Flux does so in the background, as in tests/e2e/tests/operator/deletion.rs.
    let foreground = DeleteParams { propagation_policy: Some(PropagationPolicy::Foreground), ..DeleteParams::default() };
    world.api(Kind::Refresh).delete("orders", &foreground).await.unwrap();
    world.until_state("orders", RunState::Cancelling).await;
    world.until_gone("orders").await;
    let operations = world.operations().await;
    assert_eq!((operations.len(), operations[0].status.as_str()), (1, "cancelled"));
    Histories::of(&world).await.assert("orders", &["InProgress Progressing", "Terminating Progressing"]);
}
