//! Entra ID: tokens by an external token, such as that of a Kubernetes service account.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    entra::{description, refused},
    signing::Signer,
    support::{CLIENT, LocalAzure, TENANT},
};

const ISSUER: &str = "https://kubernetes.default.svc";
const SUBJECT: &str = "system:serviceaccount:bi:Refresher";
const KEY: &str = "key-1";

/// The claims of a service account's token, as issued by the API server.
fn claims(changes: &Value) -> Value {
    let now = jiff::Timestamp::now().as_second();
    let mut claims = json!({
        "aud": ["api://AzureADTokenExchange"], "iss": ISSUER, "sub": SUBJECT, "jti": "1", "iat": now, "nbf": now, "exp": now + 600,
        "kubernetes.io": {"namespace": "bi", "serviceaccount": {"name": "Refresher", "uid": "1"}},
    });
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    claims
}

async fn federated(azure: &LocalAzure, cluster: &Signer) {
    let credentials = json!([
        {"issuer": "https://token.actions.githubusercontent.com", "subject": "repo:a/b:ref:refs/heads/main"},
        {"issuer": ISSUER, "subject": SUBJECT},
        {"issuer": "https://unreachable.example", "subject": SUBJECT},
    ]);
    let application = json!({"tenantId": TENANT, "clientId": CLIENT, "federatedCredentials": credentials});
    azure.control(Method::PUT, "/applications", application).await;
    azure.control(Method::PUT, "/issuers", json!({"issuer": ISSUER, "jwks": cluster.jwks(KEY)})).await;
}

#[tokio::test]
async fn only_matching_service_account_token_is_exchanged() {
    let azure = LocalAzure::new(json!({})).await;
    let (cluster, other) = (Signer::own(false), Signer::own(false));
    federated(&azure, &cluster).await;
    let header = json!({"alg": "RS256", "kid": KEY});
    let presented = cluster.sign(&header, &claims(&json!({})));
    let response = azure.assert(&presented).await;
    assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
    let row = azure.last_row().await;
    assert_eq!((&row["credential"], &row["clientId"], &row["route"]), (&json!("federated"), &json!(CLIENT), &json!("token")));
    assert!(!row.to_string().contains(&presented) && !row.to_string().contains(presented.rsplit('.').next().unwrap()), "{row}");

    let now = jiff::Timestamp::now().as_second();
    for (assertion, status, code) in [
        (cluster.sign(&header, &claims(&json!({"iss": "https://kubernetes.default.svc/"}))), 401, 700_211),
        (cluster.sign(&header, &claims(&json!({"sub": "system:serviceaccount:other:Refresher"}))), 401, 700_213),
        (cluster.sign(&header, &claims(&json!({"sub": SUBJECT.to_lowercase()}))), 401, 7_002_138),
        (cluster.sign(&header, &claims(&json!({"aud": "https://kubernetes.default.svc"}))), 401, 700_212),
        (cluster.sign(&header, &claims(&json!({"aud": []}))), 401, 700_212),
        (cluster.sign(&header, &claims(&json!({"iss": "https://unreachable.example"}))), 400, 501_661),
        (cluster.sign(&json!({"alg": "RS256", "kid": "key-2"}), &claims(&json!({}))), 401, 7_000_272),
        (cluster.sign(&json!({"alg": "RS256"}), &claims(&json!({}))), 401, 7_000_272),
        (cluster.sign(&json!({"alg": "ES256", "kid": KEY}), &claims(&json!({}))), 401, 5_002_738),
        (other.sign(&header, &claims(&json!({}))), 401, 7_000_274),
        (cluster.sign(&header, &claims(&json!({"exp": now - 3_600}))), 401, 700_024),
    ] {
        assert_eq!(refused(azure.assert(&assertion).await).await, (status, code));
    }
    let other = cluster.sign(&header, &claims(&json!({"sub": "system:serviceaccount:other:default"})));
    let text = description(azure.assert(&other).await).await;
    assert!(text.contains("presented assertion subject 'system:serviceaccount:other:default'. Check your federated"), "{text}");
}

#[tokio::test]
async fn untrusted_tokens_and_unusable_keys_are_refused() {
    let azure = LocalAzure::new(json!({})).await;
    let cluster = Signer::own(false);
    let presented = cluster.sign(&json!({"alg": "RS256", "kid": KEY}), &claims(&json!({})));
    assert_eq!(refused(azure.assert(&presented).await).await, (401, 70_025));
    for jwks in [
        json!({"keys": []}),
        json!({"keys": [{"kty": "EC", "kid": "1", "crv": "P-256", "x": "AA", "y": "AA"}]}),
        json!({"keys": [{"kty": "RSA", "kid": "1", "n": "%", "e": "AQAB"}]}),
        json!({}),
    ] {
        let (status, response) = azure.try_control(Method::PUT, "/issuers", json!({"issuer": ISSUER, "jwks": jwks})).await;
        assert_eq!(status, 400, "{response}");
    }
}

#[tokio::test]
async fn faults_apply_to_every_kind_of_token_request() {
    let azure = LocalAzure::new(json!({})).await;
    let cluster = Signer::own(false);
    federated(&azure, &cluster).await;
    let action = json!({"status": {"code": 503, "body": "down"}});
    azure.control(Method::POST, "/faults", json!({"match": {"clientId": CLIENT, "path": "*/token"}, "action": action})).await;
    let presented = cluster.sign(&json!({"alg": "RS256", "kid": KEY}), &claims(&json!({})));
    assert_eq!(azure.assert(&presented).await.status(), 503);
    let row = azure.last_row().await;
    assert_eq!((&row["credential"], &row["handled"], &row["status"]), (&json!("federated"), &json!(false), &json!(503)));
    assert_eq!(azure.assert(&presented).await.status(), 200);
}
