//! Interprets the responses of Entra ID: a token, or a sentence with the remedy.

use serde_json::{Value, json};

use super::SecretText;
use super::application::FieldNames;
use super::assertion::Claims;
use super::spelling::redact_parameters;
use crate::azure::classify::COMPRESSED;
use crate::azure::http::{BodyFault, Response, text};
use crate::operation::{ServiceError, ServiceErrorKind};

/// Maximum accepted lifetime of a token: a week. Tokens of Entra ID are valid for an hour or a day.
const MAX_LIFETIME: u64 = 7 * 24 * 3600;

/// Maximum number of codes of an error, in its list and in its description.
const MAX_CODES: usize = 8;

/// Default lifetime of a token without one.
const DEFAULT_LIFETIME: u64 = 300;

/// The presented credential, to explain a refusal. Contains no secret.
#[derive(Debug)]
pub(in crate::azure) struct PresentedCredential {
    /// The sent value: a secret or an assertion.
    pub(in crate::azure) text: SecretText,
    pub(in crate::azure) kind: CredentialKind,
    pub(in crate::azure) field_names: FieldNames,
}

/// The type of credential.
#[derive(Debug)]
pub(in crate::azure) enum CredentialKind {
    Secret,
    /// A certificate, by the thumbprint that the portal displays.
    Certificate {
        thumbprint: String,
    },
    Federated(Claims),
}

/// A token, and its lifetime in seconds.
pub(super) struct TokenGrant<'a> {
    pub(super) token: &'a str,
    pub(super) lifetime: u64,
}

/// A token response in the format that `azure_identity` parses, or the error.
pub(in crate::azure) fn token_in(response: &Response, presented: &PresentedCredential) -> Result<String, ServiceError> {
    match response.fault {
        None => {}
        Some(BodyFault::Compressed) => {
            return Err(ServiceError::new(
                ServiceErrorKind::InvalidResponse,
                format!("the response of the identity provider {COMPRESSED}"),
            ));
        }
        Some(BodyFault::TooLarge | BodyFault::Slow | BodyFault::Broken) => {
            return Err(ServiceError::new(ServiceErrorKind::Unreachable, "the response of the identity provider is incomplete"));
        }
    }
    let body = serde_json::from_slice::<Value>(response.text()).unwrap_or(Value::Null);
    if !(200..300).contains(&response.status) {
        return Err(error_of(response, &body, presented));
    }
    let Some(TokenGrant { token, lifetime }) = grant(&body) else {
        let what = "the response of the identity provider contains no token: check the proxies in between";
        return Err(ServiceError::new(ServiceErrorKind::InvalidResponse, what));
    };
    Ok(json!({"token_type": "Bearer", "expires_in": lifetime, "access_token": token}).to_string())
}

/// The token in the body of a response, if it can be sent.
pub(super) fn grant(body: &Value) -> Option<TokenGrant<'_>> {
    // No document limits the length of a token, but every server limits the length of a header.
    let fit = |token: &&str| !token.is_empty() && token.len() <= 65_536 && token.bytes().all(|b| b.is_ascii_graphic());
    let token = body["access_token"].as_str().filter(fit)?;
    // A number in version 2.0 of the endpoint, a text in version 1.0.
    let lifetime = match &body["expires_in"] {
        Value::Number(seconds) => seconds.as_u64(),
        Value::String(seconds) => seconds.parse().ok(),
        _ => None,
    };
    Some(TokenGrant { token, lifetime: lifetime.unwrap_or(DEFAULT_LIFETIME).min(MAX_LIFETIME) })
}

/// The error of an Entra ID response.
///
/// Microsoft identity platform documentation, "authentication and authorization error codes".
fn error_of(response: &Response, body: &Value, presented: &PresentedCredential) -> ServiceError {
    let retry_after = response.retry_after();
    let with_wait = |error: ServiceError| ServiceError { retry_after, ..error };
    if response.status == 429 {
        let what = "the identity provider throttles requests; the operator retries automatically";
        return with_wait(ServiceError::new(ServiceErrorKind::Throttled, what));
    }
    // The response may repeat the request.
    let redacted = |field: &str| redact_parameters(&presented.text.redact(body[field].as_str().unwrap_or_default()));
    let (error, description) = (redacted("error"), redacted("error_description"));
    let codes = codes(body, &description);
    let remedy = codes.iter().find_map(|code| Some(format!("{} (AADSTS{code})", remedy(*code, presented)?)));
    let temporary = (remedy.is_none() && is_temporary_code(&codes)) || is_temporary_error(&error);
    if response.status >= 500 || response.status == 408 || temporary {
        return with_wait(issuer_failed("the identity provider", response.status, &codes));
    }
    if !body.is_object() || (error.is_empty() && codes.is_empty()) {
        let what =
            format!("the response is not from the identity provider (HTTP {}): check the proxy and the cloud setting", response.status);
        return ServiceError::new(ServiceErrorKind::InvalidResponse, what);
    }
    credentials_refused(remedy.unwrap_or_else(|| entra_message(&codes, &error, &description)))
}

/// Whether an error is a temporary failure of the service itself, regardless of the status (RFC 6749, section 4.1.2.1).
pub(super) fn is_temporary_error(error: &str) -> bool {
    matches!(error, "temporarily_unavailable" | "server_error")
}

/// Codes that only mean that the credentials are rejected. Another code in the same response has the reason.
const GENERAL: [u64; 3] = [50_000, 70_000, 70_002];

/// The AADSTS codes of an error, the most specific first. The description has the general one first and its cause after it; the list has
/// them in either order.
pub(super) fn codes(body: &Value, description: &str) -> Vec<u64> {
    let listed = body["error_codes"].as_array().into_iter().flatten().take(MAX_CODES);
    let listed = listed.filter_map(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
    let written = description.split("AADSTS").skip(1).take(MAX_CODES).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest.get(..end)?.parse().ok()
    });
    let mut codes: Vec<u64> = listed.chain(written).collect();
    codes.reverse();
    codes.sort_by_key(|code| GENERAL.contains(code));
    codes
}

/// The code of a throttle of the whole tenant.
const TENANT_THROTTLED: u64 = 90_055;

/// Whether one of the codes is a temporary failure of Entra ID.
pub(super) fn is_temporary_code(codes: &[u64]) -> bool {
    codes.iter().any(|code| matches!(*code, 90_006 | 90_012 | 90_024 | 90_025 | 90_033 | TENANT_THROTTLED | 90_090 | 50_196))
}

/// A failure of a token issuer.
pub(super) fn issuer_failed(provider: &str, status: u16, codes: &[u64]) -> ServiceError {
    let code = codes.first().map(|code| format!(", AADSTS{code}")).unwrap_or_default();
    if codes.contains(&TENANT_THROTTLED) {
        let what = format!("{provider} throttles requests of the tenant (HTTP {status}{code}); the operator retries automatically");
        return ServiceError::new(ServiceErrorKind::Throttled, what);
    }
    ServiceError::new(ServiceErrorKind::ServerError, format!("{provider} failed (HTTP {status}{code})"))
}

/// The text of Entra ID, if there is no better explanation.
pub(super) fn entra_message(codes: &[u64], error: &str, description: &str) -> String {
    let Some(number) = codes.first() else {
        let detail = text::sanitize(description, 300);
        let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        return format!("Entra ID rejects the credentials ({}){detail}", text::sanitize(error, 64));
    };
    let own = description.split_once(&format!("AADSTS{number}:")).map_or(description, |(_, own)| own);
    format!("Entra ID rejects the credentials: {} (AADSTS{number})", text::sanitize(own.trim_start(), 400))
}

/// The remedy for codes that mean the same for every identity.
pub(super) fn common_remedy(code: u64) -> Option<&'static str> {
    Some(match code {
        7_000_112 | 7_000_113 => "the application is disabled in this tenant: enable it, or use another one",
        50_001 | 500_011 | 500_014 => {
            "the application of the service is missing or disabled in this tenant: check that the operator's cloud is the cloud of the tenant"
        }
        53_003 | 530_003 | 530_034 => "a conditional access policy of the tenant blocks the application: ask its administrator",
        _ => return None,
    })
}

/// The remedy for each code.
fn remedy(code: u64, presented: &PresentedCredential) -> Option<String> {
    let FieldNames { tenant, client, secret, certificate } = presented.field_names;
    Some(match (code, &presented.kind) {
        (7_000_215, _) | (50_012, CredentialKind::Secret) => {
            let mistake = presented.text.likely_mistake();
            format!(
                "Entra ID rejects the client secret{mistake}: put the value of a client secret of the application, not its id, into {secret}"
            )
        }
        (7_000_222, _) => {
            format!("the client secret has expired: create a new one for the application and put its value into {secret}")
        }
        (7_000_216 | 7_000_218, CredentialKind::Secret) => {
            format!("Entra ID received no client secret: put the value of one into {secret}")
        }
        (700_016, _) => {
            format!("Entra ID does not know the application in this tenant: check {client}, and that {tenant} is its tenant")
        }
        (7_000_229 | 650_052 | 650_051, _) => {
            format!("the application has no service principal in this tenant: create one, or check {client} and {tenant}")
        }
        (90_002 | 900_021 | 900_023 | 90_013 | 900_382, _) => {
            format!("Entra ID does not know the tenant: check {tenant}, and that the operator's cloud is the cloud of the tenant")
        }
        (700_024, _) => {
            "Entra ID considers the assertion expired or not yet valid: check the clock of the machine that signed it".to_owned()
        }
        (700_027 | 50_012, CredentialKind::Certificate { thumbprint }) => format!(
            "Entra ID does not know the certificate: upload it, without its key, to the application (its thumbprint is {thumbprint}), or put \
             a registered one into {certificate}"
        ),
        (70_021 | 70_025 | 700_211..=700_213 | 7_002_138, CredentialKind::Federated(claims)) => format!(
            "the application has no matching federated credential: add one with issuer {}, subject {} and audience {} to the application in \
             {client}",
            claims.issuer, claims.subject, claims.audience
        ),
        (501_661 | 700_272 | 7_000_272..=7_000_274, CredentialKind::Federated(claims)) => format!(
            "Entra ID cannot verify the token with the keys that the issuer {} publishes: its discovery document and keys must be public and \
             up to date",
            claims.issuer
        ),
        _ => return common_remedy(code).map(str::to_owned),
    })
}

/// Rejected credentials, for this reason.
pub(super) fn credentials_refused(message: String) -> ServiceError {
    ServiceError::new(ServiceErrorKind::CredentialsRefused, message)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    fn read(status: u16, body: &str) -> Result<String, ServiceError> {
        let response = Response::new(status, HeaderMap::new(), body.as_bytes().to_vec(), None);
        token_in(&response, &presented(CredentialKind::Secret))
    }

    fn presented(kind: CredentialKind) -> PresentedCredential {
        PresentedCredential { text: SecretText::new("planted-secret"), kind, field_names: FieldNames::SECRET_KEYS }
    }

    #[test]
    fn refusal_is_explained_by_the_credential() {
        let claims = || Claims { issuer: "https://issuer".to_owned(), subject: "system:x".to_owned(), audience: "api://y".to_owned() };
        let rows = [
            (700_027, CredentialKind::Certificate { thumbprint: "AB12".to_owned() }, "thumbprint is AB12"),
            (700_024, CredentialKind::Certificate { thumbprint: "AB12".to_owned() }, "check the clock"),
            (700_211, CredentialKind::Federated(claims()), "issuer https://issuer, subject system:x and audience api://y"),
            (700_213, CredentialKind::Federated(claims()), "application in clientId"),
            (70_021, CredentialKind::Federated(claims()), "subject system:x"),
            (501_661, CredentialKind::Federated(claims()), "keys that the issuer https://issuer publishes"),
            (700_027, CredentialKind::Secret, "Entra ID rejects the credentials: odd (AADSTS700027)"),
        ];
        for (code, kind, expected) in rows {
            let response = Response::new(401, HeaderMap::new(), entra(code, "odd").into_bytes(), None);
            let error = token_in(&response, &presented(kind)).unwrap_err();
            assert_eq!(error.kind, ServiceErrorKind::CredentialsRefused);
            assert!(error.message.contains(expected), "{}", error.message);
        }
    }

    #[test]
    fn rejected_secret_with_unusual_format_is_explained() {
        let response = Response::new(401, HeaderMap::new(), entra(7_000_215, "Invalid client secret provided.").into_bytes(), None);
        let presented = PresentedCredential { text: SecretText::new("planted~secret "), ..presented(CredentialKind::Secret) };
        let message = token_in(&response, &presented).unwrap_err().message;
        assert!(
            message.starts_with("Entra ID rejects the client secret, which starts or ends with whitespace: put the value"),
            "{message}"
        );
    }

    #[test]
    fn repeated_request_shows_no_secret() {
        let rows = [
            "cannot parse client_id=1&client_secret=Ab8Q%7Ex.",
            "cannot parse client_id=1&client_secret=Ab8Q%7",
            "cannot parse {\"client_secret\":\"Ab8Q\\u007ex.\"}",
            "cannot parse Ab8Q~x.",
        ];
        for description in rows {
            let body = json!({"error": "invalid_request", "error_description": description}).to_string();
            let response = Response::new(400, HeaderMap::new(), body.into_bytes(), None);
            let presented = PresentedCredential { text: SecretText::new("Ab8Q~x."), ..presented(CredentialKind::Secret) };
            let message = token_in(&response, &presented).unwrap_err().message;
            assert!(message.contains("cannot parse") && message.contains("[redacted]") && !message.contains("Ab8Q"), "{message}");
        }
    }

    fn entra(code: u64, text: &str) -> String {
        let description = format!("AADSTS{code}: {text}\r\nTrace ID: 0f\r\nCorrelation ID: 1e\r\nTimestamp: 2026-01-01 00:00:00Z");
        json!({"error": "invalid_client", "error_description": description, "error_codes": [code], "trace_id": "0f"}).to_string()
    }

    #[test]
    fn token_is_parsed_in_both_response_versions() {
        let rows = [
            (r#"{"token_type":"Bearer","expires_in":3599,"access_token":"t"}"#, 3599),
            (r#"{"token_type":"Bearer","expires_in":"3599","access_token":"t","resource":"x"}"#, 3599),
            (r#"{"access_token":"t"}"#, 300),
            (r#"{"access_token":"t","expires_in":9223372036854775807}"#, 604_800),
        ];
        for (body, lifetime) in rows {
            let token: Value = serde_json::from_str(&read(200, body).unwrap()).unwrap();
            assert_eq!((token["access_token"].as_str(), token["expires_in"].as_u64()), (Some("t"), Some(lifetime)), "{body}");
        }
    }

    #[test]
    fn refusal_is_one_stable_sentence() {
        let html = "<html><body>Blocked</body></html>".to_owned();
        let rows = [
            (
                401,
                entra(7_000_215, "Invalid client secret provided."),
                ServiceErrorKind::CredentialsRefused,
                "not its id, into clientSecret",
            ),
            (401, entra(7_000_222, "expired"), ServiceErrorKind::CredentialsRefused, "has expired"),
            (400, entra(700_016, "not found"), ServiceErrorKind::CredentialsRefused, "check clientId"),
            (400, entra(90_002, "Tenant not found"), ServiceErrorKind::CredentialsRefused, "check tenantId"),
            (
                400,
                entra(1_234_567, "Odd planted-secret thing."),
                ServiceErrorKind::CredentialsRefused,
                "Odd [redacted] thing. (AADSTS1234567)",
            ),
            (400, json!({"error": "invalid_scope"}).to_string(), ServiceErrorKind::CredentialsRefused, "(invalid_scope)"),
            (400, entra(90_033, "transient"), ServiceErrorKind::ServerError, "failed (HTTP 400, AADSTS90033)"),
            (400, entra(90_025, "gateway"), ServiceErrorKind::ServerError, "failed (HTTP 400, AADSTS90025)"),
            (400, entra(90_006, "retryable"), ServiceErrorKind::ServerError, "failed (HTTP 400, AADSTS90006)"),
            (400, entra(90_012, "timeout"), ServiceErrorKind::ServerError, "failed (HTTP 400, AADSTS90012)"),
            (400, entra(90_055, "busy"), ServiceErrorKind::Throttled, "throttles requests of the tenant (HTTP 400, AADSTS90055)"),
            (400, json!({"error": "server_error"}).to_string(), ServiceErrorKind::ServerError, "failed (HTTP 400)"),
            (503, html.clone(), ServiceErrorKind::ServerError, "HTTP 503"),
            (500, entra(7_000_215, "x"), ServiceErrorKind::ServerError, "HTTP 500"),
            (429, String::new(), ServiceErrorKind::Throttled, "throttles requests"),
            (403, html.clone(), ServiceErrorKind::InvalidResponse, "not from the identity provider"),
            (404, "{}".to_owned(), ServiceErrorKind::InvalidResponse, "not from the identity provider"),
            (302, String::new(), ServiceErrorKind::InvalidResponse, "not from the identity provider"),
            (200, html, ServiceErrorKind::InvalidResponse, "no token"),
            (200, json!({"access_token": ""}).to_string(), ServiceErrorKind::InvalidResponse, "no token"),
            (200, json!({"access_token": "a b\n"}).to_string(), ServiceErrorKind::InvalidResponse, "no token"),
        ];
        for (status, body, kind, expected) in rows {
            let error = read(status, &body).unwrap_err();
            assert_eq!(error.kind, kind, "{body}");
            assert!(error.message.contains(expected), "{}", error.message);
            for unstable in ["Trace", "0f", "2026", "\n", "planted"] {
                assert!(!error.message.contains(unstable), "{}", error.message);
            }
        }
    }

    #[test]
    fn most_specific_code_is_reported() {
        let body = |codes: Value, text: &str| {
            json!({"error": "invalid_client", "error_description": text, "error_codes": codes, "trace_id": "0f"}).to_string()
        };
        let two = "AADSTS70002: Error validating credentials. AADSTS50012: Invalid client secret is provided.\r\nTrace ID: 0f";
        let secret = "put the value of a client secret of the application, not its id, into clientSecret (AADSTS50012)";
        let rows = [
            (json!([70_002, 50_012]), two, secret),
            (json!([50_012, 70_002]), two, secret),
            (json!([]), two, secret),
            (Value::Null, two, secret),
            (json!([70_002]), two, secret),
            (json!(["70002", "50012"]), "AADSTS70002: no", secret),
            (json!([70_002, 7_000_222]), "AADSTS70002: x AADSTS7000222: y", "has expired"),
            (json!([50_034, 1_234_567]), "AADSTS50034: one. AADSTS1234567: the cause.", "credentials: the cause. (AADSTS1234567)"),
            (
                json!([1_234_567, 70_002]),
                "AADSTS70002: Error validating credentials. AADSTS1234567: the cause.",
                "the cause. (AADSTS1234567)",
            ),
            (json!([70_002]), "AADSTS70002: The client is odd.", "credentials: The client is odd. (AADSTS70002)"),
        ];
        for (codes, text, expected) in rows {
            let error = read(401, &body(codes.clone(), text)).unwrap_err();
            assert!(error.message.contains(expected) && !error.message.contains("0f"), "{codes} {text}: {}", error.message);
        }
        let temporary = read(400, &body(json!([70_002, 90_033]), "AADSTS70002: x AADSTS90033: y")).unwrap_err();
        assert_eq!(temporary.kind, ServiceErrorKind::ServerError, "{}", temporary.message);
    }

    proptest::proptest! {
        #[test]
        fn no_response_panics(status in 100u16..600, body in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let response = Response::new(status, HeaderMap::new(), body, None);
            let _ = token_in(&response, &presented(CredentialKind::Secret));
        }
    }
}
