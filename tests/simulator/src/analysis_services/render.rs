//! Response bodies of Analysis Services, field by field as in captures and the documentation.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::world::{
    model::Model,
    operation::{Operation, Phase, Status},
    past,
    settings::{ListOrder, Message},
    task::RefreshType,
};

/// One row of the list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    refresh_id: Uuid,
    start_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
    status: Status,
}

/// One operation with all fields.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details<'a> {
    start_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
    #[serde(rename = "type")]
    kind: RefreshType,
    status: Status,
    current_refresh_type: RefreshType,
    objects: Vec<Object<'a>>,
    #[serde(skip_serializing_if = "<[Message]>::is_empty")]
    messages: &'a [Message],
}

#[derive(Serialize)]
struct Object<'a> {
    table: &'a str,
    partition: &'a str,
    status: Status,
}

/// The body of GET by id.
pub fn details<'a>(model: &'a Model, operation: &'a Operation, now: Timestamp) -> Details<'a> {
    let phase = operation.phase(now);
    Details {
        start_time: written(model, operation.submitted),
        end_time: end_time(model, phase),
        kind: operation.task.kind,
        status: phase.status(),
        current_refresh_type: operation.task.kind,
        objects: operation.progress(now).map(|(part, status)| Object { table: &part.table, partition: &part.partition, status }).collect(),
        messages: operation.messages(now),
    }
}

/// The body of the list: a bare array.
pub fn list(model: &Model, now: Timestamp) -> String {
    format!("[{}]", model.rows(rows(model, now).into_iter(), model.settings().timestamp_style).join(","))
}

fn rows(model: &Model, now: Timestamp) -> Vec<Listed> {
    let real = model.listed(now).into_iter().map(|operation| {
        let phase = operation.phase(now);
        Listed {
            refresh_id: operation.id,
            start_time: written(model, operation.submitted),
            end_time: end_time(model, phase),
            status: phase.status(),
        }
    });
    match model.settings().list_order {
        ListOrder::Newest | ListOrder::Shuffled => real.chain(past(model, now)).collect(),
        ListOrder::Oldest => {
            let mut rows: Vec<_> = past(model, now).collect();
            rows.reverse();
            rows.extend(real);
            rows
        }
    }
}

/// The completed operations of past days that the settings request.
fn past(model: &Model, now: Timestamp) -> impl Iterator<Item = Listed> {
    past::past(model.settings().past_operations, now).map(|past| Listed {
        refresh_id: past.id,
        start_time: written(model, past.start),
        end_time: Some(written(model, past.end)),
        status: Status::Succeeded,
    })
}

fn end_time(model: &Model, phase: Phase) -> Option<String> {
    match phase {
        Phase::NotStarted | Phase::InProgress => None,
        Phase::Ended(at, _) => Some(written(model, at)),
    }
}

fn written(model: &Model, time: Timestamp) -> String {
    model.settings().timestamp_style.format(model.server_time(time))
}
