//! The refresh API of Power BI, from acceptance to the end.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{API, CLIENT, DATASET, GROUP, PowerBi, until};

#[tokio::test]
async fn refresh_completes() {
    let power_bi = PowerBi::new(json!({"notStartedMillis": 600_000})).await;
    let body =
        json!({"type": "Full", "commitMode": "transactional", "maxParallelism": 2, "retryCount": 2, "objects": [{"table": "DimDate"}]});
    let accepted = power_bi.submit(body).await;
    assert_eq!(accepted.status(), 202);
    let id = accepted.headers()["x-ms-request-id"].to_str().unwrap().to_owned();
    assert_eq!(accepted.headers()["requestid"], id.as_str());
    assert_eq!(accepted.headers()["location"], format!("{API}/groups/{GROUP}/datasets/{DATASET}/refreshes/{id}").as_str());
    assert_eq!(accepted.text().await.unwrap(), "");
    let (status, first) = power_bi.get(&format!("/refreshes/{id}")).await;
    assert_eq!(status, 202);
    let start = first["startTime"].as_str().unwrap();
    assert!(!start.ends_with('Z') && start.len() <= "2021-12-14T03:46:04.833".len(), "{start}");
    assert_eq!(
        first,
        json!({"startTime": start, "type": "Full", "commitMode": "Transactional", "status": "Unknown", "extendedStatus": "NotStarted",
            "currentRefreshType": "Full", "numberOfAttempts": 0})
    );
    power_bi.end(&id, json!("cancelled")).await;

    power_bi.patch(json!({"notStartedMillis": 10, "durationMillis": 30})).await;
    let accepted = power_bi.submit(json!({"objects": [{"table": "DimDate"}]})).await;
    let id = accepted.headers()["requestid"].to_str().unwrap().to_owned();
    let end = until("the end", async || Some(power_bi.get(&format!("/refreshes/{id}")).await).filter(|(status, _)| *status == 200)).await.1;
    assert_eq!((&end["status"], &end["extendedStatus"], &end["type"]), (&json!("Completed"), &json!("Completed"), &json!("Automatic")));
    assert_eq!(end["objects"], json!([{"table": "DimDate", "partition": "DimDate", "status": "Completed"}]));
    let kinds: Vec<_> = end["refreshAttempts"].as_array().unwrap().iter().map(|attempt| attempt["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Data", "Query"]);
    let (_, list) = power_bi.get("/refreshes").await;
    assert!(list["@odata.context"].as_str().unwrap().ends_with("#refreshes"));
    let row = &list["value"][0];
    assert_eq!((&row["requestId"], &row["refreshType"], &row["status"]), (&json!(id), &json!("ViaEnhancedApi"), &json!("Completed")));
    assert!(row["startTime"].as_str().unwrap().ends_with('Z') && row["endTime"].is_string() && row["id"].is_u64());
    assert_eq!((&list["value"][1]["status"], list["value"].as_array().unwrap().len()), (&json!("Cancelled"), 2));
}

#[tokio::test]
async fn date_and_start_are_by_same_clock() {
    let power_bi = PowerBi::new(json!({"clockSkewMillis": -3_600_000})).await;
    let now = jiff::Timestamp::now();
    let id = power_bi.start().await;
    let response = power_bi.call(Method::GET, &format!("/refreshes/{id}")).send().await.unwrap();
    let date = response.headers()["date"].to_str().unwrap().to_owned();
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(&date).unwrap();
    let start = response.json::<Value>().await.unwrap()["startTime"].as_str().unwrap().to_owned();
    let start: jiff::Timestamp = format!("{start}Z").parse().unwrap();
    for shown in [date, start] {
        let behind = now.duration_since(shown).as_secs();
        assert!((3_540..=3_601).contains(&behind), "{shown} at {now}");
    }
}

#[tokio::test]
async fn every_end_has_its_status_values() {
    let power_bi = PowerBi::new(json!({"durationMillis": 0})).await;
    for (outcome, status, extended) in [
        ("succeeded", "Completed", "Completed"),
        ("failed", "Failed", "Failed"),
        ("timedOut", "Failed", "TimedOut"),
        ("cancelled", "Cancelled", "Cancelled"),
        ("disabled", "Disabled", "Disabled"),
    ] {
        power_bi.patch(json!({"outcome": outcome})).await;
        let id = power_bi.start().await;
        let (code, seen) = power_bi.get(&format!("/refreshes/{id}")).await;
        assert_eq!((code, &seen["status"], &seen["extendedStatus"]), (200, &json!(status), &json!(extended)), "{outcome}");
        let (_, list) = power_bi.get("/refreshes?$top=1").await;
        assert_eq!((&list["value"][0]["status"], list["value"].as_array().unwrap().len()), (&json!(status), 1));
    }
}

#[tokio::test]
async fn only_newest_refreshes_are_kept() {
    let power_bi = PowerBi::new(json!({"durationMillis": 0})).await;
    let id = power_bi.start().await;
    // Recent ones are kept up to the maximum, and older ones only up to the minimum.
    for (past, expected) in [(18, 19), (60, 20), (100, 20), (3_000, 60)] {
        for order in ["newest", "oldest"] {
            power_bi.patch(json!({"pastOperations": past, "listOrder": order})).await;
            for top in ["", "?$top=100"] {
                let (_, list) = power_bi.get(&format!("/refreshes{top}")).await;
                let rows = list["value"].as_array().unwrap();
                let newest = if order == "newest" { rows.first() } else { rows.last() };
                assert_eq!((rows.len(), &newest.unwrap()["requestId"]), (expected, &json!(id)), "{past} {order} {top}");
            }
        }
    }
}

#[tokio::test]
async fn failure_has_messages_and_attempts() {
    let sentence = "Session cancelled because it is connected to a database that has been evicted to free up memory for other operations";
    let messages = json!([{"code": "0xC11C0020", "message": sentence, "type": "Error"}]);
    let power_bi = PowerBi::new(json!({"durationMillis": 0, "outcome": {"status": "failed", "messages": messages}})).await;
    let accepted = power_bi.submit(json!({"retryCount": 1})).await;
    let id = accepted.headers()["requestid"].to_str().unwrap().to_owned();
    let (_, seen) = power_bi.get(&format!("/refreshes/{id}")).await;
    assert_eq!((&seen["messages"], &seen["numberOfAttempts"]), (&messages, &json!(1)));
    assert_eq!(seen["refreshAttempts"].as_array().unwrap().len(), 2);
    let (_, list) = power_bi.get("/refreshes").await;
    let exception: Value = serde_json::from_str(list["value"][0]["serviceExceptionJson"].as_str().unwrap()).unwrap();
    assert_eq!((&exception["errorCode"], &exception["errorDescription"]), (&json!("0xC11C0020"), &json!(sentence)));
}

#[tokio::test]
async fn concurrent_refresh_is_handled_in_every_mode() {
    let power_bi = PowerBi::new(json!({})).await;
    let first = power_bi.start().await;
    let busy = async || {
        let response = power_bi.submit(json!({"type": "full"})).await;
        let id = response.headers()["requestid"].to_str().unwrap().to_owned();
        (response.status().as_u16(), response.json::<Value>().await.unwrap_or_default(), id)
    };
    let message = "Invalid dataset refresh request. Another refresh request is already executing";
    let (status, body, _) = busy().await;
    assert_eq!((status, body), (400, json!({"error": {"code": "InvalidRequest", "message": message}})));
    power_bi.patch(json!({"powerBI": {"whenBusy": "conflict", "language": "german"}})).await;
    let (status, body, _) = busy().await;
    assert_eq!(status, 409);
    assert!(body["error"]["message"].as_str().unwrap().contains("wird bereits ausgeführt"));
    power_bi.patch(json!({"conflictBody": {"busy": true}})).await;
    assert_eq!(busy().await.1, json!({"busy": true}));

    power_bi.patch(json!({"powerBI": {"whenBusy": "drop"}})).await;
    let (status, _, dropped) = busy().await;
    assert_eq!((status, power_bi.get(&format!("/refreshes/{dropped}")).await.0), (202, 404));

    power_bi.patch(json!({"powerBI": {"whenBusy": "queue"}})).await;
    let (_, _, second) = busy().await;
    let (_, _, third) = busy().await;
    assert_eq!(power_bi.get(&format!("/refreshes/{third}")).await.0, 404, "the queue holds one refresh");
    assert_eq!(power_bi.get(&format!("/refreshes/{second}")).await.1["extendedStatus"], "NotStarted");
    power_bi.end(&first, json!("succeeded")).await;
    assert_eq!(power_bi.get(&format!("/refreshes/{second}")).await.1["extendedStatus"], "InProgress");
    assert_eq!(power_bi.azure.operations().await.len(), 2);
}

#[tokio::test]
async fn cancellation_is_accepted_and_completes_later() {
    let power_bi = PowerBi::new(json!({"cancelMillis": 600_000, "powerBI": {"showsCancelling": true}})).await;
    let id = power_bi.start().await;
    let path = format!("/refreshes/{id}");
    assert_eq!(power_bi.delete(&id).await.0, 200);
    let (_, seen) = power_bi.get(&path).await;
    assert_eq!((&seen["status"], &seen["extendedStatus"]), (&json!("Unknown"), &json!("Cancelling")));
    power_bi.end(&id, json!("cancelled")).await;
    assert_eq!(power_bi.get(&path).await.1["status"], "Cancelled");
    let (status, body) = power_bi.delete(&id).await;
    assert_eq!(status, 409);
    assert!(body["error"]["message"].as_str().unwrap().contains("cannot be cancelled"));
    power_bi.patch(json!({"powerBI": {"deleteEndedStatus": 200}, "deleteStatus": 202, "cancelMillis": 0})).await;
    assert_eq!(power_bi.delete(&id).await.0, 200);
    assert_eq!(power_bi.delete(CLIENT).await.0, 404);
    let second = power_bi.start().await;
    assert_eq!(power_bi.delete(&second).await.0, 202);
    assert_eq!(power_bi.get(&format!("/refreshes/{second}")).await.1["status"], "Cancelled");
}

#[tokio::test]
async fn standard_refresh_has_no_details_or_cancellation() {
    let power_bi = PowerBi::new(json!({})).await;
    let accepted = power_bi.call(Method::POST, "/refreshes").send().await.unwrap();
    assert_eq!(accepted.status(), 202, "a request without a body starts a standard refresh");
    assert!(!["location", "x-ms-request-id"].iter().any(|name| accepted.headers().contains_key(*name)));
    let id = accepted.headers()["requestid"].to_str().unwrap().to_owned();
    assert_eq!(power_bi.get(&format!("/refreshes/{id}")).await.0, 404);
    assert_eq!(power_bi.delete(&id).await.0, 400);
    let (_, list) = power_bi.get("/refreshes").await;
    let row = &list["value"][0];
    assert_eq!((&row["refreshType"], &row["status"], row.get("extendedStatus")), (&json!("ViaApi"), &json!("Unknown"), None));
    power_bi.end(&id, json!("succeeded")).await;
    for kind in ["OnDemand", "Scheduled"] {
        let other = json!({"groupId": GROUP, "datasetId": DATASET, "refreshType": kind, "durationMillis": 0});
        power_bi.azure.control(Method::POST, "/operations", other).await;
        assert_eq!(power_bi.get("/refreshes").await.1["value"][0]["refreshType"], kind);
    }
}

#[tokio::test]
async fn refresh_from_portal_may_have_no_id_in_list() {
    let power_bi = PowerBi::new(json!({"powerBI": {"namelessTypes": ["OnDemand"]}})).await;
    let other = json!({"groupId": GROUP, "datasetId": DATASET, "refreshType": "OnDemand", "durationMillis": 600_000});
    let started = power_bi.azure.control(Method::POST, "/operations", other).await;
    assert_eq!(power_bi.submit(json!({"type": "full"})).await.status(), 400, "it occupies the model");
    power_bi.end(started["operationId"].as_str().unwrap(), json!("succeeded")).await;
    let id = power_bi.start().await;
    let (_, list) = power_bi.get("/refreshes").await;
    let ids: Vec<_> = list["value"].as_array().unwrap().iter().map(|row| row.get("requestId").cloned()).collect();
    assert_eq!(ids, [Some(json!(id)), None]);
}

#[tokio::test]
async fn attempts_have_single_and_total_limits() {
    let power_bi = PowerBi::new(json!({})).await;
    let start = async |body: Value| power_bi.submit(body).await.headers()["requestid"].to_str().unwrap().to_owned();
    let ended = async |id: String| {
        until("the end", async || Some(power_bi.get(&format!("/refreshes/{id}")).await).filter(|(status, _)| *status == 200)).await.1
    };
    let id = start(json!({"timeout": "00:00:01"})).await;
    let end = ended(id).await;
    assert_eq!((&end["status"], &end["extendedStatus"]), (&json!("Failed"), &json!("TimedOut")));
    power_bi.patch(json!({"powerBI": {"attemptLimitMillis": 20}})).await;
    let end = ended(start(json!({"retryCount": 2})).await).await;
    assert_eq!((&end["extendedStatus"], &end["numberOfAttempts"]), (&json!("TimedOut"), &json!(2)));
    power_bi.patch(json!({"powerBI": {"attemptLimitMillis": null, "totalLimitMillis": 20}})).await;
    let end = ended(start(json!({"retryCount": 2})).await).await;
    assert_eq!((&end["extendedStatus"], &end["numberOfAttempts"]), (&json!("TimedOut"), &json!(0)));
}

#[tokio::test]
async fn paused_capacity_suspends_refreshes() {
    let power_bi = PowerBi::new(json!({"durationMillis": 1_000})).await;
    let id = power_bi.start().await;
    let path = format!("/refreshes/{id}");
    power_bi.patch(json!({"paused": true})).await;
    let (status, body) = {
        let response = power_bi.submit(json!({"type": "full"})).await;
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    assert_eq!((status, &body["error"]["code"]), (400, &json!("CapacityNotActive")));
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(power_bi.get(&path).await.1["extendedStatus"], "InProgress");
    power_bi.patch(json!({"paused": false})).await;
    let end = until("the end", async || Some(power_bi.get(&path).await.1).filter(|seen| seen["status"] != "Unknown")).await;
    assert_eq!(end["status"], "Completed");

    power_bi.patch(json!({"durationMillis": 600_000, "powerBI": {"pauseLimitMillis": 20}})).await;
    let path = format!("/refreshes/{}", power_bi.start().await);
    power_bi.patch(json!({"paused": true})).await;
    let end = until("the end", async || Some(power_bi.get(&path).await.1).filter(|seen| seen["status"] != "Unknown")).await;
    assert_eq!((&end["status"], &end["extendedStatus"]), (&json!("Failed"), &json!("TimedOut")));
    power_bi.patch(json!({"paused": false})).await;
    assert_eq!(power_bi.get(&path).await.1["extendedStatus"], "TimedOut", "it stays ended");
}

#[tokio::test]
async fn response_formats_are_configurable() {
    let settings = json!({"bareList": true, "statusStyle": "plain", "runningStatus": 200, "objectsWhileRunning": true, "enhancedType": "ReliableProcessing"});
    let power_bi = PowerBi::new(json!({"powerBI": settings, "pastOperations": 3})).await;
    let id = power_bi.start().await;
    let (status, seen) = power_bi.get(&format!("/refreshes/{id}")).await;
    assert_eq!((status, &seen["status"], seen.get("extendedStatus")), (200, &json!("InProgress"), None));
    assert_eq!(seen["objects"][0]["status"], "InProgress");
    let (_, list) = power_bi.get("/refreshes").await;
    assert_eq!((&list[0]["refreshType"], list.as_array().unwrap().len()), (&json!("ReliableProcessing"), 4));
    power_bi.patch(json!({"listOrder": "oldest", "powerBI": {"defaultTop": 2}})).await;
    let (_, list) = power_bi.get("/refreshes").await;
    assert_eq!((&list[0]["refreshType"], list.as_array().unwrap().len()), (&json!("Scheduled"), 2));
    power_bi.patch(json!({"listLagMillis": 600_000, "getLagMillis": 600_000, "pastOperations": 0})).await;
    assert_eq!(power_bi.get("/refreshes").await.1, json!([]));
    assert_eq!(power_bi.get(&format!("/refreshes/{id}")).await.0, 404);
    assert_eq!(power_bi.get("/refreshes?$top=0").await.0, 400);
}

#[tokio::test]
async fn faults_and_ledger_name_its_routes() {
    let power_bi = PowerBi::new(json!({})).await;
    let rule = json!({"match": {"method": "POST", "host": "api.powerbi.com"}, "action": {"dropAfter": {}}});
    power_bi.azure.control(Method::POST, "/faults", rule).await;
    let lost = power_bi.call(Method::POST, "/refreshes").json(&json!({"type": "full", "timeout": "02:00:00"})).send().await;
    assert!(lost.is_err());
    let rows = power_bi.azure.inspect(&format!("/ledger?groupId={GROUP}&datasetId={DATASET}")).await;
    let actual = &power_bi.azure.inspect(&format!("/operations?groupId={GROUP}&kind=refresh")).await[0];
    assert_eq!(
        (&rows[0]["route"], &rows[0]["operationId"], &rows[0]["handled"]),
        (&json!("refreshes"), &actual["operationId"], &json!(true))
    );
    assert_eq!(
        (&actual["timeoutSeconds"], &actual["refreshType"], &actual["datasetId"]),
        (&json!(7_200), &json!("ViaEnhancedApi"), &json!(DATASET))
    );
    let counts = power_bi.azure.inspect(&format!("/ledger/counts?datasetId={DATASET}")).await;
    assert_eq!(counts, json!([{"method": "POST", "route": "refreshes", "count": 1}]));
    let id = actual["operationId"].as_str().unwrap();
    power_bi.azure.control(Method::POST, &format!("/operations/{id}/vanish"), Value::Null).await;
    assert_eq!(power_bi.get("/refreshes").await.1["value"], json!([]));
    assert_eq!(power_bi.delete(id).await.0, 404);
    power_bi.patch(json!({"getUnknownStatus": 400, "deleteUnknownStatus": 410})).await;
    assert_eq!((power_bi.get(&format!("/refreshes/{id}")).await.0, power_bi.delete(id).await.0), (400, 410));
}
