//! Traces: one for each run, from its trigger to its end. Its wait, its operations and its calls are spans.
//!
//! The ids of a trace and of its own spans are derived from the uid of the resource and the number of the run. Spans that a restarted
//! operator or a new leader sends for the same run therefore belong to the same trace. A call in progress when the process ended is
//! missing, and so are spans that were not sent yet.
//!
//! Disabled, tracing costs no more than a check of an `Option`.

mod export;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use sha2::{Digest, Sha256};

use super::metrics::Metrics;
use super::trace_id::TraceId;
use crate::api::{Kind, Run, RunState, Time};
use crate::operation::CallRecord;
use export::SpanExport;
pub use export::TraceError;

tokio::task_local! {
    /// The run that the task works on, for the spans of its calls.
    static CURRENT_RUN: RunSpan;
}

/// The destination of spans. Clones share one queue.
#[derive(Clone, Default)]
pub struct Traces {
    export: Option<Arc<SpanExport>>,
}

/// A run of a resource, as spans identify it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSpan {
    /// Kind of the resource.
    pub kind: Kind,
    /// Namespace of the resource.
    pub namespace: String,
    /// Name of the resource.
    pub name: String,
    /// Uid of the resource.
    pub uid: String,
    /// Number of the run.
    pub run: i32,
    /// Id of the operation, if any.
    pub operation: Option<String>,
    /// Activity id of the service for a support case, if any.
    pub activity: Option<String>,
}

/// A part of a run that has its own span.
#[derive(Clone, Copy)]
enum Part {
    Run,
    Waiting,
    /// The operation of this attempt.
    Operation(i32),
    /// A call. Its span is never sent twice, so its id is random.
    Call,
}

impl RunSpan {
    /// The id of the run's trace.
    #[must_use]
    pub fn trace(&self) -> TraceId {
        let mut id = [0; 16];
        id.copy_from_slice(&self.digest("trace")[..16]);
        TraceId::from_bytes(id)
    }

    fn span(&self, part: Part) -> SpanId {
        let part = match part {
            Part::Run => "run".to_owned(),
            Part::Waiting => "waiting".to_owned(),
            Part::Operation(attempt) => format!("operation {attempt}"),
            Part::Call => uuid::Uuid::new_v4().to_string(),
        };
        let mut id = [0; 8];
        id.copy_from_slice(&self.digest(&part)[..8]);
        SpanId::from_bytes(id)
    }

    fn digest(&self, what: &str) -> [u8; 32] {
        Sha256::digest(format!("{what} of run {} of {}", self.run, self.uid)).into()
    }

    fn attributes(&self) -> Vec<KeyValue> {
        let Self { kind, namespace, name, uid, run, operation, activity } = self;
        let mut attributes = vec![
            KeyValue::new("tabular.kind", kind.as_str()),
            KeyValue::new("k8s.namespace.name", namespace.clone()),
            KeyValue::new("tabular.name", name.clone()),
            KeyValue::new("tabular.uid", uid.clone()),
            KeyValue::new("tabular.run", i64::from(*run)),
        ];
        attributes.extend(operation.clone().map(|id| KeyValue::new("tabular.operation_id", id)));
        attributes.extend(activity.clone().map(|id| KeyValue::new("tabular.activity_id", id)));
        attributes
    }
}

impl Traces {
    /// Disables tracing.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// Starts to send spans to a collector. Must not be called from an async runtime.
    ///
    /// # Errors
    /// If the address or a certificate is invalid. An unavailable collector is not an error.
    pub fn to(endpoint: &str, metrics: &Arc<Metrics>) -> Result<Self, TraceError> {
        Ok(Self { export: Some(Arc::new(SpanExport::start(endpoint, Arc::clone(metrics))?)) })
    }

    /// The trace id of a run, if tracing is enabled.
    #[must_use]
    pub fn trace_of(&self, subject: &RunSpan) -> Option<TraceId> {
        self.export.as_ref().map(|_| subject.trace())
    }

    /// Runs `work` and attributes its calls to a run.
    pub async fn in_run<F: Future>(&self, subject: impl FnOnce() -> RunSpan, work: F) -> F::Output {
        match &self.export {
            Some(_) => CURRENT_RUN.scope(subject(), work).await,
            None => work.await,
        }
    }

    /// Records a completed call to a service or a token request.
    pub fn called(&self, call: &CallRecord<'_>) {
        let Some(export) = &self.export else { return };
        // A call without a run would belong to no trace. There are none.
        let Ok(subject) = CURRENT_RUN.try_with(Clone::clone) else { return };
        let end = SystemTime::now();
        let begin = end.checked_sub(call.duration).unwrap_or(end);
        let mut span = span(&subject, Part::Call, call.target.name(), (begin, end));
        span.span_kind = SpanKind::Client;
        span.attributes.push(KeyValue::new("server.address", call.host.to_owned()));
        span.attributes.extend(call.status.map(|status| KeyValue::new("http.response.status_code", i64::from(status))));
        span.status = match (call.status, call.fault) {
            (Some(200..=399), None) => Status::Unset,
            (Some(status), None) => Status::error(status.to_string()),
            (_, Some(fault)) => Status::error(fault.as_str()),
            (None, None) => Status::error("no response"),
        };
        export.enqueue(span);
    }

    /// Records a change of the status of a run. Each part that ended becomes a span.
    pub fn recorded(&self, subject: &RunSpan, before: Option<&Run>, run: &Run) {
        let Some(export) = &self.export else { return };
        let before = before.filter(|before| before.number == run.number);
        let is_new = run.was_submitted() && !before.is_some_and(Run::was_submitted);
        if let Some(submitted) = run.submitted_time.filter(|_| is_new) {
            export.enqueue(span(subject, Part::Waiting, "waiting", (start_time(run), submitted.timestamp().into())));
        }
        let is_over = run.state.ended() && !before.is_some_and(|before| before.state.ended());
        let attempt = before.filter(|before| before.attempt != run.attempt).or_else(|| is_over.then_some(run));
        if let Some(span) = attempt.and_then(|attempt| operation(subject, attempt, run)) {
            export.enqueue(span);
        }
        if is_over {
            self.ended(subject, run, &run.reason, &run.message);
        }
    }

    /// Records the end of a run, either from its status or because its resource was deleted.
    pub fn ended(&self, subject: &RunSpan, run: &Run, reason: &str, message: &str) {
        let Some(export) = &self.export else { return };
        let name = format!("run of {}", subject.kind.as_str());
        let mut span = span(subject, Part::Run, name, (start_time(run), SystemTime::now()));
        span.attributes.extend([
            KeyValue::new("tabular.trigger", run.trigger.r#type.to_string()),
            KeyValue::new("tabular.attempts", i64::from(run.attempt)),
            KeyValue::new("tabular.reason", reason.to_owned()),
        ]);
        span.status = outcome(run, message);
        export.enqueue(span);
    }

    /// Sends the remaining spans and stops. Takes at most `timeout`.
    pub fn finish(&self, timeout: Duration) {
        if let Some(export) = &self.export {
            export.finish(timeout);
        }
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").field("on", &self.export.is_some()).finish()
    }
}

/// The span of the operation of one attempt; `run` is the status in which the attempt has ended.
fn operation(subject: &RunSpan, attempt: &Run, run: &Run) -> Option<SpanData> {
    let begin = attempt.started_time.or(attempt.submitted_time)?.timestamp();
    let subject = RunSpan { operation: Some(attempt.operation_id.clone()?), activity: attempt.activity_id.clone(), ..subject.clone() };
    let end = attempt.ended_time.map_or_else(Timestamp::now, Time::timestamp).max(begin);
    let mut span = span(&subject, Part::Operation(attempt.attempt), "operation", (begin.into(), end.into()));
    span.attributes.push(KeyValue::new("tabular.attempt", i64::from(attempt.attempt)));
    span.attributes.extend(attempt.service_state.clone().map(|state| KeyValue::new("tabular.service_state", state)));
    span.status = outcome(run, &run.message);
    Some(span)
}

fn outcome(run: &Run, message: &str) -> Status {
    if run.state == RunState::Succeeded { Status::Ok } else { Status::error(message.to_owned()) }
}

/// When the trigger of a run occurred: the scheduled time, or the time of the request.
fn start_time(run: &Run) -> SystemTime {
    run.scheduled_time().map_or(run.requested_time, |scheduled| scheduled.min(run.requested_time)).timestamp().into()
}

/// A span of a run. The span of the whole run is the parent of all others.
fn span(subject: &RunSpan, part: Part, name: impl Into<Cow<'static, str>>, times: (SystemTime, SystemTime)) -> SpanData {
    let trace = opentelemetry::trace::TraceId::from_bytes(subject.trace().to_bytes());
    let parent = match part {
        Part::Run => SpanId::INVALID,
        Part::Waiting | Part::Operation(_) | Part::Call => subject.span(Part::Run),
    };
    let (start_time, end_time) = (times.0.min(times.1), times.1);
    SpanData {
        span_context: SpanContext::new(trace, subject.span(part), TraceFlags::SAMPLED, false, TraceState::default()),
        parent_span_id: parent,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: name.into(),
        start_time,
        end_time,
        attributes: subject.attributes(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("tabular-operator").with_version(env!("CARGO_PKG_VERSION")).build(),
    }
}
