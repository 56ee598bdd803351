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
    // In Analysis Services, a `requestId` is the id of the call.
    let request_ids = detail.request_ids.iter().filter(|_| service == ServiceKind::PowerBi);
    if detail.ids.iter().chain(request_ids).any(|id| !polled_id.eq_ignoring_case(id)) {
        return Err("describes another refresh");
    }
    let (phase, service_status) =
        phase::combined_phase(detail.status.at_most(64), detail.extended_status.at_most(64)).ok_or("has no status")?;
    let mut collected = detail.collected;
    // While the refresh is still running, the last failed attempt is a warning.
    let severity = if phase.ended() { "Error" } else { "Warning" };
    let of_refresh = [detail.exception, ErrorBody::all(&Node::Object(detail.error))];
    let of_refresh = of_refresh.iter().map(|errors| messages(errors)).find(|errors| !errors.is_empty());
    let explains = of_refresh.is_some() || failure::is_by_attempt(phase);
    let mut errors = of_refresh.unwrap_or_else(|| messages(&detail.attempt));
    // Power BI repeats a message as the exception: one error, reported in two places.
    errors.retain(|error| phase != Phase::Succeeded && !collected.messages.contains(&error.text));
    let cause = collected.cause;
    for error in errors {
        collected.push(ServiceMessage { severity: severity.to_owned(), ..error });
    }
    let cause = if explains { collected.cause } else { cause };
    let start = detail.start.0.as_deref().and_then(timestamp::parse);
    let end = detail.end.0.as_deref().and_then(timestamp::parse);
    Ok(Operation {
        id: polled_id.clone(),
        failure: failure::cause(service, (phase, &service_status), cause, (start, end)),
        phase,
        service_status,
        start,
        end,
        refresh_type: detail.refresh_type.at_most(64).map(|word| word.to_ascii_lowercase()),
        commit_mode: detail.commit_mode.at_most(64).map(|word| word.to_ascii_lowercase()),
        objects: detail.objects,
        messages: collected.messages.finish(),
        activity_id,
        origin: Origin::Client,
        incomplete: detail.unnamed_objects,
    })
}

/// An operation of which only the running state is known.
pub(in crate::azure) fn running(id: &OperationId, activity_id: Option<String>) -> Operation {
    Operation { activity_id, ..Operation::new(id.clone(), Phase::InProgress, "Accepted".to_owned()) }
}

#[derive(Default)]
struct Detail {
    ids: Vec<String>,
    request_ids: Vec<String>,
    status: Text,
    extended_status: Text,
    start: Text,
    end: Text,
    refresh_type: Text,
    commit_mode: Text,
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
                let id = value.next_value::<Text>()?.at_most(128).filter(|id| !OperationId::is_zero(id));
                let ids = if name == "requestid" { &mut self.request_ids } else { &mut self.ids };
                // Enough to detect a contradiction: a response may repeat a field a million times.
                if ids.len() < 8 {
                    ids.extend(id);
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
            "refreshattempts" => last_failed_attempt(&mut self.attempt, value)?,
            "starttime" => self.start = value.next_value()?,
            "endtime" => self.end = value.next_value()?,
            "type" => self.refresh_type = value.next_value()?,
            "commitmode" => self.commit_mode = value.next_value()?,
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

/// Reads the errors of the last attempt that has any.
pub(super) fn last_failed_attempt<'de, A: MapAccess<'de>>(last: &mut Vec<ErrorBody>, value: &mut A) -> Result<(), A::Error> {
    let keep = |Attempt(errors): Attempt| -> Option<()> {
        if !errors.is_empty() {
            *last = errors;
        }
        None
    };
    value.next_value_seed(List { limit: 1, keep, of: PhantomData })?;
    Ok(())
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
mod tests;
