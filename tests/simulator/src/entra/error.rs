//! Entra ID's error responses, with its codes and the shape that clients parse.

use hyper::StatusCode;
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::response::ServiceResponse;

/// The reason why no token is issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A parameter is missing.
    MissingParameter(&'static str),
    /// Not a POST.
    WrongMethod,
    /// The tenant does not exist.
    UnknownTenant(String),
    /// The tenant has no such application.
    UnknownApplication {
        /// The requested application.
        client: String,
        /// The tenant that was searched.
        tenant: String,
    },
    /// A flow other than client credentials.
    UnsupportedGrant(String),
    /// Neither secret nor assertion.
    NoCredential,
    /// The secret is wrong.
    WrongSecret(String),
    /// The secret has expired.
    ExpiredSecret(String),
    /// The assertion is not a JWT, or lacks a required part.
    MalformedAssertion(String),
    /// The assertion declares another type than JWT.
    AssertionType(String),
    /// The signature algorithm of the assertion is not supported.
    AssertionAlgorithm {
        /// The algorithm.
        algorithm: String,
        /// The supported algorithms.
        supported: &'static [&'static str],
    },
    /// The assertion does not identify its signing key.
    NoThumbprint,
    /// The assertion's certificate or signature is not one of the application's.
    WrongKey {
        /// The fault.
        fault: KeyFault,
        /// The certificate's thumbprint, from the assertion.
        thumbprint: String,
        /// The application.
        client: String,
    },
    /// The assertion's `aud` is not this authority.
    AssertionAudience,
    /// The assertion's issuer or subject is not the application.
    AssertionIssuer,
    /// The assertion has expired, or is not valid yet.
    AssertionTime {
        /// The current time.
        now: Timestamp,
        /// Start of its validity, in seconds since 1970.
        from: i64,
        /// End of its validity, in seconds since 1970.
        until: i64,
    },
    /// The application has no federated credentials.
    NotFederated(String),
    /// The application does not trust this issuer.
    FederatedIssuer(String),
    /// The application does not trust this subject of the issuer.
    FederatedSubject {
        /// The subject.
        subject: String,
        /// Whether it matches case-insensitively.
        case_alone: bool,
    },
    /// The token has another audience.
    FederatedAudience(String),
    /// The issuer's keys are unavailable.
    IssuerUnreachable,
    /// The issuer publishes no such key.
    UnknownIssuerKey {
        /// The key's id.
        key: String,
        /// The issuer.
        issuer: String,
    },
    /// The token is not signed by the issuer's key.
    FederatedSignature,
    /// The tenant belongs to another cloud.
    OtherCloud,
    /// The resource does not exist in this cloud.
    UnknownResource {
        /// The resource.
        resource: String,
        /// The tenant.
        tenant: String,
    },
    /// The scope has no `/.default`.
    ScopeWithoutDefault(String),
    /// The scope names no resource, or more than one.
    InvalidScope(String),
}

/// A fault of an assertion's signing key; the validity is the certificate's, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// The application has no such certificate.
    NotRegistered,
    /// The certificate has expired.
    Expired((i64, i64)),
    /// The signature is not by the certificate's key.
    Signature((i64, i64)),
}

const CERTIFICATE_DOCS: &str = "Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .";

const FEDERATION_DOCS: &str = "Check your federated identity credential Subject, Audience and Issuer against the presented assertion. \
     https://learn.microsoft.com/entra/workload-id/workload-identity-federation";

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
            Self::AssertionType(_) => (401, "invalid_client", 5_002_727),
            Self::AssertionAlgorithm { .. } => (401, "invalid_client", 5_002_738),
            Self::NoThumbprint => (401, "invalid_client", 5_002_723),
            Self::WrongKey { .. } => (401, "invalid_client", 700_027),
            Self::AssertionAudience => (401, "invalid_client", 700_023),
            Self::AssertionIssuer => (401, "invalid_client", 700_021),
            Self::AssertionTime { .. } => (401, "invalid_client", 700_024),
            Self::NotFederated(_) => (401, "invalid_client", 70_025),
            Self::FederatedIssuer(_) => (401, "invalid_client", 700_211),
            Self::FederatedSubject { case_alone: false, .. } => (401, "invalid_client", 700_213),
            Self::FederatedSubject { case_alone: true, .. } => (401, "invalid_client", 7_002_138),
            Self::FederatedAudience(_) => (401, "invalid_client", 700_212),
            Self::IssuerUnreachable => (400, "invalid_request", 501_661),
            Self::UnknownIssuerKey { .. } => (401, "invalid_client", 7_000_272),
            Self::FederatedSignature => (401, "invalid_client", 7_000_274),
            Self::OtherCloud => (400, "invalid_request", 900_382),
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
            Self::AssertionType(_) => {
                "Invalid JWT header type specified. Allowed types: 'JWT','http://openid.net/specs/jwt/1.0'.".to_owned()
            }
            Self::AssertionAlgorithm { algorithm, supported } => format!(
                "Invalid JWT token. '{algorithm}' is not a supported signature algorithm. Supported signing algorithms are: '{}'",
                supported.join(",")
            ),
            Self::NoThumbprint => "Invalid JWT token. No certificate SHA-1 thumbprint, certificate SHA-256 thumbprint, nor keyId \
                 specified in token header."
                .to_owned(),
            Self::WrongKey { fault, thumbprint, client } => fault.text(thumbprint, client),
            Self::AssertionAudience => format!("Client assertion audience claim does not match Realm issuer. {CERTIFICATE_DOCS}"),
            Self::AssertionIssuer => {
                format!("Client assertion application identifier doesn't match 'client_id' parameter. {CERTIFICATE_DOCS}")
            }
            Self::AssertionTime { now, from, until } => format!(
                "Client assertion is not within its valid time range. Current time: {now:.7}, assertion valid from {:.7}, expiry time \
                 of assertion {:.7}. {CERTIFICATE_DOCS}",
                instant(*from),
                instant(*until)
            ),
            Self::NotFederated(client) => format!("The client '{client}' has no configured federated identity credentials."),
            Self::FederatedIssuer(issuer) => {
                format!("No matching federated identity record found for presented assertion issuer '{issuer}'. {FEDERATION_DOCS}")
            }
            Self::FederatedSubject { subject, case_alone } => {
                let case = if *case_alone {
                    " The subject matches with case-insensitive comparison, but not with case-sensitive comparison."
                } else {
                    ""
                };
                format!("No matching federated identity record found for presented assertion subject '{subject}'.{case} {FEDERATION_DOCS}")
            }
            Self::FederatedAudience(audience) => {
                format!("No matching federated identity record found for presented assertion audience '{audience}'. {FEDERATION_DOCS}")
            }
            Self::IssuerUnreachable => "Request to External OIDC endpoint failed.".to_owned(),
            Self::UnknownIssuerKey { key, issuer } => format!(
                "The certificate with identifier '{key}' used to sign the federated credential could not be found in the metadata of \
                 identity provider '{issuer}'."
            ),
            Self::FederatedSignature => "Client assertion contains an invalid signature. [Reason - Key was found, but use of the key to \
                 verify the signature failed.]"
                .to_owned(),
            Self::OtherCloud => "Confidential Client is not supported in Cross Cloud request.".to_owned(),
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

    /// The code and the text, the start of every message of Entra ID.
    #[must_use]
    pub fn description(&self) -> String {
        format!("AADSTS{}: {}", self.codes().2, self.text())
    }

    /// The error response of the authority `host`.
    #[must_use]
    pub fn response(&self, host: &str, now: Timestamp) -> ServiceResponse {
        let (status, error, code) = self.codes();
        let (trace, correlation) = (Uuid::new_v4(), Uuid::new_v4());
        let timestamp = now.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        ServiceResponse::json(
            status,
            &json!({
                "error": error,
                "error_description": format!("{} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {timestamp}", self.description()),
                "error_codes": [code],
                "timestamp": timestamp,
                "trace_id": trace,
                "correlation_id": correlation,
                "error_uri": format!("https://{host}/error?code={code}"),
            }),
        )
    }
}

impl KeyFault {
    fn text(self, thumbprint: &str, client: &str) -> String {
        let (sentence, reason, validity) = match self {
            Self::NotRegistered => (
                "The certificate with identifier used to sign the client assertion is not registered on application.",
                "The key was not found.",
                None,
            ),
            Self::Expired(validity) => (
                "The certificate with identifier used to sign the client assertion is expired on application.",
                "The key used is expired.",
                Some(validity),
            ),
            Self::Signature(validity) => (
                "Client assertion contains an invalid signature.",
                "Key was found, but use of the key to verify the signature failed.",
                Some(validity),
            ),
        };
        let shown = |seconds| instant(seconds).strftime("%m/%d/%Y %H:%M:%S").to_string();
        let found = validity.map(|(from, until)| format!("Found key 'Start={}, End={}', ", shown(from), shown(until)));
        format!(
            "{sentence} [Reason - {reason}, Thumbprint of key used by client: '{thumbprint}', {}Please visit the Azure Portal, Graph \
             Explorer or directly use MS Graph to see configured keys for app Id '{client}'.]",
            found.unwrap_or_default()
        )
    }
}

fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or_default()
}
