//! Tests of the descriptions of refreshes.

use serde_json::json;

use super::*;
use crate::azure::refreshes::Row;

fn read(body: &str) -> Result<Operation, &'static str> {
    operation(ServiceKind::AnalysisServices, body.as_bytes(), &OperationId::parse("1344a272").unwrap(), None)
}

#[test]
fn documented_response_is_parsed() {
    let operation = read(
        r#"{"startTime": "2017-12-07T02:06:57.1838734Z", "endTime": "2017-12-07T02:07:00.4929675Z", "type": "full",
            "status": "succeeded", "currentRefreshType": "full", "objects": [
            {"table": "DimCustomer", "partition": "DimCustomer", "status": "succeeded"},
            {"table": "DimDate", "status": "inProgress"}, {"status": "failed"}]}"#,
    )
    .unwrap();
    assert_eq!((operation.phase, operation.service_status.as_str()), (Phase::Succeeded, "succeeded"));
    assert_eq!(operation.refresh_type.as_deref(), Some("full"));
    assert_eq!(operation.end, timestamp::parse("2017-12-07T02:07:00.4929675Z"));
    assert_eq!(operation.objects.len(), 2);
    assert_eq!(operation.objects[1].name, ObjectName { table: "DimDate".to_owned(), partition: None });
    assert_eq!(operation.objects[1].phase, Phase::InProgress);
}

#[test]
fn odd_details_are_parsed_as_far_as_certain() {
    let rows = [
        (r#"{"status":"notStarted","objects":[]}"#, Phase::NotStarted),
        (r#"{"STATUS":"Failed","Messages":null,"objects":null,"startTime":7}"#, Phase::Failed),
        (r#"{"status":"inProgress","endTime":"2017-12-07T02:07:00Z"}"#, Phase::InProgress),
        (r#"{"status":"somethingNew","extra":{"a":[1,{}]}}"#, Phase::InProgress),
        (r#"{"status":"cancelled","objects":"none","messages":{"a":1}}"#, Phase::Cancelled),
        (r#"{"status":"succeeded","refreshId":"1344A272","objects":[{"table":"t","status":"failed"}]}"#, Phase::Succeeded),
        (r#"{"status":"succeeded","objects":[null,7,"t",[],{"table":["t"],"status":{}}],"messages":[1.5,null]}"#, Phase::Succeeded),
        (r#"{"status":"failed","messages":true,"refreshAttempts":[null,"x"],"objects":{}}"#, Phase::Failed),
    ];
    for (body, phase) in rows {
        assert_eq!(read(body).unwrap().phase, phase, "{body}");
    }
}

#[test]
fn request_id_is_that_of_the_refresh_only_in_power_bi() {
    let is_read = |service, id: &str| {
        let body = format!(r#"{{"requestId":"{id}","status":"succeeded"}}"#);
        operation(service, body.as_bytes(), &OperationId::parse("1344a272").unwrap(), None).is_ok()
    };
    for (id, in_power_bi) in [("1344A272", true), ("2b", false), ("00000000-0000-0000-0000-000000000000", true)] {
        let read = [ServiceKind::AnalysisServices, ServiceKind::PowerBi].map(|service| is_read(service, id));
        assert_eq!(read, [true, in_power_bi], "{id}");
    }
}

#[test]
fn object_without_table_makes_details_incomplete() {
    let rows = [
        (r#"[{"table":"t","partition":"p"}]"#, (1, false)),
        (r#"[{"table":"t"},{"partition":"p"}]"#, (1, true)),
        (r#"[{"table":"t"},{"table":""}]"#, (1, true)),
        (r#"[{"table":"t"},{"table":{"name":"u"}}]"#, (1, true)),
        (r#"[{"table":"t"},null]"#, (1, true)),
        (r#"[["t"],{"table":"t"}]"#, (1, true)),
        (r#"{"name":"t"}"#, (0, true)),
        ("[]", (0, false)),
        ("null", (0, false)),
    ];
    for (objects, expected) in rows {
        let operation = read(&format!(r#"{{"status":"succeeded","objects":{objects}}}"#)).unwrap();
        assert_eq!((operation.objects.len(), operation.incomplete), expected, "{objects}");
    }
}

#[test]
fn invalid_details_are_rejected() {
    let rows = [
        ("", "is not a description"),
        ("null", "is not a description"),
        ("[]", "is not a description"),
        ("[{\"status\":\"succeeded\"}]", "is not a description"),
        ("<html>", "is not a description"),
        (r#"{"status":"succeeded""#, "is not a description"),
        (r#"{"status":"succeeded"} tail"#, "is not a description"),
        (r#"{"status":"succeeded","status":"inProgress"}"#, "is not a description"),
        (r#"{"startTime":"2017-12-07T02:06:57Z"}"#, "has no status"),
        (r#"{"status":null}"#, "has no status"),
        (r#"{"status":"  "}"#, "has no status"),
        (r#"{"status":{"value":"succeeded"}}"#, "has no status"),
        (r#"{"status":"succeeded","refreshId":"other"}"#, "describes another"),
        (r#"{"requestId":"1344a272","operationId":"other","status":"succeeded"}"#, "describes another"),
    ];
    for (body, expected) in rows {
        let fault = read(body).unwrap_err();
        assert!(fault.starts_with(expected), "{body}: {fault}");
    }
}

#[test]
fn messages_are_bounded() {
    let long = "ä".repeat(3000);
    let notes: Vec<_> = (0..80).map(|n| format!(r#"{{"code":{n},"message":"{long}\r\n","type":"Error"}}"#)).collect();
    let messages = read(&format!(r#"{{"status":"failed","messages":[{{}},{}]}}"#, notes.join(","))).unwrap().messages;
    assert_eq!((messages.len(), messages[0].code.as_deref()), (50, Some("0")));
    assert_eq!(messages[0].text.chars().count(), 1024);
}

#[test]
fn number_of_objects_is_bounded() {
    let of = |n: usize| {
        let part = r#"{"table":"t","partition":"p","status":"succeeded"}"#;
        read(&format!(r#"{{"status":"succeeded","objects":[{}]}}"#, vec![part; n].join(","))).unwrap().objects.len()
    };
    assert_eq!(of(10_000), 10_000);
    assert_eq!(of(60_000), MAX_OBJECTS);
}

fn texts(body: &serde_json::Value) -> Vec<String> {
    read(&body.to_string()).unwrap().messages.into_iter().map(|message| message.text).collect()
}

#[test]
fn failure_in_any_format_has_text() {
    let long = json!({"errorCode": "X", "errorDescription": "d".repeat(9_000)}).to_string();
    let code = json!({"error": {"code": "Premium_ASWL_Error"}});
    for exception in [json!(code.to_string()), code.clone(), json!("boom"), json!(long), json!([code])] {
        for failed in [
            json!({"status": "Failed", "serviceExceptionJson": exception}),
            json!({"status": "Failed", "refreshAttempts": [{"serviceExceptionJson": exception}, {"serviceExceptionJson": ""}, null]}),
            json!({"status": "Failed", "messages": [exception]}),
            json!({"status": "Failed", "messages": exception}),
            json!({"status": "Failed", "error": exception}),
            json!({"status": "Failed", "messages": [], "refreshAttempts": [{"ServiceExceptionJson": exception}]}),
        ] {
            let texts = texts(&failed);
            assert!(texts.len() == 1 && !texts[0].is_empty(), "{failed:.120}");
        }
    }
    assert_eq!(texts(&json!({"status": "Completed", "serviceExceptionJson": "boom"})), Vec::<String>::new());
}

#[test]
fn message_is_parsed_in_any_format() {
    let rows = [
        (json!([{"code": "1", "message": "no memory"}]), &[(Some("1"), "no memory")][..]),
        (json!({"Code": 1, "Message": "no memory"}), &[(Some("1"), "no memory")]),
        (json!("no memory"), &[(None, "no memory")]),
        (json!(["no memory", null, 7, [], {"message": "twice"}]), &[(None, "no memory"), (None, "twice")]),
        (json!([{"error": {"code": "1", "message": "no memory"}}]), &[(Some("1"), "no memory")]),
        (json!([{"error": "no memory", "type": "Error"}]), &[(None, "no memory")]),
        (json!([{"message": ["no memory"]}, {"message": null}]), &[(None, "no memory")]),
        (json!(17), &[]),
    ];
    for (messages, expected) in rows {
        let read = read(&json!({"status": "failed", "messages": messages}).to_string()).unwrap().messages;
        let read: Vec<_> = read.iter().map(|message| (message.code.as_deref(), message.text.as_str())).collect();
        assert_eq!(read, expected, "{messages}");
    }
}

#[test]
fn cause_comes_before_its_consequences() {
    let after = json!({"code": "0xC11C0006", "type": "Error",
        "message": "The current operation was cancelled because another operation in the transaction failed."});
    let cause = json!({"code": "0xC112001C", "message": "Login failed for user.", "type": "Error"});
    for count in [11, 60, 6_000] {
        let messages = [vec![after.clone(); count], vec![cause.clone()]].concat();
        let messages = read(&json!({"status": "failed", "messages": messages}).to_string()).unwrap().messages;
        assert_eq!((messages.len(), messages[0].text.as_str()), (2, "Login failed for user."));
        assert_eq!(messages[1].times, u32::try_from(count).unwrap());
    }
    // The cause may be only in the exception.
    let texts = texts(&json!({"status": "Failed", "messages": [after], "serviceExceptionJson": "Login failed."}));
    assert_eq!(texts[0], "Login failed.");
    // An exception that repeats a message is not a second error.
    let repeated = json!({"errorCode": "0xC112001C", "errorDescription": "Login failed for user."}).to_string();
    let body = json!({"status": "Failed", "messages": [cause], "serviceExceptionJson": repeated}).to_string();
    assert_eq!(read(&body).unwrap().messages.iter().map(|message| message.times).collect::<Vec<_>>(), [1]);
}

#[test]
fn documented_cause_is_found_beyond_the_message_limit() {
    let warnings = (0..500).map(|n| json!({"type": "Error", "message": format!("{n}")}));
    let messages: Vec<_> = warnings.chain([json!({"type": "Warning", "code": "-1055129568", "message": "x"})]).collect();
    let operation = read(&json!({"status": "failed", "messages": messages}).to_string()).unwrap();
    assert_eq!((operation.failure, operation.messages.len()), (Some(FailureCause::Evicted), 50));
}

#[test]
fn error_of_an_attempt_is_the_cause_only_of_a_failure() {
    let error = json!({"errorCode": "0xC11C0020", "errorDescription": "x"}).to_string();
    for (status, expected) in
        [("Failed", Some(FailureCause::Evicted)), ("Cancelled", None), ("TimedOut", Some(FailureCause::AttemptTimeLimit))]
    {
        let attempts = json!([{"attemptId": 1, "serviceExceptionJson": error}, {"attemptId": 2}]);
        for (exception, expected) in [(json!(null), expected), (json!(""), expected), (json!(error), Some(FailureCause::Evicted))] {
            let body = json!({"status": status, "serviceExceptionJson": exception, "refreshAttempts": attempts}).to_string();
            let id = OperationId::parse("1344a272").unwrap();
            let details = operation(ServiceKind::PowerBi, body.as_bytes(), &id, None).unwrap();
            let row = Row::read(ServiceKind::PowerBi, body.as_bytes()).unwrap().into_operation(id);
            for operation in [details, row] {
                assert_eq!((operation.failure, operation.messages.len()), (expected, 1), "{body}");
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_body_panics(body in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        let _ = operation(ServiceKind::AnalysisServices, &body, &OperationId::parse("1").unwrap(), None);
    }

    #[test]
    fn no_truncated_or_damaged_body_panics(cut in 0usize..200, at in 0usize..200, byte in proptest::num::u8::ANY) {
        let mut body = br#"{"status":"failed","objects":[{"table":"t","status":"x"}],"messages":[{"code":"1","message":"m"}]}"#.to_vec();
        let at = at % body.len();
        body[at] = byte;
        body.truncate(cut);
        let _ = operation(ServiceKind::AnalysisServices, &body, &OperationId::parse("1").unwrap(), None);
    }
}
