//! The refusals of Power BI: tokens, clients without access, parameters, limits.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{API, CLIENT, DATASET, GROUP, POWER_BI_SCOPE, PowerBi, SECRET, TENANT};

#[tokio::test]
async fn invalid_tokens_are_refused() {
    let power_bi = PowerBi::new(json!({})).await;
    let url = format!("{API}/groups/{GROUP}/datasets/{DATASET}/refreshes");
    for token in ["nonsense", &power_bi.azure.token] {
        let response = power_bi.azure.http.get(&url).bearer_auth(token).send().await.unwrap();
        assert_eq!(response.status(), 401);
        assert!(response.headers().contains_key("www-authenticate") && response.text().await.unwrap().is_empty());
    }
    assert_eq!(power_bi.azure.http.get(&url).send().await.unwrap().status(), 401);
    let documented = power_bi.azure.token_for("https://api.powerbi.com/.default").await;
    assert_eq!(power_bi.azure.http.get(&url).bearer_auth(documented).send().await.unwrap().status(), 200);
    let application = json!({"tenantId": TENANT, "clientId": CLIENT, "clientSecret": SECRET, "tokenLifetimeSeconds": 0});
    power_bi.azure.control(Method::PUT, "/applications", application).await;
    let expired = power_bi.azure.token_for(POWER_BI_SCOPE).await;
    let response = power_bi.azure.http.get(&url).bearer_auth(expired).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.json::<Value>().await.unwrap()["error"]["code"]), (403, &json!("TokenExpired")));
}

#[tokio::test]
async fn every_refusal_has_its_shape_and_code() {
    let power_bi = PowerBi::new(json!({})).await;
    for (refusal, status, pointer, value) in [
        ("notAuthorized", 401, "/error/code", json!("PowerBINotAuthorizedException")),
        ("tenantSetting", 401, "", Value::Null),
        ("notAccessible", 403, "/Message", json!("API is not accessible for application")),
        ("tokenExpired", 403, "/error/code", json!("TokenExpired")),
        ("notFound", 404, "/error/code", json!("PowerBIEntityNotFound")),
        (
            "throttled",
            429,
            "/message",
            json!(
                "You have exceeded the amount of requests allowed in the current time frame and further requests will fail. Retry in 7 seconds."
            ),
        ),
    ] {
        power_bi.patch(json!({"powerBI": {"refusal": refusal, "retryAfterSeconds": 7}})).await;
        let response = power_bi.call(Method::GET, "/refreshes").send().await.unwrap();
        assert_eq!(response.status(), status, "{refusal}");
        assert_eq!(response.headers().get("retry-after").is_some(), status == 429);
        let body: Value = response.json().await.unwrap_or_default();
        assert_eq!(body.pointer(pointer).unwrap(), &value, "{refusal}");
    }
    let others = json!([{"tenantId": TENANT, "clientId": "other-client"}]);
    power_bi.patch(json!({"administrators": others, "powerBI": {"refusal": null}})).await;
    assert_eq!(power_bi.submit(json!({"type": "full"})).await.status(), 404);
    power_bi.patch(json!({"powerBI": {"unauthorizedRefusal": "notAuthorized"}})).await;
    assert_eq!(power_bi.submit(json!({"type": "full"})).await.status(), 401);
    assert_eq!(power_bi.azure.operations().await.len(), 0);
}

#[tokio::test]
async fn missing_objects_are_not_found() {
    let power_bi = PowerBi::new(json!({})).await;
    for path in [
        format!("/groups/{DATASET}/datasets/{DATASET}/refreshes"),
        format!("/groups/{GROUP}/datasets/{GROUP}/refreshes"),
        format!("/groups/{GROUP}/datasets/Sales/refreshes"),
        format!("/groups/{GROUP}/datasets/{DATASET}/refreshes/{CLIENT}"),
        format!("/groups/{GROUP}/datasets/{DATASET}/refreshes/latest"),
        format!("/groups/{CLIENT}/datasets"),
    ] {
        let response = power_bi.any(Method::GET, &path).send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.json::<Value>().await.unwrap()["error"]["code"]),
            (404, &json!("PowerBIEntityNotFound")),
            "{path}"
        );
    }
    assert_eq!(power_bi.any(Method::GET, "/reports").send().await.unwrap().status(), 404);
    for (method, path) in
        [(Method::PUT, "/refreshes"), (Method::GET, "/queryScaleOut/sync"), (Method::POST, "/queryScaleOut/syncStatus"), (Method::POST, "")]
    {
        assert_eq!(power_bi.call(method, path).send().await.unwrap().status(), 405, "{path}");
    }
}

#[tokio::test]
async fn parameters_are_validated_as_documented() {
    let power_bi = PowerBi::new(json!({"durationMillis": 0, "powerBI": {"incrementalTables": ["FactSales"]}})).await;
    for (body, target) in [
        (json!({"type": "add"}), "datasetRefreshRequest.type"),
        (json!({"timeout": "25:00:00"}), "datasetRefreshRequest.timeout"),
        (json!({"objects": [{"partition": "A"}]}), "datasetRefreshRequest.objects"),
        (json!([]), "datasetRefreshRequest"),
    ] {
        let response = power_bi.submit(body.clone()).await;
        assert_eq!(response.status(), 400, "{body}");
        assert_eq!(response.json::<Value>().await.unwrap()["error"]["details"][0]["target"], target);
    }
    let plain = power_bi.call(Method::POST, "/refreshes").header("content-type", "text/plain").body("{}").send().await.unwrap();
    assert_eq!(plain.status(), 415);
    let unsupported = [
        json!({"commitMode": "partialBatch"}),
        json!({"type": "full", "objects": [{"table": "factsales", "partition": "FactSales 2025"}]}),
    ];
    for body in &unsupported {
        assert_eq!(power_bi.submit(body.clone()).await.status(), 400, "{body}");
        let mut supported = body.clone();
        supported["applyRefreshPolicy"] = false.into();
        assert_eq!(power_bi.submit(supported).await.status(), 202, "{body}");
    }
    power_bi.patch(json!({"powerBI": {"validation": "fail"}})).await;
    for body in unsupported {
        let accepted = power_bi.submit(body).await;
        let id = accepted.headers()["requestid"].to_str().unwrap().to_owned();
        let (_, seen) = power_bi.get(&format!("/refreshes/{id}")).await;
        assert_eq!((accepted.status().as_u16(), &seen["status"]), (202, &json!("Failed")));
        assert!(seen["messages"][0]["message"].is_string());
    }
}

#[tokio::test]
async fn daily_limit_is_enforced() {
    let power_bi = PowerBi::new(json!({"durationMillis": 0, "powerBI": {"dailyLimit": 2}})).await;
    let other = json!({"groupId": GROUP, "datasetId": DATASET, "refreshType": "Scheduled", "durationMillis": 0});
    power_bi.azure.control(Method::POST, "/operations", other).await;
    power_bi.start().await;
    power_bi.start().await;
    let message = async || {
        let response = power_bi.submit(json!({"type": "full"})).await;
        assert_eq!(response.status(), 400);
        response.json::<Value>().await.unwrap()["error"]["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(message().await, "Invalid dataset refresh request. Number of refresh requests in last 24 hours exceeded limit");
    power_bi.patch(json!({"powerBI": {"language": "chinese"}})).await;
    assert!(message().await.contains("24 小时"));
    power_bi.patch(json!({"powerBI": {"limitBody": {"error": {"message": "another text"}}}})).await;
    assert_eq!(message().await, "another text");
}
