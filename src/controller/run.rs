//! The life of the process: what comes up in which order, what ends it, and how it goes down.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use kube::{Client, Config};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::call::bounded;
use super::client::{self, ClientError, Connection};
use super::lease::{self, Lease, LeaseHandle, LeaseReports, LeaseSettings};
use super::shutdown;
use crate::cli::{LeaderElection, Settings, SettingsError};
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::server::{BindError, Port, Server};
use crate::telemetry::traces::Traces;

/// How long the work may take to end after SIGTERM. With the lease's give-back it fits into the 30 s that a pod has.
const GRACE: Duration = Duration::from_secs(20);
/// How long giving back the lease may take.
const GIVE_BACK: Duration = Duration::from_secs(8);
/// How long the API server may take for its first answer, before it is asked again.
const FIRST_ANSWER: Duration = Duration::from_secs(5);
/// The pauses between such questions.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// A lease loop that has not moved for this long is stuck, however short the lease.
const STUCK: Duration = Duration::from_mins(1);

/// What the work has to work with.
#[derive(Clone)]
pub struct Running {
    /// What the command line said.
    pub settings: Arc<Settings>,
    /// The Kubernetes API.
    pub client: Client,
    /// Whether to act. It is not held yet when the work begins.
    pub lease: LeaseHandle,
    /// Where things are counted.
    pub metrics: Arc<Metrics>,
    /// Where spans go.
    pub traces: Traces,
    /// Where the work reports that its caches are full, and that its loops move.
    pub health: Health,
    /// Cancelled when the work has to end: take nothing new, finish the write under way, return.
    pub stop: CancellationToken,
}

/// Why the process ends other than by SIGTERM.
#[derive(Debug, Error)]
pub enum RunError {
    /// The settings cannot work.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is no Kubernetes API to speak to.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A port for metrics or probes cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Signals cannot be listened to.
    #[error("failed to listen for SIGTERM: {0}")]
    Signals(#[source] io::Error),
    /// There is no thread for the lease.
    #[error("failed to start the thread that renews the lease: {0}")]
    Thread(#[source] io::Error),
    /// Another may lead now.
    #[error("lost the lease, and another operator may lead; restart to rejoin as a candidate")]
    LeaseLost,
    /// The work failed.
    #[error("failed to run the controller: {0}")]
    Work(#[source] Box<dyn Error + Send + Sync>),
    /// The work ended by itself, which it never should.
    #[error("the controller stopped unexpectedly; report this bug")]
    Ended,
}

impl RunError {
    /// 2 where only a person can mend it by other settings, 1 where a new start may do.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::Client(_) => 2,
            Self::Bind(_) | Self::Signals(_) | Self::Thread(_) | Self::LeaseLost | Self::Work(_) | Self::Ended => 1,
        }
    }
}

/// Runs `work` until SIGTERM, with everything around it: signals, the client, metrics and health, and the lease.
///
/// The work is dropped where it stands when the lease is lost. When told to stop it has [`GRACE`] to return; then the
/// lease is given back.
///
/// # Errors
/// Whatever else ends it: see [`RunError`].
pub async fn run<W, F>(settings: Settings, metrics: Arc<Metrics>, traces: Traces, work: W) -> Result<(), RunError>
where
    W: FnOnce(Running) -> F,
    F: Future<Output = Result<(), RunError>>,
{
    let stop = shutdown::on_signal().map_err(RunError::Signals)?;
    let Connection { client, config, installation } = client::connect()?;
    let health = Health::new();
    // Probes get a response to the very end: a process on its way out is alive.
    for (port, address) in [(Port::Metrics, settings.metrics_address), (Port::Health, settings.health_address)] {
        let server = Server::bind(port, address).await?;
        tokio::spawn(server.serve(Arc::clone(&metrics), health.clone(), CancellationToken::new()));
    }

    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        () = first_answer(&client) => health.api_answered(),
    }
    let election = (settings.leader_election.as_ref(), settings.watch_namespaces.as_slice());
    let lease = seek(config, installation, election, &metrics, &health).map_err(RunError::Thread)?;
    let reports = tokio::spawn(report(lease.clone(), Arc::clone(&metrics), health.clone()));
    let running =
        Running { settings: Arc::new(settings), client, lease: lease.clone(), metrics, traces, health: health.clone(), stop: stop.clone() };
    let ended = attend(work(running), &lease, &stop).await;
    health.stopping();
    if tokio::time::timeout(GIVE_BACK, lease.release()).await.is_err() {
        tracing::warn!("failed to release the lease in time; the next leader waits until it expires");
    }
    reports.abort();
    ended
}

/// Waits for the work to end, or for a reason to end it.
async fn attend(work: impl Future<Output = Result<(), RunError>>, lease: &LeaseHandle, stop: &CancellationToken) -> Result<(), RunError> {
    let grace = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        biased;
        () = lease.lost() => if stop.is_cancelled() { Ok(()) } else { Err(RunError::LeaseLost) },
        ended = work => match ended {
            Ok(()) if stop.is_cancelled() => Ok(()),
            Ok(()) => Err(RunError::Ended),
            Err(error) => Err(error),
        },
        () = grace => {
            tracing::warn!(limit = ?GRACE, "failed to stop the controller in time; aborting it");
            Ok(())
        }
    }
}

/// Waits until the API server answers at all; a refusal is an answer.
async fn first_answer(client: &Client) {
    let mut pause = FIRST_PAUSE;
    let mut warned = false;
    loop {
        match bounded(FIRST_ANSWER, client.apiserver_version()).await {
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
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn seek(
    config: Config,
    installation: Option<String>,
    (election, watched): (Option<&LeaderElection>, &[String]),
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
        watched: watched.to_vec(),
    };
    let reports = LeaseReports { heartbeat: Some(health.heartbeat("lease", STUCK.max(*duration * 2))), metrics: Some(Arc::clone(metrics)) };
    Lease::start(move || Client::try_from(config), settings, reports)
}

/// Shows where the lease stands to probes and metrics.
async fn report(lease: LeaseHandle, metrics: Arc<Metrics>, health: Health) {
    tokio::select! {
        biased;
        () = lease.acquired() => {}
        () = lease.standing_by() => {
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

    async fn told_to_stop(stop: CancellationToken) -> Result<(), RunError> {
        stop.cancelled().await;
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_ends_when_told_to_is_a_good_end() {
        let (lease, stop) = (LeaseHandle::always(), CancellationToken::new());
        stop.cancel();
        assert!(attend(told_to_stop(stop.clone()), &lease, &stop).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_does_not_end_is_left_after_its_grace() {
        let (lease, stop) = (LeaseHandle::always(), CancellationToken::new());
        stop.cancel();
        let start = tokio::time::Instant::now();
        assert!(attend(std::future::pending(), &lease, &stop).await.is_ok());
        assert_eq!(start.elapsed().as_secs(), GRACE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_lease_ends_the_process_with_1() {
        let (lease, stop) = (LeaseHandle::always(), CancellationToken::new());
        lease.release().await;
        let error = attend(std::future::pending(), &lease, &stop).await.unwrap_err();
        assert!(matches!(error, RunError::LeaseLost));
        assert_eq!(error.exit_code(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_ends_by_itself_is_an_error() {
        let (lease, stop) = (LeaseHandle::always(), CancellationToken::new());
        let error = attend(async { Ok(()) }, &lease, &stop).await.unwrap_err();
        assert!(matches!(error, RunError::Ended));
        let bad = async { Err(RunError::Settings(SettingsError("mend it".to_owned()))) };
        assert_eq!(attend(bad, &lease, &stop).await.unwrap_err().exit_code(), 2);
    }
}
