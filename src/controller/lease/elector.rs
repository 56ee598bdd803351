//! The loop of one candidate: acquire the Lease, renew it, and release it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use tokio::time::{Instant, sleep, sleep_until};

use super::drain_signal::DrainSignal;
use super::handle::{Leadership, LeaseHandle};
use super::prior_use;
use super::record::{self, Availability, LeaseSnapshot};
use super::requests::{HeldLease, LeaseRequests};
use super::settings::{LeaseReports, LeaseSettings};
use crate::telemetry::health::Heartbeat;

pub(super) struct LeaderElector {
    settings: Arc<LeaseSettings>,
    requests: LeaseRequests,
    heartbeat: Option<Heartbeat>,
    handle: LeaseHandle,
    drain_signal: DrainSignal,
    /// Why the Lease is absent, as far as a candidate that has never seen it knows.
    absent_lease: AbsentLease,
    /// When this candidate may start to act: after an earlier holder of a deleted Lease has stopped.
    may_lead_after: Instant,
}

/// Why there is no Lease.
enum AbsentLease {
    Unknown,
    /// No operator has worked here yet.
    Unused,
    /// It was deleted at this time at the latest.
    Deleted(Instant),
}

/// The result of [`LeaderElector::acquire`].
enum AcquireResult {
    Acquired(Box<HeldLease>),
    /// A stop was requested. `open` if a write of this process may have been performed.
    Stopped {
        open: bool,
    },
}

/// The state of the Lease after a rejected renewal.
enum AfterConflict {
    Held(Box<Lease>),
    Deleted,
    /// It could not be read.
    Unknown,
}

/// The result of [`LeaderElector::renew`].
enum RenewResult {
    /// A stop was requested. Without the Lease if this candidate has not acted: an earlier holder may still act, so the next one must wait.
    Stopped(Option<Box<Lease>>),
    /// Why it is no longer held.
    Lost(String),
}

impl LeaderElector {
    pub(super) fn new(client: Client, settings: LeaseSettings, reports: LeaseReports, handle: LeaseHandle) -> Self {
        let (settings, LeaseReports { heartbeat, health, metrics }) = (Arc::new(settings), reports);
        Self {
            requests: LeaseRequests::new(client, Arc::clone(&settings), metrics, health),
            settings,
            heartbeat,
            handle,
            drain_signal: DrainSignal::default(),
            absent_lease: AbsentLease::Unknown,
            may_lead_after: Instant::now(),
        }
    }

    pub(super) async fn run(mut self) {
        let ended = self.handle.end_guard();
        match self.acquire().await {
            AcquireResult::Stopped { open } => {
                self.handle.set(Leadership::Released);
                if open {
                    self.requests.release(None).await;
                }
            }
            AcquireResult::Acquired(holding) => match self.renew(*holding).await {
                RenewResult::Stopped(lease) => {
                    // This process stops acting before another one may start.
                    self.handle.set(Leadership::Released);
                    if let Some(lease) = lease {
                        self.requests.release(Some(*lease)).await;
                    }
                }
                RenewResult::Lost(why) => {
                    self.handle.set(Leadership::Lost);
                    tracing::error!(lease = %self.settings.name, why, "lost the lease");
                }
            },
        }
        if let Some(heartbeat) = self.heartbeat.take() {
            heartbeat.finished();
        }
        drop(ended);
    }

    /// Polls the Lease until it can be acquired, and acquires it.
    async fn acquire(&mut self) -> AcquireResult {
        let stop = self.handle.stop().clone();
        let mut last_seen = None;
        let mut open = false;
        loop {
            self.beat();
            let read = tokio::select! {
                biased;
                () = stop.cancelled() => return AcquireResult::Stopped { open },
                read = self.requests.read() => read,
            };
            let mut delay = self.settings.retry_period();
            match self.requests.logged("read", read) {
                None => {}
                Some(None) if last_seen.is_none() && self.may_be_held().await => {}
                Some(found) => {
                    let was_deleted = found.is_none() && (last_seen.is_some() || !matches!(self.absent_lease, AbsentLease::Unused));
                    match self.lease_to_write(found, &mut last_seen) {
                        Ok(lease) => {
                            self.apply_drain_request(&lease);
                            // A stop does not interrupt the request, because it may be performed.
                            let sent = self.requests.write(&lease).await;
                            open = matches!(&sent, Err(error) if !error.is_conflict());
                            if matches!(&sent, Err(error) if error.is_conflict()) {
                                // Another operator wrote it, even if it is deleted before the next read.
                                self.absent_lease = AbsentLease::Deleted(Instant::now());
                            }
                            if let Some(holding) = self.requests.logged("take", sent) {
                                if was_deleted {
                                    self.wait_for_earlier_holder();
                                }
                                return AcquireResult::Acquired(Box::new(holding));
                            }
                        }
                        Err(wait) => delay = delay.min(wait),
                    }
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return AcquireResult::Stopped { open },
                () = sleep(delay) => {}
            }
        }
    }

    /// The Lease to write, or how long another operator certainly holds it. A deleted Lease counts as unchanged, because its holder creates
    /// it again.
    fn lease_to_write(&self, found: Option<Lease>, last_seen: &mut Option<(Lease, LeaseSnapshot)>) -> Result<Lease, Duration> {
        let now = Instant::now();
        let (earlier, snapshot) = last_seen.take().unzip();
        let Some(lease) = found.or_else(|| earlier.map(record::deleted)) else {
            return Ok(record::acquired(None, &self.settings, Timestamp::now()));
        };
        let snapshot = LeaseSnapshot::of(&lease, snapshot, now);
        let availability = record::availability(&lease, &snapshot, &self.settings, now);
        *last_seen = Some((lease.clone(), snapshot));
        match availability {
            Availability::Free => Ok(record::acquired(Some(lease), &self.settings, Timestamp::now())),
            Availability::HeldBySelf => Ok(record::renewed(lease, &self.settings, Timestamp::now())),
            Availability::HeldByOther { by, until } => {
                self.report_standby(by);
                Err(until.saturating_duration_since(now))
            }
        }
    }

    /// Whether a holder may still act although there is no Lease and this candidate has never seen one.
    async fn may_be_held(&mut self) -> bool {
        if let AbsentLease::Unknown = self.absent_lease {
            let used = prior_use::was_used(&self.requests.client(), &self.settings.watch_namespaces).await;
            // Without a response, assume that an operator has worked here.
            self.absent_lease = if used.unwrap_or(true) { AbsentLease::Deleted(Instant::now()) } else { AbsentLease::Unused };
        }
        match self.absent_lease {
            AbsentLease::Deleted(since) => since.elapsed() < self.settings.duration,
            AbsentLease::Unknown | AbsentLease::Unused => false,
        }
    }

    /// Reports the holder, which is unknown if another client cleared it.
    fn report_standby(&self, holder: Option<String>) {
        let is_known = holder.is_some();
        let holder = holder.unwrap_or_else(|| "unknown".to_owned());
        if !self.handle.set(Leadership::Candidate { holder: Some(holder.clone()) }) {
            return;
        }
        if is_known {
            tracing::info!(lease = %self.settings.name, holder, "another operator holds the lease; standing by");
        } else {
            tracing::warn!(lease = %self.settings.name, "another client cleared the holder of the lease; waiting for that holder to stop");
        }
    }

    /// Renews the Lease until a stop is requested or the Lease is lost.
    async fn renew(&mut self, mut holding: HeldLease) -> RenewResult {
        let stop = self.handle.stop().clone();
        let term = record::transitions(&holding.lease);
        let mut acts = false;
        loop {
            self.beat();
            if !acts && Instant::now() >= self.may_lead_after {
                acts = true;
                self.report_leading(&holding, term);
                tracing::info!(lease = %self.settings.name, identity = %self.settings.identity, term, "acquired the lease");
            }
            let next = if acts { holding.renew } else { holding.renew.min(self.may_lead_after) };
            tokio::select! {
                biased;
                () = sleep_until(holding.until) => return self.expired(),
                () = stop.cancelled() => return RenewResult::Stopped(acts.then(|| Box::new(holding.lease))),
                () = sleep_until(next) => {}
            }
            if next < holding.renew {
                continue;
            }
            let renewal = record::renewed(holding.lease.clone(), &self.settings, Timestamp::now());
            let sent = Instant::now();
            let renewed = tokio::select! {
                biased;
                () = sleep_until(holding.until) => return self.expired(),
                renewed = self.requests.write(&renewal) => renewed,
            };
            // A late response does not count, because `holds` has already returned false.
            if Instant::now() >= holding.until {
                return self.expired();
            }
            // After a failure: immediately if the attempt took long, otherwise after the retry interval.
            holding.renew = sent + self.settings.retry_period();
            match renewed {
                Err(error) if error.is_not_found() && renewal.metadata.resource_version.is_some() => self.recreate(&mut holding),
                Err(error) if error.is_conflict() => match self.read_after_conflict(holding.until).await {
                    Ok(AfterConflict::Deleted) => self.recreate(&mut holding),
                    Ok(AfterConflict::Held(lease)) => {
                        // Before the renewal, which confirms that the request was received.
                        self.apply_drain_request(&lease);
                        holding.lease = *lease;
                        holding.renew = Instant::now();
                    }
                    Ok(AfterConflict::Unknown) => {}
                    Err(why) => return RenewResult::Lost(why),
                },
                other => {
                    if let Some(next) = self.requests.logged("renew", other) {
                        holding = next;
                        self.apply_drain_request(&holding.lease);
                        if acts {
                            self.report_leading(&holding, term);
                        } else if renewal.metadata.resource_version.is_none() {
                            self.wait_for_earlier_holder();
                        }
                    }
                }
            }
        }
    }

    /// Reads the Lease after a rejected renewal. The response to an earlier renewal was lost, a client edited the Lease, or another
    /// operator acquired it. In the last case, it is lost.
    async fn read_after_conflict(&mut self, until: Instant) -> Result<AfterConflict, String> {
        let read = tokio::select! {
            biased;
            () = sleep_until(until) => return Ok(AfterConflict::Unknown),
            read = self.requests.read() => read,
        };
        match self.requests.logged("read", read) {
            None => Ok(AfterConflict::Unknown),
            Some(None) => Ok(AfterConflict::Deleted),
            Some(Some(lease)) => match record::holder(&lease) {
                Some(holder) if holder == self.settings.identity => Ok(AfterConflict::Held(Box::new(lease))),
                Some(holder) => Err(format!("{holder} acquired it")),
                None => Err("another client cleared its holder".to_owned()),
            },
        }
    }

    /// Delays acting after this candidate created a deleted Lease. Its earlier holder may have renewed it until just before, and needs
    /// time to stop.
    fn wait_for_earlier_holder(&mut self) {
        self.may_lead_after = Instant::now() + self.settings.duration;
        self.handle.set(Leadership::Candidate { holder: Some(self.settings.identity.clone()) });
        tracing::warn!(lease = %self.settings.name, wait = ?self.settings.duration, "created the deleted lease; waiting for an earlier holder to stop");
    }

    /// Handles a deleted Lease. It is still held: no other operator has acquired it unless the create request fails because it exists.
    fn recreate(&self, holding: &mut HeldLease) {
        tracing::warn!(lease = %self.settings.name, "the lease was deleted; creating it again");
        holding.lease = record::deleted(holding.lease.clone());
        holding.renew = Instant::now();
    }

    /// Applies a drain request in the Lease.
    fn apply_drain_request(&mut self, lease: &Lease) {
        let drain = self.drain_signal.observe(lease, Instant::now());
        if self.handle.set_drain(drain) {
            if drain.is_some() {
                tracing::warn!(lease = %self.settings.name, ?drain, "drain requested; starting no more runs");
            } else {
                tracing::warn!(lease = %self.settings.name, ?drain, "drain request ended; starting runs again");
            }
        }
    }

    fn report_leading(&self, holding: &HeldLease, term: i32) {
        self.handle.set(Leadership::Leader { until: Some(holding.until), term: Some(term) });
    }

    fn expired(&self) -> RenewResult {
        RenewResult::Lost(format!(
            "renewal failed for {}, and another operator may acquire it soon",
            humantime::format_duration(self.settings.renew_deadline())
        ))
    }

    fn beat(&self) {
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.beat();
        }
    }
}
