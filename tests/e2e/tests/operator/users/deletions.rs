//! Deletions that are blocked.

use e2e::world::{condition, status};
use e2e::{AnyObject, TestSetup};
use serde_json::{Value, json};
use tabular_operator::api::{ConditionStatus, ConditionType, RELEASE};

use super::{event, in_mid_run, kubectl};

#[tokio::test]
async fn blocked_deletion_reports_cause_and_command() {
    let (world, _operator) = in_mid_run("blocked", &json!({}), TestSetup::default()).await;
    let id = world.operations().await[0].operation_id.clone();
    // The service accepts the cancel request, but does not end the operation.
    world.patch_model(&json!({"cancelMillis": 3_600_000})).await;
    kubectl(&world, &["delete", "mref/orders", "--wait=false"], &Value::Null).await;
    let is_reported = |object: &AnyObject| {
        let conditions = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition.r#type == ConditionType::Ready);
        ready.is_some_and(|ready| ready.message.contains("delet") && ready.message.contains(RELEASE))
    };
    let blocked = world.until("orders", "a message on the deletion", is_reported).await;
    assert_ne!(condition(&blocked, ConditionType::Ready), Some(ConditionStatus::True));
    let message = &status(&blocked).conditions.iter().find(|found| found.r#type == ConditionType::Ready).unwrap().message;
    assert!(message.contains(&id), "the message must name the operation: {message}");
    let (_, printed) = message.rsplit_once("kubectl ").unwrap_or_else(|| panic!("no command: {message}"));
    let words: Vec<&str> = printed.trim_end_matches('`').split_whitespace().collect();
    let output = world.environment.control_plane.kubectl_with(&words, "").await;
    assert!(output.status.success(), "{printed}: {}", String::from_utf8_lossy(&output.stderr));
    world.until_gone("orders").await;
    event(&world, "orders", "Released", &[&id]).await;
}
