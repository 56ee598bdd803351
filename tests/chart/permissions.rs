//! The operator run as the chart installs it: its settings, its `ServiceAccount` and what that is granted, and nothing else.
//!
//! A permission too few shows as a refused request in the audit log, and as a run that does not end. One too many shows as
//! one that nothing in the log has needed.

use harness::{Action, Operator, OperatorSettings, Setting, Tool, World, eventually, kubeconfig};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{EnvVar, ServiceAccount};
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use tabular_operator::api::{ModelSync, RunState};

use crate::{CHART, grants, scratch};

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
        Some(format!("secretAccess[0].namespace={},secretAccess[0].names={{{}}}", world.namespace, harness::world::SECRET)),
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

/// What the operator does in its life: a whole run of each kind with a write that came too late, and a deletion in mid-run.
async fn whole_runs(world: &World) {
    let late = |resource: &'static str| {
        world.proxy().strike(0, Action::Answer(409), move |seen| seen.resource == resource && seen.subresource == "status")
    };
    let (late_refresh, late_sync) = (late("modelrefreshes"), late("modelsyncs"));
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Succeeded).await;
    synchronise(world).await;
    assert_eq!((late_refresh.count(), late_sync.count()), (1, 1));
    let other = world.put_database("Long", &json!({"notStartedMillis": 0, "durationMillis": 600_000})).await;
    world.apply("long", &other).await;
    world.until_state("long", RunState::Running).await;
    world.delete("long").await;
    world.until_gone("long").await;
    let (done, cancelled) = (world.operations().await, world.operations_on("Long").await);
    assert_eq!((done.len(), done[0].status.as_str()), (1, "succeeded"));
    assert_eq!((cancelled.len(), cancelled[0].status.as_str()), (1, "cancelled"));
    assert!(!world.events("orders").await.is_empty());
}

async fn synchronise(world: &World) {
    let mut manifest = world.manifest("replicas", &json!({}));
    manifest["kind"] = json!("ModelSync");
    manifest["spec"].as_object_mut().unwrap().remove("refresh");
    let syncs: Api<ModelSync> = Api::namespaced(world.client.clone(), &world.namespace);
    syncs.create(&PostParams::default(), &serde_json::from_value(manifest).unwrap()).await.unwrap();
    // How it ends makes no difference to what it takes.
    eventually("the sync to end", async || {
        let sync = serde_json::to_value(syncs.get("replicas").await.unwrap()).unwrap();
        sync["status"]["run"]["endedTime"].is_string().then_some(())
    })
    .await;
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
