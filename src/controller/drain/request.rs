//! The request in the Lease: it is written, renewed and withdrawn, and the renewals of the operator acknowledge it.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::PostParams;
use tokio::time::Instant;

use super::error::DrainError;
use crate::cli::{DrainRuns, DrainSettings};
use crate::controller::cluster::timeout::{ApiError, with_timeout};
use crate::controller::lease::drain_signal::{self, ANNOTATION, SIGNAL_TTL};
use crate::controller::lease::{installation, is_held};
use crate::engine::DrainMode;

/// Timeout for one request to the Kubernetes API.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval at which the request in the Lease is renewed before it expires.
pub(super) const RENEW_INTERVAL: Duration = Duration::from_secs(SIGNAL_TTL.as_secs() / 4);
/// How often a write is attempted at once: the holder writes the Lease rarely, so two conflicts in a row are unlikely.
const WRITE_ATTEMPTS: usize = 5;

/// In how many consecutive polls the Lease must be absent: its holder may be creating it again, or a proxy may have responded.
const ABSENT_POLLS: u32 = 3;

/// Which process has received the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeaderAck {
    /// The leader has received it.
    Acknowledged,
    /// The leader has not received it yet.
    Pending,
    /// There is no leader.
    NoLeader,
}

/// The request in the Lease and its progress.
pub(super) struct DrainRequest<'a> {
    leases: Api<Lease>,
    pub(super) settings: &'a DrainSettings,
    /// The installation of this process, if it is known.
    installation: Option<String>,
    /// The version of the Lease that this process wrote last, and when it sent this write: the operator may have received it before the
    /// response arrived.
    written: Option<(Option<String>, Instant)>,
    count: u64,
    /// When another client was last observed to have written the Lease, or when the drain started.
    pub(super) last_renewal: Instant,
    /// Whether a holder has written the Lease since the request.
    acknowledged: bool,
    /// In how many consecutive polls the Lease was absent.
    absent: u32,
}

impl<'a> DrainRequest<'a> {
    pub(super) fn new(leases: Api<Lease>, settings: &'a DrainSettings, installation: Option<String>) -> Self {
        Self { leases, settings, installation, written: None, count: 0, last_renewal: Instant::now(), acknowledged: false, absent: 0 }
    }

    /// Writes the request again if that is due, for example during a long list. Returns false if the leader may have started an operation
    /// since it received the request.
    pub(super) async fn keep(&mut self) -> Result<bool, DrainError> {
        if self.written.as_ref().is_none_or(|(_, at)| at.elapsed() < RENEW_INTERVAL) {
            return Ok(true);
        }
        Ok(self.publish(RENEW_INTERVAL).await? != LeaderAck::Pending)
    }

    /// Writes the request again, so that it stays in effect for [`SIGNAL_TTL`] from now. Without a success it is not received.
    pub(super) async fn renew(&mut self) -> Result<LeaderAck, DrainError> {
        let began = Instant::now();
        let mut ack = LeaderAck::Pending;
        for _ in 0..WRITE_ATTEMPTS {
            ack = self.publish(Duration::ZERO).await?;
            if self.written.as_ref().is_some_and(|(_, at)| *at >= began) {
                return Ok(ack);
            }
        }
        // Without a Lease there is nothing to write.
        Ok(if self.absent > 0 { ack } else { LeaderAck::Pending })
    }

    /// Writes the request if the last write is at least this long ago, and returns whether the leader has received it. It stays received
    /// until it expires, because a new holder reads it with the Lease that it acquires.
    pub(super) async fn publish(&mut self, renew_after: Duration) -> Result<LeaderAck, DrainError> {
        let failed = |error| DrainError::Call("read the operator's Lease", error);
        let Some(lease) = with_timeout(REQUEST_TIMEOUT, self.leases.get_opt(&self.settings.lease_name)).await.map_err(failed)? else {
            self.absent += 1;
            return Ok(if self.absent < ABSENT_POLLS { LeaderAck::Pending } else { LeaderAck::NoLeader });
        };
        self.absent = 0;
        // A holder of another installation removes the request, which is then written again for it.
        let is_written = lease.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(ANNOTATION));
        if self.written.is_some() && !is_written {
            (self.written, self.last_renewal, self.acknowledged) = (None, Instant::now(), false);
        }
        let spec = lease.spec.as_ref();
        let lasts = spec.and_then(|spec| spec.lease_duration_seconds).unwrap_or(0).clamp(1, 3600).unsigned_abs();
        let held = is_held(&lease);
        if self.written.as_ref().is_some_and(|(version, _)| *version != lease.metadata.resource_version) {
            self.last_renewal = Instant::now();
            self.acknowledged |= held;
        }
        let written_at = self.written.as_ref().map(|(_, at)| *at);
        if written_at.is_none_or(|at| at.elapsed() >= renew_after) {
            self.write(lease).await?;
        }
        // The request expired before it was written again. An operation may have started since, until a holder has received it again, and
        // the last list may not show it. This also applies to a holder that has gone meanwhile.
        if written_at.is_some_and(|at| at.elapsed() >= SIGNAL_TTL) {
            (self.last_renewal, self.acknowledged) = (Instant::now(), false);
            return Ok(LeaderAck::Pending);
        }
        // Another client wrote first, perhaps an operator that acquired the Lease.
        if self.written.is_none() {
            return Ok(LeaderAck::Pending);
        }
        // A holder that has not renewed the Lease for its whole duration is gone.
        let gone = self.last_renewal.elapsed() > Duration::from_secs(lasts.into());
        Ok(if !held || gone {
            LeaderAck::NoLeader
        } else if self.acknowledged {
            LeaderAck::Acknowledged
        } else {
            LeaderAck::Pending
        })
    }

    async fn write(&mut self, mut lease: Lease) -> Result<(), DrainError> {
        self.count += 1;
        let annotations = lease.metadata.annotations.get_or_insert_default();
        // The installation of the holder and that of this process, a pod of which may acquire the Lease next. If the holder does not
        // state its installation, the request names none.
        let holder = annotations.get(installation::ANNOTATION).map(String::as_str);
        let to: Vec<&str> = holder.into_iter().flat_map(|holder| [Some(holder), self.installation.as_deref()]).flatten().collect();
        let mode = match self.settings.runs {
            DrainRuns::Cancel => DrainMode::Cancel,
            DrainRuns::Wait => DrainMode::Wait,
        };
        let value = drain_signal::request(mode, self.count, &to);
        annotations.insert(ANNOTATION.to_owned(), value);
        let sent_at = Instant::now();
        match self.replace(&lease).await {
            Ok(written) => self.written = Some((written.metadata.resource_version, sent_at)),
            // The holder wrote first: the next poll writes the request.
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(DrainError::Call("write the request to the operator's Lease", error)),
        }
        Ok(())
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease, ApiError> {
        with_timeout(REQUEST_TIMEOUT, self.leases.replace(&self.settings.lease_name, &PostParams::default(), lease)).await
    }

    /// Removes the request from the Lease. If that fails, it stays in effect for [`SIGNAL_TTL`].
    pub(super) async fn withdraw(&self) {
        for _ in 0..WRITE_ATTEMPTS {
            let Ok(Some(mut lease)) = with_timeout(REQUEST_TIMEOUT, self.leases.get_opt(&self.settings.lease_name)).await else { return };
            if lease.metadata.annotations.as_mut().and_then(|all| all.remove(ANNOTATION)).is_none() {
                return;
            }
            match self.replace(&lease).await {
                Err(error) if error.is_conflict() => {}
                Ok(_) | Err(_) => return,
            }
        }
    }
}
