//! The metadata service of the machine: tokens for managed identities by plain HTTP.

use std::time::Duration;

use reqwest::{Client, Method, Proxy, Response};
use serde_json::{Value, json};

use crate::support::{CLIENT, LocalAzure, MODEL, TENANT};

const SECOND: &str = "22222222-0000-4000-8000-000000000002";
const RESOURCE: &str = "https://*.asazure.windows.net";
const ENDPOINT: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

/// A client that sends plain HTTP through the proxy, as with `HTTP_PROXY`.
pub fn plain(azure: &LocalAzure) -> Client {
    Client::builder().proxy(Proxy::http(azure.simulator.proxy_url()).unwrap()).timeout(Duration::from_secs(20)).build().unwrap()
}

/// Requests a token, with the required header.
pub async fn ask(client: &Client, query: &str) -> Response {
    client.get(format!("{ENDPOINT}?{query}")).header("Metadata", "true").send().await.unwrap()
}

async fn refusal(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    (status, format!("{}: {}", body["error"].as_str().unwrap(), body["error_description"].as_str().unwrap()))
}

async fn assign(azure: &LocalAzure, identity: Value) {
    azure.control(Method::PUT, "/managed-identities", identity).await;
}

#[tokio::test]
async fn managed_identity_token_is_accepted_by_service() {
    let azure = LocalAzure::new(json!({})).await;
    let client = plain(&azure);
    assign(&azure, json!({"tenantId": TENANT, "clientId": CLIENT, "resourceId": "/subscriptions/1/refresher"})).await;
    let response = ask(&client, &format!("api-version=2018-02-01&resource={RESOURCE}&client_id={CLIENT}")).await;
    assert_eq!((response.status().as_u16(), response.headers()["server"].to_str().unwrap().starts_with("IMDS/")), (200, true));
    let token: Value = response.json().await.unwrap();
    for field in ["access_token", "client_id", "expires_in", "expires_on", "ext_expires_in", "not_before", "resource", "token_type"] {
        assert!(token[field].is_string(), "{field} is not a string: {token}");
    }
    assert_eq!((&token["resource"], &token["token_type"], &token["expires_in"]), (&json!(RESOURCE), &json!("Bearer"), &json!("86399")));
    let times = ["expires_on", "not_before"].map(|field| token[field].as_str().unwrap().parse::<i64>().unwrap());
    assert_eq!(times[0] - times[1], 86_399);
    let row = azure.last_row().await;
    let shown = (&row["host"], &row["route"], &row["credential"], &row["clientId"], &row["status"]);
    assert_eq!(shown, (&json!("169.254.169.254"), &json!("imds"), &json!("managed"), &json!(CLIENT), &json!(200)));

    let bearer = token["access_token"].as_str().unwrap();
    assert_eq!(azure.http.get(format!("{MODEL}/refreshes")).bearer_auth(bearer).send().await.unwrap().status(), 200);
    let ledger = azure.inspect("/ledger").await.to_string();
    assert!(!ledger.contains(bearer), "{ledger}");
}

#[tokio::test]
async fn token_of_machine_cache_has_age() {
    let azure = LocalAzure::new(json!({})).await;
    let client = plain(&azure);
    let query = format!("api-version=2018-02-01&resource={RESOURCE}");
    for (age, status) in [(86_000, 200), (90_000, 401)] {
        assign(&azure, json!({"tenantId": TENANT, "clientId": CLIENT, "tokenAgeSeconds": age})).await;
        let now = jiff::Timestamp::now().as_second();
        let token: Value = ask(&client, &query).await.json().await.unwrap();
        let left = token["expires_on"].as_str().unwrap().parse::<i64>().unwrap() - now;
        let expected = 86_399 - age;
        assert!((expected..=expected + 60).contains(&left), "{age}: {token}");
        assert_eq!(token["expires_in"], "86399", "{age}");
        let bearer = token["access_token"].as_str().unwrap();
        let response = azure.http.get(format!("{MODEL}/refreshes")).bearer_auth(bearer).send().await.unwrap();
        assert_eq!(response.status(), status, "{age}");
    }
}

#[tokio::test]
async fn identities_are_selected_by_their_ids() {
    let azure = LocalAzure::new(json!({})).await;
    let client = plain(&azure);
    let query = format!("api-version=2018-02-01&resource={RESOURCE}");
    let none = (400, "invalid_request: Identity not found".to_owned());
    assert_eq!(refusal(ask(&client, &query).await).await, none);
    assign(&azure, json!({"tenantId": TENANT, "clientId": CLIENT, "objectId": "o-1", "resourceId": "/r/1"})).await;
    assert_eq!(ask(&client, &query).await.status(), 200, "a single identity is the default");
    assign(&azure, json!({"tenantId": TENANT, "clientId": SECOND})).await;
    let (status, text) = refusal(ask(&client, &query).await).await;
    assert!(status == 400 && text.contains("Multiple user assigned identities exist"), "{text}");
    for (named, id) in [("client_id", CLIENT), ("client_id", SECOND), ("object_id", "o-1"), ("msi_res_id", "/r/1"), ("mi_res_id", "/r/1")] {
        assert_eq!(ask(&client, &format!("{query}&{named}={id}")).await.status(), 200, "{named}");
    }
    for foreign in ["client_id=x", "object_id=x", "msi_res_id=x"] {
        assert_eq!(refusal(ask(&client, &format!("{query}&{foreign}")).await).await, none, "{foreign}");
    }
    assign(&azure, json!({"tenantId": TENANT, "clientId": "system", "systemAssigned": true})).await;
    let token: Value = ask(&client, &query).await.json().await.unwrap();
    assert_eq!(token["client_id"], "system");
    assert_eq!(azure.inspect("/managed-identities").await.as_array().unwrap().len(), 3);
    azure.control(Method::DELETE, &format!("/managed-identities?clientId={CLIENT}"), Value::Null).await;
    assert_eq!(refusal(ask(&client, &format!("{query}&client_id={CLIENT}")).await).await, none);
    assert_eq!(azure.try_control(Method::DELETE, "/managed-identities?clientId=x", Value::Null).await.0, 404);
    azure.control(Method::DELETE, "/managed-identities", Value::Null).await;
    assert_eq!(refusal(ask(&client, &query).await).await, none);
    assert_eq!(azure.try_control(Method::PUT, "/managed-identities", json!({"tenantId": TENANT, "clientId": ""})).await.0, 400);
}

#[tokio::test]
async fn invalid_requests_are_refused_as_documented() {
    let azure = LocalAzure::new(json!({})).await;
    let client = plain(&azure);
    assign(&azure, json!({"tenantId": TENANT, "clientId": CLIENT})).await;
    let good = format!("{ENDPOINT}?api-version=2018-02-01&resource={RESOURCE}");
    let sent = async |request: reqwest::RequestBuilder| refusal(request.send().await.unwrap()).await;
    assert_eq!(sent(client.get(&good)).await, (400, "invalid_request: Required metadata header not specified".into()));
    assert_eq!(sent(client.get(&good).header("Metadata", "True")).await.0, 400);
    assert_eq!(sent(client.get(&good).header("Metadata", "true").header("X-Forwarded-For", "1.2.3.4")).await.0, 400);
    assert_eq!(sent(client.post(&good).header("Metadata", "true")).await.0, 405);
    assert_eq!(sent(client.get("http://169.254.169.254/metadata/instance").header("Metadata", "true")).await.0, 404);
    for (query, status, words) in [
        ("resource=https://*.asazure.windows.net", 400, "api-version"),
        ("api-version=latest&resource=https://*.asazure.windows.net", 400, "api-version"),
        ("api-version=2018-02-01", 400, "'resource' is missing"),
        ("api-version=2018-02-01&resource=https://*.asazure.chinacloudapi.cn", 400, "invalid_resource: AADSTS500011: "),
    ] {
        let (found, text) = refusal(ask(&client, query).await).await;
        assert!(found == status && text.contains(words), "{query}: {text}");
    }
    for (condition, status) in
        [("updating", 410), ("starting", 404), ("throttled", 429), ("failing", 500), ("unauthorized", 400), ("ready", 200)]
    {
        assign(&azure, json!({"tenantId": TENANT, "clientId": CLIENT, "condition": condition})).await;
        let response = client.get(&good).header("Metadata", "true").send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.headers().contains_key("retry-after")), (status, status == 429), "{condition}");
    }
}

#[tokio::test]
async fn faults_apply_and_other_hosts_stay_refused() {
    let azure = LocalAzure::new(json!({})).await;
    let client = plain(&azure);
    assign(&azure, json!({"tenantId": TENANT, "clientId": CLIENT})).await;
    let query = format!("api-version=2018-02-01&resource={RESOURCE}");
    let rule = |action: Value| json!({"match": {"host": "169.254.169.254", "clientId": CLIENT}, "action": action});
    for action in [json!({"dropBefore": {}}), json!({"dropAfter": {"alone": true}})] {
        azure.control(Method::POST, "/faults", rule(action)).await;
        // A new connection each time: the client would repeat a request lost on a reused one.
        let lost = plain(&azure).get(format!("{ENDPOINT}?{query}")).header("Metadata", "true").send().await;
        assert!(lost.is_err(), "{lost:?}");
    }
    azure.control(Method::POST, "/faults", rule(json!({"truncate": {"bytes": 10}}))).await;
    assert!(ask(&client, &query).await.bytes().await.is_err());
    azure.control(Method::POST, "/faults", rule(json!({"status": {"code": 429, "headers": {"Retry-After": "7"}}}))).await;
    assert_eq!(ask(&client, &query).await.headers()["retry-after"], "7");
    assert_eq!(ask(&client, &query).await.status(), 200);
    for elsewhere in ["http://169.254.169.253/metadata/identity/oauth2/token", "http://169.254.169.254:8080/", "http://example.com/"] {
        let response = client.get(elsewhere).header("Metadata", "true").send().await.unwrap();
        assert_eq!(response.status(), 403, "{elsewhere}");
        assert_eq!(azure.last_row().await["route"], "refused");
    }
    let tunnel = Client::builder().proxy(Proxy::https(azure.simulator.proxy_url()).unwrap()).build().unwrap();
    assert!(tunnel.get("https://169.254.169.254/").send().await.is_err(), "it has no TLS");
}
