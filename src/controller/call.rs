//! One call to the Kubernetes API under a deadline.
//!
//! The client has no read timeout, for a watch may be silent for minutes: so every other call gets its deadline here.
//! A call on a connection that died unnoticed would otherwise wait for ever.

use std::time::Duration;

use thiserror::Error;

const NO_EFFECT: &str = "the write was accepted but had no effect";

/// Why a call to the Kubernetes API gave no answer that can be used.
#[derive(Debug, Error)]
pub enum CallError {
    /// The API server said no, or could not be asked.
    #[error("{}", describe(.0))]
    Kube(#[from] kube::Error),
    /// Nothing came back in time. A write may have been done all the same.
    #[error("the Kubernetes API did not respond within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// The API server accepted a write, and its response does not have what was written: a mutating webhook changes it back.
    #[error("{NO_EFFECT}")]
    NoEffect,
}

impl CallError {
    /// The HTTP status, where the API server answered.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Kube(kube::Error::Api(status)) => Some(status.code),
            Self::Kube(_) | Self::Timeout(_) | Self::NoEffect => None,
        }
    }

    /// Whether the object has changed since it was read, or is there already.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.status() == Some(409)
    }

    /// Whether the API server certainly did not do what was asked.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.status().is_some_and(|status| (400..500).contains(&status) && status != 408)
    }

    /// What the API server said, where it refuses the write for what it is, so that only somebody's action helps: an admission policy or
    /// webhook, also one that cannot be called, a missing permission, or a definition that does not fit. Not a conflict, a throttle or an
    /// expired token.
    #[must_use]
    pub fn denial(&self) -> Option<&str> {
        let said = self.said();
        match self {
            Self::Kube(kube::Error::Api(status)) => match status.code {
                400 | 403 | 405 | 406 | 413 | 415 | 422 => said,
                500 => said.filter(|said| said.contains("failed calling webhook")),
                _ => None,
            },
            Self::NoEffect => said,
            Self::Kube(_) | Self::Timeout(_) => None,
        }
    }

    /// What the API server said, or what its response shows.
    #[must_use]
    pub fn said(&self) -> Option<&str> {
        match self {
            Self::Kube(kube::Error::Api(status)) => Some(&status.message),
            Self::NoEffect => Some(NO_EFFECT),
            Self::Kube(_) | Self::Timeout(_) => None,
        }
    }

    /// Whether the namespace is being deleted, and takes nothing new.
    #[must_use]
    pub fn is_namespace_terminating(&self) -> bool {
        let Self::Kube(kube::Error::Api(status)) = self else { return false };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
    }

    /// Whether the object is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }
}

/// The library writes a whole status twice; the sentence in it is enough.
pub(super) fn describe(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("the Kubernetes API returned {}: {}", status.code, status.message),
        // The library's sentence quotes what it found, which may be a part of a Secret.
        kube::Error::SerdeError(error) => format!("the Kubernetes API returned an unreadable response (line {})", error.line()),
        other => other.to_string(),
    }
}

/// Waits for a call no longer than `limit`.
///
/// # Errors
/// What the call itself failed with, or [`CallError::Timeout`].
pub async fn bounded<T>(limit: Duration, call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, CallError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(CallError::Timeout(limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_ends_at_its_deadline() {
        let error = bounded(Duration::from_secs(5), std::future::pending::<Result<(), kube::Error>>()).await.unwrap_err();
        assert_eq!(error.to_string(), "the Kubernetes API did not respond within 5s");
        assert_eq!(error.status(), None);
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_quoted() {
        let error = serde_json::from_str::<u8>("\n\"planted\"").unwrap_err();
        assert!(error.to_string().contains("planted"));
        let said = CallError::from(kube::Error::SerdeError(error)).to_string();
        assert_eq!(said, "the Kubernetes API returned an unreadable response (line 2)");
    }

    #[tokio::test]
    async fn a_refusal_is_one_sentence_with_its_status() {
        let status = kube::core::Status::failure("leases is forbidden", "Forbidden").with_code(403).boxed();
        let refused = std::future::ready(Err::<(), _>(kube::Error::Api(status)));
        let error = bounded(Duration::from_secs(5), refused).await.unwrap_err();
        assert_eq!(error.to_string(), "the Kubernetes API returned 403: leases is forbidden");
        assert_eq!(error.status(), Some(403));
        assert!(!error.is_conflict() && !error.is_not_found());
    }
}
