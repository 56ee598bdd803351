//! The HTTP exchanges of one call: requests, redirects, and the effect of responses on later calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CACHE_CONTROL, LOCATION};
use reqwest::{Method, RequestBuilder};
use tokio::time::Instant;
use url::Url;

use super::backoff::Backoffs;
use super::classify;
use super::classify::ResponseKind;
use super::cloud::Cloud;
use super::http::{Client, Incoming, Response, SendError, location};
use super::identity::tokens::Tokens;
use super::identity::{Access, Identity, Token};
use super::in_flight::CallsInFlight;
use crate::operation::{CallKind, CallTarget, ServiceError, ServiceErrorKind, ServiceKind};

/// Maximum number of redirects on the same host that a GET follows.
const MAX_REDIRECTS: usize = 3;

/// The shared state of all calls.
pub(super) struct Shared {
    pub(super) cloud: Cloud,
    pub(super) http: Client,
    pub(super) tokens: Tokens,
    pub(super) in_flight: CallsInFlight,
    pub(super) backoffs: Backoffs,
    pub(super) max_refresh_duration: Duration,
}

/// The shared state of the requests of one call: their destination and identity.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) service: ServiceKind,
    pub(super) host: String,
    /// The scope of the token.
    pub(super) scope: String,
    pub(super) identity: Identity,
    /// The name of the model, to distinguish models.
    pub(super) model: Arc<str>,
    /// The namespace that the call is for.
    pub(super) namespace: Arc<str>,
    pub(super) kind: CallKind,
    pub(super) token: Token,
}

impl Session {
    /// Maximum duration of a refresh at the service. A row that shows a refresh as running for longer is outdated.
    pub(super) fn max_refresh_duration(&self) -> Duration {
        self.service.max_refresh_duration(self.shared.max_refresh_duration)
    }

    /// Sends a GET that follows these redirects on the called host only, because the token must not go to another host. Returns any other
    /// response, including errors.
    pub(super) async fn get(&self, kind: CallKind, url: Url, deadline: Instant, redirects: &[u16]) -> Result<Incoming, ServiceError> {
        let mut url = url;
        for _ in 0..=MAX_REDIRECTS {
            // An older list would not show a refresh that has started since.
            let request = self.request(Method::GET, url.clone()).header(CACHE_CONTROL, "no-cache");
            let incoming = self.send(kind, request, deadline).await.map_err(|fault| classify::unreachable(fault.into_message()))?;
            if !redirects.contains(&incoming.status()) {
                return Ok(incoming);
            }
            let there = incoming.headers().get(LOCATION).and_then(|there| there.to_str().ok());
            match there.map(|there| location::target(there, &incoming.url)) {
                Some(location::LocationTarget::SameOrigin(next)) => url = next,
                Some(location::LocationTarget::OtherOrigin(_) | location::LocationTarget::Invalid) | None => return Ok(incoming),
            }
        }
        Err(ServiceError::new(ServiceErrorKind::InvalidResponse, "the service redirects in a circle"))
    }

    /// A request with the headers of every call to a service.
    pub(super) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.shared
            .http
            .request(method, url)
            .header(AUTHORIZATION, self.token.authorization())
            .header(ACCEPT, "application/json")
            // Power BI translates an error into the caller's language, and only its text may distinguish a busy model from a quota.
            .header(ACCEPT_LANGUAGE, "en-US, en;q=0.9")
            .header("x-ms-client-request-id", uuid::Uuid::new_v4().to_string())
    }

    pub(super) async fn send(&self, kind: CallKind, request: RequestBuilder, deadline: Instant) -> Result<Incoming, SendError> {
        let incoming = self.shared.http.send(CallTarget::Service(self.service, kind), request, deadline).await?;
        Ok(incoming.for_namespace(&self.namespace))
    }

    /// The error of a request of a kind that must not be sent, because the service throttles such requests of this identity.
    pub(super) fn throttle(&self, kind: CallKind) -> Option<ServiceError> {
        self.shared.backoffs.get(&self.host, self.identity.fingerprint(), kind).map(|backoff| backoff.error())
    }

    /// The deadline of a call that starts now.
    pub(super) fn deadline(&self) -> Instant {
        self.shared.http.deadline()
    }

    /// Applies the parts of a response that affect later calls: a backoff, or an invalid token. A 401 does not show whether the token is
    /// the only problem, and a throttle does not show when it ends for all calls. Both are therefore recorded in the response.
    pub(super) fn record_throttle_and_token(&self, response: &mut Response) {
        self.record_throttle_and_token_for(self.kind, response);
    }

    /// The same for a response to a request of another kind than the call, such as the list that explains a refused submission.
    pub(super) fn record_throttle_and_token_for(&self, kind: CallKind, response: &mut Response) {
        let shared = &self.shared;
        let invalidate = || shared.tokens.invalidate(&self.identity, &self.scope, &self.token);
        match response.status {
            200..=299 => self.token.accept(&self.model, access(kind)),
            // Power BI reports an expired token with this code. If the replacement is rejected as well, the token is not the cause, or
            // another replacement would not help: the clock is wrong, or the metadata service returns the same token again.
            401 | 403 if code_of(response) == "tokenexpired" => response.token_expired = invalidate(),
            // The service accepts the token and rejects the identity. Another token of the identity would not change that.
            401 if code_of(response).contains("notauthorized") => {}
            401 => {
                let accepted = access(kind).is_some_and(|access| self.token.was_accepted(&self.model, access));
                response.token_expired = invalidate() && accepted;
            }
            // Excludes an overloaded capacity, which does not affect other capacities of the same identity.
            400.. => {
                let summary = response.error_summary();
                if classify::response_kind(response, &summary) == ResponseKind::Throttled {
                    let identity = self.identity.fingerprint();
                    response.throttled_until = shared.backoffs.set(&self.host, identity, kind, response.backoff(&summary)).until;
                }
            }
            _ => {}
        }
    }
}

/// The error code in lower case.
fn code_of(response: &Response) -> String {
    response.error_summary().code.to_ascii_lowercase()
}

/// The access to the model that a call needs. The lists of workspaces and models show nothing about the access to one model.
fn access(kind: CallKind) -> Option<Access> {
    match kind {
        CallKind::Submit(_) | CallKind::Cancel => Some(Access::Write),
        CallKind::Poll(_) | CallKind::List(_) => Some(Access::Read),
        CallKind::Resolve => None,
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("host", &self.host).field("kind", &self.kind).finish_non_exhaustive()
    }
}
