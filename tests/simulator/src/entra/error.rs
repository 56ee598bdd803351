//! Entra ID's refusals, with its codes and the shape that clients parse.

use hyper::StatusCode;
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::answer::Answer;

/// Why no token is issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A parameter is missing.
    MissingParameter(&'static str),
    /// Not a POST.
    WrongMethod,
    /// No such tenant.
    UnknownTenant(String),
    /// The tenant has no such application.
    UnknownApplication {
        /// The application asked for.
        client: String,
        /// The tenant that was searched.
        tenant: String,
    },
    /// A flow other than that of client credentials.
    UnsupportedGrant(String),
    /// Neither secret nor assertion.
    NoCredential,
    /// The secret is wrong.
    WrongSecret(String),
    /// The secret has expired.
    ExpiredSecret(String),
    /// The assertion is no JWT, or lacks what it must have.
    MalformedAssertion(String),
    /// The assertion's certificate or signature is not one of the application's.
    WrongAssertion {
        /// What is wrong.
        reason: &'static str,
        /// The certificate's thumbprint, as far as the assertion tells.
        thumbprint: String,
    },
    /// The assertion's `aud` is not this authority.
    AssertionAudience(String),
    /// The assertion's issuer or subject is not the application.
    AssertionIssuer(String),
    /// The assertion has expired, or is not valid yet.
    AssertionTime,
    /// There is no such resource in this cloud.
    UnknownResource {
        /// The resource.
        resource: String,
        /// The tenant.
        tenant: String,
    },
    /// The scope has no `/.default`.
    ScopeWithoutDefault(String),
    /// The scope names nothing, or more than one resource.
    InvalidScope(String),
}

impl Refusal {
    /// Status, OAuth error and Entra ID's own code.
    fn codes(&self) -> (u16, &'static str, u32) {
        match self {
            Self::MissingParameter(_) => (400, "invalid_request", 900_144),
            Self::WrongMethod => (400, "invalid_request", 900_561),
            Self::UnknownTenant(_) => (400, "invalid_request", 90_002),
            Self::UnknownApplication { .. } => (400, "unauthorized_client", 700_016),
            Self::UnsupportedGrant(_) => (400, "unsupported_grant_type", 70_003),
            Self::NoCredential => (401, "invalid_client", 7_000_216),
            Self::WrongSecret(_) => (401, "invalid_client", 7_000_215),
            Self::ExpiredSecret(_) => (401, "invalid_client", 7_000_222),
            Self::MalformedAssertion(_) => (401, "invalid_client", 50_027),
            Self::WrongAssertion { .. } => (401, "invalid_client", 700_027),
            Self::AssertionAudience(_) => (401, "invalid_client", 700_023),
            Self::AssertionIssuer(_) => (401, "invalid_client", 700_021),
            Self::AssertionTime => (401, "invalid_client", 700_024),
            Self::UnknownResource { .. } => (400, "invalid_resource", 500_011),
            Self::ScopeWithoutDefault(_) => (400, "invalid_scope", 1_002_012),
            Self::InvalidScope(_) => (400, "invalid_scope", 70_011),
        }
    }

    /// The text after the code.
    fn text(&self) -> String {
        match self {
            Self::MissingParameter(name) => {
                format!("The request body must contain the following parameter: '{name}'.")
            }
            Self::WrongMethod => "The endpoint only accepts POST requests. Received a GET request.".to_owned(),
            Self::UnknownTenant(tenant) => format!(
                "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the \
                 correct cloud. Check with your subscription administrator, this may happen if there are no active \
                 subscriptions for the tenant."
            ),
            Self::UnknownApplication { client, tenant } => format!(
                "Application with identifier '{client}' was not found in the directory '{tenant}'. This can happen if the \
                 application has not been installed by the administrator of the tenant or consented to by any user in the \
                 tenant. You may have sent your authentication request to the wrong tenant."
            ),
            Self::UnsupportedGrant(grant) => {
                format!("The app requested an unsupported grant type '{grant}'.")
            }
            Self::NoCredential => "The request body must contain the following parameter: 'client_assertion' or \
                 'client_secret'."
                .to_owned(),
            Self::WrongSecret(client) => format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, \
                 not the client secret ID, for a secret added to app '{client}'."
            ),
            Self::ExpiredSecret(client) => format!(
                "The provided client secret keys for app '{client}' are expired. Visit the Azure portal to create new keys \
                 for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added \
                 security: https://aka.ms/certCreds."
            ),
            Self::MalformedAssertion(why) => format!("JWT token is invalid or malformed. {why}"),
            Self::WrongAssertion { reason, thumbprint } => format!(
                "Client assertion failed signature validation. [Reason - {reason}, Thumbprint of key used by client: \
                 '{thumbprint}']"
            ),
            Self::AssertionAudience(audience) => {
                format!("Client assertion audience claim does not match Realm issuer. The audience was '{audience}'.")
            }
            Self::AssertionIssuer(client) => {
                format!("Client assertion application identifier doesn't match 'client_id' parameter '{client}'.")
            }
            Self::AssertionTime => "Client assertion is not within its valid time range.".to_owned(),
            Self::UnknownResource { resource, tenant } => format!(
                "The resource principal named {resource} was not found in the tenant named {tenant}. This can happen if \
                 the application has not been installed by the administrator of the tenant or consented to by any user in \
                 the tenant. You might have sent your authentication request to the wrong tenant."
            ),
            Self::ScopeWithoutDefault(scope) => format!(
                "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with \
                 /.default suffixed to the resource identifier (application ID URI)."
            ),
            Self::InvalidScope(scope) => format!(
                "The provided request must include a 'scope' input parameter. The provided value for the input parameter \
                 'scope' is not valid. The scope {scope} is not valid."
            ),
        }
    }

    /// The refusal as it goes out.
    #[must_use]
    pub fn answer(&self, now: Timestamp) -> Answer {
        let (status, error, code) = self.codes();
        let text = self.text();
        let (trace, correlation) = (Uuid::new_v4(), Uuid::new_v4());
        let timestamp = now.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        Answer::json(
            status,
            &json!({
                "error": error,
                "error_description": format!("AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {timestamp}"),
                "error_codes": [code],
                "timestamp": timestamp,
                "trace_id": trace,
                "correlation_id": correlation,
                "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
            }),
        )
    }
}
