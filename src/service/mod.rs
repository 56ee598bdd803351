//! The clients of the services, and the identities that they are called with. Knows nothing of Kubernetes.
//!
//! [`Azure`] is made once and shared. [`Azure::analysis_services`] and [`Azure::power_bi`] give a [`Model`];
//! [`Model::prepare_for`] gives a [`Call`], which holds a place among the calls in flight and a token; and the call is made by one of its methods,
//! each of which answers in the words of [`crate::operation`]. What an answer means is decided in `classify`, by
//! pure functions over its status, headers and body; everything else here only carries.

pub mod analysis_services;
mod answer;
mod classify;
pub mod cloud;
mod error_body;
mod fields;
mod http;
pub mod identity;
mod kind;
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
pub use traffic::CallKind;

use analysis_services::{DatabaseName, ServerName};
use cloud::Cloud;
use identity::Identity;
use identity::managed::Metadata;
use identity::tokens::Tokens;
use kind::Service;

/// The services of one cloud: a shared HTTP client, the tokens, and the limits on calls in flight. Cheap to clone.
#[derive(Clone)]
pub struct Azure {
    shared: Arc<Shared>,
}

/// What every call needs.
struct Shared {
    cloud: Cloud,
    http: http::Client,
    tokens: Tokens,
    traffic: traffic::Traffic,
    max_refresh_duration: Duration,
}

impl Azure {
    /// Makes the client; nothing is called yet.
    ///
    /// # Errors
    /// Where the settings cannot be used, such as a certificate file that holds no certificate.
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

    /// The cloud that this client speaks to.
    #[must_use]
    pub fn cloud(&self) -> &Cloud {
        &self.shared.cloud
    }

    /// How many identities a service has asked to stay away for a while, and still do.
    #[must_use]
    pub fn throttled(&self) -> usize {
        self.shared.traffic.paused()
    }

    /// One database of an Analysis Services server, as one identity sees it.
    #[must_use]
    pub fn analysis_services(&self, server: ServerName, database: DatabaseName, identity: Identity) -> Model {
        Model::analysis_services(Arc::clone(&self.shared), server, database, identity)
    }

    /// One semantic model of Power BI, as one identity sees it. One that is named by names can only be resolved
    /// ([`Call::resolve`]); what it resolves to is asked for anew, by its ids.
    ///
    /// # Errors
    /// One sentence, where the operator's cloud has no Power BI.
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
