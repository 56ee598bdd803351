//! Configures the service clients and the engine by the settings of the command line.

use std::sync::Arc;

use crate::azure::cloud::Cloud;
use crate::azure::{Azure, AzureSettings, Observer};
use crate::cli::{CloudChoice, CloudName, Settings, SettingsError};
use crate::engine;
use crate::operation::CallRecord;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;

/// The service clients, configured by the command line.
pub(crate) fn azure(settings: &Settings, metrics: &Arc<Metrics>, traces: &Traces) -> Result<Azure, SettingsError> {
    let cloud = match &settings.cloud {
        CloudChoice::Named(CloudName::UsGovernment) => Cloud::us_government(),
        CloudChoice::Named(CloudName::UsGovernmentHigh) => Cloud::us_government_high(),
        CloudChoice::Named(CloudName::UsGovernmentDod) => Cloud::us_government_dod(),
        CloudChoice::Named(CloudName::China) => Cloud::china(),
        // `Custom` always has its file.
        CloudChoice::Named(CloudName::Public | CloudName::Custom) => Cloud::public(),
        CloudChoice::File { path, text } => {
            Cloud::from_file_text(text).map_err(|error| SettingsError(format!("--cloud-file {}: {error}", path.display())))?
        }
    };
    let settings = AzureSettings {
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

/// The settings of the engine.
pub(crate) fn engine_settings(settings: &Settings, cloud: &Cloud) -> engine::Settings {
    engine::Settings {
        poll_min: settings.polling.min,
        poll_max: settings.polling.max,
        poll_fraction: settings.polling.fraction,
        call_timeout: settings.call_timeout,
        listing_lag: settings.listing_lag,
        max_refresh_duration: settings.max_refresh_duration,
        reference_grace: settings.reference_grace,
        power_bi_portal: cloud.power_bi_portal.clone(),
    }
}

/// Counts the calls to the services, and creates a span for each.
fn observer(metrics: &Arc<Metrics>, traces: &Traces) -> Observer {
    let (metrics, traces) = (Arc::clone(metrics), traces.clone());
    Arc::new(move |call: &CallRecord<'_>| {
        traces.called(call);
        metrics.called(call);
    })
}
