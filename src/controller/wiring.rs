//! From the command line's settings to the services' clients, and from their calls to the metrics and traces.

use std::sync::Arc;

use crate::cli::{CloudChoice, CloudName, Settings, SettingsError};
use crate::engine;
use crate::operation::{CallFault, CallRecord};
use crate::service::cloud::Cloud;
use crate::service::{self, Azure};
use crate::telemetry::labels::{Answer, Identity, Route, Service, TokenResult};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;

/// The clients of the services, as the command line says.
pub(super) fn azure(settings: &Settings, metrics: &Arc<Metrics>, traces: &Traces) -> Result<Azure, SettingsError> {
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
        max_refresh_duration: settings.max_refresh_duration,
        user_agent: concat!("tabular-operator/", env!("CARGO_PKG_VERSION")).to_owned(),
        on_call: Some(observer(metrics, traces)),
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
        reference_grace: settings.reference_grace,
    }
}

/// Counts the calls to the services, and has each become a span.
fn observer(metrics: &Arc<Metrics>, traces: &Traces) -> service::Observer {
    let (metrics, traces) = (Arc::clone(metrics), traces.clone());
    Arc::new(move |call: &CallRecord<'_>| {
        traces.called(call);
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
        let answer = match (call.fault, call.status) {
            (Some(CallFault::Timeout), _) => Answer::Timeout,
            (Some(CallFault::Connection), _) | (None, None) => Answer::Connection,
            (Some(CallFault::TooLarge | CallFault::Compressed), _) => Answer::Unreadable,
            (None, Some(status)) => Answer::of_status(status),
        };
        let service = if call.host_kind == "power-bi" { Service::PowerBi } else { Service::AnalysisServices };
        metrics.called(service, route, answer, call.duration);
    })
}

fn token_requested(metrics: &Metrics, identity: Identity, call: &CallRecord<'_>) {
    let result = match call.status {
        Some(200..=299) => TokenResult::Success,
        Some(400..=499) => TokenResult::Refused,
        Some(_) | None => TokenResult::Error,
    };
    metrics.token_requested(identity, result, call.duration);
}
