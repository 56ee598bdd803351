//! The operator's own identity, from the environment variables of Microsoft's own libraries.
//!
//! `AZURE_AUTHORITY_HOST` is not one of them: the cloud setting of the operator determines the authority.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::application::client_id;
use super::{AssertionSource, FieldNames, Identity, SecretText, value};
use crate::operation::{ServiceError, ServiceErrorKind};

/// Maximum size of a file in a variable: a token, or a certificate with its chain and key.
const FILE_LIMIT: u64 = 256 * 1024;

/// The relevant variables. An empty variable counts as unset.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    tenant_id: Option<String>,
    client_id: Option<String>,
    federated_token_file: Option<PathBuf>,
    client_secret: Option<SecretText>,
    client_certificate: Option<PathBuf>,
}

impl Environment {
    /// The environment of the process.
    #[must_use]
    pub fn of_process() -> Self {
        // A message shows the replacement character for a value that is not UTF-8.
        Self::read(|name| std::env::var_os(name).map(|value: OsString| value.to_string_lossy().into_owned()))
    }

    /// Reads the variables from `variable`.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|text| !value::is_empty(text)).map(|text| value::without_marks(&text).to_owned());
        Self {
            tenant_id: set("AZURE_TENANT_ID"),
            client_id: set("AZURE_CLIENT_ID"),
            federated_token_file: set("AZURE_FEDERATED_TOKEN_FILE").map(PathBuf::from),
            client_secret: set("AZURE_CLIENT_SECRET").map(|secret| SecretText::new(&secret)),
            client_certificate: set("AZURE_CLIENT_CERTIFICATE_PATH").map(PathBuf::from),
        }
    }

    /// The identity: the first one of workload identity, secret and certificate that is set, or else the managed identity of the operator's
    /// pod or node. Reads the file of a certificate, and checks its validity period.
    ///
    /// # Errors
    /// One sentence that names the variable and the remedy.
    pub fn identity(&self, now: Timestamp) -> Result<Identity, String> {
        let Self { tenant_id, client_id, federated_token_file, client_secret, client_certificate } = self;
        let ids = |what: &str| match (tenant_id, client_id) {
            (Some(tenant), Some(client)) => Ok((tenant.as_str(), client.as_str())),
            (None, _) => Err(missing("AZURE_TENANT_ID", what)),
            (Some(_), None) => Err(missing("AZURE_CLIENT_ID", what)),
        };
        let field_names = FieldNames::VARIABLES;
        let identity = if let Some(path) = federated_token_file {
            let (tenant, client) = ids("AZURE_FEDERATED_TOKEN_FILE")?;
            Identity::workload_identity(tenant, client, Arc::new(TokenFile { path: path.clone() }), field_names)?
        } else if let Some(secret) = client_secret {
            let (tenant, client) = ids("AZURE_CLIENT_SECRET")?;
            Identity::service_principal_secret(tenant, client, secret.expose(), field_names)?
        } else if let Some(path) = client_certificate {
            let (tenant, client) = ids("AZURE_CLIENT_CERTIFICATE_PATH")?;
            let pem = read(path).map_err(|why| format!("{} {why}", field_names.certificate))?;
            Identity::service_principal_certificate(tenant, client, pem.expose(), now, field_names)?
        } else {
            Identity::managed(client_id.as_deref().map(|id| self::client_id(id, field_names)).transpose()?.as_deref())
        };
        Ok(identity.of_operator())
    }
}

fn missing(variable: &str, beside: &str) -> String {
    format!("{variable} is not set: {beside} requires it")
}

/// A file with a token that the kubelet renews.
#[derive(Debug)]
struct TokenFile {
    path: PathBuf,
}

#[async_trait]
impl AssertionSource for TokenFile {
    fn key(&self) -> String {
        format!("file {}", self.path.display())
    }

    async fn assertion(&self) -> Result<SecretText, ServiceError> {
        // A small file in memory, as the kubelet mounts it, so no separate thread is needed.
        read(&self.path).map_err(|why| ServiceError {
            kind: ServiceErrorKind::Unreachable,
            message: format!("the operator's own token, the file in AZURE_FEDERATED_TOKEN_FILE, {why}"),
            retry_after: None,
            activity_id: None,
        })
    }
}

/// The text of a file without surrounding whitespace, or its problem as the rest of a sentence. The message does not contain the path,
/// because users of a namespace must not see it.
fn read(path: &Path) -> Result<SecretText, String> {
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    let read = File::open(path).and_then(|file| file.take(FILE_LIMIT + 1).read_to_end(&mut bytes));
    let length = read.map_err(|error| format!("is unreadable: {}", error.kind()))?;
    if length as u64 > FILE_LIMIT {
        return Err("is larger than 256 KiB".to_owned());
    }
    let text = value::text(&bytes)?;
    if value::is_empty(text) {
        return Err("is empty".to_owned());
    }
    Ok(SecretText::new(value::without_marks(text).trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::IdentityKind;

    const GUID: &str = "f089354e-8366-4e18-aea3-4cb4a3a50b48";

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    fn identity(pairs: &[(&str, &str)]) -> Result<Identity, String> {
        environment(pairs).identity(Timestamp::now())
    }

    #[test]
    fn first_configured_identity_is_used() {
        let ids = [("AZURE_TENANT_ID", GUID), ("AZURE_CLIENT_ID", GUID)];
        let with = |more: &[(&'static str, &'static str)]| format!("{:?}", identity(&[&ids, more].concat()).unwrap());
        let (file, secret) = (("AZURE_FEDERATED_TOKEN_FILE", "/no/token"), ("AZURE_CLIENT_SECRET", "planted-secret"));
        assert!(with(&[secret, file]).contains("Federated(TokenFile"), "{}", with(&[secret, file]));
        assert!(with(&[secret]).contains("Secret([redacted])"), "{}", with(&[secret]));
        assert!(with(&[]).contains("Managed { client_id: Some"), "{}", with(&[]));
        assert!(with(&[("AZURE_CLIENT_SECRET", " ")]).contains("Managed"));
        let managed = identity(&[]).unwrap();
        assert_eq!(managed.kind, IdentityKind::Operator);
        assert!(format!("{managed:?}").contains("client_id: None"));
    }

    #[test]
    fn missing_variables_are_named() {
        let file = ("AZURE_FEDERATED_TOKEN_FILE", "/no/token");
        let certificate = ("AZURE_CLIENT_CERTIFICATE_PATH", "/no/certificate");
        let rows = [
            (vec![file, ("AZURE_CLIENT_ID", GUID)], "AZURE_TENANT_ID is not set"),
            (vec![file, ("AZURE_TENANT_ID", GUID)], "AZURE_CLIENT_ID is not set"),
            (vec![("AZURE_CLIENT_SECRET", "s")], "AZURE_CLIENT_SECRET requires it"),
            (vec![certificate, ("AZURE_TENANT_ID", GUID), ("AZURE_CLIENT_ID", GUID)], "is unreadable: entity not found"),
            (vec![file, ("AZURE_TENANT_ID", "common"), ("AZURE_CLIENT_ID", GUID)], "AZURE_TENANT_ID must be"),
        ];
        for (pairs, expected) in rows {
            let message = identity(&pairs).unwrap_err();
            assert!(message.contains(expected) && !message.contains("/no/"), "{message}");
        }
    }

    #[test]
    fn invalid_variable_or_file_is_named() {
        let ids = [("AZURE_TENANT_ID", GUID), ("AZURE_CLIENT_ID", GUID)];
        let marked = format!("\u{feff}{GUID}\r\n");
        let marked = [("AZURE_TENANT_ID", marked.as_str()), ("AZURE_CLIENT_ID", &marked), ("AZURE_CLIENT_SECRET", "\u{feff}planted\n")];
        let plain = [ids[0], ids[1], ("AZURE_CLIENT_SECRET", "planted")];
        assert_eq!(identity(&marked).unwrap().fingerprint(), identity(&plain).unwrap().fingerprint());
        assert!(format!("{:?}", identity(&[("AZURE_CLIENT_ID", "\u{feff}\n")]).unwrap()).contains("client_id: None"));
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let file = [ids[0], ids[1], ("AZURE_CLIENT_CERTIFICATE_PATH", path.to_str().unwrap())];
        let of_file = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            identity(&file).unwrap_err()
        };
        let rows = [
            (identity(&[("AZURE_CLIENT_ID", "planted\u{200b}")]).unwrap_err(), "AZURE_CLIENT_ID contains a zero-width space (U+200B)"),
            (identity(&[("AZURE_CLIENT_ID", "planted")]).unwrap_err(), "AZURE_CLIENT_ID must be"),
            (
                identity(&[ids[0], ids[1], ("AZURE_CLIENT_SECRET", "pl\u{fffd}nted")]).unwrap_err(),
                "AZURE_CLIENT_SECRET contains a replacement",
            ),
            (of_file(b"\xff\xfep\0l\0"), "the file in AZURE_CLIENT_CERTIFICATE_PATH is UTF-16 text"),
            (of_file(b"\x30\x82\x09\x9a\x02\x01\x03\x30\x82\x09\x60"), "CERTIFICATE_PATH is a PFX file: convert it"),
            (of_file(b"\xef\xbb\xbf\r\n"), "CERTIFICATE_PATH is empty"),
        ];
        for (message, expected) in rows {
            assert!(message.contains(expected) && !message.contains("planted"), "{message}");
        }
    }

    #[tokio::test]
    async fn token_file_is_read_for_each_request() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let source = TokenFile { path: path.to_path_buf() };
        assert!(source.assertion().await.unwrap_err().message.contains("is empty"));
        for token in ["one", "two"] {
            std::fs::write(&path, format!("{token}\n")).unwrap();
            assert_eq!(source.assertion().await.unwrap().expose(), token);
        }
        std::fs::write(&path, "x".repeat(300_000)).unwrap();
        assert!(source.assertion().await.unwrap_err().message.contains("larger than"));
    }
}
