//! Tokens of managed identities, from the metadata service of the operator's machine.
//!
//! Microsoft's documentation, "How to use managed identities on an Azure VM to acquire an access token". `azure_identity` supports this
//! too, but retries for more than a minute, and uses other endpoints if certain variables are set.

use std::sync::LazyLock;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::token::Token;
use super::token_response::{Grant, codes, common_advice, failed, grant, is_passing, own_words, passing, refused, service_error};
use crate::azure::http::{Answer, Client, LARGEST_WORD, text};
use crate::azure::settings::{Settings, SettingsError};
use crate::operation::{CallTarget, IdentityKind, ServiceError, ServiceErrorKind};

/// The URL on every Azure machine. It is plain http by design: only the machine itself can reach the address.
const ENDPOINT: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

/// The API version of all of Microsoft's libraries.
const VERSION: &str = "2018-02-01";

/// Timeout of the machine. It mostly responds from a cache, and otherwise requests the token from Entra ID.
const PATIENCE: Duration = Duration::from_secs(10);

/// The client, or the error in the settings.
type Built = Result<Client, SettingsError>;

/// The metadata service. It has a separate client, the only one that may connect without TLS, and only to this service. Most operators
/// never need it, so the client is created at the first use: loading the certificates of the machine costs time at the start, and memory.
pub(in crate::azure) struct Metadata {
    http: LazyLock<Built, Box<dyn FnOnce() -> Built + Send>>,
}

impl Metadata {
    pub(in crate::azure) fn new(settings: &Settings) -> Self {
        Self::build(settings, |builder| builder)
    }

    /// `refine` sets a proxy in tests.
    pub(in crate::azure) fn build(
        settings: &Settings,
        refine: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + 'static,
    ) -> Self {
        let settings = Settings { call_timeout: settings.call_timeout.min(PATIENCE), ..settings.clone() };
        let build = move || {
            // On a machine without the service, a connection attempt never completes.
            Client::build(&settings, |builder| refine(builder.connect_timeout(settings.call_timeout / 4)))
        };
        Self { http: LazyLock::new(Box::new(build)) }
    }

    /// Requests a token, once.
    pub(super) async fn token(&self, client_id: Option<&str>, kind: IdentityKind, scope: &str) -> Result<Token, ServiceError> {
        let mut url = Url::parse(ENDPOINT).map_err(|_| silent("its address is wrong"))?;
        // The service uses resources, as version 1.0 of the token endpoint does.
        let resource = scope.strip_suffix("/.default").unwrap_or(scope);
        url.query_pairs_mut().append_pair("api-version", VERSION).append_pair("resource", resource);
        if let Some(id) = client_id {
            url.query_pairs_mut().append_pair("client_id", id);
        }
        let http = self.http.as_ref().map_err(|error| silent(&error.to_string()))?;
        let (asked, deadline) = (Instant::now(), http.deadline());
        let request = http.request(Method::GET, url).header("metadata", "true");
        let incoming = http.send(CallTarget::Token(kind), request, deadline).await.map_err(|fault| silent(&fault.into_message()))?;
        granted(&incoming.read(LARGEST_WORD).await, asked, client_id)
    }
}

/// The token in a response, or the error.
pub(in crate::azure) fn granted(answer: &Answer, asked: Instant, client_id: Option<&str>) -> Result<Token, ServiceError> {
    let body = serde_json::from_slice::<Value>(answer.text()).unwrap_or_default();
    if !(200..300).contains(&answer.status) || answer.fault.is_some() {
        return Err(refusal(answer, &body, client_id));
    }
    let granted = grant(&body).and_then(|Grant { token, life }| Token::new(token, asked, Duration::from_secs(life)));
    granted.ok_or_else(|| elsewhere(answer.status))
}

fn silent(why: &str) -> ServiceError {
    let message = format!(
        "the metadata service for tokens of managed identities is unreachable ({why}): the operator does not run on an Azure \
         machine, or its pod cannot reach 169.254.169.254, for example because of a network policy or HTTP_PROXY"
    );
    service_error(ServiceErrorKind::Unreachable, message)
}

fn elsewhere(status: u16) -> ServiceError {
    let message =
        format!("the response is not from the metadata service (HTTP {status}): check the proxy, and add 169.254.169.254 to NO_PROXY");
    service_error(ServiceErrorKind::InvalidResponse, message)
}

/// The error of a response. 404 and 410 mean that the service is being updated, and "should be retried".
fn refusal(answer: &Answer, body: &Value, client_id: Option<&str>) -> ServiceError {
    let with_wait = |error: ServiceError| ServiceError { retry_after: answer.retry_after(), ..error };
    let description = body["error_description"].as_str().unwrap_or_default();
    let codes = codes(body, description);
    match (answer.status, body["error"].as_str()) {
        (429, _) => with_wait(service_error(
            ServiceErrorKind::Throttled,
            "the metadata service throttles requests; the operator retries automatically".to_owned(),
        )),
        (404 | 408 | 410 | 500.., _) => with_wait(failed("the metadata service", answer.status, &[])),
        (400..500, Some(error)) if codes.is_empty() && is_passing(error) => with_wait(failed("the metadata service", answer.status, &[])),
        (400..500, Some(error)) if passing(&codes) || is_passing(error) => {
            with_wait(failed("Entra ID, called by the metadata service,", answer.status, &codes))
        }
        (400..500, Some(error)) => {
            let known = codes.iter().find_map(|code| Some(format!("{} (AADSTS{code})", common_advice(*code)?)));
            refused(known.unwrap_or_else(|| sentence(error, description, &codes, client_id)))
        }
        (status, _) => elsewhere(status),
    }
}

/// The remedy for an error that is not from Entra ID. The documentation has the errors, and user reports the descriptions. Some versions
/// have the description instead of the error.
fn sentence(error: &str, description: &str, codes: &[u64], client_id: Option<&str>) -> String {
    let lower = format!("{error} {description}").to_ascii_lowercase();
    let machine = "the machine that the operator runs on";
    let advice = if lower.contains("metadata header") || error == "bad_request_102" {
        "the request reached the metadata service without its Metadata header, so a proxy removes it: add 169.254.169.254 to NO_PROXY"
            .to_owned()
    } else if lower.contains("x-forwarded-for") {
        "the metadata service rejects requests from a proxy: add 169.254.169.254 to NO_PROXY".to_owned()
    } else if lower.contains("multiple user assigned identities") {
        format!(
            "{machine} has several user-assigned managed identities: set the client id of one in managedIdentity.clientId, or in \
             AZURE_CLIENT_ID for the operator's own identity"
        )
    } else if ["identity not found", "no managed identity", "no user assigned identity"].iter().any(|said| lower.contains(said)) {
        client_id.map_or_else(
            || format!("{machine} has no managed identity: assign one to it"),
            |id| format!("{machine} has no managed identity with the client id {id}: assign it, or correct the id"),
        )
    } else if error == "unauthorized_client" {
        format!("{machine} is not set up for managed identities: enable a managed identity on it")
    } else if !codes.is_empty() {
        return own_words(codes, error, description);
    } else {
        let said = text::tidy(description, 300);
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        return format!("the metadata service rejects the request ({}){said}", text::tidy(error, 64));
    };
    let said = text::tidy(description, 300);
    if said.is_empty() { advice } else { format!("{advice} ({said})") }
}
