//! The kinds of resources, and their names in tests: `orders` is a `ModelRefresh`, `modelsync/orders` a `ModelSync`.

use kube::api::Api;
use kube::core::{ApiResource, Object};
use kube::{Client, Resource as _};
use serde_json::Value;
use tabular_operator::api::{ModelRefresh, ModelSync, Status};

/// A resource of either kind with an untyped spec.
pub type AnyObject = Object<Value, Status>;

/// A kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `ModelRefresh`.
    Refresh,
    /// `ModelSync`.
    Sync,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Refresh, Self::Sync];

    /// The resource in the API.
    #[must_use]
    pub fn resource(self) -> ApiResource {
        match self {
            Self::Refresh => ApiResource::erase::<ModelRefresh>(&()),
            Self::Sync => ApiResource::erase::<ModelSync>(&()),
        }
    }

    /// Its name in a manifest.
    #[must_use]
    pub fn name(self) -> String {
        self.resource().kind
    }

    /// The test name of a resource of this kind.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Refresh => "",
            Self::Sync => "modelsync/",
        }
    }

    /// The kind and the name in a test name.
    #[must_use]
    pub fn of(named: &str) -> (Self, &str) {
        named.strip_prefix(Self::Sync.prefix()).map_or((Self::Refresh, named), |name| (Self::Sync, name))
    }

    /// Its API in a namespace.
    #[must_use]
    pub fn api(self, client: &Client, namespace: &str) -> Api<AnyObject> {
        Api::namespaced_with(client.clone(), namespace, &self.resource())
    }

    /// The `apiVersion` in a manifest.
    #[must_use]
    pub fn api_version() -> String {
        ModelRefresh::api_version(&()).into_owned()
    }
}
