//! The metadata service's refusals: status, error and sentence.

use hyper::{StatusCode, header::RETRY_AFTER};
use serde_json::json;

use crate::{answer::Answer, entra};

/// Why no token is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another path than the token's.
    UnknownPath,
    /// Another method than GET.
    Method,
    /// No `Metadata: true`.
    NoMetadataHeader,
    /// An `X-Forwarded-For`: it refuses what was forwarded, so that no server can be talked into fetching a token for a stranger.
    Forwarded,
    /// A parameter is missing.
    Missing(&'static str),
    /// Not a version as versions are written.
    Version,
    /// The machine has no such identity.
    NoIdentity,
    /// The machine has several, and the request names none.
    SeveralIdentities,
    /// Entra ID refuses the resource.
    Resource(entra::Refusal),
    /// It is being updated, and back within 70 seconds (documented).
    Updating,
    /// It is coming up.
    Starting,
    /// Too many requests.
    Throttled,
    /// Entra ID did not answer it.
    Failing,
    /// Managed identities are not configured correctly on the machine.
    Unauthorized,
}

impl Refusal {
    /// The refusal as it goes out.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let (status, error, description) = self.parts();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        let answer = Answer::json(status, &json!({"error": error, "error_description": description}));
        if *self == Self::Throttled { answer.with(RETRY_AFTER, "1") } else { answer }
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
