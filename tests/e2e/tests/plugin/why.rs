//! `why`: the cause, the evidence, and the permissions that it can do without.

use e2e::world::TENANT;
use e2e::{TestSetup, World, eventually, rbac};
use serde_json::{Value, json};
use tabular_operator::api::{RUN_REQUESTED_AT, RunState};

use crate::plugin::{Plugin, Role};

/// The flags that name the Lease of the world's operator.
fn lease(world: &World) -> String {
    format!("--operator-namespace {} --operator-lease {}", rbac::OPERATORS, world.namespace)
}

#[tokio::test]
async fn printed_remedy_fixes_missing_secret() {
    let (world, _operator) = World::running("plugin-why", TestSetup::default()).await;
    let plugin = Plugin::new(&world, Role::View).await;
    world.apply("orders", &json!({"credentials": {"servicePrincipalRef": {"name": "absent"}}})).await;
    world.until_reason("orders", "Stalled", "SecretNotFound").await;
    eventually("the event", async || world.events("orders").await.iter().any(|event| event.starts_with("SecretNotFound: ")).then_some(()))
        .await;

    let why = plugin.run(&format!("why orders --exit-code {}", lease(&world))).await;
    assert_eq!(why.code, 3, "{why:?}");
    assert!(why.out.starts_with("orders is waiting and needs action: SecretNotFound for "), "{why:?}");
    for part in [
        "  Cause     The Secret in servicePrincipalRef is not in this namespace",
        " Warning SecretNotFound (event)",
        "operator running: Lease renewed ",
        "spec observed (generation 1)",
        "More: https://github.com/tabular-operator/tabular-operator/blob/main/docs/operations/troubleshooting.md#secretnotfound",
    ] {
        assert!(why.out.contains(part), "{part}: {}", why.out);
    }
    let report = plugin.report(&format!("why orders {}", lease(&world))).await;
    assert_eq!((&report["needsAction"], &report["operator"]["state"]), (&json!(true), &json!("Running")), "{report}");
    assert_eq!(report["events"][0]["reason"], "SecretNotFound", "{report}");

    // The command as it is printed, with the values in place of the words in capitals.
    let file = world.environment.directory().join(format!("{}.secret", world.namespace));
    std::fs::write(&file, "right").unwrap();
    let printed = report["commands"][0].as_str().unwrap();
    // The user may not create it. An administrator uses the same command with another kubeconfig.
    let printed = printed.strip_suffix(&format!(" --kubeconfig {}", plugin.kubeconfig().display())).unwrap();
    let values = [("TENANT_ID", TENANT), ("CLIENT_ID", world.client_id.as_str()), ("FILE", file.to_str().unwrap())];
    let command = values.iter().fold(printed.to_owned(), |command, (word, value)| command.replace(word, value));
    let words: Vec<&str> = command.strip_prefix("kubectl ").unwrap().split_whitespace().collect();
    let output = world.environment.control_plane.kubectl_with(&words, "").await;
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    world.until_state("orders", RunState::Succeeded).await;
    let why = plugin.run(&format!("why orders --exit-code {}", lease(&world))).await;
    assert!(why.code == 0 && why.out.starts_with("orders succeeded, and nothing is wrong: Succeeded "), "{why:?}");
    assert!(plugin.requests(&world).iter().all(|request| request.starts_with("get ") || request.starts_with("list ")));
}

#[tokio::test]
async fn denied_evidence_is_left_out() {
    let setup = TestSetup::with_model(json!({"durationMillis": 600_000}));
    let (world, _operator) = World::running("plugin-less", setup).await;
    let plugin = Plugin::new(&world, Role::Resources).await;
    world.apply("first", &json!({})).await;
    world.until_state("first", RunState::Running).await;
    world.apply("second", &json!({})).await;
    world.until_reason("second", "Reconciling", "WaitingForTurn").await;
    // Neither the events nor the Lease of another namespace can be read.
    let why = plugin.run("why second --exit-code").await;
    assert_eq!((why.code, why.err.as_str()), (0, ""), "{why:?}");
    for part in [
        "second is waiting, and needs no action: WaitingForTurn for ",
        "  Waiting   waiting for first (Running",
        "in the queue of ",
        "other resources are not visible to you",
        "events not visible to you",
    ] {
        assert!(why.out.contains(part), "{part}: {}", why.out);
    }
    // A request joins the run that waits, or is queued behind the one that runs: neither is unobserved.
    for name in ["first", "second"] {
        world.annotate(name, RUN_REQUESTED_AT, Some("now")).await;
        let why = plugin.succeed(&format!("why {name}")).await;
        assert!(why.contains("spec observed (generation 1)") && !why.contains("not observed"), "{why}");
    }
    let report = plugin.report("why second").await;
    assert_eq!((&report["events"], &report["operator"]), (&Value::Null, &json!({"state": "Unknown"})), "{report}");
    let denied = plugin.requests(&world).into_iter().filter(|request| request.ends_with("-> 403"));
    let denied: std::collections::BTreeSet<String> = denied.collect();
    assert_eq!(
        denied.iter().map(String::as_str).collect::<Vec<_>>(),
        ["get leases tabular-operator -> 403", "list events  -> 403", "list modelrefreshes  -> 403"]
    );
    let unknown = plugin.run("why missing").await;
    assert!(unknown.code == 1 && unknown.err.contains("modelrefreshes/missing not found"), "{unknown:?}");
}

#[tokio::test]
async fn resource_without_operator_is_explained() {
    let world = World::new("plugin-alone").await;
    let plugin = Plugin::new(&world, Role::View).await;
    world.apply("orders", &json!({})).await;
    let why = plugin.run(&format!("why orders {}", lease(&world))).await;
    assert_eq!(why.code, 0, "{why:?}");
    for part in [
        "orders has not been observed by the operator for ",
        "does not watch this namespace",
        "Lease of the operator not found: set --operator-namespace and --operator-lease",
        "the resource not observed for ",
    ] {
        assert!(why.out.contains(part), "{part}: {}", why.out);
    }
}
