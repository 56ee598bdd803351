//! Rows, details and responses written by a test.

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{DATASET, GROUP, LocalAzure, PowerBi};

const ROW: &str = "87f31ef7-0000-4000-8000-0000000000aa";

/// The age of a row's start, by the client's clock.
fn age(row: &Value) -> SignedDuration {
    let text = row["startTime"].as_str().unwrap();
    let text = if text.ends_with('Z') { text.to_owned() } else { format!("{text}Z") };
    Timestamp::now().duration_since(text.parse().unwrap())
}

fn close_to(age: SignedDuration, seconds: i64) -> bool {
    (age - SignedDuration::from_secs(seconds)).abs() < SignedDuration::from_secs(3)
}

#[tokio::test]
async fn rows_are_served_verbatim() {
    let row = json!({"requestId": ROW, "refreshType": "WebModeling", "startTime": "{now-5d}", "status": "Unknown", "more": [1]});
    let power_bi = PowerBi::new(json!({"rows": ["{own}", row, "{\"requestId\":1,\"requestId\":2}"]})).await;
    let own = power_bi.start().await;
    let text = power_bi.call(Method::GET, "/refreshes").send().await.unwrap().text().await.unwrap();
    assert!(text.contains("{\"requestId\":1,\"requestId\":2}"), "{text}");
    let (_, list) = power_bi.get("/refreshes").await;
    let rows = list["value"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["requestId"], &rows[1]["requestId"]), (3, &json!(own), &json!(ROW)));
    assert_eq!((&rows[1]["refreshType"], &rows[1]["more"], rows[1].get("endTime")), (&json!("WebModeling"), &json!([1]), None));
    assert!(close_to(age(&rows[1]), 5 * 86_400), "{rows:?}");
    assert_eq!(power_bi.get("/refreshes?$top=1").await.1["value"].as_array().unwrap().len(), 1);
    power_bi.patch(json!({"rows": null, "powerBI": {"bareList": true}})).await;
    assert_eq!(power_bi.get("/refreshes").await.1.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn times_use_format_and_clock_of_service() {
    let style = json!({"digits": 0, "zone": false, "trimZeros": false});
    let rows = json!([{"refreshId": "1", "startTime": "{now-4s}"}, {"refreshId": "2", "startTime": "{post-4s}"}]);
    let azure = LocalAzure::new(json!({"rows": rows, "timestampStyle": style, "clockSkewMillis": 3_600_000})).await;
    let (_, before) = azure.get("/refreshes").await;
    assert_eq!(before.as_array().unwrap().len(), 1, "no POST was received: {before}");
    assert_eq!(before[0]["startTime"].as_str().unwrap().len(), "2026-07-30T12:00:00".len());
    assert!(close_to(age(&before[0]), 4 - 3_600), "{before}");
    azure.fault("POST", json!({"dropBefore": {}})).await;
    assert!(azure.call(Method::POST, "/refreshes").json(&json!({})).send().await.is_err());
    let (_, after) = azure.get("/refreshes").await;
    assert_eq!(after[0], before[0], "it was fixed when it was set");
    assert!(close_to(age(&after[1]), 4 - 3_600), "{after}");
    azure.start().await;
    assert_eq!(azure.get("/refreshes").await.1, after, "times are relative to the first POST, and the own row is hidden");
    azure.patch(json!({"rows": ["{own}", {"startTime": "{post}"}]})).await;
    assert_eq!(azure.get("/refreshes").await.1.as_array().unwrap().len(), 1, "the row waits for the next POST");
}

#[tokio::test]
async fn details_are_served_verbatim() {
    let details = json!({
        ROW: {"status": 400, "body": {"error": {"code": "BadRequest"}}, "headers": {"x-ms-error-code": "BadRequest", "requestid": "mine"}},
        "not-a-guid": {"body": "plain {now-1s}", "headers": {"content-type": "text/plain"}},
    });
    let power_bi = PowerBi::new(json!({"details": details})).await;
    let own = power_bi.start().await;
    let response = power_bi.call(Method::GET, &format!("/refreshes/{}", ROW.to_uppercase())).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["x-ms-error-code"].to_str().unwrap()), (400, "BadRequest"));
    assert_eq!(response.headers()["requestid"], "mine");
    assert_eq!(response.json::<Value>().await.unwrap(), json!({"error": {"code": "BadRequest"}}));
    let response = power_bi.call(Method::GET, "/refreshes/not-a-guid").send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()), (200, "text/plain"));
    let text = response.text().await.unwrap();
    assert!(text.starts_with("plain 20") && !text.contains('{'), "{text}");
    assert_eq!(power_bi.get(&format!("/refreshes/{own}")).await.0, 202);
    power_bi.patch(json!({"details": {"*": {"status": 500}, own.clone(): {"body": {"status": "Completed"}}}})).await;
    assert_eq!(power_bi.get(&format!("/refreshes/{ROW}")).await.0, 500);
    assert_eq!(power_bi.get(&format!("/refreshes/{own}")).await, (200, json!({"status": "Completed"})));

    let azure = LocalAzure::new(json!({"details": {ROW: {"status": 410, "headers": {"Date": "Thu, 30 Jul 2026 12:00:00 GMT"}}}})).await;
    let response = azure.call(Method::GET, &format!("/refreshes/{ROW}")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["date"]), (410, &"Thu, 30 Jul 2026 12:00:00 GMT".parse().unwrap()));
}

#[tokio::test]
async fn own_rows_and_details_are_edited() {
    let edits = json!({
        "rowPatch": {"refreshId": null, "RefreshId": "{.refreshId}", "status": "INPROGRESS", "startTime": "{now-2d}"},
        "detailPatch": {"type": null, "objects": [{"table": "dimdate"}], "startTime": 7},
    });
    let azure = LocalAzure::new(edits).await;
    let id = azure.start().await;
    let (_, list) = azure.get("/refreshes").await;
    assert_eq!((&list[0]["RefreshId"], list[0].get("refreshId"), &list[0]["status"]), (&json!(id), None, &json!("INPROGRESS")));
    assert!(close_to(age(&list[0]), 2 * 86_400), "{list}");
    let (_, details) = azure.get(&format!("/refreshes/{id}")).await;
    assert_eq!((details.get("type"), &details["objects"], &details["startTime"]), (None, &json!([{"table": "dimdate"}]), &json!(7)));
    assert_eq!(details["status"], "inProgress");

    let power_bi = PowerBi::new(json!({"rowPatch": {"requestId": null}, "detailPatch": {"extendedStatus": null}})).await;
    let id = power_bi.start().await;
    let (list, details) = (power_bi.get("/refreshes").await.1, power_bi.get(&format!("/refreshes/{id}")).await.1);
    assert_eq!((list["value"][0].get("requestId"), details.get("extendedStatus")), (None, None));
    assert_eq!((&list["value"][0]["refreshType"], &details["status"]), (&json!("ViaEnhancedApi"), &json!("Unknown")));
}

#[tokio::test]
async fn scripted_responses_are_sent_in_order() {
    let power_bi = PowerBi::new(json!({})).await;
    let throttled = json!({"code": 429, "body": "busy since {now-4s}", "headers": {"Retry-After": "1", "x-ms-error-code": "Rejected"}});
    let rule = json!({
        "match": {"method": "POST", "path": format!("*{DATASET}/refreshes")},
        "action": {"responses": [
            {"status": throttled},
            {"dropBefore": {}},
            {"status": {"code": 500, "body": {"startTime": "{post}"}, "handled": true}},
            {"pass": {}},
        ]},
    });
    let fault = power_bi.azure.control(Method::POST, "/faults", rule).await["faultId"].as_str().unwrap().to_owned();
    let response = power_bi.submit(json!({"type": "full"})).await;
    assert_eq!((response.status().as_u16(), response.headers()["x-ms-error-code"].to_str().unwrap()), (429, "Rejected"));
    assert!(response.text().await.unwrap().starts_with("busy since 20"));
    assert!(power_bi.call(Method::POST, "/refreshes").json(&json!({"type": "full"})).send().await.is_err());
    assert_eq!(power_bi.azure.operations().await.len(), 0);
    let response = power_bi.submit(json!({"type": "full"})).await;
    assert_eq!(response.status().as_u16(), 500);
    assert!(close_to(age(&response.json().await.unwrap()), 0));
    assert_eq!(power_bi.azure.operations().await.len(), 1, "the refresh was accepted");
    assert_eq!(power_bi.submit(json!({"type": "full"})).await.status(), 400, "it runs");
    assert_eq!(power_bi.submit(json!({"type": "full"})).await.status(), 400, "the script has ended");
    let view = power_bi.azure.inspect(&format!("/faults/{fault}")).await;
    assert_eq!((&view["hits"], &view["times"]), (&json!(4), &json!(4)));
}

#[tokio::test]
async fn invalid_settings_are_refused() {
    let azure = LocalAzure::new(json!({})).await;
    for (fields, wanted) in [
        (json!({"rows": [{"startTime": "{now-4}"}]}), "{now-4s}"),
        (json!({"details": {ROW: {"status": 42}}}), "42 is not an HTTP status"),
        (json!({"details": {ROW: {"code": 400}}}), "unknown field"),
        (json!({"rows": {}}), "sequence"),
    ] {
        let mut model = json!({"groupId": GROUP, "datasetId": DATASET});
        model.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let (status, response) = azure.try_control(Method::PUT, "/models", model).await;
        assert_eq!(status, 400, "{fields}");
        assert!(response["error"].as_str().unwrap().contains(wanted), "{fields}: {response}");
    }
}
