//! The scope of a watch, and access to its cache.

use std::fmt;

use kube::runtime::reflector::Store;
use tokio_util::sync::CancellationToken;

use super::watched::Watched;
use crate::api::Kind;

/// The resources that one watch shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct WatchScope {
    pub(super) kind: Kind,
    /// `None` is all namespaces.
    pub(super) namespace: Option<String>,
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
pub(super) struct WatchHandle {
    pub(super) store: Store<Watched>,
    /// Cancelled once the store has held all resources of the scope.
    pub(super) synced: CancellationToken,
}
