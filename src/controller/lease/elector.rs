//! The loop of one candidate: acquire the Lease, renew it, and release it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use tokio::time::{Instant, sleep, sleep_until};

use super::drain_signal::Heard;
use super::handle::{LeaseHandle, Standing};
use super::precedent;
use super::record::{self, Sighting, Verdict};
use super::requests::{Holding, LeaseRequests};
use super::settings::{LeaseReports, LeaseSettings};
use crate::telemetry::health::Heartbeat;

pub(super) struct Candidate {
    settings: Arc<LeaseSettings>,
    requests: LeaseRequests,
    heartbeat: Option<Heartbeat>,
    handle: LeaseHandle,
    heard: Heard,
    /// Why the Lease is absent, as far as a candidate that has never seen it knows.
    absence: Absence,
    /// When this candidate may start to act: after an earlier holder of a deleted Lease has stopped.
    acts_from: Instant,
}

/// Why there is no Lease.
enum Absence {
    Unknown,
    /// No operator has worked here yet.
    Unused,
    /// It was deleted at this time at the latest.
    Deleted(Instant),
}

/// The result of [`Candidate::seek`].
enum Sought {
    Found(Box<Holding>),
    /// A stop was requested. `open` if a write of this process may have been performed.
    Told {
        open: bool,
    },
}

/// The state of the Lease after a rejected renewal.
enum Sight {
    Ours(Box<Lease>),
    Deleted,
    /// It could not be read.
    Unknown,
}

/// The result of [`Candidate::keep`].
enum Kept {
    /// A stop was requested. Without the Lease if this candidate has not acted: an earlier holder may still act, so the next one must wait.
    Told(Option<Box<Lease>>),
    /// Why it is no longer held.
    Lost(String),
}

impl Candidate {
    pub(super) fn new(client: Client, settings: LeaseSettings, reports: LeaseReports, handle: LeaseHandle) -> Self {
        let settings = Arc::new(settings);
        Self {
            requests: LeaseRequests::new(client, Arc::clone(&settings), reports.metrics),
            settings,
            heartbeat: reports.heartbeat,
            handle,
            heard: Heard::default(),
            absence: Absence::Unknown,
            acts_from: Instant::now(),
        }
    }

    pub(super) async fn run(mut self) {
        let ended = self.handle.ends();
        match self.seek().await {
            Sought::Told { open } => {
                self.handle.set(Standing::GivenBack);
                if open {
                    self.requests.give_back(None).await;
                }
            }
            Sought::Found(holding) => match self.keep(*holding).await {
                Kept::Told(lease) => {
                    // This process stops acting before another one may start.
                    self.handle.set(Standing::GivenBack);
                    if let Some(lease) = lease {
                        self.requests.give_back(Some(*lease)).await;
                    }
                }
                Kept::Lost(why) => {
                    self.handle.set(Standing::Lost);
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
    async fn seek(&mut self) -> Sought {
        let stop = self.handle.stop().clone();
        let mut seen = None;
        let mut open = false;
        loop {
            self.beat();
            let read = tokio::select! {
                biased;
                () = stop.cancelled() => return Sought::Told { open },
                read = self.requests.read() => read,
            };
            let mut pause = self.settings.pace();
            match self.requests.answered("read", read) {
                None => {}
                Some(None) if seen.is_none() && self.may_be_held().await => {}
                Some(found) => {
                    let was_deleted = found.is_none() && (seen.is_some() || !matches!(self.absence, Absence::Unused));
                    match self.claim(found, &mut seen) {
                        Ok(claim) => {
                            self.heed(&claim);
                            // A stop does not interrupt the request, because it may be performed.
                            let sent = self.requests.write(&claim).await;
                            open = matches!(&sent, Err(error) if !error.is_conflict());
                            if matches!(&sent, Err(error) if error.is_conflict()) {
                                // Another operator wrote it, even if it is deleted before the next read.
                                self.absence = Absence::Deleted(Instant::now());
                            }
                            if let Some(holding) = self.requests.answered("take", sent) {
                                if was_deleted {
                                    self.wait_for_an_earlier_holder();
                                }
                                return Sought::Found(Box::new(holding));
                            }
                        }
                        Err(wait) => pause = pause.min(wait),
                    }
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Sought::Told { open },
                () = sleep(pause) => {}
            }
        }
    }

    /// The Lease to write, or how long another operator certainly holds it. A deleted Lease counts as unchanged, because its holder creates
    /// it again.
    fn claim(&self, found: Option<Lease>, seen: &mut Option<(Lease, Sighting)>) -> Result<Lease, Duration> {
        let now = Instant::now();
        let (earlier, sighting) = seen.take().unzip();
        let Some(lease) = found.or_else(|| earlier.map(record::deleted)) else {
            return Ok(record::taken(None, &self.settings, Timestamp::now()));
        };
        let sighting = Sighting::of(&lease, sighting, now);
        let verdict = record::judge(&lease, &sighting, &self.settings, now);
        *seen = Some((lease.clone(), sighting));
        match verdict {
            Verdict::Free => Ok(record::taken(Some(lease), &self.settings, Timestamp::now())),
            Verdict::Ours => Ok(record::renewed(lease, &self.settings, Timestamp::now())),
            Verdict::Taken { by, until } => {
                self.stand_by(&by);
                Err(until.saturating_duration_since(now))
            }
        }
    }

    /// Whether a holder may still act although there is no Lease and this candidate has never seen one.
    async fn may_be_held(&mut self) -> bool {
        if let Absence::Unknown = self.absence {
            let worked = precedent::has_worked(&self.requests.client(), &self.settings.watched).await;
            // Without a response, assume that an operator has worked here.
            self.absence = if worked.unwrap_or(true) { Absence::Deleted(Instant::now()) } else { Absence::Unused };
        }
        match self.absence {
            Absence::Deleted(since) => since.elapsed() < self.settings.duration,
            Absence::Unknown | Absence::Unused => false,
        }
    }

    fn stand_by(&self, holder: &str) {
        let standing = Standing::Seeking { holder: Some(holder.to_owned()) };
        if self.handle.set(standing) {
            tracing::info!(lease = %self.settings.name, holder, "another operator holds the lease; standing by");
        }
    }

    /// Renews the Lease until a stop is requested or the Lease is lost.
    async fn keep(&mut self, mut holding: Holding) -> Kept {
        let stop = self.handle.stop().clone();
        let term = record::transitions(&holding.lease);
        let mut acts = false;
        loop {
            self.beat();
            if !acts && Instant::now() >= self.acts_from {
                acts = true;
                self.hold(&holding, term);
                tracing::info!(lease = %self.settings.name, identity = %self.settings.identity, term, "acquired the lease");
            }
            let next = if acts { holding.renew } else { holding.renew.min(self.acts_from) };
            tokio::select! {
                biased;
                () = sleep_until(holding.until) => return self.run_out(),
                () = stop.cancelled() => return Kept::Told(acts.then(|| Box::new(holding.lease))),
                () = sleep_until(next) => {}
            }
            if next < holding.renew {
                continue;
            }
            let renewal = record::renewed(holding.lease.clone(), &self.settings, Timestamp::now());
            let sent = Instant::now();
            let renewed = tokio::select! {
                biased;
                () = sleep_until(holding.until) => return self.run_out(),
                renewed = self.requests.write(&renewal) => renewed,
            };
            // A late response does not count, because `holds` has already returned false.
            if Instant::now() >= holding.until {
                return self.run_out();
            }
            // After a failure: immediately if the attempt took long, otherwise after the retry interval.
            holding.renew = sent + self.settings.pace();
            match renewed {
                Err(error) if error.is_not_found() && renewal.metadata.resource_version.is_some() => self.recreate(&mut holding),
                Err(error) if error.is_conflict() => match self.requeue_after(holding.until).await {
                    Ok(Sight::Deleted) => self.recreate(&mut holding),
                    Ok(Sight::Ours(lease)) => {
                        // Before the renewal, which confirms that the request was received.
                        self.heed(&lease);
                        holding.lease = *lease;
                        holding.renew = Instant::now();
                    }
                    Ok(Sight::Unknown) => {}
                    Err(why) => return Kept::Lost(why),
                },
                other => {
                    if let Some(next) = self.requests.answered("renew", other) {
                        holding = next;
                        self.heed(&holding.lease);
                        if acts {
                            self.hold(&holding, term);
                        } else if renewal.metadata.resource_version.is_none() {
                            self.wait_for_an_earlier_holder();
                        }
                    }
                }
            }
        }
    }

    /// Reads the Lease after a rejected renewal. The response to an earlier renewal was lost, a client edited the Lease, or another
    /// operator acquired it. In the last case, it is lost.
    async fn requeue_after(&mut self, until: Instant) -> Result<Sight, String> {
        let read = tokio::select! {
            biased;
            () = sleep_until(until) => return Ok(Sight::Unknown),
            read = self.requests.read() => read,
        };
        match self.requests.answered("read", read) {
            None => Ok(Sight::Unknown),
            Some(None) => Ok(Sight::Deleted),
            Some(Some(lease)) => match record::holder(&lease) {
                Some(holder) if holder == self.settings.identity => Ok(Sight::Ours(Box::new(lease))),
                Some(holder) => Err(format!("{holder} acquired it")),
                None => Err("another client cleared its holder".to_owned()),
            },
        }
    }

    /// Delays acting after this candidate created a deleted Lease. Its earlier holder may have renewed it until just before, and needs
    /// time to stop.
    fn wait_for_an_earlier_holder(&mut self) {
        self.acts_from = Instant::now() + self.settings.duration;
        self.handle.set(Standing::Seeking { holder: Some(self.settings.identity.clone()) });
        tracing::warn!(lease = %self.settings.name, wait = ?self.settings.duration, "created the deleted lease; waiting for an earlier holder to stop");
    }

    /// Handles a deleted Lease. It is still held: no other operator has acquired it unless the create request fails because it exists.
    fn recreate(&self, holding: &mut Holding) {
        tracing::warn!(lease = %self.settings.name, "the lease was deleted; creating it again");
        holding.lease = record::deleted(holding.lease.clone());
        holding.renew = Instant::now();
    }

    /// Applies a drain request in the Lease.
    fn heed(&mut self, lease: &Lease) {
        let leaving = self.heard.hear(lease, Instant::now());
        if self.handle.set_leaving(leaving) {
            if leaving.is_some() {
                tracing::warn!(lease = %self.settings.name, ?leaving, "drain requested; starting no more runs");
            } else {
                tracing::warn!(lease = %self.settings.name, ?leaving, "drain request ended; starting runs again");
            }
        }
    }

    fn hold(&self, holding: &Holding, term: i32) {
        self.handle.set(Standing::Held { until: Some(holding.until), term: Some(term) });
    }

    fn run_out(&self) -> Kept {
        Kept::Lost(format!(
            "renewal failed for {}, and another operator may acquire it soon",
            humantime::format_duration(self.settings.hold())
        ))
    }

    fn beat(&self) {
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.beat();
        }
    }
}
