//! The refreshes of a semantic model: submit, show, list, cancel.

use std::{cmp::Reverse, sync::Arc};

use hyper::{
    StatusCode,
    header::{CONTENT_TYPE, LOCATION},
};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{MS_REQUEST_ID, Request, body, refusal};
use crate::{
    context::Context,
    entra::Token,
    response::ServiceResponse,
    world::{
        model::{Busy, Cancel, Model},
        operation::{Client, Operation, Phase, Status},
        past,
        settings::{
            End, ListOrder, Message,
            power_bi::{StatusStyle, Validation, WhenBusy},
        },
        task::{Origin, RefreshType},
        timestamp::TimestampStyle,
    },
};

/// The context of a list, from a capture.
const ODATA_CONTEXT: &str = "http://wabi-north-europe-redirect.analysis.windows.net/v1.0/myorg/groups/";

/// Number of refreshes that the service keeps (documented): any of the newest, and recent ones up to the maximum.
const MIN_HISTORY: usize = 20;
const MAX_HISTORY: usize = 60;

/// The age up to which a refresh is recent (documented).
const RECENT: SignedDuration = SignedDuration::from_hours(3 * 24);

/// POST.
pub fn submit(model: &mut Model, token: &Token, request: &Request, context: &Context<'_>) -> ServiceResponse {
    let call = context.call;
    let is_json = |content_type: &str| content_type.split(';').next().is_some_and(|media| media.trim().ends_with("json"));
    if !call.body.is_empty() && !call.header(CONTENT_TYPE.as_str()).is_some_and(is_json) {
        return refusal::media_type();
    }
    let task = match body::task(&call.body) {
        Ok(task) => task,
        Err(why) => return refusal::invalid(&why),
    };
    if model.settings().power_bi.validation == Validation::Refuse
        && let Some(sentence) = model.unsupported(&task)
    {
        return refusal::unsupported(&sentence);
    }
    if model.settings().paused {
        return refusal::capacity_paused();
    }
    let limit = model.settings().power_bi.daily_limit;
    if limit.is_some_and(|limit| model.accepted_in_a_day(call.now) >= usize::try_from(limit).unwrap_or(usize::MAX)) {
        return refusal::limit(&model.settings().power_bi);
    }
    let client = || Client::Application(Arc::clone(&token.client));
    let is_enhanced = task.origin == Origin::ViaEnhancedApi;
    let accepted = model.submit(client(), task.clone(), None, context.sequence, call.now);
    let id = match (accepted, model.settings().power_bi.when_busy) {
        (Ok(id), _) => id,
        (Err(Busy(_)), WhenBusy::Refuse | WhenBusy::Conflict) => return refusal::busy(model),
        (Err(Busy(_)), WhenBusy::Drop) => Uuid::new_v4(),
        (Err(Busy(_)), WhenBusy::Queue) => {
            model.enqueue(client(), task, context.sequence, call.now).unwrap_or_else(|Busy(_)| Uuid::new_v4())
        }
    };
    let response = ServiceResponse::empty(StatusCode::ACCEPTED).about(id);
    // Captured: a standard refresh has only `RequestId`.
    if !is_enhanced {
        return response;
    }
    response.with(LOCATION, &format!("https://{}{}/{id}", call.host, request.raw)).with(MS_REQUEST_ID, &id.to_string())
}

/// DELETE by id.
pub fn cancel(model: &mut Model, request: &Request, context: &Context<'_>) -> ServiceResponse {
    let now = context.call.now;
    let Some(operation) = request.operation.and_then(|id| model.find(id)).filter(|operation| !operation.vanished) else {
        return refusal::unknown_refresh(model.settings().delete_unknown_status);
    };
    if operation.task.origin != Origin::ViaEnhancedApi {
        return refusal::not_enhanced();
    }
    let id = operation.id;
    match model.cancel(id, now) {
        Cancel::Accepted => {
            ServiceResponse::empty(StatusCode::from_u16(model.settings().delete_status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        }
        Cancel::Over => refusal::too_late(&model.settings().power_bi),
        Cancel::Unknown => refusal::unknown_refresh(model.settings().delete_unknown_status),
    }
}

/// GET by id.
pub fn show(model: &Model, request: &Request, context: &Context<'_>) -> ServiceResponse {
    let now = context.call.now;
    let clock = model.clock(model.settings().power_bi.detail_timestamp_style).posted_by(now);
    if let Some(response) = model.scripted(&context.call.last_segment()) {
        return ServiceResponse::scripted(response, &clock);
    }
    // The documentation restricts details to enhanced refreshes; that the others are unknown is assumed.
    let shown = request.operation.and_then(|id| model.shown(id, now)).filter(|found| found.task.origin == Origin::ViaEnhancedApi);
    let Some(operation) = shown else {
        return refusal::unknown_refresh(model.settings().get_unknown_status);
    };
    let status = match operation.phase(now) {
        Phase::Ended(..) => StatusCode::OK,
        Phase::NotStarted | Phase::InProgress => {
            StatusCode::from_u16(model.settings().power_bi.running_status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        }
    };
    ServiceResponse::json_text(status, model.settings().detail_patch.applied_to(&details(model, operation, now), &clock))
}

/// GET of all, newest first unless a setting differs, at most `$top`.
pub fn list(model: &Model, context: &Context<'_>) -> ServiceResponse {
    let now = context.call.now;
    let settings = model.settings();
    let top = form_urlencoded::parse(context.call.query.as_bytes()).find(|(name, _)| name.eq_ignore_ascii_case("$top"));
    let top = match top.map(|(_, value)| value.parse::<u32>()) {
        None => settings.power_bi.default_top,
        Some(Ok(top)) if top > 0 => top,
        Some(Ok(_) | Err(_)) => return refusal::bad_query("$top"),
    };
    let real = model.listed(now).into_iter().map(|operation| (operation.submitted, row(model, operation, now)));
    let past = past::past(settings.past_operations, now).map(|past| (past.start, past_row(model, &past)));
    let mut rows = retained(real.chain(past).collect(), now);
    if settings.list_order == ListOrder::Oldest {
        rows.sort_by_key(|(start, _)| *start);
    }
    let mut rows = model.rows(rows.into_iter().map(|(_, row)| row), settings.power_bi.list_timestamp_style);
    rows.truncate(usize::try_from(top).unwrap_or(usize::MAX));
    let rows = format!("[{}]", rows.join(","));
    if settings.power_bi.bare_list {
        return ServiceResponse::json_text(StatusCode::OK, rows);
    }
    let group = settings.group_id.unwrap_or_default();
    ServiceResponse::json_text(
        StatusCode::OK,
        format!(r#"{{"@odata.context":"{ODATA_CONTEXT}{group}/$metadata#refreshes","value":{rows}}}"#),
    )
}

/// The rows that the service keeps, each with its start.
fn retained(mut rows: Vec<(Timestamp, Row)>, now: Timestamp) -> Vec<(Timestamp, Row)> {
    let mut starts: Vec<Timestamp> = rows.iter().map(|(start, _)| *start).collect();
    starts.sort_unstable_by_key(|start| Reverse(*start));
    let is_kept = |(newer, start): &(usize, Timestamp)| *newer < MIN_HISTORY || now.duration_since(*start) < RECENT;
    let oldest = starts.into_iter().take(MAX_HISTORY).enumerate().take_while(is_kept).last();
    rows.retain(|(start, _)| oldest.is_some_and(|(_, oldest)| *start >= oldest));
    rows
}

/// The body of GET by id, field by field as captured.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a> {
    start_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
    #[serde(rename = "type")]
    kind: &'static str,
    commit_mode: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    extended_status: Option<&'static str>,
    current_refresh_type: &'static str,
    number_of_attempts: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<Vec<Object<'a>>>,
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    refresh_attempts: Vec<Value>,
    #[serde(skip_serializing_if = "<[Message]>::is_empty")]
    messages: &'a [Message],
}

#[derive(Serialize)]
struct Object<'a> {
    table: &'a str,
    partition: &'a str,
    status: &'static str,
}

/// One row of the list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<Uuid>,
    id: u64,
    refresh_type: String,
    start_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_exception_json: Option<String>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    extended_status: Option<&'static str>,
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    refresh_attempts: Vec<Value>,
}

fn details<'a>(model: &'a Model, operation: &'a Operation, now: Timestamp) -> Details<'a> {
    let settings = &model.settings().power_bi;
    let style = settings.detail_timestamp_style;
    let phase = operation.phase(now);
    let over = end(phase);
    let objects = || {
        let object = |(part, status): (&'a crate::world::operation::Part, Status)| Object {
            table: &part.table,
            partition: &part.partition,
            status: label(status),
        };
        operation.progress(now).map(object).collect()
    };
    let (status, extended_status) = statuses(model, operation, now);
    Details {
        start_time: written(model, operation.submitted, style),
        end_time: over.map(|at| written(model, at, style)),
        kind: kind(operation.task.kind),
        commit_mode: if operation.task.partial_batch { "PartialBatch" } else { "Transactional" },
        status,
        extended_status,
        current_refresh_type: kind(operation.task.kind),
        number_of_attempts: operation.attempts(now).len().saturating_sub(1),
        objects: (over.is_some() || settings.objects_while_running).then(objects),
        refresh_attempts: if over.is_some() { attempts(model, operation, style, now) } else { Vec::new() },
        messages: operation.messages(now),
    }
}

fn row(model: &Model, operation: &Operation, now: Timestamp) -> Row {
    let settings = &model.settings().power_bi;
    let style = settings.list_timestamp_style;
    let over = end(operation.phase(now));
    let (status, extended_status) = statuses(model, operation, now);
    Row {
        request_id: (!settings.nameless_types.contains(&operation.task.origin)).then_some(operation.id),
        id: operation.sequence,
        refresh_type: match operation.task.origin {
            Origin::OnDemand => "OnDemand".to_owned(),
            Origin::Scheduled => "Scheduled".to_owned(),
            Origin::ViaApi => "ViaApi".to_owned(),
            Origin::ViaEnhancedApi => settings.enhanced_type.clone(),
        },
        start_time: written(model, operation.submitted, style),
        end_time: over.map(|at| written(model, at, style)),
        service_exception_json: exception(operation, now),
        status,
        extended_status: extended_status.filter(|_| operation.task.origin == Origin::ViaEnhancedApi),
        refresh_attempts: if over.is_some() { attempts(model, operation, style, now) } else { Vec::new() },
    }
}

fn past_row(model: &Model, past: &past::Past) -> Row {
    let style = model.settings().power_bi.list_timestamp_style;
    Row {
        request_id: Some(past.id),
        id: 0,
        refresh_type: "Scheduled".to_owned(),
        start_time: written(model, past.start, style),
        end_time: Some(written(model, past.end, style)),
        service_exception_json: None,
        status: "Completed",
        extended_status: None,
        refresh_attempts: Vec::new(),
    }
}

/// The attempts, each with a phase that loads data; a success also has one that refreshes caches.
fn attempts(model: &Model, operation: &Operation, style: TimestampStyle, now: Timestamp) -> Vec<Value> {
    let all = operation.attempts(now);
    let succeeded = matches!(operation.phase(now), Phase::Ended(_, End::Succeeded));
    let mut shown = Vec::new();
    for (number, (start, over)) in all.iter().enumerate() {
        let last = number + 1 == all.len();
        let over = over.unwrap_or(now);
        let attempt = |kind| {
            json!({
                "attemptId": number + 1,
                "startTime": written(model, if kind == "Data" { *start } else { over }, style),
                "endTime": written(model, over, style),
                "type": kind,
            })
        };
        let mut data = attempt("Data");
        if !(last && succeeded) {
            data["serviceExceptionJson"] = exception(operation, now).unwrap_or_default().into();
        }
        shown.push(data);
        if last && succeeded {
            shown.push(attempt("Query"));
        }
    }
    shown
}

/// The list's description of a failure: JSON within a string.
fn exception(operation: &Operation, now: Timestamp) -> Option<String> {
    let failed = matches!(operation.phase(now), Phase::Ended(_, End::Failed | End::TimedOut));
    failed.then(|| {
        let first = operation.messages(now).first();
        let code = first.and_then(|message| message.code.clone()).unwrap_or_else(|| "ModelRefreshFailed".into());
        json!({"errorCode": code, "errorDescription": first.map(|message| &message.message)}).to_string()
    })
}

/// `status` and `extendedStatus`.
fn statuses(model: &Model, operation: &Operation, now: Timestamp) -> (&'static str, Option<&'static str>) {
    let settings = &model.settings().power_bi;
    let phase = operation.phase(now);
    let extended = match phase {
        Phase::NotStarted | Phase::InProgress if settings.shows_cancelling && operation.cancel_requested.is_some() => "Cancelling",
        _ => label(phase.status()),
    };
    let status = match phase {
        Phase::NotStarted | Phase::InProgress => match settings.status_style {
            StatusStyle::Unknown => "Unknown",
            StatusStyle::Plain => return (extended, None),
        },
        Phase::Ended(_, End::Succeeded) => "Completed",
        // `status` has no value for it.
        Phase::Ended(_, End::Failed | End::TimedOut) => "Failed",
        Phase::Ended(_, End::Cancelled) => "Cancelled",
        Phase::Ended(_, End::Disabled) => "Disabled",
    };
    (status, Some(extended))
}

fn label(status: Status) -> &'static str {
    match status {
        Status::NotStarted => "NotStarted",
        Status::InProgress => "InProgress",
        Status::TimedOut => "TimedOut",
        Status::Cancelled => "Cancelled",
        Status::Failed => "Failed",
        Status::Succeeded => "Completed",
        Status::Disabled => "Disabled",
    }
}

fn kind(kind: RefreshType) -> &'static str {
    match kind {
        RefreshType::Full => "Full",
        RefreshType::ClearValues => "ClearValues",
        RefreshType::Calculate => "Calculate",
        RefreshType::DataOnly => "DataOnly",
        RefreshType::Automatic => "Automatic",
        RefreshType::Defragment => "Defragment",
    }
}

fn end(phase: Phase) -> Option<Timestamp> {
    match phase {
        Phase::NotStarted | Phase::InProgress => None,
        Phase::Ended(at, _) => Some(at),
    }
}

fn written(model: &Model, time: Timestamp, style: TimestampStyle) -> String {
    style.format(model.server_time(time))
}
