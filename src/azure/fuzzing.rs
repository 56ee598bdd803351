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
use super::http::json_array::{RowFault, Rows};
use super::http::location::{self, Target};
use super::http::{Answer, server_time, text, timestamp};
use super::identity::assertion::Claims;
use super::identity::token_response::{self, Means, Shown};
use super::identity::{SecretText, Spelling, managed};
use super::power_bi::{self, scale_out};
use super::refreshes::{self, Row, Selected, Selection, Window};
use crate::operation::{
    CancelResult, ClockSkew, Listing, Operation, OperationId, OperationRef, PollResult, ServiceError, ServiceKind, ServiceMessage,
    Submission,
};

/// A response of a service.
#[derive(Debug)]
pub struct Heard(Answer);

impl Heard {
    /// Creates a response, without headers that no client would accept.
    #[must_use]
    pub fn new(status: u16, headers: &[(&str, &[u8])], body: &[u8], fault: Option<BodyFault>) -> Self {
        let parsed = |(name, value): &(&str, &[u8])| Some((HeaderName::try_from(*name).ok()?, HeaderValue::from_bytes(value).ok()?));
        let mut map = HeaderMap::new();
        for (name, value) in headers.iter().filter_map(parsed) {
            map.append(name, value);
        }
        Self(Answer::new(status, map, body.to_vec(), fault))
    }

    /// The clock of the service.
    #[must_use]
    pub fn server_time(&self) -> Option<Timestamp> {
        server_time(&self.0.headers)
    }
}

/// The response to a POST of a refresh to `called`.
#[must_use]
pub fn submission(service: ServiceKind, heard: &Heard, called: &Url) -> Submission {
    classify::submission(service, &heard.0, called)
}

/// The response to a GET of a refresh.
#[must_use]
pub fn look(service: ServiceKind, heard: &Heard, asked: &OperationId) -> PollResult {
    classify::look(service, &heard.0, asked)
}

/// The response to a DELETE of a refresh.
#[must_use]
pub fn cancellation(service: ServiceKind, heard: &Heard) -> CancelResult {
    classify::cancellation(service, &heard.0)
}

/// A response to a GET of the refreshes that is not a list.
#[must_use]
pub fn no_listing(service: ServiceKind, heard: &Heard) -> ServiceError {
    classify::list_error(service, &heard.0)
}

/// The result of a list of refreshes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The relevant rows, in the order of the list.
    pub listing: Listing,
    /// Number of rows.
    pub rows: usize,
    /// Whether the list is complete.
    pub complete: bool,
}

/// A list of refreshes in these chunks; `None` if it is not a list. `window` has the time from which on all rows are relevant, and the
/// earliest possible start of a running refresh.
pub fn listing<'a>(
    service: ServiceKind,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    window: (Timestamp, Timestamp),
    top: Option<usize>,
) -> Option<Listed> {
    let (mut rows, mut selection, mut count) = (Rows::default(), Selection::new(service, window, top), 0);
    let mut take = |row: &[u8]| -> Result<(), RowFault> {
        count += 1;
        selection.take(row);
        Ok(())
    };
    for piece in pieces {
        rows.feed(piece, &mut take).ok()?;
    }
    let complete = rows.complete();
    if rows.go_on() {
        selection.goes_on();
    }
    let Selected { rows: selected, truncated, may_hide_running, unnamed, .. } = selection.finish();
    let operations = selected.into_iter().map(|(id, row): (OperationId, Row)| row.bare(id)).collect();
    let listing = Listing { operations, truncated: truncated || !complete, may_hide_running, unnamed, clock_skew: None };
    Some(Listed { listing, rows: count, complete })
}

/// A list of refreshes with the details of its rows, as the client creates it from the responses; `None` if it is not a list. The clock of
/// the service is `clock_skew`, a refresh may run for `longest`, and `details` has the response for each id.
pub fn list(
    service: ServiceKind,
    body: &[u8],
    (window, clock_skew): (Window, Option<ClockSkew>),
    longest: Duration,
    details: impl Fn(&OperationId) -> Heard,
) -> Option<Result<Listing, ServiceError>> {
    let (mut rows, mut selection) = (Rows::default(), refreshes::selection(service, &window, clock_skew, longest));
    let mut take = |row: &[u8]| -> Result<(), RowFault> {
        selection.take(row);
        Ok(())
    };
    rows.feed(body, &mut take).ok()?;
    if rows.go_on() {
        selection.goes_on();
    }
    let mut selected = selection.finish();
    let joined = |(index, (id, row)): (usize, (OperationId, Row))| {
        if !refreshes::are_requested(index, &row) {
            return Ok(row.bare(id));
        }
        let look = look(service, &details(&id), &id);
        refreshes::joined(id, row, look)
    };
    let operations = std::mem::take(&mut selected.rows).into_iter().enumerate().map(joined).collect::<Result<_, _>>();
    rows.complete().then(|| operations.map(|operations| selected.listing(operations, clock_skew)))
}

/// The response to a POST of a sync of Analysis Services to `called`.
#[must_use]
pub fn sync_submission(heard: &Heard, called: &Url) -> Submission {
    classify::submission_with(ServiceKind::AnalysisServices, &heard.0, |answer| responses::accepted(answer, called))
}

/// The result of polling a sync of Analysis Services.
#[must_use]
pub fn sync_look(heard: &Heard, called: &Url, asked: &OperationId, named_by_service: bool) -> PollResult {
    responses::seen(&heard.0, called, asked, named_by_service)
}

/// The syncs of Analysis Services in a response, and whether there may be more.
///
/// # Errors
/// The error of the call.
pub fn sync_listing(heard: &Heard, since: Timestamp) -> Result<(Vec<Operation>, bool), ServiceError> {
    responses::listed(&heard.0, since)
}

/// The recorded `Location`, if a token may be sent there.
#[must_use]
pub fn stored_location(operation: &OperationRef, sync: &Url) -> Option<Url> {
    responses::stored(operation, sync)
}

/// The response to a POST of query scale-out.
#[must_use]
pub fn scale_out_submission(heard: &Heard, asked: Timestamp) -> Submission {
    classify::submission_with(ServiceKind::PowerBi, &heard.0, |answer| scale_out::accepted(answer, asked))
}

/// The result of polling query scale-out.
#[must_use]
pub fn scale_out_look(heard: &Heard, asked: &OperationId) -> PollResult {
    scale_out::seen(&heard.0, asked)
}

/// The last sync of query scale-out, if it is relevant, and whether there may be another one that is not shown.
///
/// # Errors
/// The error of the call.
pub fn scale_out_listing(heard: &Heard, since: Timestamp) -> Result<(Vec<Operation>, bool), ServiceError> {
    scale_out::listed(&heard.0, since)
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
pub fn names(heard: &Heard) -> Result<(Vec<(String, String)>, Option<String>), ServiceError> {
    let page = power_bi::page_of(&heard.0)?;
    Ok((page.rows.into_iter().map(|row| (row.id, row.name)).collect(), page.next))
}

/// The credential of an application, for [`token`].
#[derive(Clone, Copy, Debug)]
pub enum Proof<'a> {
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
pub fn token(heard: &Heard, proof: Proof<'_>) -> Result<String, ServiceError> {
    let (text, means) = match proof {
        Proof::Secret(text) => (SecretText::new(text), Means::Secret),
        Proof::Certificate(text) => (SecretText::new(text), Means::Certificate { thumbprint: "AB12".to_owned() }),
        Proof::Federated(text) => {
            let text = SecretText::new(text);
            let claims = Claims::of(&text);
            (text, Means::Federated(claims))
        }
    };
    token_response::granted(&heard.0, &Shown { text, means, spelling: Spelling::SECRET_KEYS })
}

/// The response of the metadata service to a token request: whether it contains a token.
///
/// # Errors
/// The error of the call.
pub fn managed_token(heard: &Heard, client_id: Option<&str>) -> Result<(), ServiceError> {
    managed::granted(&heard.0, Instant::now(), client_id).map(|_| ())
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
        Target::Here(url) => Some(url),
        Target::Elsewhere(_) | Target::Nonsense => None,
    }
}

/// A time in the format of a body.
#[must_use]
pub fn moment(text: &str) -> Option<Timestamp> {
    timestamp::moment(text)
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
pub fn tidy(said: &str, limit: usize) -> String {
    text::tidy(said, limit)
}

/// The errors in a text, as messages of an operation and as the sentence of a call.
#[must_use]
pub fn errors(said: &str) -> (Vec<ServiceMessage>, String) {
    let errors = ErrorBody::all(&Node::of_text(said));
    let messages: Messages = errors.iter().filter_map(|error| error.message("Error")).collect();
    (messages.finish(), ErrorBody::of_text(said).for_a_call(600))
}

/// Whether a message only reports the failure of something else.
#[must_use]
pub fn is_consequence(message: &ServiceMessage) -> bool {
    messages::is_consequence(message)
}
