//! Credentials and the responses of the identity providers. No message or debug output contains a secret.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use tabular_operator::azure::fuzzing::{self, Credential};
use tabular_operator::azure::identity::{FieldNames, Identity};
use tabular_operator::operation::ServiceError;

use crate::invariants;
use crate::response::{ResponseInput, line};

const GUID: &str = "f089354e-8366-4e18-aea3-4cb4a3a50b48";

/// Entra ID's response to a token request.
pub fn token(input: &[u8]) {
    let Some(input) = ResponseInput::parse(input) else { return };
    for (credential, value) in [
        (Credential::Secret(invariants::SECRET), invariants::SECRET),
        (Credential::Certificate(invariants::TOKEN), invariants::TOKEN),
        (Credential::Federated(invariants::TOKEN), invariants::TOKEN),
    ] {
        match fuzzing::token(&input.response, credential) {
            Ok(granted) => {
                assert!(input.is_success() && !input.has_body_fault);
                let granted: serde_json::Value = serde_json::from_str(&granted).unwrap();
                let token = granted["access_token"].as_str().unwrap();
                assert!(!token.is_empty() && token.len() <= 65_536 && token.bytes().all(|byte| byte.is_ascii_graphic()));
                assert!(granted["expires_in"].as_u64().unwrap() <= 7 * 24 * 3600);
            }
            Err(error) => {
                check_refusal(&error);
                assert!(!error.message.contains(value), "the message contains the credential: {}", error.message);
            }
        }
    }
}

/// The instance metadata service's response to a token request.
pub fn metadata_token(input: &[u8]) {
    let Some(input) = ResponseInput::parse(input) else { return };
    for client in [None, Some(GUID)] {
        match fuzzing::managed_token(&input.response, client) {
            Ok(()) => assert!(input.is_success() && !input.has_body_fault),
            Err(error) => check_refusal(&error),
        }
    }
}

fn check_refusal(error: &ServiceError) {
    invariants::service_error(error);
    // These ids differ in each response: without them, a repeated error has an equal message and is recognized.
    let lower = error.message.to_ascii_lowercase();
    assert!(!lower.contains("trace id") && !lower.contains("correlation id"), "{}", error.message);
}

/// The token of a service account, whose signature the operator does not verify.
pub fn claims(input: &[u8]) {
    let Ok(token) = std::str::from_utf8(input) else { return };
    for claim in fuzzing::claims(token) {
        invariants::bounded(&claim, 200);
        assert!(!claim.chars().any(char::is_control), "{claim:?}");
    }
}

/// A Secret, one line per key. The messages about an invalid Secret do not contain its values.
pub fn secret(input: &[u8]) {
    let (mut rest, mut data) = (input, BTreeMap::new());
    while !rest.is_empty() && data.len() < 8 {
        let (head, more) = line(rest);
        rest = more;
        let Some(colon) = head.iter().position(|byte| *byte == b':') else { continue };
        let Ok(key) = std::str::from_utf8(&head[..colon]) else { continue };
        data.insert(key.to_owned(), ByteString(head[colon + 1..].to_vec()));
    }
    let text = visible_text(data.clone());
    assert!(!text.contains(invariants::SECRET), "the text contains the secret: {text}");
    for key in ["clientSecret", "clientCertificate"] {
        let Some(value) = data.get(key).map(|value| String::from_utf8_lossy(&value.0).trim().to_owned()) else { continue };
        if value.len() < 24 || may_be_own_text(&value) || !text.contains(&value) {
            continue;
        }
        // A value that equals the client id may be visible. It then stays visible with any other value of this key.
        let mut other = data.clone();
        other.insert(key.to_owned(), ByteString(b"another".to_vec()));
        assert!(visible_text(other).contains(&value), "the text contains the value of {key}: {text}");
    }
}

/// The debug output of the identity, or the message of the error.
fn visible_text(data: BTreeMap<String, ByteString>) -> String {
    let secret = Secret { data: Some(data), ..Secret::default() };
    match tabular_operator::controller::fuzzing::service_principal(&secret, invariants::now()) {
        Ok(identity) => format!("{identity:?}"),
        Err(message) => {
            invariants::sentence(&message);
            message
        }
    }
}

/// A certificate and its key in PEM.
pub fn certificate(input: &[u8]) {
    let Ok(pem) = std::str::from_utf8(input) else { return };
    let text = match Identity::service_principal_certificate(GUID, GUID, pem, invariants::now(), FieldNames::SECRET_KEYS) {
        Ok(identity) => {
            assert!(identity.expires().unwrap() >= invariants::now());
            format!("{identity:?}")
        }
        Err(message) => {
            invariants::sentence(&message);
            message
        }
    };
    let mut lines = pem.lines().map(str::trim).filter(|line| line.len() >= 48 && !line.starts_with("-----") && !may_be_own_text(line));
    assert!(!lines.any(|line| text.contains(line)), "the text contains a part of the PEM: {text}");
}

/// Whether an input may be a message of the operator itself: the fuzzer copies the operands of comparisons into its inputs. A secret has
/// no spaces, except between the dashes of PEM.
fn may_be_own_text(text: &str) -> bool {
    text.contains(' ') && !text.contains("-----")
}
