//! Tokens of managed identities, from the metadata service of the operator's machine.
//!
//! Microsoft's documentation, "How to use managed identities on an Azure VM to acquire an access token". `azure_identity` supports this
//! too, but retries for more than a minute, and uses other endpoints if certain variables are set.

use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::token::Token;
use super::token_response::{
    TokenGrant, codes, common_remedy, credentials_refused, entra_message, grant, is_temporary_code, is_temporary_error, issuer_failed,
};
use crate::azure::http::{Client, MAX_SHORT_BODY_BYTES, Response, server_time, text};
use crate::azure::settings::{AzureSettings, AzureSettingsError};
use crate::operation::{CallTarget, IdentityKind, ServiceError, ServiceErrorKind};

/// The URL on every Azure machine. It is plain http by design: only the machine itself can reach the address.
const ENDPOINT: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

/// The API version of all of Microsoft's libraries.
const VERSION: &str = "2018-02-01";

/// Timeout of the machine. It mostly responds from a cache, and otherwise requests the token from Entra ID.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The client, or the error in the settings.
type ClientResult = Result<Client, AzureSettingsError>;

/// The metadata service. It has a separate client, the only one that may connect without TLS, and only to this service. Most operators
/// never need it, so the client is created at the first use: loading the certificates of the machine costs time at the start, and memory.
pub(in crate::azure) struct Metadata {
    http: LazyLock<ClientResult, Box<dyn FnOnce() -> ClientResult + Send>>,
}

impl Metadata {
    pub(in crate::azure) fn new(settings: &AzureSettings) -> Self {
        Self::build(settings, |builder| builder)
    }

    /// `refine` sets a proxy in tests.
    pub(in crate::azure) fn build(
        settings: &AzureSettings,
        refine: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + 'static,
    ) -> Self {
        let settings = AzureSettings { call_timeout: settings.call_timeout.min(TIMEOUT), ..settings.clone() };
        let build = move || {
            // On a machine without the service, a connection attempt never completes.
            Client::build(&settings, |builder| refine(builder.connect_timeout(settings.call_timeout / 4)))
        };
        Self { http: LazyLock::new(Box::new(build)) }
    }

    /// Requests a token, once.
    pub(super) async fn token(&self, client_id: Option<&str>, kind: IdentityKind, scope: &str) -> Result<Token, ServiceError> {
        let mut url = Url::parse(ENDPOINT).map_err(|_| unreachable("its address is wrong"))?;
        // The service uses resources, as version 1.0 of the token endpoint does.
        let resource = scope.strip_suffix("/.default").unwrap_or(scope);
        url.query_pairs_mut().append_pair("api-version", VERSION).append_pair("resource", resource);
        if let Some(id) = client_id {
            url.query_pairs_mut().append_pair("client_id", id);
        }
        let http = self.http.as_ref().map_err(|error| unreachable(&error.to_string()))?;
        let (requested_at, deadline) = (Instant::now(), http.deadline());
        let request = http.request(Method::GET, url).header("metadata", "true");
        let incoming = http.send(CallTarget::Token(kind), request, deadline).await.map_err(|fault| unreachable(&fault.into_message()))?;
        token_in(&incoming.read(MAX_SHORT_BODY_BYTES).await, requested_at, client_id)
    }
}

/// The token in a response, or the error.
pub(in crate::azure) fn token_in(response: &Response, requested_at: Instant, client_id: Option<&str>) -> Result<Token, ServiceError> {
    let body = serde_json::from_slice::<Value>(response.text()).unwrap_or_default();
    if !(200..300).contains(&response.status) || response.fault.is_some() {
        return Err(error_of(response, &body, client_id));
    }
    let token = grant(&body).and_then(|TokenGrant { token, lifetime }| {
        let lifetime = seconds_left(response, &body).map_or(lifetime, |left| lifetime.min(left));
        Token::new(token, requested_at, Duration::from_secs(lifetime))
    });
    token.ok_or_else(|| not_from_metadata_service(response.status))
}

/// How long the token in a response is still valid by its `expires_on`, in seconds since 1970, if the response has one.
///
/// The machine returns the same token for up to a day. Its `expires_in` can be the lifetime since the token was issued (seen in clients),
/// so that a token of the cache would be used after its expiry.
fn seconds_left(response: &Response, body: &Value) -> Option<u64> {
    let expires_on: i64 = match &body["expires_on"] {
        Value::Number(seconds) => seconds.as_i64(),
        Value::String(seconds) => seconds.trim().parse().ok(),
        _ => None,
    }?;
    let now = server_time(&response.headers).unwrap_or_else(Timestamp::now);
    Some(u64::try_from(expires_on.saturating_sub(now.as_second())).unwrap_or_default())
}

fn unreachable(why: &str) -> ServiceError {
    let message = format!(
        "the metadata service for tokens of managed identities is unreachable ({why}): the operator does not run on an Azure \
         machine, or its pod cannot reach 169.254.169.254, for example because of a network policy or HTTP_PROXY"
    );
    ServiceError::new(ServiceErrorKind::Unreachable, message)
}

fn not_from_metadata_service(status: u16) -> ServiceError {
    let message =
        format!("the response is not from the metadata service (HTTP {status}): check the proxy, and add 169.254.169.254 to NO_PROXY");
    ServiceError::new(ServiceErrorKind::InvalidResponse, message)
}

/// The error of a response. 404 and 410 mean that the service is being updated, and "should be retried".
fn error_of(response: &Response, body: &Value, client_id: Option<&str>) -> ServiceError {
    let with_wait = |error: ServiceError| ServiceError { retry_after: response.retry_after(), ..error };
    let description = body["error_description"].as_str().unwrap_or_default();
    let codes = codes(body, description);
    match (response.status, body["error"].as_str()) {
        (429, _) => with_wait(ServiceError::new(
            ServiceErrorKind::Throttled,
            "the metadata service throttles requests; the operator retries automatically",
        )),
        (404 | 408 | 410 | 500.., _) => with_wait(issuer_failed("the metadata service", response.status, &[])),
        (400..500, Some(error)) if codes.is_empty() && is_temporary_error(error) => {
            with_wait(issuer_failed("the metadata service", response.status, &[]))
        }
        (400..500, Some(error)) if is_temporary_code(&codes) || is_temporary_error(error) => {
            with_wait(issuer_failed("Entra ID, called by the metadata service,", response.status, &codes))
        }
        (400..500, Some(error)) => {
            let known = codes.iter().find_map(|code| Some(format!("{} (AADSTS{code})", common_remedy(*code)?)));
            credentials_refused(known.unwrap_or_else(|| message_of(error, description, &codes, client_id)))
        }
        (status, _) => not_from_metadata_service(status),
    }
}

/// The remedy for an error that is not from Entra ID. The documentation has the errors, and user reports the descriptions. Some versions
/// have the description instead of the error.
fn message_of(error: &str, description: &str, codes: &[u64], client_id: Option<&str>) -> String {
    let lower = format!("{error} {description}").to_ascii_lowercase();
    let machine = "the machine that the operator runs on";
    let remedy = if lower.contains("metadata header") || error == "bad_request_102" {
        "the request reached the metadata service without its Metadata header, so a proxy removes it: add 169.254.169.254 to NO_PROXY"
            .to_owned()
    } else if lower.contains("x-forwarded-for") {
        "the metadata service rejects requests from a proxy: add 169.254.169.254 to NO_PROXY".to_owned()
    } else if lower.contains("multiple user assigned identities") {
        format!(
            "{machine} has several user-assigned managed identities: set the client id of one in managedIdentity.clientId, or in \
             AZURE_CLIENT_ID for the operator's own identity"
        )
    } else if ["identity not found", "no managed identity", "no user assigned identity"].iter().any(|detail| lower.contains(detail)) {
        client_id.map_or_else(
            || format!("{machine} has no managed identity: assign one to it"),
            |id| format!("{machine} has no managed identity with the client id {id}: assign it, or correct the id"),
        )
    } else if error == "unauthorized_client" {
        format!("{machine} is not set up for managed identities: enable a managed identity on it")
    } else if !codes.is_empty() {
        return entra_message(codes, error, description);
    } else {
        let detail = text::sanitize(description, 300);
        let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        return format!("the metadata service rejects the request ({}){detail}", text::sanitize(error, 64));
    };
    let detail = text::sanitize(description, 300);
    if detail.is_empty() { remedy } else { format!("{remedy} ({detail})") }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{DATE, HeaderMap, HeaderValue};
    use serde_json::json;

    use super::*;

    #[test]
    fn token_of_machine_cache_expires_at_its_own_time() {
        // The date below, in seconds since 1970.
        let now: i64 = 1_767_225_600;
        let rows: [(Value, Value, u64); 6] = [
            (json!("86399"), json!((now + 600).to_string()), 600),
            (json!(86_399), json!(now + 600), 600),
            (json!("300"), json!((now + 3_600).to_string()), 300),
            (json!("86399"), json!((now - 600).to_string()), 0),
            (json!("86399"), json!("09/14/2017 00:00:00 PM +00:00"), 86_399),
            (json!("3599"), Value::Null, 3_599),
        ];
        for (expires_in, expires_on, expected) in rows {
            let body = json!({"access_token": "planted-token", "expires_in": expires_in, "expires_on": expires_on}).to_string();
            let headers = HeaderMap::from_iter([(DATE, HeaderValue::from_static("Thu, 01 Jan 2026 00:00:00 GMT"))]);
            let response = Response::new(200, headers, body.clone().into_bytes(), None);
            let left = token_in(&response, Instant::now(), None).unwrap().remaining().as_secs();
            // A token is not sent in its last seconds.
            assert!((expected.saturating_sub(30)..=expected).contains(&left), "{body}: {left}");
        }
    }
}
