//! The libraries whose logs may hold secrets.

use tracing::{Level, Metadata};

/// Libraries that process complete requests. Below `info`, their logs may contain headers and bodies, and therefore tokens and secrets. No
/// filter enables these levels.
pub(super) const SECRET_LIBRARIES: &[&str] =
    &["azure_core", "azure_identity", "h2", "hyper", "hyper_util", "reqwest", "rustls", "typespec"];

/// A target that logs complete responses of the Kubernetes API if it fails to decode them, even a Secret or a token.
const LOGS_RESPONSES: &str = "kube_client::client";

pub(super) fn shows_no_secrets(metadata: &Metadata<'_>) -> bool {
    is_allowed(metadata.target(), *metadata.level())
}

fn is_allowed(target: &str, level: Level) -> bool {
    target != LOGS_RESPONSES && (level <= Level::INFO || !handles_secrets(target))
}

fn handles_secrets(target: &str) -> bool {
    let library = target.split("::").next().unwrap_or(target);
    SECRET_LIBRARIES.iter().any(|name| library == *name || library.starts_with("typespec"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_with_secrets_are_not_logged() {
        assert!(is_allowed("reqwest::connect", Level::WARN) && !is_allowed("reqwest::connect", Level::DEBUG));
        assert!(!is_allowed("kube_client::client", Level::ERROR) && is_allowed("kube_client::client::builder", Level::WARN));
        assert!(is_allowed("tabular_operator::azure", Level::TRACE));
    }

    #[test]
    fn libraries_with_tokens_are_matched_by_module() {
        assert!(handles_secrets("h2::codec::framed_write"));
        assert!(handles_secrets("typespec_client_core::http"));
        assert!(!handles_secrets("tabular_operator::azure"));
        assert!(!handles_secrets("h2o"));
    }
}
