//! Access for the fuzz targets (`tests/fuzz`): passes external input to the parsers of the operator. The operator does not use it.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;
use url::Url;

pub use super::http::BodyFault;

use super::analysis_services::sync::responses;
use super::analysis_services::{DatabaseName, ServerName};
use super::classify::messages::Messages;
use super::classify::{self, messages};
use super::http::error_body::{ErrorBody, Node};
use super::http::json_array::{JsonArrayReader, MalformedArray};
use super::http::location::{self, LocationTarget};
use super::http::{Response, server_time, text, timestamp};
use super::identity::assertion::Claims;
use super::identity::token_response::{self, CredentialKind, PresentedCredential};
use super::identity::{FieldNames, SecretText, managed};
use super::power_bi::{self, scale_out};
use super::refreshes::{self, ListWindow, Row, Selected, Selection};
use crate::operation::{
    CancelResult, ClockSkew, Listing, Operation, OperationId, OperationRef, PollResult, ServiceError, ServiceKind, ServiceMessage,
    SubmitResult,
};

/// A response of a service.
#[derive(Debug)]
pub struct ServiceResponse(Response);

impl ServiceResponse {
    /// Creates a response, without headers that no client would accept.
    #[must_use]
    pub fn new(status: u16, headers: &[(&str, &[u8])], body: &[u8], fault: Option<BodyFault>) -> Self {
        let parsed = |(name, value): &(&str, &[u8])| Some((HeaderName::try_from(*name).ok()?, HeaderValue::from_bytes(value).ok()?));
        let mut map = HeaderMap::new();
        for (name, value) in headers.iter().filter_map(parsed) {
            map.append(name, value);
        }
        Self(Response::new(status, map, body.to_vec(), fault))
    }

    /// The clock of the service.
    #[must_use]
    pub fn server_time(&self) -> Option<Timestamp> {
        server_time(&self.0.headers)
    }
}

/// The response to a POST of a refresh to `called`.
#[must_use]
pub fn submission(service: ServiceKind, response: &ServiceResponse, called: &Url) -> SubmitResult {
    classify::submission(service, &response.0, called)
}

/// The response to a GET of a refresh.
#[must_use]
pub fn poll_result(service: ServiceKind, response: &ServiceResponse, polled_id: &OperationId) -> PollResult {
    classify::poll_result(service, &response.0, polled_id)
}

/// The response to a DELETE of a refresh.
#[must_use]
pub fn cancel_result(service: ServiceKind, response: &ServiceResponse) -> CancelResult {
    classify::cancel_result(service, &response.0)
}

/// A response to a GET of the refreshes that is not a list.
#[must_use]
pub fn list_error(service: ServiceKind, response: &ServiceResponse) -> ServiceError {
    classify::list_error(service, &response.0)
}

/// The result of a list of refreshes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedList {
    /// The relevant rows, in the order of the list.
    pub listing: Listing,
    /// Number of rows.
    pub rows: usize,
    /// Whether the list is complete.
    pub complete: bool,
}

/// A list of refreshes in these chunks; `None` if it is not a list. `window` has the time from which on all rows are relevant, and the
/// earliest possible start of a running refresh.
pub fn list_rows<'a>(
    service: ServiceKind,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    window: (Timestamp, Timestamp),
    top: Option<usize>,
) -> Option<ParsedList> {
    let (mut rows, mut selection, mut count) = (JsonArrayReader::default(), Selection::new(service, window, top), 0);
    let mut take = |row: &[u8]| -> Result<(), MalformedArray> {
        count += 1;
        selection.add(row);
        Ok(())
    };
    for piece in pieces {
        rows.feed(piece, &mut take).ok()?;
    }
    let complete = rows.is_complete();
    if rows.has_next_page() {
        selection.set_more_pages();
    }
    let Selected { rows: selected, truncated, may_hide_running, has_unknown_rows, unnamed, .. } = selection.finish();
    let operations = selected.into_iter().map(|(id, row): (OperationId, Row)| row.into_operation(id)).collect();
    let truncated = truncated || !complete;
    let listing = Listing { operations, truncated, may_hide_running, has_unknown_rows, unnamed, clock_skew: None };
    Some(ParsedList { listing, rows: count, complete })
}

/// A list of refreshes with the details of its rows, as the client creates it from the responses; `None` if it is not a list. The clock of
/// the service is `clock_skew`, a refresh may run for `longest`, and `details` has the response for each id.
pub fn list(
    service: ServiceKind,
    body: &[u8],
    (window, clock_skew): (ListWindow, Option<ClockSkew>),
    longest: Duration,
    details: impl Fn(&OperationId) -> ServiceResponse,
) -> Option<Result<Listing, ServiceError>> {
    let (mut rows, mut selection) = (JsonArrayReader::default(), refreshes::selection(service, &window, clock_skew, longest));
    let mut take = |row: &[u8]| -> Result<(), MalformedArray> {
        selection.add(row);
        Ok(())
    };
    rows.feed(body, &mut take).ok()?;
    if rows.has_next_page() {
        selection.set_more_pages();
    }
    let mut selected = selection.finish();
    let merged = |(index, (id, row)): (usize, (OperationId, Row))| {
        if !refreshes::needs_details(index, &row) {
            return Ok(Some(row.into_operation(id)));
        }
        let result = poll_result(service, &details(&id), &id);
        refreshes::merge_details(id, row, result)
    };
    let operations = std::mem::take(&mut selected.rows).into_iter().enumerate().map(merged).collect::<Result<_, _>>();
    rows.is_complete().then(|| operations.map(|operations| selected.listing(operations, clock_skew)))
}

/// The response to a POST of a sync of Analysis Services to `called`.
#[must_use]
pub fn sync_submission(response: &ServiceResponse, called: &Url) -> SubmitResult {
    classify::submission_with(ServiceKind::AnalysisServices, &response.0, called, |response| responses::accepted(response, called))
}

/// The result of polling a sync of Analysis Services.
#[must_use]
pub fn sync_poll_result(response: &ServiceResponse, called: &Url, polled_id: &OperationId, named_by_service: bool) -> PollResult {
    responses::poll_result(&response.0, called, polled_id, named_by_service)
}

/// The syncs of Analysis Services in a response, and whether there may be more.
///
/// # Errors
/// The error of the call.
pub fn sync_list(response: &ServiceResponse, since: Timestamp) -> Result<(Vec<Operation>, bool), ServiceError> {
    responses::listed(&response.0, since)
}

/// The recorded `Location`, if a token may be sent there.
#[must_use]
pub fn recorded_location(operation: &OperationRef, sync: &Url) -> Option<Url> {
    responses::recorded_location(operation, sync)
}

/// The response to a POST of query scale-out to `called`.
#[must_use]
pub fn scale_out_submission(response: &ServiceResponse, called: &Url, requested_at: Timestamp) -> SubmitResult {
    classify::submission_with(ServiceKind::PowerBi, &response.0, called, |response| scale_out::accepted(response, requested_at))
}

/// The result of polling query scale-out.
#[must_use]
pub fn scale_out_poll_result(response: &ServiceResponse, polled_id: &OperationId) -> PollResult {
    scale_out::poll_result(&response.0, polled_id)
}

/// The last sync of query scale-out, if it is relevant, and whether there may be another one that is not shown.
///
/// # Errors
/// The error of the call.
pub fn scale_out_list(response: &ServiceResponse, since: Timestamp) -> Result<(Vec<Operation>, bool), ServiceError> {
    scale_out::listed(&response.0, since)
}

/// The URL of the refreshes of a database.
#[must_use]
pub fn refreshes(server: &ServerName, database: &DatabaseName) -> Option<Url> {
    database.refreshes(&server.base_url())
}

/// The URL of the syncs of a database.
#[must_use]
pub fn sync(server: &ServerName, database: &DatabaseName) -> Option<Url> {
    database.sync(&server.management_url())
}

/// The ids and names in a page of workspaces or semantic models, and the URL of the next page.
///
/// # Errors
/// The error of the call.
#[allow(clippy::type_complexity, reason = "the only caller destructures it immediately")]
pub fn names(response: &ServiceResponse) -> Result<(Vec<(String, String)>, Option<String>), ServiceError> {
    let page = power_bi::page_of(&response.0)?;
    Ok((page.rows.into_iter().map(|row| (row.id, row.name)).collect(), page.next))
}

/// The credential of an application, for [`token`].
#[derive(Clone, Copy, Debug)]
pub enum Credential<'a> {
    /// A secret.
    Secret(&'a str),
    /// A certificate, with this assertion.
    Certificate(&'a str),
    /// The token of another issuer.
    Federated(&'a str),
}

/// The response of Entra ID to a token request, as it is passed on.
///
/// # Errors
/// The error of the call.
pub fn token(response: &ServiceResponse, credential: Credential<'_>) -> Result<String, ServiceError> {
    let (text, kind) = match credential {
        Credential::Secret(text) => (SecretText::new(text), CredentialKind::Secret),
        Credential::Certificate(text) => (SecretText::new(text), CredentialKind::Certificate { thumbprint: "AB12".to_owned() }),
        Credential::Federated(text) => {
            let text = SecretText::new(text);
            let claims = Claims::of(&text);
            (text, CredentialKind::Federated(claims))
        }
    };
    token_response::token_in(&response.0, &PresentedCredential { text, kind, field_names: FieldNames::SECRET_KEYS })
}

/// The response of the metadata service to a token request: whether it contains a token.
///
/// # Errors
/// The error of the call.
pub fn managed_token(response: &ServiceResponse, client_id: Option<&str>) -> Result<(), ServiceError> {
    managed::token_in(&response.0, Instant::now(), client_id).map(|_| ())
}

/// Issuer, subject and audience of a token of another issuer.
#[must_use]
pub fn claims(token: &str) -> [String; 3] {
    let Claims { issuer, subject, audience } = Claims::of(&SecretText::new(token));
    [issuer, subject, audience]
}

/// The target of a `Location`, if a token may be sent there.
#[must_use]
pub fn location(text: &str, called: &Url) -> Option<Url> {
    match location::target(text, called) {
        LocationTarget::SameOrigin(url) => Some(url),
        LocationTarget::OtherOrigin(_) | LocationTarget::Invalid => None,
    }
}

/// A time in the format of a body.
#[must_use]
pub fn parse_timestamp(text: &str) -> Option<Timestamp> {
    timestamp::parse(text)
}

/// A time in the format of a header.
#[must_use]
pub fn clock(text: &str) -> Option<Timestamp> {
    timestamp::service_clock(text)
}

/// The requested wait of a `Retry-After`.
#[must_use]
pub fn wait(text: &str, now: Timestamp) -> Option<Duration> {
    timestamp::retry_after(text, now)
}

/// Sanitizes an external message into one line.
#[must_use]
pub fn sanitize(input: &str, limit: usize) -> String {
    text::sanitize(input, limit)
}

/// The errors in a text, as messages of an operation and as the sentence of a call.
#[must_use]
pub fn errors(input: &str) -> (Vec<ServiceMessage>, String) {
    let errors = ErrorBody::all(&Node::of_text(input));
    let messages: Messages = errors.iter().filter_map(|error| error.service_message("Error")).collect();
    (messages.finish(), ErrorBody::of_text(input).call_message(600))
}

/// Whether a message only reports the failure of something else.
#[must_use]
pub fn is_consequence(message: &ServiceMessage) -> bool {
    messages::is_consequence(message)
}
