//! `check`: each fault is reported at its step, and no check submits or cancels anything.

use e2e::rbac::make;
use e2e::world::{TENANT, status};
use e2e::{Action, ApiProxy, TestSetup, When, World, semantic_model};
use serde_json::{Value, json};
use tabular_operator::api::{CHECK_REQUESTED_AT, RunState};

use crate::plugin::{Plugin, Role};

/// The steps of a report: their names and results, and the reason of the failed one.
fn steps(report: &Value) -> (Vec<String>, String) {
    let steps = report["check"]["steps"].as_array().expect("a check has steps");
    let text = |step: &Value, field: &str| step[field].as_str().unwrap_or_default().to_owned();
    let shown = steps.iter().map(|step| format!("{} {}", text(step, "name"), text(step, "result"))).collect();
    (shown, steps.iter().map(|step| text(step, "reason")).collect())
}

/// Asserts that a check fails at a step for a reason. Returns what it prints.
async fn fails_at(plugin: &Plugin, name: &str, step: &str, reason: &str) -> String {
    let printed = plugin.run(&format!("check {name} -o json")).await;
    assert_eq!(printed.code, 3, "{name}: {printed:?}");
    let report: Value = serde_json::from_str(&printed.out).unwrap();
    let (shown, why) = steps(&report);
    assert!(shown.contains(&format!("{step} Failed")) && why == reason, "{name}: {report:#}");
    assert_eq!(shown.iter().filter(|it| it.ends_with(" Failed")).count(), 1, "{name}: {report:#}");
    printed.out
}

#[tokio::test]
async fn each_fault_is_reported_at_its_step() {
    let (world, operator) = World::running("plugin-check", TestSetup::default()).await;
    let plugin = Plugin::new(&world, Role::Edit).await;
    let server = |server: &str| json!({"suspend": true, "model": {"analysisServices": {"server": server}}});
    let secret = |name: &str| json!({"suspend": true, "credentials": {"servicePrincipalRef": {"name": name}}});
    let keys = json!({"tenantId": TENANT, "clientId": world.client_id, "clientSecret": "s3cr3t-that-is-wrong"});
    make(&world.secrets(), json!({"metadata": {"name": "wrong"}, "stringData": keys})).await;
    let specs = [
        ("good", json!({"suspend": true})),
        ("wrong", secret("wrong")),
        ("missing", secret("missing")),
        ("foreign", server("asazure://westus.asazure.chinacloudapi.cn/s")),
        ("nowhere", json!({"suspend": true, "model": {"analysisServices": {"database": "Nowhere"}}})),
        ("denied", json!({"suspend": true})),
        ("modelsync/replicas", json!({"suspend": true})),
    ];
    for (name, spec) in &specs {
        world.apply(name, spec).await;
    }
    let printed = plugin.run("check good").await;
    assert_eq!((printed.code, printed.out.lines().count(), printed.out.matches('✓').count()), (0, 6, 6), "{printed:?}");
    let (shown, _) = steps(&plugin.report("check msync/replicas").await);
    assert!(shown.iter().all(|step| step.ends_with(" Passed")), "{shown:?}");
    fails_at(&plugin, "missing", "credentials", "SecretNotFound").await;
    fails_at(&plugin, "foreign", "host", "ServerNotInCloud").await;
    fails_at(&plugin, "nowhere", "model", "ModelNotFound").await;
    let wrong = fails_at(&plugin, "wrong", "token", "CredentialsRefused").await;
    world.patch_model(&json!({"administrators": []})).await;
    fails_at(&plugin, "denied", "access", "AccessDenied").await;
    assert!(!format!("{wrong}{}", operator.log()).contains("s3cr3t"), "the output contains a secret");

    let rows = world.azure.ledger_after(0).await;
    let ours: Vec<_> = rows.iter().filter(|row| row.client_id.as_ref() == Some(&world.client_id) && row.route != "token").collect();
    assert!(!ours.is_empty() && ours.iter().all(|row| row.method == "GET"), "{ours:?}");
    assert!(world.operations().await.is_empty() && world.syncs().await.is_empty());
    assert!(plugin.requests(&world).iter().any(|request| request.starts_with("patch ")));
    world.assert_kstatus();
}

#[tokio::test]
async fn semantic_model_is_found_by_its_names() {
    let (world, _operator) = World::running("plugin-check-pbi", TestSetup::default()).await;
    let plugin = Plugin::new(&world, Role::Edit).await;
    let (_, _, by_names) = semantic_model(&world, &json!({})).await;
    let suspended = |mut spec: Value| {
        spec["suspend"] = json!(true);
        spec
    };
    world.apply("orders", &suspended(by_names)).await;
    let report = plugin.report("check orders").await;
    let model = report["check"]["steps"][4]["message"].as_str().unwrap();
    assert!(model.starts_with("Sales of ") && model.contains("/Orders is "), "{report:#}");
    assert!(report["check"]["steps"][5]["message"].as_str().unwrap().contains("write permission"), "{report:#}");
    let unknown = json!({"model": {"analysisServices": null, "powerBI": {"workspace": "Nowhere", "dataset": "Orders"}}});
    world.apply("unknown", &suspended(unknown)).await;
    fails_at(&plugin, "unknown", "model", "ModelNotResolved").await;
}

#[tokio::test]
async fn check_leaves_a_running_operation_alone() {
    let setup = TestSetup::with_model(json!({"durationMillis": 600_000}));
    let (world, operator) = World::running("plugin-check-run", setup).await;
    let plugin = Plugin::new(&world, Role::Edit).await;
    world.apply("orders", &json!({})).await;
    let before = world.until_state("orders", RunState::Running).await;
    plugin.succeed("check orders").await;
    let after = world.until("orders", "the result of the check", |object| status(object).check.is_some()).await;
    assert_eq!(status(&after).run.as_ref().map(|run| (run.number, run.state)), Some((1, RunState::Running)));
    assert_eq!(status(&before).run.as_ref().unwrap().operation_id, status(&after).run.as_ref().unwrap().operation_id);
    assert_eq!((world.posts().await, world.operations().await.len()), (1, 1));

    // Without an operator there is no result.
    drop(operator);
    let unanswered = plugin.run("check orders --timeout 2s").await;
    assert!(unanswered.code == 4 && unanswered.out.is_empty() && unanswered.err.contains("may be older"), "{unanswered:?}");
}

#[tokio::test]
async fn lost_response_to_check_is_recovered() {
    let (world, _operator) = World::running("plugin-check-lost", TestSetup::default()).await;
    world.apply("orders", &json!({"suspend": true})).await;
    world.until_reason("orders", "Ready", "Suspended").await;
    let proxy = ApiProxy::start(&world.environment.endpoint());
    let plugin = Plugin::through(&world, &proxy).await;
    for action in [Action::Drop(When::After), Action::RespondAfter(504)] {
        let fault = proxy.inject(0, action, |request| request.verb == "patch");
        let printed = plugin.run("check orders").await;
        assert_eq!((printed.code, printed.out.matches('✓').count(), fault.hits()), (0, 6, 1), "{printed:?}");
    }
    let fault = proxy.inject(0, Action::Drop(When::Before), |request| request.verb == "patch");
    let unknown = plugin.run("check orders").await;
    assert_eq!((unknown.code, unknown.out.as_str(), fault.hits()), (1, "", 1), "{unknown:?}");
    assert!(unknown.err.contains("it is unknown whether the request arrived: repeat the command"), "{unknown:?}");
}

#[tokio::test]
async fn check_needs_the_role_edit() {
    let (world, _operator) = World::running("plugin-check-view", TestSetup::default()).await;
    let plugin = Plugin::new(&world, Role::View).await;
    world.apply("orders", &json!({"suspend": true})).await;
    let denied = plugin.run("check orders").await;
    assert!(denied.code == 1 && denied.err.contains("patch") && denied.err.contains("edit"), "{denied:?}");
    assert_eq!(plugin.run("check absent").await.code, 1);
    let object = world.until_reason("orders", "Ready", "Suspended").await;
    assert!(object.metadata.annotations.is_none_or(|annotations| !annotations.contains_key(CHECK_REQUESTED_AT)));
}
