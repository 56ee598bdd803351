//! The answer to `GET refreshes/<id>`, as an operation.
//!
//! One reader serves both services: Power BI has the fields of Analysis Services, and more.

use std::marker::PhantomData;

use serde::de::{Error as _, IgnoredAny, MapAccess};

use super::failure;
use crate::operation::{ObjectName, ObjectProgress, Operation, OperationId, Origin, Phase, ServiceMessage};
use crate::service::fields::{Fields, Item, List, Object, Text};
use crate::service::{Service, text, timestamp, words};

/// How many objects of an operation are kept. A model has fewer partitions; an answer could hold millions.
const MOST_OBJECTS: usize = 50_000;

/// How many messages are kept, as [`Operation`] says.
const MOST_MESSAGES: usize = 50;

/// How many attempts of one refresh are read; Power BI makes as many as 24 hours and `retryCount` allow.
const MOST_ATTEMPTS: usize = 200;

/// Reads the description of one operation. The error says what is wrong with it.
///
/// Analysis Services documentation, asynchronous refresh, "`GET /refreshes/<refreshId>`"; seen without objects and
/// end while it runs, and with `messages` or without where it failed. Power BI REST documentation, "Get Refresh
/// Execution Details In Group": `extendedStatus` and `refreshAttempts` too.
pub(in crate::service) fn operation(
    service: Service,
    body: &[u8],
    asked: &OperationId,
    activity_id: Option<String>,
) -> Result<Operation, &'static str> {
    let Object(detail) = serde_json::from_slice::<Object<Detail>>(body).map_err(|_| "is not a description of a refresh")?;
    if detail.ids.iter().any(|id| !asked.same(id)) {
        return Err("describes another refresh than was asked for");
    }
    let (phase, reported) = words::told(detail.status.at_most(64), detail.extended_status.at_most(64)).ok_or("has no status")?;
    let mut messages = detail.messages;
    if messages.is_empty() {
        // Of attempts that failed while it still runs, the last one is worth a warning.
        let severity = if phase.ended() { "Error" } else { "Warning" };
        let exception = detail.exception.or(detail.attempt).filter(|_| phase != Phase::Succeeded);
        messages.extend(exception.map(|exception| ServiceMessage { severity: severity.to_owned(), ..exception }));
    }
    let start = detail.start.0.as_deref().and_then(timestamp::iso);
    let end = detail.end.0.as_deref().and_then(timestamp::iso);
    Ok(Operation {
        id: asked.clone(),
        failure: failure::cause(service, (phase, &reported), &messages, (start, end)),
        phase,
        reported,
        start,
        end,
        refresh_type: detail.refresh_type.at_most(64).map(|word| word.to_ascii_lowercase()),
        objects: detail.objects,
        messages,
        activity_id,
        origin: Origin::Client,
        unread: false,
    })
}

/// An operation of which nothing is known but that it runs.
pub(in crate::service) fn running(id: &OperationId, activity_id: Option<String>) -> Operation {
    Operation {
        id: id.clone(),
        phase: Phase::InProgress,
        reported: "Accepted".to_owned(),
        start: None,
        end: None,
        refresh_type: None,
        objects: Vec::new(),
        messages: Vec::new(),
        activity_id,
        failure: None,
        origin: Origin::Client,
        unread: false,
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
    messages: Vec<ServiceMessage>,
    /// What went wrong with the whole refresh, and with the last attempt that went wrong.
    exception: Option<ServiceMessage>,
    attempt: Option<ServiceMessage>,
}

impl Fields for Detail {
    const EXPECTED: &'static str = "a refresh";

    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, value: &mut A) -> Result<(), A::Error> {
        match name {
            "refreshid" | "operationid" | "requestid" => {
                let id = value.next_value::<Text>()?.at_most(128);
                // No more than tell a contradiction: an answer may repeat a field a million times.
                if self.ids.len() < 8 {
                    self.ids.extend(id);
                }
            }
            "status" | "extendedstatus" => {
                let told = value.next_value::<Text>()?;
                let status = if name == "status" { &mut self.status } else { &mut self.extended_status };
                if status.0.is_some() && *status != told {
                    return Err(A::Error::custom("two states at once"));
                }
                *status = told;
            }
            "serviceexceptionjson" => self.exception = value.next_value::<Text>()?.0.as_deref().and_then(exception),
            "refreshattempts" => {
                let attempts: Vec<ServiceMessage> =
                    value.next_value_seed(List { limit: MOST_ATTEMPTS, keep: Attempt::exception, of: PhantomData })?;
                self.attempt = attempts.into_iter().next_back();
            }
            "starttime" => self.start = value.next_value()?,
            "endtime" => self.end = value.next_value()?,
            "type" => self.refresh_type = value.next_value()?,
            "objects" => {
                self.objects = value.next_value_seed(List { limit: MOST_OBJECTS, keep: Part::progress, of: PhantomData })?;
            }
            "messages" => {
                self.messages = value.next_value_seed(List { limit: MOST_MESSAGES, keep: Note::message, of: PhantomData })?;
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
        let reported = self.status.at_most(64).unwrap_or_default();
        Some(ObjectProgress { name, phase: words::phase(&reported), reported })
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

#[derive(Default)]
struct Note {
    severity: Text,
    code: Text,
    text: Text,
}

impl Note {
    fn message(self) -> Option<ServiceMessage> {
        let text = text::cut(&self.text.at_most(4096).map(|text| one_line(&text)).unwrap_or_default(), 1024);
        let code = self.code.at_most(64);
        if text.is_empty() && code.is_none() {
            return None;
        }
        Some(ServiceMessage { severity: self.severity.at_most(64).unwrap_or_else(|| "Error".to_owned()), code, text })
    }
}

impl Fields for Note {
    const EXPECTED: &'static str = "a message of a refresh";
    const MIXED: bool = true;

    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, value: &mut A) -> Result<(), A::Error> {
        match name {
            "type" => self.severity = value.next_value()?,
            "code" => self.code = value.next_value()?,
            "message" => self.text = value.next_value()?,
            // As in the answers that are errors: `{"error": {"code", "message"}}`.
            "error" => {
                if let Item(Some(inner)) = value.next_value::<Item<Self>>()? {
                    self.code = inner.code;
                    self.text = inner.text;
                }
            }
            _ => {
                value.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn bare(text: &str) -> Option<Self> {
        Some(Self { text: Text(Some(text.to_owned())), ..Self::default() })
    }
}

#[derive(Default)]
struct Attempt {
    exception: Text,
}

impl Attempt {
    fn exception(self) -> Option<ServiceMessage> {
        self.exception.0.as_deref().and_then(exception)
    }
}

impl Fields for Attempt {
    const EXPECTED: &'static str = "an attempt of a refresh";
    const MIXED: bool = true;

    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, value: &mut A) -> Result<(), A::Error> {
        match name {
            "serviceexceptionjson" => self.exception = value.next_value()?,
            _ => {
                value.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// What Power BI says of a failure in `serviceExceptionJson`: a text that is JSON, `{"errorCode", "errorDescription"}`.
fn exception(json: &str) -> Option<ServiceMessage> {
    let Object(exception) = serde_json::from_str::<Object<Exception>>(json).ok()?;
    let code = exception.code.at_most(64);
    let text = exception.text.at_most(4096).map(|text| text::cut(&one_line(&text), 1024));
    let text = text.or_else(|| code.clone())?;
    Some(ServiceMessage { severity: "Error".to_owned(), code, text })
}

#[derive(Default)]
struct Exception {
    code: Text,
    text: Text,
}

impl Fields for Exception {
    const EXPECTED: &'static str = "an exception of Power BI";

    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, value: &mut A) -> Result<(), A::Error> {
        match name {
            "errorcode" => self.code = value.next_value()?,
            "errordescription" => self.text = value.next_value()?,
            _ => {
                value.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// A message of the service on one line, its ids kept: it belongs to one operation, and a support case needs them.
fn one_line(message: &str) -> String {
    message.split(|c: char| c.is_control() || c == ' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Operation, &'static str> {
        operation(Service::AnalysisServices, body.as_bytes(), &OperationId::parse("1344a272").unwrap(), None)
    }

    #[test]
    fn the_documented_answer_is_read() {
        let operation = read(
            r#"{"startTime": "2017-12-07T02:06:57.1838734Z", "endTime": "2017-12-07T02:07:00.4929675Z", "type": "full",
                "status": "succeeded", "currentRefreshType": "full", "objects": [
                {"table": "DimCustomer", "partition": "DimCustomer", "status": "succeeded"},
                {"table": "DimDate", "status": "inProgress"}, {"status": "failed"}]}"#,
        )
        .unwrap();
        assert_eq!((operation.phase, operation.reported.as_str()), (Phase::Succeeded, "succeeded"));
        assert_eq!(operation.refresh_type.as_deref(), Some("full"));
        assert_eq!(operation.end, timestamp::iso("2017-12-07T02:07:00.4929675Z"));
        assert_eq!(operation.objects.len(), 2);
        assert_eq!(operation.objects[1].name, ObjectName { table: "DimDate".to_owned(), partition: None });
        assert_eq!(operation.objects[1].phase, Phase::InProgress);
    }

    #[test]
    fn odd_answers_are_read_as_far_as_they_say_something_certain() {
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
    fn what_is_no_answer_is_refused() {
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
    fn a_message_is_read_in_whatever_shape_it_comes() {
        let rows = [
            (r#"[{"code":"1","message":"no memory"}]"#, &[(Some("1"), "no memory")][..]),
            (r#"{"Code":1,"Message":"no memory"}"#, &[(Some("1"), "no memory")]),
            (r#""no memory""#, &[(None, "no memory")]),
            (r#"["no memory",null,7,[],{"message":"twice"}]"#, &[(None, "no memory"), (None, "twice")]),
            (r#"[{"error":{"code":"1","message":"no memory"}}]"#, &[(Some("1"), "no memory")]),
            (r#"[{"error":"no memory","type":"Error"}]"#, &[(None, "no memory")]),
            (r#"[{"message":["no memory"]},{"message":null}]"#, &[]),
            ("17", &[]),
        ];
        for (messages, expected) in rows {
            let read = read(&format!(r#"{{"status":"failed","messages":{messages}}}"#)).unwrap().messages;
            let read: Vec<_> = read.iter().map(|message| (message.code.as_deref(), message.text.as_str())).collect();
            assert_eq!(read, expected, "{messages}");
        }
    }

    #[test]
    fn messages_are_bounded() {
        let long = "ä".repeat(3000);
        let note = format!(r#"{{"code":42,"message":"{long}\r\n","type":"Error"}}"#);
        let body = format!(r#"{{"status":"failed","messages":[{{}},{}]}}"#, vec![note; 80].join(","));
        let messages = read(&body).unwrap().messages;
        assert_eq!(messages.len(), MOST_MESSAGES);
        assert_eq!(messages[0].code.as_deref(), Some("42"));
        assert_eq!(messages[0].text.chars().count(), 1024);
    }

    #[test]
    fn ten_thousand_partitions_are_read_and_a_million_are_not_kept() {
        let of = |n: usize| {
            let part = r#"{"table":"t","partition":"p","status":"succeeded"}"#;
            read(&format!(r#"{{"status":"succeeded","objects":[{}]}}"#, vec![part; n].join(","))).unwrap().objects.len()
        };
        assert_eq!(of(10_000), 10_000);
        assert_eq!(of(60_000), MOST_OBJECTS);
    }

    proptest::proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = operation(Service::AnalysisServices, &body, &OperationId::parse("1").unwrap(), None);
        }

        #[test]
        fn no_cut_or_torn_body_panics(cut in 0usize..200, at in 0usize..200, byte in proptest::num::u8::ANY) {
            let mut body = br#"{"status":"failed","objects":[{"table":"t","status":"x"}],"messages":[{"code":"1","message":"m"}]}"#.to_vec();
            let at = at % body.len();
            body[at] = byte;
            body.truncate(cut);
            let _ = operation(Service::AnalysisServices, &body, &OperationId::parse("1").unwrap(), None);
        }
    }
}
