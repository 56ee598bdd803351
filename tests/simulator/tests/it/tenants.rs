//! Entra ID of each cloud: its names, issuer and tenants.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    entra::refused,
    managed::{ask, plain},
    signing::Signer,
    support::{CLIENT, LocalAzure, SECRET},
};

const CLOUDS: [(&str, &str, &str, &str, &str); 3] = [
    ("public", "login.microsoftonline.com", "https://*.asazure.windows.net", "sts.windows.net", "login.microsoftonline.com"),
    ("us-government", "login.microsoftonline.us", "https://*.asazure.usgovcloudapi.net", "sts.windows.net", "login.microsoftonline.us"),
    ("china", "login.chinacloudapi.cn", "https://*.asazure.chinacloudapi.cn", "sts.chinacloudapi.cn", "login.partner.microsoftonline.cn"),
];

fn tenant(cloud: &str) -> String {
    format!("tenant-{cloud}")
}

async fn sign_in(azure: &LocalAzure, authority: &str, tenant: &str, resource: &str) -> reqwest::Response {
    let body = format!("grant_type=client_credentials&client_id={CLIENT}&client_secret={SECRET}&scope={resource}/.default");
    let request = azure.http.post(format!("https://{authority}/{tenant}/oauth2/v2.0/token"));
    request.header("content-type", "application/x-www-form-urlencoded").body(body).send().await.unwrap()
}

#[tokio::test]
async fn cloud_issues_tokens_for_its_own_tenants_only() {
    let azure = LocalAzure::new(json!({})).await;
    for (cloud, ..) in CLOUDS {
        let application = json!({"tenantId": tenant(cloud), "cloud": cloud, "clientId": CLIENT, "clientSecret": SECRET});
        azure.control(Method::PUT, "/applications", application).await;
    }
    for (cloud, authority, resource, issuer, issuer_v2) in CLOUDS {
        let tenant = tenant(cloud);
        let granted: Value = sign_in(&azure, authority, &tenant, resource).await.json().await.unwrap();
        let claims = granted["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&BASE64.decode(claims).unwrap()).unwrap();
        assert_eq!((&claims["aud"], &claims["iss"]), (&json!(resource), &json!(format!("https://{issuer}/{tenant}/"))));
        let discovery = async |path: &str| {
            let url = format!("https://{authority}/{tenant}{path}/.well-known/openid-configuration");
            azure.http.get(url).send().await.unwrap().json::<Value>().await.unwrap()
        };
        let (v1, v2) = (discovery("").await, discovery("/v2.0").await);
        assert_eq!(v1["issuer"], format!("https://{issuer}/{tenant}/"));
        assert_eq!(v1["token_endpoint"], format!("https://{authority}/{tenant}/oauth2/token"));
        assert_eq!(v2["issuer"], format!("https://{issuer_v2}/{tenant}/v2.0"));
        assert_eq!(v2["token_endpoint"], format!("https://{authority}/{tenant}/oauth2/v2.0/token"));
        for (other, ..) in CLOUDS.iter().filter(|(other, ..)| *other != cloud) {
            let known = !matches!((cloud, *other), ("china", _) | (_, "china"));
            let code = if known { 900_382 } else { 90_002 };
            let response = sign_in(&azure, authority, &self::tenant(other), resource).await;
            assert_eq!(refused(response).await, (400, code), "{other} at {authority}");
            let url = format!("https://{authority}/{}/v2.0/.well-known/openid-configuration", self::tenant(other));
            assert_eq!(refused(azure.http.get(url).send().await.unwrap()).await, (400, 90_002));
        }
        for (_, _, foreign, ..) in CLOUDS.iter().filter(|(other, ..)| *other != cloud) {
            assert_eq!(refused(sign_in(&azure, authority, &tenant, foreign).await).await, (400, 500_011), "{foreign} at {authority}");
        }
    }
}

#[tokio::test]
async fn tenant_belongs_to_one_cloud() {
    let azure = LocalAzure::new(json!({})).await;
    let application = |cloud: Value| json!({"tenantId": "t", "cloud": cloud, "clientId": CLIENT, "clientSecret": SECRET});
    azure.control(Method::PUT, "/applications", application(json!("china"))).await;
    azure.control(Method::PUT, "/applications", application(Value::Null)).await;
    let (status, response) = azure.try_control(Method::PUT, "/applications", application(json!("public"))).await;
    assert!(status == 400 && response["error"].as_str().unwrap().contains("another cloud"), "{response}");
    assert_eq!(azure.try_control(Method::PUT, "/applications", application(json!("mars"))).await.0, 400);
    assert_eq!(sign_in(&azure, "login.chinacloudapi.cn", "t", "https://*.asazure.chinacloudapi.cn").await.status(), 200);
    assert_eq!(refused(sign_in(&azure, "login.microsoftonline.com", "t", "https://*.asazure.windows.net").await).await, (400, 90_002));
}

#[tokio::test]
async fn declared_cloud_supports_every_identity() {
    let azure = LocalAzure::new(json!({})).await;
    let application = json!({"tenantId": "t", "cloud": "island", "clientId": CLIENT, "clientSecret": SECRET});
    let (status, response) = azure.try_control(Method::PUT, "/applications", application.clone()).await;
    assert!(status == 400 && response["error"].as_str().unwrap().contains("PUT /clouds"), "{response}");
    let identity = json!({"tenantId": "t", "clientId": CLIENT, "cloud": "island"});
    assert_eq!(azure.try_control(Method::PUT, "/managed-identities", identity.clone()).await.0, 400);

    let services = json!({"hostSuffix": "asazure.island.example", "audience": "https://*.asazure.island.example"});
    let cloud = json!({"name": "island", "authorityHost": "login.island.example", "analysisServices": services});
    azure.control(Method::PUT, "/clouds", cloud).await;
    let server = json!({"server": "asazure://west.asazure.island.example/s", "database": "M"});
    azure.control(Method::PUT, "/models", server).await;
    let list = async |token: &str| {
        let url = "https://west.asazure.island.example/servers/s/models/M/refreshes";
        azure.http.get(url).bearer_auth(token).send().await.unwrap().status().as_u16()
    };
    assert_eq!(list(&azure.token).await, 401, "a token of the public cloud is not accepted");

    let (authority, resource) = ("login.island.example", "https://*.asazure.island.example");
    azure.control(Method::PUT, "/applications", application).await;
    let granted: Value = sign_in(&azure, authority, "t", resource).await.json().await.unwrap();
    assert_eq!(list(granted["access_token"].as_str().unwrap()).await, 200);
    assert_eq!(refused(sign_in(&azure, "login.microsoftonline.com", "t", resource).await).await, (400, 90_002));
    let url = format!("https://{authority}/t/v2.0/.well-known/openid-configuration");
    assert_eq!(azure.http.get(url).send().await.unwrap().json::<Value>().await.unwrap()["issuer"], "https://login.island.example/t/v2.0");

    let signer = Signer::own(false);
    let application = json!({"tenantId": "t", "clientId": CLIENT, "certificates": [signer.pem]});
    azure.control(Method::PUT, "/applications", application).await;
    let now = jiff::Timestamp::now().as_second();
    for (host, status) in [(authority, 200), ("login.microsoftonline.com", 401)] {
        let aud = format!("https://{host}/t/oauth2/v2.0/token");
        let claims = json!({"aud": aud, "iss": CLIENT, "sub": CLIENT, "jti": "1", "nbf": now, "exp": now + 600});
        let assertion = signer.sign(&json!({"alg": "PS256", "x5t#S256": signer.sha256()}), &claims);
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let body = format!(
            "grant_type=client_credentials&client_id={CLIENT}&scope={resource}/.default&client_assertion_type={kind}&client_assertion={assertion}"
        );
        let request = azure.http.post(format!("https://{authority}/t/oauth2/v2.0/token"));
        let response = request.header("content-type", "application/x-www-form-urlencoded").body(body).send().await.unwrap();
        assert_eq!(response.status(), status, "{host}");
    }

    azure.control(Method::PUT, "/managed-identities", identity).await;
    let client = plain(&azure);
    let query = format!("api-version=2018-02-01&client_id={CLIENT}&resource=");
    let token: Value = ask(&client, &format!("{query}{resource}")).await.json().await.unwrap();
    assert_eq!(list(token["access_token"].as_str().unwrap()).await, 200);
    assert_eq!(ask(&client, &format!("{query}https://*.asazure.windows.net")).await.status(), 400);
}
