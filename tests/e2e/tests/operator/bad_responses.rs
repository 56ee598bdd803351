//! Useless or oversized responses during a run: the id is never lost, no reported end is wrong, and no token is leaked.

use e2e::world::run;
use e2e::{TestSetup, World};
use futures::future::join_all;
use serde_json::{Value, json};
use tabular_operator::api::RunState;

/// Checks that the operator polled the resource's operation to its actual end, and that it was the only one.
async fn assert_tracked(world: &World, name: &str) {
    let done = world.until_state(name, RunState::Succeeded).await;
    let operations = world.operations_on(name).await;
    assert_eq!(operations.len(), 1, "{name}: {operations:#?}");
    let id = operations[0].operation_id.as_str();
    assert_eq!((run(&done).operation_id.as_deref(), operations[0].status.as_str()), (Some(id), "succeeded"), "{name}");
    for version in world.recorder.of(name) {
        let object = version.decode().unwrap();
        let Some(run) = object.status.as_ref().and_then(|status| status.run.as_ref()) else { continue };
        let kept = run.operation_id.is_some() || matches!(run.state, RunState::Waiting | RunState::Submitting);
        assert!(kept && run.state != RunState::Failed, "{name}: {run:#?}");
    }
}

/// Applies `actions` to requests about the operation, with one resource and model each.
async fn assert_tracked_despite(world: &World, method: &str, actions: Vec<(&str, u64, Value)>) {
    join_all(actions.into_iter().map(async |(name, times, action)| {
        let spec = world.put_database(name, &json!({"notStartedMillis": 100, "durationMillis": 1_500})).await;
        let end = if method == "POST" { format!("{name}/refreshes") } else { format!("{name}/refreshes/*") };
        world.fault(method, &end, &json!({"times": times, "action": action})).await;
        world.apply(name, &spec).await;
        assert_tracked(world, name).await;
    }))
    .await;
    world.assert_kstatus();
}

#[tokio::test]
async fn failed_polls_change_nothing() {
    let (world, _operator) = World::running("responses", TestSetup::default()).await;
    let actions = vec![
        ("status-500", 3, json!({"status": {"code": 500}})),
        ("status-503", 2, json!({"status": {"code": 503, "headers": {"Retry-After": "1"}}})),
        ("status-429", 2, json!({"status": {"code": 429, "headers": {"Retry-After": "1"}}})),
        ("status-401", 1, json!({"status": {"code": 401}})),
        ("status-400", 1, json!({"status": {"code": 400, "body": {"code": "Whatever", "message": "An internal error occurred."}}})),
        ("html-200", 2, json!({"html": {"code": 200, "handled": true}})),
        ("html-502", 2, json!({"html": {"code": 502}})),
        ("dropped", 2, json!({"dropBefore": {"alone": true}})),
        ("truncated", 2, json!({"truncate": {"bytes": 20}})),
        ("reset", 2, json!({"resetMidBody": {}})),
        ("number", 2, json!({"body": 42})),
        ("empty", 2, json!({"body": ""})),
        ("array", 2, json!({"body": []})),
        ("compressed", 0, json!({"gzip": {}})),
        ("accepted-without-a-body", 2, json!({"status": {"code": 202}})),
        ("odd-parts", 2, json!({"body": {"status": "inProgress", "objects": [null, 7, "DimDate"], "messages": ["odd", null]}})),
        ("half-a-character", 2, json!({"body": r#"{"status": "inProgress", "messages": [{"message": "cut \ud83d"}]}"#})),
        ("unknown-status", 2, json!({"body": {"status": "pondering"}})),
        ("status-is-null", 2, json!({"body": {"status": null}})),
        ("redirected", 1, json!({"redirect": {"code": 302, "location": "https://westus.asazure.windows.net/elsewhere"}})),
    ];
    assert_tracked_despite(&world, "GET", actions).await;
}

#[tokio::test]
async fn slow_polls_change_nothing() {
    let (world, _operator) = World::running("slow", TestSetup::default()).await;
    let actions = vec![
        ("hanging", 1, json!({"hang": {}})),
        ("delayed", 2, json!({"delay": {"millis": 1_500}})),
        ("slow", 1, json!({"slow": {"bytesPerSecond": 20}})),
    ];
    assert_tracked_despite(&world, "GET", actions).await;
}

#[tokio::test]
async fn compressed_responses_are_read_or_reported() {
    let (world, _operator) = World::running("compressed", TestSetup::default()).await;
    let gzip = json!({"gzip": {}});
    assert_tracked_despite(&world, "POST", vec![("unzipped", 1, gzip)]).await;
    // Only the list names the operation. Its responses are compressed too, at first in an unsupported encoding.
    let spec = world.put_database("listed", &json!({"durationMillis": 1_500})).await;
    let unnamed = json!({"headers": {"location": null, "x-ms-request-id": null, "content-encoding": "br"}});
    world.fault("POST", "listed/refreshes", &json!({"action": unnamed})).await;
    let list = world.fault("GET", "listed/refreshes", &json!({"times": 2, "action": {"headers": {"content-encoding": "br"}}})).await;
    world.apply("listed", &spec).await;
    assert_tracked(&world, "listed").await;
    list.has_hit(2).await;
    // The modification lasts: something between the operator and the service compresses every response.
    let spec = world.put_database("lasting", &json!({"durationMillis": 500})).await;
    let unread = json!({"headers": {"content-encoding": "br"}});
    let lasting = world.fault("GET", "lasting/refreshes*", &json!({"times": 0, "action": unread})).await;
    world.apply("lasting", &spec).await;
    let reported_once = world
        .until("lasting", "the message about the compression", |object| {
            let reported = object.status.as_ref().and_then(|status| status.run.as_ref());
            reported.is_some_and(|run| run.message.contains("is compressed"))
        })
        .await;
    let message = &run(&reported_once).message;
    assert!(
        message.contains("is still running") && message.contains("disable compression for this host in the proxy or gateway"),
        "{message}"
    );
    lasting.remove().await;
    assert_tracked(&world, "lasting").await;
    world.assert_kstatus();
}

#[tokio::test]
async fn not_yet_visible_operation_is_awaited() {
    let setup = TestSetup::with_model(json!({"getLagMillis": 1_500, "listLagMillis": 1_500, "durationMillis": 2_500}));
    let (world, _operator) = World::running("young", setup).await;
    world.apply("orders", &json!({})).await;
    let done = world.until_state("orders", RunState::Succeeded).await;
    let operations = world.operations().await;
    assert_eq!((operations.len(), run(&done).operation_id.as_ref()), (1, Some(&operations[0].operation_id)));
}

#[tokio::test]
async fn vanished_operation_is_not_submitted_again() {
    let (world, _operator) = World::running("vanished", TestSetup::with_model(json!({"durationMillis": 600_000}))).await;
    world.apply("orders", &json!({"backoffLimit": 2})).await;
    let running = world.until_state("orders", RunState::Running).await;
    let id = run(&running).operation_id.clone().unwrap();
    world.azure.vanish(&id, true).await;
    let lost = world.until_state("orders", RunState::Failed).await;
    assert_eq!((run(&lost).reason.as_str(), run(&lost).operation_id.as_ref()), ("OperationLost", Some(&id)));
    assert_eq!(world.operations().await.len(), 1, "its result is unknown, so it is not repeated");
    world.assert_kstatus();
}

#[tokio::test]
async fn foreign_location_or_redirect_is_never_followed() {
    let (world, _operator) = World::running("elsewhere", TestSetup::default()).await;
    let evil = format!("https://evil-{}.example/refreshes/1", world.namespace);
    let location = json!({"location": {"value": evil}});
    assert_tracked_despite(
        &world,
        "POST",
        vec![("foreign-location", 1, location), ("no-location", 1, json!({"location": {"value": null}}))],
    )
    .await;
    let redirect = |code: u16| json!({"redirect": {"code": code, "location": evil}});
    assert_tracked_despite(&world, "GET", vec![("redirect-302", 1, redirect(302)), ("redirect-307", 1, redirect(307))]).await;
    let strayed: Vec<_> = world.azure.ledger_after(0).await.into_iter().filter(|row| row.host.contains(&world.namespace)).collect();
    assert!(strayed.is_empty(), "{strayed:#?}");
}
