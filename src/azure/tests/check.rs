//! Checks of a model over the network: which facts are known, and that they send only GETs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::fake_azure::{DATASET, ENTRA, FakeAzure, GROUP, POWER_BI, Reply, SERVER, power_bi_named, power_bi_of, reply};
use crate::azure::ModelClient;
use crate::azure::power_bi::ModelName;
use crate::operation::{ModelCheck, ModelIds, OperationKind, ServiceError, ServiceErrorKind};

const EMPTY: &str = r#"{"value": []}"#;

async fn check(client: ModelClient, kind: OperationKind) -> (ModelCheck, Result<(), ServiceError>) {
    let mut found = ModelCheck::default();
    let result = client.check(kind, &mut found).await;
    (found, result)
}

/// Asserts that everything that a service received is a GET.
fn assert_only_gets(fake: &FakeAzure) {
    for request in fake.requests() {
        assert!(request.line.starts_with("GET ") || request.line.starts_with(&format!("POST {ENTRA}/")), "{}", request.line);
    }
}

#[tokio::test]
async fn list_of_each_service_passes() {
    let fake = FakeAzure::new(|request| request.line.contains("/refreshes").then(|| reply(200, &[], "[]"))).await;
    let (found, result) = check(fake.model(), OperationKind::Refresh).await;
    assert_eq!((result, found.listed, found.host.as_str()), (Ok(()), true, SERVER));
    assert!(found.token_lifetime.is_some() && found.response_time.is_some() && found.ids.is_none(), "{found:?}");
    let fake = FakeAzure::new(|request| request.line.contains("/refreshes?$top=1").then(|| reply(200, &[], EMPTY))).await;
    let (found, result) = check(power_bi_of(&fake.azure(fake.settings())), OperationKind::Refresh).await;
    assert_eq!((result, found.listed, found.host.as_str()), (Ok(()), true, POWER_BI));
    assert_only_gets(&fake);
    let status = r#"{"scaleOutStatus": "Enabled", "commitVersion": "7"}"#;
    let fake = FakeAzure::new(move |request| request.line.ends_with("/queryScaleOut/syncStatus").then(|| reply(200, &[], status))).await;
    let (found, result) = check(power_bi_of(&fake.azure(fake.settings())), OperationKind::Sync).await;
    assert_eq!((result, found.listed), (Ok(()), true));
    assert_only_gets(&fake);
}

#[tokio::test]
async fn fixed_credentials_are_detected_by_the_next_check() {
    let refused = r#"{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret"}"#;
    let is_fixed = Arc::new(AtomicBool::new(false));
    let fixed = Arc::clone(&is_fixed);
    let fake = FakeAzure::new(move |request| {
        let list = request.line.contains("/refreshes").then(|| reply(200, &[], "[]"));
        list.or_else(|| (request.line.contains(ENTRA) && !fixed.load(Ordering::Relaxed)).then(|| reply(401, &[], refused)))
    })
    .await;
    let model = fake.model();
    assert_eq!(model.prepare().await.unwrap_err().kind, ServiceErrorKind::CredentialsRefused);
    is_fixed.store(true, Ordering::Relaxed);
    // The submissions of runs wait for a minute.
    assert_eq!(model.prepare().await.unwrap_err().kind, ServiceErrorKind::CredentialsRefused);
    let (found, result) = check(model.clone(), OperationKind::Refresh).await;
    assert_eq!((result, found.listed), (Ok(()), true));
    assert!(model.prepare().await.is_ok());
}

#[tokio::test]
async fn names_are_resolved_before_the_list() {
    let row = |id: &str, name: &str| format!(r#"{{"value": [{{"id": "{id}", "name": "{name}"}}]}}"#);
    let denied = r#"{"error": {"code": "Unauthorized"}}"#;
    let fake = FakeAzure::new(move |request| {
        Some(match request.line.strip_prefix(&format!("GET {POWER_BI}/v1.0/myorg/groups"))? {
            path if path.starts_with("?$filter=") => reply(200, &[], &row(GROUP, "Sales")),
            path if path.ends_with("/datasets") => reply(200, &[], &row(DATASET, "Orders")),
            _ => reply(403, &[], denied),
        })
    })
    .await;
    let name = ModelName::by_names("Sales", "Orders").unwrap();
    let (found, result) = check(power_bi_named(&fake.azure(fake.settings()), name), OperationKind::Refresh).await;
    assert_eq!(result.unwrap_err().kind, ServiceErrorKind::AccessDenied);
    assert_eq!(found.ids, Some(ModelIds { group_id: GROUP.to_owned(), dataset_id: DATASET.to_owned() }));
    assert!(!found.listed && found.response_time.is_some(), "{found:?}");
    assert_only_gets(&fake);
    let fake = FakeAzure::new(|request| request.line.contains("/groups").then(|| reply(200, &[], EMPTY))).await;
    let name = ModelName::by_names("Sales", "Orders").unwrap();
    let (found, result) = check(power_bi_named(&fake.azure(fake.settings()), name), OperationKind::Refresh).await;
    let error = result.unwrap_err();
    assert!(error.kind == ServiceErrorKind::NotFound && error.message.contains("no workspace named"), "{error:?}");
    assert!(found.ids.is_none() && found.token_lifetime.is_some(), "{found:?}");
}

#[tokio::test]
async fn each_fault_is_an_error_of_its_kind() {
    let page = || reply(200, &[("content-type", "text/html")], "<html>sign in</html>");
    let rows: [(fn() -> Reply, ServiceErrorKind); 4] = [
        (|| reply(404, &[], r#"{"code": "DatabaseNotFound", "message": "no"}"#), ServiceErrorKind::NotFound),
        (|| reply(503, &[], ""), ServiceErrorKind::ServerError),
        (|| reply(429, &[("retry-after", "30")], ""), ServiceErrorKind::Throttled),
        (|| Reply::Close, ServiceErrorKind::Unreachable),
    ];
    for (response, kind) in rows {
        let fake = FakeAzure::new(move |request| request.line.contains("/refreshes").then(response)).await;
        let (found, result) = check(fake.model(), OperationKind::Refresh).await;
        assert_eq!(result.unwrap_err().kind, kind);
        assert_eq!((found.listed, found.response_time.is_none()), (false, kind == ServiceErrorKind::Unreachable), "{kind:?}");
        assert_only_gets(&fake);
    }
    let fake = FakeAzure::new(move |request| request.line.contains("/refreshes").then(page)).await;
    assert_eq!(check(fake.model(), OperationKind::Refresh).await.1.unwrap_err().kind, ServiceErrorKind::InvalidResponse);
    let refused = r#"{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret"}"#;
    let fake = FakeAzure::new(move |request| request.line.contains(ENTRA).then(|| reply(401, &[], refused))).await;
    let (found, result) = check(fake.model(), OperationKind::Refresh).await;
    assert_eq!((result.unwrap_err().kind, found.token_lifetime), (ServiceErrorKind::CredentialsRefused, None));
    assert_eq!(fake.count("GET"), 0);
}
