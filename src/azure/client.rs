//! The services of one cloud, a model at one of them, and one prepared call to it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use super::analysis_services::{self, DatabaseName, ServerName, sync};
use super::backoff::Backoffs;
use super::cloud::{Cloud, ServiceAddress};
use super::http::Client;
use super::identity::Identity;
use super::identity::entra::Entra;
use super::identity::managed::Metadata;
use super::identity::tokens::Tokens;
use super::in_flight::CallsInFlight;
use super::power_bi::{self, ModelName, ModelRef, scale_out};
use super::refreshes::{self, ListWindow};
use super::session::{Session, Shared};
use super::settings::{AzureSettings, AzureSettingsError};
use crate::fair_semaphore::Permit;
use crate::operation::{
    CallKind, CancelResult, Listing, ModelExistence, ModelIds, ModelLookup, OperationId, OperationKind, OperationRef, PollResult,
    RefreshRequest, Request, ServiceError, ServiceErrorKind, ServiceKind, SubmitResult,
};

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
    /// [`Call::resolve`]. Create another one with the resulting ids for other calls.
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
    shared: Arc<Shared>,
    identity: Identity,
    /// The namespace that the calls are for. Namespaces share the permits for calls in flight and for large responses.
    namespace: Arc<str>,
    target: Target,
}

/// The service of the model.
#[derive(Clone)]
enum Target {
    AnalysisServices { server: ServerName, database: DatabaseName },
    PowerBi { address: ServiceAddress, model: ModelName },
}

impl ModelClient {
    /// Obtains everything that a call of this kind needs: no active throttle, a token, and a permit for a call in flight.
    ///
    /// Sends nothing to the service. A submission can therefore be prepared before its intent is written, so that obstacles are known by
    /// then. Waits for a token at most the time of two calls, and for a permit only briefly.
    ///
    /// # Errors
    /// If the service throttles such calls of this identity, no token is available, or too many calls to the server are in flight.
    pub async fn prepare_for(&self, kind: CallKind) -> Result<Call, ServiceError> {
        let shared = &self.shared;
        if let Some(backoff) = shared.backoffs.get(self.host(), self.identity.fingerprint(), kind) {
            return Err(backoff.error());
        }
        let token = shared.tokens.token(&self.identity, self.scope()).await?;
        let Some(permit) = shared.in_flight.acquire(&self.server_key(), &self.namespace).await else {
            let message = "the maximum number of calls to this server are in flight; the operator retries automatically";
            return Err(ServiceError::new(ServiceErrorKind::Throttled, message));
        };
        let session = Session {
            shared: Arc::clone(shared),
            service: self.service(),
            host: self.host().to_owned(),
            scope: self.scope().to_owned(),
            identity: self.identity.clone(),
            model: self.model_key().into(),
            namespace: Arc::clone(&self.namespace),
            kind,
            token,
        };
        Ok(Call { model: self.clone(), session, _permit: permit })
    }

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

    /// Whether the model supports other calls than [`Call::resolve`].
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

    fn scope(&self) -> &str {
        match &self.target {
            Target::AnalysisServices { server, .. } => server.scope(),
            Target::PowerBi { address, .. } => &address.scope,
        }
    }

    fn server_key(&self) -> String {
        match &self.target {
            Target::AnalysisServices { server, .. } => server.key(),
            Target::PowerBi { address, model } => format!("{}/{}", address.host, model.workspace_key()),
        }
    }

    fn model_key(&self) -> String {
        match &self.target {
            Target::AnalysisServices { server, database } => format!("{}/{database}", server.key()),
            Target::PowerBi { address, model } => format!("{}/{model}", address.host),
        }
    }

    fn refreshes_url(&self) -> Option<Url> {
        match &self.target {
            Target::AnalysisServices { server, database } => database.refreshes(&server.base_url()),
            Target::PowerBi { address, model } => power_bi::of_dataset(&address.host, model.ids()?, "refreshes"),
        }
    }

    fn sync_urls(&self) -> Option<SyncUrls> {
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
enum SyncUrls {
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

/// A prepared call. One of its methods makes the call, at most once. A dropped call is never made.
#[derive(Debug)]
pub struct Call {
    model: ModelClient,
    session: Session,
    _permit: Permit,
}

impl Call {
    /// Resolves the ids of a model that is given by its names.
    pub async fn resolve(self) -> ModelLookup {
        match &self.model.target {
            Target::AnalysisServices { .. } => ModelLookup::Ambiguous("a database of Analysis Services has no ids to resolve".to_owned()),
            Target::PowerBi { address, model } => match model.model_ref() {
                ModelRef::Ids(ids) => ModelLookup::Found(ids.clone()),
                ModelRef::Names { workspace, dataset } => power_bi::resolve(&self.session, &address.host, workspace, dataset).await,
            },
        }
    }

    /// Checks whether a model exists that the service reported as unknown.
    pub async fn find_model(self) -> ModelExistence {
        match &self.model.target {
            Target::AnalysisServices { .. } => match self.model.refreshes_url() {
                Some(refreshes) => analysis_services::find(&self.session, &refreshes).await,
                None => ModelExistence::Failed(no_address()),
            },
            Target::PowerBi { address, model } => match model.ids() {
                Some(ids) => power_bi::find(&self.session, &address.host, ids).await,
                None => ModelExistence::Failed(no_address()),
            },
        }
    }

    /// Submits the request with one POST. Nothing in this module repeats it.
    pub async fn submit(self, request: &Request) -> SubmitResult {
        match request {
            Request::Refresh(request) => match self.model.refreshes_url() {
                Some(refreshes) => self.submit_refresh(&refreshes, request).await,
                None => SubmitResult::NotStarted(no_address()),
            },
            Request::Sync => match self.model.sync_urls() {
                Some(SyncUrls::Database(sync)) => sync::submit(&self.session, &sync).await,
                Some(SyncUrls::ScaleOut { sync, .. }) => scale_out::submit(&self.session, &sync).await,
                None => SubmitResult::NotStarted(no_address()),
            },
        }
    }

    async fn submit_refresh(&self, refreshes: &Url, request: &RefreshRequest) -> SubmitResult {
        let submitted = match self.model.target {
            Target::AnalysisServices { .. } => refreshes::submit(&self.session, refreshes, &analysis_services::refresh_body(request)).await,
            Target::PowerBi { .. } => refreshes::submit(&self.session, refreshes, &power_bi::refresh_body(request)).await,
        };
        match (&self.model.target, submitted) {
            (_, Ok(submission)) => submission,
            (Target::AnalysisServices { .. }, Err(bad_request)) => SubmitResult::NotStarted(bad_request.error),
            (Target::PowerBi { .. }, Err(bad_request)) => power_bi::resolve_bad_request(&self.session, refreshes, bad_request).await,
        }
    }

    /// Polls one operation.
    pub async fn poll(self, kind: OperationKind, operation: &OperationRef) -> PollResult {
        match kind {
            OperationKind::Refresh => match self.model.refreshes_url() {
                Some(refreshes) => refreshes::poll(&self.session, &refreshes, &operation.id).await,
                None => PollResult::Failed(no_address()),
            },
            OperationKind::Sync => match self.model.sync_urls() {
                Some(SyncUrls::Database(sync)) => sync::poll(&self.session, &sync, operation).await,
                Some(SyncUrls::ScaleOut { status, .. }) => scale_out::poll(&self.session, &status, &operation.id).await,
                None => PollResult::Failed(no_address()),
            },
        }
    }

    /// Lists the operations that are running or started in the window.
    ///
    /// Reads the details (type and objects) of the first twenty refreshes, because the list does not contain them. A refresh with
    /// unreadable details is returned as in the list, without them. Of syncs, the services show only the last one.
    ///
    /// # Errors
    /// If the list, or the details of a listed operation, are unavailable.
    pub async fn list(self, kind: OperationKind, window: ListWindow) -> Result<Listing, ServiceError> {
        self.search(kind, window, None).await
    }

    /// Lists as [`Self::list`], and also the refresh with the id `wanted`, whatever its origin and its times are.
    ///
    /// # Errors
    /// As for [`Self::list`].
    pub async fn search(self, kind: OperationKind, window: ListWindow, wanted: Option<OperationId>) -> Result<Listing, ServiceError> {
        match kind {
            OperationKind::Refresh => match self.model.refreshes_url() {
                Some(refreshes) => refreshes::list(&self.session, &refreshes, window, wanted).await,
                None => Err(no_address()),
            },
            OperationKind::Sync => match self.model.sync_urls() {
                Some(SyncUrls::Database(sync)) => sync::list(&self.session, &sync, window).await,
                Some(SyncUrls::ScaleOut { status, .. }) => scale_out::list(&self.session, &status, window).await,
                None => Err(no_address()),
            },
        }
    }

    /// Lists the operations of a kind, of which only an error is relevant.
    ///
    /// # Errors
    /// If the list is unavailable.
    pub(super) async fn check_list(self, kind: OperationKind) -> Result<(), ServiceError> {
        match kind {
            OperationKind::Refresh => match self.model.refreshes_url() {
                Some(refreshes) => refreshes::check_list(&self.session, &refreshes).await,
                None => Err(no_address()),
            },
            OperationKind::Sync => {
                let now = Timestamp::now();
                self.list(kind, ListWindow { intent: now, now }).await.map(drop)
            }
        }
    }

    /// Requests the cancellation of a refresh. Neither service can cancel a sync.
    pub async fn cancel(self, id: &OperationId) -> CancelResult {
        match self.model.refreshes_url() {
            Some(refreshes) => refreshes::cancel(&self.session, &refreshes, id).await,
            None => CancelResult::Failed(no_address()),
        }
    }
}

/// Names are validated, and those of Power BI resolved, before this point. This error is therefore never reported, but it is no reason to
/// panic.
fn no_address() -> ServiceError {
    ServiceError::new(ServiceErrorKind::Rejected, "the name of the model results in no URL")
}
