//! The refusals of Analysis Services: tokens, clients without access, bodies, and a paused server.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{CLIENT, LocalAzure, MODEL, SCOPE, SECRET, TENANT};

#[tokio::test]
async fn non_json_request_is_refused() {
    let azure = LocalAzure::new(json!({})).await;
    for content_type in [None, Some("text/plain")] {
        let mut request = azure.call(Method::POST, "/refreshes").body(r#"{"Type":"Full"}"#);
        if let Some(value) = content_type {
            request = request.header("content-type", value);
        }
        assert_eq!(request.send().await.unwrap().status(), 415);
    }
    for body in ["{", "[]", r#"{"Type":"add"}"#, r#"{"Type":"everything"}"#] {
        let request = azure.call(Method::POST, "/refreshes").header("content-type", "application/json; charset=utf-8").body(body);
        assert_eq!(request.send().await.unwrap().status(), 400, "{body}");
    }
    assert_eq!(azure.call(Method::PUT, "/refreshes").send().await.unwrap().status(), 405);
    assert_eq!(azure.operations().await.len(), 0);
}

#[tokio::test]
async fn invalid_tokens_are_refused() {
    let azure = LocalAzure::new(json!({})).await;
    let power_bi = azure.sign_in(CLIENT, SECRET, "https://analysis.windows.net/powerbi/api/.default").await.json::<Value>().await.unwrap();
    let forged = format!("{}x", azure.token);
    for token in [None, Some("nonsense"), Some(forged.as_str()), power_bi["access_token"].as_str()] {
        let mut request = azure.http.get(format!("{MODEL}/refreshes"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401);
        assert!(response.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer "));
    }
    let elsewhere = "https://beijing.asazure.chinacloudapi.cn/servers/s/models/m/refreshes";
    assert_eq!(azure.http.get(elsewhere).bearer_auth(&azure.token).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn expired_token_is_refused() {
    let azure = LocalAzure::new(json!({})).await;
    let application = json!({"tenantId": TENANT, "clientId": CLIENT, "clientSecret": SECRET, "tokenLifetimeSeconds": 0});
    azure.control(Method::PUT, "/applications", application).await;
    let token = azure.sign_in(CLIENT, SECRET, SCOPE).await.json::<Value>().await.unwrap();
    assert_eq!(token["expires_in"], 0);
    let response = azure.http.get(format!("{MODEL}/refreshes")).bearer_auth(token["access_token"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(azure.get("/refreshes").await.0, 200, "the previous token is still valid");
}

#[tokio::test]
async fn denied_client_and_missing_server_get_same_response() {
    let azure = LocalAzure::new(json!({"administrators": [{"tenantId": TENANT, "clientId": "other-client"}]})).await;
    let other = "https://westus.asazure.windows.net/servers/myserver:rw/models/AdventureWorks/refreshes";
    for url in [format!("{MODEL}/refreshes"), other.to_owned()] {
        let response = azure.http.get(url).bearer_auth(&azure.token).send().await.unwrap();
        assert_eq!(response.status(), 400);
        let sentence = response.headers()["x-ms-xmlaerror-extended"].to_str().unwrap().to_owned();
        assert!(sentence.starts_with("Either server 'myserver") && sentence.contains("not the administrator"), "{sentence}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(
            (&body["code"], &body["httpStatusCode"], &body["details"][1]["code"]),
            (&json!("Unauthorized"), &json!(400), &json!("Param1"))
        );
    }
    azure.patch(json!({"administrators": [{"tenantId": TENANT, "clientId": CLIENT.to_uppercase()}]})).await;
    assert_eq!(azure.get("/refreshes").await.0, 200);
    let missing = "https://westus.asazure.windows.net/servers/myserver/models/Nothing/refreshes";
    assert_eq!(azure.http.get(missing).bearer_auth(&azure.token).send().await.unwrap().status(), 404);
    let shouted = "https://westus.asazure.windows.net/servers/MYSERVER/models/ADVENTUREWORKS/refreshes";
    assert_eq!(azure.http.get(shouted).bearer_auth(&azure.token).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn paused_server_refuses_calls() {
    let azure = LocalAzure::new(json!({"paused": true})).await;
    let (status, body) = azure.get("/refreshes").await;
    assert_eq!((status, &body["code"]), (400, &json!("ServerPausedOrScaling")));
    azure.patch(json!({"pausedStatus": 503})).await;
    assert_eq!(azure.submit(json!({})).await.status(), 503);
    azure.patch(json!({"paused": false})).await;
    assert_eq!(azure.get("/refreshes").await.0, 200);
}
