use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::{Request, Response};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::client::Body;
use serde_json::json;

use super::*;
use crate::api::ServicePrincipalRef;
use crate::controller::records::CONNECTIONS;
use crate::operation::Trouble;
use crate::service::identity::{AssertionSource, SecretText};

const GUID: &str = "f089354e-8366-4e18-aea3-4cb4a3a50b48";

fn secret_fault(keys: &[(&str, &[u8])]) -> String {
    let data = keys.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec()))).collect();
    let secret = Secret { data: Some(data), ..Secret::default() };
    secret::identity_of("aas-sp", &secret, Timestamp::now()).map(drop).unwrap_err()
}

#[test]
fn what_is_wrong_with_a_secret_is_one_sentence() {
    let ids = [("tenantId", GUID.as_bytes()), ("clientId", GUID.as_bytes())];
    let with = |more: &[(&'static str, &'static [u8])]| secret_fault(&[ids.as_slice(), more].concat());
    assert!(with(&[]).contains("neither a clientSecret nor a clientCertificate"));
    assert!(with(&[("clientSecret", b" \n")]).contains("neither"));
    assert!(with(&[("clientSecret", b"planted"), ("clientCertificate", b"planted")]).contains("has both"));
    assert!(with(&[("clientCertificate", b"\xff\xfe")]).contains("openssl pkcs12"));
    assert!(with(&[("clientSecret", b"\xff\xfe")]).ends_with("is not text"));
    assert!(with(&[("clientCertificate", b"planted")]).starts_with("the Secret aas-sp cannot be used: clientCertificate is not PEM"));
    assert!(secret_fault(&[ids[0]]).contains("has no clientId"));
    assert!(!with(&[("clientSecret", b"planted"), ("clientCertificate", b"planted")]).contains("planted"));
}

#[derive(Debug)]
struct Nobody;

#[async_trait::async_trait]
impl AssertionSource for Nobody {
    fn key(&self) -> String {
        String::new()
    }

    async fn assertion(&self) -> Result<SecretText, Trouble> {
        Ok(SecretText::new("x"))
    }
}

#[test]
fn what_is_wrong_with_an_account_is_one_sentence() {
    let fault = |annotations: serde_json::Value| {
        let account = json!({"metadata": {"name": "refresher", "annotations": annotations}});
        let account: ServiceAccount = serde_json::from_value(account).unwrap();
        account::identity_of(&account, Arc::new(Nobody)).map(drop)
    };
    let (client, tenant) = ("azure.workload.identity/client-id", "azure.workload.identity/tenant-id");
    assert_eq!(fault(json!({client: GUID, tenant: GUID})), Ok(()));
    assert!(fault(json!({})).unwrap_err().starts_with("the ServiceAccount refresher has no annotation azure.workload.identity/client-id"));
    assert!(fault(json!({client: GUID, tenant: " "})).unwrap_err().contains("has no annotation azure.workload.identity/tenant-id"));
    let wrong = fault(json!({client: "refresher", tenant: GUID})).unwrap_err();
    assert!(wrong.contains("its annotation azure.workload.identity/client-id must be"), "{wrong}");
}

#[test]
fn the_operator_is_named_as_kubectl_takes_it() {
    assert_eq!(grants::flag("system:serviceaccount:tabular-system:tabular-operator"), "--serviceaccount=tabular-system:tabular-operator");
    assert_eq!(grants::flag("kubernetes-admin"), "--user='kubernetes-admin'");
}

fn identities(namespaces: &[&str]) -> Identities {
    // Ignored where another test of this process was first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // Nobody listens there: what is asked of it fails.
    let client = Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
    let namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
    Identities::new(client, Places::default(), OwnIdentity { environment: Environment::read(|_| None), namespaces })
}

#[tokio::test]
async fn only_listed_namespaces_may_use_what_is_the_operators() {
    let identities = identities(&["bi"]);
    let managed =
        Credentials { service_principal_ref: None, workload_identity: None, managed_identity: Some(ManagedIdentity { client_id: None }) };
    for credentials in [None, Some(&managed)] {
        assert!(identities.of("bi", credentials, Freshness::Now).await.is_ok());
        for namespace in ["b", "bi2", "", "BI"] {
            let refused = identities.of(namespace, credentials, Freshness::Last).await;
            let Err(NoIdentity::Fault(fault)) = refused else { panic!("{namespace} may") };
            assert_eq!((fault.reason, fault.cure), (Reason::IdentityNotAllowed, Cure::Spec));
            assert!(fault.message.contains(&format!("--operator-identity-namespace {namespace}")), "{}", fault.message);
        }
    }
}

/// An API server that takes a moment to show a Secret, and counts what it was asked.
fn slow_api(asked: &Arc<AtomicUsize>) -> Client {
    let asked = Arc::clone(asked);
    let service = tower::service_fn(move |_: Request<Body>| {
        let asked = Arc::clone(&asked);
        async move {
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(5)).await;
            let data = ["tenantId", "clientId", "clientSecret"].map(|key| (key.to_owned(), ByteString(GUID.into()))).into();
            let secret = Secret { data: Some(data), ..Secret::default() };
            Ok::<_, Infallible>(Response::new(Body::from(serde_json::to_vec(&secret).unwrap())))
        }
    });
    Client::new(service, "bi")
}

#[tokio::test]
async fn a_secret_without_any_key_counts_as_one_that_is_still_to_come() {
    for data in [None, Some(BTreeMap::new())] {
        let body = serde_json::to_vec(&Secret { data, ..Secret::default() }).unwrap();
        let answer = move |_: Request<Body>| std::future::ready(Ok::<_, Infallible>(Response::new(Body::from(body.clone()))));
        let client = Client::new(tower::service_fn(answer), "bi");
        let refused = secret::read(&client, &Grants::new(client.clone()), "bi", "aas-sp").await;
        let Err(NoIdentity::Fault(fault)) = refused else { panic!("an identity") };
        assert_eq!((fault.reason, fault.cure), (Reason::SecretNotFound, Cure::Cluster));
        assert!(fault.message.starts_with("the Secret aas-sp in namespace bi has no keys yet"), "{}", fault.message);
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_read_the_same_at_once_take_no_more_connections_than_there_are() {
    let asked = Arc::default();
    let own = OwnIdentity { environment: Environment::read(|_| None), namespaces: Vec::new() };
    let identities = Identities::new(slow_api(&asked), Places::default(), own);
    let reference = Some(ServicePrincipalRef { name: "aas-sp".to_owned() });
    let credentials = Credentials { service_principal_ref: reference, workload_identity: None, managed_identity: None };
    let all = (0..10 * CONNECTIONS).map(|_| identities.of("bi", Some(&credentials), Freshness::Now));
    assert!(futures::future::join_all(all).await.iter().all(Result::is_ok));
    assert_eq!(asked.load(Ordering::Relaxed), CONNECTIONS);
}
