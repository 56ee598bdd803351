//! Every kind of fault, as seen by the client and in the ledger.

use std::io::Read as _;
use std::time::Duration;

use futures::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{LocalAzure, until};

async fn over_both(test: impl AsyncFn(LocalAzure)) {
    for http1 in [false, true] {
        test(LocalAzure::over(json!({}), http1).await).await;
    }
}

/// Whether the last request was handled, and the status of its response.
async fn last(azure: &LocalAzure) -> (bool, Value) {
    let row = azure.last_row().await;
    assert!(row["faultId"].is_string());
    (row["handled"].as_bool().unwrap(), row["status"].clone())
}

#[tokio::test]
async fn status_fault_replaces_response() {
    over_both(async |azure| {
        azure.fault("POST", json!({"status": {"code": 429, "body": {"error": "slow down"}, "headers": {"Retry-After": "7"}}})).await;
        let response = azure.submit(json!({})).await;
        assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (429, "7"));
        assert_eq!(response.json::<Value>().await.unwrap(), json!({"error": "slow down"}));
        assert_eq!(last(&azure).await, (false, json!(429)));
        assert_eq!(azure.operations().await.len(), 0);
        azure.start().await;
    })
    .await;
}

#[tokio::test]
async fn response_is_dropped_before_or_after_handling() {
    over_both(async |azure| {
        for (action, count) in [(json!({"dropBefore": {}}), 0), (json!({"dropAfter": {}}), 1)] {
            azure.fault("POST", action).await;
            let request = azure.call(Method::POST, "/refreshes").json(&json!({})).send().await;
            assert!(request.is_err());
            assert_eq!(last(&azure).await, (count == 1, Value::Null));
            assert_eq!(azure.operations().await.len(), count);
        }
    })
    .await;
}

#[tokio::test]
async fn single_request_is_dropped() {
    over_both(async |azure| {
        let held = azure.fault("GET", json!({"hold": {"at": "before"}})).await;
        let drop = async {
            let view = format!("/faults/{held}");
            until("the request", async || (azure.inspect(&view).await["held"] == 1).then_some(())).await;
            for (action, count) in [("dropBefore", 0), ("dropAfter", 1)] {
                azure.fault("POST", json!({action: {"alone": true}})).await;
                let request = azure.call(Method::POST, "/refreshes").json(&json!({}));
                assert!(request.send().await.is_err());
                assert_eq!(last(&azure).await, (count == 1, Value::Null));
                assert_eq!(azure.operations().await.len(), count);
            }
            let release = format!("{view}/release");
            azure.control(Method::POST, &release, Value::Null).await;
        };
        let ((status, list), ()) = tokio::join!(azure.get("/refreshes"), drop);
        assert_eq!((status, list.as_array().unwrap().len()), (200, 1));
    })
    .await;
}

#[tokio::test]
async fn faults_delay_and_hang_requests() {
    over_both(async |azure| {
        azure.fault("GET", json!({"delay": {"millis": 30}})).await;
        let began = std::time::Instant::now();
        assert_eq!(azure.get("/refreshes").await.0, 200);
        assert!(began.elapsed() >= Duration::from_millis(30));
        for (after, count) in [(false, 0), (true, 1)] {
            let fault = azure.fault("POST", json!({"hang": {"after": after}})).await;
            let view = format!("/faults/{fault}");
            let hanging = async {
                until("the request", async || {
                    let hit = azure.inspect(&view).await["hits"] == 1;
                    (hit && azure.operations().await.len() == count).then_some(())
                })
                .await;
            };
            tokio::select! {
                _ = azure.submit(json!({})) => panic!("unexpected response"),
                () = hanging => {}
            }
            assert_eq!(last(&azure).await, (after, Value::Null));
            assert_eq!(azure.operations().await.len(), count);
        }
    })
    .await;
}

#[tokio::test]
async fn held_request_continues_after_release() {
    over_both(async |azure| {
        for (at, while_held) in [("before", 0), ("after", 2)] {
            let fault = azure.fault("POST", json!({"hold": {"at": at}})).await;
            let held = async {
                until("the request", async || (azure.inspect(&format!("/faults/{fault}")).await["held"] == 1).then_some(())).await;
                assert_eq!(azure.operations().await.len(), while_held);
                azure.control(Method::POST, &format!("/faults/{fault}/release"), Value::Null).await;
            };
            let (response, ()) = tokio::join!(azure.submit(json!({})), held);
            assert_eq!(response.status(), 202);
            let view = azure.inspect(&format!("/faults/{fault}")).await;
            assert_eq!((&view["hits"], &view["held"]), (&json!(1), &json!(0)));
            for operation in azure.operations().await {
                let end = format!("/operations/{}/vanish", operation["operationId"].as_str().unwrap());
                azure.control(Method::POST, &end, json!({"ended": true})).await;
            }
        }
        assert_eq!(azure.operations().await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn disconnected_client_of_held_request_is_not_handled() {
    over_both(async |azure| {
        let fault = azure.fault("POST", json!({"hold": {"at": "before"}})).await;
        let view = format!("/faults/{fault}");
        let leave = async {
            until("the request", async || (azure.inspect(&view).await["held"] == 1).then_some(())).await;
        };
        tokio::select! {
            _ = azure.submit(json!({})) => panic!("unexpected response"),
            () = leave => {}
        }
        until("the client's disconnect", async || (azure.inspect(&view).await["held"] == 0).then_some(())).await;
        azure.control(Method::POST, &format!("{view}/release"), Value::Null).await;
        assert_eq!(last(&azure).await, (false, Value::Null));
        assert_eq!(azure.operations().await.len(), 0);
    })
    .await;
}

#[tokio::test]
async fn bodies_are_truncated_or_reset() {
    over_both(async |azure| {
        for action in [json!({"truncate": {"bytes": 10}}), json!({"truncate": {"bytes": 1_000}}), json!({"resetMidBody": {}})] {
            azure.fault("POST", action.clone()).await;
            let response = azure.submit(json!({})).await;
            assert_eq!(response.status(), 202);
            assert!(response.bytes().await.is_err(), "{action}");
            assert_eq!(last(&azure).await, (true, json!(202)));
            let id = azure.last_row().await["operationId"].as_str().unwrap().to_owned();
            azure.control(Method::POST, &format!("/operations/{id}/end"), json!({"outcome": "succeeded"})).await;
        }
    })
    .await;
}

#[tokio::test]
async fn bodies_are_huge_or_slow() {
    over_both(async |azure| {
        azure.fault("GET", json!({"huge": {"bytes": 3_000_000}})).await;
        let body = azure.call(Method::GET, "/refreshes").send().await.unwrap().bytes().await.unwrap();
        assert_eq!((body.len(), &body[..14]), (3_000_000, &br#"[{"refreshId":"#[..]));
        azure.fault("GET", json!({"huge": {}})).await;
        let mut endless = azure.call(Method::GET, "/refreshes").send().await.unwrap().bytes_stream();
        let mut seen = 0;
        while seen < 20_000_000 {
            seen += endless.next().await.unwrap().unwrap().len();
        }
        drop(endless);
        for announced in [true, false] {
            let rule = json!({"repeat": {"head": "[", "piece": "{},", "count": 100_000, "tail": "{}]", "announced": announced}});
            azure.fault("GET", rule).await;
            let response = azure.call(Method::GET, "/refreshes").send().await.unwrap();
            assert_eq!(response.content_length(), announced.then_some(300_004));
            let rows: Vec<Value> = response.json().await.unwrap();
            assert_eq!(rows.len(), 100_001);
        }
        azure.fault("POST", json!({"repeat": {"code": 400, "piece": "x", "count": 70_000}})).await;
        let refused = azure.call(Method::POST, "/refreshes").send().await.unwrap();
        assert_eq!((refused.status().as_u16(), refused.text().await.unwrap().len()), (400, 70_000));
        assert_eq!(last(&azure).await, (false, json!(400)));
        azure.fault("GET", json!({"manyHeaders": {"count": 5}})).await;
        let response = azure.call(Method::GET, "/refreshes").send().await.unwrap();
        assert_eq!(
            response.headers().iter().filter(|(name, value)| name.as_str().starts_with("x-many-") && value.len() == 1_000).count(),
            5
        );
        azure.fault("GET", json!({"slow": {"bytesPerSecond": 20}})).await;
        let began = std::time::Instant::now();
        assert_eq!(azure.get("/refreshes").await, (200, json!([])));
        assert!(began.elapsed() >= Duration::from_millis(90));
    })
    .await;
}

#[tokio::test]
async fn body_is_compressed_without_request() {
    over_both(async |azure| {
        for blanks in [0, 100_000_000] {
            azure.fault("GET", json!({"gzip": {"blanks": blanks}})).await;
            let response = azure.call(Method::GET, "/refreshes").header("accept-encoding", "identity").send().await.unwrap();
            assert_eq!(response.headers()["content-encoding"], "gzip");
            let packed = response.bytes().await.unwrap();
            assert!(packed.len() < 1_000_000, "{}", packed.len());
            let mut plain = flate2::read::GzDecoder::new(&packed[..]);
            let unpacked = std::io::copy(&mut (&mut plain).take(blanks), &mut std::io::sink()).unwrap();
            assert_eq!((unpacked, serde_json::from_reader::<_, Value>(plain).unwrap()), (blanks, json!([])));
        }
    })
    .await;
}

#[tokio::test]
async fn responses_are_replaced_by_faults() {
    over_both(async |azure| {
        azure.fault("GET", json!({"html": {"code": 502}})).await;
        let response = azure.call(Method::GET, "/refreshes").send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()), (502, "text/html"));
        assert!(response.text().await.unwrap().contains("<html>"));
        azure.fault("GET", json!({"redirect": {"code": 307, "location": "https://evil.example/x"}})).await;
        let response = azure.call(Method::GET, "/refreshes").send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.headers()["location"].to_str().unwrap()), (307, "https://evil.example/x"));
        assert_eq!(last(&azure).await, (false, json!(307)));
        azure.fault("GET", json!({"body": "{\"half"})).await;
        assert_eq!(azure.call(Method::GET, "/refreshes").send().await.unwrap().text().await.unwrap(), "{\"half");
        azure.fault("GET", json!({"body": {"status": 7}})).await;
        assert_eq!(azure.get("/refreshes").await, (200, json!({"status": 7})));
        azure.fault("GET", json!({"headers": {"x-more": "1", "x-ms-request-id": null}})).await;
        let response = azure.call(Method::GET, "/refreshes").send().await.unwrap();
        assert!(response.headers().contains_key("x-more") && !response.headers().contains_key("x-ms-request-id"));
        azure.fault("POST", json!({"statusAfter": {"code": 500}})).await;
        assert_eq!(azure.submit(json!({})).await.status(), 500);
        assert_eq!((last(&azure).await, azure.operations().await.len()), ((true, json!(500)), 1));
    })
    .await;
}

#[tokio::test]
async fn location_is_replaced_or_removed() {
    let azure = LocalAzure::new(json!({})).await;
    for value in [json!("https://evil.example/refreshes/1"), Value::Null] {
        azure.fault("POST", json!({"location": {"value": value}})).await;
        let response = azure.submit(json!({})).await;
        assert_eq!(response.status(), 202);
        assert_eq!(response.headers().get("location").map(|seen| seen.to_str().unwrap()), value.as_str());
        let id = response.json::<Value>().await.unwrap()["operationId"].as_str().unwrap().to_owned();
        azure.control(Method::POST, &format!("/operations/{id}/end"), json!({"outcome": "succeeded"})).await;
    }
}

#[tokio::test]
async fn faults_match_token_requests_by_application() {
    use crate::support::{CLIENT, SCOPE, SECRET};
    let azure = LocalAzure::new(json!({})).await;
    let rule = json!({"match": {"host": "login.*", "clientId": CLIENT}, "skip": 1, "times": 2, "action": {"html": {"code": 503, "handled": true}}});
    let fault = azure.control(Method::POST, "/faults", rule).await["faultId"].as_str().unwrap().to_owned();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(azure.sign_in(CLIENT, SECRET, SCOPE).await.status().as_u16());
    }
    assert_eq!(statuses, [200, 503, 503, 200]);
    assert_eq!(azure.inspect("/faults").await[0]["hits"], 2);
    azure.control(Method::DELETE, "/faults", Value::Null).await;
    assert_eq!(azure.try_control(Method::GET, &format!("/faults/{fault}"), Value::Null).await.0, 404);
}
