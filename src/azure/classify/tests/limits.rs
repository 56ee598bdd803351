//! The limit of a capacity, the throttle of the caller, the daily limit, and the meaning of a 404, in every form.

use super::*;

const CAPACITY: &str = "Cannot complete the action because your organization's capacity has exceeded its limits. Try again later.";
const HEADER: (&str, &str) = ("x-ms-error-code", "RejectedDueToResourceConstraints");

/// All documented or reported texts of an overloaded capacity: code and text.
const WORDINGS: [(&str, &str); 13] = [
    ("CapacityLimitExceeded", CAPACITY),
    ("CAPACITYLIMITEXCEEDED", ""),
    ("", CAPACITY),
    ("", "You've exceeded the capacity limit for semantic model refreshes. Try again when fewer semantic models are being processed."),
    (
        "InvalidRequest",
        "You\u{2019}ve exceeded the capacity limit for dataset refreshes. Try again when fewer datasets are being processed.",
    ),
    ("", "Capacity level limit exceeded."),
    ("BadRequest", "Node level limit exceeded."),
    ("RejectedDueToResourceConstraints", ""),
    ("FabricThrottled", ""),
    (
        "",
        "Unable to complete the action because your organization\u{2019}s Fabric compute capacity has exceeded its limits. Try again later.",
    ),
    ("TooManyRequestsForCapacity", ""),
    ("", "[TooManyRequestsForCapacity] You have hit a limit of the capacity. Try again later."),
    ("FabricThrottled", "Die Aktion kann nicht abgeschlossen werden."),
];

fn both(code: &str, text: &str) -> [String; 2] {
    let flat = complain(code, text);
    [format!(r#"{{"error":{flat}}}"#), flat]
}

#[test]
fn capacity_limit_is_recognized_in_every_wording() {
    for (code, text) in WORDINGS {
        for body in both(code, text) {
            for status in [400, 403, 429, 430, 503] {
                for headers in [&[] as Lines, &[("retry-after", "30")]] {
                    let response = response(status, headers, &body);
                    let results = (submitted(&response), polled(&response), cancelled(&response));
                    let limit = "CapacityExceeded".to_owned();
                    assert_eq!(results, (format!("refused {limit}"), limit.clone(), limit), "{status} {body}");
                    let kind = list_error(ServiceKind::PowerBi, &response).kind;
                    assert_eq!(format!("{kind:?}"), "CapacityExceeded", "{status} {body}");
                }
            }
        }
    }
    for (status, body) in [(400, ""), (429, ""), (503, ""), (503, "{}"), (429, PAGE), (503, "busy")] {
        assert_eq!(submitted(&response(status, &[HEADER], body)), "refused CapacityExceeded", "{status} {body}");
    }
    for (body, expected) in [("", "CapacityExceeded"), ("{}", "CapacityExceeded"), (PAGE, "InvalidResponse")] {
        assert_eq!(submitted(&response(430, &[], body)), format!("refused {expected}"), "{body}");
    }
}

#[test]
fn capacity_limit_is_certain_only_in_service_format() {
    for (code, text) in WORDINGS {
        // Another 5xx may come from a gateway that repeats the request.
        for status in [500, 502, 504] {
            for body in both(code, text) {
                assert_eq!(submitted(&response(status, &[], &body)), "unknown", "{status} {body}");
            }
        }
        assert_eq!(submitted(&response(503, &[], &format!("Service unavailable: {code} {text}"))), "unknown", "{code} {text}");
        assert_eq!(submitted(&response(503, &[HTML], &format!("<html>{code} {text}</html>"))), "unknown", "{code} {text}");
    }
    assert_eq!(submitted(&response(503, &[], &complain("ServiceUnavailable", "Try again later."))), "unknown");
}

/// A code may be nested in an error with a more general code, with a text in any language or without a text.
#[test]
fn code_inside_a_general_error_is_recognized() {
    let german = "Die Aktion kann nicht abgeschlossen werden.";
    let named = [
        ("TooManyRequests", "CapacityLimitExceeded", 429, "CapacityExceeded"),
        ("BadRequest", "CapacityThrottled", 400, "CapacityExceeded"),
        ("ServiceUnavailable", "RejectedDueToResourceConstraints", 503, "CapacityExceeded"),
        ("NotFound", "DMTS_UserNotFoundInADGraphError", 404, "OwnerNotFound"),
        ("Forbidden", "DMTS_UserNotFoundInADGraphError", 403, "OwnerNotFound"),
        ("BadRequest", "CapacityNotActive", 400, "Paused"),
        ("RequestBlocked", "CapacityLimitExceeded", 429, "Throttled"),
        ("DailyRefreshQuotaReached", "CapacityLimitExceeded", 400, "QuotaExceeded"),
        ("BadRequest", "ModelExceedsCapacitySizeLimit", 400, "Rejected"),
    ];
    for (outer, inner, status, expected) in named {
        let bodies = [
            format!(r#"{{"error":{{"code":"{outer}","details":[{{"code":"{inner}","message":"{german}"}}]}}}}"#),
            format!(r#"{{"error":{{"code":"{outer}","pbi.error":{{"code":"{inner}"}}}}}}"#),
            complain(outer, &format!("{german} ({inner})")),
        ];
        for body in bodies {
            assert_eq!(submitted(&response(status, &[], &body)), format!("refused {expected}"), "{status} {body}");
        }
    }
    for body in [r#"{"error":"DMTS_UserNotFoundInADGraphError"}"#, r#"{"message":"DMTS_UserNotFoundInADGraphError"}"#] {
        assert_eq!(submitted(&response(404, &[], body)), "refused OwnerNotFound", "{body}");
    }
}

#[test]
fn throttle_quota_paused_and_capacity_are_distinct() {
    let rows = [
        (429, "RequestBlocked", "Request is blocked by the upstream service until: 11/29/2026 5:20:11 AM (UTC)", "Throttled"),
        (429, "RequestBlocked", CAPACITY, "Throttled"),
        (400, "RequestBlocked", "", "Throttled"),
        (403, "RequestBlocked", "", "Throttled"),
        (430, "RequestBlocked", "", "Throttled"),
        (429, "TooManyRequests", "", "Throttled"),
        (429, "429", "", "Throttled"),
        (429, "", "You have exceeded the amount of requests allowed in the current time frame. Retry in 3392 seconds.", "Throttled"),
        (400, "", "Number of refresh requests in last 24 hours exceeded limit", "QuotaExceeded"),
        (400, "DailyRefreshQuotaReached", "Capacity level limit exceeded.", "QuotaExceeded"),
        (400, "RefreshLimitExceeded", "", "QuotaExceeded"),
        (400, "CapacityNotActive", "The capacity is not active.", "Paused"),
        (400, "", "Number of refresh requests in the last 24 hours has exceeded the daily limit of 48.", "QuotaExceeded"),
        (400, "", "The daily refresh limit is exceeded.", "QuotaExceeded"),
        (400, "QuotaExceeded", "", "QuotaExceeded"),
        (400, "RefreshRequestQuotaExceeded", "", "QuotaExceeded"),
        (400, "ExceededCapacityLimit", "", "CapacityExceeded"),
        (400, "CapacityThrottled", "", "CapacityExceeded"),
        (429, "CapacityOverloaded", "", "CapacityExceeded"),
        (400, "BadRequest", "The server is paused.", "Paused"),
        (400, "", "Cannot refresh: the capacity has been suspended.", "Paused"),
        (400, "", "The capacity is not active.", "Paused"),
        // A limit of something else is not a quota, even after retries.
        (400, "InvalidRequest", "The timeout of the refresh request exceeds the limit of 24 hours.", "Rejected"),
        (400, "InvalidRequest", "maxParallelism exceeds the limit for a refresh.", "Rejected"),
        (400, "ModelSizeLimitExceeded", "", "Rejected"),
        (400, "StorageQuotaExceeded", "The storage quota of the workspace is used up; the refresh was not started.", "Rejected"),
        (400, "ModelExceedsCapacitySizeLimit", "", "Rejected"),
        (400, "CapacityMemoryExceeded", "", "Rejected"),
        (400, "BadRequest", "Cannot execute the refresh: the partition '2025' already exists.", "Rejected"),
        (400, "BadRequest", "The refresh was not executed, since another column has this name.", "Rejected"),
        (400, "BadRequest", "Pause the server's schedule before the refresh.", "Rejected"),
        // A model that is too large for a capacity remains too large.
        (400, "BadRequest", "The model's size exceeds the limit of the capacity.", "Rejected"),
    ];
    for (status, code, text, expected) in rows {
        for body in both(code, text) {
            assert_eq!(submitted(&response(status, &[], &body)), format!("refused {expected}"), "{status} {body}");
        }
    }
    assert_eq!(submitted(&response(503, &[], &complain("RequestBlocked", ""))), "unknown");
}

#[test]
fn capacity_limit_has_remedy_and_text_of_service() {
    let body = format!(r#"{{"error":{}}}"#, complain("CapacityLimitExceeded", CAPACITY));
    let SubmitResult::NotStarted(error) = submission(ServiceKind::PowerBi, &response(429, &[("retry-after", "90")], &body), &called())
    else {
        panic!()
    };
    for part in ["(HTTP 429, CapacityLimitExceeded)", "larger capacity", CAPACITY] {
        assert!(error.message.contains(part), "{}", error.message);
    }
    assert_eq!(error.retry_after, Some(std::time::Duration::from_secs(90)));
}

#[test]
fn not_found_requires_a_matching_code() {
    let genuine = [
        "",
        "NotFound",
        "PowerBIEntityNotFound",
        "ItemNotFound",
        "RefreshNotFound",
        "EntityNotFound",
        "OperationNotFound",
        "DatasetNotFound",
        "RESOURCENOTFOUND",
        "RefreshIdNotFound",
        "PowerBIFolderNotFoundException",
        "WorkspaceNotFound",
        "Gone",
        "RefreshGone",
        "EntityDoesNotExist",
    ];
    for code in genuine {
        for body in both(code, "") {
            for status in [404, 410] {
                let response = response(status, &[], &body);
                let results = (submitted(&response), polled(&response), cancelled(&response));
                assert_eq!(results, ("refused NotFound".to_owned(), "gone".to_owned(), "nothing".to_owned()), "{status} {body}");
            }
        }
    }
    let others = [
        "DMTS_DatasourceHasNoCredentialError",
        "DMTS_DatasourceNotFound",
        "TenantNotFound",
        "UserNotFound",
        "GatewayNotFound",
        "UnknownError",
    ];
    for code in others {
        for body in both(code, "The service's own words.") {
            for status in [404, 410] {
                let response = response(status, &[], &body);
                let results = (submitted(&response), polled(&response), cancelled(&response));
                assert_eq!(results, ("refused Rejected".to_owned(), "Rejected".to_owned(), "Rejected".to_owned()), "{status} {body}");
                let error = list_error(ServiceKind::PowerBi, &response);
                assert_eq!(error.message, format!("the service rejects the request (HTTP {status}, {code}): The service's own words."));
            }
        }
    }
}

#[test]
fn missing_owner_is_reported_with_its_remedy() {
    let plain = r#"{"code":"DMTS_UserNotFoundInADGraphError"}"#;
    let wrapped = r#"{"error":{"code":"DMTS_UserNotFoundInADGraphError","pbi.error":{"code":"DMTS_UserNotFoundInADGraphError","parameters":{},"details":[],"exceptionCulprit":1}}}"#;
    for body in [plain, wrapped, &wrapped.to_uppercase().replace("ERROR\":{", "error\":{").replace("\"CODE\"", "\"code\"")] {
        for status in [400, 403, 404, 410] {
            let response = response(status, &[], body);
            let results = (submitted(&response), polled(&response), cancelled(&response));
            assert_eq!(
                results,
                ("refused OwnerNotFound".to_owned(), "OwnerNotFound".to_owned(), "OwnerNotFound".to_owned()),
                "{status} {body}"
            );
            let SubmitResult::NotStarted(error) = submission(ServiceKind::PowerBi, &response, &called()) else { panic!() };
            assert!(error.message.to_lowercase().contains("dmts_usernotfoundinadgrapherror"), "{}", error.message);
            assert!(
                error.message.contains("take over the semantic model") && !error.message.contains("check the ids"),
                "{}",
                error.message
            );
        }
        assert_eq!(submitted(&response(500, &[], body)), "unknown");
    }
}

#[test]
fn throttle_without_header_ends_by_its_text() {
    let date = ("date", "Sun, 29 Nov 2026 05:00:00 GMT");
    let rows: [(Lines, &str, Option<u64>); 9] = [
        (&[("retry-after", "30")], "Retry in 3392 seconds.", Some(30)),
        (&[], "You have exceeded the amount of requests allowed in the current time frame. Retry in 3392 seconds.", Some(3392)),
        (&[], "Rate limit is exceeded. Try again in 12 seconds.", Some(12)),
        (&[], "Retry after 2 minutes.", Some(120)),
        (&[date], "Request is blocked by the upstream service until: 11/29/2026 5:20:11 AM (UTC)", Some(1211)),
        (&[("retry-after", "0")], "", None),
        (&[("retry-after", "0")], "Retry in 7 seconds", Some(7)),
        (&[date, ("retry-after", "Sun, 29 Nov 2026 04:00:00 GMT")], "", None),
        (&[], "Retry in a while, until the end of 2026.", None),
    ];
    for (headers, text, expected) in rows {
        for body in both("TooManyRequests", text) {
            let SubmitResult::NotStarted(error) = submission(ServiceKind::PowerBi, &response(429, headers, &body), &called()) else {
                panic!()
            };
            assert_eq!(error.retry_after.map(|wait| wait.as_secs()), expected, "{headers:?} {body}");
        }
    }
}
