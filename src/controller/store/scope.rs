//! The scope of a watch, and access to its cache.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use kube::runtime::reflector::Store;
use tokio_util::sync::CancellationToken;

use super::cached::CachedResource;
use crate::api::Kind;

/// The resources that one watch shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WatchScope {
    pub(crate) kind: Kind,
    /// `None` is all namespaces.
    pub(crate) namespace: Option<String>,
}

impl fmt::Display for WatchScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} in namespace {namespace}", self.kind.as_str()),
            None => write!(f, "{} in all namespaces", self.kind.as_str()),
        }
    }
}

/// Access to the cache of one watch.
pub(crate) struct WatchHandle {
    pub(crate) store: Store<CachedResource>,
    /// Cancelled once the store has held all resources of the scope.
    pub(crate) synced: CancellationToken,
    /// The number of resources whose changes the watch detects.
    pub(crate) seen: Arc<AtomicUsize>,
}
