use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::{Request, Response};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::Client;
use kube::client::Body;
use serde_json::json;

use super::error::CredentialError;
use super::rbac_hint::RbacHint;
use super::resolver::{CACHE_CAPACITY, CredentialResolver, OperatorIdentity};
use super::{rbac_hint, secret, service_account};
use crate::api::{Credentials, ManagedIdentity, Reason, ServicePrincipalRef};
use crate::azure::identity::{AssertionSource, Environment, Identity, SecretText};
use crate::controller::cluster::resource_api::{MAX_IN_FLIGHT, request_limiter};
use crate::engine::Remedy;
use crate::engine::reconcile::Freshness;
use crate::operation::ServiceError;

const GUID: &str = "f089354e-8366-4e18-aea3-4cb4a3a50b48";

fn secret_fault(keys: &[(&str, &[u8])]) -> String {
    let data = keys.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec()))).collect();
    let secret = Secret { data: Some(data), ..Secret::default() };
    secret::identity_of("aas-sp", &secret, Timestamp::now()).map(drop).unwrap_err()
}

#[test]
fn fault_of_a_secret_is_one_sentence() {
    let ids = [("tenantId", GUID.as_bytes()), ("clientId", GUID.as_bytes())];
    let with = |more: &[(&'static str, &'static [u8])]| secret_fault(&[ids.as_slice(), more].concat());
    assert!(with(&[]).contains("neither a clientSecret nor a clientCertificate"));
    assert!(with(&[("clientSecret", b" \n")]).contains("neither"));
    assert!(with(&[("clientSecret", b"planted"), ("clientCertificate", b"planted")]).contains("has both"));
    assert!(with(&[("clientCertificate", b"planted")]).starts_with("Secret aas-sp cannot be used: clientCertificate is not PEM"));
    assert!(secret_fault(&[ids[0]]).contains("has no clientId"));
    assert!(!with(&[("clientSecret", b"planted"), ("clientCertificate", b"planted")]).contains("planted"));
}

#[test]
fn overlong_value_is_refused() {
    let long = vec![b'x'; 1_000_000];
    for key in ["tenantId", "clientId", "clientSecret", "clientCertificate"] {
        let message = read(key, &long).map(drop).unwrap_err();
        assert!(message.starts_with(&format!("Secret aas-sp cannot be used: {key} is longer than ")), "{message}");
        assert!(message.len() < 200);
    }
    assert!(read("clientSecret", &long[..4_096]).is_ok());
}

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Reads a Secret with a client secret, in which one key has another value.
fn read(key: &str, value: &[u8]) -> Result<Identity, String> {
    let mut data: BTreeMap<String, ByteString> =
        [("tenantId", GUID), ("clientId", GUID)].map(|(key, value)| (key.to_owned(), ByteString(value.into()))).into();
    if key != "clientCertificate" {
        data.insert("clientSecret".to_owned(), ByteString(b"a~secret".to_vec()));
    }
    data.insert(key.to_owned(), ByteString(value.to_vec()));
    secret::identity_of("aas-sp", &Secret { data: Some(data), ..Secret::default() }, Timestamp::now())
}

#[test]
fn byte_order_mark_and_final_line_break_are_removed() {
    let plain = read("clientSecret", b"planted~secret").unwrap().fingerprint();
    for end in ["", "\n", "\r\n"] {
        let value = [BOM, b"planted~secret", end.as_bytes()].concat();
        assert_eq!(read("clientSecret", &value).unwrap().fingerprint(), plain, "{end:?}");
    }
    let plain = read("tenantId", GUID.as_bytes()).unwrap().fingerprint();
    for key in ["tenantId", "clientId"] {
        let value = [BOM, GUID.as_bytes(), b"\r\n"].concat();
        assert_eq!(read(key, &value).unwrap().fingerprint(), plain, "{key}");
        assert!(read(key, BOM).unwrap_err().contains(&format!("Secret aas-sp has no {key}")));
    }
    assert!(read("clientSecret", &[BOM, b"\r\n"].concat()).unwrap_err().contains("neither a clientSecret nor"));
}

#[test]
fn client_secret_is_never_trimmed() {
    let of = |value: &str| read("clientSecret", value.as_bytes()).unwrap().fingerprint();
    for other in [" planted~secret", "planted~secret ", "planted ~secret"] {
        assert_ne!(of(other), of("planted~secret"), "{other:?}");
        assert_eq!(of(&format!("{other}\n")), of(other));
    }
}

fn utf16(text: &str, little: bool) -> Vec<u8> {
    text.encode_utf16().flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
}

#[test]
fn value_that_is_not_text_is_described_with_remedy() {
    let planted = "planted-text-of-a-secret";
    let with = |odd: &str| format!("planted-text{odd}of-a-secret").into_bytes();
    let mut rows: Vec<(Vec<u8>, &str)> = vec![
        (utf16(planted, true), "is UTF-16 text: write it as UTF-8"),
        (utf16(planted, false), "is UTF-16 text"),
        (utf16(&format!("{planted}\r\n"), true), "is UTF-16 text"),
        (utf16(&format!("\u{feff}{planted}"), true), "is UTF-16 text"),
        (utf16(&format!("\u{feff}{planted}"), false), "is UTF-16 text"),
        (b"\xff\xfe".to_vec(), "is UTF-16 text"),
        (utf16("planted-text-with-\u{e4}-in-it", true), "is UTF-16 text"),
        (planted.bytes().flat_map(|byte| [byte, 0, 0, 0]).collect(), "is UTF-32 text"),
        (with("\0"), "contains a NUL character"),
        (format!("{planted}\0").into_bytes(), "contains a NUL character"),
        (b"planted-\xe4-text".to_vec(), "is not UTF-8 text"),
        (with("\u{7}"), "contains a control character (U+0007)"),
        (with("\t"), "contains a tab (U+0009)"),
        (with("\n"), "contains a line break (U+000A)"),
        (with("\u{85}"), "contains a control character (U+0085)"),
    ];
    for (odd, name) in [
        ('\u{200b}', "zero-width space"),
        ('\u{200c}', "zero-width non-joiner"),
        ('\u{200d}', "zero-width joiner"),
        ('\u{2060}', "word joiner"),
        ('\u{feff}', "byte order mark"),
        ('\u{ad}', "soft hyphen"),
        ('\u{a0}', "no-break space"),
        ('\u{202f}', "no-break space"),
        ('\u{2007}', "no-break space"),
        ('\u{200e}', "direction mark"),
        ('\u{200f}', "direction mark"),
        ('\u{61c}', "direction mark"),
        ('\u{202a}', "direction mark"),
        ('\u{2069}', "direction mark"),
        ('\u{2028}', "line separator"),
        ('\u{3000}', "space"),
        ('\u{fffd}', "replacement character"),
        ('\u{fe0f}', "invisible character"),
    ] {
        rows.push((with(&odd.to_string()), name));
        rows.push((format!("{odd}{planted}").into_bytes(), if odd == '\u{feff}' { "" } else { name }));
        rows.push((format!("{planted}{odd}").into_bytes(), name));
    }
    for (value, expected) in rows.iter().filter(|(_, expected)| !expected.is_empty()) {
        for key in ["tenantId", "clientId", "clientSecret"] {
            let message = read(key, value).map(drop).expect_err(expected);
            assert!(message.starts_with(&format!("Secret aas-sp cannot be used: {key} ")), "{message}");
            assert!(message.contains(expected), "{expected}: {message}");
            assert!(message.split(": ").count() >= 3, "no remedy: {message}");
            assert!(!message.contains("planted") && message.chars().all(|c| matches!(c, ' '..='~')), "{message:?}");
        }
    }
}

#[test]
fn double_encoding_and_wrong_key_are_named() {
    use base64::Engine as _;
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    for key in ["tenantId", "clientId"] {
        for id in [GUID.to_owned(), format!("{GUID}\n"), GUID.to_uppercase()] {
            let message = read(key, base64(&id).as_bytes()).unwrap_err();
            assert!(message.contains(&format!("{key} is base64 of an id: encode it once less")), "{message}");
        }
    }
    let pem = "-----BEGIN CERTIFICATE-----\nplanted\n-----END CERTIFICATE-----\n";
    let message = read("clientSecret", pem.as_bytes()).unwrap_err();
    assert!(message.contains("clientSecret contains PEM: put a certificate and its private key into clientCertificate"), "{message}");
    for text in [base64(pem), base64(&format!("\u{feff}{pem}")), format!("{}\n", base64(pem))] {
        let message = read("clientCertificate", text.as_bytes()).unwrap_err();
        assert!(message.contains("clientCertificate is base64 of a PEM text: encode it once less"), "{message}");
    }
}

#[test]
fn binary_certificate_is_named_with_conversion_command() {
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let certificate = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap().der().to_vec();
    // The first bytes of a certificate that Windows exports.
    let pfx = b"\x30\x82\x09\x9a\x02\x01\x03\x30\x82\x09\x60\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
    let rows = [
        (pfx.as_slice(), "is a PFX file: convert it with 'openssl pkcs12 -in FILE -nodes'"),
        (&certificate, "is a certificate in binary form (DER): write it as PEM"),
        (&key.serialize_der(), "is a private key in binary form (DER): write it as PEM"),
        (b"\x30\xff\xff\xff", "is not UTF-8 text"),
    ];
    for (value, expected) in rows {
        let message = read("clientCertificate", value).unwrap_err();
        assert!(message.starts_with("Secret aas-sp cannot be used: clientCertificate ") && message.contains(expected), "{message}");
    }
}

#[derive(Debug)]
struct NoTokens;

#[async_trait::async_trait]
impl AssertionSource for NoTokens {
    fn key(&self) -> String {
        String::new()
    }

    async fn assertion(&self) -> Result<SecretText, ServiceError> {
        Ok(SecretText::new("x"))
    }
}

#[test]
fn fault_of_an_account_is_one_sentence() {
    let blocker = |annotations: serde_json::Value| {
        let account = json!({"metadata": {"name": "refresher", "annotations": annotations}});
        let account: ServiceAccount = serde_json::from_value(account).unwrap();
        service_account::identity_of(&account, Arc::new(NoTokens)).map(drop)
    };
    let (client, tenant) = ("azure.workload.identity/client-id", "azure.workload.identity/tenant-id");
    assert_eq!(blocker(json!({client: GUID, tenant: GUID})), Ok(()));
    assert!(blocker(json!({})).unwrap_err().starts_with("ServiceAccount refresher has no annotation azure.workload.identity/client-id"));
    assert!(blocker(json!({client: GUID, tenant: " "})).unwrap_err().contains("has no annotation azure.workload.identity/tenant-id"));
    let wrong = blocker(json!({client: "refresher", tenant: GUID})).unwrap_err();
    assert!(wrong.contains("its annotation azure.workload.identity/client-id must be"), "{wrong}");
    assert_eq!(blocker(json!({client: format!("\u{feff}{GUID}\n"), tenant: GUID})), Ok(()));
    assert!(blocker(json!({client: "\u{feff}", tenant: GUID})).unwrap_err().contains("has no annotation"));
    let wrong = blocker(json!({client: GUID, tenant: format!("{GUID}\u{a0}")})).unwrap_err();
    assert!(wrong.contains("its annotation azure.workload.identity/tenant-id contains a no-break space (U+00A0)"), "{wrong}");
}

#[test]
fn operator_user_is_a_kubectl_flag() {
    assert_eq!(
        rbac_hint::flag("system:serviceaccount:tabular-system:tabular-operator"),
        "--serviceaccount=tabular-system:tabular-operator"
    );
    assert_eq!(rbac_hint::flag("kubernetes-admin"), "--user='kubernetes-admin'");
}

fn resolver(namespaces: &[&str]) -> CredentialResolver {
    // Fails if another test of this process has installed it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // No server listens on this port, so every request fails.
    let client = Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
    let namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
    CredentialResolver::new(client, request_limiter(), OperatorIdentity { environment: Environment::read(|_| None), namespaces })
}

#[tokio::test]
async fn only_listed_namespaces_may_use_operator_identity() {
    let resolver = resolver(&["bi"]);
    let managed =
        Credentials { service_principal_ref: None, workload_identity: None, managed_identity: Some(ManagedIdentity { client_id: None }) };
    for credentials in [None, Some(&managed)] {
        assert!(resolver.resolve("bi", credentials, Freshness::Fresh).await.is_ok());
        for namespace in ["b", "bi2", "", "BI"] {
            let refused = resolver.resolve(namespace, credentials, Freshness::LastKnown).await;
            let Err(CredentialError::Blocker(blocker)) = refused else { panic!("{namespace} may") };
            assert_eq!((blocker.reason, blocker.remedy), (Reason::IdentityNotAllowed, Remedy::SpecChange));
            assert!(blocker.message.contains(&format!("--operator-identity-namespace {namespace}")), "{}", blocker.message);
        }
    }
}

/// An API server that responds with a Secret after a delay, and counts the requests.
fn slow_api(requests: &Arc<AtomicUsize>) -> Client {
    let requests = Arc::clone(requests);
    let service = tower::service_fn(move |_: Request<Body>| {
        let requests = Arc::clone(&requests);
        async move {
            requests.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(5)).await;
            let data = ["tenantId", "clientId", "clientSecret"].map(|key| (key.to_owned(), ByteString(GUID.into()))).into();
            let secret = Secret { data: Some(data), ..Secret::default() };
            Ok::<_, Infallible>(Response::new(Body::from(serde_json::to_vec(&secret).unwrap())))
        }
    });
    Client::new(service, "bi")
}

#[tokio::test]
async fn secret_without_keys_counts_as_missing() {
    for data in [None, Some(BTreeMap::new())] {
        let body = serde_json::to_vec(&Secret { data, ..Secret::default() }).unwrap();
        let respond = move |_: Request<Body>| std::future::ready(Ok::<_, Infallible>(Response::new(Body::from(body.clone()))));
        let client = Client::new(tower::service_fn(respond), "bi");
        let refused = secret::read(&client, &RbacHint::new(client.clone()), "bi", "aas-sp").await;
        let Err(CredentialError::Blocker(blocker)) = refused else { panic!("an identity") };
        assert_eq!((blocker.reason, blocker.remedy), (Reason::SecretNotFound, Remedy::ClusterChange));
        assert!(blocker.message.starts_with("Secret aas-sp in namespace bi has no keys yet"), "{}", blocker.message);
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_reads_of_a_secret_respect_namespace_share() {
    let requests = Arc::default();
    let own = OperatorIdentity { environment: Environment::read(|_| None), namespaces: Vec::new() };
    let resolver = CredentialResolver::new(slow_api(&requests), request_limiter(), own);
    let reference = Some(ServicePrincipalRef { name: "aas-sp".to_owned() });
    let credentials = Credentials { service_principal_ref: reference, workload_identity: None, managed_identity: None };
    let all = (0..10 * MAX_IN_FLIGHT).map(|_| resolver.resolve("bi", Some(&credentials), Freshness::Fresh));
    assert!(futures::future::join_all(all).await.iter().all(Result::is_ok));
    assert_eq!(requests.load(Ordering::Relaxed), MAX_IN_FLIGHT * 3 / 4);
}

#[tokio::test]
async fn namespaces_do_not_evict_identities_of_others() {
    let nothing = |_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::empty())) };
    let client = Client::new(tower::service_fn(nothing), "ops");
    let own = OperatorIdentity { environment: Environment::of_process(), namespaces: Vec::new() };
    let resolver = CredentialResolver::new(client, request_limiter(), own);
    let key = |namespace: &str, n: usize| {
        let reference = ServicePrincipalRef { name: format!("s-{n}") };
        (
            namespace.to_owned(),
            Some(Credentials { service_principal_ref: Some(reference), workload_identity: None, managed_identity: None }),
        )
    };
    let identity = read("clientSecret", b"planted~secret").unwrap();
    for n in 0..100 {
        resolver.insert(key("quiet", n), &identity);
    }
    for n in 0..CACHE_CAPACITY + 50 {
        resolver.insert(key("noisy", n), &identity);
    }
    let cache = resolver.cache.lock();
    assert_eq!(cache.len(), CACHE_CAPACITY);
    assert!((0..100).all(|n| cache.contains_key(&key("quiet", n))));
    assert!(cache.contains_key(&key("noisy", CACHE_CAPACITY + 49)));
}
