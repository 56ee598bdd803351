//! Refreshes of Power BI: requests, the resolution of a 400, and lists.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use super::fake_azure::{DATASET, FakeAzure, GROUP, OTHER_HOST, POWER_BI, Reply, power_bi_of, reply};
use crate::azure::ListWindow;
use crate::operation::{
    CancelResult, FailureCause, OperationId, OperationKind, OperationRef, Origin, Phase, PollResult, RefreshRequest, Request,
    ServiceErrorKind, SubmitResult,
};

fn path() -> String {
    format!("{POWER_BI}/v1.0/myorg/groups/{GROUP}/datasets/{DATASET}/refreshes")
}

/// A simulated Azure that responds by the method and the part of the path after `…/refreshes`.
pub(super) async fn fake(response: impl Fn(&str, &str) -> Option<Reply> + Send + Sync + 'static) -> FakeAzure {
    FakeAzure::new(move |request| {
        let (method, address) = request.line.split_once(' ')?;
        response(method, address.strip_prefix(&path())?)
    })
    .await
}

async fn submit(fake: &FakeAzure) -> SubmitResult {
    let call = power_bi_of(&fake.azure(fake.with_short_timeout())).prepare().await.unwrap();
    call.submit(&Request::Refresh(RefreshRequest::default())).await
}

fn refused(submission: SubmitResult) -> (ServiceErrorKind, String) {
    match submission {
        SubmitResult::NotStarted(error) => (error.kind, error.message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn refresh_is_requested_as_documented_and_identified() {
    let location = format!("https://{}/1a", path());
    let evil = format!("https://{OTHER_HOST}/refreshes/1a");
    let rows = [
        (vec![("location", location.as_str()), ("x-ms-request-id", "2b")], Some("1a")),
        // Without a `Location`, it may be the id of the call.
        (vec![("x-ms-request-id", "2b"), ("RequestId", "2B")], None),
        (vec![("x-ms-request-id", "2b")], None),
        (vec![("x-ms-request-id", "2b"), ("RequestId", "3c")], None),
        (vec![("RequestId", "3c")], None),
        (vec![("location", evil.as_str()), ("RequestId", "3c")], None),
        (vec![], None),
    ];
    for (headers, expected) in rows {
        let Reply::Write(response) = reply(202, &headers, "") else { unreachable!() };
        let fake = fake(move |_, rest| rest.is_empty().then(|| Reply::Write(response.clone()))).await;
        match submit(&fake).await {
            SubmitResult::Accepted { id, .. } => assert_eq!(Some(id.as_str()), expected),
            SubmitResult::Unknown { .. } => assert_eq!(None, expected),
            other => panic!("{other:?}"),
        }
        let requests = fake.requests();
        assert!(requests[0].body.contains("scope=https%3A%2F%2Fanalysis.windows.net%2Fpowerbi%2Fapi%2F.default"), "{}", requests[0].body);
        assert_eq!(
            (requests[1].line.as_str(), requests[1].body.as_str()),
            (format!("POST {}", path()).as_str(), r#"{"type":"automatic"}"#)
        );
        assert!(requests[1].head.contains("accept-language: en-US"), "{}", requests[1].head);
        assert_eq!(requests.len(), 2, "no request to another host, and none is repeated");
    }
}

const BUSY: [&str; 6] = [
    "Invalid dataset refresh request. Another refresh request is already executing",
    "INVALID DATASET REFRESH REQUEST. ANOTHER REFRESH REQUEST IS ALREADY EXECUTING",
    "Ungültige Anforderung zum Aktualisieren des Datasets. Eine andere Aktualisierungsanforderung wird bereits ausgeführt",
    "Demande d'actualisation non valide. Une autre demande d'actualisation est en cours",
    "数据集刷新请求无效。另一个刷新请求已在执行中",
    "",
];

const QUOTA: [&str; 6] = [
    "Invalid dataset refresh request. Number of refresh requests in last 24 hours exceeded limit",
    "invalid dataset refresh request. number of refresh requests in last 24 hours EXCEEDED LIMIT",
    "Ungültige Anforderung. Die Anzahl der Aktualisierungsanforderungen in den letzten 24 Stunden hat den Grenzwert überschritten",
    "Le nombre de demandes d'actualisation au cours des dernières 24 heures a dépassé la limite",
    "过去 24 小时内的刷新请求数超出限制",
    "",
];

pub(super) fn row(start: i64, end: Option<i64>, by: &str, status: &str) -> String {
    let at = |seconds: i64| Timestamp::now().checked_add(SignedDuration::from_secs(seconds)).unwrap();
    let end = end.map(|end| format!(r#","endTime":"{}""#, at(end))).unwrap_or_default();
    format!(
        r#"{{"requestId":"r{start}","id":1,"refreshType":"{by}","startTime":"{}"{end},"status":"{status}"}}"#,
        at(start).to_string().trim_end_matches('Z')
    )
}

/// The resolution of a 400, and the number of lists that were read for it.
async fn outcome_of_400(code: &str, text: &str, list: String) -> (String, usize) {
    let error = serde_json::json!({"error": {"code": code, "message": text}}).to_string();
    let fake = fake(move |method, _| Some(if method == "POST" { reply(400, &[], &error) } else { reply(200, &[], &list) })).await;
    let outcome = match submit(&fake).await {
        SubmitResult::Busy { .. } => "busy".to_owned(),
        SubmitResult::NotStarted(error) => format!("{:?}", error.kind),
        other => panic!("{other:?}"),
    };
    assert_eq!(fake.count("POST api"), 1);
    (outcome, fake.count("GET "))
}

#[tokio::test]
async fn busy_and_quota_are_distinguished_in_any_language() {
    let running = format!(r#"{{"@odata.context":"x","value":[{}]}}"#, row(-60, None, "Scheduled", "Unknown"));
    let ended = format!("[{}]", row(-7200, Some(-7000), "ViaEnhancedApi", "Completed"));
    for (n, text) in BUSY.iter().enumerate() {
        // The operator parses English texts. For others, the list decides.
        let lists = usize::from(n > 1);
        assert_eq!(outcome_of_400("InvalidRequest", text, running.clone()).await, ("busy".to_owned(), lists), "{text}");
    }
    for (n, text) in QUOTA.iter().enumerate() {
        // An unclear refusal is rejected with the text of the service, regardless of the number of refreshes on that day.
        let (outcome, lists) = if n > 1 { ("Rejected", 1) } else { ("QuotaExceeded", 0) };
        assert_eq!(outcome_of_400("InvalidRequest", text, ended.clone()).await, (outcome.to_owned(), lists), "{text}");
    }
    // A code takes precedence over any text.
    assert_eq!(outcome_of_400("RefreshInProgress", QUOTA[0], ended.clone()).await, ("busy".to_owned(), 0));
    assert_eq!(outcome_of_400("DailyQuotaReached", BUSY[0], running.clone()).await, ("QuotaExceeded".to_owned(), 0));
    // Contradictory texts are inconclusive.
    let both = format!("{} {}", BUSY[0], QUOTA[0]);
    assert_eq!(outcome_of_400("InvalidRequest", &both, running).await, ("busy".to_owned(), 1));
    // An unexplained 400 is an invalid request.
    assert_eq!(outcome_of_400("InvalidRequest", "The type of the request is not valid", ended).await, ("Rejected".to_owned(), 1));
    assert_eq!(outcome_of_400("InvalidRequest", BUSY[2], "[]".to_owned()).await, ("Rejected".to_owned(), 1));
}

/// The details of a refresh that never shows its end in the list, although a later one has succeeded, and whether it counts as running.
const DETAILS: [(u16, &str, bool); 7] = [
    (202, r#"{"status":"Unknown","extendedStatus":"InProgress"}"#, true),
    (200, r#"{"status":"Completed","extendedStatus":"Completed"}"#, false),
    (200, r#"{"status":"Failed"}"#, false),
    (404, r#"{"error":{"code":"PowerBIEntityNotFound"}}"#, false),
    (400, r#"{"error":{"code":"InvalidRequest"}}"#, false),
    (403, "{}", true),
    (503, "", true),
];

#[tokio::test]
async fn details_of_an_outdated_row_decide_whether_it_runs() {
    for (status, details, runs) in DETAILS {
        for (by, has_details) in [("ViaEnhancedApi", true), ("DirectLakeFraming", true), ("Scheduled", false)] {
            let rows = [row(-600, Some(-500), "ViaApi", "Completed"), row(-7200, None, by, "Unknown")];
            let list = format!("[{}]", rows.join(","));
            let fake = fake(move |method, rest| match (method, rest) {
                ("POST", _) => Some(reply(400, &[], r#"{"error":{"code":"InvalidRequest","message":"Ung\u00fcltig."}}"#)),
                (_, "/r-7200") => Some(reply(status, &[], details)),
                _ => Some(reply(200, &[], &list)),
            })
            .await;
            let runs = runs && has_details;
            let submission = submit(&fake).await;
            assert_eq!(matches!(submission, SubmitResult::Busy { .. }), runs, "{status} {details} {by}: {submission:?}");
            let call = power_bi_of(&fake.azure(fake.settings())).prepare().await.unwrap();
            let now = Timestamp::now();
            let listing = call.list(OperationKind::Refresh, ListWindow { intent: now, now }).await.unwrap();
            assert_eq!(listing.operations.iter().any(|operation| !operation.phase.ended()), runs, "{status} {details} {by}");
            assert!(!listing.truncated && !listing.may_hide_running);
            assert_eq!(fake.count(&format!("GET {}/r", path())), if has_details { 2 } else { 0 }, "{by}");
        }
    }
}

#[tokio::test]
async fn details_decide_about_a_refresh_by_the_service() {
    for (status, details, runs) in DETAILS {
        for (by, has_details) in [("DirectLakeFraming", true), ("WebModeling", false)] {
            let list = format!("[{}]", row(-60, None, by, "Unknown"));
            let fake = fake(move |method, rest| match (method, rest) {
                ("POST", _) => Some(reply(400, &[], r#"{"error":{"code":"InvalidRequest","message":"Ung\u00fcltig."}}"#)),
                (_, "/r-60") => Some(reply(status, &[], details)),
                _ => Some(reply(200, &[], &list)),
            })
            .await;
            let submission = submit(&fake).await;
            let runs = runs && has_details;
            assert_eq!(matches!(submission, SubmitResult::Busy { .. }), runs, "{status} {details} {by}: {submission:?}");
        }
    }
}

#[tokio::test]
async fn unknown_400_is_reported_with_text_of_service() {
    let many: Vec<_> = (1..50).map(|n| row(-1_000 * n, Some(-1_000 * n + 30), "Scheduled", "Completed")).collect();
    let list = format!("[{}]", many.join(","));
    let bodies = [
        r#"{"error":{"code":"DM_Wrong","message":"Ungültige Anforderung."}}"#,
        r#"{"error":{"code":"DM_Wrong","pbi.error":{"code":"DM_Wrong","details":[{"code":"x","detail":{"type":1,"value":"Ungültige Anforderung."}}]}}}"#,
        r#"{"errorCode":"DM_Wrong","errorDescription":"{\"Message\":\"Ungültige Anforderung.\"}"}"#,
        "0xC1000001: Ungültige Anforderung. (DM_Wrong)",
    ];
    for body in bodies {
        let list = list.clone();
        let fake = fake(move |method, _| Some(if method == "POST" { reply(400, &[], body) } else { reply(200, &[], &list) })).await;
        let (kind, message) = refused(submit(&fake).await);
        assert_eq!(kind, ServiceErrorKind::Rejected, "{body}");
        assert!(message.contains("DM_Wrong") && message.contains("Ungültige Anforderung."), "{message}");
        assert!(!message.contains("quota"), "{message}");
    }
}

#[tokio::test]
async fn failure_without_details_is_explained_by_row() {
    let exception = r#""serviceExceptionJson":"{\"error\":{\"code\":\"CapacityNotActive\"}}""#;
    let list = row(-60, Some(-30), "ViaEnhancedApi", "Failed").replace(r#""id":1"#, exception);
    for details in [reply_of(404, ""), reply_of(200, "<html>"), reply_of(200, r#"{"status":"Failed"}"#)] {
        let list = format!("[{list}]");
        let fake =
            fake(move |_, rest| Some(if rest.starts_with("/r") { Reply::Write(details.clone()) } else { reply(200, &[], &list) })).await;
        let call = power_bi_of(&fake.azure(fake.settings())).prepare().await.unwrap();
        let now = Timestamp::now();
        let window = ListWindow { intent: now.checked_sub(SignedDuration::from_secs(90)).unwrap(), now };
        let operations = call.list(OperationKind::Refresh, window).await.unwrap().operations;
        assert_eq!(operations[0].messages[0].text, "CapacityNotActive");
        assert_eq!(operations[0].failure, Some(FailureCause::CapacityPaused));
    }
}

#[tokio::test]
async fn unresolved_400_ends_no_run() {
    for list in [reply_of(503, ""), reply_of(200, "<html>"), reply_of(200, r#"{"value":[{"requestId""#), reply_of(429, "")] {
        let fake = fake(move |method, _| {
            Some(if method == "POST" { reply(400, &[], r#"{"error":{"code":"InvalidRequest"}}"#) } else { Reply::Write(list.clone()) })
        })
        .await;
        let (kind, message) = refused(submit(&fake).await);
        assert_eq!(kind, ServiceErrorKind::ServerError);
        assert!(message.contains("failed to check whether another refresh is running"), "{message}");
    }
    let fake =
        fake(|method, _| (method == "POST").then(|| reply(400, &[], "{}")).or_else(|| Some(Reply::WriteAndHang(String::new())))).await;
    let start = std::time::Instant::now();
    assert_eq!(refused(submit(&fake).await).0, ServiceErrorKind::ServerError);
    assert!(start.elapsed() < Duration::from_millis(3500), "the timeout of one call for both: {:?}", start.elapsed());
}

#[tokio::test]
async fn text_decides_if_a_refresh_may_be_displaced() {
    let rows: Vec<_> = (1..=60).map(|n| row(-60 * n, Some(-60 * n + 30), "DirectLakeFraming", "Completed")).collect();
    let list = format!("[{}]", rows.join(","));
    for (text, outcome) in [("Bad Request", "ServerError"), ("The table 'x' does not exist.", "Rejected")] {
        assert_eq!(outcome_of_400("BadRequest", text, list.clone()).await, (outcome.to_owned(), 1), "{text}");
    }
}

fn reply_of(status: u16, body: &str) -> String {
    let Reply::Write(text) = reply(status, &[], body) else { unreachable!() };
    text
}

#[tokio::test]
async fn refusals_state_what_to_enable_or_grant() {
    let rows = [
        (401, r#"{"error":{"code":"PowerBINotAuthorizedException"}}"#, ServiceErrorKind::AccessDenied, "Service principals can call"),
        (401, "", ServiceErrorKind::AccessDenied, "Contributor"),
        (403, r#"{"Message":"API is not accessible for application"}"#, ServiceErrorKind::AccessDenied, "blocks applications"),
        (403, r#"{"error":{"code":"Forbidden"}}"#, ServiceErrorKind::AccessDenied, "Contributor"),
        (403, r#"{"error":{"code":"TokenExpired"}}"#, ServiceErrorKind::ServerError, "requests a new one automatically"),
        (404, r#"{"error":{"code":"PowerBIEntityNotFound"}}"#, ServiceErrorKind::NotFound, "hides them from this identity"),
        (400, r#"{"error":{"code":"CapacityNotActive"}}"#, ServiceErrorKind::Paused, "capacity of the workspace is paused"),
        (409, r#"{"error":{"code":"DailyQuotaReached"}}"#, ServiceErrorKind::QuotaExceeded, "schedule fewer"),
    ];
    for (status, body, kind, expected) in rows {
        let fake = fake(move |_, _| Some(reply(status, &[], body))).await;
        let (result, message) = refused(submit(&fake).await);
        assert!(result == kind && message.contains(expected), "{body}: {result:?} {message}");
    }
}

#[tokio::test]
async fn expired_token_is_replaced() {
    let first = Mutex::new(true);
    let fake = fake(move |_, _| std::mem::take(&mut *first.lock()).then(|| reply(403, &[], r#"{"error":{"code":"TokenExpired"}}"#))).await;
    let model = power_bi_of(&fake.azure(fake.settings()));
    for _ in 0..3 {
        let _ = model.prepare().await.unwrap().poll(OperationKind::Refresh, &OperationRef::by_id(OperationId::parse("1a").unwrap())).await;
    }
    assert_eq!(fake.count("POST login"), 2);
}

async fn poll(status: u16, body: &str) -> PollResult {
    let response = reply_of(status, body);
    let fake = fake(move |_, rest| (rest == "/1a").then(|| Reply::Write(response.clone()))).await;
    let call = power_bi_of(&fake.azure(fake.settings())).prepare().await.unwrap();
    call.poll(OperationKind::Refresh, &OperationRef::by_id(OperationId::parse("1a").unwrap())).await
}

#[tokio::test]
async fn captured_and_documented_details_are_parsed() {
    let running = r#"{"startTime":"2021-12-14T03:46:04.833","type":"Full","commitMode":"Transactional","status":"Unknown",
        "extendedStatus":"NotStarted","currentRefreshType":"Full","numberOfAttempts":0}"#;
    let evicted = r#"{"status":"Failed","extendedStatus":"Failed","startTime":"2021-12-14T03:46:04.833","endTime":"2021-12-14T03:47:00Z","type":"Full",
        "objects":[{"table":"DimDate","status":"Failed"}],"refreshAttempts":[{"attemptId":1,"type":"Data"}],
        "messages":[{"code":"0xC11C0020","message":"Session cancelled because it is connected to a database that has been evicted","type":"Error"}]}"#;
    let attempts = r#"{"status":"Unknown","extendedStatus":"InProgress","refreshAttempts":[{"attemptId":1,"serviceExceptionJson":""},
        {"attemptId":2,"serviceExceptionJson":"{\"errorCode\":\"ModelRefreshFailed_CredentialsNotSpecified\",\"errorDescription\":\"no\\n way\"}"}]}"#;
    let rows = [
        (202, running, Phase::NotStarted, None, 0, 0),
        (200, running, Phase::NotStarted, None, 0, 0),
        (200, evicted, Phase::Failed, Some(FailureCause::Evicted), 1, 1),
        (202, attempts, Phase::InProgress, None, 0, 1),
        (200, r#"{"status":"Disabled"}"#, Phase::Failed, Some(FailureCause::Disabled), 0, 0),
        (200, r#"{"status":"Failed","extendedStatus":"TimedOut"}"#, Phase::TimedOut, Some(FailureCause::AttemptTimeLimit), 0, 0),
        (
            200,
            r#"{"status":"Completed","extendedStatus":"Completed","serviceExceptionJson":"{\"errorCode\":\"x\"}"}"#,
            Phase::Succeeded,
            None,
            0,
            0,
        ),
        (200, r#"{"status":"Failed","serviceExceptionJson":"{\"errorCode\":\"x\"}"}"#, Phase::Failed, None, 0, 1),
    ];
    for (status, body, phase, failure, objects, messages) in rows {
        let PollResult::Found { operation, .. } = poll(status, body).await else { panic!("{body}") };
        assert_eq!((operation.phase, operation.failure), (phase, failure), "{body}");
        assert_eq!((operation.objects.len(), operation.messages.len()), (objects, messages), "{body}");
    }
    let PollResult::Found { operation, .. } = poll(202, attempts).await else { panic!() };
    assert_eq!((operation.messages[0].severity.as_str(), operation.messages[0].text.as_str()), ("Warning", "no way"));
    assert_eq!(poll(404, r#"{"error":{"code":"PowerBIEntityNotFound"}}"#).await, PollResult::NotFound);
    for body in
        ["", "<html>", r#"{"status":"Completed","status":"Unknown"}"#, r#"{"requestId":"2b","status":"Completed"}"#, &"[".repeat(200_000)]
    {
        assert!(matches!(poll(200, body).await, PollResult::Failed(error) if error.kind == ServiceErrorKind::InvalidResponse));
    }
}

#[tokio::test]
async fn cancellation_after_the_end_finds_nothing_running() {
    let rows = [
        (200, "", CancelResult::Accepted),
        (202, "", CancelResult::Accepted),
        (409, r#"{"error":{"code":"InvalidRequest","message":"无法取消刷新请求"}}"#, CancelResult::NotRunning),
        (404, r#"{"error":{"code":"PowerBIEntityNotFound"}}"#, CancelResult::NotRunning),
    ];
    for (status, body, expected) in rows {
        let fake = fake(move |method, rest| (method == "DELETE" && rest == "/1a").then(|| reply(status, &[], body))).await;
        let call = power_bi_of(&fake.azure(fake.settings())).prepare().await.unwrap();
        assert_eq!(call.cancel(&OperationId::parse("1a").unwrap()).await, expected, "{status}");
    }
}

#[tokio::test]
async fn list_has_ours_with_details_and_running_external() {
    let rows = [
        row(-1, None, "Scheduled", "Unknown"),
        row(-2, Some(-1), "ViaEnhancedApi", "Completed"),
        row(-3, Some(-2), "OnDemand", "Completed"),
        row(-9000, Some(-8000), "ViaEnhancedApi", "Completed"),
    ];
    let list = format!(r#"{{"value":[{}]}}"#, rows.join(","));
    let fake = fake(move |_, rest| match rest {
        "?$top=100" => Some(reply(200, &[], &list)),
        "/r-2" => Some(reply(200, &[], r#"{"type":"Full","status":"Completed","objects":[{"table":"t","status":"Completed"}]}"#)),
        _ => None,
    })
    .await;
    let call = power_bi_of(&fake.azure(fake.settings())).prepare().await.unwrap();
    let now = Timestamp::now();
    let listing = call.list(OperationKind::Refresh, ListWindow { intent: now, now }).await.unwrap();
    let result: Vec<_> = listing.operations.iter().map(|o| (o.id.as_str(), o.phase, o.origin, o.refresh_type.as_deref())).collect();
    assert_eq!(result, [("r-1", Phase::InProgress, Origin::External, None), ("r-2", Phase::Succeeded, Origin::Client, Some("full"))]);
    assert!(!listing.truncated);
    assert_eq!(fake.count("GET "), 2, "no details of external refreshes");
}

#[tokio::test]
async fn printed_values_contain_no_secret() {
    let fake = fake(|_, _| None).await;
    let model = power_bi_of(&fake.azure(fake.settings()));
    let call = model.prepare().await.unwrap();
    let printed = format!("{model:?} {call:?}");
    assert!(printed.contains(DATASET) && !printed.contains("planted"), "{printed}");
}

#[tokio::test]
async fn list_of_millions_is_truncated_and_marked() {
    let old = row(-9000, Some(-8000), "Scheduled", "Completed");
    let piece = format!("{old},").repeat(500);
    let head = "HTTP/1.1 200 X\r\nconnection: close\r\n\r\n{\"value\":[";
    let fake = fake(move |_, _| Some(Reply::WriteEndlessly(head.to_owned(), piece.clone()))).await;
    let call = power_bi_of(&fake.azure(fake.settings())).prepare().await.unwrap();
    let now = Timestamp::now();
    let listing = call.list(OperationKind::Refresh, ListWindow { intent: now, now }).await.unwrap();
    assert!(listing.truncated && listing.operations.is_empty());
}
