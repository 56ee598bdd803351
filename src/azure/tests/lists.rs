//! Lists over the network: the relevant rows, each with its details.

use jiff::Timestamp;

use super::fake_azure::{FakeAzure, Reply, SERVER, power_bi_of, reply};
use crate::azure::ListWindow;
use crate::operation::{Listing, OperationId, OperationKind, Phase, RefreshRequest, Request, ServiceError, ServiceErrorKind, SubmitResult};

const PATH: &str = "/servers/myserver/models/Adventure%20Works/refreshes";

fn window() -> ListWindow {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    ListWindow { intent: at("2026-01-01T12:00:00Z"), now: at("2026-01-01T12:00:30Z") }
}

async fn list(response: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static) -> (Result<Listing, ServiceError>, FakeAzure) {
    list_in(window(), response).await
}

async fn list_in(
    window: ListWindow,
    response: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static,
) -> (Result<Listing, ServiceError>, FakeAzure) {
    let fake = FakeAzure::new(move |request| {
        let path = request.line.strip_prefix(&format!("GET {SERVER}{PATH}"))?;
        response(path)
    })
    .await;
    let call = fake.model().prepare().await.unwrap();
    (call.list(OperationKind::Refresh, window).await, fake)
}

const CLOCK: (&str, &str) = ("x-ms-current-utc-date", "1/1/2026 12:00:30 PM");

#[tokio::test]
async fn relevant_rows_are_read_with_details() {
    let rows = r#"[
        {"refreshId":"old","startTime":"2026-01-01T09:00:00Z","endTime":"2026-01-01T09:01:00Z","status":"succeeded"},
        {"refreshId":"runs","startTime":"2026-01-01T10:00:00Z","status":"inProgress"},
        {"refreshId":"mine","startTime":"2026-01-01T12:00:01.5","status":"notStarted"},
        {"refreshId":"odd","startTime":"2026-01-01T12:00:02","status":"inProgress"},
        {"refreshId":"gone","startTime":"2026-01-01T12:00:03","status":"succeeded"}]"#;
    let (listing, fake) = list(move |path| match path {
        "" => Some(reply(200, &[CLOCK], rows)),
        "/mine" => Some(reply(
            200,
            &[],
            r#"{"type":"Full","status":"inProgress","objects":[{"table":"t","partition":"p","status":"notStarted"}]}"#,
        )),
        "/runs" => Some(reply(200, &[], r#"{"type":"calculate","status":"succeeded"}"#)),
        "/odd" => Some(reply(200, &[], "<html>")),
        _ => None,
    })
    .await;
    let listing = listing.unwrap();
    let result: Vec<_> = listing
        .operations
        .iter()
        .map(|operation| (operation.id.as_str(), operation.phase, operation.refresh_type.as_deref(), operation.objects.len()))
        .collect();
    let expected = [
        ("gone", Phase::Succeeded, None, 0),
        ("odd", Phase::InProgress, None, 0),
        ("mine", Phase::InProgress, Some("full"), 1),
        ("runs", Phase::Succeeded, Some("calculate"), 0),
    ];
    assert_eq!(result, expected);
    assert_eq!(listing.operations[2].start, "2026-01-01T12:00:01.5Z".parse().ok());
    // The clock was read when the list arrived, long before the rows were complete.
    let clock_skew = listing.clock_skew.unwrap();
    assert!(!listing.truncated && clock_skew.max.is_zero() && clock_skew.min.as_secs() > -5, "{clock_skew:?}");
    assert_eq!(fake.count("GET"), 5);
}

#[tokio::test]
async fn searched_operation_is_listed_whatever_its_row_shows() {
    for (by, start) in
        [("ViaApi", "2026-01-01T12:00:01Z"), ("Scheduled", "2026-01-01T11:00:00Z"), ("ViaEnhancedApi", "2026-01-01T11:59:30Z")]
    {
        for (wanted, expected) in [(Some("1A"), 1), (Some("2b"), 0), (None, 0)] {
            let row = format!(r#"[{{"requestId":"1a","refreshType":"{by}","startTime":"{start}","status":"Completed"}}]"#);
            let fake = FakeAzure::new(move |request| {
                let (_, path) = request.line.split_once(' ').filter(|(method, _)| *method == "GET")?;
                Some(if path.ends_with("/1a") { reply(404, &[], "{}") } else { reply(200, &[CLOCK], &row) })
            })
            .await;
            let call = power_bi_of(&fake.azure(fake.settings())).prepare().await.unwrap();
            let listing = call.search(OperationKind::Refresh, window(), wanted.and_then(OperationId::parse)).await.unwrap();
            assert_eq!(listing.operations.len(), expected, "{by} {wanted:?}");
            assert!(listing.operations.iter().all(|operation| operation.phase == Phase::Succeeded));
        }
    }
}

#[tokio::test]
async fn large_row_is_readable_and_null_is_no_row() {
    let exception = r"\ud83d\ude00".repeat(30_000);
    let ours = r#"{"requestId":"1a","refreshType":"ViaEnhancedApi","startTime":"2026-01-01T12:00:01Z","status":"Unknown"}"#;
    let large = format!(
        r#"{{"requestId":"old","refreshType":"Scheduled","serviceExceptionJson":"x{exception}","refreshAttempts":[{{"serviceExceptionJson":
            "{exception}"}}],"startTime":"2025-12-29T12:00:00Z","endTime":"2025-12-29T12:01:00Z","status":"Failed"}}"#
    );
    let rows = format!("[{ours},null,{large}]");
    let fake = FakeAzure::new(move |request| {
        let (_, path) = request.line.split_once(' ').filter(|(method, _)| *method == "GET")?;
        Some(if path.ends_with("/1a") { reply(404, &[], "{}") } else { reply(200, &[CLOCK], &rows) })
    })
    .await;
    let call = power_bi_of(&fake.azure(fake.settings())).prepare().await.unwrap();
    let listing = call.list(OperationKind::Refresh, window()).await.unwrap();
    assert_eq!((listing.operations.len(), listing.truncated, listing.may_hide_running), (1, false, false));
}

#[tokio::test]
async fn endless_list_is_truncated_and_marked() {
    let row = r#"{"refreshId":"old","startTime":"2026-01-01T09:00:00Z","status":"succeeded"},"#.repeat(1000);
    let (listing, _stage) =
        list(move |_| Some(Reply::WriteEndlessly("HTTP/1.1 200 X\r\nconnection: close\r\n\r\n[".to_owned(), row.clone()))).await;
    let listing = listing.unwrap();
    assert!(listing.truncated && listing.operations.is_empty());
}

#[tokio::test]
async fn list_with_more_rows_than_details_is_truncated() {
    let rows: Vec<String> =
        (0..30).map(|n| format!(r#"{{"refreshId":"r{n}","startTime":"2026-01-01T12:01:{n:02}Z","status":"succeeded"}}"#)).collect();
    let rows = format!("[{}]", rows.join(","));
    let (listing, fake) = list(move |path| match path {
        "" => Some(reply(200, &[CLOCK], &rows)),
        _ => Some(reply(200, &[], r#"{"type":"full","status":"succeeded"}"#)),
    })
    .await;
    let listing = listing.unwrap();
    assert_eq!((listing.operations.len(), listing.truncated), (30, true));
    assert_eq!(fake.count("GET"), 21);
}

#[tokio::test]
async fn invalid_list_is_an_error() {
    let cases: [(u16, &str, &str, ServiceErrorKind); 8] = [
        (200, "text/html", "<html>", ServiceErrorKind::InvalidResponse),
        (200, "application/json", "", ServiceErrorKind::InvalidResponse),
        (200, "application/json", "{}", ServiceErrorKind::InvalidResponse),
        (200, "application/json", r#"[{"refreshId":"a""#, ServiceErrorKind::InvalidResponse),
        (404, "application/json", "{}", ServiceErrorKind::NotFound),
        (403, "application/json", "{}", ServiceErrorKind::AccessDenied),
        (503, "text/html", "<html>", ServiceErrorKind::ServerError),
        (302, "text/plain", "", ServiceErrorKind::InvalidResponse),
    ];
    for (status, kind, body, expected) in cases {
        let (listing, _stage) = list(move |_| Some(reply(status, &[("content-type", kind)], body))).await;
        assert_eq!(listing.unwrap_err().kind, expected, "{status} {body}");
    }
}

#[tokio::test]
async fn success_that_is_no_list_is_reported_with_its_text() {
    let is_no_list = "the response of the service is not a list of refreshes";
    let cases = [
        (r#"{"error":{"code":"X1","message":"No way."}}"#, format!("{is_no_list}. Its text: X1: No way.")),
        (r#"{"value":[{"refreshId":"a""#, is_no_list.to_owned()),
        ("{}", is_no_list.to_owned()),
        (
            "<html><title>Blocked by policy</title></html>",
            "the response is not from the service (HTTP 200): check the proxies and gateways in between. Its text: Blocked by policy"
                .to_owned(),
        ),
    ];
    for (body, expected) in cases {
        let (listing, _stage) = list(move |_| Some(reply(200, &[], body))).await;
        let error = listing.unwrap_err();
        assert_eq!((error.kind, error.message), (ServiceErrorKind::InvalidResponse, expected), "{body}");
    }
    for mark in ["", "\u{feff}"] {
        let wide: Vec<u8> = format!("{mark}[]").encode_utf16().flat_map(u16::to_le_bytes).collect();
        let whole = [b"HTTP/1.1 200 X\r\nconnection: close\r\n\r\n", wide.as_slice()].concat();
        let (listing, _stage) = list(move |_| Some(Reply::WriteBytes(whole.clone()))).await;
        let message = listing.unwrap_err().message;
        assert!(message.starts_with("the list is not UTF-8 text") && message.ends_with(is_no_list), "{message}");
    }
    // No service documents that a list without a body is empty, so it does not show that nothing is running.
    let (listing, _stage) = list(|_| Some(reply(204, &[CLOCK], ""))).await;
    assert_eq!(listing.unwrap_err().kind, ServiceErrorKind::InvalidResponse);
}

#[tokio::test]
async fn refused_details_leave_the_row_as_listed() {
    let rows = r#"[{"refreshId":"a","startTime":"2026-01-01T12:00:03Z","status":"inProgress"},
        {"refreshId":"b","startTime":"2026-01-01T12:00:02Z","endTime":"2026-01-01T12:00:03Z","status":"succeeded"}]"#;
    for (status, unreadable) in [(400, false), (403, true), (404, false), (410, false), (500, true), (503, true)] {
        let (listing, _stage) = list(move |path| match path {
            "" => Some(reply(200, &[CLOCK], rows)),
            "/b" => Some(reply(200, &[], r#"{"type":"full","status":"succeeded"}"#)),
            _ => Some(reply(status, &[], "{}")),
        })
        .await;
        let listing = listing.unwrap();
        let result: Vec<_> = listing.operations.iter().map(|o| (o.id.as_str(), o.phase, o.refresh_type.as_deref(), o.incomplete)).collect();
        let expected = [("a", Phase::InProgress, None, unreadable), ("b", Phase::Succeeded, Some("full"), false)];
        assert_eq!((result.as_slice(), listing.truncated), (&expected[..], false), "{status}");
    }
    // A throttle concerns the caller, so the remaining calls would be throttled too.
    let (listing, _stage) = list(move |path| match path {
        "" => Some(reply(200, &[CLOCK], rows)),
        _ => Some(reply(429, &[], "")),
    })
    .await;
    assert_eq!(listing.unwrap_err().kind, ServiceErrorKind::Throttled);
}

#[tokio::test]
async fn later_start_of_row_and_details_counts() {
    for (row, details) in [("2026-01-01T12:00:03Z", "2026-01-01T11:00:00Z"), ("2026-01-01T11:59:58Z", "2026-01-01T12:00:03Z")] {
        let list_body = format!(r#"[{{"refreshId":"a","startTime":"{row}","status":"inProgress"}}]"#);
        let (listing, _stage) = list(move |path| match path {
            "" => Some(reply(200, &[CLOCK], &list_body)),
            _ => Some(reply(200, &[], &format!(r#"{{"type":"full","status":"inProgress","startTime":"{details}"}}"#))),
        })
        .await;
        assert_eq!(listing.unwrap().operations[0].start, "2026-01-01T12:00:03Z".parse().ok());
    }
}

#[tokio::test]
async fn different_starts_of_row_and_details_are_incomplete() {
    for (row, details, expected) in [
        ("2026-01-01T11:00:00Z", "2026-01-01T12:00:02Z", true),
        ("2026-01-01T12:00:02Z", "2026-01-01T11:00:00Z", true),
        ("2026-01-01T12:00:02Z", "2026-01-01T12:00:08.001Z", true),
        ("2026-01-01T12:00:02Z", "2026-01-01T12:00:08Z", false),
        ("2026-01-01T12:00:02Z", "2026-01-01T12:00:02Z", false),
        ("2026-01-01T12:00:02Z", "", false),
        ("", "2026-01-01T12:00:02Z", false),
    ] {
        let list_body = format!(r#"[{{"refreshId":"a","startTime":"{row}","status":"inProgress"}}]"#);
        let (listing, _stage) = list(move |path| match path {
            "" => Some(reply(200, &[CLOCK], &list_body)),
            _ => Some(reply(200, &[], &format!(r#"{{"type":"full","status":"inProgress","startTime":"{details}"}}"#))),
        })
        .await;
        assert_eq!(listing.unwrap().operations[0].incomplete, expected, "{row} {details}");
    }
}

#[tokio::test]
async fn start_in_details_excludes_outdated_rows() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let early = ListWindow { intent: at("2025-12-20T00:00:00Z"), ..window() };
    for (window, start, phase, expected) in [
        (window(), "2025-12-28T00:00:00Z", "inProgress", 0),
        (window(), "2026-01-01T11:00:00Z", "inProgress", 1),
        (window(), "", "inProgress", 1),
        (window(), "2025-12-28T00:00:00Z", "succeeded", 1),
        (early, "2025-12-28T00:00:00Z", "inProgress", 1),
    ] {
        let (listing, _stage) = list_in(window, move |path| match path {
            "" => Some(reply(200, &[CLOCK], r#"[{"refreshId":"a","status":"inProgress"}]"#)),
            _ => Some(reply(200, &[], &format!(r#"{{"type":"full","status":"{phase}","startTime":"{start}"}}"#))),
        })
        .await;
        assert_eq!(listing.unwrap().operations.len(), expected, "{window:?} {start} {phase}");
    }
}

#[tokio::test]
async fn unreadable_row_is_uncertain_only_if_it_may_run() {
    let row = |end: &str, status: &str| {
        format!(r#"{{"requestId":"a","refreshType":"Scheduled","startTime":"{}"{end},"status":"{status}"}}"#, Timestamp::now())
    };
    let (ended, runs) = (row(r#","endTime":"2026-01-01T00:00:00Z""#, "Completed"), row("", "Unknown"));
    let long = format!(r#"{{"requestId":"a","x":[{}0]}}"#, "0,".repeat(150 * 1024));
    for unreadable in ["null", "7", long.as_str()] {
        let uncertain = if unreadable == "null" { "Rejected" } else { "ServerError" };
        for (rows, expected) in [
            (format!("{ended},{unreadable},{ended}"), "Rejected"),
            (format!("{unreadable},{ended}"), uncertain),
            (unreadable.to_owned(), uncertain),
            (format!("{unreadable},{runs}"), "busy"),
            (format!("{ended},{unreadable},{runs}"), "busy"),
        ] {
            let fake = FakeAzure::new(move |request| match request.line.split_once(' ')? {
                ("POST", path) if path.ends_with("/refreshes") => {
                    Some(reply(400, &[], r#"{"error":{"code":"InvalidRequest","message":"Ung\u00fcltig."}}"#))
                }
                ("GET", _) => Some(reply(200, &[], &format!(r#"{{"value":[{rows}]}}"#))),
                _ => None,
            })
            .await;
            let call = power_bi_of(&fake.azure(fake.settings())).prepare().await.unwrap();
            let result = match call.submit(&Request::Refresh(RefreshRequest::default())).await {
                SubmitResult::NotStarted(error) => {
                    assert!(error.message.contains("Ungültig."), "{}", error.message);
                    format!("{:?}", error.kind)
                }
                SubmitResult::Busy { .. } => "busy".to_owned(),
                other => panic!("{other:?}"),
            };
            assert_eq!(result, expected, "{}", unreadable.get(..9).unwrap_or(unreadable));
        }
    }
}
