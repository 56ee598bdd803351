//! Parses the response to `GET refreshes/<id>` into an operation.
//!
//! One parser serves both services: Power BI has the fields of Analysis Services, and more.

use std::marker::PhantomData;

use serde::de::{Error as _, IgnoredAny, MapAccess};

use super::failure;
use super::phase;
use crate::azure::classify::messages::Messages;
use crate::azure::http::error_body::{Each, ErrorBody, Node};
use crate::azure::http::lenient_json::{Fields, List, Object, Text};
use crate::azure::http::timestamp;
use crate::operation::{FailureCause, ObjectName, ObjectProgress, Operation, OperationId, Origin, Phase, ServiceKind, ServiceMessage};

/// Maximum number of objects of an operation. A model has fewer partitions, but a response could contain millions.
const MAX_OBJECTS: usize = 50_000;

/// Parses the description of one operation. The error states the problem.
///
/// Analysis Services documentation, asynchronous refresh, "`GET /refreshes/<refreshId>`". Observed without objects and end while it is
/// running, and with or without `messages` after a failure. Power BI REST documentation, "Get Refresh Execution Details In Group": also
/// `extendedStatus` and `refreshAttempts`.
pub(in crate::azure) fn operation(
    service: ServiceKind,
    body: &[u8],
    polled_id: &OperationId,
    activity_id: Option<String>,
) -> Result<Operation, &'static str> {
    let Object(detail) = serde_json::from_slice::<Object<Detail>>(body).map_err(|_| "is not a description of a refresh")?;
    if detail.ids.iter().any(|id| !polled_id.same(id)) {
        return Err("describes another refresh");
    }
    let (phase, service_status) =
        phase::combined_phase(detail.status.at_most(64), detail.extended_status.at_most(64)).ok_or("has no status")?;
    let mut collected = detail.collected;
    // While the refresh is still running, the last failed attempt is a warning.
    let severity = if phase.ended() { "Error" } else { "Warning" };
    let errors = [detail.exception, ErrorBody::all(&Node::Object(detail.error)), detail.attempt];
    let mut errors = errors.iter().map(|errors| messages(errors)).find(|errors| !errors.is_empty()).unwrap_or_default();
    // Power BI repeats a message as the exception: one error, reported in two places.
    errors.retain(|error| phase != Phase::Succeeded && !collected.messages.contain(&error.text));
    for error in errors {
        collected.push(ServiceMessage { severity: severity.to_owned(), ..error });
    }
    let start = detail.start.0.as_deref().and_then(timestamp::moment);
    let end = detail.end.0.as_deref().and_then(timestamp::moment);
    Ok(Operation {
        id: polled_id.clone(),
        failure: failure::cause(service, (phase, &service_status), collected.cause, (start, end)),
        phase,
        service_status,
        start,
        end,
        refresh_type: detail.refresh_type.at_most(64).map(|word| word.to_ascii_lowercase()),
        objects: detail.objects,
        messages: collected.messages.finish(),
        activity_id,
        origin: Origin::Client,
        incomplete: detail.unnamed_objects,
    })
}

/// An operation of which only the running state is known.
pub(in crate::azure) fn running(id: &OperationId, activity_id: Option<String>) -> Operation {
    Operation {
        id: id.clone(),
        phase: Phase::InProgress,
        service_status: "Accepted".to_owned(),
        start: None,
        end: None,
        refresh_type: None,
        objects: Vec::new(),
        messages: Vec::new(),
        activity_id,
        failure: None,
        origin: Origin::Client,
        incomplete: false,
    }
}

#[derive(Default)]
struct Detail {
    ids: Vec<String>,
    status: Text,
    extended_status: Text,
    start: Text,
    end: Text,
    refresh_type: Text,
    objects: Vec<ObjectProgress>,
    /// Whether an object has no readable table. Another client may have requested that object.
    unnamed_objects: bool,
    collected: Collected,
    /// The error of the complete refresh, and of the last failed attempt.
    exception: Vec<ErrorBody>,
    attempt: Vec<ErrorBody>,
    /// The fields of an error next to those of the refresh.
    error: Vec<(String, Node)>,
}

/// The messages of the service, and the documented cause, which may be in a message beyond the limit.
#[derive(Default)]
struct Collected {
    messages: Messages,
    cause: Option<FailureCause>,
}

impl Collected {
    fn push(&mut self, message: ServiceMessage) {
        self.cause = self.cause.or_else(|| failure::by_message(&message));
        self.messages.push(message);
    }
}

fn messages(errors: &[ErrorBody]) -> Vec<ServiceMessage> {
    errors.iter().filter_map(|error| error.service_message("Error")).collect()
}

impl Fields for Detail {
    const EXPECTED: &'static str = "a refresh";

    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, value: &mut A) -> Result<(), A::Error> {
        match name {
            "refreshid" | "operationid" | "requestid" => {
                let id = value.next_value::<Text>()?.at_most(128);
                // Enough to detect a contradiction: a response may repeat a field a million times.
                if self.ids.len() < 8 {
                    self.ids.extend(id);
                }
            }
            "status" | "extendedstatus" => {
                let status_value = value.next_value::<Text>()?;
                let status = if name == "status" { &mut self.status } else { &mut self.extended_status };
                if status.0.is_some() && *status != status_value {
                    return Err(A::Error::custom("two states at once"));
                }
                *status = status_value;
            }
            "serviceexceptionjson" => self.exception = ErrorBody::all(&value.next_value()?),
            "refreshattempts" => {
                let last = &mut self.attempt;
                let keep = |Attempt(errors): Attempt| -> Option<()> {
                    if !errors.is_empty() {
                        *last = errors;
                    }
                    None
                };
                value.next_value_seed(List { limit: 1, keep, of: PhantomData })?;
            }
            "starttime" => self.start = value.next_value()?,
            "endtime" => self.end = value.next_value()?,
            "type" => self.refresh_type = value.next_value()?,
            "objects" => {
                let unnamed = &mut self.unnamed_objects;
                let keep = |part: Part| {
                    let object = part.progress();
                    *unnamed |= object.is_none();
                    object
                };
                self.objects = value.next_value_seed(List { limit: MAX_OBJECTS, keep, of: PhantomData })?;
            }
            "messages" => {
                let collected = &mut self.collected;
                value.next_value_seed(Each(|node| {
                    for message in messages(&ErrorBody::all(&node)) {
                        collected.push(message);
                    }
                }))?;
            }
            "error" | "errors" | "errorcode" | "errormessage" | "errordescription" | "message" if self.error.len() < 8 => {
                self.error.push((name.to_owned(), value.next_value()?));
            }
            _ => {
                value.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Part {
    table: Text,
    partition: Text,
    status: Text,
}

impl Part {
    fn progress(self) -> Option<ObjectProgress> {
        let name = ObjectName { table: self.table.name(512)?, partition: self.partition.name(512) };
        let service_status = self.status.at_most(64).unwrap_or_default();
        Some(ObjectProgress { name, phase: phase::phase(&service_status), service_status })
    }
}

impl Fields for Part {
    const EXPECTED: &'static str = "an object of a refresh";
    const MIXED: bool = true;

    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, value: &mut A) -> Result<(), A::Error> {
        match name {
            "table" => self.table = value.next_value()?,
            "partition" => self.partition = value.next_value()?,
            "status" => self.status = value.next_value()?,
            _ => {
                value.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The error of an attempt.
#[derive(Default)]
struct Attempt(Vec<ErrorBody>);

impl Fields for Attempt {
    const EXPECTED: &'static str = "an attempt of a refresh";
    const MIXED: bool = true;

    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, value: &mut A) -> Result<(), A::Error> {
        if name == "serviceexceptionjson" {
            self.0 = ErrorBody::all(&value.next_value()?);
            self.0.retain(|error| error.service_message("Error").is_some());
        } else {
            value.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
        assert_eq!(operation.end, timestamp::moment("2017-12-07T02:07:00.4929675Z"));
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
}
