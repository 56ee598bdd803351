//! The lifecycle of the process: the order of startup, the reasons to stop, and the shutdown.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use kube::{Client, Config};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::cli::{LeaderElection, Settings, SettingsError};
use crate::controller::cluster::connect::{ClientError, Connection, connect};
use crate::controller::cluster::timeout::with_timeout;
use crate::controller::lease::{self, Lease, LeaseHandle, LeaseReports, LeaseSettings};
use crate::controller::shutdown;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::server::{BindError, Port, Server};
use crate::telemetry::traces::Traces;

/// How long the controller may take to stop after SIGTERM. With [`LEASE_RELEASE_TIMEOUT`], it fits into the 30 s grace period of a pod.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(20);
/// How long releasing the lease may take.
const LEASE_RELEASE_TIMEOUT: Duration = Duration::from_secs(8);
/// Timeout of a request for the first response of the API server.
const FIRST_RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The delays between these requests.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(50);
const MAX_RETRY_DELAY: Duration = Duration::from_millis(500);
/// A lease loop without progress for this long is stuck, however short the lease.
const LEASE_STALL_TIMEOUT: Duration = Duration::from_mins(1);

/// What the controller needs to work.
#[derive(Clone)]
pub struct ManagerContext {
    /// The settings of the command line.
    pub settings: Arc<Settings>,
    /// The client of the Kubernetes API.
    pub client: Client,
    /// Whether this process leads. The lease may not be held yet when the work starts.
    pub lease: LeaseHandle,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The exporter of spans.
    pub traces: Traces,
    /// Receives the state of the caches and the heartbeats of the loops.
    pub health: Health,
    /// Cancelled when the work must stop: start nothing new, finish writes in progress, and return.
    pub stop: CancellationToken,
}

/// Why the process ends other than by a signal.
#[derive(Debug, Error)]
pub enum RunError {
    /// The settings are invalid.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// No client of the Kubernetes API can be set up.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The address for metrics or probes cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Signal handlers cannot be installed.
    #[error("failed to listen for SIGTERM: {0}")]
    Signals(#[source] io::Error),
    /// The thread for the lease cannot be started.
    #[error("failed to start the thread that renews the lease: {0}")]
    Thread(#[source] io::Error),
    /// The lease was lost. Another operator may lead now.
    #[error("lost the lease, and another operator may lead; restart to rejoin as a candidate")]
    LeaseLost,
    /// The controller failed.
    #[error("failed to run the controller: {0}")]
    Work(#[source] Box<dyn Error + Send + Sync>),
    /// The controller stopped without a request, which is a bug.
    #[error("the controller stopped unexpectedly; report this bug")]
    Ended,
}

impl RunError {
    /// 2 if only other settings resolve the error, 1 if a restart may.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::Client(_) => 2,
            Self::Bind(_) | Self::Signals(_) | Self::Thread(_) | Self::LeaseLost | Self::Work(_) | Self::Ended => 1,
        }
    }
}

/// Runs `work` until SIGTERM, with signal handling, the client, metrics, probes and the lease.
///
/// If the lease is lost, `work` is dropped immediately. After a signal, it has [`SHUTDOWN_GRACE`] to return; then the lease is released.
///
/// # Errors
/// Why the process ends without a signal: see [`RunError`].
pub async fn run<W, F>(settings: Settings, metrics: Arc<Metrics>, traces: Traces, work: W) -> Result<(), RunError>
where
    W: FnOnce(ManagerContext) -> F,
    F: Future<Output = Result<(), RunError>>,
{
    let stop = shutdown::on_signal().map_err(RunError::Signals)?;
    let Connection { client, config, installation } = connect()?;
    let health = Health::new();
    // Probes are served until the process exits, because a process that shuts down is alive.
    for (port, address) in [(Port::Metrics, settings.metrics_address), (Port::Health, settings.health_address)] {
        let server = Server::bind(port, address).await?;
        tokio::spawn(server.serve(Arc::clone(&metrics), health.clone(), CancellationToken::new()));
    }

    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        () = wait_for_api(&client) => health.api_responded(),
    }
    let election = (settings.leader_election.as_ref(), settings.watch_namespaces.as_slice());
    let lease = start_election(config, installation, election, &metrics, &health).map_err(RunError::Thread)?;
    let reports = tokio::spawn(report(lease.clone(), Arc::clone(&metrics), health.clone()));
    let context = ManagerContext {
        settings: Arc::new(settings),
        client,
        lease: lease.clone(),
        metrics: Arc::clone(&metrics),
        traces,
        health: health.clone(),
        stop: stop.clone(),
    };
    let result = supervise(work(context), &lease, &stop).await;
    health.stopping();
    // Only the leader has the per-resource metrics.
    metrics.clear_resource_table();
    if tokio::time::timeout(LEASE_RELEASE_TIMEOUT, lease.release()).await.is_err() {
        tracing::warn!("failed to release the lease in time; the next leader waits until it expires");
    }
    reports.abort();
    result
}

/// Waits for the work to end, or for a reason to stop it.
async fn supervise(
    work: impl Future<Output = Result<(), RunError>>,
    lease: &LeaseHandle,
    stop: &CancellationToken,
) -> Result<(), RunError> {
    let grace = async {
        stop.cancelled().await;
        tokio::time::sleep(SHUTDOWN_GRACE).await;
    };
    tokio::select! {
        biased;
        () = lease.lost() => if stop.is_cancelled() { Ok(()) } else { Err(RunError::LeaseLost) },
        result = work => match result {
            Ok(()) if stop.is_cancelled() => Ok(()),
            Ok(()) => Err(RunError::Ended),
            Err(error) => Err(error),
        },
        () = grace => {
            tracing::warn!(limit = ?SHUTDOWN_GRACE, "failed to stop the controller in time; aborting it");
            Ok(())
        }
    }
}

/// Waits for the first response of the API server. A refusal is a response.
async fn wait_for_api(client: &Client) {
    let mut delay = MIN_RETRY_DELAY;
    let mut warned = false;
    loop {
        match with_timeout(FIRST_RESPONSE_TIMEOUT, client.apiserver_version()).await {
            Ok(version) => {
                tracing::info!(version = version.git_version, "the Kubernetes API responds");
                return;
            }
            Err(error) if error.status().is_some() => {
                tracing::warn!(%error, "the Kubernetes API responds, but refuses the request");
                return;
            }
            Err(error) if !warned => {
                warned = true;
                tracing::warn!(%error, "failed to reach the Kubernetes API; retrying");
            }
            Err(error) => tracing::debug!(%error, "failed to reach the Kubernetes API again; retrying"),
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(MAX_RETRY_DELAY);
    }
}

fn start_election(
    config: Config,
    installation: Option<String>,
    (election, watch_namespaces): (Option<&LeaderElection>, &[String]),
    metrics: &Arc<Metrics>,
    health: &Health,
) -> io::Result<LeaseHandle> {
    let Some(LeaderElection { name, namespace, duration }) = election else {
        tracing::info!("leader election is disabled; a second operator would act at the same time");
        return Ok(LeaseHandle::always());
    };
    let settings = LeaseSettings {
        namespace: namespace.clone().unwrap_or_else(|| config.default_namespace.clone()),
        name: name.clone(),
        duration: *duration,
        identity: lease::identity(),
        installation,
        watch_namespaces: watch_namespaces.to_vec(),
    };
    let reports = LeaseReports {
        heartbeat: Some(health.heartbeat("lease", LEASE_STALL_TIMEOUT.max(*duration * 2))),
        health: Some(health.clone()),
        metrics: Some(Arc::clone(metrics)),
    };
    Lease::start(move || Client::try_from(config), settings, reports)
}

/// Reports the state of the lease to probes and metrics.
async fn report(lease: LeaseHandle, metrics: Arc<Metrics>, health: Health) {
    tokio::select! {
        biased;
        () = lease.acquired() => {}
        () = lease.on_standby() => {
            health.standby(true);
            lease.acquired().await;
            health.standby(false);
        }
    }
    metrics.set_leader(true);
    lease.lost().await;
    metrics.set_leader(false);
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn until_stopped(stop: CancellationToken) -> Result<(), RunError> {
        stop.cancelled().await;
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_stops_on_request_is_a_success() {
        let (lease, stop) = (LeaseHandle::always(), CancellationToken::new());
        stop.cancel();
        assert!(supervise(until_stopped(stop.clone()), &lease, &stop).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn work_without_end_is_dropped_after_grace_period() {
        let (lease, stop) = (LeaseHandle::always(), CancellationToken::new());
        stop.cancel();
        let start = tokio::time::Instant::now();
        assert!(supervise(std::future::pending(), &lease, &stop).await.is_ok());
        assert_eq!(start.elapsed().as_secs(), SHUTDOWN_GRACE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn lost_lease_exits_with_1() {
        let (lease, stop) = (LeaseHandle::always(), CancellationToken::new());
        lease.release().await;
        let error = supervise(std::future::pending(), &lease, &stop).await.unwrap_err();
        assert!(matches!(error, RunError::LeaseLost));
        assert_eq!(error.exit_code(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn unrequested_end_of_work_is_an_error() {
        let (lease, stop) = (LeaseHandle::always(), CancellationToken::new());
        let error = supervise(async { Ok(()) }, &lease, &stop).await.unwrap_err();
        assert!(matches!(error, RunError::Ended));
        let bad = async { Err(RunError::Settings(SettingsError("fix it".to_owned()))) };
        assert_eq!(supervise(bad, &lease, &stop).await.unwrap_err().exit_code(), 2);
    }
}
