//! The status of a sync, in the format of the service.

use std::marker::PhantomData;

use jiff::Timestamp;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess};

use crate::azure::classify::messages::Messages;
use crate::azure::http::error_body::ErrorBody;
use crate::azure::http::lenient_json::{Fields, List, Object, Text};
use crate::azure::http::timestamp;
use crate::operation::{Operation, OperationId, Origin, Phase, ServiceMessage};

/// Maximum number of items of a list. The service is documented to return one.
const MAX_ITEMS: usize = 50;

/// One status: `{operationId, database, UpdatedAt, StartedAt, syncstate, details}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) id: Option<OperationId>,
    /// Whether the id is zero: the service shows that there is no sync.
    pub(super) is_absent: bool,
    pub(super) phase: Phase,
    /// The documented name of the state, or the value of the service if it is not documented.
    pub(super) state: String,
    pub(super) started: Option<Timestamp>,
    pub(super) updated: Option<Timestamp>,
    messages: Vec<ServiceMessage>,
}

/// The phase and the name of a `syncstate`: a number in the documentation, a name in one of Microsoft's clients. A number as text is
/// accepted too.
///
/// *Finalizing* is a success: by the documentation, the sync has completed and only cleanup steps remain, so clients need not wait for
/// them. An undocumented value is not an end.
fn state(value: &str) -> (Phase, &str) {
    match value.trim().to_ascii_lowercase().as_str() {
        "0" | "replicating" => (Phase::InProgress, "Replicating"),
        "1" | "rehydrating" => (Phase::InProgress, "Rehydrating"),
        "2" | "completed" => (Phase::Succeeded, "Completed"),
        "3" | "failed" => (Phase::Failed, "Failed"),
        "4" | "finalizing" => (Phase::Succeeded, "Finalizing"),
        "-1" | "invalid" => (Phase::Failed, "Invalid"),
        _ => (Phase::InProgress, value),
    }
}

impl Status {
    /// Parses one status, alone or as the only item of a list.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut all = Self::read_all(body)?;
        if all.len() == 1 { all.pop() } else { None }
    }

    /// Parses the response to a request without an id: one status, a list, or none.
    pub(super) fn read_all(body: &[u8]) -> Option<Vec<Self>> {
        if body.first() == Some(&b'[') {
            let mut json = serde_json::Deserializer::from_slice(body);
            let list = List { limit: MAX_ITEMS, keep: StatusFields::status, of: PhantomData }.deserialize(&mut json).ok()?;
            return json.end().ok().map(|()| list);
        }
        let Object(fields) = serde_json::from_slice::<Object<StatusFields>>(body).ok()?;
        // Without a state and an id, there is no sync.
        if fields.state.0.is_none() && fields.id.0.is_none() { Some(Vec::new()) } else { fields.status().map(|status| vec![status]) }
    }

    /// The operation under the id that it is polled by.
    pub(super) fn operation(self, id: OperationId, activity_id: Option<String>) -> Operation {
        Operation {
            id,
            phase: self.phase,
            service_status: self.state,
            start: self.started,
            end: self.updated.filter(|_| self.phase.ended()),
            refresh_type: None,
            commit_mode: None,
            objects: Vec::new(),
            messages: self.messages,
            activity_id,
            failure: None,
            origin: Origin::Client,
            incomplete: false,
        }
    }
}

#[derive(Default)]
struct StatusFields {
    id: Text,
    state: Text,
    started: Text,
    updated: Text,
    details: Vec<ErrorBody>,
}

impl StatusFields {
    fn status(self) -> Option<Status> {
        let value = self.state.at_most(64)?;
        let (phase, state) = state(&value);
        let severity = if phase == Phase::Failed { "Error" } else { "Warning" };
        let messages: Messages = self.details.iter().filter_map(|error| error.service_message(severity)).collect();
        let time = |text: Text| text.0.as_deref().and_then(timestamp::parse);
        Some(Status {
            is_absent: self.id.0.as_deref().map(str::trim).is_some_and(|id| !id.is_empty() && OperationId::is_zero(id)),
            id: self.id.0.as_deref().and_then(OperationId::parse),
            phase,
            state: state.to_owned(),
            started: time(self.started),
            updated: time(self.updated),
            messages: messages.finish(),
        })
    }
}

impl Fields for StatusFields {
    const EXPECTED: &'static str = "the status of a sync";

    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, value: &mut A) -> Result<(), A::Error> {
        match name {
            "operationid" => self.id = value.next_value()?,
            "syncstate" => self.state = value.next_value()?,
            "startedat" => self.started = value.next_value()?,
            "updatedat" => self.updated = value.next_value()?,
            "details" => self.details = ErrorBody::all(&value.next_value()?),
            _ => {
                value.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_parsed_as_number_text_or_name() {
        let rows = [
            (0, "Replicating", Phase::InProgress),
            (1, "Rehydrating", Phase::InProgress),
            (2, "Completed", Phase::Succeeded),
            (3, "Failed", Phase::Failed),
            (4, "Finalizing", Phase::Succeeded),
            (-1, "Invalid", Phase::Failed),
        ];
        for (number, name, phase) in rows {
            let spellings = [format!("{number}"), format!("\"{number}\""), format!("\"{}\"", name.to_uppercase()), format!("\" {name} \"")];
            for spelling in spellings {
                let status = Status::read(format!(r#"{{"SyncState":{spelling}}}"#).as_bytes()).unwrap();
                assert_eq!((status.phase, status.state.as_str()), (phase, name), "{spelling}");
            }
        }
        for spelling in ["5", "\"Paused\"", "true"] {
            assert_eq!(Status::read(format!(r#"{{"syncstate":{spelling}}}"#).as_bytes()).unwrap().phase, Phase::InProgress, "{spelling}");
        }
        assert_eq!(Status::read(br#"[{"syncstate":2}]"#).unwrap().phase, Phase::Succeeded);
        for body in ["[]", r#"[{"syncstate":2},{"syncstate":2}]"#, "[null]"] {
            assert_eq!(Status::read(body.as_bytes()), None, "{body}");
        }
        for spelling in ["null", "\"\"", "{}", "[2]"] {
            assert_eq!(Status::read(format!(r#"{{"syncstate":{spelling}}}"#).as_bytes()), None, "{spelling}");
        }
    }

    #[test]
    fn documented_response_is_parsed() {
        let body = br#"{"operationId":"cd5e16c6-6d4e-4347-86a0-762bdf5b4875","database":"AdventureWorks2",
            "UpdatedAt":"2017-12-09T02:44:26.18","StartedAt":"2017-12-09T02:44:20.743","syncstate":2,"details":null}"#;
        let status = Status::read(body).unwrap();
        let id = status.id.clone().unwrap();
        let operation = status.operation(id, None);
        assert_eq!(operation.id.as_str(), "cd5e16c6-6d4e-4347-86a0-762bdf5b4875");
        assert_eq!(operation.start, timestamp::parse("2017-12-09T02:44:20.743Z"));
        assert_eq!(operation.end, timestamp::parse("2017-12-09T02:44:26.18Z"));
        assert_eq!((operation.phase, operation.messages.len()), (Phase::Succeeded, 0));
    }

    #[test]
    fn details_are_one_line() {
        let rows = [
            (r#""disk  full\r\non replica 2""#, Some("disk full on replica 2")),
            (r#"{"code":7}"#, Some("7")),
            (r#"{"Message":"disk full"}"#, Some("disk full")),
            (r#""{\"error\":{\"message\":\"disk full\"}}""#, Some("disk full")),
            (r#"{"replica":"2 is full"}"#, Some("replica: 2 is full")),
            ("null", None),
            (r#"" ""#, None),
        ];
        for (details, expected) in rows {
            let status = Status::read(format!(r#"{{"syncstate":3,"details":{details}}}"#).as_bytes()).unwrap();
            let messages = status.operation(OperationId::parse("1").unwrap(), None).messages;
            assert_eq!(messages.first().map(|message| message.text.as_str()), expected, "{details}");
        }
        let long = format!(r#"{{"syncstate":3,"details":"{}"}}"#, "ä ".repeat(10_000));
        assert!(Status::read(long.as_bytes()).unwrap().messages[0].text.chars().count() == 1024);
    }

    #[test]
    fn responses_without_a_sync_are_none() {
        for body in ["[]", "{}", r#"{"database":"m","syncstate":null}"#] {
            assert_eq!(Status::read_all(body.as_bytes()), Some(vec![]), "{body}");
        }
        for body in ["", "null", "7", "[1]", "[{]", "[]x", "<html>", r#"{"operationId":"1"}"#] {
            assert_eq!(Status::read_all(body.as_bytes()), None, "{body}");
        }
        let two = br#"[{"operationId":"1","syncstate":0},{"operationId":"00000000-0000-0000-0000-000000000000","syncstate":-1}]"#;
        let ids: Vec<_> = Status::read_all(two).unwrap().into_iter().map(|status| status.id).collect();
        assert_eq!(ids, [OperationId::parse("1"), None]);
    }

    proptest::proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = (Status::read(&body), Status::read_all(&body));
        }
    }
}
