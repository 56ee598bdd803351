//! User decisions about an unresolved submission, and outdated decisions.

use e2e::world::run;
use e2e::{AnyObject, Operator, TestSetup, World, eventually};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use tabular_operator::api::{ADOPT, RESUBMIT, RunState};

use super::{event, kubectl, outcomes, settled};

/// A resource with these annotations, whose submission is indistinguishable from another client's operation. Also returns its operation's
/// id.
async fn unresolved(name: &str, annotations: Value) -> (World, Operator, Value, String) {
    let setup = TestSetup::with_model(json!({"notStartedMillis": 0, "durationMillis": 200}));
    let (world, operator) = World::running(name, setup).await;
    // The operator cannot list the operations until both exist.
    let no_list = world.fault("GET", "refreshes", &json!({"times": 0, "action": {"status": {"code": 503}}})).await;
    let lost = world.fault("POST", "refreshes", &json!({"action": {"hang": {"after": true}}})).await;
    let mut manifest = world.manifest("orders", &json!({}));
    manifest["metadata"]["annotations"] = annotations;
    kubectl(&world, &["apply", "--server-side", "-f", "-"], &manifest).await;
    lost.has_hit(1).await;
    let ours = eventually("the end of the first", async || {
        world.operations().await.first().filter(|operation| operation.ended()).map(|operation| operation.operation_id.clone())
    })
    .await;
    world.start_for_other_client(&json!({"type": "full"})).await;
    no_list.remove().await;
    world.until_reason("orders", "Stalled", "SubmissionUnknown").await;
    (world, operator, manifest, ours)
}

/// The words of the command that the message contains for an annotation.
fn command(object: &AnyObject, annotation: &str) -> Vec<String> {
    let message = &run(object).message;
    let printed = message.split('`').skip(1).step_by(2).find(|command| command.contains(annotation));
    let printed = printed.unwrap_or_else(|| panic!("no command for {annotation}: {message}"));
    let mut words = printed.split_whitespace().map(str::to_owned);
    assert_eq!(words.next().as_deref(), Some("kubectl"), "{message}");
    words.collect()
}

/// Runs the printed command.
async fn execute(world: &World, words: &[String]) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = world.environment.control_plane.kubectl_with(&words, "").await;
    assert!(output.status.success(), "kubectl {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

async fn without(world: &World, annotation: &str) -> AnyObject {
    world.until("orders", "the annotation to be removed", |object| !object.annotations().contains_key(annotation)).await
}

#[tokio::test]
async fn printed_command_resubmits_once_and_never_again() {
    let (world, _operator, _, _) = unresolved("printed", Value::Null).await;
    let decision = command(&world.until_reason("orders", "Stalled", "SubmissionUnknown").await, RESUBMIT);
    execute(&world, &decision).await;
    settled(&world).await;
    without(&world, RESUBMIT).await;
    assert_eq!((world.posts().await, outcomes(&world).await.len()), (2, 3));
    // From the shell history, days later.
    execute(&world, &decision).await;
    without(&world, RESUBMIT).await;
    let done = settled(&world).await;
    assert_eq!((run(&done).number, world.posts().await), (1, 2));
}

#[tokio::test]
async fn decisions_in_manifest_are_ignored() {
    let stray = "0e0e0e0e-7893-4afa-a4b3-3fb87222fdac";
    let (world, _operator, manifest, ours) = unresolved("left-over", json!({RESUBMIT: "true", ADOPT: stray})).await;
    for round in 0..2 {
        without(&world, RESUBMIT).await;
        let held = without(&world, ADOPT).await;
        assert_eq!((run(&held).state, world.posts().await), (RunState::Submitting, 1), "round {round}");
        // The deployment tool restores them from Git.
        kubectl(&world, &["apply", "--server-side", "--force-conflicts", "-f", "-"], &manifest).await;
    }
    event(&world, "orders", "DecisionIgnored", &[RESUBMIT]).await;
    event(&world, "orders", "DecisionIgnored", &[ADOPT]).await;
    let mut decision = command(&world.until_reason("orders", "Stalled", "SubmissionUnknown").await, ADOPT);
    let last = decision.last_mut().unwrap();
    *last = last.replace("OPERATION_ID", &ours);
    execute(&world, &decision).await;
    let done = settled(&world).await;
    assert_eq!((run(&done).operation_id.as_ref(), world.posts().await), (Some(&ours), 1));
}
