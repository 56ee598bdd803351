//! The refusals of Analysis Services: tokens, clients without access, bodies, and a paused server.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{CLIENT, MODEL, SCOPE, SECRET, Scene, TENANT};

#[tokio::test]
async fn non_json_request_is_refused() {
    let scene = Scene::new(json!({})).await;
    for content_type in [None, Some("text/plain")] {
        let mut request = scene.call(Method::POST, "/refreshes").body(r#"{"Type":"Full"}"#);
        if let Some(value) = content_type {
            request = request.header("content-type", value);
        }
        assert_eq!(request.send().await.unwrap().status(), 415);
    }
    for body in ["{", "[]", r#"{"Type":"add"}"#, r#"{"Type":"everything"}"#] {
        let request = scene.call(Method::POST, "/refreshes").header("content-type", "application/json; charset=utf-8").body(body);
        assert_eq!(request.send().await.unwrap().status(), 400, "{body}");
    }
    assert_eq!(scene.call(Method::PUT, "/refreshes").send().await.unwrap().status(), 405);
    assert_eq!(scene.operations().await.len(), 0);
}

#[tokio::test]
async fn invalid_tokens_are_refused() {
    let scene = Scene::new(json!({})).await;
    let power_bi = scene.sign_in(CLIENT, SECRET, "https://analysis.windows.net/powerbi/api/.default").await.json::<Value>().await.unwrap();
    let forged = format!("{}x", scene.token);
    for token in [None, Some("nonsense"), Some(forged.as_str()), power_bi["access_token"].as_str()] {
        let mut request = scene.http.get(format!("{MODEL}/refreshes"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401);
        assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer "));
    }
    let elsewhere = "https://beijing.asazure.chinacloudapi.cn/servers/s/models/m/refreshes";
    assert_eq!(scene.http.get(elsewhere).bearer_auth(&scene.token).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn expired_token_is_refused() {
    let scene = Scene::new(json!({})).await;
    let application = json!({"tenantId": TENANT, "clientId": CLIENT, "clientSecret": SECRET, "tokenLifetimeSeconds": 0});
    scene.control(Method::PUT, "/applications", application).await;
    let token = scene.sign_in(CLIENT, SECRET, SCOPE).await.json::<Value>().await.unwrap();
    assert_eq!(token["expires_in"], 0);
    let answer = scene.http.get(format!("{MODEL}/refreshes")).bearer_auth(token["access_token"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(scene.get("/refreshes").await.0, 200, "the previous token is still valid");
}

#[tokio::test]
async fn denied_client_and_missing_server_get_same_response() {
    let scene = Scene::new(json!({"administrators": [{"tenantId": TENANT, "clientId": "other-client"}]})).await;
    let other = "https://westus.asazure.windows.net/servers/myserver:rw/models/AdventureWorks/refreshes";
    for url in [format!("{MODEL}/refreshes"), other.to_owned()] {
        let answer = scene.http.get(url).bearer_auth(&scene.token).send().await.unwrap();
        assert_eq!(answer.status(), 400);
        let sentence = answer.headers()["x-ms-xmlaerror-extended"].to_str().unwrap().to_owned();
        assert!(sentence.starts_with("Either server 'myserver") && sentence.contains("not the administrator"), "{sentence}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(
            (&body["code"], &body["httpStatusCode"], &body["details"][1]["code"]),
            (&json!("Unauthorized"), &json!(400), &json!("Param1"))
        );
    }
    scene.patch(json!({"administrators": [{"tenantId": TENANT, "clientId": CLIENT.to_uppercase()}]})).await;
    assert_eq!(scene.get("/refreshes").await.0, 200);
    let missing = "https://westus.asazure.windows.net/servers/myserver/models/Nothing/refreshes";
    assert_eq!(scene.http.get(missing).bearer_auth(&scene.token).send().await.unwrap().status(), 404);
    let shouted = "https://westus.asazure.windows.net/servers/MYSERVER/models/ADVENTUREWORKS/refreshes";
    assert_eq!(scene.http.get(shouted).bearer_auth(&scene.token).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn paused_server_refuses_calls() {
    let scene = Scene::new(json!({"paused": true})).await;
    let (status, body) = scene.get("/refreshes").await;
    assert_eq!((status, &body["code"]), (400, &json!("ServerPausedOrScaling")));
    scene.patch(json!({"pausedStatus": 503})).await;
    assert_eq!(scene.submit(json!({})).await.status(), 503);
    scene.patch(json!({"paused": false})).await;
    assert_eq!(scene.get("/refreshes").await.0, 200);
}
