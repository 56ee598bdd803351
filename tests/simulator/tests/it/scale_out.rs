//! Query scale-out: versions, the sync of the replicas, and every status.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{CLIENT, DATASET, GROUP, PowerBi, until};

const STATUS: &str = "/queryScaleOut/syncStatus";

async fn status(power_bi: &PowerBi) -> Value {
    let (status, body) = power_bi.get(STATUS).await;
    assert_eq!(status, 200);
    body
}

async fn sync(power_bi: &PowerBi) -> (u16, Value) {
    let response = power_bi.call(Method::POST, "/queryScaleOut/sync").send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

fn version(status: &Value, name: &str) -> i64 {
    status[name].as_i64().unwrap()
}

/// Whether the replicas serve the latest commit.
fn in_sync(status: &Value) -> bool {
    version(status, "minActiveReadVersion") >= version(status, "commitVersion")
}

#[tokio::test]
async fn sync_copies_committed_refresh_to_replicas() {
    let power_bi = PowerBi::new(json!({"durationMillis": 0, "scaleOut": {"syncMillis": 600_000, "replicas": 2}})).await;
    let before = status(&power_bi).await;
    assert!(in_sync(&before) && before["scaleOutStatus"] == "Enabled", "{before}");
    assert!(version(&before, "commitVersion") > 130_000_000_000_000_000, "ticks since 1601");
    let replicas: Vec<_> = before["scaleOutReplicas"].as_array().unwrap().iter().map(|replica| &replica["replicaType"]).collect();
    assert_eq!(replicas, ["Primary", "ReadOnly", "ReadOnly"]);

    power_bi.start().await;
    let behind = status(&power_bi).await;
    assert!(!in_sync(&behind) && version(&behind, "commitVersion") > version(&before, "commitVersion"));
    assert_eq!(behind["scaleOutReplicas"][0]["replicaVersion"], behind["commitVersion"]);
    assert_eq!(behind["scaleOutReplicas"][1]["replicaVersion"], behind["minActiveReadVersion"]);

    let (code, begun) = sync(&power_bi).await;
    assert_eq!((code, &begun["triggerReason"], &begun["syncEndTime"]), (200, &json!("explicit"), &Value::Null));
    assert_eq!((&begun["targetSyncVersion"], in_sync(&begun)), (&behind["commitVersion"], false));
    assert_eq!(sync(&power_bi).await.1["syncStartTime"], begun["syncStartTime"], "returns the sync in progress");
    let actual = &power_bi.azure.inspect("/operations?kind=sync").await;
    assert_eq!((actual.as_array().unwrap().len(), &actual[0]["client"]), (1, &json!(format!("application {CLIENT}"))));
    let id = actual[0]["operationId"].as_str().unwrap();
    let row = power_bi.azure.last_row().await;
    assert_eq!((&row["route"], &row["method"], &row["operationId"]), (&json!("sync"), &json!("POST"), &json!(id)));
    power_bi.end(id, json!("completed")).await;
    let after = status(&power_bi).await;
    assert!(in_sync(&after) && after["syncEndTime"].is_string(), "{after}");
    assert_eq!(power_bi.azure.last_row().await["route"], "syncStatus");

    let failed = json!({"groupId": GROUP, "datasetId": DATASET, "outcome": "failed", "durationMillis": 0});
    power_bi.azure.control(Method::POST, "/operations", failed).await;
    assert_eq!(status(&power_bi).await["commitVersion"], after["commitVersion"], "a failed refresh commits nothing");
}

#[tokio::test]
async fn commit_during_sync_needs_another_sync() {
    let power_bi = PowerBi::new(json!({"durationMillis": 0, "scaleOut": {"syncMillis": 600_000}})).await;
    power_bi.start().await;
    let other = json!({"groupId": GROUP, "datasetId": DATASET, "kind": "sync"});
    let id = power_bi.azure.control(Method::POST, "/operations", other).await["operationId"].as_str().unwrap().to_owned();
    power_bi.start().await;
    power_bi.end(&id, json!("completed")).await;
    let seen = status(&power_bi).await;
    assert_eq!((in_sync(&seen), &seen["targetSyncVersion"]), (false, &seen["minActiveReadVersion"]));
    power_bi.patch(json!({"scaleOut": {"syncMillis": 0}})).await;
    assert!(in_sync(&sync(&power_bi).await.1));
}

#[tokio::test]
async fn commits_can_sync_automatically() {
    let power_bi = PowerBi::new(json!({"durationMillis": 0, "scaleOut": {"autoSync": true, "syncMillis": 30}})).await;
    power_bi.start().await;
    let seen =
        until("the sync", async || Some(status(&power_bi).await).filter(|seen| in_sync(seen) && seen["syncEndTime"].is_string())).await;
    assert_eq!(seen["triggerReason"], "automatic");
    assert_eq!(power_bi.azure.inspect("/operations?kind=sync").await, json!([]));
    let (_, dataset) = power_bi.get("").await;
    assert_eq!(dataset["queryScaleOutSettings"], json!({"autoSyncReadOnlyReplicas": true, "maxReadOnlyReplicas": 1}));
}

#[tokio::test]
async fn sync_can_be_stuck_and_status_can_lag() {
    let power_bi = PowerBi::new(json!({"durationMillis": 0, "scaleOut": {"syncMillis": 0, "statusLagMillis": 600_000}})).await;
    let before = status(&power_bi).await;
    power_bi.start().await;
    assert_eq!(sync(&power_bi).await.1["commitVersion"], before["commitVersion"]);
    power_bi.patch(json!({"scaleOut": {"statusLagMillis": 0, "stuck": true}})).await;
    assert!(in_sync(&status(&power_bi).await));
    power_bi.start().await;
    sync(&power_bi).await;
    let seen = status(&power_bi).await;
    assert_eq!((in_sync(&seen), &seen["syncEndTime"]), (false, &Value::Null));
}

#[tokio::test]
async fn every_other_status_is_returned() {
    let power_bi = PowerBi::new(json!({"durationMillis": 0})).await;
    for word in ["TenantSettingDisabled", "StorageModeNotSupported", "ReadOnlyReplicasDisabled", "Unavailable", "Novelty"] {
        power_bi.patch(json!({"scaleOut": {"status": word}})).await;
        assert_eq!(status(&power_bi).await, json!({"scaleOutStatus": word}));
        assert_eq!(sync(&power_bi).await, (200, json!({"scaleOutStatus": word})));
    }
    power_bi.patch(json!({"scaleOut": {"disabledPostStatus": 400}})).await;
    let (code, body) = sync(&power_bi).await;
    assert_eq!((code, &body["error"]["code"]), (400, &json!("Novelty")));
    power_bi.patch(json!({"scaleOut": {"status": "", "untilLoaded": true, "disabledPostStatus": null}})).await;
    assert_eq!((status(&power_bi).await, sync(&power_bi).await), (Value::Null, (200, Value::Null)));
    assert_eq!(power_bi.azure.inspect("/operations?kind=sync").await, json!([]));
    power_bi.start().await;
    assert_eq!(status(&power_bi).await["scaleOutStatus"], "Enabled", "a refresh loaded the model");
}
