//! The progress of an operation, bounded in size.

use std::collections::BTreeMap;

use crate::api::{FailedObject, Message, Progress, Run, TableProgress};
use crate::engine::text;
use crate::operation::{Operation, Phase, ServiceMessage};

/// The most tables that are shown individually.
const TABLES: usize = 20;
/// The most failed objects that are shown.
const FAILED_OBJECTS: usize = 20;
/// The most messages that are shown.
const MESSAGES: usize = 10;

/// Records what an operation shows of its state, its progress, its failed objects and its messages.
pub(super) fn record(run: &mut Run, operation: &Operation) {
    // Some responses have no objects: the recorded ones stay.
    if !operation.objects.is_empty() {
        run.progress = Some(progress(operation));
        run.failed_objects = failed(operation);
    }
    run.service_state = Some(text::bounded(&operation.service_status, text::WORD)).filter(|value| !value.is_empty());
    if !operation.messages.is_empty() {
        run.messages = messages(operation);
    }
    if operation.activity_id.is_some() && run.activity_id.is_none() {
        run.activity_id = operation.activity_id.as_deref().map(|id| text::bounded(id, text::WORD));
    }
}

fn did_fail(phase: Phase) -> bool {
    match phase {
        Phase::Failed | Phase::TimedOut | Phase::Cancelled => true,
        Phase::NotStarted | Phase::InProgress | Phase::Succeeded => false,
    }
}

fn progress(operation: &Operation) -> Progress {
    let mut tables: BTreeMap<&str, (i32, i32)> = BTreeMap::new();
    for object in &operation.objects {
        let (total, completed) = tables.entry(&object.name.table).or_default();
        *total = total.saturating_add(1);
        if object.phase == Phase::Succeeded {
            *completed = completed.saturating_add(1);
        }
    }
    let total = tables.values().map(|(total, _)| total).sum();
    let completed = tables.values().map(|(_, completed)| completed).sum();
    let failed = operation.objects.iter().filter(|object| did_fail(object.phase)).count();
    let few = tables.len() <= TABLES;
    let table = |(name, (total, completed)): (&str, (i32, i32))| TableProgress { name: text::bounded(name, text::NAME), total, completed };
    Progress {
        summary: format!("{completed}/{total}"),
        total,
        completed,
        failed: i32::try_from(failed).unwrap_or(i32::MAX),
        tables: if few { tables.into_iter().map(table).collect() } else { Vec::new() },
    }
}

fn failed(operation: &Operation) -> Vec<FailedObject> {
    let failed = operation.objects.iter().filter(|object| did_fail(object.phase)).take(FAILED_OBJECTS);
    failed
        .map(|object| FailedObject {
            table: text::bounded(&object.name.table, text::NAME),
            partition: object.name.partition.as_deref().map(|name| text::bounded(name, text::NAME)),
            status: text::bounded(&object.service_status, text::WORD),
        })
        .collect()
}

/// The first messages, each with its count. The service lists causes before their consequences.
fn messages(operation: &Operation) -> Vec<Message> {
    let message = |message: &ServiceMessage| {
        let times = if message.times > 1 { format!(" ({} times)", message.times) } else { String::new() };
        Message {
            r#type: text::bounded(&message.severity, text::WORD),
            code: message.code.as_deref().map(|code| text::bounded(code, text::WORD)),
            message: text::bounded(&message.text, text::SENTENCE - times.len()) + &times,
        }
    };
    operation.messages.iter().take(MESSAGES).map(message).collect()
}
