//! `trigger.afterRefresh`: exactly one run after each successful run of the upstream refresh, despite faults between the two.

use e2e::world::{LASTING_MILLIS, run, status};
use e2e::{Action, DEADLINE, RecordedRequest, TestSetup, When, World};
use futures::future::join_all;
use serde_json::json;
use tabular_operator::api::{RUN_REQUESTED_AT, RunState, TriggerType};

use crate::syncs::after_refresh;

const REPLICAS: &str = "modelsync/replicas";

#[tokio::test]
async fn sync_runs_once_after_each_successful_refresh() {
    let (world, _operator) = World::running("follow", TestSetup::default()).await;
    world.patch_model(&json!({"outcomes": ["succeeded", "failed", "succeeded"]})).await;
    world.apply("orders", &json!({})).await;
    world.apply(REPLICAS, &after_refresh("orders")).await;
    let first = world.until_run(REPLICAS, 1, RunState::Succeeded).await;
    assert_eq!(run(&first).trigger.r#type, TriggerType::AfterRefresh);
    assert_eq!(run(&first).trigger.value, "orders run 1");
    world.annotate("orders", RUN_REQUESTED_AT, Some("2")).await;
    world.until_run("orders", 2, RunState::Failed).await;
    world.annotate("orders", RUN_REQUESTED_AT, Some("3")).await;
    let second = world.until_run(REPLICAS, 2, RunState::Succeeded).await;
    // The failed run triggers none.
    assert_eq!(run(&second).trigger.value, "orders run 3");
    assert_eq!(world.syncs().await.len(), 2);
    assert_eq!(status(&second).model, status(&world.until_run("orders", 3, RunState::Succeeded).await).model);
    world.assert_kstatus();
}

#[tokio::test]
async fn chained_refreshes_run_in_order() {
    let (world, _operator) = World::running("chain", TestSetup::default()).await;
    let names: Vec<String> = (0..4).map(|number| format!("step-{number}")).collect();
    // In reverse order: each waits for an upstream that does not exist yet.
    for (number, name) in names.iter().enumerate().rev() {
        let mut spec = world.put_database(name, &json!({"durationMillis": 300})).await;
        if number > 0 {
            spec["trigger"] = json!({"afterRefresh": {"name": names[number - 1]}});
        }
        world.apply(name, &spec).await;
    }
    for name in &names {
        world.until_state(name, RunState::Succeeded).await;
    }
    world.annotate("step-2", RUN_REQUESTED_AT, Some("again")).await;
    world.until_run("step-3", 2, RunState::Succeeded).await;
    let counts = join_all(names.iter().map(async |name| world.operations_on(name).await.len())).await;
    assert_eq!(counts, [1, 1, 2, 2]);
    world.assert_kstatus();
}

#[tokio::test]
async fn running_sync_outlives_the_refresh_whose_model_it_uses() {
    let setup = TestSetup::with_model(json!({"sync": {"replicatingMillis": LASTING_MILLIS}}));
    let (world, _operator) = World::running("follow-deleted", setup).await;
    world.apply(REPLICAS, &after_refresh("orders")).await;
    world.apply("orders", &json!({})).await;
    world.until_state(REPLICAS, RunState::Running).await;
    world.delete("orders").await;
    world.until_gone("orders").await;
    world.azure.end(&world.syncs().await[0].operation_id, "completed").await;
    world.until_state(REPLICAS, RunState::Succeeded).await;
    assert_eq!(world.syncs().await.len(), 1);
}

#[tokio::test]
async fn missing_upstream_is_reported_and_awaited() {
    let (world, _operator) = World::running("follow-missing", TestSetup::default()).await;
    world.apply(REPLICAS, &after_refresh("orders")).await;
    let stalled = world.until_reason(REPLICAS, "Stalled", "UpstreamNotFound").await;
    let text = &status(&stalled).conditions.iter().find(|found| found.reason == "UpstreamNotFound").unwrap().message;
    assert!(text.contains("ModelRefresh orders") && text.contains("create it"), "{text}");
    let began = std::time::Instant::now();
    world.apply("orders", &json!({})).await;
    world.until_state(REPLICAS, RunState::Succeeded).await;
    assert!(began.elapsed() < DEADLINE);
    // Its deletion is reported again. After it is recreated, its runs trigger again.
    world.delete("orders").await;
    world.until_gone("orders").await;
    world.until_reason(REPLICAS, "Stalled", "UpstreamNotFound").await;
    world.apply("orders", &json!({})).await;
    world.until_run(REPLICAS, 2, RunState::Succeeded).await;
    assert_eq!(world.syncs().await.len(), 2);
    world.assert_kstatus();
}

#[tokio::test]
async fn upstream_cycle_is_reported_until_broken() {
    let (world, _operator) = World::running("follow-circle", TestSetup::default()).await;
    let after = |name: &str| json!({"trigger": {"afterRefresh": {"name": name}}});
    for (name, followed) in [("a", "b"), ("b", "c"), ("c", "a")] {
        world.apply(name, &after(followed)).await;
    }
    for (name, path) in [("a", "a → b → c → a"), ("b", "b → c → a → b"), ("c", "c → a → b → c")] {
        let stalled = world.until_reason(name, "Stalled", "UpstreamCycle").await;
        let text = &status(&stalled).conditions.iter().find(|found| found.reason == "UpstreamCycle").unwrap().message;
        assert!(text.contains(path), "{text}");
    }
    assert!(world.operations().await.is_empty());
    world.edit("c", &json!({"spec": {"trigger": null}})).await;
    // No run was missed without an operator, so a request has to start the chain.
    world.annotate("c", RUN_REQUESTED_AT, Some("now")).await;
    for name in ["c", "b", "a"] {
        world.until_state(name, RunState::Succeeded).await;
    }
    assert_eq!(world.operations().await.len(), 3);
    world.assert_kstatus();
}

#[tokio::test]
async fn kill_at_each_write_runs_sync_once_after_refresh() {
    let clean = stoppable("follow-clean").await;
    let (world, _operator) = &clean;
    apply_both(world).await;
    world.until_state(REPLICAS, RunState::Succeeded).await;
    let writes: Vec<String> =
        world.proxy().requests().iter().filter(|request| request.writes_resource()).map(RecordedRequest::signature).collect();
    // Four for each: the finalizer, the intent, running, the end.
    let least = 8;
    assert!((least..=12).contains(&writes.len()), "{writes:?}");
    let points = (0..writes.len()).flat_map(|index| [(index, When::Before), (index, When::After)]);
    let points: Vec<_> = points.collect();
    // In small groups: each has its own operator.
    for some in points.chunks(6) {
        join_all(some.iter().map(async |&(index, when)| {
            let what = format!("killed {when:?} write {index}");
            let (world, mut operator) = stoppable(&format!("follow-{index}-{}", format!("{when:?}").to_lowercase())).await;
            let fault = world.proxy().inject(index, Action::Hold(when), RecordedRequest::writes_resource);
            apply_both(&world).await;
            tokio::select! {
                () = fault.wait_until_hit() => {
                    operator.kill();
                    drop(fault);
                    operator.restart();
                }
                // Progress writes depend on the time of polls, so the number of writes varies between runs.
                _ = world.until_state(REPLICAS, RunState::Succeeded) => assert!(index >= least, "{what}: the write did not happen"),
            }
            world.until_state(REPLICAS, RunState::Succeeded).await;
            let (refreshes, syncs) = (world.operations().await, world.syncs().await);
            assert_eq!((refreshes.len(), syncs.len()), (1, 1), "{what}: {refreshes:#?} {syncs:#?}");
            assert!(refreshes[0].end_time.as_ref().expect("the refresh ended") <= &syncs[0].start_time, "{what}");
            world.assert_kstatus();
        }))
        .await;
    }
}

async fn stoppable(name: &str) -> (World, e2e::Operator) {
    World::running(name, TestSetup::with_proxy()).await
}

async fn apply_both(world: &World) {
    world.apply(REPLICAS, &after_refresh("orders")).await;
    world.apply("orders", &json!({})).await;
}
