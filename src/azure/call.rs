//! One prepared call to a model, which happens at most once.

use std::sync::Arc;

use jiff::Timestamp;
use url::Url;

use super::analysis_services::{self, sync};
use super::client::{ModelClient, SyncUrls, Target};
use super::power_bi::{self, ModelRef, scale_out};
use super::refreshes::{self, ListWindow};
use super::session::Session;
use crate::fair_semaphore::Permit;
use crate::operation::{
    CallKind, CancelResult, Listing, ModelExistence, ModelLookup, OperationId, OperationKind, OperationRef, PollResult, RefreshRequest,
    Request, ServiceError, ServiceErrorKind, SubmitResult,
};

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
