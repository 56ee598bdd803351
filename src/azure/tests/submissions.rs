//! Results of a POST, with and without a response.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::net::TcpListener;

use super::fake_azure::{FakeAzure, OTHER_HOST, Reply, Request, SERVER, model_of, reply};
use crate::operation::{
    self, CallKind, CallTarget, IdentityKind, ObjectName, OperationKind, RefreshRequest, ServiceErrorKind, ServiceKind, SubmitResult,
};

const PATH: &str = "/servers/myserver/models/Adventure%20Works/refreshes";

fn posted(request: &Request) -> bool {
    request.line.starts_with(&format!("POST {SERVER}"))
}

/// The result of a POST with this reply, and the simulated Azure.
async fn submit(response: impl Fn() -> Reply + Send + Sync + 'static) -> (SubmitResult, FakeAzure) {
    let fake = FakeAzure::new(move |request| posted(request).then(&response)).await;
    let call = model_of(&fake.azure(fake.with_short_timeout())).prepare().await.unwrap();
    (call.submit(&operation::Request::Refresh(RefreshRequest::default())).await, fake)
}

fn id_of(submission: SubmitResult) -> String {
    match submission {
        SubmitResult::Accepted { id, .. } => id.to_string(),
        other => panic!("{other:?}"),
    }
}

fn refused(submission: SubmitResult) -> (ServiceErrorKind, String) {
    match submission {
        SubmitResult::NotStarted(error) => (error.kind, error.message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn refresh_is_requested_as_documented() {
    let location = format!("https://{SERVER}{PATH}/1a");
    let headers = [("location", location.as_str()), ("x-ms-root-activity-id", "act"), ("retry-after", "3")];
    let accepted = reply_text(202, &headers, r#"{"operationId":"2b"}"#);
    let fake = FakeAzure::new(move |request| posted(request).then(|| Reply::Write(accepted.clone()))).await;
    let records = Arc::new(Mutex::new(Vec::new()));
    let mut settings = fake.settings();
    let result = Arc::clone(&records);
    settings.on_call = Some(Arc::new(move |record| result.lock().push((record.target, record.status))));
    let call = model_of(&fake.azure(settings)).prepare().await.unwrap();
    assert_eq!(fake.count(&format!("POST {SERVER}")), 0);

    let objects = vec![ObjectName { table: "t".to_owned(), partition: None }];
    let request = RefreshRequest { refresh_type: Some("full".to_owned()), objects, ..RefreshRequest::default() };
    let submission = call.submit(&operation::Request::Refresh(request)).await;

    let SubmitResult::Accepted { id, activity_id, retry_after, .. } = submission else { panic!("{submission:?}") };
    assert_eq!((id.as_str(), activity_id.as_deref(), retry_after), ("1a", Some("act"), Some(Duration::from_secs(3))));
    let requests = fake.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].line, format!("POST {SERVER}{PATH}"));
    assert_eq!(requests[1].body, r#"{"Objects":[{"table":"t"}],"Type":"full"}"#);
    for line in [
        "authorization: Bearer planted-token",
        "content-type: application/json",
        "accept: application/json",
        "user-agent: tabular-operator/test",
        "x-ms-client-request-id: ",
    ] {
        assert!(requests[1].head.contains(line), "{line}\n{}", requests[1].head);
    }
    let submit = CallTarget::Service(ServiceKind::AnalysisServices, CallKind::Submit(OperationKind::Refresh));
    let expected = [(CallTarget::Token(IdentityKind::ServicePrincipal), Some(200)), (submit, Some(202))];
    assert_eq!(*records.lock(), expected);
}

fn reply_text(status: u16, headers: &[(&str, &str)], body: &str) -> String {
    match reply(status, headers, body) {
        Reply::Write(text) => text,
        _ => unreachable!(),
    }
}

#[tokio::test]
async fn lost_submit_response_is_unknown_and_not_repeated() {
    let (submission, fake) = submit(|| Reply::Close).await;
    assert!(matches!(submission, SubmitResult::Unknown { .. }), "{submission:?}");
    assert_eq!(fake.count(&format!("POST {SERVER}")), 1);

    let (submission, fake) = submit(|| Reply::WriteAndHang(String::new())).await;
    let expected = format!("{SERVER} did not respond in time");
    assert_eq!(submission, SubmitResult::Unknown { message: expected });
    assert_eq!(fake.count(&format!("POST {SERVER}")), 1);

    let (submission, _stage) = submit(|| Reply::Write("HTTP/1.1 20".to_owned())).await;
    assert!(matches!(submission, SubmitResult::Unknown { .. }), "{submission:?}");
}

#[tokio::test]
async fn operation_with_location_is_accepted_without_body() {
    let head = format!("HTTP/1.1 202 X\r\nlocation: https://{SERVER}{PATH}/1a\r\n");
    let hang = format!("{head}content-length: 50\r\n\r\n{{\"oper");
    let start = Instant::now();
    let (submission, _stage) = submit(move || Reply::WriteAndHang(hang.clone())).await;
    assert_eq!(id_of(submission), "1a");
    assert!(start.elapsed() < Duration::from_millis(1900));

    let endless = format!("{head}connection: close\r\n\r\n");
    let (submission, _stage) = submit(move || Reply::WriteEndlessly(endless.clone(), "x".repeat(4096))).await;
    assert_eq!(id_of(submission), "1a");

    let cut = format!("{head}content-length: 50\r\n\r\n{{\"oper");
    let (submission, _stage) = submit(move || Reply::Write(cut.clone())).await;
    assert_eq!(id_of(submission), "1a");

    let unnamed = "HTTP/1.1 202 X\r\ncontent-length: 50\r\n\r\n{\"operationId\":\"1".to_owned();
    let (submission, _stage) = submit(move || Reply::Write(unnamed.clone())).await;
    assert!(matches!(submission, SubmitResult::Unknown { .. }), "{submission:?}");
}

#[tokio::test]
async fn unsent_submission_is_not_started() {
    let fake = FakeAzure::new(|_| None).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let azure = fake.azure_with(fake.settings(), closed);
    let call = model_of(&azure).prepare().await.unwrap();
    let (kind, message) = refused(call.submit(&operation::Request::Refresh(RefreshRequest::default())).await);
    assert_eq!(kind, ServiceErrorKind::Unreachable);
    assert!(message.starts_with(&format!("failed to connect to {SERVER}: ")), "{message}");

    // A listener that never responds, so that the handshake does not complete.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let azure = fake.azure_with(fake.with_short_timeout(), silent.local_addr().unwrap());
    let call = model_of(&azure).prepare().await.unwrap();
    let (kind, message) = refused(call.submit(&operation::Request::Refresh(RefreshRequest::default())).await);
    assert_eq!(kind, ServiceErrorKind::Unreachable, "{message}");
}

#[tokio::test]
async fn no_token_is_sent_to_another_host() {
    let there = format!("https://{OTHER_HOST}{PATH}");
    let (submission, fake) = submit(move || reply(307, &[("location", &there)], "")).await;
    let (kind, message) = refused(submission);
    assert_eq!(kind, ServiceErrorKind::InvalidResponse);
    assert!(message.contains(OTHER_HOST), "{message}");
    assert_eq!(fake.requests().len(), 2);

    let there = format!("https://{OTHER_HOST}{PATH}/1a");
    let (submission, fake) = submit(move || reply(202, &[("location", &there)], r#"{"operationId":"2b"}"#)).await;
    assert_eq!(id_of(submission), "2b");
    assert_eq!(fake.requests().len(), 2);
}

#[tokio::test]
async fn throttled_identity_backs_off_from_the_host() {
    let fake = FakeAzure::new(|request| posted(request).then(|| reply(429, &[("retry-after", "40")], ""))).await;
    let azure = fake.azure(fake.settings());
    let call = model_of(&azure).prepare().await.unwrap();
    let (kind, _) = refused(call.submit(&operation::Request::Refresh(RefreshRequest::default())).await);
    assert_eq!(kind, ServiceErrorKind::Throttled);
    let error = model_of(&azure).prepare().await.unwrap_err();
    assert_eq!(error.kind, ServiceErrorKind::Throttled);
    assert!(error.retry_after.is_some_and(|wait| wait > Duration::from_secs(30)));
    assert_eq!(fake.count(&format!("POST {SERVER}")), 1);
}

#[tokio::test]
async fn calls_in_flight_are_bounded_per_server() {
    let fake = FakeAzure::new(|_| None).await;
    let mut settings = fake.settings();
    settings.max_calls_per_server = 1;
    let model = model_of(&fake.azure(settings));
    let call = model.prepare().await.unwrap();
    let error = model.prepare().await.unwrap_err();
    assert_eq!((error.kind, error.retry_after), (ServiceErrorKind::Throttled, None), "the error has no wait");
    drop(call);
    assert!(model.prepare().await.is_ok());
}
