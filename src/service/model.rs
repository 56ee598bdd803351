//! A model at a service, and one prepared call to it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, LOCATION};
use reqwest::{Method, RequestBuilder};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use url::Url;

use super::analysis_services::{self, DatabaseName, ServerName, sync};
use super::answer::Answer;
use super::classify::Word;
use super::cloud::ServiceAddress;
use super::http::{Fault, Incoming};
use super::identity::Identity;
use super::identity::Token;
use super::power_bi::{self, ModelName, Named, scale_out};
use super::refreshes::{self, Window};
use super::{Shared, classify, location};
use crate::operation::{
    CallKind, CallTarget, Cancellation, Handle, Listing, Look, OperationId, OperationKind, Presence, Request, Resolution, ServiceKind,
    Submission, Trouble, TroubleKind,
};

/// Maximum number of redirects on the same host that a GET follows.
const MOST_REDIRECTS: usize = 3;

/// A model, accessed with one identity. Cheap to clone.
#[derive(Clone)]
pub struct Model {
    shared: Arc<Shared>,
    identity: Identity,
    target: Target,
}

/// The service of the model.
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

    /// Obtains everything that a call of this kind needs: no active throttle, a token, and a permit for a call in flight.
    ///
    /// Sends nothing to the service. A submission can therefore be prepared before its intent is written, so that obstacles are known by
    /// then. Waits for a token at most the time of two calls, and for a permit only briefly.
    ///
    /// # Errors
    /// If the service throttles such calls of this identity, no token is available, or too many calls to the server are in flight.
    pub async fn prepare_for(&self, kind: CallKind) -> Result<Call, Trouble> {
        let shared = &self.shared;
        if let Some(pause) = shared.traffic.pause(self.host(), self.identity.fingerprint(), kind) {
            let trouble = classify::trouble(TroubleKind::Throttled, classify::throttled(pause.until));
            return Err(Trouble { retry_after: Some(pause.left()), ..trouble });
        }
        let token = shared.tokens.token(&self.identity, self.scope()).await?;
        let Some(place) = shared.traffic.enter(&self.server_key()).await else {
            let message = "the maximum number of calls to this server are in flight; the operator retries automatically";
            return Err(classify::trouble(TroubleKind::Throttled, message.to_owned()));
        };
        Ok(Call { model: self.clone(), kind, token, _place: place })
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

    fn syncs(&self) -> Option<Syncs> {
        match &self.target {
            Target::AnalysisServices { server, database } => database.sync(&server.management_url()).map(Syncs::Database),
            Target::PowerBi { address, model } => {
                let of = |what: &str| power_bi::of_dataset(&address.host, model.ids()?, what);
                Some(Syncs::ScaleOut { sync: of("queryScaleOut/sync")?, status: of("queryScaleOut/syncStatus")? })
            }
        }
    }
}

/// The URLs of the syncs of a model.
enum Syncs {
    /// Analysis Services: one URL for all requests.
    Database(Url),
    /// Power BI: query scale-out.
    ScaleOut { sync: Url, status: Url },
}

impl fmt::Debug for Model {
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
    model: Model,
    kind: CallKind,
    token: Token,
    _place: OwnedSemaphorePermit,
}

impl Call {
    /// Resolves the ids of a model that is given by its names.
    pub async fn resolve(self) -> Resolution {
        match &self.model.target {
            Target::AnalysisServices { .. } => Resolution::Unclear("a database of Analysis Services has no ids to resolve".to_owned()),
            Target::PowerBi { address, model } => match model.named() {
                Named::Ids(ids) => Resolution::Found(ids.clone()),
                Named::Names { workspace, dataset } => power_bi::resolve(&self, &address.host, workspace, dataset).await,
            },
        }
    }

    /// Checks whether a model exists that the service reported as unknown.
    pub async fn find_model(self) -> Presence {
        match &self.model.target {
            Target::AnalysisServices { .. } => match self.model.refreshes() {
                Some(refreshes) => analysis_services::find(&self, &refreshes).await,
                None => Presence::Trouble(no_address()),
            },
            Target::PowerBi { address, model } => match model.ids() {
                Some(ids) => power_bi::find(&self, &address.host, ids).await,
                None => Presence::Trouble(no_address()),
            },
        }
    }

    /// Submits the request with one POST. Nothing in this module repeats it.
    pub async fn submit(self, request: &Request) -> Submission {
        match request {
            Request::Refresh(request) => match self.model.refreshes() {
                Some(refreshes) => refreshes::submit(&self, &refreshes, request).await,
                None => Submission::Refused(no_address()),
            },
            Request::Sync => match self.model.syncs() {
                Some(Syncs::Database(sync)) => sync::submit(&self, &sync).await,
                Some(Syncs::ScaleOut { sync, .. }) => scale_out::submit(&self, &sync).await,
                None => Submission::Refused(no_address()),
            },
        }
    }

    /// Polls one operation.
    pub async fn look(self, kind: OperationKind, handle: &Handle) -> Look {
        match kind {
            OperationKind::Refresh => match self.model.refreshes() {
                Some(refreshes) => refreshes::look(&self, &refreshes, &handle.id).await,
                None => Look::Trouble(no_address()),
            },
            OperationKind::Sync => match self.model.syncs() {
                Some(Syncs::Database(sync)) => sync::look(&self, &sync, handle).await,
                Some(Syncs::ScaleOut { status, .. }) => scale_out::look(&self, &status, &handle.id).await,
                None => Look::Trouble(no_address()),
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
    pub async fn list(self, kind: OperationKind, window: Window) -> Result<Listing, Trouble> {
        match kind {
            OperationKind::Refresh => match self.model.refreshes() {
                Some(refreshes) => refreshes::list(&self, &refreshes, window).await,
                None => Err(no_address()),
            },
            OperationKind::Sync => match self.model.syncs() {
                Some(Syncs::Database(sync)) => sync::list(&self, &sync, window).await,
                Some(Syncs::ScaleOut { status, .. }) => scale_out::list(&self, &status, window).await,
                None => Err(no_address()),
            },
        }
    }

    /// Requests the cancellation of a refresh. Neither service can cancel a sync.
    pub async fn cancel(self, id: &OperationId) -> Cancellation {
        match self.model.refreshes() {
            Some(refreshes) => refreshes::cancel(&self, &refreshes, id).await,
            None => Cancellation::Trouble(no_address()),
        }
    }

    /// Maximum duration of a refresh at the service. A row that shows a refresh as running for longer is outdated.
    ///
    /// Power BI documentation, enhanced refresh, "Considerations and limitations": all attempts end after 24 hours, and a paused capacity
    /// delays a refresh by up to 6 hours. Analysis Services documents no limit, so its limit is a setting.
    pub(super) fn longest_refresh(&self) -> Duration {
        match self.service() {
            ServiceKind::AnalysisServices => self.model.shared.max_refresh_duration,
            ServiceKind::PowerBi => Duration::from_hours(30),
        }
    }

    /// The called service.
    pub(super) fn service(&self) -> ServiceKind {
        match &self.model.target {
            Target::AnalysisServices { .. } => ServiceKind::AnalysisServices,
            Target::PowerBi { .. } => ServiceKind::PowerBi,
        }
    }

    /// The target of a request of this call. Its kind may differ: a list may explain a refused submission.
    pub(super) fn target(&self, kind: CallKind) -> CallTarget {
        CallTarget::Service(self.service(), kind)
    }

    /// Sends a GET that follows these redirects on the called host only, because the token must not go to another host. Returns any other
    /// response, including errors.
    pub(super) async fn get(&self, target: CallTarget, url: Url, deadline: Instant, follow: &[u16]) -> Result<Incoming, Trouble> {
        let mut url = url;
        for _ in 0..=MOST_REDIRECTS {
            let request = self.request(Method::GET, url.clone());
            let incoming = self.send(target, request, deadline).await.map_err(|fault| classify::unreachable(fault.into_message()))?;
            if !follow.contains(&incoming.status()) {
                return Ok(incoming);
            }
            let there = incoming.headers().get(LOCATION).and_then(|there| there.to_str().ok());
            match there.map(|there| location::target(there, &incoming.url)) {
                Some(location::Target::Here(next)) => url = next,
                Some(location::Target::Elsewhere(_) | location::Target::Nonsense) | None => return Ok(incoming),
            }
        }
        Err(classify::trouble(TroubleKind::InvalidAnswer, "the service redirects in a circle".to_owned()))
    }

    /// A request with the headers of every call to a service.
    pub(super) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.model
            .shared
            .http
            .request(method, url)
            .header(AUTHORIZATION, self.token.authorization())
            .header(ACCEPT, "application/json")
            // Power BI translates an error into the caller's language, and only its text may distinguish a busy model from a quota.
            .header(ACCEPT_LANGUAGE, "en-US, en;q=0.9")
            .header("x-ms-client-request-id", uuid::Uuid::new_v4().to_string())
    }

    pub(super) async fn send(&self, target: CallTarget, request: RequestBuilder, deadline: Instant) -> Result<Incoming, Fault> {
        self.model.shared.http.send(target, request, deadline).await
    }

    /// The deadline of a call that starts now.
    pub(super) fn deadline(&self) -> Instant {
        self.model.shared.http.deadline()
    }

    /// Applies the parts of a response that affect later calls: a backoff, or an invalid token. A 401 does not show whether the token is
    /// the only problem, and a throttle does not show when it ends for all calls. Both are therefore recorded in the response.
    pub(super) fn heed(&self, answer: &mut Answer) {
        self.heed_as(self.kind, answer);
    }

    /// The same for a response to a request of another kind than the call, such as the list that explains a refused submission.
    pub(super) fn heed_as(&self, kind: CallKind, answer: &mut Answer) {
        let shared = &self.model.shared;
        let forget = || shared.tokens.forget(&self.model.identity, self.model.scope(), &self.token);
        match answer.status {
            200..=299 => self.token.accept(),
            401 => answer.token_ended = forget() && self.token.was_accepted(),
            // Power BI reports an expired token with this code.
            403 if answer.complaint().code.eq_ignore_ascii_case("tokenexpired") => {
                forget();
            }
            // Excludes an overloaded capacity, which does not affect other capacities of the same identity.
            400.. => {
                let complaint = answer.complaint();
                if classify::word(answer, &complaint) == Word::Throttled {
                    let (host, identity) = (self.model.host(), self.model.identity.fingerprint());
                    answer.throttled_until = shared.traffic.set_pause(host, identity, kind, answer.pause(&complaint)).until;
                }
            }
            _ => {}
        }
    }
}

/// Names are validated, and those of Power BI resolved, before this point. This error is therefore never reported, but it is no reason to
/// panic.
fn no_address() -> Trouble {
    classify::trouble(TroubleKind::Rejected, "the name of the model results in no URL".to_owned())
}
