//! The loop of one candidate: seek the Lease, keep it, and give it back.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::{Instant, sleep, sleep_until};

use super::handle::{LeaseHandle, Standing};
use super::leaving::Heard;
use super::precedent;
use super::record::{self, Sighting, Verdict};
use super::settings::{LeaseReports, LeaseSettings};
use crate::controller::call::{CallError, bounded};
use crate::telemetry::labels::WriteResult;

/// How often the give-back is tried. It is a courtesy: without it the next one waits for the duration.
const GIVE_BACK_ATTEMPTS: usize = 3;

pub(super) struct Candidate {
    leases: Api<Lease>,
    settings: LeaseSettings,
    reports: LeaseReports,
    handle: LeaseHandle,
    /// Whether the last call failed: only the first failure in a row is a warning.
    failing: bool,
    heard: Heard,
    /// What this candidate, which has not seen the Lease, has found out about its absence.
    absence: Absence,
    /// When this candidate may begin to act: not before an earlier holder of a Lease that was deleted has stopped.
    acts_from: Instant,
}

/// Why there is no Lease.
enum Absence {
    Unknown,
    /// No operator has worked here yet.
    Unused,
    /// Somebody has deleted it, since then at the latest.
    Deleted(Instant),
}

/// The Lease as the API server last confirmed it to us.
struct Holding {
    lease: Lease,
    /// To act is allowed until then.
    until: Instant,
    /// When the next renewal is due.
    renew: Instant,
}

/// How seeking ended.
enum Sought {
    Found(Box<Holding>),
    /// Told to stop. `open` where a write of ours may have been done.
    Told {
        open: bool,
    },
}

/// What a read after a refused renewal shows.
enum Sight {
    Ours(Box<Lease>),
    Deleted,
    /// It could not be read.
    Unknown,
}

/// How keeping ended.
enum Kept {
    /// Told to stop. Without the Lease where this candidate has not begun to act: an earlier holder may still, so the next one has to wait.
    Told(Option<Box<Lease>>),
    /// Why it is held no more.
    Lost(String),
}

impl Candidate {
    pub(super) fn new(client: Client, settings: LeaseSettings, reports: LeaseReports, handle: LeaseHandle) -> Self {
        let leases = Api::namespaced(client, &settings.namespace);
        Self {
            leases,
            settings,
            reports,
            handle,
            failing: false,
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
                    self.give_back(None).await;
                }
            }
            Sought::Found(holding) => match self.keep(*holding).await {
                Kept::Told(lease) => {
                    // First nobody acts any more, then another may.
                    self.handle.set(Standing::GivenBack);
                    if let Some(lease) = lease {
                        self.give_back(Some(*lease)).await;
                    }
                }
                Kept::Lost(why) => {
                    self.handle.set(Standing::Lost);
                    tracing::error!(lease = %self.settings.name, why, "lost the lease");
                }
            },
        }
        if let Some(heartbeat) = self.reports.heartbeat.take() {
            heartbeat.finished();
        }
        drop(ended);
    }

    /// Looks at the Lease until it can be taken, and takes it.
    async fn seek(&mut self) -> Sought {
        let stop = self.handle.stop().clone();
        let mut seen = None;
        let mut open = false;
        loop {
            self.beat();
            let read = tokio::select! {
                biased;
                () = stop.cancelled() => return Sought::Told { open },
                read = bounded(self.settings.attempt(), self.leases.get_opt(&self.settings.name)) => read,
            };
            let mut pause = self.settings.pace();
            match self.answered("read", read) {
                None => {}
                Some(None) if seen.is_none() && self.may_be_held().await => {}
                Some(found) => {
                    let was_deleted = found.is_none() && (seen.is_some() || !matches!(self.absence, Absence::Unused));
                    match self.claim(found, &mut seen) {
                        Ok(claim) => {
                            self.heed(&claim);
                            // Not cut short by a stop: what is sent may be done.
                            let sent = self.write(&claim).await;
                            open = matches!(&sent, Err(error) if !error.is_conflict());
                            if matches!(&sent, Err(error) if error.is_conflict()) {
                                // Another has it, even if it is deleted before it is seen.
                                self.absence = Absence::Deleted(Instant::now());
                            }
                            if let Some(holding) = self.answered("take", sent) {
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

    /// The Lease to write, or how long it is certain to be held by another. One that was deleted counts as unchanged since then: its
    /// holder creates it again.
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

    /// Whether a holder may still act though there is no Lease, and this candidate has seen none.
    async fn may_be_held(&mut self) -> bool {
        if let Absence::Unknown = self.absence {
            let worked = precedent::has_worked(&self.leases.clone().into_client(), &self.settings.watched).await;
            // Where the API server does not tell, it has.
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

    /// Renews until told to stop, or until it is too late.
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
                renewed = self.write(&renewal) => renewed,
            };
            // An answer that came too late is none: whoever asked meanwhile was told that it is over.
            if Instant::now() >= holding.until {
                return self.run_out();
            }
            // After a failure: at once where the attempt itself took long, or else after a pause.
            holding.renew = sent + self.settings.pace();
            match renewed {
                Err(error) if error.is_not_found() && renewal.metadata.resource_version.is_some() => self.recreate(&mut holding),
                Err(error) if error.is_conflict() => match self.look_again(holding.until).await {
                    Ok(Sight::Deleted) => self.recreate(&mut holding),
                    Ok(Sight::Ours(lease)) => {
                        // Before the renewal, which says that it is heeded.
                        self.heed(&lease);
                        holding.lease = *lease;
                        holding.renew = Instant::now();
                    }
                    Ok(Sight::Unknown) => {}
                    Err(why) => return Kept::Lost(why),
                },
                other => {
                    if let Some(next) = self.answered("renew", other) {
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

    /// After a renewal was refused: the answer to an earlier one was lost, or somebody edited the Lease, or another has it.
    /// It is lost where another has it.
    async fn look_again(&mut self, until: Instant) -> Result<Sight, String> {
        let read = tokio::select! {
            biased;
            () = sleep_until(until) => return Ok(Sight::Unknown),
            read = bounded(self.settings.attempt(), self.leases.get_opt(&self.settings.name)) => read,
        };
        match self.answered("read", read) {
            None => Ok(Sight::Unknown),
            Some(None) => Ok(Sight::Deleted),
            Some(Some(lease)) => match record::holder(&lease) {
                Some(holder) if holder == self.settings.identity => Ok(Sight::Ours(Box::new(lease))),
                Some(holder) => Err(format!("{holder} acquired it")),
                None => Err("another client cleared its holder".to_owned()),
            },
        }
    }

    /// This candidate has created a Lease that was deleted. Its earlier holder may have renewed it until just before, so it is given the time
    /// to stop.
    fn wait_for_an_earlier_holder(&mut self) {
        self.acts_from = Instant::now() + self.settings.duration;
        self.handle.set(Standing::Seeking { holder: Some(self.settings.identity.clone()) });
        tracing::warn!(lease = %self.settings.name, wait = ?self.settings.duration, "created the deleted lease; waiting for an earlier holder to stop");
    }

    /// The Lease was deleted. It is still held: nobody else can have taken it, unless the create request fails because it exists.
    fn recreate(&self, holding: &mut Holding) {
        tracing::warn!(lease = %self.settings.name, "the lease was deleted; creating it again");
        holding.lease = record::deleted(holding.lease.clone());
        holding.renew = Instant::now();
    }

    /// Writes the Lease, and counts from before that.
    async fn write(&self, lease: &Lease) -> Result<Holding, CallError> {
        let sent = Instant::now();
        let params = PostParams { field_manager: Some("tabular-operator".to_owned()), ..PostParams::default() };
        let written = if lease.metadata.resource_version.is_some() {
            bounded(self.settings.attempt(), self.leases.replace(&self.settings.name, &params, lease)).await
        } else {
            bounded(self.settings.attempt(), self.leases.create(&params, lease)).await
        };
        if let Some(metrics) = &self.reports.metrics {
            metrics.lease_renewed(match &written {
                Ok(_) => WriteResult::Success,
                Err(error) if error.is_conflict() => WriteResult::Conflict,
                Err(_) => WriteResult::Error,
            });
        }
        Ok(Holding { lease: written?, until: sent + self.settings.hold(), renew: sent + self.settings.renewal() })
    }

    /// Empties the Lease, if it is ours: the next one need not wait.
    async fn give_back(&self, mut known: Option<Lease>) {
        for _ in 0..GIVE_BACK_ATTEMPTS {
            let lease = match known.take() {
                Some(lease) => lease,
                None => match bounded(self.settings.attempt(), self.leases.get_opt(&self.settings.name)).await {
                    Ok(Some(lease)) if record::holder(&lease) == Some(&self.settings.identity) => lease,
                    Ok(_) => return,
                    Err(error) => {
                        tracing::warn!(lease = %self.settings.name, %error, "failed to read the lease");
                        continue;
                    }
                },
            };
            match self.write(&record::given_back(lease, Timestamp::now())).await {
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

    /// Heeds what the Lease says of an uninstall.
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

    /// Unwraps an answer; a failure is logged, as a warning where it is the first in a row.
    fn answered<T>(&mut self, verb: &str, answer: Result<T, CallError>) -> Option<T> {
        match answer {
            Ok(value) => {
                self.failing = false;
                Some(value)
            }
            Err(error) => {
                let LeaseSettings { namespace, name, .. } = &self.settings;
                if std::mem::replace(&mut self.failing, true) {
                    tracing::debug!(%namespace, lease = %name, request = verb, %error, "failed to access the lease again; retrying");
                } else {
                    let remedy = match error.status() {
                        Some(401 | 403) => Some("grant get, create and update on leases in this namespace"),
                        Some(404) => Some("create the namespace, or set --lease-namespace to another one"),
                        Some(_) | None => None,
                    };
                    tracing::warn!(%namespace, lease = %name, request = verb, remedy, %error, "failed to access the lease; retrying");
                }
                None
            }
        }
    }

    fn beat(&self) {
        if let Some(heartbeat) = &self.reports.heartbeat {
            heartbeat.beat();
        }
    }
}
