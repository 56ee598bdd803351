//! Records every version of a namespace's resources from a watch.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use kube::api::{DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::{AnyObject, Kind};

/// One version of one resource.
#[derive(Clone, Debug)]
pub struct Version {
    /// Its name in tests ([`Kind::of`]).
    pub named: String,
    /// The object, with spec and status as received.
    pub object: DynamicObject,
    /// Whether this is the final version of a deleted object.
    pub deleted: bool,
}

impl Version {
    fn new(kind: Kind, object: DynamicObject, deleted: bool) -> Self {
        Self { named: format!("{}{}", kind.prefix(), object.name_any()), object, deleted }
    }

    /// The typed resource.
    ///
    /// # Errors
    /// When it does not match the types.
    pub fn decode(&self) -> Result<AnyObject, serde_json::Error> {
        serde_json::from_value(serde_json::to_value(&self.object)?)
    }
}

/// The versions so far, oldest first.
type Versions = Arc<Mutex<Vec<Arc<Version>>>>;

/// A watch that continues until dropped.
#[derive(Debug)]
pub struct Recorder {
    versions: Versions,
    count: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

impl Recorder {
    /// Starts to record in `namespace`.
    pub async fn start(client: Client, namespace: &str) -> Self {
        let versions = Versions::default();
        let (changed, count) = watch::channel(0);
        let mut tasks = JoinSet::new();
        for kind in Kind::ALL {
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind.resource());
            let list = api.list(&ListParams::default()).await.expect("failed to list");
            let from = list.metadata.resource_version.unwrap_or_default();
            versions
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(list.items.into_iter().map(|object| Arc::new(Version::new(kind, object, false))));
            tasks.spawn(record(kind, api, from, Arc::clone(&versions), changed.clone()));
        }
        Self { versions, count, _tasks: tasks }
    }

    /// All versions so far, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Version>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All versions of one resource so far, oldest first.
    #[must_use]
    pub fn of(&self, name: &str) -> Vec<Arc<Version>> {
        self.all().into_iter().filter(|version| version.named == name).collect()
    }

    /// The latest version of one resource.
    #[must_use]
    pub fn latest(&self, name: &str) -> Option<Arc<Version>> {
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.iter().rev().find(|version| version.named == name).cloned()
    }

    /// Waits for a version of this resource for which `check` returns a value, starting with the latest one; the caller sets the deadline.
    pub async fn wait<T>(&self, name: &str, mut check: impl FnMut(&Version) -> Option<T>) -> T {
        let mut count = self.count.clone();
        let mut next = self.all().iter().rposition(|version| version.named == name).unwrap_or(0);
        loop {
            count.borrow_and_update();
            let fresh = self.versions.lock().unwrap_or_else(PoisonError::into_inner)[next..].to_vec();
            next += fresh.len();
            let mut ours = fresh.iter().filter(|version| version.named == name);
            if let Some(found) = ours.find_map(|version| check(version)) {
                return found;
            }
            count.changed().await.expect("the watch is running");
        }
    }
}

/// Consumes the watch. It never lists again: a missed version would be missed silently.
async fn record(kind: Kind, api: Api<DynamicObject>, mut from: String, versions: Versions, changed: watch::Sender<usize>) {
    loop {
        let mut events = match api.watch(&WatchParams::default(), &from).await {
            Ok(events) => events.boxed(),
            // Without a response nothing was missed: the watch continues at its last version.
            Err(kube::Error::HyperError(_) | kube::Error::Service(_)) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            Err(error) => panic!("the recorder's watch failed: {error}"),
        };
        while let Some(event) = events.next().await {
            let (object, deleted) = match event {
                Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => (object, false),
                Ok(WatchEvent::Deleted(object)) => (object, true),
                Ok(WatchEvent::Bookmark(bookmark)) => {
                    from = bookmark.metadata.resource_version;
                    continue;
                }
                Ok(WatchEvent::Error(error)) => panic!("the recorder's watch failed: {error:?}"),
                // The connection ended; the watch continues at its last version.
                Err(_) => break,
            };
            from = object.resource_version().unwrap_or(from);
            let mut all = versions.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(Arc::new(Version::new(kind, object, deleted)));
            changed.send_replace(all.len());
        }
    }
}
