//! Tables of responses about a sync, and their meaning.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::azure::http::BodyFault;

/// Header lines.
type Lines<'a> = &'a [(&'a str, &'a str)];

const GUID: &str = "cd5e16c6-6d4e-4347-86a0-762bdf5b4875";
const SYNC: &str = "https://w.asazure.windows.net/servers/s:rw/models/m/sync";
const PAGE: &str = "<!DOCTYPE html><html><body>Object moved</body></html>";

fn response(status: u16, headers: Lines, body: &str) -> Response {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    Response::new(status, map, body.as_bytes().to_vec(), None)
}

fn called() -> Url {
    Url::parse(SYNC).unwrap()
}

fn id(text: &str) -> OperationId {
    OperationId::parse(text).unwrap()
}

#[test]
fn sync_id_is_from_location_then_body_then_header() {
    let query = format!("{SYNC}?operationId={GUID}");
    let path = format!("{SYNC}/{GUID}/");
    let elsewhere_in_path = format!("https://w.asazure.windows.net/operations/{GUID}");
    let unnamed = "https://w.asazure.windows.net/servers/s:rw/models/m/operation";
    let body = r#"{"operationId":"2b"}"#;
    let call = ("x-ms-request-id", "3c");
    let other_host = "https://evil.example.com/servers/s:rw/models/m/sync/1a";
    // status, headers, body, id, location
    let rows: [(u16, Lines, &str, &str, Option<&str>); 15] = [
        (202, &[("location", &query)], "", GUID, Some(&query)),
        (202, &[("location", &path), call], body, GUID, Some(&path)),
        (202, &[("location", &elsewhere_in_path)], "", GUID, Some(&elsewhere_in_path)),
        (202, &[("location", "sync?OPERATIONID=1a")], "", "1a", Some(&format!("{SYNC}?OPERATIONID=1a"))),
        (202, &[("location", "/servers/s:rw/models/m/sync/1a")], PAGE, "1a", Some(&format!("{SYNC}/1a"))),
        (202, &[("location", unnamed)], body, "2b", Some(unnamed)),
        (202, &[("location", unnamed), call], "", "request-3c", Some(unnamed)),
        (202, &[], body, "2b", None),
        (202, &[call], body, "2b", None),
        (202, &[("location", other_host), call], body, "2b", None),
        (202, &[("location", "http://w.asazure.windows.net/sync/1a")], body, "2b", None),
        (200, &[("location", &query)], "", GUID, Some(&query)),
        (200, &[], r#"{"operationId":"2b","syncstate":0}"#, "2b", None),
        (200, &[], r#"[{"operationId":"2b","syncstate":0}]"#, "2b", None),
        (202, &[], r#"[{"operationId":"2b"}]"#, "2b", None),
    ];
    for (status, headers, body, expected, there) in rows {
        let SubmitResult::Accepted { id, location, .. } = accepted(&response(status, headers, body), &called()) else {
            panic!("{status} {headers:?} {body}");
        };
        assert_eq!((id.as_str(), location.as_deref()), (expected, there), "{status} {headers:?} {body}");
    }
    // The id of a call alone is not the id of its sync. The list shows the sync.
    for headers in [&[call] as Lines, &[("location", other_host), call]] {
        let submission = accepted(&response(202, headers, ""), &called());
        assert!(matches!(submission, SubmitResult::Unknown { .. }), "{headers:?}: {submission:?}");
    }
    // A URL alone is sufficient for tracking the sync.
    let SubmitResult::Accepted { id, location, .. } = accepted(&response(202, &[("location", unnamed)], ""), &called()) else { panic!() };
    assert!(id.as_str().starts_with("request-"), "{id}");
    assert_eq!(location.as_deref(), Some(unnamed));
    let long = format!("{SYNC}?operationId={GUID}&x={}", "y".repeat(MAX_LOCATION_LENGTH));
    assert!(matches!(accepted(&response(202, &[("location", &long)], body), &called()), SubmitResult::Accepted { location: None, .. }));
}

#[test]
fn success_without_id_means_no_replica() {
    let completed = |status, body: &str| matches!(accepted(&response(status, &[], body), &called()), SubmitResult::NothingToDo { .. });
    for body in ["", "{}", "null", "true"] {
        assert!(completed(200, body) && completed(204, body) && completed(201, body), "{body}");
        assert!(!completed(202, body), "{body}");
    }
    assert!(!completed(200, PAGE));
    assert!(completed(200, r#"{"syncstate":"Completed"}"#));
    let others = [
        r#"{"error":{"code":"X","message":"No way."}}"#,
        r#"{"code":"Unauthorized","subCode":0}"#,
        r#"{"Message":"An error has occurred."}"#,
        r#"{"syncstate":3,"details":"No way."}"#,
        r#"{"syncstate":0}"#,
        r#"[{"syncstate":0}]"#,
        r#"[{"operationId":"2b","syncstate":0},{"operationId":"3c","syncstate":0}]"#,
        r#"{"database":"m"}"#,
        "[]",
        "false",
        "7",
        r#""2b""#,
        "OK",
        "{",
    ];
    for body in others {
        let submission = accepted(&response(200, &[], body), &called());
        assert!(matches!(submission, SubmitResult::Unknown { .. }), "{body}: {submission:?}");
    }
    let elsewhere = response(200, &[("location", "https://evil.example.com/servers/s:rw/models/m/sync/1a")], "");
    assert!(matches!(accepted(&elsewhere, &called()), SubmitResult::Unknown { .. }));
    let mut broken = response(200, &[], "{");
    broken.fault = Some(BodyFault::Broken);
    for response in [broken, response(200, &[("x-ms-request-id", "3c")], PAGE), response(202, &[], "")] {
        assert!(matches!(accepted(&response, &called()), SubmitResult::Unknown { .. }), "{response:?}");
    }
}

#[test]
fn wait_is_from_the_response_or_the_default() {
    let of = |submission: SubmitResult| match submission {
        SubmitResult::Accepted { retry_after, .. } => retry_after,
        other => panic!("{other:?}"),
    };
    let body = r#"{"operationId":"2b"}"#;
    assert_eq!(of(accepted(&response(202, &[("retry-after", "7")], body), &called())), Some(Duration::from_secs(7)));
    assert_eq!(of(accepted(&response(202, &[], body), &called())), Some(DEFAULT_WAIT));
    assert_eq!(of(accepted(&response(200, &[], body), &called())), None);
}

/// The phase, the next URL and the wait; or the error.
fn polled(response: &Response, polled_id: &str, named_by_service: bool) -> (String, Option<String>, Option<u64>) {
    match poll_result(response, &called(), &id(polled_id), named_by_service) {
        PollResult::Found { operation, retry_after, location } => {
            assert_eq!(operation.id, id(polled_id));
            (format!("{:?} {}", operation.phase, operation.service_status), location, retry_after.map(|wait| wait.as_secs()))
        }
        PollResult::NotFound => ("gone".to_owned(), None, None),
        PollResult::Failed(error) => (format!("{:?}", error.kind), None, None),
    }
}

#[test]
fn every_format_of_poll_response_is_parsed() {
    let there = ("location", "/servers/s:rw/models/m/sync?operationId=1a&n=2");
    let next = Some("https://w.asazure.windows.net/servers/s:rw/models/m/sync?operationId=1a&n=2".to_owned());
    let other_host = ("location", "https://evil.example.com/sync");
    let (soon, none): ((&str, &str), &[(&str, &str)]) = (("retry-after", "5"), &[]);
    let none_next = || None::<String>;
    let rows = [
        (response(200, none, r#"{"operationId":"1A","syncstate":0}"#), "InProgress Replicating", none_next(), None),
        (response(200, &[soon, there], r#"{"operationId":"1a","syncstate":"1"}"#), "InProgress Rehydrating", next.clone(), Some(5)),
        (response(202, &[there], r#"{"syncstate":"Replicating"}"#), "InProgress Replicating", next.clone(), Some(30)),
        (response(202, none, ""), "InProgress ", None, Some(30)),
        (response(202, &[there, soon], ""), "InProgress ", next.clone(), Some(5)),
        (response(202, &[there], r#"{"syncstate":2}"#), "Succeeded Completed", next.clone(), None),
        (response(303, &[there, soon], PAGE), "InProgress ", next.clone(), Some(5)),
        (response(303, &[there], r#"{"syncstate":2}"#), "InProgress ", next, Some(30)),
        (response(200, &[other_host], r#"{"syncstate":"completed"}"#), "Succeeded Completed", None, None),
        (response(200, none, r#"{"syncstate":4}"#), "Succeeded Finalizing", None, None),
        (response(200, none, r#"{"syncstate":"3","details":"x"}"#), "Failed Failed", None, None),
        (response(200, none, r#"{"syncstate":-1}"#), "Failed Invalid", None, None),
        (response(200, none, r#"{"syncstate":"Dreaming"}"#), "InProgress Dreaming", None, None),
        (response(303, &[other_host], ""), "InvalidResponse", None, None),
        (response(303, none, ""), "InvalidResponse", None, None),
        (response(302, &[other_host], ""), "InvalidResponse", None, None),
        (response(200, none, ""), "InvalidResponse", None, None),
        (response(204, none, ""), "InvalidResponse", None, None),
        (response(200, none, "[]"), "InvalidResponse", None, None),
        (response(200, none, r#"{"syncstate":"#), "InvalidResponse", None, None),
        (response(200, none, PAGE), "InvalidResponse", None, None),
        (response(202, none, PAGE), "InvalidResponse", None, None),
        (response(200, none, &"[".repeat(100_000)), "InvalidResponse", None, None),
        (response(404, none, ""), "gone", None, None),
        (response(404, none, PAGE), "InvalidResponse", None, None),
        (response(401, none, ""), "AccessDenied", None, None),
        (response(429, none, ""), "Throttled", None, None),
        (response(503, none, ""), "ServerError", None, None),
    ];
    for (response, expected, next, wait) in rows {
        assert_eq!(polled(&response, "1a", true), (expected.to_owned(), next, wait), "{response:?}");
    }
}

#[test]
fn state_of_another_sync_never_ends_a_run() {
    let another = response(200, &[], r#"{"operationId":"2b","syncstate":2}"#);
    for named_by_service in [true, false] {
        assert_eq!(polled(&another, "1a", named_by_service).0, "InvalidResponse");
    }
    // An id of a call: only the URL that came with it identifies the sync.
    assert_eq!(polled(&another, "request-1a", true).0, "Succeeded Completed");
    assert_eq!(polled(&another, "request-1a", false).0, "InvalidResponse");
    let same = response(200, &[], r#"{"operationId":"1A","syncstate":2}"#);
    assert_eq!(polled(&same, "request-1a", false).0, "Succeeded Completed");
}

#[test]
fn state_without_a_sync_never_ends_a_run() {
    for state in ["-1", "2", "3", "0"] {
        let body = format!(
            r#"{{"operationId":"00000000-0000-0000-0000-000000000000","StartedAt":"0001-01-01T00:00:00","details":null,"syncstate":{state}}}"#
        );
        let none = response(200, &[], &body);
        for (polled_id, named_by_service) in [("1a", true), ("1a", false), ("request-1a", false)] {
            assert_eq!(polled(&none, polled_id, named_by_service).0, "InvalidResponse", "{state} {polled_id}");
        }
        // Only the URL identifies a sync that is running.
        let expected = if state == "0" { "InProgress Replicating" } else { "InvalidResponse" };
        assert_eq!(polled(&none, "request-1a", true).0, expected, "{state}");
    }
}

#[test]
fn failure_of_a_url_may_concern_only_this_url() {
    let rows = [
        (response(400, &[], ""), true),
        (response(403, &[], ""), true),
        (response(404, &[], PAGE), true),
        (response(500, &[], ""), true),
        (response(200, &[], r#"{"operationId":"2b","syncstate":2}"#), true),
        (response(401, &[], ""), false),
        (response(429, &[], ""), false),
        (response(400, &[], r#"{"code":"ServerPausedOrScaling"}"#), false),
        (response(200, &[], r#"{"syncstate":0}"#), false),
    ];
    for (response, expected) in rows {
        let result = poll_result(&response, &called(), &id("1a"), true);
        assert_eq!(may_concern_only_the_url(&result, Some(response.status), &id("1a")), expected, "{response:?}");
        assert!(!may_concern_only_the_url(&result, Some(response.status), &id("request-1a")), "{response:?}");
    }
    let unreachable = PollResult::Failed(ServiceError::new(ServiceErrorKind::Unreachable, "no"));
    assert!(!may_concern_only_the_url(&unreachable, None, &id("1a")));
    for operation in ["1a", "request-1a"] {
        assert!(may_concern_only_the_url(&PollResult::NotFound, Some(404), &id(operation)), "{operation}");
    }
}

#[test]
fn recorded_url_is_used_only_on_the_same_host() {
    let rows = [
        (format!("{SYNC}?operationId=1a"), true),
        ("/servers/s:rw/models/m/sync/1a".to_owned(), true),
        ("https://evil.example.com/sync/1a".to_owned(), false),
        ("http://w.asazure.windows.net/sync/1a".to_owned(), false),
        ("https://w.asazure.windows.net:444/sync".to_owned(), false),
        ("https://user@w.asazure.windows.net/sync".to_owned(), false),
        ("https://w.asazure.windows.net.evil.example.com/sync".to_owned(), false),
        ("//evil.example.com/sync".to_owned(), false),
    ];
    for (location, used) in rows {
        let operation = OperationRef { id: id("1a"), location: Some(location.clone()) };
        assert_eq!(recorded_location(&operation, &called()).is_some(), used, "{location}");
    }
    assert_eq!(recorded_location(&OperationRef::by_id(id("1a")), &called()), None);
    assert_eq!(by_id(&called(), &id("request-1a")).as_str(), format!("{SYNC}?operationId=1a"));
}

#[test]
fn list_has_syncs_running_or_started_in_window() {
    let since = "2026-01-01T12:00:00Z".parse().unwrap();
    let status = |id: &str, started: &str, updated: &str, state: &str| {
        format!(r#"{{"operationId":"{id}","StartedAt":"{started}","UpdatedAt":"{updated}","syncstate":{state}}}"#)
    };
    let ours = status("1a", "2026-01-01T12:00:01.743", "2026-01-01T12:00:09.18", "2");
    let zero = status("00000000-0000-0000-0000-000000000000", "0001-01-01T00:00:00", "0001-01-01T00:00:00", "-1");
    let rows = [
        (ours.clone(), vec!["1a"], false),
        (status("1a", "2026-01-01T11:00:00", "2026-01-01T12:00:09", "2"), vec![], false),
        (status("1a", "2026-01-01T11:00:00", "2026-01-01T12:00:09", "0"), vec!["1a"], false),
        (status("1a", "", "2026-01-01T11:59:00", "3"), vec![], false),
        (status("1a", "", "2026-01-01T12:01:00", "3"), vec!["1a"], false),
        (status("", "2026-01-01T12:00:01", "", "0"), vec![], true),
        (format!("[{},{ours}]", status("2b", "2026-01-01T12:00:05", "", "0")), vec!["2b", "1a"], false),
        (zero, vec![], false),
        ("[]".to_owned(), vec![], false),
        ("{}".to_owned(), vec![], false),
        (String::new(), vec![], false),
    ];
    for (body, expected, may_hide) in rows {
        let (operations, truncated) = listed(&response(200, &[], &body), since).unwrap();
        let ids: Vec<_> = operations.iter().map(|operation| operation.id.as_str()).collect();
        assert_eq!((ids, truncated), (expected, may_hide), "{body}");
    }
    for body in ["", "{}", r#"{"code":"NotFound","message":"The synchronization operation cannot be found."}"#, " {\"error\":{}}"] {
        assert_eq!(listed(&response(404, &[], body), since), Ok((vec![], false)), "{body}");
        assert_eq!(listed(&response(410, &[], body), since), Ok((vec![], false)), "{body}");
    }
    assert_eq!(listed(&response(204, &[], ""), since), Ok((vec![], false)));
    let rows = [
        (response(404, &[], PAGE), ServiceErrorKind::InvalidResponse),
        (response(404, &[], "default backend - 404"), ServiceErrorKind::InvalidResponse),
        (response(404, &[], "404 page not found"), ServiceErrorKind::InvalidResponse),
        (response(404, &[], "404"), ServiceErrorKind::InvalidResponse),
        (response(404, &[], "NotFound"), ServiceErrorKind::InvalidResponse),
        (response(404, &[], "[]"), ServiceErrorKind::InvalidResponse),
        (response(404, &[("content-type", "text/html")], "Not Found"), ServiceErrorKind::InvalidResponse),
        (response(410, &[], "Gone"), ServiceErrorKind::InvalidResponse),
        (response(400, &[], "OperationNotFound"), ServiceErrorKind::InvalidResponse),
        (response(404, &[], r#"{"code":"DatabaseNotFound"}"#), ServiceErrorKind::NotFound),
        (response(200, &[], PAGE), ServiceErrorKind::InvalidResponse),
        (response(200, &[], "{"), ServiceErrorKind::InvalidResponse),
        (response(403, &[], ""), ServiceErrorKind::AccessDenied),
        (response(500, &[], ""), ServiceErrorKind::ServerError),
    ];
    for (response, expected) in rows {
        assert_eq!(listed(&response, since).unwrap_err().kind, expected, "{response:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_response_panics_or_invents_an_end(
        status in 100u16..=999,
        body in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        location in "\\PC{0,60}",
    ) {
        let mut response = response(status, &[], "");
        response.body = body;
        if let Ok(location) = HeaderValue::from_str(&location) {
            response.headers.insert("location", location);
        }
        let _ = (accepted(&response, &called()), listed(&response, Timestamp::UNIX_EPOCH));
        let poll_result = poll_result(&response, &called(), &id("1a"), true);
        if let PollResult::Found { operation, .. } = poll_result {
            proptest::prop_assert!(!operation.phase.ended() || Status::read(response.text()).is_some());
        }
    }
}
