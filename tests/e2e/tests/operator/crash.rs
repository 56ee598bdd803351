//! SIGKILL at each point where external state changes: the next process continues with the single operation.

use e2e::world::run;
use e2e::{Action, DEADLINE, RecordedRequest, TestSetup, When, World};
use futures::future::join_all;
use serde_json::json;
use tabular_operator::api::RunState;

/// Checks that there is one operation, that it is the one in the status, and that it succeeded.
async fn assert_ran_once(world: &World, what: &str) {
    let done = world.until_state("orders", RunState::Succeeded).await;
    let operations = world.operations().await;
    assert_eq!(operations.len(), 1, "{what}: {operations:#?}");
    assert_eq!(run(&done).operation_id.as_deref(), Some(operations[0].operation_id.as_str()), "{what}");
    assert_eq!(run(&done).number, 1, "{what}");
    world.assert_kstatus();
}

async fn killed_at_the_post(when: &str) {
    let (world, mut operator) = World::running(&format!("post-{when}"), TestSetup::default()).await;
    let hold = world.fault("POST", "refreshes", &json!({"action": {"hold": {"at": when}}})).await;
    world.apply("orders", &json!({})).await;
    hold.holds().await;
    operator.kill();
    if when == "before" {
        // The service detects that the client has disconnected. Released earlier, it would still handle the request.
        hold.holds_none().await;
    }
    hold.remove().await;
    operator.restart();
    assert_ran_once(&world, when).await;
    let posts = if when == "before" { 2 } else { 1 };
    assert_eq!(world.posts().await, posts);
}

#[tokio::test]
async fn kill_before_post_is_handled_runs_once() {
    killed_at_the_post("before").await;
}

#[tokio::test]
async fn kill_after_post_is_handled_runs_once() {
    killed_at_the_post("after").await;
}

/// A world whose operator reaches the API server through a proxy that can hold any request.
async fn stoppable(name: &str) -> (World, e2e::Operator) {
    World::running(name, TestSetup::with_proxy()).await
}

#[tokio::test]
async fn kill_at_each_write_runs_once() {
    let (clean, _operator) = stoppable("clean").await;
    clean.apply("orders", &json!({})).await;
    clean.until_state("orders", RunState::Succeeded).await;
    let writes: Vec<String> =
        clean.proxy().requests().iter().filter(|request| request.writes_resource()).map(RecordedRequest::signature).collect();
    assert!((3..=4).contains(&writes.len()), "{writes:?}");

    let points = (0..writes.len()).flat_map(|index| [(index, When::Before), (index, When::After)]);
    join_all(points.map(async |(index, when)| {
        let what = format!("killed {when:?} write {index}, {}", writes[index]);
        let (world, mut operator) = stoppable(&format!("write-{index}-{}", format!("{when:?}").to_lowercase())).await;
        let fault = world.proxy().inject(index, Action::Hold(when), RecordedRequest::writes_resource);
        world.apply("orders", &json!({})).await;
        tokio::time::timeout(DEADLINE, fault.wait_until_hit()).await.unwrap_or_else(|_| panic!("{what}: the write did not happen"));
        operator.kill();
        drop(fault);
        operator.restart();
        assert_ran_once(&world, &what).await;
        assert!(world.posts().await <= 2, "{what}");
    }))
    .await;
}

#[tokio::test]
async fn refused_write_or_lost_response_runs_once() {
    let actions = [
        Action::Respond(409),
        Action::Respond(500),
        Action::Respond(429),
        Action::Drop(When::Before),
        Action::Drop(When::After),
        Action::Truncate,
    ];
    let (world, _operator) = stoppable("refused").await;
    // One resource and model for each fault, so that each has its own writes; the patterns match the resource's name.
    let cells = actions.into_iter().flat_map(|action| (0..4_usize).map(move |index| (action, index)));
    join_all(cells.enumerate().map(async |(number, (action, index))| {
        let world = &world;
        let name = format!("cell-{number}");
        let spec = world.put_database(&name, &json!({"durationMillis": 500})).await;
        let mine = name.clone();
        let fault = world.proxy().inject(index, action, move |request| request.writes_resource() && request.name == mine);
        world.apply(&name, &spec).await;
        let done = world.until_state(&name, RunState::Succeeded).await;
        let operations = world.operations_on(&name).await;
        assert_eq!(operations.len(), 1, "{action:?} at write {index}: {operations:#?}");
        assert_eq!(run(&done).operation_id.as_deref(), Some(operations[0].operation_id.as_str()), "{action:?} at write {index}");
        drop(fault);
    }))
    .await;
    world.assert_kstatus();
}
