//! Preparation of an uninstall. The operator starts no more runs, its operations end, and the finalizers are removed, so that the
//! resources can be kept or deleted without an operator.
//!
//! The drain is a separate process (`tabular-operator drain`) and sends its request through the Lease ([`super::lease::drain_signal`]). The
//! operator cancels or waits for the operations. The drain needs only the permissions of the operator.

use std::io::{self, Write};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::{Api, Client, Resource as _, ResourceExt as _};
use serde_json::json;
use thiserror::Error;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::api::{self, FINALIZER, Kind, ModelResource};
use crate::cli::{DrainRuns, DrainSettings};
use crate::controller::cluster::connect::{ClientError, Connection, connect};
use crate::controller::cluster::timeout::{ApiError, with_timeout};
use crate::controller::lease::drain_signal::{self, ANNOTATION, SIGNAL_TTL};
use crate::controller::lease::{installation, is_held};
use crate::controller::shutdown;
use crate::engine::DrainMode;

/// Timeout for one request to the Kubernetes API.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Interval at which the request in the Lease is renewed before it expires.
const RENEW_INTERVAL: Duration = Duration::from_secs(SIGNAL_TTL.as_secs() / 4);
/// How long no operator may lead while an operation is in progress: a Deployment may be replacing its pod.
const LEADERLESS_TIMEOUT: Duration = Duration::from_secs(30);
/// How many times finalizers are listed: a write of the operator may be in flight during the first list, and another during the second.
const FINALIZER_LISTS: usize = 3;
/// The maximum number of resources in one list response.
const PAGE_SIZE: u32 = 250;

/// Why the operator must not be uninstalled yet.
#[derive(Debug, Error)]
pub enum DrainError {
    /// No client of the Kubernetes API can be set up.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The Kubernetes API rejected a request or could not be reached.
    #[error("failed to {0}: {1}")]
    Call(&'static str, #[source] ApiError),
    /// Signal handlers cannot be installed.
    #[error("failed to listen for SIGTERM: {0}")]
    Signals(#[source] io::Error),
    /// The output cannot be written.
    #[error("failed to write the output: {0}")]
    Output(#[from] io::Error),
    /// Operations were still in progress at the timeout.
    #[error(
        "{0} still in progress after {after}, and the operator continues as before: retry later, increase --timeout, or leave running \
         operations alone (in the chart: uninstall.runs=Leave, or helm uninstall --no-hooks)",
        after = humantime::format_duration(*.1)
    )]
    TimedOut(String, Duration),
    /// No operator leads that could end the operations.
    #[error(
        "{0} in progress, and no operator holds the Lease {1}, so nothing is polled or cancelled: repair the operator, or leave running \
         operations alone (in the chart: uninstall.runs=Leave, or helm uninstall --no-hooks)"
    )]
    NoLeader(String, String),
    /// A signal stopped the drain.
    #[error("stopped by a signal; the operator continues as before")]
    Stopped,
}

impl DrainError {
    /// 2 if only other settings resolve the error, otherwise 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Client(_) => 2,
            Self::Call(..) | Self::Signals(_) | Self::Output(_) | Self::TimedOut(..) | Self::NoLeader(..) | Self::Stopped => 1,
        }
    }
}

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
    let mut request = DrainRequest {
        leases: Api::namespaced(client.clone(), &namespace),
        settings: &settings,
        installation,
        written: None,
        count: 0,
        last_renewal: Instant::now(),
        acknowledged: false,
    };
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
    let deadline = Instant::now() + settings.timeout;
    let mut shown = String::new();
    loop {
        // The request precedes the list: an operation that is not in progress once the operator honors the request never starts.
        let ack = request.publish().await?;
        let found = list(client, &settings.namespaces).await?;
        let in_progress: Vec<&ListedResource> = found.iter().filter(|found| found.is_in_progress()).collect();
        if in_progress.is_empty() && ack != LeaderAck::Pending {
            return remove_finalizers(client, settings, found, out).await;
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
        if Instant::now() >= deadline {
            return Err(DrainError::TimedOut(subject(), settings.timeout));
        }
        tokio::select! {
            () = stop.cancelled() => return Err(DrainError::Stopped),
            () = sleep(POLL_INTERVAL) => {}
        }
    }
}

/// Removes the finalizers. No operation is running, so none is needed. The next installation adds one before it starts a run. A later
/// list finds a finalizer that the operator was adding when it received the request, and a resource that changed meanwhile.
async fn remove_finalizers(
    client: &Client,
    settings: &DrainSettings,
    mut found: Vec<ListedResource>,
    out: &mut impl Write,
) -> Result<(), DrainError> {
    let mut failed = Vec::new();
    for round in 0..FINALIZER_LISTS {
        if round > 0 {
            sleep(POLL_INTERVAL).await;
            found = list(client, &settings.namespaces).await?;
        }
        let with_finalizer: Vec<&ListedResource> = found.iter().filter(|found| found.has_finalizer()).collect();
        failed.clear();
        for found in &with_finalizer {
            match found.remove_finalizer(client).await {
                Ok(()) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => failed.push(format!("{}: {error}", found.name())),
            }
        }
        if round > 0 && with_finalizer.is_empty() {
            break;
        }
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
    Ok(())
}

/// Which process has received the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaderAck {
    /// The leader has received it.
    Acknowledged,
    /// The leader has not received it yet.
    Pending,
    /// There is no leader.
    NoLeader,
}

/// The request in the Lease and its progress.
struct DrainRequest<'a> {
    leases: Api<Lease>,
    settings: &'a DrainSettings,
    /// The installation of this process, if it is known.
    installation: Option<String>,
    /// The version of the Lease that this process wrote last, and when.
    written: Option<(Option<String>, Instant)>,
    count: u64,
    /// When another client was last observed to have written the Lease, or when the drain started.
    last_renewal: Instant,
    /// Whether a holder has written the Lease since the request.
    acknowledged: bool,
}

impl DrainRequest<'_> {
    /// Writes the request when it is due, and returns whether the leader has received it. It stays received, because a new holder reads
    /// it with the Lease that it acquires.
    async fn publish(&mut self) -> Result<LeaderAck, DrainError> {
        let failed = |error| DrainError::Call("read the operator's Lease", error);
        let Some(lease) = with_timeout(REQUEST_TIMEOUT, self.leases.get_opt(&self.settings.lease_name)).await.map_err(failed)? else {
            return Ok(LeaderAck::NoLeader);
        };
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
        if self.written.as_ref().is_none_or(|(_, at)| at.elapsed() > RENEW_INTERVAL) {
            self.write(lease).await?;
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
        match self.replace(&lease).await {
            Ok(written) => self.written = Some((written.metadata.resource_version, Instant::now())),
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
    async fn withdraw(&self) {
        for _ in 0..5 {
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

/// A resource as it was listed, of any version of the CRD.
struct ListedResource {
    kind: Kind,
    object: DynamicObject,
}

impl ListedResource {
    fn name(&self) -> String {
        format!("{} {}/{}", self.kind.as_str(), self.object.namespace().unwrap_or_default(), self.object.name_any())
    }

    fn run(&self, field: &str) -> &str {
        self.object.data["status"]["run"][field].as_str().unwrap_or_default()
    }

    /// Whether an operation may be running.
    fn has_operation(&self) -> bool {
        matches!(self.run("state"), "Submitting" | "Running" | "Cancelling")
    }

    /// Whether the operation continues without the resource, so that the drain does not wait for it.
    fn continues_without_resource(&self) -> bool {
        self.has_operation() && self.object.data["spec"]["deletionPolicy"] == "Orphan"
    }

    fn is_in_progress(&self) -> bool {
        self.has_operation() && !self.continues_without_resource()
    }

    /// Whether it has the finalizer of the operator.
    fn has_finalizer(&self) -> bool {
        api::has_finalizer(&self.object.metadata)
    }

    async fn remove_finalizer(&self, client: &Client) -> Result<(), ApiError> {
        let ObjectMeta { namespace, uid, resource_version, .. } = &self.object.metadata;
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace.as_deref().unwrap_or_default(), &resource(self.kind));
        let others: Vec<&String> = self.object.finalizers().iter().filter(|name| *name != FINALIZER).collect();
        let patch = json!({"metadata": {"finalizers": others, "uid": uid, "resourceVersion": resource_version}});
        with_timeout(REQUEST_TIMEOUT, api.patch(&self.object.name_any(), &PatchParams::default(), &Patch::Merge(patch))).await.map(drop)
    }
}

fn resource(kind: Kind) -> ApiResource {
    ApiResource {
        group: ModelResource::group(&kind).into_owned(),
        version: ModelResource::version(&kind).into_owned(),
        api_version: ModelResource::api_version(&kind).into_owned(),
        kind: kind.as_str().to_owned(),
        plural: ModelResource::plural(&kind).into_owned(),
    }
}

/// Lists all resources of the namespaces, or of all namespaces if there are none.
async fn list(client: &Client, namespaces: &[String]) -> Result<Vec<ListedResource>, DrainError> {
    let mut all = Vec::new();
    for &kind in Kind::ALL {
        let of = resource(kind);
        let apis: Vec<Api<DynamicObject>> = if namespaces.is_empty() {
            vec![Api::all_with(client.clone(), &of)]
        } else {
            namespaces.iter().map(|namespace| Api::namespaced_with(client.clone(), namespace, &of)).collect()
        };
        for api in apis {
            let mut page = ListParams::default().limit(PAGE_SIZE);
            loop {
                let list = match with_timeout(REQUEST_TIMEOUT, api.list(&page)).await {
                    Ok(list) => list,
                    // The CRD does not exist, so neither do its resources.
                    Err(error) if error.is_not_found() => break,
                    Err(error) => return Err(DrainError::Call("list the resources", error)),
                };
                all.extend(list.items.into_iter().map(|object| ListedResource { kind, object }));
                match list.metadata.continue_.filter(|token| !token.is_empty()) {
                    Some(token) => page = page.continue_token(&token),
                    None => break,
                }
            }
        }
    }
    Ok(all)
}

/// The operations in progress, one per line.
fn in_progress_table(in_progress: &[&ListedResource]) -> String {
    let lines = in_progress.iter().map(|found| format!("  {}  {}  {}\n", found.name(), found.run("state"), found.run("message")));
    format!("{} in progress:\n{}", in_progress.len(), lines.collect::<String>())
}
