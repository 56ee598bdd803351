//! Token requests of every kind of identity.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::fake_azure::{ENTRA, FakeAzure, GUID, model_as, reply, settings};
use crate::azure::identity::{AssertionSource, Environment, FieldNames, Identity, SecretText};
use crate::operation::{ServiceError, ServiceErrorKind};

/// An issuer whose tokens contain their number.
#[derive(Debug, Default)]
struct Issuer {
    given: AtomicUsize,
    refuses: bool,
}

#[async_trait]
impl AssertionSource for Issuer {
    fn key(&self) -> String {
        "issuer".to_owned()
    }

    async fn assertion(&self) -> Result<SecretText, ServiceError> {
        if self.refuses {
            let message = "grant it".to_owned();
            return Err(ServiceError::new(ServiceErrorKind::AssertionRefused, message));
        }
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        Ok(SecretText::new(&token(number)))
    }
}

fn token(number: usize) -> String {
    let claims = json!({"iss": "https://issuer", "sub": "system:serviceaccount:bi:refresher", "aud": ["api://AzureADTokenExchange"]});
    format!("planted.{}.{number}", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn federated(source: Issuer) -> Identity {
    Identity::workload_identity(GUID, GUID, Arc::new(source), FieldNames::SECRET_KEYS).unwrap()
}

fn with_certificate() -> Identity {
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let certificate = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap();
    let pem = certificate.pem() + &key.serialize_pem();
    Identity::service_principal_certificate(GUID, GUID, &pem, Timestamp::now(), FieldNames::SECRET_KEYS).unwrap()
}

#[tokio::test]
async fn certificate_is_presented_as_assertion() {
    let fake = FakeAzure::new(|_| None).await;
    let model = model_as(&fake.azure(fake.settings()), with_certificate());
    model.prepare().await.unwrap();
    model.prepare().await.unwrap();
    let requests = fake.requests();
    assert_eq!(requests.len(), 1);
    let body = &requests[0].body;
    assert!(body.contains("client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"), "{body}");
    assert!(body.contains(&format!("client_id={GUID}")) && !body.contains("client_secret"), "{body}");
    let assertion = body.split(['&', '=']).skip_while(|part| *part != "client_assertion").nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["aud"], format!("https://{ENTRA}/{GUID}/oauth2/v2.0/token"));
}

#[tokio::test]
async fn federated_token_is_new_for_each_exchange() {
    let body = |lifetime| format!(r#"{{"token_type":"Bearer","expires_in":{lifetime},"access_token":"planted-token"}}"#);
    let fake = FakeAzure::new(move |_| Some(reply(200, &[], &body(0)))).await;
    let model = model_as(&fake.azure(fake.settings()), federated(Issuer::default()));
    for number in 0..2 {
        model.prepare().await.unwrap();
        let last = fake.requests().pop().unwrap().body;
        assert!(last.contains(&format!("client_assertion={}", token(number))), "{last}");
    }
}

#[tokio::test]
async fn untrusted_federated_token_is_explained() {
    let body = r#"{"error":"invalid_client","error_description":"AADSTS700213: No matching record.","error_codes":[700213]}"#;
    let fake = FakeAzure::new(move |_| Some(reply(401, &[], body))).await;
    let error = model_as(&fake.azure(fake.settings()), federated(Issuer::default())).prepare().await.unwrap_err();
    assert_eq!(error.kind, ServiceErrorKind::CredentialsRefused);
    for part in ["issuer https://issuer", "subject system:serviceaccount:bi:refresher", "audience api://AzureADTokenExchange"] {
        assert!(error.message.contains(part), "{}", error.message);
    }
}

#[tokio::test]
async fn failing_issuer_is_not_retried_immediately() {
    let fake = FakeAzure::new(|_| None).await;
    let model = model_as(&fake.azure(fake.settings()), federated(Issuer { refuses: true, ..Issuer::default() }));
    for _ in 0..3 {
        let error = model.prepare().await.unwrap_err();
        assert_eq!((error.kind, error.message.as_str(), error.retry_after), (ServiceErrorKind::AssertionRefused, "grant it", None));
    }
    assert!(fake.requests().is_empty());
}

/// A metadata service behind a plain http proxy, and the heads of the requests that it received.
async fn metadata(status: u16, body: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut received = Vec::new();
            while !received.ends_with(b"\r\n\r\n") {
                let mut piece = [0; 1024];
                match stream.read(&mut piece).await {
                    Ok(0) | Err(_) => break,
                    Ok(length) => received.extend_from_slice(&piece[..length]),
                }
            }
            log.lock().push(String::from_utf8_lossy(&received).to_lowercase());
            if status == 0 {
                tokio::time::sleep(std::time::Duration::from_mins(1)).await;
            }
            let response = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            let _ = stream.write_all(response.as_bytes()).await;
        }
    });
    (address, heads)
}

async fn managed(identity: Identity, status: u16, body: &'static str) -> (Result<(), ServiceError>, Vec<String>) {
    let (address, heads) = metadata(status, body).await;
    let with_short_timeout =
        crate::azure::AzureSettings { call_timeout: std::time::Duration::from_millis(800), ..settings(&super::fake_azure::tls(&[]).1) };
    let azure = super::fake_azure::azure(with_short_timeout, address, address);
    let prepared = model_as(&azure, identity).prepare().await.map(drop);
    let heads = heads.lock().clone();
    (prepared, heads)
}

#[tokio::test]
async fn managed_identity_token_is_from_the_machine() {
    let token = r#"{"access_token":"planted-token","expires_in":"3599","resource":"x","token_type":"Bearer"}"#;
    let (prepared, heads) = managed(Identity::managed(None), 200, token).await;
    prepared.unwrap();
    let address = "get http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3a%2f%2f*.asazure.windows.net http";
    assert!(heads[0].starts_with(address), "{}", heads[0]);
    assert!(heads[0].contains("\r\nmetadata: true\r\n"), "{}", heads[0]);
    let (prepared, heads) = managed(Identity::managed(Some(GUID)), 200, token).await;
    prepared.unwrap();
    assert!(heads[0].contains(&format!("&client_id={GUID} http")), "{}", heads[0]);
    let operators = Environment::read(|_| None).identity(Timestamp::now()).unwrap();
    managed(operators, 200, token).await.0.unwrap();
}

#[tokio::test]
async fn missing_managed_identity_is_one_sentence() {
    let unknown = r#"{"error":"invalid_request","error_description":"Identity not found"}"#;
    let rows = [
        (Some(GUID), 400, unknown, ServiceErrorKind::CredentialsRefused, "no managed identity with the client id"),
        (None, 400, unknown, ServiceErrorKind::CredentialsRefused, "(Identity not found)"),
        (None, 404, "", ServiceErrorKind::ServerError, "HTTP 404"),
        (None, 429, "", ServiceErrorKind::Throttled, "throttles requests"),
        (None, 503, "<html>", ServiceErrorKind::ServerError, "HTTP 503"),
        (None, 403, "<html>", ServiceErrorKind::InvalidResponse, "NO_PROXY"),
        (None, 302, "", ServiceErrorKind::InvalidResponse, "NO_PROXY"),
        (None, 200, "<html>", ServiceErrorKind::InvalidResponse, "NO_PROXY"),
        (None, 200, r#"{"access_token":"a\nb"}"#, ServiceErrorKind::InvalidResponse, "NO_PROXY"),
        (None, 0, "", ServiceErrorKind::Unreachable, "is unreachable"),
    ];
    for (client, status, body, kind, expected) in rows {
        let error = managed(Identity::managed(client), status, body).await.0.unwrap_err();
        assert_eq!(error.kind, kind, "{status} {}", error.message);
        assert!(error.message.contains(expected), "{}", error.message);
    }
}

/// Each error of the metadata service with its remedy.
#[tokio::test]
async fn metadata_service_errors_have_their_remedy() {
    let unknown_resource = r#"{"error":"invalid_resource","error_description":"AADSTS500011: The resource principal named https://x was not found in the tenant named y.\r\nTrace ID: 0f"}"#;
    let old_resource =
        r#"{"error":"invalid_resource","error_description":"AADSTS50001: The application named https://x was not found in the tenant y."}"#;
    let header = r#"{"error":"invalid_request","error_description":"Required metadata header not specified"}"#;
    let bare_header = r#"{"error":"Bad request. Required metadata header not specified"}"#;
    let coded_header = r#"{"error":"bad_request_102","error_description":"Required metadata header not specified"}"#;
    let forwarded = r#"{"error":"invalid_request","error_description":"Requests with the X-Forwarded-For header are not allowed."}"#;
    let unknown = r#"{"error":"invalid_request","error_description":"Identity not found"}"#;
    let newer =
        r#"{"error":"invalid_request","error_description":"No Managed Identity found for specified ClientId/ResourceId/PrincipalId."}"#;
    let several = r#"{"error":"invalid_request","error_description":"Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request"}"#;
    let unauthorized = r#"{"error":"unauthorized_client","error_description":"The request is not authorized to request an access token using this method"}"#;
    let odd = r#"{"error":"invalid_scope","error_description":"The scope is odd.\r\nTrace ID: 0f"}"#;
    let source = r#"{"error":"unknown_source","error_description":"Unknown Source \u003cURI\u003e"}"#;
    let coded = r#"{"error":"invalid_request","error_description":"AADSTS7000112: Application 'x' is disabled."}"#;
    let busy = r#"{"error":"invalid_request","error_description":"AADSTS90033: A transient error has occurred."}"#;
    let throttled = r#"{"error":"invalid_request","error_description":"AADSTS90055: There are too many incoming requests."}"#;
    let timeout = r#"{"error":"invalid_request","error_description":"AADSTS90012: The request timed out."}"#;
    let retryable = r#"{"error":"invalid_request","error_description":"AADSTS90006: The service is temporarily not available."}"#;
    let refused = ServiceErrorKind::CredentialsRefused;
    let cloud = "the application of the service is missing or disabled in this tenant: check that the operator's cloud is the cloud of the tenant (AADSTS";
    let rows = [
        (None, 400, unknown_resource, refused, format!("{cloud}500011)")),
        (Some(GUID), 400, old_resource, refused, format!("{cloud}50001)")),
        (None, 400, header, refused, "without its Metadata header".to_owned()),
        (Some(GUID), 400, coded_header, refused, "add 169.254.169.254 to NO_PROXY".to_owned()),
        (None, 400, forwarded, refused, "add 169.254.169.254 to NO_PROXY".to_owned()),
        (None, 400, unknown, refused, "has no managed identity: assign one to it".to_owned()),
        (Some(GUID), 400, unknown, refused, format!("has no managed identity with the client id {GUID}: assign it, or correct the id")),
        (Some(GUID), 400, newer, refused, format!("has no managed identity with the client id {GUID}: assign it, or correct the id")),
        (None, 400, several, refused, "has several user-assigned managed identities: set the client id".to_owned()),
        (None, 400, unauthorized, refused, "is not set up for managed identities".to_owned()),
        (None, 400, odd, refused, "rejects the request (invalid_scope): The scope is odd.".to_owned()),
        (None, 401, source, refused, "rejects the request (unknown_source): Unknown Source".to_owned()),
        (None, 400, coded, refused, "the application is disabled in this tenant: enable it, or use another one (AADSTS7000112)".to_owned()),
        (None, 400, busy, ServiceErrorKind::ServerError, "AADSTS90033".to_owned()),
        (None, 400, throttled, ServiceErrorKind::Throttled, "AADSTS90055); the operator retries automatically".to_owned()),
        (None, 400, timeout, ServiceErrorKind::ServerError, "AADSTS90012".to_owned()),
        (None, 400, retryable, ServiceErrorKind::ServerError, "AADSTS90006".to_owned()),
        (None, 400, r#"{"error":"server_error"}"#, ServiceErrorKind::ServerError, "the metadata service".to_owned()),
        (None, 400, r#"{"error":"temporarily_unavailable"}"#, ServiceErrorKind::ServerError, "the metadata service".to_owned()),
        (None, 400, bare_header, refused, "without its Metadata header".to_owned()),
        (None, 400, r#"{"error":"Identity not found"}"#, refused, "has no managed identity: assign one to it".to_owned()),
        (None, 404, unknown, ServiceErrorKind::ServerError, "HTTP 404".to_owned()),
        (None, 410, "", ServiceErrorKind::ServerError, "HTTP 410".to_owned()),
        (None, 500, odd, ServiceErrorKind::ServerError, "HTTP 500".to_owned()),
        (None, 400, "<html>", ServiceErrorKind::InvalidResponse, "NO_PROXY".to_owned()),
        (None, 400, r#"{"error":{"code":"x"}}"#, ServiceErrorKind::InvalidResponse, "NO_PROXY".to_owned()),
    ];
    let mut sentences = std::collections::BTreeSet::new();
    for (client, status, body, kind, expected) in rows {
        let error = managed(Identity::managed(client), status, body).await.0.unwrap_err();
        assert_eq!(error.kind, kind, "{status} {}", error.message);
        assert!(error.message.contains(&expected), "{}", error.message);
        assert!(!error.message.contains("Trace") && !error.message.contains('\n'), "{}", error.message);
        sentences.insert(error.message);
    }
    assert!(sentences.len() >= 14, "{sentences:#?}");
}

#[tokio::test]
async fn one_identity_never_gets_the_token_of_another() {
    let fake = FakeAzure::new(|_| None).await;
    let azure = fake.azure(fake.settings());
    let secret = |secret| Identity::service_principal_secret(GUID, GUID, secret, FieldNames::SECRET_KEYS).unwrap();
    let identities = [secret("one"), secret("two"), with_certificate(), with_certificate(), federated(Issuer::default())];
    for identity in identities {
        model_as(&azure, identity).prepare().await.unwrap();
    }
    assert_eq!(fake.requests().len(), 5);
}

#[test]
fn no_identity_prints_a_secret() {
    let identities = [
        Identity::service_principal_secret(GUID, GUID, "planted", FieldNames::SECRET_KEYS).unwrap(),
        with_certificate(),
        federated(Issuer::default()),
        Identity::managed(Some(GUID)),
    ];
    let printed = format!("{identities:?} {identities:#?}");
    assert!(!printed.contains("planted") && !printed.contains("PRIVATE"), "{printed}");
}
