//! The permissions of a release's operator, compared with its requests to the API server.
//!
//! A missing permission shows as a refused request in the audit log, and as a run that does not end. An unneeded one shows as a
//! permission without a request in the log.

use e2e::rbac::make;
use e2e::world::TENANT;
use e2e::{Action, TestSetup, World};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use serde_json::json;
use tabular_operator::api::RunState;

use crate::grants;
use crate::release::{ACCOUNT, Release};

#[tokio::test]
async fn cluster_wide_permissions_match_requests() {
    let world = World::with("everywhere", TestSetup::with_proxy()).await;
    it_may_do_what_it_does(&world, Release::everywhere(&world).await).await;
}

#[tokio::test]
async fn namespaced_permissions_match_requests() {
    let world = World::with("somewhere", TestSetup::with_proxy()).await;
    it_may_do_what_it_does(&world, Release::in_namespace(&world, "").await).await;
}

async fn it_may_do_what_it_does(world: &World, release: Release<'_>) {
    let mut operator = release.operator().await;
    whole_runs(world).await;
    assert_eq!(operator.terminate().await.code(), Some(0));

    let lines = world.environment.control_plane.audit().by(&release.user());
    let refused: Vec<String> = lines.iter().filter(|line| line.response_status.code == 403).map(e2e::AuditLine::summary).collect();
    assert!(refused.is_empty(), "missing permissions: {refused:#?}");
    let granted = grants::of(&world.client, &release.namespace, &release.name).await;
    assert!(granted.len() > 10, "{granted:#?}");
    let unneeded: Vec<_> = granted.iter().filter(|grant| !lines.iter().any(|line| grant.covers(line))).collect();
    assert!(unneeded.is_empty(), "unneeded permissions: {unneeded:#?}");

    release.uninstall().await;
    assert!(grants::of(&world.client, &release.namespace, &release.name).await.is_empty(), "permissions are left after an uninstall");
}

/// The operator's complete work: a run of each kind with a late write, one with a team's own identity, and a deletion during a run.
async fn whole_runs(world: &World) {
    let late = |resource: &'static str| {
        world.proxy().inject(0, Action::Respond(409), move |request| request.resource == resource && request.subresource == "status")
    };
    let (late_refresh, late_sync) = (late("modelrefreshes"), late("modelsyncs"));
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Succeeded).await;
    world.apply("modelsync/replicas", &json!({})).await;
    world.until_state("modelsync/replicas", RunState::Succeeded).await;
    assert_eq!((late_refresh.hits(), late_sync.hits()), (1, 1));
    as_a_service_account(world).await;
    let other = world.put_database("Long", &json!({"notStartedMillis": 0, "durationMillis": 600_000})).await;
    world.apply("long", &other).await;
    world.until_state("long", RunState::Running).await;
    world.delete("long").await;
    world.until_gone("long").await;
    let (done, cancelled) = (world.operations().await, world.operations_on("Long").await);
    assert!(done.len() == 2 && done.iter().all(|operation| operation.status == "succeeded"), "{done:#?}");
    assert_eq!((cancelled.len(), cancelled[0].status.as_str()), (1, "cancelled"));
    assert!(!world.events("orders").await.is_empty());
}

/// A refresh with workload identity.
async fn as_a_service_account(world: &World) {
    let (issuer, keys) = world.environment.control_plane.issuer().await;
    world.azure.put_issuer(&issuer, &keys).await;
    world.azure.put_federated(TENANT, &world.client_id, &issuer, &world.namespace, ACCOUNT).await;
    let annotations = json!({"azure.workload.identity/client-id": world.client_id, "azure.workload.identity/tenant-id": TENANT});
    let account = json!({"metadata": {"name": ACCOUNT, "annotations": annotations}});
    make::<ServiceAccount>(&Api::namespaced(world.client.clone(), &world.namespace), account).await;
    let credentials = json!({"servicePrincipalRef": null, "workloadIdentity": {"serviceAccountName": ACCOUNT}});
    world.apply("federated", &json!({"credentials": credentials})).await;
    world.until_state("federated", RunState::Succeeded).await;
}
