//! Manual edits of the status, and replacements by an old status.

use e2e::world::run;
use e2e::{TestSetup, World, eventually};
use serde_json::{Value, json};
use tabular_operator::api::{Run, RunState};

use super::{end_first, event, in_mid_run, kubectl, orders, outcomes, settled};

/// Edits the status as an administrator would.
async fn edit(world: &World, run: Value) {
    let patch = json!({"status": {"run": run}}).to_string();
    kubectl(world, &["patch", "mref/orders", "--subresource=status", "--type=merge", "--patch", &patch], &Value::Null).await;
}

#[tokio::test]
async fn edited_end_still_cancels_operation_on_deletion() {
    for state in ["Succeeded", "Failed", "Cancelled"] {
        let (world, mut operator) = in_mid_run("edited-delete", &json!({}), TestSetup::default()).await;
        // While no operator runs: the deletion is all that the next one observes.
        operator.kill();
        edit(&world, json!({"state": state})).await;
        world.delete("orders").await;
        operator.restart();
        world.until_gone("orders").await;
        assert_eq!((world.posts().await, outcomes(&world).await), (1, vec!["cancelled".to_owned()]), "{state}");
    }
}

#[tokio::test]
async fn older_status_repeats_no_run() {
    let (world, _operator) = in_mid_run("old-status", &json!({}), TestSetup::default()).await;
    let mut old = serde_json::to_value(orders(&world).await).unwrap();
    end_first(&world).await;
    let id = run(&settled(&world).await).operation_id.clone();
    // As by a restored backup or a migration script.
    old["metadata"] = json!({"name": "orders", "namespace": world.namespace});
    kubectl(&world, &["replace", "--subresource=status", "-f", "-"], &old).await;
    let ended = |version: &e2e::Version| version.decode().is_ok_and(|object| run(&object).state == RunState::Succeeded);
    eventually("the restored end", async || {
        let versions = world.recorder.of("orders");
        let reopened = versions.iter().rposition(|version| version.decode().is_ok_and(|object| run(&object).state == RunState::Running));
        (reopened.is_some_and(|at| versions[at..].iter().any(|version| ended(version)))).then_some(())
    })
    .await;
    let done = settled(&world).await;
    assert_eq!((run(&done).operation_id.clone(), run(&done).number), (id, 1));
    assert_eq!((world.posts().await, outcomes(&world).await), (1, vec!["succeeded".to_owned()]));
}

#[tokio::test]
async fn edited_run_number_and_attempt_start_no_run() {
    let (world, _operator) = in_mid_run("edited-number", &json!({}), TestSetup::default()).await;
    for wrong in [json!({"number": -5}), json!({"attempt": 0})] {
        let patch = json!({"status": {"run": wrong}}).to_string();
        let words = ["patch", "mref/orders", "--subresource=status", "--type=merge", "--patch", &patch, "-n", &world.namespace];
        let refused = world.environment.control_plane.kubectl_with(&words, "").await;
        let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && errors.contains("status.run."), "{wrong}: {errors}");
    }
    edit(&world, json!({"state": "Succeeded", "endedTime": "2026-01-01T00:00:00Z"})).await;
    event(&world, "orders", "StatusRestored", &["Succeeded"]).await;
    world.until_state("orders", RunState::Running).await;
    end_first(&world).await;
    let done = settled(&world).await;
    assert_eq!((run(&done).number, world.posts().await), (1, 1));
    world.assert_kstatus();
}

#[tokio::test]
async fn run_removed_from_the_status_is_restored() {
    let (world, _operator) = in_mid_run("removed-run", &json!({}), TestSetup::default()).await;
    edit(&world, Value::Null).await;
    event(&world, "orders", "StatusRestored", &["run 1 was in progress"]).await;
    world.until_state("orders", RunState::Running).await;
    end_first(&world).await;
    let done = settled(&world).await;
    assert_eq!((run(&done).number, world.posts().await, outcomes(&world).await), (1, 1, vec!["succeeded".to_owned()]));
}

#[tokio::test]
async fn edited_fields_of_a_run_end_and_cancel_nothing() {
    let past = "2020-01-01T00:00:00Z";
    for wrong in [
        json!({"recordedTime": past}),
        json!({"state": "Succeeded", "endedTime": past, "recordedTime": past}),
        json!({"state": "Cancelling"}),
        json!({"operationId": "b8f1d6a4-0000-4000-8000-000000000001"}),
        json!({"submittedTime": past}),
    ] {
        let (world, _operator) = in_mid_run("edited-fields", &json!({}), TestSetup::default()).await;
        let before = run(&orders(&world).await).clone();
        edit(&world, wrong.clone()).await;
        event(&world, "orders", "StatusRestored", &["run 1 was shown"]).await;
        let shown = |run: &Run| (run.state, run.operation_id.clone(), run.submitted_time, run.recorded_time, run.cancel_cause);
        world.until("orders", "the restored run", |object| shown(run(object)) == shown(&before)).await;
        end_first(&world).await;
        let done = settled(&world).await;
        assert_eq!((run(&done).number, world.posts().await, outcomes(&world).await), (1, 1, vec!["succeeded".to_owned()]), "{wrong}");
    }
}
