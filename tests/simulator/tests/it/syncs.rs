//! The sync of Analysis Services: success, every format, and refusals.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{CLIENT, DATABASE, LocalAzure, SERVER, TENANT, until};

const MANAGEMENT: &str = "https://westus.asazure.windows.net/servers/myserver:rw/models/AdventureWorks";

async fn post(azure: &LocalAzure) -> Response {
    azure.http.post(format!("{MANAGEMENT}/sync")).bearer_auth(&azure.token).send().await.unwrap()
}

/// Starts a sync and returns its id and its first Location.
async fn begin(azure: &LocalAzure) -> (String, String) {
    let accepted = post(azure).await;
    assert_eq!(accepted.status(), 202);
    let location = header(&accepted, "location").unwrap();
    (accepted.json::<Value>().await.unwrap()["operationId"].as_str().unwrap().to_owned(), location)
}

async fn poll(azure: &LocalAzure, location: &str) -> (u16, Option<String>, Value) {
    let response = azure.http.get(location).bearer_auth(&azure.token).send().await.unwrap();
    (response.status().as_u16(), header(&response, "location"), response.json().await.unwrap_or_default())
}

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn sync_completes() {
    let azure = LocalAzure::new(json!({"sync": {"replicatingMillis": 200, "rehydratingMillis": 200, "finalizingMillis": 200}})).await;
    let accepted = post(&azure).await;
    assert_eq!((accepted.status().as_u16(), header(&accepted, "retry-after").as_deref()), (202, Some("1")));
    let id = header(&accepted, "x-ms-request-id").unwrap();
    let mut location = header(&accepted, "location").unwrap();
    assert!(location.starts_with(&format!("{MANAGEMENT}/sync?operationId={id}")), "{location}");
    let mut passed = Vec::new();
    let end = until("the end", async || {
        let (status, next, body) = poll(&azure, &location).await;
        assert_eq!(status, 200);
        if passed.last() != Some(&body["syncstate"]) {
            passed.push(body["syncstate"].clone());
        }
        let Some(next) = next else {
            return Some(body);
        };
        assert_ne!(next, location, "each response has a new one");
        location = next;
        None
    })
    .await;
    // A slow machine may miss some of them.
    let mut all = [0, 1, 4, 2].into_iter();
    assert!(passed.iter().all(|state| all.any(|next| *state == next)) && passed.len() > 1, "{passed:?}");
    assert_eq!((&end["operationId"], &end["database"], &end["details"]), (&json!(id), &json!(DATABASE), &Value::Null));
    for name in ["StartedAt", "UpdatedAt"] {
        let time = end[name].as_str().unwrap();
        assert!(!time.ends_with('Z') && time.len() <= "2017-12-09T02:44:20.743".len(), "{time}");
    }
    let actual = &azure.inspect("/operations?kind=sync").await[0];
    assert_eq!(
        (&actual["kind"], &actual["status"], &actual["client"]),
        (&json!("sync"), &json!("completed"), &json!(format!("application {CLIENT}")))
    );
    let row = azure.last_row().await;
    assert_eq!((&row["route"], &row["operationId"], &row["server"]), (&json!("sync"), &json!(id), &json!(SERVER)));
}

#[tokio::test]
async fn poll_responses_have_configurable_form() {
    let long = json!({"replicatingMillis": 600_000, "retryAfterSeconds": 0});
    let azure = LocalAzure::new(json!({"sync": long})).await;
    let (id, first) = begin(&azure).await;
    for (style, status) in [("ok", 200), ("accepted", 202), ("seeOther", 303)] {
        azure.patch(json!({"sync": {"pollStyle": style}})).await;
        let response = azure.http.get(&first).bearer_auth(&azure.token).send().await.unwrap();
        assert_eq!((response.status().as_u16(), header(&response, "retry-after")), (status, None), "{style}");
        assert_eq!(response.json::<Value>().await.is_ok(), style != "seeOther");
    }
    azure.patch(json!({"sync": {"pollStyle": "alternating", "locationStyle": "path", "locationsExpire": true}})).await;
    assert_eq!(poll(&azure, &first).await.0, 404, "older ones have expired");
    let (_, _, latest) = poll(&azure, &format!("{MANAGEMENT}/sync")).await;
    assert_eq!(latest["operationId"], json!(id));
    azure.control(Method::POST, &format!("/operations/{id}/end"), json!({"outcome": "failed"})).await;

    let (id, location) = begin(&azure).await;
    assert!(location.contains(&format!("/sync/{id}")), "{location}");
    let (status, next, _) = poll(&azure, &location).await;
    let next = next.unwrap();
    let (then, last, body) = poll(&azure, &next).await;
    assert_eq!((status, then, &body["syncstate"]), (303, 200, &json!(0)));
    assert_eq!(poll(&azure, &last.unwrap()).await.0, 303, "in turns");
}

#[tokio::test]
async fn states_are_numbers_strings_or_names() {
    let azure = LocalAzure::new(json!({"sync": {"replicatingMillis": 0, "rehydratingMillis": 600_000}})).await;
    let (id, location) = begin(&azure).await;
    for (style, state) in [("number", json!(1)), ("numericText", json!("1")), ("name", json!("Rehydrating"))] {
        azure.patch(json!({"sync": {"stateStyle": style}})).await;
        assert_eq!(poll(&azure, &location).await.2["syncstate"], state);
    }
    let outcome = json!({"state": "failed", "details": {"error": "no room"}});
    azure.control(Method::POST, &format!("/operations/{id}/end"), json!({"outcome": outcome})).await;
    let (status, next, body) = poll(&azure, &location).await;
    assert_eq!((status, next, &body["syncstate"], &body["details"]), (200, None, &json!("Failed"), &json!({"error": "no room"})));
}

#[tokio::test]
async fn outcomes_apply_in_sequence() {
    let azure = LocalAzure::new(json!({"sync": {"replicatingMillis": 0, "rehydratingMillis": 0, "outcomes": ["failed", "invalid"]}})).await;
    let mut states = Vec::new();
    for _ in 0..3 {
        let (_, location) = begin(&azure).await;
        states.push(poll(&azure, &location).await.2["syncstate"].clone());
    }
    assert_eq!(states, [3, -1, 2]);
    assert_eq!(azure.operations().await.len(), 3);
}

#[tokio::test]
async fn sync_without_replica_does_nothing() {
    let azure = LocalAzure::new(json!({"sync": {"replica": false}})).await;
    let response = post(&azure).await;
    assert_eq!((response.status().as_u16(), header(&response, "location"), response.text().await.unwrap()), (200, None, String::new()));
    azure.patch(json!({"sync": {"noReplicaStatus": 204}})).await;
    assert_eq!(post(&azure).await.status(), 204);
    assert_eq!(azure.operations().await.len(), 0);
}

#[tokio::test]
async fn server_suffix_is_configurable() {
    let azure = LocalAzure::new(json!({"sync": {"replicatingMillis": 0, "rehydratingMillis": 0}})).await;
    let bare = async || azure.call(Method::POST, "/sync").send().await.unwrap();
    assert_eq!((bare().await.status().as_u16(), post(&azure).await.status().as_u16()), (202, 202));
    azure.patch(json!({"sync": {"suffix": "required"}})).await;
    let refused = bare().await;
    assert_eq!((refused.status().as_u16(), post(&azure).await.status().as_u16()), (400, 202));
    assert!(header(&refused, "x-ms-xmlaerror-extended").unwrap().contains("myserver"));
    assert_eq!(azure.get("/sync").await.0, 400);
    azure.patch(json!({"sync": {"suffix": "refused"}})).await;
    assert_eq!((bare().await.status().as_u16(), post(&azure).await.status().as_u16()), (202, 400));
}

#[tokio::test]
async fn concurrent_operations_block_sync() {
    let azure = LocalAzure::new(json!({"sync": {"replicatingMillis": 600_000}})).await;
    let refresh = azure.start().await;
    azure.patch(json!({"sync": {"duringRefresh": false}})).await;
    let refused = post(&azure).await;
    assert_eq!(refused.status(), 409);
    assert!(refused.json::<Value>().await.unwrap()["message"].as_str().unwrap().contains("refresh"));
    azure.patch(json!({"sync": {"refusedStatus": 400}})).await;
    assert_eq!(post(&azure).await.status(), 400);
    azure.control(Method::POST, &format!("/operations/{refresh}/end"), json!({"outcome": "succeeded"})).await;

    let other = json!({"server": SERVER, "database": DATABASE, "kind": "sync", "durationMillis": 600_000});
    let id = azure.control(Method::POST, "/operations", other.clone()).await["operationId"].as_str().unwrap().to_owned();
    assert_eq!(post(&azure).await.status(), 400, "a sync of another client");
    assert_eq!(azure.try_control(Method::POST, "/operations", other).await.0, 409);
    azure.patch(json!({"sync": {"whileSyncing": "join"}})).await;
    assert_eq!(begin(&azure).await.0, id);
    let typed = json!({"server": SERVER, "database": DATABASE, "kind": "sync", "type": "full"});
    assert_eq!(azure.try_control(Method::POST, "/operations", typed).await.0, 400);
    assert_eq!(azure.call(Method::DELETE, &format!("/sync/{id}")).send().await.unwrap().status(), 405, "a sync cannot be cancelled");
}

#[tokio::test]
async fn sync_that_cleans_up_does_not_block_next_one() {
    let cleaning = json!({"replicatingMillis": 0, "rehydratingMillis": 0, "finalizingMillis": 600_000});
    let azure = LocalAzure::new(json!({"sync": cleaning})).await;
    let (first, location) = begin(&azure).await;
    assert_eq!(poll(&azure, &location).await.2["syncstate"], 4);
    let (second, _) = begin(&azure).await;
    assert_ne!(first, second);
    assert_eq!(poll(&azure, &location).await.2["operationId"], json!(first));
}

#[tokio::test]
async fn unknown_sync_is_found_without_id() {
    let azure = LocalAzure::new(json!({"sync": {"replicatingMillis": 600_000}})).await;
    assert_eq!(azure.get("/sync").await.0, 404, "there is no sync");
    azure.fault("POST", json!({"dropAfter": {}})).await;
    assert!(azure.http.post(format!("{MANAGEMENT}/sync")).bearer_auth(&azure.token).send().await.is_err());
    let (status, latest) = azure.get("/sync").await;
    let actual = azure.operations().await[0].clone();
    assert_eq!((status, &latest["operationId"], &latest["syncstate"]), (200, &actual["operationId"], &json!(0)));
    azure.patch(json!({"sync": {"bareGet": "list"}})).await;
    assert_eq!(azure.get("/sync").await.1[0], latest);
    azure.patch(json!({"sync": {"listLagMillis": 600_000}})).await;
    assert_eq!(azure.get("/sync").await.1, json!([]));
    azure.patch(json!({"sync": {"bareGet": "unknown", "unknownStatus": 400}})).await;
    assert_eq!(azure.get("/sync").await.0, 400);
    let id = actual["operationId"].as_str().unwrap();
    assert_eq!(azure.get(&format!("/sync?operationId={id}")).await.0, 200);
    assert_eq!(azure.get(&format!("/sync?operationId={TENANT}")).await.0, 400);
    azure.patch(json!({"sync": {"getLagMillis": 600_000}})).await;
    assert_eq!(azure.get(&format!("/sync?operationId={id}")).await.0, 400);
    azure.patch(json!({"sync": {"getLagMillis": 0, "bareGet": "latest"}})).await;
    azure.control(Method::POST, &format!("/operations/{id}/vanish"), json!({"ended": true})).await;
    assert_eq!((azure.get("/sync").await.0, azure.get(&format!("/sync?operationId={id}")).await.0), (400, 400));
    assert_eq!(azure.operations().await[0]["status"], "invalid");
}
