//! Entra ID: tokens by secret, discovery documents, and error responses.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{AUTHORITY, CLIENT, LocalAzure, SCOPE, SECRET, TENANT};

/// The text of an error response.
pub async fn description(response: reqwest::Response) -> String {
    let body: Value = response.json().await.unwrap();
    body["error_description"].as_str().unwrap().to_owned()
}

/// Status and code of an error response, after a check of its shape.
pub async fn refused(response: reqwest::Response) -> (u16, u64) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    let code = body["error_codes"][0].as_u64().unwrap();
    let description = body["error_description"].as_str().unwrap();
    assert!(description.starts_with(&format!("AADSTS{code}: ")), "{description}");
    assert!(description.contains(" Trace ID: ") && description.contains(" Correlation ID: ") && description.contains(" Timestamp: "));
    for field in ["error", "timestamp", "trace_id", "correlation_id", "error_uri"] {
        assert!(body[field].is_string(), "{field}");
    }
    (status, code)
}

#[tokio::test]
async fn secret_gives_token_with_real_claims() {
    let azure = LocalAzure::new(json!({})).await;
    let claims: Value = serde_json::from_slice(&BASE64.decode(azure.token.split('.').nth(1).unwrap()).unwrap()).unwrap();
    assert_eq!(
        (&claims["aud"], &claims["appid"], &claims["tid"]),
        (&json!("https://*.asazure.windows.net"), &json!(CLIENT), &json!(TENANT))
    );
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3_599);
    let ledger = azure.inspect("/ledger").await.to_string();
    assert!(!ledger.contains(SECRET) && !ledger.contains(&azure.token), "{ledger}");
}

#[tokio::test]
async fn refusals_have_documented_codes() {
    let azure = LocalAzure::new(json!({})).await;
    assert_eq!(refused(azure.sign_in(CLIENT, "wrong", SCOPE).await).await, (401, 7_000_215));
    assert_eq!(refused(azure.sign_in("unknown", SECRET, SCOPE).await).await, (400, 700_016));
    assert_eq!(refused(azure.sign_in(CLIENT, SECRET, "https://nothing.example/.default").await).await, (400, 500_011));
    assert_eq!(refused(azure.sign_in(CLIENT, SECRET, "https://*.asazure.chinacloudapi.cn/.default").await).await, (400, 500_011));
    assert_eq!(refused(azure.sign_in(CLIENT, SECRET, "https://*.asazure.windows.net/user").await).await, (400, 1_002_012));
    assert_eq!(
        refused(azure.token_request("no-tenant", &[("client_id", CLIENT), ("grant_type", "client_credentials")]).await).await,
        (400, 90_002)
    );
    assert_eq!(refused(azure.token_request(TENANT, &[("grant_type", "client_credentials")]).await).await, (400, 900_144));
    assert_eq!(refused(azure.token_request(TENANT, &[("client_id", CLIENT), ("grant_type", "password")]).await).await, (400, 70_003));
    let bare = [("client_id", CLIENT), ("grant_type", "client_credentials"), ("scope", SCOPE)];
    assert_eq!(refused(azure.token_request(TENANT, &bare).await).await, (401, 7_000_216));
    let application = json!({"tenantId": TENANT, "clientId": CLIENT, "clientSecret": SECRET, "secretExpired": true});
    azure.control(Method::PUT, "/applications", application).await;
    assert_eq!(refused(azure.sign_in(CLIENT, SECRET, SCOPE).await).await, (401, 7_000_222));
    assert_eq!(refused(azure.sign_in(CLIENT, "wrong", SCOPE).await).await, (401, 7_000_215));
}

#[tokio::test]
async fn entra_id_can_be_unavailable() {
    let azure = LocalAzure::new(json!({})).await;
    azure.control(Method::PUT, "/entra", json!({"unavailable": true, "delayMillis": 1})).await;
    let response = azure.sign_in(CLIENT, SECRET, SCOPE).await;
    assert_eq!((response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()), (503, "text/html"));
    azure.control(Method::PUT, "/entra", json!({})).await;
    assert_eq!(azure.sign_in(CLIENT, SECRET, SCOPE).await.status(), 200);
}

#[tokio::test]
async fn discovery_documents_are_served() {
    let azure = LocalAzure::new(json!({})).await;
    let get = async |path: String| azure.http.get(format!("{AUTHORITY}{path}")).send().await.unwrap().json::<Value>().await.unwrap();
    let instance =
        get("/common/discovery/instance?api-version=1.1&authorization_endpoint=https://login.microsoftonline.com/t/oauth2/v2.0/authorize"
            .into())
        .await;
    assert_eq!(instance["tenant_discovery_endpoint"], "https://login.microsoftonline.com/t/v2.0/.well-known/openid-configuration");
    let configuration = get(format!("/{TENANT}/v2.0/.well-known/openid-configuration")).await;
    assert_eq!(configuration["token_endpoint"], format!("{AUTHORITY}/{TENANT}/oauth2/v2.0/token"));
    let keys = get(format!("/{TENANT}/discovery/v2.0/keys")).await;
    let key = &keys["keys"][0];
    let (n, e) = (BASE64.decode(key["n"].as_str().unwrap()).unwrap(), BASE64.decode(key["e"].as_str().unwrap()).unwrap());
    let (signed, signature) = azure.token.rsplit_once('.').unwrap();
    aws_lc_rs::signature::RsaPublicKeyComponents { n, e }
        .verify(&aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &BASE64.decode(signature).unwrap())
        .expect("the published key verifies the token");
}

#[tokio::test]
async fn version_one_and_sovereign_clouds_respond() {
    let azure = LocalAzure::new(json!({})).await;
    let post = async |url: String, body: String| {
        azure.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(body).send().await.unwrap()
    };
    let credentials = format!("grant_type=client_credentials&client_id={CLIENT}&client_secret={SECRET}");
    let response =
        post(format!("{AUTHORITY}/{TENANT}/oauth2/token"), format!("{credentials}&resource=https://*.asazure.windows.net")).await;
    assert_eq!(response.status(), 200);
    for (authority, scope) in [
        ("login.microsoftonline.us", "https://*.asazure.usgovcloudapi.net/.default"),
        ("login.microsoftonline.us", "https://high.analysis.usgovcloudapi.net/powerbi/api/.default"),
        ("login.chinacloudapi.cn", "https://*.asazure.chinacloudapi.cn/.default"),
        ("login.microsoftonline.com", "https://analysis.usgovcloudapi.net/powerbi/api/.default"),
    ] {
        let response = post(format!("https://{authority}/{TENANT}/oauth2/v2.0/token"), format!("{credentials}&scope={scope}")).await;
        assert_eq!(response.status(), 200, "{authority} {scope}");
    }
}
