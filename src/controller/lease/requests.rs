//! The requests for the Lease.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::Instant;

use super::record;
use super::settings::LeaseSettings;
use crate::controller::cluster::timeout::{ApiError, with_timeout};
use crate::telemetry::health::Health;
use crate::telemetry::labels::WriteResult;
use crate::telemetry::metrics::Metrics;

/// The number of attempts to release the lease. Without a release, the next holder waits for the whole duration.
const RELEASE_ATTEMPTS: usize = 3;

/// The Lease as the API server last confirmed it to this process.
pub(super) struct HeldLease {
    pub(super) lease: Lease,
    /// The process may act until this time.
    pub(super) until: Instant,
    /// When the next renewal is due.
    pub(super) renew: Instant,
}

/// The requests for one Lease.
pub(super) struct LeaseRequests {
    leases: Api<Lease>,
    settings: Arc<LeaseSettings>,
    /// Counts renewals.
    metrics: Option<Arc<Metrics>>,
    /// Receives the responses.
    health: Option<Health>,
    /// Whether the last request failed: only the first of consecutive failures is a warning.
    failing: bool,
}

impl LeaseRequests {
    pub(super) fn new(client: Client, settings: Arc<LeaseSettings>, metrics: Option<Arc<Metrics>>, health: Option<Health>) -> Self {
        Self { leases: Api::namespaced(client, &settings.namespace), settings, metrics, health, failing: false }
    }

    /// The client of the requests.
    pub(super) fn client(&self) -> Client {
        self.leases.clone().into_client()
    }

    /// Reads the Lease. `None` if it does not exist.
    pub(super) async fn read(&self) -> Result<Option<Lease>, ApiError> {
        with_timeout(self.settings.request_timeout(), self.leases.get_opt(&self.settings.name)).await
    }

    /// Writes the Lease. Its validity counts from before the request.
    pub(super) async fn write(&self, lease: &Lease) -> Result<HeldLease, ApiError> {
        let sent = Instant::now();
        let params = PostParams { field_manager: Some("tabular-operator".to_owned()), ..PostParams::default() };
        let written = if lease.metadata.resource_version.is_some() {
            with_timeout(self.settings.request_timeout(), self.leases.replace(&self.settings.name, &params, lease)).await
        } else {
            with_timeout(self.settings.request_timeout(), self.leases.create(&params, lease)).await
        };
        if let Some(metrics) = &self.metrics {
            metrics.lease_renewed(match &written {
                Ok(_) => WriteResult::Success,
                Err(error) if error.is_conflict() => WriteResult::Conflict,
                Err(_) => WriteResult::Error,
            });
        }
        Ok(HeldLease { lease: written?, until: sent + self.settings.renew_deadline(), renew: sent + self.settings.renew_interval() })
    }

    /// Clears the holder if it is this process, so that the next candidate does not wait.
    pub(super) async fn release(&self, mut known: Option<Lease>) {
        for _ in 0..RELEASE_ATTEMPTS {
            let lease = match known.take() {
                Some(lease) => lease,
                None => match self.read().await {
                    Ok(Some(lease)) if record::holder(&lease) == Some(&self.settings.identity) => lease,
                    Ok(_) => return,
                    Err(error) => {
                        tracing::warn!(lease = %self.settings.name, %error, "failed to read the lease");
                        continue;
                    }
                },
            };
            match self.write(&record::released(lease, Timestamp::now())).await {
                Ok(_) => {
                    tracing::info!(lease = %self.settings.name, "released the lease");
                    return;
                }
                Err(error) if error.is_not_found() => return,
                Err(error) => {
                    tracing::warn!(lease = %self.settings.name, %error, "failed to release the lease");
                }
            }
        }
    }

    /// Unwraps a response. A failure is reported in the state of health and logged, the first of consecutive ones as a warning.
    pub(super) fn logged<T>(&mut self, verb: &'static str, response: Result<T, ApiError>) -> Option<T> {
        let error = match response {
            Ok(value) => {
                self.report(verb, None);
                self.failing = false;
                return Some(value);
            }
            Err(error) => error,
        };
        let remedy = match error.status() {
            Some(401 | 403) => Some("grant get, create and update on leases in this namespace"),
            Some(404) => Some("create the namespace, or set --lease-namespace to another one"),
            Some(_) | None => None,
        };
        let with_remedy = || remedy.map_or_else(|| error.to_string(), |remedy| format!("{error}: {remedy}"));
        // After a conflict, another operator holds the Lease, and this one can access it.
        self.report(verb, (!error.is_conflict()).then(with_remedy));
        let LeaseSettings { namespace, name, .. } = &*self.settings;
        if std::mem::replace(&mut self.failing, true) {
            tracing::debug!(%namespace, lease = %name, request = verb, %error, "failed to access the lease again; retrying");
        } else {
            tracing::warn!(%namespace, lease = %name, request = verb, remedy, %error, "failed to access the lease; retrying");
        }
        None
    }

    /// Reports the response to the state of health: its error, or `None` after a success.
    fn report(&self, verb: &'static str, failure: Option<String>) {
        if let Some(health) = &self.health {
            health.lease(verb, failure, self.settings.duration);
        }
    }
}
