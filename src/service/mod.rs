//! The clients of the services, and their identities. Independent of Kubernetes.
//!
//! [`Azure`] is created once and shared. [`Azure::analysis_services`] and [`Azure::power_bi`] return a [`Model`]. [`Model::prepare_for`]
//! returns a [`Call`], which has a permit for a call in flight and a token. Each method of `Call` makes the call and returns a type of
//! [`crate::operation`]. Pure functions in `classify` interpret a response by its status, headers and body. All other modules only
//! transport it.

pub mod analysis_services;
mod answer;
mod classify;
pub mod cloud;
mod error_body;
mod fields;
mod http;
pub mod identity;
mod location;
mod messages;
mod model;
#[doc(hidden)]
pub mod outside;
mod page;
pub mod power_bi;
mod refreshes;
mod request;
mod rows;
mod settings;
#[cfg(test)]
mod tests;
mod text;
mod timestamp;
mod traffic;
mod words;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use model::{Call, Model};
pub use refreshes::Window;
pub use settings::{Observer, Settings, SettingsError};

use analysis_services::{DatabaseName, ServerName};
use cloud::Cloud;
use identity::Identity;
use identity::managed::Metadata;
use identity::tokens::Tokens;

/// The services of one cloud: a shared HTTP client, the tokens, and the limits for calls in flight. Cheap to clone.
#[derive(Clone)]
pub struct Azure {
    shared: Arc<Shared>,
}

/// The shared state of all calls.
struct Shared {
    cloud: Cloud,
    http: http::Client,
    tokens: Tokens,
    traffic: traffic::Traffic,
    max_refresh_duration: Duration,
}

impl Azure {
    /// Creates the client. Sends no request.
    ///
    /// # Errors
    /// If the settings are invalid, such as a certificate file without a certificate.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let (http, metadata) = (http::Client::new(&settings)?, Metadata::new(&settings));
        Ok(Self::assemble(settings, http, metadata))
    }

    fn assemble(settings: Settings, http: http::Client, metadata: Metadata) -> Self {
        let tokens = Tokens::new(identity::entra::Entra::new(&settings.cloud, http.clone()), metadata);
        let traffic = traffic::Traffic::new(settings.max_calls_per_server);
        Self {
            shared: Arc::new(Shared { cloud: settings.cloud, http, tokens, traffic, max_refresh_duration: settings.max_refresh_duration }),
        }
    }

    /// The cloud of this client.
    #[must_use]
    pub fn cloud(&self) -> &Cloud {
        &self.shared.cloud
    }

    /// Number of identities that currently back off at the request of a service.
    #[must_use]
    pub fn throttled(&self) -> usize {
        self.shared.traffic.paused()
    }

    /// A database of an Analysis Services server, accessed with one identity.
    #[must_use]
    pub fn analysis_services(&self, server: ServerName, database: DatabaseName, identity: Identity) -> Model {
        Model::analysis_services(Arc::clone(&self.shared), server, database, identity)
    }

    /// A semantic model of Power BI, accessed with one identity. A model that is given by names supports only [`Call::resolve`]. Create
    /// another one with the resulting ids for other calls.
    ///
    /// # Errors
    /// One sentence, if the operator's cloud has no Power BI.
    pub fn power_bi(&self, model: power_bi::ModelName, identity: Identity) -> Result<Model, String> {
        let address = self.shared.cloud.power_bi.clone();
        let address = address.ok_or_else(|| format!("the operator's cloud ({}) has no Power BI", self.shared.cloud.name))?;
        Ok(Model::power_bi(Arc::clone(&self.shared), address, model, identity))
    }
}

impl fmt::Debug for Azure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Azure").field("cloud", &self.shared.cloud.name).finish_non_exhaustive()
    }
}
