//! `adopt`, `resubmit` and `release`: only in their state, on the version that was shown, and after a confirmation.

use e2e::world::{run, status};
use e2e::{Action, ApiProxy, Operator, TestSetup, When, World, eventually};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use tabular_operator::api::{ADOPT, RunState};

use crate::plugin::{Plugin, Role};

/// A resource whose submission has lost its response, and an identical operation of another client in the same seconds. Also returns the
/// ids of both operations, that of the resource first.
async fn unresolved(name: &str) -> (World, Operator, [String; 2]) {
    let setup = TestSetup::with_model(json!({"notStartedMillis": 0, "durationMillis": 200}));
    let (world, operator) = World::running(name, setup).await;
    // The operator cannot list the operations until both exist.
    let no_list = world.fault("GET", "refreshes", &json!({"times": 0, "action": {"status": {"code": 503}}})).await;
    let lost = world.fault("POST", "refreshes", &json!({"action": {"hang": {"after": true}}})).await;
    world.apply("orders", &json!({})).await;
    lost.has_hit(1).await;
    let ours = eventually("the end of the first", async || {
        world.operations().await.first().filter(|operation| operation.ended()).map(|operation| operation.operation_id.clone())
    })
    .await;
    let other = world.start_for_other_client(&json!({"type": "full"})).await;
    no_list.remove().await;
    world.until_reason("orders", "Stalled", "SubmissionUnknown").await;
    (world, operator, [ours, other])
}

/// The writes of the user.
fn writes(plugin: &Plugin, world: &World) -> Vec<String> {
    let is_write = |request: &String| !request.starts_with("get ") && !request.starts_with("list ") && !request.starts_with("watch ");
    plugin.requests(world).into_iter().filter(is_write).collect()
}

#[tokio::test]
async fn adopt_tracks_selected_candidate() {
    let (world, _operator, [ours, other]) = unresolved("plugin-adopt").await;
    let plugin = Plugin::new(&world, Role::Edit).await;
    let why = plugin.succeed("why orders").await;
    assert!(why.contains("kubectl tabular adopt orders --namespace "), "{why}");

    let asked = plugin.run("adopt orders").await;
    assert_eq!((asked.code, asked.out.as_str()), (2, ""), "{asked:?}");
    let listed: Vec<&str> = asked.err.lines().filter(|line| line.contains(&ours) || line.contains(&other)).collect();
    assert!(listed.len() == 2 && listed.iter().all(|line| line.contains("  started ") && line.contains("s)  ")), "{asked:?}");
    assert!(asked.err.contains("standard input is not a terminal"), "{asked:?}");
    let several = plugin.run("adopt orders --yes").await;
    assert!(several.code == 2 && several.err.contains("name one of them"), "{several:?}");
    let unlisted = plugin.run("adopt orders 0e0e0e0e-7893-4afa-a4b3-3fb87222fdac --yes").await;
    assert!(unlisted.code == 5 && unlisted.err.contains("is not one of the candidates"), "{unlisted:?}");
    assert_eq!(writes(&plugin, &world), Vec::<String>::new());

    let number = listed.iter().find(|line| line.contains(&ours)).and_then(|line| line.split_whitespace().next()).unwrap();
    let adopted = plugin.in_terminal("adopt orders", "quit (q)?", async || number.to_owned()).await;
    assert!(adopted.code == 0 && adopted.out.contains(&format!("orders tracks operation {ours}")), "{adopted:?}");
    let done = world.until_state("orders", RunState::Succeeded).await;
    assert_eq!(run(&done).operation_id.as_ref(), Some(&ours));
    assert_eq!((world.operations().await.len(), world.posts().await), (2, 1));
    assert_eq!(writes(&plugin, &world), ["patch modelrefreshes orders -> 200"]);
    let late = plugin.run(&format!("adopt orders {ours} --yes")).await;
    assert!(late.code == 5 && late.err.contains("no submission of orders needs a decision: its state is Succeeded"), "{late:?}");
    let late = plugin.run("resubmit orders --yes -o json").await;
    let report: Value = serde_json::from_str(&late.out).unwrap();
    let request = &report["requests"][0];
    assert_eq!(
        (&request["command"], &request["result"], &request["exitCode"]),
        (&json!("resubmit"), &json!("Unchanged"), &json!(5)),
        "{late:?}"
    );
}

#[tokio::test]
async fn resubmit_submits_once_more() {
    let (world, _operator, ids) = unresolved("plugin-resubmit").await;
    let viewer = Plugin::new(&world, Role::View).await;
    let denied = viewer.run("resubmit orders --yes").await;
    assert!(denied.code == 1 && denied.err.contains("you may not patch modelrefreshes in namespace "), "{denied:?}");
    assert!(denied.err.contains("ask for the role edit there"), "{denied:?}");
    let plugin = Plugin::new(&world, Role::Edit).await;
    let declined = plugin.in_terminal("resubmit orders", "[y/N]", async || String::new()).await;
    assert!(declined.code == 5 && declined.out.contains("nothing was changed on orders"), "{declined:?}");
    let again = plugin.run("resubmit orders --yes").await;
    assert!(again.code == 0 && again.out.starts_with("orders is submitted again"), "{again:?}");
    assert!(again.err.contains("the model is refreshed twice"), "{again:?}");
    let done = world.until_state("orders", RunState::Succeeded).await;
    assert!(!ids.contains(run(&done).operation_id.as_ref().unwrap()));
    assert_eq!((world.operations().await.len(), world.posts().await), (3, 2));
}

#[tokio::test]
async fn resubmit_reports_run_that_waits_for_resume() {
    let (world, _operator, _) = unresolved("plugin-resubmit-suspended").await;
    let plugin = Plugin::new(&world, Role::Edit).await;
    let edited = world.edit("orders", &json!({"spec": {"suspend": true}})).await;
    let generation = edited.metadata.generation.unwrap();
    world.until("orders", "the observed change", |object| status(object).observed_generation == generation).await;
    let waits = plugin.run("resubmit orders --yes").await;
    let resume = format!("it will be submitted again after `kubectl tabular resume orders -n {} --kubeconfig ", world.namespace);
    assert!(waits.code == 0 && waits.out.starts_with("run 1 of orders waits because the resource is suspended"), "{waits:?}");
    assert!(waits.out.contains(&resume), "{waits:?}");
    world.until_reason("orders", "Ready", "Suspended").await;
    assert_eq!(world.posts().await, 1, "nothing is submitted");
    plugin.succeed("resume orders").await;
    world.until_run("orders", 1, RunState::Succeeded).await;
    assert_eq!(world.posts().await, 2);
}

#[tokio::test]
async fn resubmit_reports_run_that_is_cancelled() {
    let (world, _operator, _) = unresolved("plugin-resubmit-cancelled").await;
    let plugin = Plugin::new(&world, Role::Edit).await;
    plugin.succeed("cancel orders").await;
    world.until("orders", "the pending cancellation", |object| run(object).cancel_cause.is_some()).await;
    let cancelled = plugin.run("resubmit orders --yes -o json").await;
    assert_eq!(cancelled.code, 3, "{cancelled:?}");
    for part in [
        "submit nothing, because its cancellation is requested",
        "run 1 of orders was cancelled and is not submitted again: CancelledOnRequest: ",
    ] {
        assert!(cancelled.err.contains(part), "{part}: {cancelled:?}");
    }
    let report: Value = serde_json::from_str(&cancelled.out).unwrap();
    let request = &report["requests"][0];
    assert_eq!(
        (&request["result"], &request["state"], &request["exitCode"]),
        (&json!("Ended"), &json!("Cancelled"), &json!(3)),
        "{report}"
    );
    world.until_run("orders", 1, RunState::Cancelled).await;
    assert_eq!(world.posts().await, 1, "nothing is submitted again");
}

#[tokio::test]
async fn decision_on_changed_resource_writes_nothing() {
    let (world, _operator, [ours, _]) = unresolved("plugin-conflict").await;
    let plugin = Plugin::new(&world, Role::Edit).await;
    let line = format!("adopt orders {ours}");
    let refused = plugin
        .in_terminal(&line, "[y/N]", async || {
            // While the user reads the question.
            world.annotate("orders", "example.com/note", Some("changed")).await;
            "y".to_owned()
        })
        .await;
    assert!(refused.code == 5 && refused.out.contains("orders changed meanwhile, so nothing was written"), "{refused:?}");
    // The line in the audit log may follow the response.
    let written = eventually("the write", async || Some(writes(&plugin, &world)).filter(|writes| !writes.is_empty())).await;
    assert_eq!(written, ["patch modelrefreshes orders -> 409"]);
    let held = world.until_reason("orders", "Stalled", "SubmissionUnknown").await;
    assert!(!held.annotations().contains_key(ADOPT), "{:?}", held.annotations());
    let adopted = plugin.run(&format!("{line} --yes")).await;
    assert_eq!(adopted.code, 0, "{adopted:?}");
}

#[tokio::test]
async fn lost_response_to_decision_is_recovered() {
    let (world, _operator, [ours, _]) = unresolved("plugin-decision-lost").await;
    let proxy = ApiProxy::start(&world.environment.endpoint());
    let plugin = Plugin::through(&world, &proxy).await;
    let fault = proxy.inject(0, Action::Drop(When::Before), |request| request.verb == "patch");
    let unknown = plugin.run("resubmit orders --yes").await;
    assert_eq!((unknown.code, unknown.out.as_str(), fault.hits()), (1, "", 1), "{unknown:?}");
    let sentence = "it is unknown whether the decision was recorded: check with `kubectl tabular why orders -n ";
    assert!(unknown.err.contains(sentence), "{unknown:?}");
    let fault = proxy.inject(0, Action::Drop(When::After), |request| request.verb == "patch");
    let adopted = plugin.run(&format!("adopt orders {ours} --yes")).await;
    assert_eq!((adopted.code, fault.hits()), (0, 1), "{adopted:?}");
    assert!(adopted.out.starts_with(&format!("orders tracks operation {ours}")), "{adopted:?}");
    world.until_state("orders", RunState::Succeeded).await;
    assert_eq!(world.posts().await, 1);
}

#[tokio::test]
async fn release_deletes_resource_of_running_operation() {
    // The service accepts the cancel request, but does not end the operation.
    let model = json!({"notStartedMillis": 0, "durationMillis": 3_600_000, "cancelMillis": 3_600_000});
    let (world, _operator) = World::running("plugin-release", TestSetup::with_model(model)).await;
    world.apply("orders", &json!({})).await;
    let running = world.until_state("orders", RunState::Running).await;
    let id = run(&running).operation_id.clone().unwrap();
    let plugin = Plugin::new(&world, Role::Edit).await;
    let early = plugin.run("release orders --yes").await;
    assert!(early.code == 5 && early.err.contains("orders is not being deleted"), "{early:?}");
    world.delete("orders").await;
    world.until_state("orders", RunState::Cancelling).await;
    let why = plugin.succeed("why orders").await;
    assert!(why.starts_with("orders is being deleted") && why.contains("kubectl tabular release orders --namespace "), "{why}");

    let asked = plugin.run("release orders").await;
    assert!(asked.code == 2 && asked.err.contains(&format!("Operation {id} may continue at the service")), "{asked:?}");
    let mistyped = plugin.in_terminal("release orders", "to release it:", async || "y".to_owned()).await;
    assert!(mistyped.code == 5 && mistyped.out.contains("nothing was changed on orders"), "{mistyped:?}");
    assert_eq!(writes(&plugin, &world), Vec::<String>::new());
    let released = plugin.in_terminal("release orders", "to release it:", async || "orders".to_owned()).await;
    assert!(released.code == 0 && released.out.contains("released orders, which is deleted"), "{released:?}");
    world.until_gone("orders").await;
    assert!(!world.operations().await[0].ended(), "the operation continues");
    eventually("the event", async || world.events("orders").await.iter().any(|event| event.starts_with("Released: ")).then_some(())).await;
}

#[tokio::test]
async fn unaccepted_decision_is_no_success() {
    let (world, mut operator, [ours, _]) = unresolved("plugin-refused").await;
    let plugin = Plugin::new(&world, Role::Edit).await;
    let gone = json!({"status": 404, "body": {"code": "NotFound", "message": "no such refresh"}});
    world.patch_model(&json!({"details": {ours.as_str(): gone}})).await;
    let refused = plugin.run(&format!("adopt orders {ours} --yes")).await;
    assert_eq!((refused.code, refused.out.as_str()), (3, ""), "{refused:?}");
    assert!(
        refused.err.contains("the operator did not accept the decision on orders: it is Submitting (SubmissionUnknown)"),
        "{refused:?}"
    );
    assert!(refused.err.contains("the service does not show the operation"), "the reason of the event: {refused:?}");

    operator.terminate().await;
    let pending = plugin.run(&format!("adopt orders {ours} --yes")).await;
    assert!(pending.code == 4 && pending.err.contains("the operator has not handled it yet"), "{pending:?}");
    let repeated = plugin.run("resubmit orders --yes").await;
    assert!(repeated.code == 5 && repeated.err.contains("already has the annotation tabular-operator.dev/adopt"), "{repeated:?}");
    assert_eq!(world.posts().await, 1);
}
