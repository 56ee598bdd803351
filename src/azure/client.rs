//! The services of one cloud, and a model at one of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::analysis_services::{DatabaseName, ServerName};
use super::backoff::Backoffs;
use super::cloud::{Cloud, ServiceAddress};
use super::http::Client;
use super::identity::Identity;
use super::identity::entra::Entra;
use super::identity::managed::Metadata;
use super::identity::tokens::Tokens;
use super::in_flight::CallsInFlight;
use super::power_bi::{self, ModelName};
use super::session::Shared;
use super::settings::{AzureSettings, AzureSettingsError};
use crate::operation::{ModelIds, ServiceError, ServiceErrorKind, ServiceKind};

/// The services of one cloud: a shared HTTP client, the tokens, and the limits for calls in flight. Cheap to clone.
#[derive(Clone)]
pub struct Azure {
    shared: Arc<Shared>,
}

impl Azure {
    /// Creates the client. Sends no request.
    ///
    /// # Errors
    /// If the settings are invalid, such as a certificate file without a certificate.
    pub fn new(settings: AzureSettings) -> Result<Self, AzureSettingsError> {
        let (http, metadata) = (Client::new(&settings)?, Metadata::new(&settings));
        Ok(Self::assemble(settings, http, metadata))
    }

    pub(super) fn assemble(settings: AzureSettings, http: Client, metadata: Metadata) -> Self {
        let tokens = Tokens::new(Entra::new(&settings.cloud, http.clone()), metadata);
        let in_flight = CallsInFlight::new(settings.max_calls_per_server);
        Self {
            shared: Arc::new(Shared {
                cloud: settings.cloud,
                http,
                tokens,
                in_flight,
                backoffs: Backoffs::default(),
                max_refresh_duration: settings.max_refresh_duration,
            }),
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
        self.shared.backoffs.throttled_identities()
    }

    /// Removes the tokens and backoffs that have no effect any more, and returns the numbers of the others.
    #[must_use]
    pub fn purge(&self) -> AzureEntries {
        let Shared { tokens, backoffs, in_flight, .. } = &*self.shared;
        let (servers, calls) = in_flight.counts();
        AzureEntries { tokens: tokens.purge(), backoffs: backoffs.purge(), servers, calls }
    }

    /// A database of an Analysis Services server, accessed with one identity for a namespace.
    #[must_use]
    pub fn analysis_services(&self, server: ServerName, database: DatabaseName, identity: Identity, namespace: &str) -> ModelClient {
        self.model(Target::AnalysisServices { server, database }, identity, namespace)
    }

    /// A semantic model of Power BI, accessed with one identity for a namespace. A model that is given by names supports only
    /// [`super::Call::resolve`]. Create another one with the resulting ids for other calls.
    ///
    /// # Errors
    /// One sentence, if the operator's cloud has no Power BI.
    pub fn power_bi(&self, model: ModelName, identity: Identity, namespace: &str) -> Result<ModelClient, String> {
        let address = self.shared.cloud.power_bi.clone();
        let address = address.ok_or_else(|| format!("the operator's cloud ({}) has no Power BI", self.shared.cloud.name))?;
        Ok(self.model(Target::PowerBi { address, model }, identity, namespace))
    }

    fn model(&self, target: Target, identity: Identity, namespace: &str) -> ModelClient {
        ModelClient { shared: Arc::clone(&self.shared), identity, namespace: namespace.into(), target }
    }
}

impl fmt::Debug for Azure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Azure").field("cloud", &self.shared.cloud.name).finish_non_exhaustive()
    }
}

/// The numbers of entries in the memory of [`Azure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AzureEntries {
    /// Tokens, and failed requests for them.
    pub tokens: usize,
    /// Backoffs that services requested.
    pub backoffs: usize,
    /// Servers whose calls in flight are counted.
    pub servers: usize,
    /// Calls that hold a permit or wait for one.
    pub calls: usize,
}

/// A model, accessed with one identity. Cheap to clone.
#[derive(Clone)]
pub struct ModelClient {
    pub(super) shared: Arc<Shared>,
    pub(super) identity: Identity,
    /// The namespace that the calls are for. Namespaces share the permits for calls in flight and for large responses.
    pub(super) namespace: Arc<str>,
    pub(super) target: Target,
}

/// The service of the model.
#[derive(Clone)]
pub(super) enum Target {
    AnalysisServices { server: ServerName, database: DatabaseName },
    PowerBi { address: ServiceAddress, model: ModelName },
}

impl ModelClient {
    /// The service of the model.
    #[must_use]
    pub fn service(&self) -> ServiceKind {
        match &self.target {
            Target::AnalysisServices { .. } => ServiceKind::AnalysisServices,
            Target::PowerBi { .. } => ServiceKind::PowerBi,
        }
    }

    /// How long the identity's token is valid, for a check: requests one again if the credentials were refused before.
    pub(super) async fn check_token(&self) -> Result<Duration, ServiceError> {
        Ok(self.shared.tokens.token_for_check(&self.identity, self.scope()).await?.remaining())
    }

    /// Whether the model supports other calls than [`super::Call::resolve`].
    pub(super) fn has_ids(&self) -> bool {
        match &self.target {
            Target::AnalysisServices { .. } => true,
            Target::PowerBi { model, .. } => model.ids().is_some(),
        }
    }

    /// The same model by the ids that its names refer to.
    pub(super) fn with_ids(self, ids: &ModelIds) -> Result<Self, ServiceError> {
        let target = match self.target {
            Target::PowerBi { address, .. } => {
                let model = ModelName::by_ids(&ids.group_id, &ids.dataset_id);
                Target::PowerBi { address, model: model.map_err(|what| ServiceError::new(ServiceErrorKind::InvalidResponse, what))? }
            }
            target @ Target::AnalysisServices { .. } => target,
        };
        Ok(Self { target, ..self })
    }

    pub(super) fn host(&self) -> &str {
        match &self.target {
            Target::AnalysisServices { server, .. } => server.host(),
            Target::PowerBi { address, .. } => &address.host,
        }
    }

    pub(super) fn scope(&self) -> &str {
        match &self.target {
            Target::AnalysisServices { server, .. } => server.scope(),
            Target::PowerBi { address, .. } => &address.scope,
        }
    }

    pub(super) fn server_key(&self) -> String {
        match &self.target {
            Target::AnalysisServices { server, .. } => server.key(),
            Target::PowerBi { address, model } => format!("{}/{}", address.host, model.workspace_key()),
        }
    }

    pub(super) fn model_key(&self) -> String {
        match &self.target {
            Target::AnalysisServices { server, database } => format!("{}/{database}", server.key()),
            Target::PowerBi { address, model } => format!("{}/{model}", address.host),
        }
    }

    pub(super) fn refreshes_url(&self) -> Option<Url> {
        match &self.target {
            Target::AnalysisServices { server, database } => database.refreshes(&server.base_url()),
            Target::PowerBi { address, model } => power_bi::of_dataset(&address.host, model.ids()?, "refreshes"),
        }
    }

    pub(super) fn sync_urls(&self) -> Option<SyncUrls> {
        match &self.target {
            Target::AnalysisServices { server, database } => database.sync(&server.management_url()).map(SyncUrls::Database),
            Target::PowerBi { address, model } => {
                let of = |what: &str| power_bi::of_dataset(&address.host, model.ids()?, what);
                Some(SyncUrls::ScaleOut { sync: of("queryScaleOut/sync")?, status: of("queryScaleOut/syncStatus")? })
            }
        }
    }
}

/// The URLs of the syncs of a model.
pub(super) enum SyncUrls {
    /// Analysis Services: one URL for all requests.
    Database(Url),
    /// Power BI: query scale-out.
    ScaleOut { sync: Url, status: Url },
}

impl fmt::Debug for ModelClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::AnalysisServices { server, database, .. } => write!(f, "Model({server}/{database})"),
            Target::PowerBi { address, model } => write!(f, "Model({}/{model})", address.host),
        }
    }
}
