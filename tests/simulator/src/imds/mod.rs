//! The Instance Metadata Service of a virtual machine: tokens for the machine's managed identities.
//!
//! Sources: "How to use managed identities for Azure resources on an Azure VM to acquire an access token" and "Azure Instance Metadata
//! Service" for requests, responses and statuses; the texts of errors as reported by users of Azure's libraries.

pub mod identities;
pub mod refusal;

use hyper::{
    Method, StatusCode,
    header::{HeaderName, SERVER},
};
use jiff::SignedDuration;
use serde_json::json;

use self::{
    identities::{Choice, Condition, Identity},
    refusal::Refusal,
};
use crate::{
    call::Call,
    entra::{self, CredentialKind, Principal},
    hosts,
    response::ServiceResponse,
    state::State,
};

/// The link-local address of the service on every Azure machine, by plain HTTP on port 80.
pub const HOST: &str = "169.254.169.254";

/// A parsed request to the metadata service.
pub struct Request {
    token: bool,
    query: Vec<(String, String)>,
}

/// The requested identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// No name: the system-assigned one, or the only one that exists.
    Any,
    /// The one with this client id.
    Client(&'a str),
    /// The one with this object (principal) id.
    Object(&'a str),
    /// The one with this Azure resource id.
    Resource(&'a str),
}

impl Request {
    /// Parses a request.
    #[must_use]
    pub fn parse(call: &Call) -> Self {
        Self {
            token: call.path.trim_end_matches('/').eq_ignore_ascii_case("/metadata/identity/oauth2/token"),
            query: form_urlencoded::parse(call.query.as_bytes()).into_owned().collect(),
        }
    }

    /// The route's name in the ledger.
    #[must_use]
    pub fn route(&self) -> &'static str {
        if self.token { "imds" } else { "unknown" }
    }

    /// The requested identity.
    #[must_use]
    pub fn wanted(&self) -> Wanted<'_> {
        let resource = || self.field("msi_res_id").or_else(|| self.field("mi_res_id"));
        let named = self.field("client_id").map(Wanted::Client).or_else(|| self.field("object_id").map(Wanted::Object));
        named.or_else(|| resource().map(Wanted::Resource)).unwrap_or(Wanted::Any)
    }

    /// The resource of the requested token.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        self.field("resource")
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// Handles a request.
#[must_use]
pub fn handle(state: &State, request: &Request, call: &Call) -> ServiceResponse {
    let response = token(state, request, call).unwrap_or_else(|refusal| refusal.response());
    response.with(SERVER, "IMDS/150.870.65.1854").with(HeaderName::from_static("x-content-type-options"), "nosniff")
}

fn token(state: &State, request: &Request, call: &Call) -> Result<ServiceResponse, Refusal> {
    if !request.token {
        return Err(Refusal::UnknownPath);
    }
    if call.method != Method::GET {
        return Err(Refusal::Method);
    }
    if call.header("metadata") != Some("true") {
        return Err(Refusal::NoMetadataHeader);
    }
    if call.headers.contains_key("x-forwarded-for") {
        return Err(Refusal::Forwarded);
    }
    let version = request.field("api-version").ok_or(Refusal::Missing("api-version"))?;
    if !is_version(version) {
        return Err(Refusal::Version);
    }
    let resource = request.resource().ok_or(Refusal::Missing("resource"))?;
    let identity = match state.identities.find(request.wanted()) {
        Choice::One(identity) => identity,
        Choice::None => return Err(Refusal::NoIdentity),
        Choice::Several => return Err(Refusal::SeveralIdentities),
    };
    match identity.condition {
        Condition::Ready => {}
        Condition::Updating => return Err(Refusal::Updating),
        Condition::Starting => return Err(Refusal::Starting),
        Condition::Throttled => return Err(Refusal::Throttled),
        Condition::Failing => return Err(Refusal::Failing),
        Condition::Unauthorized => return Err(Refusal::Unauthorized),
    }
    let unknown = || {
        let (resource, tenant) = (resource.to_owned(), identity.tenant_id.to_string());
        Refusal::Resource(entra::Refusal::UnknownResource { resource, tenant })
    };
    // The name is checked when the identity is put. A declared cloud can be replaced, but never removed.
    let cloud = state.clouds.named(&identity.cloud).ok_or_else(unknown)?;
    let audience = hosts::audience(resource, cloud).ok_or_else(unknown)?;
    let Identity { tenant_id, client_id, object_id, resource_id, token_lifetime_seconds, token_age_seconds, .. } = &*identity;
    let principal = Principal {
        tenant: tenant_id,
        client: client_id,
        object: object_id.as_deref(),
        resource: resource_id.as_deref(),
        credential: CredentialKind::Managed,
        lifetime: *token_lifetime_seconds,
    };
    let age = SignedDuration::from_secs(i64::try_from(*token_age_seconds).unwrap_or(i64::MAX));
    let issued = call.now.saturating_sub(age).unwrap_or(call.now);
    let since = issued.as_second();
    let until = since.saturating_add(i64::try_from(*token_lifetime_seconds).unwrap_or(i64::MAX));
    Ok(ServiceResponse::json(
        StatusCode::OK,
        &json!({
            "access_token": state.entra.issue(&principal, audience, cloud, issued),
            "client_id": client_id,
            "expires_in": token_lifetime_seconds.to_string(),
            "expires_on": until.to_string(),
            "ext_expires_in": token_lifetime_seconds.to_string(),
            "not_before": since.to_string(),
            "resource": resource,
            "token_type": "Bearer",
        }),
    ))
}

/// Whether it has the form of a version, such as `2018-02-01`.
fn is_version(text: &str) -> bool {
    text.parse::<jiff::civil::Date>().is_ok_and(|date| date.to_string() == text)
}
