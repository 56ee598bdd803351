//! Lost responses to the POST: a started operation is adopted, a missing one is submitted again, and an unresolved submission is shown.

use e2e::world::run;
use e2e::{AnyObject, TestSetup, World, eventually, semantic_model};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use tabular_operator::api::{ADOPT, RESUBMIT, RunState};

async fn lose(name: &str, action: Value, operations: usize, posts: usize) -> World {
    let (world, _operator) = World::running(name, TestSetup::default()).await;
    world.fault("POST", "refreshes", &json!({"action": action})).await;
    world.apply("orders", &json!({})).await;
    let done = world.until_state("orders", RunState::Succeeded).await;
    let actual = world.operations().await;
    assert_eq!((actual.len(), world.posts().await), (operations, posts), "{actual:#?}");
    assert_eq!(run(&done).operation_id.as_ref(), Some(&actual[0].operation_id));
    assert_eq!(run(&done).number, 1);
    world.assert_kstatus();
    world
}

#[tokio::test]
async fn lost_response_is_adopted_from_list() {
    let world = lose("lost-after", json!({"dropAfter": {}}), 1, 1).await;
    eventually("the event", async || world.events("orders").await.iter().any(|event| event.starts_with("Adopted: ")).then_some(())).await;
}

#[tokio::test]
async fn server_error_after_acceptance_is_adopted_from_list() {
    lose("error-after", json!({"statusAfter": {"code": 500}}), 1, 1).await;
}

#[tokio::test]
async fn missing_response_is_adopted_from_list() {
    lose("hang-after", json!({"hang": {"after": true}}), 1, 1).await;
}

#[tokio::test]
async fn lost_submission_is_repeated_after_visibility_timeout() {
    lose("lost-before", json!({"dropBefore": {}}), 1, 2).await;
}

#[tokio::test]
async fn swallowed_submission_is_repeated_after_timeout() {
    lose("gateway", json!({"html": {"code": 502}}), 1, 2).await;
}

#[tokio::test]
async fn lagging_list_is_awaited() {
    let (world, _operator) = World::running("list-lag", TestSetup::with_model(json!({"listLagMillis": 2_000}))).await;
    world.fault("POST", "refreshes", &json!({"action": {"dropAfter": {}}})).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Succeeded).await;
    assert_eq!((world.operations().await.len(), world.posts().await), (1, 1));
}

#[tokio::test]
async fn refresh_displaced_from_the_list_is_not_repeated() {
    let (world, _operator) = World::running("displaced", TestSetup::default()).await;
    let (model, spec, _) = semantic_model(&world, &json!({"notStartedMillis": 0, "durationMillis": 0})).await;
    // The operator cannot list the refreshes until ours is no longer among them.
    let unlisted = json!({"times": 0, "action": {"status": {"code": 503}}});
    let unlisted = world.azure.fault_at(&model, "GET", "refreshes?*", unlisted).await;
    let lost = world.azure.respond(&model, "POST", "refreshes", json!([{"dropAfter": {"alone": true}}])).await;
    world.apply("orders", &spec).await;
    lost.has_hit(1).await;
    eventually("our refresh", async || (!world.azure.refreshes(&model).await.is_empty()).then_some(())).await;
    for _ in 0..60 {
        world.azure.start_refresh(&model, json!({"refreshType": "Scheduled"})).await;
    }
    unlisted.remove().await;
    world.until_reason("orders", "Stalled", "SubmissionUnknown").await;
    assert_eq!((world.azure.refreshes(&model).await.len(), world.azure.count_of(&model, "POST", "refreshes").await), (61, 1));
    world.assert_kstatus();
}

/// A submission with a lost response, and an identical operation of another client in the same seconds.
async fn unresolved(name: &str) -> (World, e2e::Operator, [String; 2]) {
    let setup = TestSetup::with_model(json!({"notStartedMillis": 0, "durationMillis": 200}));
    let (world, operator) = World::running(name, setup).await;
    let both = hold(&world, "orders").await;
    (world, operator, both)
}

/// Loses the response to a resource's submission, and starts an identical operation of another client in the same seconds.
async fn hold(world: &World, name: &str) -> [String; 2] {
    let before = world.operations().await.len();
    // The operator cannot list the operations until both exist. Another resource that already waits for a decision lists them, too.
    let unlisted = json!({"times": 0, "action": {"status": {"code": 503}}});
    let no_list = if before == 0 { Some(world.fault("GET", "refreshes", &unlisted).await) } else { None };
    let lost = world.fault("POST", "refreshes", &json!({"action": {"hang": {"after": true}}})).await;
    world.apply(name, &json!({})).await;
    lost.has_hit(1).await;
    let ours = eventually("the end of the first", async || {
        world.operations().await.get(before).filter(|operation| operation.ended()).map(|operation| operation.operation_id.clone())
    })
    .await;
    let alike = world.start_for_other_client(&json!({"type": "full"})).await;
    if let Some(no_list) = no_list {
        no_list.remove().await;
    }
    let held = world.until_reason(name, "Stalled", "SubmissionUnknown").await;
    let candidates: Vec<&str> = run(&held).candidates.iter().map(|candidate| candidate.operation_id.as_str()).collect();
    assert!(candidates.contains(&ours.as_str()) && candidates.contains(&alike.as_str()), "{candidates:?}");
    let (message, user) = (&run(&held).message, format!("mref {name} -n {}", held.metadata.namespace.as_deref().unwrap()));
    for choice in [format!("{ADOPT}=OPERATION_ID"), format!("{RESUBMIT}=run-1-attempt-1")] {
        assert!(message.contains(&format!("`kubectl annotate --overwrite {user} {choice}`")), "{message}");
    }
    [ours, alike]
}

/// The event that reports an ignored decision, when it exists.
async fn ignored(world: &World, name: &str) -> String {
    eventually("the event", async || world.events(name).await.into_iter().find(|event| event.starts_with("DecisionIgnored: "))).await
}

#[tokio::test]
async fn unresolved_submission_is_resolved_by_adopt() {
    let (world, _operator, [ours, _]) = unresolved("adopt").await;
    world.annotate("orders", ADOPT, Some(&ours)).await;
    let done = world.until_state("orders", RunState::Succeeded).await;
    assert_eq!(run(&done).operation_id.as_ref(), Some(&ours));
    assert_eq!((world.operations().await.len(), world.posts().await), (2, 1));
    world.assert_kstatus();
}

#[tokio::test]
async fn unresolved_submission_is_resolved_by_resubmit() {
    let (world, _operator, [ours, alike]) = unresolved("resubmit").await;
    world.annotate("orders", RESUBMIT, Some("run-1-attempt-1")).await;
    let done = world.until_state("orders", RunState::Succeeded).await;
    let id = run(&done).operation_id.clone().unwrap();
    assert!(id != ours && id != alike);
    assert_eq!((world.operations().await.len(), world.posts().await), (3, 2));
    world.assert_kstatus();
}

#[tokio::test]
async fn stale_decisions_are_ignored() {
    let (world, _operator, [ours, _]) = unresolved("stale-decision").await;
    for (annotation, value) in [(RESUBMIT, "true"), (RESUBMIT, "run-1-attempt-2"), (ADOPT, "0e0e0e0e-7893-4afa-a4b3-3fb87222fdac")] {
        world.annotate("orders", annotation, Some(value)).await;
        let removed = |object: &AnyObject| !object.annotations().contains_key(annotation);
        let object = world.until("orders", "the annotation removed", removed).await;
        assert_eq!((run(&object).reason.as_str(), world.posts().await), ("SubmissionUnknown", 1), "{annotation}={value}");
    }
    assert!(ignored(&world, "orders").await.contains(&format!("{RESUBMIT}=run-1-attempt-1`")));
    world.annotate("orders", ADOPT, Some(&ours)).await;
    world.until_state("orders", RunState::Succeeded).await;
    let followed = |object: &AnyObject| !object.annotations().contains_key(ADOPT);
    world.until("orders", "the annotation removed", followed).await;
    assert_eq!((world.operations().await.len(), world.posts().await), (2, 1));
    world.assert_kstatus();
}

#[tokio::test]
async fn operation_is_adopted_by_one_resource() {
    let (world, _operator, [ours, _]) = unresolved("same-operation").await;
    hold(&world, "customers").await;
    tokio::join!(world.annotate("orders", ADOPT, Some(&ours)), world.annotate("customers", ADOPT, Some(&ours)));
    let decided = |object: &AnyObject| !object.annotations().contains_key(ADOPT);
    let mut followed = Vec::new();
    for name in ["orders", "customers"] {
        followed.push(run(&world.until(name, "the annotation removed", decided).await).operation_id.clone());
    }
    followed.sort();
    assert_eq!(followed, [None, Some(ours)]);
    world.assert_kstatus();
}
