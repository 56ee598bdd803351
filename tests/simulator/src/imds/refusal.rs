//! The metadata service's error responses: status, error and text.

use hyper::{StatusCode, header::RETRY_AFTER};
use serde_json::json;

use crate::{entra, response::ServiceResponse};

/// The reason why no token is issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A path other than the token's.
    UnknownPath,
    /// A method other than GET.
    Method,
    /// No `Metadata: true`.
    NoMetadataHeader,
    /// An `X-Forwarded-For` header. Forwarded requests are refused, so that a server cannot be tricked into fetching a token for a remote
    /// client.
    Forwarded,
    /// A parameter is missing.
    Missing(&'static str),
    /// The version is malformed.
    Version,
    /// The machine has no such identity.
    NoIdentity,
    /// The machine has several identities, and the request names none.
    SeveralIdentities,
    /// Entra ID refuses the resource.
    Resource(entra::Refusal),
    /// The service is being updated, for up to 70 seconds (documented).
    Updating,
    /// The service is starting.
    Starting,
    /// Too many requests.
    Throttled,
    /// Entra ID did not respond.
    Failing,
    /// Managed identities are not configured correctly on the machine.
    Unauthorized,
}

impl Refusal {
    /// The error response.
    #[must_use]
    pub fn response(&self) -> ServiceResponse {
        let (status, error, description) = self.parts();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        let response = ServiceResponse::json(status, &json!({"error": error, "error_description": description}));
        if *self == Self::Throttled { response.with(RETRY_AFTER, "1") } else { response }
    }

    fn parts(&self) -> (u16, &'static str, String) {
        let (status, error, description) = match self {
            Self::UnknownPath => (404, "not_found", "The metadata service of the local Azure has no such path."),
            Self::Method => (405, "method_not_allowed", "Http method not allowed."),
            Self::NoMetadataHeader => (400, "invalid_request", "Required metadata header not specified"),
            Self::Forwarded => (400, "invalid_request", "Requests with the X-Forwarded-For header are not allowed."),
            Self::Missing(name) => return (400, "invalid_request", format!("Required query variable '{name}' is missing")),
            Self::Version => {
                (400, "invalid_request", "The api-version is invalid in the request. For more information refer to aka.ms/azureimds")
            }
            Self::NoIdentity => (400, "invalid_request", "Identity not found"),
            Self::SeveralIdentities => (
                400,
                "invalid_request",
                "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request",
            ),
            Self::Unauthorized => {
                (400, "unauthorized_client", "The request is not authorized to request an access token using this method")
            }
            Self::Resource(refusal) => return (400, "invalid_resource", refusal.description()),
            Self::Updating => (410, "gone", "The IMDS endpoint is going through updates."),
            Self::Starting => (404, "not_found", "The IMDS endpoint is updating."),
            Self::Throttled => (429, "too_many_requests", "Too many requests."),
            Self::Failing => {
                (500, "unknown", "Failed to retrieve token from the Active directory. For details see logs in /var/log/azure/imds.log")
            }
        };
        (status, error, description.to_owned())
    }
}
