//! Credentials that are removed from the spec during a run.

use e2e::world::{run, status};
use e2e::{AnyObject, TestSetup, eventually};
use serde_json::{Value, json};
use tabular_operator::api::RunState;

use super::{end_first, in_mid_run, kubectl, outcomes};

#[tokio::test]
async fn run_without_spec_credentials_completes() {
    let (world, _operator) = in_mid_run("no-credentials", &json!({}), TestSetup::default()).await;
    kubectl(&world, &["patch", "mref/orders", "--type=merge", "--patch", r#"{"spec": {"credentials": null}}"#], &Value::Null).await;
    let seen = |object: &AnyObject| Some(status(object).observed_generation) == object.metadata.generation;
    world.until("orders", "the observation of the change", seen).await;
    let id = world.operations().await[0].operation_id.clone();
    let polls = async || world.ledger().await.iter().filter(|row| row.path.ends_with(&id) && row.status == Some(200)).count();
    let before = polls().await;
    eventually("a poll by the last known identity", async || (polls().await > before).then_some(())).await;
    end_first(&world).await;
    let done = world.until_state("orders", RunState::Succeeded).await;
    assert_eq!((run(&done).operation_id.as_ref(), world.posts().await), (Some(&id), 1));
}

#[tokio::test]
async fn run_without_spec_credentials_is_cancelled_on_deletion() {
    let (world, _operator) = in_mid_run("no-credentials-gone", &json!({}), TestSetup::default()).await;
    kubectl(&world, &["patch", "mref/orders", "--type=merge", "--patch", r#"{"spec": {"credentials": null}}"#], &Value::Null).await;
    kubectl(&world, &["delete", "mref/orders", "--timeout=40s"], &Value::Null).await;
    assert_eq!((world.posts().await, outcomes(&world).await), (1, vec!["cancelled".to_owned()]));
}
