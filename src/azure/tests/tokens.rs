//! Token requests over the shared client.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::fake_azure::{
    DATASET, ENTRA, FakeAzure, GROUP, OTHER_HOST, POWER_BI, Reply, SECRET, SERVER, model_of, power_bi_named, power_bi_of, reply,
};
use crate::azure::ModelClient;
use crate::azure::power_bi::ModelName;
use crate::operation::{OperationId, OperationKind, OperationRef, PollResult, ServiceErrorKind};

fn is_token_request(line: &str) -> bool {
    line.starts_with(&format!("POST {ENTRA}"))
}

#[tokio::test]
async fn token_is_requested_as_documented_and_reused() {
    let fake = FakeAzure::new(|_| None).await;
    let mut settings = fake.settings();
    // One namespace gets three quarters.
    settings.max_calls_per_server = 80;
    let model = model_of(&fake.azure(settings));
    let calls = futures::future::join_all((0..50).map(|_| model.prepare())).await;
    assert!(calls.iter().all(Result::is_ok));
    let requests = fake.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].line, format!("POST {ENTRA}/f089354e-8366-4e18-aea3-4cb4a3a50b48/oauth2/v2.0/token"));
    assert!(requests[0].body.contains("scope=https%3A%2F%2F*.asazure.windows.net%2F.default"), "{}", requests[0].body);
    assert!(requests[0].body.contains(&format!("client_secret={SECRET}")));
    assert!(requests[0].head.contains("user-agent: tabular-operator/test"), "{}", requests[0].head);
}

#[tokio::test]
async fn rejected_secret_is_explained_and_not_retried() {
    let body =
        r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret.\r\nTrace ID: 1","error_codes":[7000215]}"#;
    let fake = FakeAzure::new(move |request| is_token_request(&request.line).then(|| reply(401, &[], body))).await;
    let model = fake.model();
    for _ in 0..3 {
        let error = model.prepare().await.unwrap_err();
        assert_eq!((error.kind, error.retry_after), (ServiceErrorKind::CredentialsRefused, None));
        assert!(error.message.ends_with("into clientSecret (AADSTS7000215)"), "{}", error.message);
    }
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn failing_identity_provider_is_retried_with_backoff() {
    let fake = FakeAzure::new(|request| {
        is_token_request(&request.line).then(|| reply(503, &[("content-type", "text/html")], "<html>down</html>"))
    })
    .await;
    let model = fake.model();
    for _ in 0..3 {
        let error = model.prepare().await.unwrap_err();
        assert_eq!(error.kind, ServiceErrorKind::ServerError);
        assert!(error.retry_after.is_some());
    }
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn lost_token_response_is_requested_once_more() {
    let count = AtomicUsize::new(0);
    let fake = FakeAzure::new(move |request| {
        (is_token_request(&request.line) && count.fetch_add(1, Ordering::Relaxed) == 0).then_some(Reply::Close)
    })
    .await;
    assert!(fake.model().prepare().await.is_ok());
    assert_eq!(fake.requests().len(), 2);
}

#[tokio::test]
async fn no_secret_follows_a_redirect() {
    let there = format!("https://{OTHER_HOST}/token");
    let fake = FakeAzure::new(move |request| is_token_request(&request.line).then(|| reply(307, &[("location", &there)], ""))).await;
    let error = fake.model().prepare().await.unwrap_err();
    assert_eq!(error.kind, ServiceErrorKind::InvalidResponse);
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn rejected_token_is_replaced_once() {
    let fake = FakeAzure::new(|request| {
        request.line.starts_with(&format!("GET {SERVER}")).then(|| reply(401, &[("www-authenticate", "Bearer")], ""))
    })
    .await;
    let model = fake.model();
    let id = OperationId::parse("1").unwrap();
    for _ in 0..4 {
        let poll = model.prepare().await.unwrap().poll(OperationKind::Refresh, &OperationRef::by_id(id.clone())).await;
        assert!(matches!(&poll, PollResult::Failed(error) if error.kind == ServiceErrorKind::AccessDenied), "{poll:?}");
    }
    assert_eq!(fake.requests().iter().filter(|request| is_token_request(&request.line)).count(), 2);
}

#[tokio::test]
async fn previously_accepted_token_has_expired() {
    // Valid for two polls, then rejected: once if the token expired, or permanently if a permission was lost.
    for (refusals, then) in [(1, None), (9, Some(ServiceErrorKind::AccessDenied))] {
        let polls = AtomicUsize::new(0);
        let fake = FakeAzure::new(move |request| {
            let poll = request.line.starts_with(&format!("GET {SERVER}")).then(|| polls.fetch_add(1, Ordering::Relaxed))?;
            let refused = (2..2 + refusals).contains(&poll);
            Some(if refused { reply(401, &[("www-authenticate", "Bearer")], "") } else { reply(200, &[], r#"{"status":"inProgress"}"#) })
        })
        .await;
        let model = fake.model();
        let mut result = Vec::new();
        for _ in 0..4 {
            result.push(poll_error(&model).await);
        }
        assert_eq!(result, [None, None, Some(ServiceErrorKind::ServerError), then], "{refusals}");
        assert_eq!(fake.requests().iter().filter(|request| is_token_request(&request.line)).count(), 2);
    }
}

/// The kind of the error of a poll.
async fn poll_error(model: &ModelClient) -> Option<ServiceErrorKind> {
    let operation_ref = OperationRef::by_id(OperationId::parse("1").unwrap());
    match model.prepare().await.unwrap().poll(OperationKind::Refresh, &operation_ref).await {
        PollResult::Failed(error) => Some(error.kind),
        _ => None,
    }
}

#[tokio::test]
async fn token_of_one_model_proves_no_access_to_another() {
    let fake = FakeAzure::new(|request| {
        let path = request.line.strip_prefix(&format!("GET {POWER_BI}/v1.0/myorg/groups/"))?;
        let accessible = path.starts_with(GROUP);
        Some(if accessible {
            reply(200, &[], r#"{"status":"Unknown","extendedStatus":"InProgress"}"#)
        } else {
            reply(401, &[("www-authenticate", "Bearer")], "")
        })
    })
    .await;
    let azure = fake.azure(fake.settings());
    let accessible = power_bi_of(&azure);
    let other = power_bi_named(&azure, ModelName::by_ids(DATASET, DATASET).unwrap());
    for round in 0..4 {
        assert_eq!(poll_error(&accessible).await, None, "{round}");
        assert_eq!(poll_error(&other).await, Some(ServiceErrorKind::AccessDenied), "{round}");
        // Longer than the interval between two drops of a token.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(61)).await;
        tokio::time::resume();
    }
}

#[tokio::test]
async fn token_is_kept_if_the_service_rejects_the_identity() {
    let body = r#"{"error":{"code":"PowerBINotAuthorizedException"}}"#;
    let fake = FakeAzure::new(move |request| request.line.starts_with(&format!("GET {POWER_BI}")).then(|| reply(401, &[], body))).await;
    let model = power_bi_of(&fake.azure(fake.settings()));
    for _ in 0..3 {
        assert_eq!(poll_error(&model).await, Some(ServiceErrorKind::AccessDenied));
    }
    assert_eq!(fake.requests().iter().filter(|request| is_token_request(&request.line)).count(), 1);
}

#[tokio::test]
async fn token_that_expires_again_at_once_means_no_access() {
    let body = r#"{"error":{"code":"TokenExpired"}}"#;
    let fake = FakeAzure::new(move |request| request.line.starts_with(&format!("GET {POWER_BI}")).then(|| reply(403, &[], body))).await;
    let model = power_bi_of(&fake.azure(fake.settings()));
    for expected in [ServiceErrorKind::ServerError, ServiceErrorKind::AccessDenied, ServiceErrorKind::AccessDenied] {
        assert_eq!(poll_error(&model).await, Some(expected));
    }
}

#[tokio::test]
async fn unknown_authority_is_reported_with_remedy() {
    let fake = FakeAzure::new(|_| None).await;
    let mut settings = fake.settings();
    settings.extra_ca_pem = None;
    let error = model_of(&fake.azure(settings)).prepare().await.unwrap_err();
    assert_eq!(error.kind, ServiceErrorKind::Unreachable);
    assert!(error.message.contains("--extra-ca-file"), "{}", error.message);
}

#[tokio::test]
async fn printed_values_contain_no_secret() {
    let fake = FakeAzure::new(|_| None).await;
    let azure = fake.azure(fake.settings());
    let model = model_of(&azure);
    let call = model.prepare().await.unwrap();
    let printed = format!("{:?} {azure:?} {model:?} {call:?}", fake.settings());
    assert!(!printed.contains("planted"), "{printed}");
}
