//! The resources of a scope, kept up to date. A lost connection is reported, and the watch continues. A watch that the API server refuses ends.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::time::Duration;

use futures::stream::{self, SelectAll, Stream, StreamExt as _};
use kube::Api;
use kube::api::DynamicObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use tabular_operator::api::{Kind, ResourceKey};
use tokio::time::Instant;

use crate::connect::Connection;
use crate::failure::{Cause, Failure, Request};
use crate::objects::{Listed, Object, Scope, Undecodable};
use crate::target::Target;

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The resources.
    Objects,
    /// The connection was lost.
    Lost(Failure),
    /// The connection was restored.
    Restored,
    /// A new version of a resource cannot be decoded. Its last readable version stays.
    Undecodable(Undecodable),
    /// The API server refuses the watch, and would refuse it again.
    Refused(Failure),
}

type Events = Pin<Box<dyn Stream<Item = (Kind, watcher::Result<Event<DynamicObject>>)>>>;

/// How long one watch request lasts, in seconds. Less than the read timeout of the connection.
pub const WATCH_SECONDS: u32 = 60;

/// How many refusals of a kind end a watch that had a list: an API server that has just started may not know its roles yet. At least as many
/// rejections of the credentials end each watch.
const MOST_REFUSALS: u32 = 3;
/// For how long the API server must reject the credentials: one that has just started may not be able to check them yet.
const LONGEST_REJECTION: Duration = Duration::from_secs(30);
/// After this time without a refusal, the next one is the first: the API server accepted a watch meanwhile, which may have had no events.
const REFUSALS_APART: Duration = Duration::from_secs(2 * WATCH_SECONDS as u64);

fn config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS)
}

/// Watches from a list. After an interruption, it starts again with a list, which shows that the connection is restored even if nothing
/// has changed.
fn events(api: Api<DynamicObject>, config: watcher::Config) -> impl Stream<Item = watcher::Result<Event<DynamicObject>>> {
    let start = move || watcher::watcher(api.clone(), config.clone()).boxed_local();
    let states = stream::unfold((start(), start), |(mut watcher, start)| async move {
        let event = watcher.next().await?;
        let interrupted = event.as_ref().is_err_and(|error| !is_refused(error));
        let watcher = if interrupted { start() } else { watcher };
        Some((event, (watcher, start)))
    });
    states.default_backoff()
}

/// Whether the API server refuses a watch, which another list would not change.
fn is_refused(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if matches!(status.code, 401 | 403 | 404))
}

/// Refusals of a kind for the same cause, without a response in between.
struct Refusals {
    cause: Cause,
    count: u32,
    first: Instant,
    last: Instant,
}

/// The resources of a scope, and their changes.
pub struct Watch {
    objects: BTreeMap<ResourceKey, Object>,
    events: SelectAll<Events>,
    /// The resources of each kind that the list in progress has so far.
    listing: BTreeMap<Kind, BTreeSet<ResourceKey>>,
    /// The kinds whose watch is interrupted.
    lost: BTreeSet<Kind>,
    /// The kinds that were listed completely.
    listed: BTreeSet<Kind>,
    /// The refusals of each kind since its last response.
    refusals: BTreeMap<Kind, Refusals>,
    /// The kinds whose refusal ends the watch.
    required: BTreeSet<Kind>,
    /// The other kinds that the API server refuses.
    left_out: BTreeSet<Kind>,
    /// The resources whose current version cannot be decoded.
    undecodable: BTreeSet<ResourceKey>,
    namespace: Option<String>,
}

impl Watch {
    /// Watches the resources of these kinds. `listed` is what a list of the scope returned.
    #[must_use]
    pub fn of(connection: &Connection, scope: &Scope, kinds: &BTreeSet<Kind>, listed: Listed) -> Self {
        let config = watcher::Config { label_selector: scope.selector.clone(), ..config() };
        let kinds = kinds.iter().map(|kind| (*kind, config.clone()));
        Self::new(connection, scope.namespace.clone(), kinds, listed)
    }

    /// Watches a resource of this kind, and all resources of a scope that may share its model. If the API server refuses the other kind,
    /// its resources are left out.
    #[must_use]
    pub fn of_neighbors(connection: &Connection, scope: &Scope, kind: Kind, listed: Listed) -> Self {
        let all: BTreeSet<Kind> = Kind::ALL.iter().copied().collect();
        Self { required: [kind].into(), ..Self::of(connection, scope, &all, listed) }
    }

    /// Watches one resource.
    #[must_use]
    pub fn of_one(connection: &Connection, target: &Target, object: Object) -> Self {
        let config = config().fields(&format!("metadata.name={}", target.name));
        let listed = Listed { objects: vec![object], ..Listed::default() };
        Self::new(connection, Some(connection.namespace.clone()), [(target.kind, config)].into_iter(), listed)
    }

    fn new(
        connection: &Connection,
        namespace: Option<String>,
        kinds: impl Iterator<Item = (Kind, watcher::Config)>,
        listed: Listed,
    ) -> Self {
        let kinds: Vec<(Kind, watcher::Config)> = kinds.collect();
        let required = kinds.iter().map(|(kind, _)| *kind).collect();
        let events = kinds.into_iter().map(|(kind, config)| -> Events {
            events(connection.api(kind, namespace.as_deref()), config).map(move |event| (kind, event)).boxed_local()
        });
        Self {
            objects: listed.objects.into_iter().map(|object| (object.key(), object)).collect(),
            events: events.collect(),
            listing: BTreeMap::new(),
            lost: BTreeSet::new(),
            listed: BTreeSet::new(),
            refusals: BTreeMap::new(),
            required,
            left_out: BTreeSet::new(),
            // The caller has reported them.
            undecodable: listed.undecodable.into_iter().map(|undecodable| undecodable.key).collect(),
            namespace,
        }
    }

    /// The current resources.
    #[must_use]
    pub fn objects(&self) -> Vec<Object> {
        self.objects.values().cloned().collect()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, key: &ResourceKey) -> Option<&Object> {
        self.objects.get(key)
    }

    /// Whether the resources of a kind are left out, or the current version of a resource.
    #[must_use]
    pub fn leaves_out(&self) -> bool {
        !self.left_out.is_empty() || !self.undecodable.is_empty()
    }

    /// Waits for the next change. Can be dropped while it waits.
    pub async fn next(&mut self) -> Change {
        loop {
            let Some((kind, event)) = self.events.next().await else { return std::future::pending().await };
            if let Some(change) = self.apply(kind, event) {
                return change;
            }
        }
    }

    fn apply(&mut self, kind: Kind, event: watcher::Result<Event<DynamicObject>>) -> Option<Change> {
        if matches!(event, Ok(Event::InitDone | Event::Apply(_) | Event::Delete(_))) {
            self.refusals.remove(&kind);
        }
        match event {
            Ok(Event::Init) => {
                self.listing.insert(kind, BTreeSet::new());
                None
            }
            Ok(Event::InitApply(object)) => {
                let (key, undecodable) = self.insert(kind, object);
                self.listing.entry(kind).or_default().insert(key);
                undecodable
            }
            Ok(Event::InitDone) => {
                self.listed.insert(kind);
                self.left_out.remove(&kind);
                let listed = self.listing.remove(&kind).unwrap_or_default();
                self.objects.retain(|key, _| key.kind != kind || listed.contains(key));
                self.undecodable.retain(|key| key.kind != kind || listed.contains(key));
                Some(self.no_longer_lost(kind))
            }
            Ok(Event::Apply(object)) => {
                let (_, undecodable) = self.insert(kind, object);
                let change = self.no_longer_lost(kind);
                Some(undecodable.unwrap_or(change))
            }
            Ok(Event::Delete(object)) => {
                let key = Object::parse(kind, object).map_or_else(|undecodable| undecodable.key, |object| object.key());
                self.objects.remove(&key);
                self.undecodable.remove(&key);
                Some(Change::Objects)
            }
            Err(error) if is_expired(&error) => None,
            Err(error) => {
                let failure = self.describe(kind, &error);
                if matches!(failure.cause, Cause::Unauthorized | Cause::Forbidden | Cause::NotInstalled) {
                    return self.count_refusal(kind, failure.cause).then(|| self.refuse(kind, failure));
                }
                // Each attempt to reconnect fails in the same way: the first one is enough.
                let first = self.lost.is_empty();
                self.lost.insert(kind);
                first.then_some(Change::Lost(failure))
            }
        }
    }

    /// What changed with a response about a kind.
    fn no_longer_lost(&mut self, kind: Kind) -> Change {
        if self.lost.remove(&kind) && self.lost.is_empty() { Change::Restored } else { Change::Objects }
    }

    /// Counts a refusal, and returns whether the API server would refuse the kind again. That is reported once.
    fn count_refusal(&mut self, kind: Kind, cause: Cause) -> bool {
        let now = Instant::now();
        let before = self.refusals.remove(&kind).filter(|before| before.cause == cause && now - before.last <= REFUSALS_APART);
        let (count, first) = before.map_or((1, now), |before| (before.count + 1, before.first));
        self.refusals.insert(kind, Refusals { cause, count, first, last: now });
        // A permission or a definition that is missing from the start will not appear. The credentials were valid before.
        let is_rejected = cause == Cause::Unauthorized;
        let most = if is_rejected || self.listed.contains(&kind) { MOST_REFUSALS } else { 1 };
        count >= most && (!is_rejected || now - first >= LONGEST_REJECTION) && !self.left_out.contains(&kind)
    }

    /// Handles a kind that the API server refuses.
    fn refuse(&mut self, kind: Kind, failure: Failure) -> Change {
        if self.required.contains(&kind) {
            return Change::Refused(failure);
        }
        self.left_out.insert(kind);
        self.objects.retain(|key, _| key.kind != kind);
        self.undecodable.retain(|key| key.kind != kind);
        self.no_longer_lost(kind)
    }

    /// Adds a resource, and returns its key. One that cannot be decoded keeps its last readable version, and is reported once.
    fn insert(&mut self, kind: Kind, object: DynamicObject) -> (ResourceKey, Option<Change>) {
        match Object::parse(kind, object) {
            Ok(object) => {
                let key = object.key();
                self.undecodable.remove(&key);
                self.objects.insert(key.clone(), object);
                (key, None)
            }
            Err(undecodable) => {
                let key = undecodable.key.clone();
                let is_new = self.undecodable.insert(key.clone());
                (key, is_new.then_some(Change::Undecodable(undecodable)))
            }
        }
    }

    fn describe(&self, kind: Kind, error: &watcher::Error) -> Failure {
        let verb = if matches!(error, watcher::Error::InitialListFailed(_)) { "list" } else { "watch" };
        let request = Request::new(verb, kind, self.namespace.as_deref(), None);
        match error {
            watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
                request.failed(error)
            }
            watcher::Error::WatchError(status) => request.failed(&kube::Error::Api(status.clone())),
            watcher::Error::NoResourceVersion => Failure::new("the API server returned no resourceVersion"),
        }
    }
}

/// Whether the API server ended the watch because its version is too old, which a new list resolves.
fn is_expired(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchError(status) if status.code == 410)
}

#[cfg(test)]
mod tests;
