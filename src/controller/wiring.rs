//! From the command line's settings to the services' clients, and from what happens to the metrics.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::context::Context;
use crate::api::{Reason, Run, RunState};
use crate::cli::{CloudChoice, CloudName, Settings, SettingsError};
use crate::engine::{self, Notice};
use crate::service::cloud::Cloud;
use crate::service::{self, Azure, CallRecord};
use crate::telemetry::labels::{ActiveState, Answer, EndState, Identity, Kind, Route, Service, TokenResult, UnknownSubmission};
use crate::telemetry::metrics::Metrics;

/// The clients of the services, as the command line says.
pub(super) fn azure(settings: &Settings, metrics: &Arc<Metrics>) -> Result<Azure, SettingsError> {
    let cloud = match &settings.cloud {
        CloudChoice::Named(CloudName::UsGovernment) => Cloud::us_government(),
        CloudChoice::Named(CloudName::UsGovernmentHigh) => Cloud::us_government_high(),
        CloudChoice::Named(CloudName::UsGovernmentDod) => Cloud::us_government_dod(),
        CloudChoice::Named(CloudName::China) => Cloud::china(),
        // `Custom` never comes without its file.
        CloudChoice::Named(CloudName::Public | CloudName::Custom) => Cloud::public(),
        CloudChoice::File { path, text } => {
            Cloud::from_file_text(text).map_err(|error| SettingsError(format!("--cloud-file {}: {error}", path.display())))?
        }
    };
    let settings = service::Settings {
        cloud,
        extra_ca_pem: settings.extra_ca_pem.clone(),
        call_timeout: settings.call_timeout,
        max_calls_per_server: usize::from(settings.max_calls_per_server),
        user_agent: concat!("tabular-operator/", env!("CARGO_PKG_VERSION")).to_owned(),
        on_call: Some(observer(metrics)),
    };
    Azure::new(settings).map_err(|error| SettingsError(error.to_string()))
}

/// What the decision has to know of the settings.
pub(super) fn engine_settings(settings: &Settings) -> engine::Settings {
    engine::Settings {
        poll_min: settings.polling.min,
        poll_max: settings.polling.max,
        poll_fraction: settings.polling.fraction,
        call_timeout: settings.call_timeout,
        listing_lag: settings.listing_lag,
    }
}

/// Counts a transition of a run.
pub(super) fn count(metrics: &Metrics, kind: Kind, run: &Run) {
    let end = match run.state {
        RunState::Waiting | RunState::Submitting | RunState::Cancelling => return,
        RunState::Running => {
            let waited = run.submitted_time.map(|time| time.seconds_since(run.requested_time));
            let waited = waited.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
            metrics.run_submitted(kind, Duration::from_secs(waited));
            return;
        }
        RunState::Succeeded => EndState::Succeeded,
        RunState::Failed => EndState::Failed,
        RunState::TimedOut => EndState::TimedOut,
        RunState::Cancelled => EndState::Cancelled,
    };
    let took = run.started_time.zip(run.ended_time).map(|(start, end)| end.seconds_since(start));
    let took = took.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    metrics.run_ended(kind, end, took);
}

/// Counts what became of submissions whose answer was lost.
pub(super) fn count_notice(metrics: &Metrics, notice: &Notice) {
    let outcome = match (notice.reason, notice.warning) {
        (Reason::ResolvingSubmission, true) => UnknownSubmission::Observed,
        (Reason::ResolvingSubmission, false) => UnknownSubmission::Resubmitted,
        (Reason::Adopted, _) => UnknownSubmission::Adopted,
        (Reason::SubmissionUnknown, _) => UnknownSubmission::Held,
        // Any other reason has nothing to do with it.
        _ => return,
    };
    metrics.unknown_submission(outcome);
}

/// Shows how many runs are under way, by state.
pub(super) fn show_active(ctx: &Context) {
    let mut counts = HashMap::new();
    ctx.each_resource(|resource| {
        let state = match resource.status().and_then(|status| status.run.as_ref()).map(|run| run.state) {
            Some(RunState::Waiting) => ActiveState::Waiting,
            Some(RunState::Submitting) => ActiveState::Submitting,
            Some(RunState::Running) => ActiveState::Running,
            Some(RunState::Cancelling) => ActiveState::Cancelling,
            None | Some(RunState::Succeeded | RunState::Failed | RunState::TimedOut | RunState::Cancelled) => return,
        };
        *counts.entry((resource.kind(), state)).or_default() += 1;
    });
    for &kind in Kind::ALL {
        for &state in ActiveState::ALL {
            ctx.metrics.set_active_runs(kind, state, counts.get(&(kind, state)).copied().unwrap_or_default());
        }
    }
    ctx.metrics.set_queue_depth(ctx.queue.depth());
}

/// Counts the calls to the services.
fn observer(metrics: &Arc<Metrics>) -> service::Observer {
    let metrics = Arc::clone(metrics);
    Arc::new(move |call: &CallRecord| {
        let route = match call.route {
            "POST refreshes" | "POST sync" => Route::Submit,
            "GET refresh" | "GET sync" => Route::Look,
            "GET refreshes" | "GET syncs" => Route::List,
            "DELETE refresh" => Route::Cancel,
            "GET names" => Route::Resolve,
            "token of service principal" => return token_requested(&metrics, Identity::ServicePrincipal, call),
            "token of workload identity" => return token_requested(&metrics, Identity::WorkloadIdentity, call),
            "token of managed identity" => return token_requested(&metrics, Identity::ManagedIdentity, call),
            "token of operator" => return token_requested(&metrics, Identity::Operator, call),
            _ => return,
        };
        let answer = call.status.map_or(Answer::Connection, Answer::of_status);
        let service = if call.host_kind == "power-bi" { Service::PowerBi } else { Service::AnalysisServices };
        metrics.called(service, route, answer, call.duration);
    })
}

fn token_requested(metrics: &Metrics, identity: Identity, call: &CallRecord) {
    let result = match call.status {
        Some(200..=299) => TokenResult::Success,
        Some(400..=499) => TokenResult::Refused,
        Some(_) | None => TokenResult::Error,
    };
    metrics.token_requested(identity, result);
}
