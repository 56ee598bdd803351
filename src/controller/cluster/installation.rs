//! The identity of one installation of the operator.
//!
//! The uid of its `ServiceAccount` identifies an installation: all its pods share it, and a new installation gets another one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kube::config::AuthInfo;
use secrecy::ExposeSecret as _;
use serde_json::Value;

/// Maximum length of a uid.
const MAX_UID_BYTES: usize = 64;

/// The uid in the token of a `ServiceAccount`. The token needs no verification: the API server authenticates the writer with it.
pub(crate) fn of(user: &AuthInfo) -> Option<String> {
    let file = || user.token_file.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
    let token = user.token.as_ref().map(|token| token.expose_secret().to_owned()).or_else(file)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.trim().split('.').nth(1)?).ok()?).ok()?;
    let plain =
        |uid: &&str| (1..=MAX_UID_BYTES).contains(&uid.len()) && uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    claims["kubernetes.io"]["serviceaccount"]["uid"].as_str().filter(plain).map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(claims: &str) -> AuthInfo {
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        AuthInfo { token: Some(token.into()), ..AuthInfo::default() }
    }

    #[test]
    fn installation_is_uid_of_service_account() {
        let claims = r#"{"sub": "system:serviceaccount:ops:op", "kubernetes.io": {"namespace": "ops", "serviceaccount": {"name": "op", "uid": "7a-1"}}}"#;
        assert_eq!(of(&user(claims)).as_deref(), Some("7a-1"));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, format!("{}\n", user(claims).token.unwrap().expose_secret())).unwrap();
        let from_file = |path: &std::path::Path| of(&AuthInfo { token_file: Some(path.display().to_string()), ..AuthInfo::default() });
        assert_eq!(from_file(&path).as_deref(), Some("7a-1"));
        assert_eq!(from_file(&directory.path().join("none")), None);
    }

    #[test]
    fn other_users_have_no_installation() {
        assert_eq!(of(&AuthInfo::default()), None);
        for token in ["", "opaque", "a.b", "a.!.c", "a.e30.c"] {
            assert_eq!(of(&AuthInfo { token: Some(token.to_owned().into()), ..AuthInfo::default() }), None, "{token}");
        }
        for uid in [r#""""#, "7", r#""a b""#, r#""a\nb""#, &format!("\"{}\"", "a".repeat(65))] {
            assert_eq!(of(&user(&format!(r#"{{"kubernetes.io": {{"serviceaccount": {{"uid": {uid}}}}}}}"#))), None, "{uid}");
        }
    }
}
