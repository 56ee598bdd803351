//! Errors that only the operator can detect: it reports them, makes few calls meanwhile, and recovers automatically.

use std::time::Duration;

use e2e::world::{SECRET, condition};
use e2e::{TestSetup, World};
use kube::api::DeleteParams;
use serde_json::json;
use tabular_operator::api::{ConditionStatus, ConditionType, RunState};

/// A corrected Secret is noticed within seconds, and not only by the check every minute; this leaves time for a busy machine.
const SOON: Duration = Duration::from_secs(45);
/// Errors at the service are rechecked every minute.
const SLOWLY: Duration = Duration::from_secs(100);

async fn until_stalled(world: &World, reason: &str) {
    let stalled = world.until_reason("orders", "Stalled", reason).await;
    assert_eq!(condition(&stalled, ConditionType::Ready), Some(ConditionStatus::False));
}

/// The requests of this world's application to Entra ID and the service.
async fn calls(world: &World) -> usize {
    let all = world.azure.ledger_after(0).await;
    all.iter().filter(|row| row.client_id.as_ref() == Some(&world.client_id)).count()
}

#[tokio::test]
async fn missing_secret_stalls_until_created() {
    let (world, _operator) = World::running("no-secret", TestSetup::default()).await;
    world.secrets().delete(SECRET, &DeleteParams::default()).await.unwrap();
    world.apply("orders", &json!({})).await;
    until_stalled(&world, "SecretNotFound").await;
    assert_eq!(calls(&world).await, 0);
    world.put_secret("right").await;
    world.until_state_within(SOON, "orders", RunState::Succeeded).await;
    assert_eq!(world.operations().await.len(), 1);
    world.assert_kstatus();
}

#[tokio::test]
async fn missing_or_empty_secret_is_awaited_for_a_minute() {
    let setup = TestSetup::with_flags(&["--reference-grace=60s"]);
    let (world, mut operator) = World::running("later-secret", setup).await;
    world.secrets().delete(SECRET, &DeleteParams::default()).await.unwrap();
    world.apply("orders", &json!({})).await;
    let awaited = world.until_reason("orders", "Reconciling", "SecretNotFound").await;
    assert_eq!(condition(&awaited, ConditionType::Ready), Some(ConditionStatus::False));
    let since = e2e::world::status(&awaited).missing_since_time;
    // Neither a restart nor an empty Secret restarts the wait.
    operator.kill();
    operator.restart();
    world.put_secret_keys(json!({})).await;
    let says_empty = |object: &e2e::AnyObject| {
        object.status.as_ref().is_some_and(|status| status.conditions.iter().any(|condition| condition.message.contains("no keys yet")))
    };
    let empty = world.until("orders", "the message about the empty Secret", says_empty).await;
    assert_eq!((condition(&empty, ConditionType::Stalled), e2e::world::status(&empty).missing_since_time), (None, since));
    world.put_secret("right").await;
    let done = world.until_state_within(SOON, "orders", RunState::Succeeded).await;
    assert_eq!(e2e::world::status(&done).missing_since_time, None);
    assert_eq!(world.operations().await.len(), 1);
    world.assert_kstatus();
}

#[tokio::test]
async fn secret_without_key_stalls_until_added() {
    let (world, _operator) = World::running("no-key", TestSetup::default()).await;
    world.put_secret_keys(json!({"tenantId": e2e::world::TENANT, "clientId": world.client_id})).await;
    world.apply("orders", &json!({})).await;
    let stalled = world.until_reason("orders", "Stalled", "SecretInvalid").await;
    let message = &e2e::world::status(&stalled).conditions.iter().find(|condition| condition.reason == "SecretInvalid").unwrap().message;
    assert!(message.contains("clientSecret"), "{message}");
    assert_eq!(calls(&world).await, 0);
    world.put_secret("right").await;
    world.until_state_within(SOON, "orders", RunState::Succeeded).await;
    world.assert_kstatus();
}

#[tokio::test]
async fn wrong_secret_stalls_until_corrected_and_stays_hidden() {
    let (world, operator) = World::running("wrong-secret", TestSetup::default()).await;
    world.put_secret("s3cr3t-that-is-wrong").await;
    world.apply("orders", &json!({})).await;
    until_stalled(&world, "CredentialsRefused").await;
    // Rechecked after five seconds, without another attempt for the same credentials.
    tokio::time::sleep(Duration::from_secs(11)).await;
    let tried = calls(&world).await;
    assert!(tried <= 2, "{tried} calls with refused credentials");
    world.put_secret("right").await;
    world.until_state_within(SOON, "orders", RunState::Succeeded).await;
    let versions: Vec<String> = world.recorder.all().iter().map(|version| serde_json::to_string(&version.object).unwrap()).collect();
    let shown = format!("{}{}{}", versions.join(""), world.events("orders").await.join(""), operator.log());
    assert!(!shown.contains("s3cr3t") && !shown.contains("eyJ"), "the output contains a secret or a token");
    world.assert_kstatus();
}

#[tokio::test]
async fn identity_without_access_stalls_until_granted() {
    let (world, _operator) = World::running("no-access", TestSetup::default()).await;
    world.patch_model(&json!({"administrators": []})).await;
    world.apply("orders", &json!({})).await;
    until_stalled(&world, "AccessDenied").await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    let tried = calls(&world).await;
    assert!(tried <= 5, "{tried} calls without access");
    let granted = json!([{"tenantId": e2e::world::TENANT, "clientId": world.client_id}]);
    world.patch_model(&json!({"administrators": granted})).await;
    world.until_state_within(SLOWLY, "orders", RunState::Succeeded).await;
    assert_eq!(world.operations().await.len(), 1);
    world.assert_kstatus();
}

#[tokio::test]
async fn paused_server_stalls_until_resumed() {
    let (world, _operator) = World::running("paused", TestSetup::default()).await;
    world.patch_model(&json!({"paused": true})).await;
    world.apply("orders", &json!({})).await;
    until_stalled(&world, "ServerPaused").await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let tried = calls(&world).await;
    assert!(tried <= 4, "{tried} calls to a paused server");
    world.patch_model(&json!({"paused": false})).await;
    world.until_state_within(SLOWLY, "orders", RunState::Succeeded).await;
    assert_eq!(world.operations().await.len(), 1);
    world.assert_kstatus();
}

#[tokio::test]
async fn unknown_model_or_server_stalls() {
    let (world, _operator) = World::running("unknown", TestSetup::default()).await;
    world.apply("model", &json!({"model": {"analysisServices": {"database": "Nowhere"}}})).await;
    let server = format!("{}x", world.server);
    world.apply("server", &json!({"model": {"analysisServices": {"server": server}}})).await;
    world.until_reason("model", "Stalled", "ModelNotFound").await;
    // The service's responses do not distinguish the two.
    let stalled = |object: &e2e::AnyObject| {
        let conditions = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        conditions
            .iter()
            .any(|found| found.r#type == ConditionType::Stalled && matches!(found.reason.as_str(), "ModelNotFound" | "AccessDenied"))
    };
    world.until("server", "Stalled", stalled).await;
    // A change of the spec starts a new run immediately.
    world.apply("model", &json!({})).await;
    world.until_state("model", RunState::Succeeded).await;
    world.assert_kstatus();
}

#[tokio::test]
async fn server_of_another_cloud_costs_no_call() {
    let (world, _operator) = World::running("other-cloud", TestSetup::default()).await;
    let elsewhere = "asazure://usgovvirginia.asazure.usgovcloudapi.net/sales";
    world.apply("orders", &json!({"model": {"analysisServices": {"server": elsewhere}}})).await;
    until_stalled(&world, "ServerNotInCloud").await;
    assert_eq!(calls(&world).await, 0);
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Succeeded).await;
    world.assert_kstatus();
}

#[tokio::test]
async fn duplicate_object_beyond_admission_limit_stalls() {
    let (world, _operator) = World::running("twice", TestSetup::default()).await;
    let mut objects: Vec<_> = (0..300).map(|number| json!({"table": "DimDate", "partition": format!("p{number}")})).collect();
    objects.push(objects[7].clone());
    world.apply("orders", &json!({"refresh": {"objects": objects}})).await;
    let stalled = world.until_reason("orders", "Stalled", "InvalidSpec").await;
    let shown = &e2e::world::status(&stalled).conditions[0].message;
    assert!(shown.contains("p7"), "{shown}");
    assert_eq!(calls(&world).await, 0);
    world.apply("orders", &json!({"refresh": {"objects": [{"table": "DimDate"}]}})).await;
    world.until_state("orders", RunState::Succeeded).await;
    world.assert_kstatus();
}
