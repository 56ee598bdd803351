//! Syncs of both services over the network.

use std::time::Duration;

use jiff::Timestamp;

use super::fake_azure::{DATASET, FakeAzure, GROUP, OTHER_HOST, POWER_BI, Reply, SERVER, power_bi_of, reply};
use crate::azure::ListWindow;
use crate::operation::{OperationId, OperationKind, OperationRef, Phase, PollResult, Request, ServiceErrorKind, SubmitResult};

const SYNC: &str = "/servers/myserver:rw/models/Adventure%20Works/sync";

fn operation_ref(id: &str, location: Option<&str>) -> OperationRef {
    OperationRef { id: OperationId::parse(id).unwrap(), location: location.map(str::to_owned) }
}

/// A simulated Analysis Services that responds by method and path.
async fn fake(response: impl Fn(&str, &str) -> Option<Reply> + Send + Sync + 'static) -> FakeAzure {
    FakeAzure::new(move |request| {
        let (method, address) = request.line.split_once(' ')?;
        response(method, address.strip_prefix(SERVER)?)
    })
    .await
}

async fn poll(fake: &FakeAzure, operation_ref: &OperationRef) -> PollResult {
    fake.model().prepare().await.unwrap().poll(OperationKind::Sync, operation_ref).await
}

fn phase(poll: &PollResult) -> Phase {
    match poll {
        PollResult::Found { operation, .. } => operation.phase,
        other => panic!("{other:?}"),
    }
}

fn window() -> ListWindow {
    let now = Timestamp::now();
    ListWindow { intent: now, now }
}

#[tokio::test]
async fn sync_is_polled_at_each_next_location() {
    let fake = fake(|method, path| match (method, path) {
        ("POST", SYNC) => Some(reply(202, &[("location", &format!("{SYNC}?operationId=1a")), ("retry-after", "3")], "")),
        ("GET", path) if path == format!("{SYNC}?operationId=1a") => {
            Some(reply(303, &[("location", "/operations/2")], "<html>moved</html>"))
        }
        ("GET", "/operations/2") => Some(reply(202, &[("location", "/operations/3"), ("retry-after", "4")], r#"{"syncstate":"1"}"#)),
        ("GET", "/operations/3") => Some(reply(200, &[], r#"{"operationId":"1A","syncstate":"Completed"}"#)),
        _ => None,
    })
    .await;
    let submission = fake.model().prepare().await.unwrap().submit(&Request::Sync).await;
    let SubmitResult::Accepted { id, location, retry_after, .. } = submission else { panic!("{submission:?}") };
    assert_eq!((id.as_str(), retry_after), ("1a", Some(Duration::from_secs(3))));
    assert!(fake.requests()[1].head.to_ascii_lowercase().contains("content-length: 0"), "{}", fake.requests()[1].head);
    let mut operation_ref = OperationRef { id, location };
    let mut waits = Vec::new();
    loop {
        let PollResult::Found { operation, retry_after, location } = poll(&fake, &operation_ref).await else { panic!() };
        waits.push(retry_after.map(|wait| wait.as_secs()));
        if operation.phase == Phase::Succeeded {
            break;
        }
        operation_ref.location = location;
    }
    assert_eq!(waits, [Some(30), Some(4), None]);
    let calls: Vec<String> = fake.requests().into_iter().map(|request| request.line).filter(|line| line.contains(SERVER)).collect();
    assert_eq!(calls.len(), 4, "each URL once: {calls:?}");
}

#[tokio::test]
async fn no_token_is_sent_to_a_location_on_another_host() {
    let there = format!("https://{OTHER_HOST}/sync/1a");
    let foreign = there.clone();
    let fake = fake(move |method, path| match (method, path) {
        ("POST", _) => Some(reply(202, &[("location", &foreign)], r#"{"operationId":"1a"}"#)),
        (_, "/moved") => Some(reply(303, &[("location", &foreign)], "")),
        (_, path) if path == format!("{SYNC}?operationId=1a") => Some(reply(200, &[("location", &foreign)], r#"{"syncstate":0}"#)),
        _ => None,
    })
    .await;
    let submission = fake.model().prepare().await.unwrap().submit(&Request::Sync).await;
    assert!(matches!(&submission, SubmitResult::Accepted { location: None, .. }), "{submission:?}");
    // A record that another client has edited. The operator polls by id instead.
    for location in [there.as_str(), "http://westus.asazure.windows.net/sync", "//evil.example.com/x", "https://"] {
        let result = poll(&fake, &operation_ref("1a", Some(location))).await;
        assert!(matches!(&result, PollResult::Found { location: None, .. }), "{location}: {result:?}");
    }
    // So is a redirect to another host.
    let result = poll(&fake, &operation_ref("1a", Some("/moved"))).await;
    assert!(matches!(&result, PollResult::Found { location: None, .. }), "{result:?}");
    assert_eq!(fake.requests().iter().filter(|request| request.line.contains(OTHER_HOST)).count(), 0);
}

#[tokio::test]
async fn expired_location_does_not_end_its_sync() {
    let fake =
        fake(|_, path| (path == format!("{SYNC}?operationId=1a")).then(|| reply(200, &[], r#"{"operationId":"1a","syncstate":0}"#))).await;
    assert_eq!(phase(&poll(&fake, &operation_ref("1a", Some("/operations/9"))).await), Phase::InProgress);
    assert_eq!(poll(&fake, &operation_ref("2b", Some("/operations/9"))).await, PollResult::NotFound);
}

#[tokio::test]
async fn sync_is_polled_by_id_if_its_location_fails() {
    let by_id = format!("{SYNC}?operationId=1a");
    let fake = fake(move |_, path| match path.strip_prefix("/operations/") {
        Some(status) => Some(reply(status.parse().unwrap(), &[], "")),
        None => (path == by_id).then(|| reply(200, &[], r#"{"operationId":"1a","syncstate":0}"#)),
    })
    .await;
    for status in ["400", "403", "404", "500", "503"] {
        let location = format!("/operations/{status}");
        assert_eq!(phase(&poll(&fake, &operation_ref("1a", Some(&location))).await), Phase::InProgress, "{status}");
    }
    // The id is not found either. Only with 400 and 404, this shows that the sync is lost.
    for (status, lost) in [("400", true), ("404", true), ("403", false), ("500", false)] {
        let result = poll(&fake, &operation_ref("2b", Some(&format!("/operations/{status}")))).await;
        assert_eq!(result == PollResult::NotFound, lost, "{status}: {result:?}");
    }
    let throttled = poll(&fake, &operation_ref("1a", Some("/operations/429"))).await;
    assert!(matches!(&throttled, PollResult::Failed(error) if error.kind == ServiceErrorKind::Throttled), "{throttled:?}");
}

#[tokio::test]
async fn responses_are_bounded_and_lost_ones_are_unknown() {
    let endless = || Reply::WriteEndlessly("HTTP/1.1 200 X\r\nconnection: close\r\n\r\n".to_owned(), " ".repeat(65_536));
    let fake = fake(move |_, _| Some(endless())).await;
    let result = poll(&fake, &operation_ref("1a", None)).await;
    assert!(matches!(&result, PollResult::Failed(error) if error.kind == ServiceErrorKind::InvalidResponse), "{result:?}");
    let listing = fake.model().prepare().await.unwrap().list(OperationKind::Sync, window()).await;
    assert_eq!(listing.unwrap_err().kind, ServiceErrorKind::InvalidResponse);
    let submission = fake.model().prepare().await.unwrap().submit(&Request::Sync).await;
    assert!(matches!(submission, SubmitResult::Unknown { .. }), "{submission:?}");

    for reply in [Reply::Close, Reply::Write("HTTP/1.1 20".to_owned()), reply(502, &[], "<html>")] {
        let reply = parking_lot::Mutex::new(Some(reply));
        let fake = self::fake(move |method, _| (method == "POST").then(|| reply.lock().take().unwrap_or(Reply::Close))).await;
        let submission = fake.model().prepare().await.unwrap().submit(&Request::Sync).await;
        assert!(matches!(submission, SubmitResult::Unknown { .. }), "{submission:?}");
        assert_eq!(fake.count(&format!("POST {SERVER}")), 1);
    }
}

#[tokio::test]
async fn sync_of_lost_response_is_found_by_its_start() {
    let start = Timestamp::now().to_string();
    let body = format!(r#"{{"operationId":"1a","StartedAt":"{}","syncstate":0}}"#, start.trim_end_matches('Z'));
    let fake = fake(move |method, path| (method == "GET" && path == SYNC).then(|| reply(200, &[], &body))).await;
    let listing = fake.model().prepare().await.unwrap().list(OperationKind::Sync, window()).await.unwrap();
    let ids: Vec<_> = listing.operations.iter().map(|operation| operation.id.as_str()).collect();
    assert_eq!((ids, listing.truncated), (vec!["1a"], false));
}

#[tokio::test]
async fn running_operation_is_busy() {
    let rows = [
        (409, ""),
        (400, r#"{"code":"Conflict","message":"A refresh operation is already running on this database."}"#),
        (400, r#"{"code":"BadRequest","message":"A synchronization is already in progress."}"#),
    ];
    for (status, body) in rows {
        let fake = fake(move |method, _| (method == "POST").then(|| reply(status, &[], body))).await;
        let submission = fake.model().prepare().await.unwrap().submit(&Request::Sync).await;
        assert!(matches!(submission, SubmitResult::Busy { .. }), "{status} {body}: {submission:?}");
    }
}

#[tokio::test]
async fn query_scale_out_is_requested_and_polled_as_documented() {
    let base = format!("{POWER_BI}/v1.0/myorg/groups/{GROUP}/datasets/{DATASET}/queryScaleOut");
    let body = |replicas: u64| {
        let start = Timestamp::now();
        format!(
            r#"{{"commitVersion":7,"targetSyncVersion":7,"minActiveReadVersion":{replicas},"syncStartTime":"{start}","scaleOutStatus":"Enabled"}}"#
        )
    };
    let polls = std::sync::atomic::AtomicU64::new(5);
    let fake = FakeAzure::new(move |request| {
        if request.line == format!("POST {base}/sync") {
            return Some(reply(200, &[], &body(5)));
        }
        let next = || polls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        (request.line == format!("GET {base}/syncStatus")).then(|| reply(200, &[("retry-after", "2")], &body(next())))
    })
    .await;
    let model = power_bi_of(&fake.azure(fake.settings()));
    let submission = model.prepare().await.unwrap().submit(&Request::Sync).await;
    let SubmitResult::Accepted { id, location: None, .. } = submission else { panic!("{submission:?}") };
    assert!(id.as_str().starts_with("scaleout-7-"), "{id}");
    let mut phases = Vec::new();
    for _ in 0..3 {
        // Only the id is kept, and is sufficient after a restart.
        let model = power_bi_of(&fake.azure(fake.settings()));
        phases.push(phase(&model.prepare().await.unwrap().poll(OperationKind::Sync, &OperationRef::by_id(id.clone())).await));
    }
    assert_eq!(phases, [Phase::InProgress, Phase::InProgress, Phase::Succeeded]);
    let listing = model.prepare().await.unwrap().list(OperationKind::Sync, window()).await.unwrap();
    assert_eq!(listing.operations.len(), 1);
}
