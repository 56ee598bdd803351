//! Preparation of an uninstall. The operator starts no more runs, its operations end, and the finalizers are removed, so that the
//! resources can be kept or deleted without an operator.
//!
//! The drain is a separate process (`tabular-operator drain`) and sends its request through the Lease ([`super::lease::drain_signal`]). The
//! operator cancels or waits for the operations. The drain needs only the permissions of the operator.

mod error;
mod listed;
mod request;

use std::io::Write;
use std::time::Duration;

use futures::future::join_all;
use kube::{Api, Client};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub use self::error::DrainError;
use self::listed::{ListedResource, list};
use self::request::{DrainRequest, LeaderAck, RENEW_INTERVAL};
use crate::cli::DrainSettings;
use crate::controller::cluster::connect::{Connection, connect};
use crate::controller::shutdown;

/// Interval between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How long no operator may lead while an operation is in progress: a Deployment may be replacing its pod.
const LEADERLESS_TIMEOUT: Duration = Duration::from_secs(30);
/// How many times finalizers are listed: a write of the operator may be in flight during the first list, and another during the second.
const FINALIZER_LISTS: usize = 3;
/// How many finalizers are removed at the same time. Even if all these patches take until their timeout, the request does not expire.
const CONCURRENT_REMOVALS: usize = 8;

/// Prepares the cluster for an uninstall of the operator, and writes to `out` which operations are in progress.
///
/// After a success, the operator starts no runs for another minute, within which it must be removed. After a failure, the operator
/// continues as before.
///
/// # Errors
/// Why the operator must not be uninstalled yet: see [`DrainError`].
pub async fn drain(settings: DrainSettings, out: &mut (impl Write + Send)) -> Result<(), DrainError> {
    let stop = shutdown::on_signal().map_err(DrainError::Signals)?;
    let Connection { client, config: _, installation } = connect()?;
    let namespace = settings.lease_namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let mut request = DrainRequest::new(Api::namespaced(client.clone(), &namespace), &settings, installation);
    let ended = drain_until_done(&client, &mut request, &stop, out).await;
    if ended.is_err() {
        request.withdraw().await;
    }
    ended
}

async fn drain_until_done(
    client: &Client,
    request: &mut DrainRequest<'_>,
    stop: &CancellationToken,
    out: &mut impl Write,
) -> Result<(), DrainError> {
    let settings = request.settings;
    let limits = Limits { stop, timeout: settings.timeout, deadline: Instant::now() + settings.timeout };
    let mut shown = String::new();
    loop {
        // The request precedes the list: an operation that is not in progress once the operator honors the request never starts.
        let ack = request.publish(RENEW_INTERVAL).await?;
        let (found, kept) = list(client, request).await?;
        let in_progress: Vec<&ListedResource> = found.iter().filter(|found| found.is_in_progress()).collect();
        if in_progress.is_empty() && kept && ack != LeaderAck::Pending {
            if remove_finalizers(client, request, (found, &limits), out).await? {
                return Ok(());
            }
            limits.check(removal)?;
            continue;
        }
        let now = in_progress_table(&in_progress);
        if now != shown {
            write!(out, "{now}")?;
            out.flush()?;
            shown = now;
        }
        let subject = || if in_progress.len() == 1 { "1 operation is".to_owned() } else { format!("{} operations are", in_progress.len()) };
        if ack == LeaderAck::NoLeader && request.last_renewal.elapsed() > LEADERLESS_TIMEOUT {
            return Err(DrainError::NoLeader(subject(), settings.lease_name.clone()));
        }
        limits.check(subject)?;
        tokio::select! {
            () = stop.cancelled() => return Err(DrainError::Stopped),
            () = sleep(POLL_INTERVAL) => {}
        }
    }
}

/// What ends a drain early.
struct Limits<'a> {
    stop: &'a CancellationToken,
    timeout: Duration,
    deadline: Instant,
}

impl Limits<'_> {
    /// An error if a signal was received or the time is over. `subject` is what is still in progress, with its verb.
    fn check(&self, subject: impl FnOnce() -> String) -> Result<(), DrainError> {
        if self.stop.is_cancelled() {
            return Err(DrainError::Stopped);
        }
        if Instant::now() >= self.deadline { Err(DrainError::TimedOut(subject(), self.timeout)) } else { Ok(()) }
    }
}

/// Removes the finalizers. No operation is running, so none is needed. The next installation adds one before it starts a run. A later
/// list finds a finalizer that the operator was adding when it received the request, and a resource that changed meanwhile. Returns false
/// if an operation has started, or if the operator may start one.
async fn remove_finalizers(
    client: &Client,
    request: &mut DrainRequest<'_>,
    (mut found, limits): (Vec<ListedResource>, &Limits<'_>),
    out: &mut impl Write,
) -> Result<bool, DrainError> {
    let mut failed = Vec::new();
    for round in 0..FINALIZER_LISTS {
        if round > 0 {
            sleep(POLL_INTERVAL).await;
            let (listed, kept) = list(client, request).await?;
            if !kept || listed.iter().any(ListedResource::is_in_progress) {
                return Ok(false);
            }
            found = listed;
        }
        let with_finalizer: Vec<&ListedResource> = found.iter().filter(|found| found.has_finalizer()).collect();
        failed.clear();
        for some in with_finalizer.chunks(CONCURRENT_REMOVALS) {
            // The operator adds the finalizers again that were removed.
            limits.check(removal)?;
            if request.publish(RENEW_INTERVAL).await? == LeaderAck::Pending {
                return Ok(false);
            }
            let removals = join_all(some.iter().map(|found| found.remove_finalizer(client))).await;
            for (found, removal) in some.iter().zip(removals) {
                match removal {
                    Ok(()) => {}
                    Err(error) if error.is_not_found() => {}
                    Err(error) => failed.push(format!("{}: {error}", found.name())),
                }
            }
        }
        if round > 0 && with_finalizer.is_empty() {
            break;
        }
    }
    if request.renew().await? == LeaderAck::Pending {
        return Ok(false);
    }
    for failed in &failed {
        writeln!(out, "failed to remove the finalizer of {failed}")?;
    }
    let continues_without_resource = found.iter().filter(|found| found.continues_without_resource()).count();
    if continues_without_resource > 0 {
        writeln!(out, "{continues_without_resource} operations continue at the service: the deletionPolicy of their resources is Orphan")?;
    }
    let without = if failed.is_empty() { "without a finalizer" } else { "the ones listed above with their finalizer" };
    writeln!(out, "no other operation is in progress; {} resources remain, {without}: you can uninstall the operator now", found.len())?;
    Ok(true)
}

/// What is in progress during the removal, with its verb.
fn removal() -> String {
    "the removal of the finalizers is".to_owned()
}

/// The operations in progress, one per line.
fn in_progress_table(in_progress: &[&ListedResource]) -> String {
    let lines = in_progress.iter().map(|found| format!("  {}  {}  {}\n", found.name(), found.run("state"), found.run("message")));
    format!("{} in progress:\n{}", in_progress.len(), lines.collect::<String>())
}

#[cfg(test)]
mod tests;
