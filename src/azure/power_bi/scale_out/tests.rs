//! Tables of status responses of query scale-out, and their meaning.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::azure::http::BodyFault;

/// The clock of the service in responses.
const CLOCK: &str = "2026-01-01T12:00:02Z";

fn response_at(clock: &str, status: u16, body: &str) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("x-ms-current-utc-date"), HeaderValue::from_str(clock).unwrap());
    Response::new(status, headers, body.as_bytes().to_vec(), None)
}

fn response(status: u16, body: &str) -> Response {
    response_at(CLOCK, status, body)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn body(commit: &str, target: &str, replicas: &str, start: &str, end: &str) -> String {
    format!(
        r#"{{"commitVersion":{commit},"commitTimestamp":"2026-01-01T11:59:59Z","targetSyncVersion":{target},"triggerReason":"explicit",
        "syncStartTime":"{start}","syncEndTime":"{end}","minActiveReadVersion":{replicas},"scaleOutStatus":"Enabled","scaleOutReplicas":[{{}}]}}"#
    )
}

const REQUESTED_AT: &str = "2026-01-01T12:00:00Z";
const SOON: &str = "2026-01-01T12:00:01.5";
const BEFORE: &str = "2026-01-01T11:00:00";

fn id_of(body: &str) -> OperationId {
    match accepted(&response(200, body), at(REQUESTED_AT)) {
        SubmitResult::Accepted { id, .. } => id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn version_to_wait_for_is_in_the_id() {
    let id = id_of(&body("57", "57", "56", BEFORE, BEFORE));
    assert_eq!(id.as_str(), "scaleout-57-1767268800000");
    assert_eq!(SyncTarget::of(&id), SyncTarget { version: Some(57), requested_at: Some(at(REQUESTED_AT)) });
    assert_eq!(id_of(&body("\"57\"", "null", "null", "", "")), id);
    assert_eq!(id_of(&body("57", "57", "56", SOON, "")).as_str(), "scaleout-57-1767268801500", "as in a list");
    // Until the model is loaded, the response has no status.
    for unloaded in ["", r#"{"scaleOutStatus":""}"#, r#"{"scaleOutStatus":"Unavailable"}"#, r#"{"scaleOutStatus":null}"#] {
        assert_eq!(id_of(unloaded).as_str(), "scaleout-0-1767268800000", "{unloaded}");
    }
    for other in ["1a", "scaleout-", "scaleout-1", "scaleout-x-1", "scaleout-99999999999999999999-1"] {
        assert_eq!(SyncTarget::of(&OperationId::parse(other).unwrap()), SyncTarget { version: None, requested_at: None }, "{other}");
    }
}

#[test]
fn disabled_states_have_their_remedy() {
    let rows = [
        ("TenantSettingDisabled", "administrator of Power BI"),
        ("storageModeNotSupported", "large semantic model storage format"),
        ("ReadOnlyReplicasDisabled", "maxReadOnlyReplicas"),
        ("Disabled", "is not enabled for the semantic model (Disabled)"),
    ];
    let called = Url::parse("https://api.powerbi.com/v1.0/myorg/groups/g/datasets/d/queryScaleOut/sync").unwrap();
    for (state, expected) in rows {
        let shown = response(200, &format!(r#"{{"scaleOutStatus":"{state}"}}"#));
        let summary = response(400, &format!(r#"{{"error":{{"code":"{state}","message":"Query scale-out is not enabled."}}}}"#));
        for response in [&shown, &summary] {
            let SubmitResult::NotStarted(error) =
                classify::submission_with(ServiceKind::PowerBi, response, &called, |response| accepted(response, at(REQUESTED_AT)))
            else {
                panic!("{response:?}")
            };
            let PollResult::Failed(polled) = poll_result(response, &OperationId::parse("scaleout-1-1").unwrap()) else {
                panic!("{response:?}")
            };
            for error in [error, polled] {
                assert_eq!(error.kind, ServiceErrorKind::ScaleOutDisabled);
                assert!(error.message.contains(expected), "{state}: {}", error.message);
            }
        }
    }
}

#[test]
fn unreadable_success_is_inconclusive() {
    let mut broken = response(200, "{");
    broken.fault = Some(BodyFault::Broken);
    for response in
        [broken, response(200, "<html>"), response(200, "{}"), response(200, "[]"), response(200, "{"), response(200, r#"{"a":1}"#)]
    {
        assert!(matches!(accepted(&response, at(REQUESTED_AT)), SubmitResult::Unknown { .. }), "{response:?}");
        assert!(matches!(poll_result(&response, &OperationId::parse("1").unwrap()), PollResult::Failed(_)), "{response:?}");
    }
}

#[test]
fn only_replica_version_determines_the_end() {
    let late = "2026-01-01T12:00:40Z";
    let rows = [
        // Its version is reached, in a status with a later sync.
        (CLOCK, body("57", "57", "57", SOON, ""), Phase::Succeeded),
        (CLOCK, body("57", "57", "56", SOON, SOON), Phase::InProgress),
        (CLOCK, body("57", "57", "null", SOON, ""), Phase::InProgress),
        // A later refresh does not extend the wait. A later sync does, until its own version is reached.
        (CLOCK, body("60", "57", "57", SOON, SOON), Phase::Succeeded),
        (CLOCK, body("60", "60", "58", SOON, ""), Phase::InProgress),
        (CLOCK, body("60", "60", "60", SOON, ""), Phase::Succeeded),
        // The status is from before the submission. It is inconclusive until it can no longer be late.
        (CLOCK, body("57", "57", "57", BEFORE, BEFORE), Phase::InProgress),
        (late, body("57", "57", "57", BEFORE, BEFORE), Phase::Succeeded),
        (late, body("57", "56", "56", BEFORE, BEFORE), Phase::InProgress),
        (late, body("56", "56", "56", BEFORE, BEFORE), Phase::InProgress),
        (late, String::new(), Phase::InProgress),
        (late, r#"{"scaleOutStatus":"Unavailable"}"#.to_owned(), Phase::InProgress),
    ];
    let id = id_of(&body("57", "57", "56", SOON, ""));
    for (clock, body, expected) in rows {
        let PollResult::Found { operation, .. } = poll_result(&response_at(clock, 200, &body), &id) else { panic!("{body}") };
        assert_eq!((operation.phase, &operation.id), (expected, &id), "{clock} {body}");
    }
    // An id without a version, or any other id, waits for the latest version.
    for id in [id_of(""), OperationId::parse("adopted").unwrap()] {
        let phase = |body: &str| match poll_result(&response(200, body), &id) {
            PollResult::Found { operation, .. } => operation.phase,
            other => panic!("{other:?}"),
        };
        assert_eq!(phase(&body("57", "57", "57", SOON, "")), Phase::Succeeded);
        assert_eq!(phase(&body("57", "57", "56", SOON, "")), Phase::InProgress);
    }
}

#[test]
fn missing_status_is_about_the_model_and_not_the_sync() {
    let id = OperationId::parse("scaleout-57-1767268800000").unwrap();
    for (status, body) in [(404, ""), (404, r#"{"error":{"code":"PowerBIEntityNotFound"}}"#), (410, "")] {
        let PollResult::Failed(error) = poll_result(&response(status, body), &id) else { panic!("{status} {body}") };
        assert_eq!(error.kind, ServiceErrorKind::NotFound, "{status} {body}");
    }
}

#[test]
fn status_shows_sync_of_a_lost_response() {
    let since = at(REQUESTED_AT);
    let rows = [
        (body("57", "57", "56", SOON, ""), Some(("scaleout-57-1767268801500", Phase::InProgress))),
        (body("57", "57", "57", SOON, SOON), Some(("scaleout-57-1767268801500", Phase::Succeeded))),
        (body("60", "57", "57", SOON, SOON), Some(("scaleout-57-1767268801500", Phase::Succeeded))),
        (body("57", "56", "55", BEFORE, ""), Some(("scaleout-56-1767265200000", Phase::InProgress))),
        (body("57", "56", "56", BEFORE, BEFORE), None),
        (body("57", "56", "55", BEFORE, BEFORE), None),
        (body("57", "57", "57", "", ""), None),
        (String::new(), None),
    ];
    for (body, expected) in rows {
        let response = response(200, &body);
        let seen = status_in(&response).unwrap().listed(since, &response);
        let seen = seen.as_ref().map(|operation| (operation.id.as_str(), operation.phase));
        assert_eq!(seen, expected, "{body}");
    }
}

#[test]
fn status_behind_target_without_start_is_inconclusive() {
    for start in ["", "0001-01-01T00:00:00"] {
        for (body, inconclusive) in [
            (body("57", "57", "56", start, ""), true),
            (body("57", "57", "null", start, ""), true),
            (body("57", "57", "57", start, ""), false),
            (body("57", "null", "56", start, ""), false),
        ] {
            for body in [body.clone(), body.replace(&format!(r#""syncStartTime":"{start}","#), "")] {
                assert_eq!(listed(&response(200, &body), at(REQUESTED_AT)), Ok((vec![], inconclusive)), "{body}");
            }
        }
    }
    assert!(!listed(&response(200, &body("57", "57", "56", SOON, "")), at(REQUESTED_AT)).unwrap().1);
    assert_eq!(listed(&response(200, ""), at(REQUESTED_AT)), Ok((vec![], false)));
}

proptest::proptest! {
    #[test]
    fn no_response_panics(status in 100u16..=999, body in proptest::collection::vec(proptest::num::u8::ANY, 0..300), id in "scaleout-[0-9]{0,20}-[0-9]{0,20}") {
        let mut response = response(status, "");
        response.body = body;
        if let Some(id) = OperationId::parse(&id) {
            let _ = poll_result(&response, &id);
        }
        let _ = (accepted(&response, at(REQUESTED_AT)), status_in(&response).map(|status| status.listed(at(REQUESTED_AT), &response)));
    }
}
