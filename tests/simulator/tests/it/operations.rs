//! The control API: other clients' operations, interventions, the ledger, and its own refusals.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{CLIENT, DATABASE, LocalAzure, SERVER};

#[tokio::test]
async fn refresh_of_other_client_blocks_submission() {
    let azure = LocalAzure::new(json!({})).await;
    let start =
        json!({"server": SERVER, "database": DATABASE, "type": "calculate", "objects": [{"table": "DimDate"}], "durationMillis": 600_000});
    let id = azure.control(Method::POST, "/operations", start.clone()).await["operationId"].as_str().unwrap().to_owned();
    assert_eq!(azure.submit(json!({})).await.status(), 409);
    assert_eq!(azure.try_control(Method::POST, "/operations", start).await.0, 409);
    let (_, seen) = azure.get(&format!("/refreshes/{id}")).await;
    assert_eq!((&seen["type"], &seen["objects"][0]["table"]), (&json!("calculate"), &json!("DimDate")));
    let messages = json!([{"message": "over", "type": "Error"}]);
    azure.control(Method::POST, &format!("/operations/{id}/end"), json!({"outcome": "failed", "messages": messages})).await;
    let (_, seen) = azure.get(&format!("/refreshes/{id}")).await;
    assert_eq!((&seen["status"], &seen["messages"]), (&json!("failed"), &messages));
    azure.start().await;
    let actual = azure.operations().await;
    assert_eq!((&actual[0]["client"], &actual[1]["client"]), (&json!("control"), &json!(format!("application {CLIENT}"))));
    assert!(actual[0]["submittedSequence"].as_u64() < actual[1]["submittedSequence"].as_u64());
    assert_eq!((&actual[0]["status"], &actual[1]["status"]), (&json!("failed"), &json!("inProgress")));
}

#[tokio::test]
async fn vanished_operation_is_hidden() {
    let azure = LocalAzure::new(json!({})).await;
    let id = azure.start().await;
    azure.control(Method::POST, &format!("/operations/{id}/vanish"), Value::Null).await;
    assert_eq!(azure.get(&format!("/refreshes/{id}")).await.0, 404);
    assert_eq!(azure.get("/refreshes").await.1, json!([]));
    assert_eq!(azure.submit(json!({})).await.status(), 409, "the operation still runs");
    azure.control(Method::POST, &format!("/operations/{id}/vanish"), json!({"ended": true})).await;
    azure.start().await;
    assert_eq!((azure.operations().await.len(), &azure.operations().await[0]["vanished"]), (2, &json!(true)));
}

#[tokio::test]
async fn outcomes_apply_in_sequence() {
    let azure =
        LocalAzure::new(json!({"durationMillis": 0, "outcomes": ["failed", "cancelled", {"status": "timedOut", "messages": []}]})).await;
    let mut ends = Vec::new();
    for _ in 0..4 {
        let id = azure.start().await;
        ends.push(azure.get(&format!("/refreshes/{id}")).await.1["status"].clone());
    }
    assert_eq!(ends, ["failed", "cancelled", "timedOut", "succeeded"]);
}

#[tokio::test]
async fn ledger_records_requests() {
    let azure = LocalAzure::new(json!({})).await;
    let before = azure.last_row().await["sequence"].as_u64().unwrap();
    let request = azure.call(Method::POST, "/refreshes").header("user-agent", "probe/1").header("x-ms-client-request-id", "abc");
    request.json(&json!({"type": "full"})).send().await.unwrap();
    azure.get("/refreshes").await;
    let rows = azure.inspect(&format!("/ledger?after={before}&server={SERVER}&database={DATABASE}")).await;
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
        ("operationId", azure.operations().await[0]["operationId"].clone()),
        ("requestBody", json!(r#"{"type":"full"}"#)),
    ] {
        assert_eq!(row[field], value, "{field}");
    }
    let counts = azure.inspect(&format!("/ledger/counts?server={SERVER}")).await;
    assert_eq!(counts, json!([{"method": "GET", "route": "refreshes", "count": 1}, {"method": "POST", "route": "refreshes", "count": 1}]));
    azure.control(Method::DELETE, "/ledger", Value::Null).await;
    assert_eq!(azure.inspect("/ledger").await, json!([]));
    let stats = azure.inspect("/stats").await;
    assert!(stats["openConnections"].as_u64().unwrap() >= 1 && stats["requests"].as_u64().unwrap() >= 3, "{stats}");
}

#[tokio::test]
async fn invalid_control_request_is_refused_with_reason() {
    let azure = LocalAzure::new(json!({})).await;
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
        let (seen, response) = azure.try_control(method.clone(), path, body).await;
        let sentence = response["error"].as_str().unwrap();
        assert!(seen == status && sentence.contains(word), "{method} {path}: {seen} {sentence}");
    }
    assert_eq!(azure.inspect("/healthz").await["status"], "ok");
    assert_eq!(azure.inspect("/models").await.as_array().unwrap().len(), 1);
}
