//! A door for the fuzz targets (`tests/fuzz`): what comes from outside, to the reader that the operator has for it.
//! Nothing in the operator uses it.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;
use url::Url;

pub use super::answer::BodyFault;
pub use super::kind::Service;

use super::analysis_services::sync::answers;
use super::analysis_services::{DatabaseName, ServerName};
use super::answer::{self, Answer};
use super::error_body::{ErrorBody, Node};
use super::identity::assertion::Claims;
use super::identity::refusal::{self, Means, Shown};
use super::identity::{SecretText, Spelling, managed};
use super::location::{self, Target};
use super::messages::Messages;
use super::power_bi::{self, scale_out};
use super::refreshes::{self, Row, Selected, Selection, Window};
use super::rows::{RowFault, Rows};
use super::{classify, messages, text, timestamp};
use crate::operation::{Ahead, Cancellation, Handle, Listing, Look, Operation, OperationId, ServiceMessage, Submission, Trouble};

/// An answer of a service, as it came.
#[derive(Debug)]
pub struct Heard(Answer);

impl Heard {
    /// An answer, without the headers that no client would let through.
    #[must_use]
    pub fn new(status: u16, headers: &[(&str, &[u8])], body: &[u8], fault: Option<BodyFault>) -> Self {
        let parsed = |(name, value): &(&str, &[u8])| Some((HeaderName::try_from(*name).ok()?, HeaderValue::from_bytes(value).ok()?));
        let mut map = HeaderMap::new();
        for (name, value) in headers.iter().filter_map(parsed) {
            map.append(name, value);
        }
        Self(Answer::new(status, map, body.to_vec(), fault))
    }

    /// The service's clock.
    #[must_use]
    pub fn server_time(&self) -> Option<Timestamp> {
        answer::server_time(&self.0.headers)
    }
}

/// The answer to a POST of a refresh to `called`.
#[must_use]
pub fn submission(service: Service, heard: &Heard, called: &Url) -> Submission {
    classify::submission(service, &heard.0, called)
}

/// The answer to a GET of a refresh.
#[must_use]
pub fn look(service: Service, heard: &Heard, asked: &OperationId) -> Look {
    classify::look(service, &heard.0, asked)
}

/// The answer to a DELETE of a refresh.
#[must_use]
pub fn cancellation(service: Service, heard: &Heard) -> Cancellation {
    classify::cancellation(service, &heard.0)
}

/// The answer to a GET of the refreshes that is no list of them.
#[must_use]
pub fn no_listing(service: Service, heard: &Heard) -> Trouble {
    classify::listing_trouble(service, &heard.0)
}

/// What was made of a list of refreshes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The rows that matter, as they stand in the list.
    pub listing: Listing,
    /// How many rows there were.
    pub rows: usize,
    /// Whether the list came to its end.
    pub complete: bool,
}

/// A list of refreshes in these pieces; `None` where it is no list. `window` has the moment from which on all rows matter, and the
/// one before which none that still runs can have started.
pub fn listing<'a>(
    service: Service,
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
    let listing = Listing { operations, truncated: truncated || !complete, may_hide_running, unnamed, ahead: None };
    Some(Listed { listing, rows: count, complete })
}

/// A list of refreshes with the details of its rows, as the client makes it of the responses; `None` where it is no list. The service's
/// clock is `ahead`, a refresh may run for `longest`, and `details` has the response for each id.
pub fn list(
    service: Service,
    body: &[u8],
    (window, ahead): (Window, Option<Ahead>),
    longest: Duration,
    details: impl Fn(&OperationId) -> Heard,
) -> Option<Result<Listing, Trouble>> {
    let (mut rows, mut selection) = (Rows::default(), refreshes::selection(service, &window, ahead, longest));
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
    rows.complete().then(|| operations.map(|operations| selected.listing(operations, ahead)))
}

/// The answer to a POST of a synchronisation of Analysis Services to `called`.
#[must_use]
pub fn sync_submission(heard: &Heard, called: &Url) -> Submission {
    classify::submission_with(Service::AnalysisServices, &heard.0, |answer| answers::accepted(answer, called))
}

/// What a look at a synchronisation of Analysis Services showed.
#[must_use]
pub fn sync_look(heard: &Heard, called: &Url, asked: &OperationId, named_by_service: bool) -> Look {
    answers::seen(&heard.0, called, asked, named_by_service)
}

/// The synchronisations of Analysis Services that an answer shows, and whether there may be more.
///
/// # Errors
/// What is in the way.
pub fn sync_listing(heard: &Heard, since: Timestamp) -> Result<(Vec<Operation>, bool), Trouble> {
    answers::listed(&heard.0, since)
}

/// The `Location` on record, if a token may be sent there.
#[must_use]
pub fn stored_location(handle: &Handle, sync: &Url) -> Option<Url> {
    answers::stored(handle, sync)
}

/// The answer to a POST of query scale-out.
#[must_use]
pub fn scale_out_submission(heard: &Heard, asked: Timestamp) -> Submission {
    classify::submission_with(Service::PowerBi, &heard.0, |answer| scale_out::accepted(answer, asked))
}

/// What a look at query scale-out showed.
#[must_use]
pub fn scale_out_look(heard: &Heard, asked: &OperationId) -> Look {
    scale_out::seen(&heard.0, asked)
}

/// The last synchronisation by query scale-out, if it matters, and whether there may be one that is not shown.
///
/// # Errors
/// What is in the way.
pub fn scale_out_listing(heard: &Heard, since: Timestamp) -> Result<(Vec<Operation>, bool), Trouble> {
    scale_out::listed(&heard.0, since)
}

/// The address of a database's refreshes.
#[must_use]
pub fn refreshes(server: &ServerName, database: &DatabaseName) -> Option<Url> {
    database.refreshes(&server.base_url())
}

/// The address of a database's synchronisations.
#[must_use]
pub fn sync(server: &ServerName, database: &DatabaseName) -> Option<Url> {
    database.sync(&server.management_url())
}

/// The ids and names in a page of workspaces or semantic models, and where the next page is.
///
/// # Errors
/// What is in the way.
#[allow(clippy::type_complexity, reason = "it is taken apart at once, by one caller")]
pub fn names(heard: &Heard) -> Result<(Vec<(String, String)>, Option<String>), Trouble> {
    let page = power_bi::page_of(&heard.0)?;
    Ok((page.rows.into_iter().map(|row| (row.id, row.name)).collect(), page.next))
}

/// How an application proves itself, for [`token`].
#[derive(Clone, Copy, Debug)]
pub enum Proof<'a> {
    /// By a secret.
    Secret(&'a str),
    /// By a certificate, with this assertion.
    Certificate(&'a str),
    /// By the token of another issuer.
    Federated(&'a str),
}

/// The answer of Entra ID to a request for a token, in the form that it is passed on in.
///
/// # Errors
/// What is in the way.
pub fn token(heard: &Heard, proof: Proof<'_>) -> Result<String, Trouble> {
    let (text, means) = match proof {
        Proof::Secret(text) => (SecretText::new(text), Means::Secret),
        Proof::Certificate(text) => (SecretText::new(text), Means::Certificate { thumbprint: "AB12".to_owned() }),
        Proof::Federated(text) => {
            let text = SecretText::new(text);
            let claims = Claims::of(&text);
            (text, Means::Federated(claims))
        }
    };
    refusal::granted(&heard.0, &Shown { text, means, spelling: Spelling::SECRET_KEYS })
}

/// The answer of the metadata service to a request for a token: whether it has one.
///
/// # Errors
/// What is in the way.
pub fn managed_token(heard: &Heard, client_id: Option<&str>) -> Result<(), Trouble> {
    managed::granted(&heard.0, Instant::now(), client_id).map(|_| ())
}

/// Issuer, subject and audience of somebody else's token.
#[must_use]
pub fn claims(token: &str) -> [String; 3] {
    let Claims { issuer, subject, audience } = Claims::of(&SecretText::new(token));
    [issuer, subject, audience]
}

/// Where a `Location` leads, if a token may be sent there.
#[must_use]
pub fn location(text: &str, called: &Url) -> Option<Url> {
    match location::target(text, called) {
        Target::Here(url) => Some(url),
        Target::Elsewhere(_) | Target::Nonsense => None,
    }
}

/// A moment as the services write it in a body.
#[must_use]
pub fn moment(text: &str) -> Option<Timestamp> {
    timestamp::moment(text)
}

/// A moment as the services write it in a header.
#[must_use]
pub fn clock(text: &str) -> Option<Timestamp> {
    timestamp::service_clock(text)
}

/// What a `Retry-After` asks for.
#[must_use]
pub fn wait(text: &str, now: Timestamp) -> Option<Duration> {
    timestamp::retry_after(text, now)
}

/// A message from outside in one line.
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
