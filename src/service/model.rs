//! A model at a service, and one prepared call to it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION};
use reqwest::{Method, RequestBuilder};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use url::Url;

use super::analysis_services::{DatabaseName, ServerName, Window, calls};
use super::answer::Answer;
use super::cloud::ServiceAddress;
use super::http::{Fault, Incoming, Route};
use super::identity::Identity;
use super::identity::tokens::Token;
use super::power_bi::{self, ModelName};
use super::{Shared, classify};
use crate::operation::{
    Cancellation, Handle, Listing, Look, OperationId, OperationKind, Request, Resolution, Submission, Trouble, TroubleKind,
};

/// How soon a call that found no place among those in flight may ask again.
const NO_PLACE_WAIT: Duration = Duration::from_millis(500);

/// One model, as one identity sees it. Cheap to clone.
#[derive(Clone)]
pub struct Model {
    shared: Arc<Shared>,
    identity: Identity,
    target: Target,
}

/// The service that has the model.
#[derive(Clone)]
enum Target {
    AnalysisServices { server: ServerName, database: DatabaseName },
    PowerBi { address: ServiceAddress, model: ModelName },
}

impl Model {
    pub(super) fn analysis_services(shared: Arc<Shared>, server: ServerName, database: DatabaseName, identity: Identity) -> Self {
        Self { shared, identity, target: Target::AnalysisServices { server, database } }
    }

    pub(super) fn power_bi(shared: Arc<Shared>, address: ServiceAddress, model: ModelName, identity: Identity) -> Self {
        Self { shared, identity, target: Target::PowerBi { address, model } }
    }

    /// Gets everything that a call needs: leave of the service, a token, and a place among the calls in flight.
    ///
    /// Nothing is sent to the service, so a submission can be prepared before its intent is written, and what would
    /// stand in its way is known by then. It waits for a token at most, and no longer than two calls may take.
    ///
    /// # Errors
    /// Where the service asked this identity to stay away, where no token is to be had, or where too many calls to
    /// the server are in flight already.
    pub async fn prepare(&self) -> Result<Call, Trouble> {
        let shared = &self.shared;
        if let Some(left) = shared.traffic.pause(self.host(), self.identity.fingerprint()) {
            let message = "the service asked this identity to stay away for a while; calls resume by themselves";
            return Err(Trouble { retry_after: Some(left), ..classify::trouble(TroubleKind::Throttled, message.to_owned()) });
        }
        let token = shared.tokens.token(&self.identity, self.scope()).await?;
        let Some(place) = shared.traffic.enter(&self.server_key()) else {
            let message = "as many calls to this server are in flight as may be; it is tried again by itself";
            return Err(Trouble { retry_after: Some(NO_PLACE_WAIT), ..classify::trouble(TroubleKind::Throttled, message.to_owned()) });
        };
        Ok(Call { model: self.clone(), token, _place: place })
    }

    fn host(&self) -> &str {
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

    fn refreshes(&self) -> Option<Url> {
        match &self.target {
            Target::AnalysisServices { server, database } => database.refreshes(&server.base_url()),
            Target::PowerBi { address, model } => power_bi::of_dataset(&address.host, model.ids()?, "refreshes"),
        }
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::AnalysisServices { server, database, .. } => write!(f, "Model({server}/{database})"),
            Target::PowerBi { address, model } => write!(f, "Model({}/{model})", address.host),
        }
    }
}

/// A call that is ready to be made. It is made once, by one of its methods; dropped, it was never made.
#[derive(Debug)]
pub struct Call {
    model: Model,
    token: Token,
    _place: OwnedSemaphorePermit,
}

impl Call {
    /// Looks up the ids of a model that is known by its names.
    pub async fn resolve(self) -> Resolution {
        match &self.model.target {
            Target::AnalysisServices { .. } | Target::PowerBi { .. } => Resolution::Trouble(no_address()),
        }
    }

    /// Submits what is asked for: one POST, never repeated by anything in here.
    pub async fn submit(self, request: &Request) -> Submission {
        match (self.model.refreshes(), request) {
            (Some(refreshes), Request::Refresh(request)) => calls::submit(&self, &refreshes, request).await,
            (_, Request::Sync) | (None, _) => Submission::Refused(no_address()),
        }
    }

    /// Looks at one operation.
    pub async fn look(self, kind: OperationKind, handle: &Handle) -> Look {
        match (self.model.refreshes(), kind) {
            (Some(refreshes), OperationKind::Refresh) => calls::look(&self, &refreshes, &handle.id).await,
            (_, OperationKind::Sync) | (None, _) => Look::Trouble(no_address()),
        }
    }

    /// Lists the operations that run or began in the window.
    ///
    /// The first twenty are looked at one by one, for what the list does not tell (type and objects). One whose
    /// description cannot be read is shown as the list has it, without those.
    ///
    /// # Errors
    /// Where the list, or the description of one that it names, cannot be had: then nothing was learnt.
    pub async fn list(self, kind: OperationKind, window: Window) -> Result<Listing, Trouble> {
        match (self.model.refreshes(), kind) {
            (Some(refreshes), OperationKind::Refresh) => calls::list(&self, &refreshes, window).await,
            (_, OperationKind::Sync) | (None, _) => Err(no_address()),
        }
    }

    /// Asks the service to cancel an operation.
    pub async fn cancel(self, id: &OperationId) -> Cancellation {
        match self.model.refreshes() {
            Some(refreshes) => calls::cancel(&self, &refreshes, id).await,
            None => Cancellation::Trouble(no_address()),
        }
    }

    /// A request with what every call to a service carries.
    pub(super) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.model
            .shared
            .http
            .request(method, url)
            .header(AUTHORIZATION, self.token.authorization())
            .header(ACCEPT, "application/json")
            .header("x-ms-client-request-id", uuid::Uuid::new_v4().to_string())
    }

    pub(super) async fn send(&self, route: Route, request: RequestBuilder, deadline: Instant) -> Result<Incoming, Fault> {
        self.model.shared.http.send(route, request, deadline).await
    }

    /// When a call that begins now must be over.
    pub(super) fn deadline(&self) -> Instant {
        self.model.shared.http.deadline()
    }

    /// Draws from an answer what concerns the calls after this one: a pause, or a token that is no longer good.
    pub(super) fn heed(&self, answer: &Answer) {
        let shared = &self.model.shared;
        match answer.status {
            429 => shared.traffic.set_pause(self.model.host(), self.model.identity.fingerprint(), answer.retry_after()),
            401 => shared.tokens.forget(&self.model.identity, self.model.scope(), &self.token),
            _ => {}
        }
    }
}

/// Names are checked before they get here, so this is never said; but it is no reason to panic either.
fn no_address() -> Trouble {
    classify::trouble(TroubleKind::Rejected, "the server and the database give no address".to_owned())
}
