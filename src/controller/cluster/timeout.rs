//! Requests to the Kubernetes API with a deadline.
//!
//! The read timeout of the client allows for a silent watch, so every other request gets its deadline here. Without it, a request
//! on a dead connection would block for a long time.

use std::time::Duration;

use thiserror::Error;

const NO_EFFECT: &str = "the write was accepted but had no effect";

/// Why a request to the Kubernetes API has no usable response.
#[derive(Debug, Error)]
pub enum ApiError {
    /// The API server rejected the request or could not be reached.
    #[error("{}", describe(.0))]
    Kube(#[from] kube::Error),
    /// No response arrived in time. A write may have been performed nevertheless.
    #[error("the Kubernetes API did not respond within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// The API server accepted a write, but its response does not contain what was written: a mutating webhook reverts it.
    #[error("{NO_EFFECT}")]
    NoEffect,
}

impl ApiError {
    /// The HTTP status, if the API server responded.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Kube(kube::Error::Api(status)) => Some(status.code),
            Self::Kube(_) | Self::Timeout(_) | Self::NoEffect => None,
        }
    }

    /// Whether the object has changed since it was read, or already exists.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.status() == Some(409)
    }

    /// Whether the API server certainly did not perform the request.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.status().is_some_and(|status| (400..500).contains(&status) && status != 408)
    }

    /// The message of the API server if it refuses the write because of its content, so that only a user or an administrator can
    /// resolve it: an admission policy or webhook (also one that cannot be called), a missing permission, or a CRD that does not match.
    /// `None` for a conflict, throttling or an expired token. `None` also for a denial with status 404 or 409: only a read shows whether it
    /// is one.
    #[must_use]
    pub fn denial(&self) -> Option<&str> {
        let message = self.message();
        match self {
            Self::Kube(kube::Error::Api(status)) => match status.code {
                400 | 403 | 405 | 406 | 413 | 415 | 422 => message,
                404 | 409 => None,
                500 => message.filter(|message| is_admission_denial(message) || message.contains("failed calling webhook")),
                _ => message.filter(|message| is_admission_denial(message)),
            },
            Self::NoEffect => message,
            Self::Kube(_) | Self::Timeout(_) => None,
        }
    }

    /// The message of the API server, or what its response shows.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Kube(kube::Error::Api(status)) => Some(&status.message),
            Self::NoEffect => Some(NO_EFFECT),
            Self::Kube(_) | Self::Timeout(_) => None,
        }
    }

    /// Whether the write failed because the namespace is being deleted.
    #[must_use]
    pub fn is_namespace_terminating(&self) -> bool {
        let Self::Kube(kube::Error::Api(status)) = self else { return false };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
    }

    /// Whether the object does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }
}

/// Whether an admission policy or webhook denied a write. Either determines the status of the response, so only the words of the API server
/// show it.
fn is_admission_denial(message: &str) -> bool {
    message.contains("denied request") || message.contains("denied the request")
}

/// Describes an error in one sentence. The `Display` of the library contains the whole status twice.
pub(crate) fn describe(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("the Kubernetes API returned {}: {}", status.code, status.message),
        // The message of the library quotes the content, which may be a part of a Secret.
        kube::Error::SerdeError(error) => format!("the Kubernetes API returned an unreadable response (line {})", error.line()),
        other => other.to_string(),
    }
}

/// Performs a request with a deadline of `limit`.
///
/// # Errors
/// The error of the request, or [`ApiError::Timeout`].
pub async fn with_timeout<T>(limit: Duration, call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, ApiError> {
    match tokio::time::timeout(limit, call).await {
        Ok(response) => Ok(response?),
        Err(_) => Err(ApiError::Timeout(limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn hanging_request_ends_at_its_deadline() {
        let error = with_timeout(Duration::from_secs(5), std::future::pending::<Result<(), kube::Error>>()).await.unwrap_err();
        assert_eq!(error.to_string(), "the Kubernetes API did not respond within 5s");
        assert_eq!(error.status(), None);
    }

    #[test]
    fn admission_denial_is_recognized_with_any_status() {
        let denied = |code, message: &str| {
            let status = kube::core::Status::failure(message, "").with_code(code).boxed();
            ApiError::from(kube::Error::Api(status)).denial().is_some()
        };
        let policy = "ValidatingAdmissionPolicy 'no-status' with binding 'all' denied request: read only";
        for message in [policy, "admission webhook \"a.b\" denied the request without explanation"] {
            let not_denied: Vec<u16> = (400..600).filter(|code| !denied(*code, message)).collect();
            assert_eq!(not_denied, [404, 409], "a read shows these");
        }
        for (code, message) in [(401, "Unauthorized"), (408, "timeout"), (429, "try again later"), (500, "internal"), (503, "no endpoints")]
        {
            assert!(!denied(code, message), "{code}");
        }
        assert!(denied(403, "leases is forbidden") && denied(500, "failed calling webhook"));
    }

    #[test]
    fn unreadable_response_is_not_quoted() {
        let error = serde_json::from_str::<u8>("\n\"planted\"").unwrap_err();
        assert!(error.to_string().contains("planted"));
        let message = ApiError::from(kube::Error::SerdeError(error)).to_string();
        assert_eq!(message, "the Kubernetes API returned an unreadable response (line 2)");
    }

    #[tokio::test]
    async fn refusal_is_one_sentence_with_status() {
        let status = kube::core::Status::failure("leases is forbidden", "Forbidden").with_code(403).boxed();
        let refused = std::future::ready(Err::<(), _>(kube::Error::Api(status)));
        let error = with_timeout(Duration::from_secs(5), refused).await.unwrap_err();
        assert_eq!(error.to_string(), "the Kubernetes API returned 403: leases is forbidden");
        assert_eq!(error.status(), Some(403));
        assert!(!error.is_conflict() && !error.is_not_found());
    }
}
