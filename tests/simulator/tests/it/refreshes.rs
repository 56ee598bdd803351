//! The refresh API of Analysis Services, from acceptance to the end.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{DATABASE, LocalAzure, MODEL, SERVER, TENANT, client, until};

#[tokio::test]
async fn refresh_completes() {
    for http1 in [false, true] {
        let azure = LocalAzure::over(json!({"notStartedMillis": 600_000}), http1).await;
        let objects = json!([{"table": "DimDate"}, {"table": "FactSales", "partition": "FactSales 2025"}]);
        let body = json!({"Type": "Full", "MaxParallelism": 1, "Objects": objects});
        let accepted = azure.submit(body.clone()).await;
        assert_eq!(accepted.status(), 202);
        let headers = accepted.headers().clone();
        let id = accepted.json::<Value>().await.unwrap()["operationId"].as_str().unwrap().to_owned();
        assert_eq!(headers["location"], format!("{MODEL}/refreshes/{id}").as_str());
        for name in ["x-ms-request-id", "x-ms-root-activity-id", "x-ms-current-utc-date", "date"] {
            assert!(headers.contains_key(name), "{name}");
        }
        let (status, first) = azure.get(&format!("/refreshes/{id}")).await;
        assert_eq!((status, &first["status"], &first["objects"]), (200, &json!("notStarted"), &json!([])));
        assert!(first.get("endTime").is_none());
        let start = first["startTime"].as_str().unwrap();
        assert!(start.len() == "2020-12-15T21:58:20.2712217Z".len() && start.ends_with('Z'), "{start}");
        azure.control(Method::POST, &format!("/operations/{id}/vanish"), json!({"ended": true})).await;

        azure.patch(json!({"notStartedMillis": 20, "durationMillis": 60})).await;
        let accepted = azure.submit(body).await.json::<Value>().await.unwrap();
        let id = accepted["operationId"].as_str().unwrap().to_owned();
        let end =
            until("the end", async || Some(azure.get(&format!("/refreshes/{id}")).await.1).filter(|seen| seen.get("endTime").is_some()))
                .await;
        assert_eq!(end["status"], "succeeded");
        assert_eq!(
            end["objects"],
            json!([
                {"table": "DimDate", "partition": "DimDate", "status": "succeeded"},
                {"table": "FactSales", "partition": "FactSales 2025", "status": "succeeded"},
            ])
        );
        let (_, list) = azure.get("/refreshes").await;
        assert_eq!(list, json!([{"refreshId": id, "startTime": end["startTime"], "endTime": end["endTime"], "status": "succeeded"}]));
    }
}

#[tokio::test]
async fn second_concurrent_refresh_is_refused() {
    let azure = LocalAzure::new(json!({})).await;
    azure.start().await;
    let second = azure.submit(json!({"type": "full"})).await;
    assert_eq!(second.status(), 409);
    assert_eq!(second.json::<Value>().await.unwrap()["httpStatusCode"], 409);
    azure.patch(json!({"conflictBody": {"error": "busy"}})).await;
    assert_eq!(azure.submit(json!({"type": "full"})).await.json::<Value>().await.unwrap(), json!({"error": "busy"}));
    assert_eq!(azure.operations().await.len(), 1);
}

#[tokio::test]
async fn cancellation_is_accepted_and_completes_later() {
    let azure = LocalAzure::new(json!({"cancelMillis": 600_000})).await;
    let id = azure.start().await;
    let path = format!("/refreshes/{id}");
    assert_eq!(azure.call(Method::DELETE, &path).send().await.unwrap().status(), 200);
    assert_eq!(azure.get(&path).await.1["status"], "inProgress");
    assert!(azure.operations().await[0]["cancelRequestedTime"].is_string());
    azure.control(Method::POST, &format!("/operations/{id}/end"), json!({"outcome": "cancelled"})).await;
    assert_eq!(azure.get(&path).await.1["status"], "cancelled");
    assert_eq!(azure.call(Method::DELETE, &path).send().await.unwrap().status(), 200, "late and without effect");
    let unknown = format!("/refreshes/{TENANT}");
    assert_eq!(azure.call(Method::DELETE, &unknown).send().await.unwrap().status(), 404);
    assert_eq!(azure.get(&unknown).await.0, 404);
    azure
        .patch(
            json!({"deleteStatus": 202, "deleteEndedStatus": 409, "deleteUnknownStatus": 400, "getUnknownStatus": 410, "cancelMillis": 0}),
        )
        .await;
    assert_eq!(azure.call(Method::DELETE, &path).send().await.unwrap().status(), 409);
    assert_eq!(azure.call(Method::DELETE, &unknown).send().await.unwrap().status(), 400);
    assert_eq!(azure.get(&unknown).await.0, 410);
    let second = format!("/refreshes/{}", azure.start().await);
    assert_eq!(azure.call(Method::DELETE, &second).send().await.unwrap().status(), 202);
    assert_eq!(azure.get(&second).await.1["status"], "cancelled");
}

#[tokio::test]
async fn failure_has_messages() {
    let messages = json!([{"code": "0xC11C0020", "message": "no memory", "type": "Error"}, {"message": "and so on", "type": "Warning"}]);
    let azure = LocalAzure::new(json!({
        "durationMillis": 0,
        "outcome": "failed",
        "messages": messages,
        "failedObjects": [{"table": "DimDate"}],
    }))
    .await;
    let id = azure.start().await;
    let (status, seen) = azure.get(&format!("/refreshes/{id}")).await;
    assert_eq!((status, &seen["status"], &seen["messages"]), (200, &json!("failed"), &messages));
    let failed: Vec<_> = seen["objects"].as_array().unwrap().iter().filter(|object| object["status"] == "failed").collect();
    assert_eq!(failed, [&json!({"table": "DimDate", "partition": "DimDate", "status": "failed"})]);
}

#[tokio::test]
async fn clock_and_timestamp_format_are_configurable() {
    let azure = LocalAzure::new(json!({"clockSkewMillis": -3_600_000, "timestampStyle": {"digits": 3, "zone": false}})).await;
    let id = azure.start().await;
    let response = azure.call(Method::GET, &format!("/refreshes/{id}")).send().await.unwrap();
    let date = response.headers()["date"].to_str().unwrap().to_owned();
    let start = response.json::<Value>().await.unwrap()["startTime"].as_str().unwrap().to_owned();
    assert_eq!(start.len(), "2020-12-15T21:58:20.271".len());
    let actual: jiff::Timestamp = azure.operations().await[0]["startTime"].as_str().unwrap().parse().unwrap();
    let shown: jiff::Timestamp = format!("{start}Z").parse().unwrap();
    let behind = actual.duration_since(shown).as_millis();
    assert!((3_600_000..=3_600_001).contains(&behind), "{behind}");
    let hour = (actual - jiff::SignedDuration::from_hours(1)).strftime("%d %b %Y %H:").to_string();
    assert!(date.contains(&hour), "{date}");
}

#[tokio::test]
async fn list_lags_and_can_be_long() {
    let azure = LocalAzure::new(json!({"listLagMillis": 600_000, "getLagMillis": 600_000})).await;
    let id = azure.start().await;
    assert_eq!(azure.get("/refreshes").await, (200, json!([])));
    assert_eq!(azure.get(&format!("/refreshes/{id}")).await.0, 404);
    azure.patch(json!({"listLagMillis": 0, "getLagMillis": 0, "pastOperations": 3})).await;
    assert_eq!(azure.get(&format!("/refreshes/{id}")).await.0, 200);
    let (_, list) = azure.get("/refreshes").await;
    assert_eq!((list.as_array().unwrap().len(), list[0]["refreshId"].as_str()), (4, Some(id.as_str())));
    azure.patch(json!({"listOrder": "oldest"})).await;
    assert_eq!(azure.get("/refreshes").await.1[3]["refreshId"], id);
    assert_eq!(azure.inspect(&format!("/operations?server={SERVER}&database={DATABASE}")).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn hundred_clients_start_one_refresh() {
    let azure = LocalAzure::new(json!({})).await;
    let http1 = client(&azure.simulator, true);
    let submissions = (0..100).map(|index| {
        let http = if index % 2 == 0 { &azure.http } else { &http1 };
        let request = http.post(format!("{MODEL}/refreshes")).bearer_auth(&azure.token).json(&json!({"type": "full"}));
        async { request.send().await.unwrap().status().as_u16() }
    });
    let mut statuses = futures::future::join_all(submissions).await;
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[1], statuses[99]), (202, 409, 409));
    assert_eq!(azure.operations().await.len(), 1);
}
