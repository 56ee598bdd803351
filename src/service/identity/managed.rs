//! Tokens of managed identities, from the metadata service of the machine that the operator runs on.
//!
//! Microsoft's documentation, "How to use managed identities on an Azure VM to acquire an access token". `azure_identity`
//! can do this too, but repeats for more than a minute, and asks elsewhere where certain variables are set.

use std::sync::LazyLock;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::refusal::{Grant, codes, common_advice, failed, grant, is_passing, own_words, passing, refused, trouble};
use super::token::Token;
use crate::operation::{CallTarget, IdentityKind, Trouble, TroubleKind};
use crate::service::answer::Answer;
use crate::service::http::{Client, LARGEST_WORD};
use crate::service::settings::{Settings, SettingsError};
use crate::service::text;

/// Where every Azure machine has it. It is plain http by design: the address is reached from the machine itself alone.
const ENDPOINT: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

/// The version that all of Microsoft's libraries ask for.
const VERSION: &str = "2018-02-01";

/// The longest that the machine may take. It answers from a cache mostly, and otherwise asks Entra ID itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client, where the settings allow one.
type Built = Result<Client, SettingsError>;

/// The metadata service. It has a client of its own, the only one that may speak without TLS, and it speaks to nobody else. Most
/// operators never need it, so it is made at the first use: reading the machine's certificates costs time at the start, and memory.
pub(in crate::service) struct Metadata {
    http: LazyLock<Built, Box<dyn FnOnce() -> Built + Send>>,
}

impl Metadata {
    pub(in crate::service) fn new(settings: &Settings) -> Self {
        Self::build(settings, |builder| builder)
    }

    /// `refine` is the tests' way to name a proxy.
    pub(in crate::service) fn build(
        settings: &Settings,
        refine: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + 'static,
    ) -> Self {
        let settings = Settings { call_timeout: settings.call_timeout.min(PATIENCE), ..settings.clone() };
        let build = move || {
            // A machine without it lets the connection wait for nothing.
            Client::build(&settings, |builder| refine(builder.connect_timeout(settings.call_timeout / 4)))
        };
        Self { http: LazyLock::new(Box::new(build)) }
    }

    /// Asks for a token, once.
    pub(super) async fn token(&self, client_id: Option<&str>, kind: IdentityKind, scope: &str) -> Result<Token, Trouble> {
        let mut url = Url::parse(ENDPOINT).map_err(|_| silent("its address is wrong"))?;
        // It speaks of resources, as version 1.0 of the token endpoint does.
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

/// The token in an answer, or what is in the way.
pub(in crate::service) fn granted(answer: &Answer, asked: Instant, client_id: Option<&str>) -> Result<Token, Trouble> {
    let body = serde_json::from_slice::<Value>(answer.text()).unwrap_or_default();
    if !(200..300).contains(&answer.status) || answer.fault.is_some() {
        return Err(refusal(answer, &body, client_id));
    }
    let granted = grant(&body).and_then(|Grant { token, life }| Token::new(token, asked, Duration::from_secs(life)));
    granted.ok_or_else(|| elsewhere(answer.status))
}

fn silent(why: &str) -> Trouble {
    let message = format!(
        "the metadata service that gives managed identities their tokens cannot be reached ({why}): the operator does not run on an Azure \
         machine, or something keeps its pod from 169.254.169.254, such as a network policy or HTTP_PROXY"
    );
    trouble(TroubleKind::Unreachable, message)
}

fn elsewhere(status: u16) -> Trouble {
    let message = format!(
        "something that is not the metadata service answered in its place (HTTP {status}): a proxy? Put 169.254.169.254 into NO_PROXY"
    );
    trouble(TroubleKind::InvalidAnswer, message)
}

/// The error response as a trouble. 404 and 410 mean that the service is being updated, and "should be retried".
fn refusal(answer: &Answer, body: &Value, client_id: Option<&str>) -> Trouble {
    let with_wait = |trouble: Trouble| Trouble { retry_after: answer.retry_after(), ..trouble };
    let description = body["error_description"].as_str().unwrap_or_default();
    let codes = codes(body, description);
    match (answer.status, body["error"].as_str()) {
        (429, _) => {
            with_wait(trouble(TroubleKind::Throttled, "the metadata service asks for fewer requests; they resume by themselves".to_owned()))
        }
        (404 | 408 | 410 | 500.., _) => with_wait(failed("the metadata service", answer.status, &[])),
        (400..500, Some(error)) if codes.is_empty() && is_passing(error) => with_wait(failed("the metadata service", answer.status, &[])),
        (400..500, Some(error)) if passing(&codes) || is_passing(error) => {
            with_wait(failed("Entra ID, which the metadata service asked,", answer.status, &codes))
        }
        (400..500, Some(error)) => {
            let known = codes.iter().find_map(|code| Some(format!("{} (AADSTS{code})", common_advice(*code)?)));
            refused(known.unwrap_or_else(|| sentence(error, description, &codes, client_id)))
        }
        (status, _) => elsewhere(status),
    }
}

/// What to do about an error that is not Entra ID's. The documentation has the errors; the descriptions are reported by users. Some
/// versions have the description in the place of the error.
fn sentence(error: &str, description: &str, codes: &[u64], client_id: Option<&str>) -> String {
    let lower = format!("{error} {description}").to_ascii_lowercase();
    let machine = "the machine that the operator runs on";
    let advice = if lower.contains("metadata header") || error == "bad_request_102" {
        "the request reached the metadata service without its Metadata header, so a proxy removes it: put 169.254.169.254 into NO_PROXY"
            .to_owned()
    } else if lower.contains("x-forwarded-for") {
        "the metadata service refuses what a proxy forwards: put 169.254.169.254 into NO_PROXY".to_owned()
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
        return format!("the metadata service refuses the request ({}){said}", text::tidy(error, 64));
    };
    let said = text::tidy(description, 300);
    if said.is_empty() { advice } else { format!("{advice} ({said})") }
}
