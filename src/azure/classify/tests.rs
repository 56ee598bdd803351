//! Tables of responses and their meaning for each verb.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::*;
use crate::azure::http::{BodyFault, Response};
use crate::operation::{CancelResult, OperationId, PollResult, ServiceKind, SubmitResult};

mod limits;

/// Header lines.
type Lines<'a> = &'a [(&'a str, &'a str)];

const CALLED: &str = "https://w.asazure.windows.net/servers/s/models/m/refreshes";
const OPERATION: (&str, &str) = ("location", "https://w.asazure.windows.net/servers/s/models/m/refreshes/1a");
const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");
const PAGE: &str = "<!DOCTYPE html><html><body>Blocked by policy</body></html>";
const UNAUTHORIZED: &str = r#"{"code":"Unauthorized","subCode":0,"message":"An internal error occurred.","timeStamp":"2020-12-15T21:58:20.2712217Z","httpStatusCode":400,"details":[{"code":"RootActivityId","message":"0f9a-1"},{"code":"Param1","message":"asazure://w.asazure.windows.net/s"}]}"#;
const EXTENDED: (&str, &str) = ("x-ms-xmlaerror-extended", "Either server 's' does not exist or user is not the administrator of 's'");

fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.insert(name, HeaderValue::from_str(value).unwrap());
    }
    Response::new(status, map, body.as_bytes().to_vec(), None)
}

fn called() -> Url {
    Url::parse(CALLED).unwrap()
}

fn polled_id() -> OperationId {
    OperationId::parse("1a").unwrap()
}

fn complain(code: &str, message: &str) -> String {
    serde_json::json!({"code": code, "message": message}).to_string()
}

/// A short form of a result, for compact tables.
fn submitted(response: &Response) -> String {
    match submission(ServiceKind::AnalysisServices, response, &called()) {
        SubmitResult::Accepted { id, .. } => format!("accepted {id}"),
        SubmitResult::NothingToDo { message } => format!("completed: {message}"),
        SubmitResult::NotStarted(error) => format!("refused {:?}", error.kind),
        SubmitResult::Busy { .. } => "busy".to_owned(),
        SubmitResult::Deferred { .. } => "deferred".to_owned(),
        SubmitResult::Unknown { .. } => "unknown".to_owned(),
    }
}

fn polled(response: &Response) -> String {
    match poll_result(ServiceKind::AnalysisServices, response, &polled_id()) {
        PollResult::Found { operation, .. } => format!("{:?}", operation.phase),
        PollResult::NotFound => "gone".to_owned(),
        PollResult::Failed(error) => format!("{:?}", error.kind),
    }
}

fn cancelled(response: &Response) -> String {
    match cancel_result(ServiceKind::AnalysisServices, response) {
        CancelResult::Accepted => "accepted".to_owned(),
        CancelResult::NotRunning => "nothing".to_owned(),
        CancelResult::Failed(error) => format!("{:?}", error.kind),
    }
}

#[test]
fn accepted_id_is_from_location_then_body() {
    let here = ("location", "https://w.asazure.windows.net/servers/s/models/m/refreshes/1a");
    let there = ("location", "https://evil.example.com/servers/s/models/m/refreshes/1a");
    let request_id = ("x-ms-request-id", "3c");
    let body = r#"{"operationId":"2b"}"#;
    let rows: [(u16, Lines, &str, &str); 21] = [
        (202, &[here, request_id], body, "accepted 1a"),
        (202, &[here], "", "accepted 1a"),
        (200, &[here], PAGE, "accepted 1a"),
        (202, &[("location", "/servers/s/models/m/refreshes/1a")], "", "accepted 1a"),
        (201, &[request_id], body, "accepted 2b"),
        (202, &[], r#"{"RefreshID":"2b"}"#, "accepted 2b"),
        (202, &[], r#"{"requestId":"3c"}"#, "unknown"),
        (202, &[], "\u{feff}{\"OPERATIONID\":\"2b\"}", "accepted 2b"),
        (202, &[there, request_id], body, "accepted 2b"),
        (202, &[there, request_id], "", "unknown"),
        (202, &[("location", "https://w.asazure.windows.net/elsewhere/1a")], body, "accepted 2b"),
        (202, &[request_id], "", "unknown"),
        (202, &[HTML, request_id], "", "unknown"),
        (202, &[request_id], r#"{"operationId":"../x"}"#, "unknown"),
        (202, &[there], "", "unknown"),
        (202, &[], "", "unknown"),
        (204, &[], "", "unknown"),
        (200, &[], "{}", "unknown"),
        (200, &[], "[1,2", "unknown"),
        (200, &[HTML, request_id], PAGE, "unknown"),
        (200, &[request_id], PAGE, "unknown"),
    ];
    for (status, headers, body, expected) in rows {
        assert_eq!(submitted(&response(status, headers, body)), expected, "{status} {headers:?} {body}");
    }
}

/// Power BI documents `x-ms-request-id` beside `Location`. Alone, it may be the id of the call.
#[test]
fn header_or_error_alone_identifies_no_refresh_of_power_bi() {
    let location = ("location", "https://w.asazure.windows.net/groups/g/datasets/d/refreshes/1a");
    let (first, second) = (("x-ms-request-id", "3c"), ("requestid", "3C"));
    let error = r#"{"error":{"code":"X1","message":"No way."},"requestId":"3c"}"#;
    let without_id = "does not contain the id of the operation";
    let rows: [(u16, Lines, &str, Result<&str, String>); 10] = [
        (202, &[location, first, second], "", Ok("1a")),
        (202, &[location, first, second], error, Ok("1a")),
        (202, &[], r#"{"requestId":"3c"}"#, Ok("3c")),
        (202, &[], r#"{"requestId":"3c","error":null}"#, Ok("3c")),
        (202, &[], r#"{"requestId":"00000000-0000-0000-0000-000000000000"}"#, Err(without_id.to_owned())),
        (202, &[first], "", Err(without_id.to_owned())),
        (202, &[second], "", Err(without_id.to_owned())),
        (202, &[first, second], "{}", Err(without_id.to_owned())),
        (200, &[first, second], error, Err(format!("{without_id}. Its text: X1: No way."))),
        (200, &[], r#"{"code":"X1","operationId":"2b"}"#, Err(format!("{without_id}. Its text: X1"))),
    ];
    for (status, headers, body, expected) in rows {
        match (submission(ServiceKind::PowerBi, &response(status, headers, body), &called()), expected) {
            (SubmitResult::Accepted { id, .. }, Ok(expected)) => assert_eq!(id.as_str(), expected, "{headers:?} {body}"),
            (SubmitResult::Unknown { message }, Err(end)) => {
                assert!(message.starts_with(&format!("the response to the submission (HTTP {status}) {end}")), "{body}: {message}");
            }
            (other, _) => panic!("{headers:?} {body}: {other:?}"),
        }
    }
}

/// All unsuccessful responses, and their meaning for a submission, a poll and a cancellation.
#[test]
#[rustfmt::skip]
fn unsuccessful_responses_have_one_meaning_for_each_verb() {
    let busy = complain("InvalidRequest", "Invalid dataset refresh request. Another refresh request is already executing");
    let nested = r#"{"error":{"code":"RefreshInProgress","message":"no"}}"#.to_owned();
    let firewall = complain("Unauthorized", "Client with IP Address '1.2.3.4' is not allowed to access the server.");
    let paused = complain("ServerPausedOrScaling", "The server is paused.");
    let over = complain("BadRequest", "The refresh cannot be cancelled.");
    let none: Lines = &[];
    let rows: Vec<(u16, Lines, &str, &str, &str, &str)> = vec![
        // status, headers, body                                        submission             poll             cancellation
        (101, none, "",                                                 "unknown",               "ServerError",  "ServerError"),
        (300, none, "",                                                 "unknown",               "InvalidResponse", "InvalidResponse"),
        (301, none, "",                                                 "refused InvalidResponse", "InvalidResponse", "InvalidResponse"),
        (302, &[("location", "https://evil.example.com/")], "",         "refused InvalidResponse", "InvalidResponse", "InvalidResponse"),
        (301, &[OPERATION], "",                                         "unknown",               "InvalidResponse", "InvalidResponse"),
        (302, &[OPERATION], "",                                         "unknown",               "InvalidResponse", "InvalidResponse"),
        (302, &[("location", "sync?operationId=1a")], "",               "unknown",               "InvalidResponse", "InvalidResponse"),
        (302, &[("location", "https://evil.example.com/refreshes/1a")], "", "unknown",           "InvalidResponse", "InvalidResponse"),
        (302, &[("location", CALLED)], "",                              "refused InvalidResponse", "InvalidResponse", "InvalidResponse"),
        (307, &[OPERATION], "",                                         "refused InvalidResponse", "InvalidResponse", "InvalidResponse"),
        (303, none, "",                                                 "unknown",               "InvalidResponse", "InvalidResponse"),
        (304, none, "",                                                 "unknown",               "InvalidResponse", "InvalidResponse"),
        (307, none, "",                                                 "refused InvalidResponse", "InvalidResponse", "InvalidResponse"),
        (308, none, "",                                                 "refused InvalidResponse", "InvalidResponse", "InvalidResponse"),
        (400, none, "",                                                 "refused Rejected",      "Rejected",      "Rejected"),
        (400, none, "{\"code\":\"BadRequest\"}",                        "refused Rejected",      "Rejected",      "Rejected"),
        (400, none, &over,                                              "refused Rejected",      "Rejected",      "nothing"),
        (400, none, &busy,                                              "busy",                  "ServerError",  "nothing"),
        (400, none, &nested,                                            "busy",                  "ServerError",  "nothing"),
        (400, none, "There is already a refresh in progress.",          "busy",                  "ServerError",  "nothing"),
        (400, none, UNAUTHORIZED,                                       "refused AccessDenied",  "AccessDenied",  "AccessDenied"),
        (400, &[EXTENDED], UNAUTHORIZED,                                "refused AccessDenied",  "AccessDenied",  "AccessDenied"),
        (400, none, &firewall,                                          "refused AccessDenied",  "AccessDenied",  "AccessDenied"),
        (400, none, &paused,                                            "refused Paused",        "Paused",        "Paused"),
        (503, none, &paused,                                            "refused Paused",        "Paused",        "Paused"),
        (400, none, r#"{"code":"servernotready"}"#,                   "refused Paused",        "Paused",        "Paused"),
        (404, none, r#"{"code":"CapacityNotActive"}"#,                "refused Paused",        "Paused",        "Paused"),
        (400, none, r#"{"code":"ServerNotFoundForConnectionMode"}"#,  "refused NotFound",      "NotFound",      "NotFound"),
        (404, none, r#"{"code":"DatabaseNotFound"}"#,                 "refused NotFound",      "NotFound",      "NotFound"),
        (400, none, r#"{"code":"RefreshNotFound"}"#,                  "refused NotFound",      "gone",          "nothing"),
        (400, none, r#"{"code":"XmlaEndpointDisabled"}"#,             "refused AccessDenied",  "AccessDenied",  "AccessDenied"),
        (401, none, "",                                                 "refused AccessDenied",  "AccessDenied",  "AccessDenied"),
        (401, &[HTML, ("www-authenticate", "Bearer realm=x")], PAGE,    "refused AccessDenied",  "AccessDenied",  "AccessDenied"),
        (401, &[HTML], PAGE,                                            "refused InvalidResponse", "InvalidResponse", "InvalidResponse"),
        (403, none, "{\"Message\":\"no\"}",                             "refused AccessDenied",  "AccessDenied",  "AccessDenied"),
        (403, &[HTML], PAGE,                                            "refused InvalidResponse", "InvalidResponse", "InvalidResponse"),
        (404, none, "",                                                 "refused NotFound",      "gone",          "nothing"),
        (404, &[HTML], "",                                              "refused NotFound",      "gone",          "nothing"),
        (404, none, "Not Found",                                        "refused NotFound",      "gone",          "nothing"),
        (404, none, "{\"code\":\"NotFound\"}",                          "refused NotFound",      "gone",          "nothing"),
        (404, none, "{\"error\":{\"code\":404}}",                       "refused NotFound",      "gone",          "nothing"),
        (404, &[HTML], PAGE,                                            "refused InvalidResponse", "InvalidResponse", "InvalidResponse"),
        (404, none, PAGE,                                               "refused InvalidResponse", "InvalidResponse", "InvalidResponse"),
        (405, none, "",                                                 "refused Rejected",      "Rejected",      "Rejected"),
        (407, none, "",                                                 "refused InvalidResponse", "InvalidResponse", "InvalidResponse"),
        (408, none, "",                                                 "unknown",               "ServerError",  "ServerError"),
        (409, none, "",                                                 "busy",                  "ServerError",  "nothing"),
        (409, none, "{\"code\":\"Conflict\"}",                          "busy",                  "ServerError",  "nothing"),
        (409, &[HTML], PAGE,                                            "refused InvalidResponse", "InvalidResponse", "InvalidResponse"),
        (410, none, "",                                                 "refused NotFound",      "gone",          "nothing"),
        (413, none, "",                                                 "refused Rejected",      "Rejected",      "Rejected"),
        (415, none, "",                                                 "refused Rejected",      "Rejected",      "Rejected"),
        (421, none, "",                                                 "refused InvalidResponse", "InvalidResponse", "InvalidResponse"),
        (421, none, "{\"code\":\"BadRequest\"}",                        "refused InvalidResponse", "InvalidResponse", "InvalidResponse"),
        (422, none, "{}",                                               "refused Rejected",      "Rejected",      "Rejected"),
        (423, none, "",                                                 "busy",                  "ServerError",  "ServerError"),
        (423, none, "{\"code\":\"Locked\"}",                            "busy",                  "ServerError",  "ServerError"),
        (425, none, "",                                                 "unknown",               "ServerError",  "ServerError"),
        (429, none, "",                                                 "refused Throttled",     "Throttled",     "Throttled"),
        (429, &[HTML], PAGE,                                            "refused Throttled",     "Throttled",     "Throttled"),
        (460, none, "",                                                 "unknown",               "ServerError",  "ServerError"),
        (499, none, "",                                                 "unknown",               "ServerError",  "ServerError"),
        (499, &[HTML], PAGE,                                            "unknown",               "ServerError",  "ServerError"),
        (500, none, "",                                                 "unknown",               "ServerError",  "ServerError"),
        (501, none, "",                                                 "unknown",               "ServerError",  "ServerError"),
        (502, &[HTML], PAGE,                                            "unknown",               "ServerError",  "ServerError"),
        (503, none, "{\"code\":\"Unauthorized\"}",                      "unknown",               "ServerError",  "ServerError"),
        (504, none, "{\"error\":7}",                                    "unknown",               "ServerError",  "ServerError"),
        (599, none, "",                                                 "unknown",               "ServerError",  "ServerError"),
    ];
    for (status, headers, body, submission, result, cancel_result) in rows {
        let response = response(status, headers, body);
        let results = (submitted(&response), polled(&response), cancelled(&response));
        let expected = (submission.to_owned(), result.to_owned(), cancel_result.to_owned());
        assert_eq!(results, expected, "{status} {headers:?} {body}");
    }
}

#[test]
fn success_without_content_is_not_trusted() {
    let rows: [(u16, Lines, &str, &str, &str); 7] = [
        (200, &[], r#"{"status":"succeeded"}"#, "Succeeded", "accepted"),
        (202, &[], r#"{"status":"inProgress"}"#, "InProgress", "accepted"),
        (200, &[], "\u{feff} {\"status\":\"failed\"}", "Failed", "accepted"),
        (202, &[], "", "InProgress", "accepted"),
        (204, &[HTML], "", "InvalidResponse", "accepted"),
        (200, &[HTML], PAGE, "InvalidResponse", "InvalidResponse"),
        (200, &[HTML], r#"{"status":"succeeded"}"#, "Succeeded", "accepted"),
    ];
    for (status, headers, body, result, cancel_result) in rows {
        let response = response(status, headers, body);
        assert_eq!((polled(&response).as_str(), cancelled(&response).as_str()), (result, cancel_result), "{status} {body}");
    }
}

#[test]
fn response_with_lost_body_is_classified_by_its_head() {
    let rows = [
        (200, "unknown", "InvalidResponse", "accepted"),
        (400, "refused InvalidResponse", "InvalidResponse", "InvalidResponse"),
        (401, "refused AccessDenied", "AccessDenied", "AccessDenied"),
        (404, "refused InvalidResponse", "InvalidResponse", "InvalidResponse"),
        (409, "busy", "ServerError", "nothing"),
        (429, "refused Throttled", "Throttled", "Throttled"),
        (503, "unknown", "ServerError", "ServerError"),
    ];
    for (status, submission, result, cancel_result) in rows {
        let mut response = response(status, &[], "{\"code\":");
        response.fault = Some(BodyFault::Broken);
        let results = (submitted(&response), polled(&response), cancelled(&response));
        assert_eq!(results, (submission.to_owned(), result.to_owned(), cancel_result.to_owned()), "{status}");
    }
}

#[test]
fn errors_have_a_remedy_and_are_stable() {
    let of = |response: &Response| match submission(ServiceKind::AnalysisServices, response, &called()) {
        SubmitResult::NotStarted(error) => error,
        other => panic!("{other:?}"),
    };
    let denied = of(&response(400, &[EXTENDED, ("retry-after", "7200")], UNAUTHORIZED));
    assert!(denied.message.contains("administrators, added directly"), "{}", denied.message);
    assert!(denied.message.ends_with("is not the administrator of 's'"), "{}", denied.message);
    assert_eq!(denied.activity_id.as_deref(), Some("0f9a-1"));
    assert_eq!(denied.retry_after, Some(std::time::Duration::from_hours(1)));

    let message = "It failed.\r\nTechnical Details:\r\nRootActivityId: 0f9a\r\nDate (UTC): 1/1/2026 1:00:00 AM";
    let body = complain("BadThing", message);
    assert_eq!(of(&response(400, &[], &body)).message, "the service rejects the request (HTTP 400, BadThing): It failed.");

    let long = complain(&"c".repeat(5000), &"ä".repeat(5000));
    assert!(of(&response(400, &[], &long)).message.chars().count() <= 1024);

    let xml = "\u{feff}<?xml version=\"1.0\"?><Error><Code>BadThing</Code><Message>The model is locked &amp; busy.</Message></Error>";
    let ending = "(HTTP 400): check the proxies and gateways in between. Its text: BadThing The model is locked & busy.";
    assert!(of(&response(400, &[], xml)).message.ends_with(ending), "{}", of(&response(400, &[], xml)).message);
    assert!(of(&response(403, &[HTML], PAGE)).message.ends_with("Its text: Blocked by policy"));
    let challenge = ("www-authenticate", "Bearer realm=\"\", error=\"insufficient_claims\", claims=\"e30=\"");
    let challenged = of(&response(401, &[challenge], ""));
    assert!(challenged.message.contains("conditional access"), "{}", challenged.message);

    let wide: Vec<u8> = complain("BadThing", "Größe").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for body in [[b"\xff\xfe", wide.as_slice()].concat(), wide] {
        let response = Response::new(400, HeaderMap::new(), body, None);
        assert_eq!(of(&response).message, "the service rejects the request (HTTP 400, BadThing): Größe");
    }

    let echo = complain("X", "got Bearer eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.e30.sig");
    assert!(!of(&response(400, &[], &echo)).message.contains("eyJ"));
}

proptest::proptest! {
    #[test]
    fn no_response_panics_or_is_wrongly_certain(
        status in 100u16..=999,
        body in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        location in "\\PC{0,60}",
        extended in "\\PC{0,60}",
    ) {
        let mut response = response(status, &[], "");
        response.body = body;
        if let (Ok(location), Ok(extended)) = (HeaderValue::from_str(&location), HeaderValue::from_str(&extended)) {
            response.headers.insert("location", location);
            response.headers.insert("x-ms-xmlaerror-extended", extended);
        }
        let submission = submission(ServiceKind::PowerBi, &response, &called());
        let _ = poll_result(ServiceKind::PowerBi, &response, &polled_id());
        let _ = (cancel_result(ServiceKind::PowerBi, &response), list_error(ServiceKind::PowerBi, &response));
        if status >= 500 {
            proptest::prop_assert!(matches!(submission, SubmitResult::Unknown { .. }), "{:?}", submission);
        }
    }
}

/// Busy and quota, by status and body. `power_bi/bad_request.rs` resolves the other cases.
#[test]
fn busy_and_quota_are_distinguished_by_code_then_text() {
    let executing = "Invalid dataset refresh request. Another refresh request is already executing";
    let limit = "Invalid dataset refresh request. Number of refresh requests in last 24 hours exceeded limit";
    let german = "Eine andere Aktualisierungsanforderung wird bereits ausgeführt";
    let german_limit = "Die Anzahl der Aktualisierungsanforderungen in den letzten 24 Stunden hat den Grenzwert überschritten";
    let both = format!("{executing} {limit}");
    // The code, the text, and the results for 400 and 409.
    let rows = [
        ("InvalidRequest", executing, "busy", "busy"),
        ("invalidrequest", limit, "refused QuotaExceeded", "refused QuotaExceeded"),
        ("InvalidRequest", german, "refused Rejected", "busy"),
        ("InvalidRequest", german_limit, "refused Rejected", "busy"),
        ("InvalidRequest", "数据集刷新请求无效。另一个刷新请求已在执行中", "refused Rejected", "busy"),
        ("InvalidRequest", "过去 24 小时内的刷新请求数超出限制", "refused Rejected", "busy"),
        ("InvalidRequest", &both, "refused Rejected", "busy"),
        ("InvalidRequest", "", "refused Rejected", "busy"),
        ("", executing, "busy", "busy"),
        ("", limit, "refused QuotaExceeded", "refused QuotaExceeded"),
        ("RefreshInProgress", limit, "busy", "busy"),
        ("REFRESHALREADYEXECUTING", german_limit, "busy", "busy"),
        ("DailyRefreshQuotaReached", executing, "refused QuotaExceeded", "refused QuotaExceeded"),
        ("RefreshLimitExceeded", german, "refused QuotaExceeded", "refused QuotaExceeded"),
        ("InProgressQuota", executing, "busy", "busy"),
        ("BadRequest", "Bad Request", "refused Rejected", "busy"),
    ];
    let cased: [fn(&str) -> String; 3] = [str::to_owned, str::to_uppercase, str::to_lowercase];
    for (code, text, bad_request, conflict) in rows {
        for case in cased {
            let flat = complain(code, &case(text));
            let nested = format!(r#"{{"error":{flat}}}"#);
            for body in [&flat, &nested] {
                assert_eq!(submitted(&response(400, &[], body)), bad_request, "400 {body}");
                assert_eq!(submitted(&response(409, &[], body)), conflict, "409 {body}");
                // No other status means either of the two.
                let missing = if code.is_empty() { "NotFound" } else { "Rejected" };
                for (status, expected) in
                    [(401, "AccessDenied"), (403, "AccessDenied"), (404, missing), (422, "Rejected"), (429, "Throttled")]
                {
                    assert_eq!(submitted(&response(status, &[], body)), format!("refused {expected}"), "{status} {body}");
                }
                for status in [408, 425, 460, 499, 500, 502, 503, 504] {
                    assert_eq!(submitted(&response(status, &[], body)), "unknown", "{status} {body}");
                }
            }
        }
    }
}

#[test]
fn details_of_bad_request_are_reported() {
    let body =
        r#"{"error":{"code":"BadRequest","message":"Bad Request","details":[{"message":"Error converting value \"x\"","target":"t"}]}}"#;
    let SubmitResult::NotStarted(error) = submission(ServiceKind::PowerBi, &response(400, &[], body), &called()) else { panic!() };
    assert_eq!(error.message, "the service rejects the request (HTTP 400, BadRequest): Bad Request: Error converting value \"x\"");
}
