//! The libraries whose logs may hold secrets.

use tracing::{Level, Metadata};

/// Libraries that process complete requests. Below `info`, their logs may contain headers and bodies, and therefore tokens and secrets. No
/// filter enables these levels.
pub(super) const SEE_SECRETS: &[&str] = &["azure_core", "azure_identity", "h2", "hyper", "hyper_util", "reqwest", "rustls", "typespec"];

/// A target that logs complete responses of the Kubernetes API if it fails to decode them, even a Secret or a token.
const WRITES_ANSWERS: &str = "kube_client::client";

pub(super) fn keeps_secrets(metadata: &Metadata<'_>) -> bool {
    heard(metadata.target(), *metadata.level())
}

fn heard(target: &str, level: Level) -> bool {
    target != WRITES_ANSWERS && (level <= Level::INFO || !sees_secrets(target))
}

fn sees_secrets(target: &str) -> bool {
    let library = target.split("::").next().unwrap_or(target);
    SEE_SECRETS.iter().any(|name| library == *name || library.starts_with("typespec"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_with_secrets_are_not_logged() {
        assert!(heard("reqwest::connect", Level::WARN) && !heard("reqwest::connect", Level::DEBUG));
        assert!(!heard("kube_client::client", Level::ERROR) && heard("kube_client::client::builder", Level::WARN));
        assert!(heard("tabular_operator::azure", Level::TRACE));
    }

    #[test]
    fn libraries_with_tokens_are_matched_by_module() {
        assert!(sees_secrets("h2::codec::framed_write"));
        assert!(sees_secrets("typespec_client_core::http"));
        assert!(!sees_secrets("tabular_operator::azure"));
        assert!(!sees_secrets("h2o"));
    }
}
