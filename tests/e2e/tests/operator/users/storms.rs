//! Many changes in a short time, few or none of which request a run.

use e2e::world::{run, status};
use e2e::{Kind, TestSetup, eventually};
use futures::future::join_all;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tabular_operator::api::{RUN_REQUESTED_AT, RunState};

use super::{end_first, in_mid_run, kubectl, orders, outcomes, settled};

/// Number of changes in a storm.
const MANY: usize = 100;

/// A storm also slows down the API server: the lease lasts longer than in other tests.
fn long_lease() -> TestSetup {
    TestSetup::with_flags(&["--lease-duration=15s"])
}

#[tokio::test]
async fn repeatedly_applied_manifest_starts_no_run() {
    let (world, _operator) = in_mid_run("reapply", &json!({}), long_lease()).await;
    let manifest = world.manifest("orders", &json!({}));
    let generation = orders(&world).await.metadata.generation;
    // As a pipeline, Flux, and a controller that replaces the object do.
    for _ in 0..4 {
        for words in [&["apply", "-f", "-"][..], &["apply", "--server-side", "--force-conflicts", "-f", "-"], &["replace", "-f", "-"]] {
            kubectl(&world, words, &manifest).await;
        }
    }
    let writes = world.writes();
    assert_eq!((world.posts().await, outcomes(&world).await.len()), (1, 1));
    end_first(&world).await;
    let done = settled(&world).await;
    for _ in 0..4 {
        kubectl(&world, &["apply", "--server-side", "--force-conflicts", "-f", "-"], &manifest).await;
    }
    // One run later, when the operator has observed all changes.
    world.annotate("orders", RUN_REQUESTED_AT, Some("now")).await;
    world.until_run("orders", 2, RunState::Succeeded).await;
    assert_eq!((done.metadata.generation, run(&done).number), (generation, 1), "an identical manifest is no change");
    assert_eq!((world.posts().await, outcomes(&world).await), (2, vec!["succeeded".to_owned(); 2]));
    // The end of the first run, and then the second: the intent, running and the end, and at most one progress write each.
    // A write based on a version before the last manifest is refused and repeated.
    let more = world.writes().split_off(writes.len());
    let refused = more.iter().filter(|write| write.ends_with("-> 409")).count();
    assert!(more.len() - refused <= 6 && refused <= 4, "{more:#?}");
    world.assert_kstatus();
}

/// Sets the same annotation or label to many values, concurrently.
async fn storm(world: &e2e::World, patch: impl Fn(usize) -> Value) {
    let api = world.api(Kind::Refresh);
    let one = |number: usize| {
        let (api, patch) = (api.clone(), patch(number));
        async move { api.patch("orders", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap() }
    };
    for group in (0..MANY).collect::<Vec<_>>().chunks(3) {
        join_all(group.iter().map(|number| one(*number))).await;
    }
}

#[tokio::test]
async fn storm_of_foreign_annotations_and_labels_costs_no_writes() {
    let (world, _operator) = in_mid_run("foreign-storm", &json!({}), long_lease()).await;
    let writes = world.writes().len();
    storm(&world, |number| {
        let value = number.to_string();
        json!({"metadata": {"annotations": {"example.com/seen-at": value}, "labels": {"round": value}}})
    })
    .await;
    end_first(&world).await;
    let done = settled(&world).await;
    assert_eq!((run(&done).number, world.posts().await), (1, 1));
    // The end, and a few writes of the start and of progress. A write based on a version before the storm is refused and repeated.
    let more = world.writes().split_off(writes);
    let done = more.iter().filter(|write| write.ends_with("-> 200")).count();
    assert!(done <= 4 && more.len() - done <= MANY / 2, "{more:#?}");
    let polls = world.ledger().await.into_iter().filter(|row| row.method == "GET").count();
    assert!(polls < MANY, "{polls} polls: foreign changes caused polls");
}

#[tokio::test]
async fn storm_of_requests_during_run_starts_one_run() {
    let (world, _operator) = in_mid_run("request-storm", &json!({}), long_lease()).await;
    let writes = world.writes().len();
    storm(&world, |number| json!({"metadata": {"annotations": {RUN_REQUESTED_AT: number.to_string()}}})).await;
    world.annotate("orders", RUN_REQUESTED_AT, Some("last")).await;
    let queued = |object: &e2e::AnyObject| status(object).queued.as_ref().is_some_and(|queued| queued.value == "last");
    world.until("orders", "the last request to wait", queued).await;
    assert_eq!(world.posts().await, 1, "no second run starts");
    end_first(&world).await;
    let done = settled(&world).await;
    assert_eq!((run(&done).number, status(&done).last_handled_request.as_deref()), (2, Some("last")));
    assert_eq!((world.posts().await, outcomes(&world).await), (2, vec!["succeeded".to_owned(); 2]));
    // At most one per request, and those of the two runs.
    let more = world.writes().len() - writes;
    assert!(more <= MANY + 8, "{more} writes");
    let events = world.events("orders").await;
    assert!(events.len() <= 10, "{events:#?}");
    world.assert_kstatus();
}

#[tokio::test]
async fn forced_replacement_ends_run_and_starts_one() {
    let (world, _operator) = in_mid_run("replace-force", &json!({}), long_lease()).await;
    let first = orders(&world).await;
    kubectl(&world, &["replace", "--force", "-f", "-"], &world.manifest("orders", &json!({}))).await;
    let second = world.until("orders", "another resource", |object| object.metadata.uid != first.metadata.uid).await;
    let done = settled(&world).await;
    assert_eq!((second.metadata.uid, run(&done).number), (done.metadata.uid, 1));
    let operations = world.operations().await;
    assert_eq!((world.posts().await, outcomes(&world).await), (2, vec!["cancelled".to_owned(), "succeeded".to_owned()]));
    assert!(operations[0].end_time <= operations[1].start_time, "the second waits for the first: {operations:#?}");
}

#[tokio::test]
async fn repeatedly_recreated_resource_leaves_no_operation_running() {
    let (world, _operator) = in_mid_run("turns", &json!({}), long_lease()).await;
    for _ in 0..4 {
        kubectl(&world, &["delete", "mref/orders", "--wait=true", "--timeout=40s"], &Value::Null).await;
        kubectl(&world, &["apply", "-f", "-"], &world.manifest("orders", &json!({}))).await;
    }
    settled(&world).await;
    eventually("all operations to have ended", async || world.operations().await.iter().all(e2e::Operation::ended).then_some(())).await;
    let operations = world.operations().await;
    assert!(operations.len() == world.posts().await && operations.len() <= 5, "{operations:#?}");
    for pair in operations.windows(2) {
        assert!(pair[0].end_time <= pair[1].start_time, "two overlapping operations: {pair:#?}");
    }
}
