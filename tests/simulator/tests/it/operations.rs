//! The control API: other clients' operations, interventions, the ledger, and its own refusals.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{CLIENT, DATABASE, SERVER, Scene};

#[tokio::test]
async fn refresh_of_other_client_blocks_submission() {
    let scene = Scene::new(json!({})).await;
    let start =
        json!({"server": SERVER, "database": DATABASE, "type": "calculate", "objects": [{"table": "DimDate"}], "durationMillis": 600_000});
    let id = scene.control(Method::POST, "/operations", start.clone()).await["operationId"].as_str().unwrap().to_owned();
    assert_eq!(scene.submit(json!({})).await.status(), 409);
    assert_eq!(scene.try_control(Method::POST, "/operations", start).await.0, 409);
    let (_, seen) = scene.get(&format!("/refreshes/{id}")).await;
    assert_eq!((&seen["type"], &seen["objects"][0]["table"]), (&json!("calculate"), &json!("DimDate")));
    let messages = json!([{"message": "over", "type": "Error"}]);
    scene.control(Method::POST, &format!("/operations/{id}/end"), json!({"outcome": "failed", "messages": messages})).await;
    let (_, seen) = scene.get(&format!("/refreshes/{id}")).await;
    assert_eq!((&seen["status"], &seen["messages"]), (&json!("failed"), &messages));
    scene.start().await;
    let truth = scene.operations().await;
    assert_eq!((&truth[0]["client"], &truth[1]["client"]), (&json!("control"), &json!(format!("application {CLIENT}"))));
    assert!(truth[0]["submittedSequence"].as_u64() < truth[1]["submittedSequence"].as_u64());
    assert_eq!((&truth[0]["status"], &truth[1]["status"]), (&json!("failed"), &json!("inProgress")));
}

#[tokio::test]
async fn vanished_operation_is_hidden() {
    let scene = Scene::new(json!({})).await;
    let id = scene.start().await;
    scene.control(Method::POST, &format!("/operations/{id}/vanish"), Value::Null).await;
    assert_eq!(scene.get(&format!("/refreshes/{id}")).await.0, 404);
    assert_eq!(scene.get("/refreshes").await.1, json!([]));
    assert_eq!(scene.submit(json!({})).await.status(), 409, "the operation still runs");
    scene.control(Method::POST, &format!("/operations/{id}/vanish"), json!({"ended": true})).await;
    scene.start().await;
    assert_eq!((scene.operations().await.len(), &scene.operations().await[0]["vanished"]), (2, &json!(true)));
}

#[tokio::test]
async fn outcomes_apply_in_sequence() {
    let scene = Scene::new(json!({"durationMillis": 0, "outcomes": ["failed", "cancelled", {"status": "timedOut", "messages": []}]})).await;
    let mut ends = Vec::new();
    for _ in 0..4 {
        let id = scene.start().await;
        ends.push(scene.get(&format!("/refreshes/{id}")).await.1["status"].clone());
    }
    assert_eq!(ends, ["failed", "cancelled", "timedOut", "succeeded"]);
}

#[tokio::test]
async fn ledger_records_requests() {
    let scene = Scene::new(json!({})).await;
    let before = scene.last_row().await["sequence"].as_u64().unwrap();
    let request = scene.call(Method::POST, "/refreshes").header("user-agent", "probe/1").header("x-ms-client-request-id", "abc");
    request.json(&json!({"type": "full"})).send().await.unwrap();
    scene.get("/refreshes").await;
    let rows = scene.inspect(&format!("/ledger?after={before}&server={SERVER}&database={DATABASE}")).await;
    assert_eq!(rows.as_array().unwrap().len(), 2);
    let row = &rows[0];
    for (field, value) in [
        ("host", json!("westus.asazure.windows.net")),
        ("method", json!("POST")),
        ("path", json!("/servers/myserver/models/AdventureWorks/refreshes")),
        ("route", json!("refreshes")),
        ("clientId", json!(CLIENT)),
        ("tokenAudience", json!("https://*.asazure.windows.net")),
        ("contentType", json!("application/json")),
        ("userAgent", json!("probe/1")),
        ("clientRequestId", json!("abc")),
        ("status", json!(202)),
        ("handled", json!(true)),
        ("faultId", Value::Null),
        ("operationId", scene.operations().await[0]["operationId"].clone()),
        ("requestBody", json!(r#"{"type":"full"}"#)),
    ] {
        assert_eq!(row[field], value, "{field}");
    }
    let counts = scene.inspect(&format!("/ledger/counts?server={SERVER}")).await;
    assert_eq!(counts, json!([{"method": "GET", "route": "refreshes", "count": 1}, {"method": "POST", "route": "refreshes", "count": 1}]));
    scene.control(Method::DELETE, "/ledger", Value::Null).await;
    assert_eq!(scene.inspect("/ledger").await, json!([]));
    let stats = scene.inspect("/stats").await;
    assert!(stats["openConnections"].as_u64().unwrap() >= 1 && stats["requests"].as_u64().unwrap() >= 3, "{stats}");
}

#[tokio::test]
async fn invalid_control_request_is_refused_with_reason() {
    let scene = Scene::new(json!({})).await;
    let model = json!({"server": SERVER, "database": DATABASE});
    let with = |field: &str, value: Value| {
        let mut model = model.clone();
        model[field] = value;
        model
    };
    for (method, path, body, status, word) in [
        (Method::PUT, "/models", with("durationMilis", json!(1)), 400, "durationMilis"),
        (Method::PUT, "/models", with("server", json!("myserver")), 400, "asazure://"),
        (Method::PUT, "/models", with("outcome", json!("exploded")), 400, "outcome"),
        (Method::PUT, "/models", with("deleteStatus", json!(12)), 400, "12"),
        (Method::PUT, "/models", json!({"groupId": CLIENT}), 400, "datasetId"),
        (Method::PUT, "/models", with("groupId", json!(CLIENT)), 400, "datasetId"),
        (Method::PUT, "/models", json!({"groupId": CLIENT, "datasetId": CLIENT, "apiHost": "api.example"}), 400, "api.example"),
        (Method::PUT, "/models", json!({"groupId": "Sales", "datasetId": CLIENT}), 400, "UUID"),
        (Method::PUT, "/models", with("powerBI", json!({"whenBusy": "wait"})), 400, "wait"),
        (Method::PUT, "/models", with("sync", json!({"noReplicaStatus": 1})), 400, "1 is not an HTTP status"),
        (Method::PATCH, "/models", json!({"durationMillis": 1}), 400, "groupId"),
        (Method::PATCH, "/models", json!({"groupId": CLIENT, "datasetId": CLIENT}), 404, CLIENT),
        (Method::POST, "/operations", with("kind", json!("copy")), 400, "copy"),
        (Method::POST, "/operations", with("outcome", json!("exploded")), 400, "outcome"),
        (Method::GET, "/operations?kind=copy", Value::Null, 400, "copy"),
        (Method::PATCH, "/models", with("database", json!("Other")), 404, "Other"),
        (Method::PATCH, "/models", with("listOrder", json!("random")), 400, "random"),
        (Method::POST, "/operations", with("type", json!("add")), 400, "add"),
        (Method::POST, "/faults", json!({"action": {"explode": {}}}), 400, "explode"),
        (Method::POST, "/operations/00000000-0000-4000-8000-000000000000/end", json!({"outcome": "failed"}), 404, "operation"),
        (Method::POST, "/faults/99/release", Value::Null, 404, "99"),
        (Method::GET, "/ledger?since=1", Value::Null, 400, "since"),
        (Method::GET, "/nothing", Value::Null, 404, "route"),
        (Method::PUT, "/applications", json!({"tenantId": "", "clientId": ""}), 400, "tenantId"),
    ] {
        let (seen, answer) = scene.try_control(method.clone(), path, body).await;
        let sentence = answer["error"].as_str().unwrap();
        assert!(seen == status && sentence.contains(word), "{method} {path}: {seen} {sentence}");
    }
    assert_eq!(scene.inspect("/healthz").await["status"], "ok");
    assert_eq!(scene.inspect("/models").await.as_array().unwrap().len(), 1);
}
