//! What a reconciliation reports: log lines, metrics, traces and events.

use std::sync::Arc;
use std::time::Duration;

use kube::Resource as _;

use super::context::Context;
use super::denied_writes;
use super::run_metrics;
use crate::api::{ModelResource, Reason, ResourceKey, Run, Status};
use crate::controller::cluster::timeout::ApiError;
use crate::engine::Event;
use crate::engine::reconcile::{DriverResponse, Finish, Outcome, Rejection, RunRef, View};
use crate::telemetry::labels::{Write, WriteResult};
use crate::telemetry::traces::RunSpan;

/// The reports about one resource.
pub(super) struct Reporter<'a> {
    pub(super) ctx: &'a Context,
    key: &'a ResourceKey,
    uid: &'a str,
    /// The last write or read that failed.
    error: Option<ApiError>,
    /// Whether it is a refused write, which has a log line of its own.
    refused: bool,
    /// A write that was rejected as if the view of this version were stale. Only a read shows whether it was.
    unclassified: Option<(Write, u64)>,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(ctx: &'a Context, key: &'a ResourceKey, uid: &'a str) -> Self {
        Self { ctx, key, uid, error: None, refused: false, unclassified: None }
    }

    /// Records a successful write.
    pub(super) fn count_write(&mut self, what: Write) {
        self.count_unclassified(WriteResult::Conflict);
        self.ctx.metrics.wrote(what, WriteResult::Success);
        self.ctx.store.local_states.record_written(self.uid, what);
    }

    /// Records a failed write, and returns the response for the machine.
    pub(super) fn write_failed(&mut self, what: Write, view: &Arc<ModelResource>, error: ApiError) -> DriverResponse<Arc<ModelResource>> {
        self.count_unclassified(WriteResult::Conflict);
        let (denied, certain) = (error.denial().is_some(), error.is_refusal());
        let response = match () {
            () if error.is_conflict() => DriverResponse::Rejected(Rejection::Conflict),
            () if error.is_not_found() => DriverResponse::Rejected(Rejection::NotFound),
            () if certain && denied => DriverResponse::Rejected(Rejection::Permanent),
            () if certain => DriverResponse::Rejected(Rejection::Temporary),
            () => DriverResponse::Unconfirmed { denied },
        };
        self.refused = false;
        if matches!(response, DriverResponse::Rejected(Rejection::Conflict | Rejection::NotFound)) {
            self.unclassified = Some((what, view.version()));
        } else if denied {
            self.ctx.metrics.wrote(what, WriteResult::Refused);
            denied_writes::report(self.ctx, (view.kind(), view.meta()), what, &error);
            self.refused = true;
        } else {
            self.ctx.metrics.wrote(what, WriteResult::Error);
        }
        self.error = Some(error);
        response
    }

    /// Records a failed read. It does not show whether the view of a rejected write was stale.
    pub(super) fn read_failed(&mut self, error: ApiError) {
        self.count_unclassified(WriteResult::Conflict);
        (self.error, self.refused) = (Some(error), false);
    }

    /// Logs that the id of an accepted operation is written again.
    pub(super) fn retrying_id_write(&self, after: Duration) {
        self.log_failure("failed to record the id of an operation; retrying", Some(after));
    }

    /// Records the end of the reconciliation. It is known by now whether the view of a rejected write was stale.
    pub(super) fn ended(&mut self, outcome: &Outcome<Arc<ModelResource>>, last_events: &[Event]) {
        if outcome.finish == Finish::FinalizerRemoved {
            self.removed(&outcome.view, last_events);
            return self.count_unclassified(WriteResult::Success);
        }
        let failed = outcome.finish == Finish::Failed;
        if let Some((what, version)) = self.unclassified {
            // A webhook may deny a write with status 409, and a CRD without the status subresource causes 404.
            let refused = failed && outcome.view.version() == version;
            if let (true, Some(error)) = (refused, &self.error) {
                denied_writes::report(self.ctx, (outcome.view.kind(), outcome.view.meta()), what, error);
            }
            self.refused = refused;
            self.count_unclassified(if refused { WriteResult::Refused } else { WriteResult::Conflict });
        }
        if failed {
            self.log_failure("reconciliation failed", outcome.requeue());
        }
    }

    /// Logs a failure that is retried. The log line of a refused write is not repeated each time.
    fn log_failure(&self, what: &str, retry_in: Option<Duration>) {
        let ResourceKey { kind, namespace, name } = self.key;
        let (kind, uid, error) = (kind.as_str(), self.uid, self.error.as_ref().map(tracing::field::display));
        let retry_in_seconds = retry_in.map(|delay| delay.as_secs_f64());
        if self.refused {
            tracing::debug!(kind, namespace, name, uid, error, retry_in_seconds, "{what}");
        } else {
            tracing::warn!(kind, namespace, name, uid, error, retry_in_seconds, "{what}");
        }
    }

    /// Counts the rejected write that is not classified yet.
    fn count_unclassified(&mut self, result: WriteResult) {
        if let Some((what, _)) = self.unclassified.take() {
            self.ctx.metrics.wrote(what, result);
        }
    }

    /// Publishes events about the resource. If its namespace is being deleted, a release is also published about the namespace.
    pub(super) fn published(&self, view: &ModelResource, events: &[Event], namespace_terminating: bool) {
        for event in events {
            self.ctx.events.publish(self.key.kind, view.meta(), event);
            if namespace_terminating && event.reason == Reason::Released {
                self.ctx.events.publish_of_namespace(self.key, event);
            }
            run_metrics::record_resolution(&self.ctx.metrics, event);
        }
    }

    /// Records a written status, with a log line for each transition of its run.
    pub(super) fn status_written(&self, before: &Status, after: &Status) {
        let Some(run) = &after.run else { return };
        let (before, run_span) = (before.run.as_ref(), self.run_span_of(run));
        run_metrics::record_transition(&self.ctx.metrics, self.key.kind, before, run, self.ctx.traces.trace_of(&run_span));
        self.ctx.traces.recorded(&run_span, before, run);
        let what = |run: &Run| (run.number, run.attempt, run.state);
        if !before.is_some_and(|before| what(before) == what(run) && before.reason == run.reason) {
            self.log(run, &format!("{:?}", run.state), &run.reason, &run.message);
        }
    }

    /// Records the removal of the finalizer. A run that ends with its resource has no other record of its end.
    fn removed(&self, view: &Arc<ModelResource>, events: &[Event]) {
        let Some(run) = View::status(view).run.as_ref().filter(|run| !run.state.ended()) else { return };
        let run_span = self.run_span_of(run);
        let trace = self.ctx.traces.trace_of(&run_span);
        let reason = run_metrics::record_release(&self.ctx.metrics, self.key.kind, run, events, trace);
        let message = events.last().map_or("its resource is deleted", |event| &event.message);
        self.log(run, "Gone", reason.as_str(), message);
        self.ctx.traces.ended(&run_span, run, reason.as_str(), message);
    }

    /// The subject of traces for a run of the resource.
    pub(super) fn run_span(&self, run: RunRef) -> RunSpan {
        let ResourceKey { kind, namespace, name } = self.key.clone();
        let RunRef { number, operation_id, activity_id } = run;
        RunSpan { kind, namespace, name, uid: self.uid.to_owned(), run: number, operation: operation_id, activity: activity_id }
    }

    fn run_span_of(&self, run: &Run) -> RunSpan {
        self.run_span(RunRef { number: run.number, operation_id: run.operation_id.clone(), activity_id: run.activity_id.clone() })
    }

    fn log(&self, run: &Run, state: &str, reason: &str, message: &str) {
        let ResourceKey { kind, namespace, name } = self.key;
        tracing::info!(
            kind = kind.as_str(),
            namespace,
            name,
            uid = self.uid,
            run = run.number,
            attempt = run.attempt,
            state,
            reason,
            operation = run.operation_id,
            activity = run.activity_id,
            "{message}"
        );
    }
}
