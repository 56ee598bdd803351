//! Entra ID: the token endpoint, and the discovery documents that client libraries read before they use an authority.
//!
//! Sources: "OAuth 2.0 client credentials flow" and "Microsoft Entra authentication and authorization error codes" of the Microsoft
//! identity platform; the texts of errors as quoted in the issue trackers of client libraries.

mod assertion;
pub mod certificate;
pub mod directory;
mod error;
pub mod federation;
mod jwt;
mod token;

use std::{sync::Arc, time::Duration};

use hyper::{
    Method, StatusCode,
    header::{CACHE_CONTROL, HeaderName, PRAGMA},
};
use jiff::Timestamp;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use self::{
    directory::{Directory, TenantLocation},
    federation::Issuers,
    jwt::Jwt,
    token::TokenIssuer,
};
pub use self::{
    error::Refusal,
    token::{CredentialKind, Principal, Token},
};
use crate::{
    call::Call,
    hosts::{self, Cloud},
    response::ServiceResponse,
};

/// The default maximum lifetime of a token, in seconds.
pub const DEFAULT_LIFETIME: u64 = 3_599;

/// Entra ID of all clouds.
pub struct Entra {
    /// The registered applications.
    pub directory: Directory,
    /// The issuers that applications may trust.
    pub issuers: Issuers,
    health: RwLock<Health>,
    token_issuer: TokenIssuer,
}

/// The availability of Entra ID as a whole. The body of `PUT /entra`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Health {
    /// Whether every response is 503 with an HTML page.
    pub unavailable: bool,
    /// Delay of each response.
    pub delay_millis: u64,
}

/// A parsed request to Entra ID.
pub struct Request {
    tenant: String,
    route: Route,
    form: Vec<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Route {
    Token,
    TokenV1,
    InstanceDiscovery,
    OpenIdConfiguration,
    OpenIdConfigurationV1,
    Keys,
    Unknown,
}

impl Request {
    /// Parses a request.
    #[must_use]
    pub fn parse(call: &Call) -> Self {
        let segments: Vec<_> = call.path.trim_matches('/').split('/').collect();
        let (tenant, route) = match *segments {
            ["common", "discovery", "instance"] => ("common", Route::InstanceDiscovery),
            [tenant, "oauth2", "v2.0", "token"] => (tenant, Route::Token),
            [tenant, "oauth2", "token"] => (tenant, Route::TokenV1),
            [tenant, "v2.0", ".well-known", "openid-configuration"] => (tenant, Route::OpenIdConfiguration),
            [tenant, ".well-known", "openid-configuration"] => (tenant, Route::OpenIdConfigurationV1),
            [tenant, "discovery", "v2.0", "keys"] | [tenant, "discovery", "keys"] => (tenant, Route::Keys),
            _ => ("", Route::Unknown),
        };
        let form = if matches!(route, Route::Token | Route::TokenV1) { call.body.as_ref() } else { call.query.as_bytes() };
        Self { tenant: tenant.to_owned(), route, form: form_urlencoded::parse(form).into_owned().collect() }
    }

    /// The route's name in the ledger.
    #[must_use]
    pub fn route(&self) -> &'static str {
        match self.route {
            Route::Token | Route::TokenV1 => "token",
            Route::InstanceDiscovery | Route::OpenIdConfiguration | Route::OpenIdConfigurationV1 | Route::Keys => "discovery",
            Route::Unknown => "unknown",
        }
    }

    /// The requesting application.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.field("client_id")
    }

    /// The kind of credential of the request, if it has one.
    ///
    /// An assertion whose issuer is a URL is a token of that issuer; any other must be signed by the application.
    #[must_use]
    pub fn credential(&self) -> Option<CredentialKind> {
        match (self.field("client_assertion"), self.field("client_secret")) {
            (Some(assertion), _) => {
                let federated = jwt::issuer(assertion).is_some_and(|issuer| issuer.starts_with("https://"));
                Some(if federated { CredentialKind::Federated } else { CredentialKind::Certificate })
            }
            (None, Some(_)) => Some(CredentialKind::Secret),
            (None, None) => None,
        }
    }

    /// The request's body as it may appear in the ledger.
    #[must_use]
    pub fn redacted_body(&self) -> String {
        let shown = self.form.iter().map(|(name, value)| match name.as_str() {
            "client_secret" | "client_assertion" | "assertion" | "password" | "refresh_token" | "code" => (name.as_str(), "(not shown)"),
            _ => (name.as_str(), value.as_str()),
        });
        shown.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    fn assertion(&self) -> Result<&str, Refusal> {
        if self.field("client_assertion_type") != Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer") {
            return Err(Refusal::MissingParameter("client_assertion_type"));
        }
        self.required("client_assertion")
    }

    fn required(&self, name: &'static str) -> Result<&str, Refusal> {
        self.field(name).ok_or(Refusal::MissingParameter(name))
    }
}

impl Entra {
    /// Entra ID without applications, with its own signing key.
    ///
    /// # Errors
    /// When the key cannot be created.
    pub fn new() -> Result<Self, token::KeyError> {
        Ok(Self {
            directory: Directory::default(),
            issuers: Issuers::default(),
            health: RwLock::default(),
            token_issuer: TokenIssuer::new()?,
        })
    }

    /// Sets its availability.
    pub fn set_health(&self, health: Health) {
        *self.health.write() = health;
    }

    /// The claims of a bearer token, if it was issued here; it may have expired.
    #[must_use]
    pub fn token(&self, text: &str) -> Option<Arc<Token>> {
        self.token_issuer.find(text)
    }

    /// Issues a token without further checks.
    #[must_use]
    pub fn issue(&self, principal: &Principal<'_>, audience: &'static str, cloud: Cloud, now: Timestamp) -> String {
        self.token_issuer.issue(principal, audience, cloud, now)
    }

    /// Handles a request.
    pub async fn handle(&self, request: &Request, call: &Call, cloud: Cloud) -> ServiceResponse {
        let health = self.health.read().clone();
        if health.delay_millis > 0 {
            tokio::time::sleep(Duration::from_millis(health.delay_millis)).await;
        }
        if health.unavailable {
            return ServiceResponse::html(StatusCode::SERVICE_UNAVAILABLE);
        }
        let response = match request.route {
            Route::Token | Route::TokenV1 if call.method != Method::POST => Refusal::WrongMethod.response(&call.host, call.now),
            Route::Token | Route::TokenV1 => {
                self.grant(request, call, cloud).unwrap_or_else(|refusal| refusal.response(&call.host, call.now))
            }
            Route::InstanceDiscovery => instance_discovery(request, cloud),
            Route::OpenIdConfiguration | Route::OpenIdConfigurationV1 => self.openid_configuration(request, call, cloud),
            Route::Keys => ServiceResponse::json(StatusCode::OK, &self.token_issuer.published_keys()),
            Route::Unknown => ServiceResponse::empty(StatusCode::NOT_FOUND),
        };
        response
            .with(CACHE_CONTROL, "no-store, no-cache")
            .with(PRAGMA, "no-cache")
            .with(HeaderName::from_static("x-content-type-options"), "nosniff")
            .with(HeaderName::from_static("x-ms-request-id"), &Uuid::new_v4().to_string())
    }

    /// Grants a token by the client credentials flow. The order of the checks is that of the real service.
    fn grant(&self, request: &Request, call: &Call, cloud: Cloud) -> Result<ServiceResponse, Refusal> {
        let grant = request.required("grant_type")?;
        let client = request.required("client_id")?;
        match self.directory.locate(&request.tenant, cloud) {
            TenantLocation::Here => {}
            TenantLocation::Elsewhere => return Err(Refusal::OtherCloud),
            TenantLocation::Unknown => return Err(Refusal::UnknownTenant(request.tenant.clone())),
        }
        if grant != "client_credentials" {
            return Err(Refusal::UnsupportedGrant(grant.to_owned()));
        }
        let application = self
            .directory
            .find(&request.tenant, client)
            .ok_or_else(|| Refusal::UnknownApplication { client: client.to_owned(), tenant: request.tenant.clone() })?;
        let resource = requested_resource(request)?;
        let audience =
            hosts::audience(&resource, cloud).ok_or_else(|| Refusal::UnknownResource { resource, tenant: request.tenant.clone() })?;
        let credential = request.credential().ok_or(Refusal::NoCredential)?;
        match credential {
            CredentialKind::Secret => application.check_secret(request.required("client_secret")?)?,
            CredentialKind::Certificate => assertion::check(&Jwt::read(request.assertion()?)?, &application, call, cloud)?,
            // Managed identities never call this endpoint: their machine does.
            CredentialKind::Federated | CredentialKind::Managed => {
                federation::check(&Jwt::read(request.assertion()?)?, &application, &self.issuers, call)?;
            }
        }
        let lifetime = application.token_lifetime;
        let principal =
            Principal { tenant: &application.tenant, client: &application.client, object: None, resource: None, credential, lifetime };
        let token = self.issue(&principal, audience, cloud, call.now);
        Ok(ServiceResponse::json(
            StatusCode::OK,
            &json!({"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token}),
        ))
    }

    fn openid_configuration(&self, request: &Request, call: &Call, cloud: Cloud) -> ServiceResponse {
        let tenant = &request.tenant;
        let known = self.directory.locate(tenant, cloud) == TenantLocation::Here;
        if !known && !matches!(tenant.as_str(), "common" | "organizations") {
            return Refusal::UnknownTenant(tenant.clone()).response(&call.host, call.now);
        }
        let authority = format!("https://{}/{tenant}", hosts::authority_host(cloud));
        let (version, issuer) = if request.route == Route::OpenIdConfigurationV1 {
            ("", format!("https://{}/{tenant}/", hosts::issuer_host(cloud)))
        } else {
            ("/v2.0", format!("https://{}/{tenant}/v2.0", hosts::issuer_host_v2(cloud)))
        };
        ServiceResponse::json(
            StatusCode::OK,
            &json!({
                "token_endpoint": format!("{authority}/oauth2{version}/token"),
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
                "jwks_uri": format!("{authority}/discovery{version}/keys"),
                "issuer": issuer,
                "authorization_endpoint": format!("{authority}/oauth2{version}/authorize"),
                "device_authorization_endpoint": format!("{authority}/oauth2{version}/devicecode"),
                "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "tenant_region_scope": "EU",
                "cloud_instance_name": hosts::authority_host(cloud).trim_start_matches("login."),
            }),
        )
    }
}

/// The resource of a version 2 scope (`<resource>/.default`) or of version 1's `resource`.
fn requested_resource(request: &Request) -> Result<String, Refusal> {
    if request.route == Route::TokenV1 {
        return request.required("resource").map(ToOwned::to_owned);
    }
    let scope = request.required("scope")?;
    let mut resources = scope.split_whitespace().filter(|scope| !matches!(*scope, "openid" | "profile" | "offline_access"));
    match (resources.next(), resources.next()) {
        (Some(only), None) => {
            only.strip_suffix("/.default").map(ToOwned::to_owned).ok_or_else(|| Refusal::ScopeWithoutDefault(scope.to_owned()))
        }
        _ => Err(Refusal::InvalidScope(scope.to_owned())),
    }
}

/// The aliases of an authority, which MSAL requests before it trusts one.
fn instance_discovery(request: &Request, cloud: Cloud) -> ServiceResponse {
    let host = hosts::authority_host(cloud);
    let default = format!("https://{host}/common/oauth2/v2.0/authorize");
    let endpoint = request.field("authorization_endpoint").unwrap_or(&default);
    let tenant = endpoint.split('/').nth(3).unwrap_or("common");
    ServiceResponse::json(
        StatusCode::OK,
        &json!({
            "tenant_discovery_endpoint": format!("https://{host}/{tenant}/v2.0/.well-known/openid-configuration"),
            "api-version": "1.1",
            "metadata": [
                {
                    "preferred_network": "login.microsoftonline.com",
                    "preferred_cache": "login.windows.net",
                    "aliases": ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"],
                },
                {
                    "preferred_network": "login.partner.microsoftonline.cn",
                    "preferred_cache": "login.partner.microsoftonline.cn",
                    "aliases": ["login.partner.microsoftonline.cn", "login.chinacloudapi.cn"],
                },
                {
                    "preferred_network": "login.microsoftonline.us",
                    "preferred_cache": "login.microsoftonline.us",
                    "aliases": ["login.microsoftonline.us", "login.usgovcloudapi.net"],
                },
            ],
        }),
    )
}
