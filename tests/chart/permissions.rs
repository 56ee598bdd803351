//! The operator run as the chart installs it: its settings, its `ServiceAccount` and what that is granted, and nothing else.
//!
//! A permission too few shows as a refused request in the audit log, and as a run that does not end. One too many shows as
//! one that nothing in the log has needed.

use harness::rbac::make;
use harness::world::{SECRET, TENANT};
use harness::{Action, Operator, OperatorSettings, Setting, Tool, World, kubeconfig};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{EnvVar, ServiceAccount};
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use tabular_operator::api::RunState;

use crate::{CHART, grants, scratch};

/// A team's `ServiceAccount`, whose tokens the operator may ask for.
const ACCOUNT: &str = "refresher";

/// One after the other: the first of the two serves all namespaces.
#[tokio::test]
async fn it_may_do_what_it_does_and_nothing_else() {
    it_may_do_what_it_does("everywhere", |_| None).await;
    it_may_do_what_it_does("somewhere", |world| Some(format!("watchNamespaces={{{}}}", world.namespace))).await;
}

async fn it_may_do_what_it_does(name: &str, more: impl Fn(&World) -> Option<String>) {
    let world = World::with(name, Setting { api_proxy: true, ..Setting::default() }).await;
    let system = format!("{}-system", world.namespace);
    let helm = Tool::helm("helm", world.site.control_plane.kubeconfig(), &scratch(name));
    let values = [
        Some("crds.enabled=false,polling.min=100ms,polling.max=1s,polling.listingLag=3s,leaderElection.leaseDuration=5s".to_owned()),
        Some(format!("secretAccess[0].namespace={},secretAccess[0].names={{{}}}", world.namespace, SECRET)),
        Some(format!("tokenAccess[0].namespace={},tokenAccess[0].names={{{ACCOUNT}}}", world.namespace)),
        more(&world),
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join(",");
    // Other names than those of the documents, which the harness has in use.
    let release = world.namespace.as_str();
    let fullname = format!("{release}-tabular-operator");
    helm.run(&["install", release, CHART, "--namespace", &system, "--create-namespace", "--set", &values]).await;

    let mut operator = Operator::start_as_is(&installed(&world, &system, &fullname).await, world.site.guard());
    operator.ready().await;
    whole_runs(&world).await;
    assert_eq!(operator.terminate().await.code(), Some(0));

    let user = format!("system:serviceaccount:{system}:{fullname}");
    let lines = world.site.control_plane.audit().by(&user);
    let refused: Vec<String> = lines.iter().filter(|line| line.response_status.code == 403).map(harness::AuditLine::summary).collect();
    assert!(refused.is_empty(), "{name}: it may not do what it does: {refused:#?}");
    let granted = grants::of(&world.client, &system, &fullname).await;
    assert!(granted.len() > 10, "{granted:#?}");
    let needed = |grant: &&grants::Grant| lines.iter().any(|line| grant.covers(line));
    let unneeded: Vec<_> = granted.iter().filter(|grant| !needed(grant)).collect();
    assert!(unneeded.is_empty(), "{name}: nothing needs {unneeded:#?}");

    helm.run(&["uninstall", release, "--namespace", &system]).await;
    assert!(grants::of(&world.client, &system, &fullname).await.is_empty(), "an uninstall leaves grants");
}

/// What the operator does in its life: a whole run of each kind with a write that came too late, one by a team's own identity,
/// and a deletion in mid-run.
async fn whole_runs(world: &World) {
    let late = |resource: &'static str| {
        world.proxy().strike(0, Action::Answer(409), move |seen| seen.resource == resource && seen.subresource == "status")
    };
    let (late_refresh, late_sync) = (late("modelrefreshes"), late("modelsyncs"));
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Succeeded).await;
    world.apply("modelsync/replicas", &json!({})).await;
    world.until_state("modelsync/replicas", RunState::Succeeded).await;
    assert_eq!((late_refresh.count(), late_sync.count()), (1, 1));
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

/// A refresh by workload identity.
async fn as_a_service_account(world: &World) {
    let (issuer, keys) = world.site.control_plane.issuer().await;
    world.azure.put_issuer(&issuer, &keys).await;
    world.azure.put_federated(TENANT, &world.client_id, &issuer, &world.namespace, ACCOUNT).await;
    let annotations = json!({"azure.workload.identity/client-id": world.client_id, "azure.workload.identity/tenant-id": TENANT});
    let account = json!({"metadata": {"name": ACCOUNT, "annotations": annotations}});
    make::<ServiceAccount>(&Api::namespaced(world.client.clone(), &world.namespace), account).await;
    let credentials = json!({"servicePrincipalRef": null, "workloadIdentity": {"serviceAccountName": ACCOUNT}});
    world.apply("federated", &json!({"credentials": credentials})).await;
    world.until_state("federated", RunState::Succeeded).await;
}

/// The operator of the Deployment, as its `ServiceAccount`. Only where metrics are served and where Azure is are the test's.
async fn installed(world: &World, system: &str, name: &str) -> OperatorSettings {
    let deployment = Api::<Deployment>::namespaced(world.client.clone(), system).get(name).await.unwrap();
    let mut pod = deployment.spec.unwrap().template.spec.unwrap();
    let account = pod.service_account_name.unwrap();
    let container = pod.containers.remove(0);
    assert_eq!((container.command.unwrap(), container.args.unwrap()), (vec!["/tabular-operator".to_owned()], vec!["run".to_owned()]));
    let accounts: Api<ServiceAccount> = Api::namespaced(world.client.clone(), system);
    let token = accounts.create_token_request(&account, &PostParams::default(), &TokenRequest::default()).await.unwrap();
    let file = world.site.directory().join(format!("{system}.kubeconfig"));
    // The pod's own namespace is that of the Lease.
    kubeconfig::write(&file, world.proxy().endpoint(), &token.status.unwrap().token, system);
    OperatorSettings {
        kubeconfig: file,
        arguments: container.env.unwrap().iter().map(argument).collect(),
        ..world.operator_settings().clone()
    }
}

/// A setting as the flag that its variable stands for.
fn argument(variable: &EnvVar) -> String {
    let name = variable.name.strip_prefix("TABULAR_OPERATOR_").unwrap_or_else(|| panic!("{} is no setting", variable.name));
    let value = if name == "METRICS_ADDRESS" { "127.0.0.1:0" } else { variable.value.as_deref().unwrap() };
    format!("--{}={value}", name.to_lowercase().replace('_', "-"))
}
