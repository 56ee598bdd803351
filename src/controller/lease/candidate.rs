//! The loop of one candidate: seek the Lease, keep it, and give it back.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::{Instant, sleep, sleep_until};

use super::handle::{LeaseHandle, Standing};
use super::leaving::Heard;
use super::record::{self, Sighting, Verdict};
use super::{LeaseReports, LeaseSettings};
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

/// How keeping ended.
enum Kept {
    /// Told to stop.
    Told(Box<Lease>),
    /// Why it is held no more.
    Lost(String),
}

impl Candidate {
    pub(super) fn new(client: Client, settings: LeaseSettings, reports: LeaseReports, handle: LeaseHandle) -> Self {
        let leases = Api::namespaced(client, &settings.namespace);
        Self { leases, settings, reports, handle, failing: false, heard: Heard::default() }
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
                    self.give_back(Some(*lease)).await;
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
        let mut sighting = None;
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
                Some(found) => match self.claim(found, &mut sighting) {
                    Ok(claim) => {
                        self.heed(&claim);
                        // Not cut short by a stop: what is sent may be done.
                        let sent = self.write(&claim).await;
                        open = matches!(&sent, Err(error) if !error.is_conflict());
                        if let Some(holding) = self.answered("take", sent) {
                            return Sought::Found(Box::new(holding));
                        }
                    }
                    Err(wait) => pause = pause.min(wait),
                },
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Sought::Told { open },
                () = sleep(pause) => {}
            }
        }
    }

    /// The Lease as it is to be written, or how long it is sure to be another's.
    fn claim(&self, found: Option<Lease>, sighting: &mut Option<Sighting>) -> Result<Lease, Duration> {
        let now = Instant::now();
        let Some(lease) = found else {
            *sighting = None;
            return Ok(record::taken(None, &self.settings, Timestamp::now()));
        };
        let seen = Sighting::of(&lease, sighting.take(), now);
        let verdict = record::judge(&lease, &seen, &self.settings, now);
        *sighting = Some(seen);
        match verdict {
            Verdict::Free => Ok(record::taken(Some(lease), &self.settings, Timestamp::now())),
            Verdict::Ours => Ok(record::renewed(lease, &self.settings, Timestamp::now())),
            Verdict::Taken { by, until } => {
                self.stand_by(&by);
                Err(until.saturating_duration_since(now))
            }
        }
    }

    fn stand_by(&self, holder: &str) {
        let standing = Standing::Seeking { holder: Some(holder.to_owned()) };
        if self.handle.set(standing) {
            tracing::info!(lease = %self.settings.name, holder, "standing by: another holds the lease");
        }
    }

    /// Renews until told to stop, or until it is too late.
    async fn keep(&mut self, mut holding: Holding) -> Kept {
        let stop = self.handle.stop().clone();
        let term = record::transitions(&holding.lease);
        self.hold(&holding, term);
        tracing::info!(lease = %self.settings.name, identity = %self.settings.identity, term, "holding the lease");
        loop {
            self.beat();
            tokio::select! {
                biased;
                () = sleep_until(holding.until) => return self.run_out(),
                () = stop.cancelled() => return Kept::Told(Box::new(holding.lease)),
                () = sleep_until(holding.renew) => {}
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
                Err(error) if error.is_not_found() => {
                    return Kept::Lost("the Lease was deleted".to_owned());
                }
                Err(error) if error.is_conflict() => match self.look_again(holding.until).await {
                    Ok(Some(lease)) => {
                        // Before the renewal, which says that it is heeded.
                        self.heed(&lease);
                        holding.lease = lease;
                        holding.renew = Instant::now();
                    }
                    Ok(None) => {}
                    Err(why) => return Kept::Lost(why),
                },
                other => {
                    if let Some(next) = self.answered("renew", other) {
                        holding = next;
                        self.heed(&holding.lease);
                        self.hold(&holding, term);
                    }
                }
            }
        }
    }

    /// After a renewal was refused: the answer to an earlier one was lost, or somebody edited the Lease, or another has it.
    /// It is lost unless it is seen to be still ours; `None` where it could not be seen.
    async fn look_again(&mut self, until: Instant) -> Result<Option<Lease>, String> {
        let read = tokio::select! {
            biased;
            () = sleep_until(until) => return Ok(None),
            read = bounded(self.settings.attempt(), self.leases.get_opt(&self.settings.name)) => read,
        };
        match self.answered("read", read) {
            None => Ok(None),
            Some(None) => Err("the Lease was deleted".to_owned()),
            Some(Some(lease)) => match record::holder(&lease) {
                Some(holder) if holder == self.settings.identity => Ok(Some(lease)),
                Some(holder) => Err(format!("{holder} has taken it")),
                None => Err("somebody has emptied it".to_owned()),
            },
        }
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
                    tracing::info!(lease = %self.settings.name, "gave the lease back");
                    return;
                }
                Err(error) if error.is_not_found() => return,
                Err(error) => {
                    tracing::warn!(lease = %self.settings.name, %error, "failed to give the lease back");
                }
            }
        }
    }

    /// Heeds what the Lease says of an uninstall.
    fn heed(&mut self, lease: &Lease) {
        let leaving = self.heard.hear(lease, Instant::now());
        if self.handle.set_leaving(leaving) {
            let said = if leaving.is_some() { "about to be uninstalled: no run begins any more" } else { "here to stay: runs begin again" };
            tracing::warn!(lease = %self.settings.name, ?leaving, "{said}");
        }
    }

    fn hold(&self, holding: &Holding, term: i32) {
        self.handle.set(Standing::Held { until: Some(holding.until), term: Some(term) });
    }

    fn run_out(&self) -> Kept {
        Kept::Lost(format!(
            "it could not be renewed for {}, and another may take it soon",
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
                    tracing::debug!(%namespace, lease = %name, %error, "failed again to {verb} the lease");
                } else {
                    let advice = match error.status() {
                        Some(401 | 403) => "; allow get, create and update of leases in this namespace",
                        Some(404) => "; create the namespace, or name another by --lease-namespace",
                        Some(_) | None => "",
                    };
                    tracing::warn!(%namespace, lease = %name, %error, "failed to {verb} the lease{advice}");
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
