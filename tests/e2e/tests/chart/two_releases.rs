//! Two releases side by side, each for its own namespace, and a model that resources of both namespaces name. To each release, the refresh
//! of the other one is that of another client. Both use the same application, so the service cannot distinguish them either.

use std::time::Duration;

use e2e::world::{TENANT, merged, run};
use e2e::{AnyObject, Operator, TestSetup, World, eventually};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::{Value, json};
use tabular_operator::api::{RUN_REQUESTED_AT, RunState};

use crate::release::Release;

/// The worlds of two teams. The second one has the application of the first, and [`shared`] is the model of the first.
async fn two_teams(name: &str) -> [World; 2] {
    let lasting = TestSetup::with_model(json!({"durationMillis": 600_000, "cancelMillis": 100}));
    let (first, second) = (World::with(&format!("{name}-a"), lasting).await, World::new(&format!("{name}-b")).await);
    second.put_secret_keys(json!({"tenantId": TENANT, "clientId": first.client_id, "clientSecret": "right"})).await;
    [first, second]
}

/// The part of a spec that names the model of the first team.
fn shared(first: &World) -> Value {
    json!({"model": {"analysisServices": {"server": first.server, "database": first.database}}})
}

/// A release for each team, and their operators.
async fn two_releases(worlds: [&World; 2]) -> ([Release<'_>; 2], [Operator; 2]) {
    let releases = Release::in_namespaces(worlds, "polling.callTimeout=2s").await;
    let operators = [releases[0].operator().await, releases[1].operator().await];
    (releases, operators)
}

/// The holder of a release's own Lease.
async fn holder(world: &World, release: &Release<'_>) -> String {
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), &release.namespace);
    leases.get(&release.name).await.unwrap().spec.unwrap().holder_identity.unwrap()
}

/// Starts the run of the first team, and returns the id of its operation.
async fn first_runs(first: &World) -> String {
    first.apply("orders", &json!({})).await;
    run(&first.until_state("orders", RunState::Running).await).operation_id.clone().unwrap()
}

/// Waits until the second team's run waits for this operation as for another client's.
async fn second_waits_for(second: &World, operation: &str) {
    let waits = |object: &AnyObject| {
        let run = object.status.as_ref().and_then(|status| status.run.as_ref());
        run.is_some_and(|run| {
            run.state == RunState::Waiting
                && run.reason == "ModelBusy"
                && run.waiting_for.as_ref().is_some_and(|what| what.contains(operation))
        })
    };
    second.until("orders", "the wait for the other release's operation", waits).await;
}

/// Ends the first operation, and checks that the runs have one operation each, none of them cancelled.
async fn each_runs_once(first: &World, operation: &str, runs: &[(&World, &str)]) {
    first.patch_model(&json!({"notStartedMillis": 0, "durationMillis": 300})).await;
    first.azure.end(operation, "succeeded").await;
    let mut recorded = Vec::new();
    for (world, name) in runs {
        recorded.push(run(&world.until_state(name, RunState::Succeeded).await).operation_id.clone().unwrap());
        world.assert_kstatus();
    }
    assert_eq!(recorded[0], operation);
    let mut actual: Vec<String> = first.operations().await.into_iter().map(|operation| operation.operation_id).collect();
    recorded.sort();
    actual.sort();
    assert_eq!(actual, recorded, "each run has its own operation, and there are no others");
    assert!(first.ledger().await.iter().all(|row| row.method != "DELETE"), "an operation was cancelled");
}

#[tokio::test]
async fn releases_share_a_model_and_nothing_else() {
    let [first, second] = two_teams("shared").await;
    let (releases, mut operators) = two_releases([&first, &second]).await;
    let holders = [holder(&first, &releases[0]).await, holder(&second, &releases[1]).await];
    assert_ne!(holders[0], holders[1]);
    let operation = first_runs(&first).await;
    // A release has its own queue.
    first.apply("next", &json!({})).await;
    first.until_reason("next", "Reconciling", "WaitingForTurn").await;
    second.apply("orders", &shared(&first)).await;
    second_waits_for(&second, &operation).await;
    // Without the first operator, the second one still leads, and the operation continues.
    operators[0].kill();
    second.apply("own", &json!({})).await;
    second.until_state("own", RunState::Succeeded).await;
    assert_eq!(holder(&second, &releases[1]).await, holders[1]);
    assert_eq!(first.operations().await[0].status, "inProgress");
    operators[0].restart();
    each_runs_once(&first, &operation, &[(&first, "orders"), (&first, "next"), (&second, "orders")]).await;
    // An uninstall of one release drains only that one.
    releases[0].uninstall().await;
    second.annotate("orders", RUN_REQUESTED_AT, Some("after the uninstall of the other release")).await;
    second.until_run("orders", 2, RunState::Succeeded).await;
    releases[1].uninstall().await;
}

#[tokio::test]
async fn lost_response_adopts_no_operation_of_other_release() {
    let [first, second] = two_teams("lost").await;
    let (releases, _operators) = two_releases([&first, &second]).await;
    let operation = first_runs(&first).await;
    // Older than the margin in which a user decides.
    let start: Timestamp = first.operations().await[0].start_time.as_deref().unwrap().parse().unwrap();
    eventually("an older operation", async || (Timestamp::now() > start + Duration::from_secs(5)).then_some(())).await;
    // The service refuses the submission of the second release, whose operator does not receive the response.
    let lost = first.fault("POST", "/refreshes", &json!({"action": {"dropAfter": {}}})).await;
    second.apply("orders", &shared(&first)).await;
    lost.has_hit(1).await;
    second_waits_for(&second, &operation).await;
    each_runs_once(&first, &operation, &[(&first, "orders"), (&second, "orders")]).await;
    for release in releases {
        release.uninstall().await;
    }
}

#[tokio::test]
async fn replace_policy_cancels_operation_of_other_release() {
    let [first, second] = two_teams("replaced").await;
    let (releases, _operators) = two_releases([&first, &second]).await;
    let operation = first_runs(&first).await;
    second.apply("orders", &merged(&shared(&first), &json!({"conflictPolicy": "Replace"}))).await;
    // The status of the first release is accurate, and its run is not repeated.
    let cancelled = first.until_state("orders", RunState::Cancelled).await;
    assert_eq!(run(&cancelled).reason, "Cancelled");
    let next = second.until_state("orders", RunState::Running).await;
    let operations = first.operations().await;
    let ids: Vec<&str> = operations.iter().map(|operation| operation.operation_id.as_str()).collect();
    assert_eq!(ids, [operation.as_str(), run(&next).operation_id.as_deref().unwrap()]);
    for release in releases {
        release.uninstall().await;
    }
}
