//! The ledger: requests to the local Azure and its responses. It never contains a secret, an assertion or a token.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Maximum number of rows; older rows are dropped.
const MAX_ROWS: usize = 100_000;

/// Maximum stored size of a request's body.
const MAX_BODY: usize = 4_096;

/// One request.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Number of the row. It counts all requests, and the submissions of the control API, since the start.
    pub sequence: u64,
    /// The time of its arrival.
    pub time: Timestamp,
    /// The addressed real host name.
    pub host: Arc<str>,
    /// Its method; `CONNECT` if the proxy refused a tunnel.
    pub method: String,
    /// Its path and query.
    pub path: String,
    /// The route, such as `refresh` or `token`.
    pub route: &'static str,
    /// The server in the path, as `asazure://…`.
    pub server: Option<String>,
    /// The database in the path.
    pub database: Option<String>,
    /// The workspace in the path.
    pub group_id: Option<Uuid>,
    /// The semantic model in the path.
    pub dataset_id: Option<Uuid>,
    /// The application, from the token or the token request.
    pub client_id: Option<Arc<str>>,
    /// The kind of credential that the application used or presented: `secret`, `certificate`, `federated` or `managed`.
    pub credential: Option<&'static str>,
    /// The audience of the token.
    pub token_audience: Option<Arc<str>>,
    /// The request's `Content-Type`.
    pub content_type: Option<String>,
    /// The request's `User-Agent`.
    pub user_agent: Option<Arc<str>>,
    /// The request's `x-ms-client-request-id`.
    pub client_request_id: Option<String>,
    /// The user name that the client gave the proxy.
    pub proxy_user: Option<Arc<str>>,
    /// The response's status; `null` while the request is pending, or if no response was sent.
    pub status: Option<u16>,
    /// Whether the service handled the request (also by refusing it); false if a fault prevented it.
    pub handled: bool,
    /// The fault that affected it.
    pub fault_id: Option<Arc<str>>,
    /// The operation that it started or names.
    pub operation_id: Option<Uuid>,
    /// The start of its body, without secrets.
    pub request_body: Option<String>,
    /// Time until the response was ready; `null` until then.
    pub duration_millis: Option<u64>,
}

impl Row {
    /// Stores the start of `body`.
    pub fn set_body(&mut self, body: &[u8]) {
        if !body.is_empty() {
            self.request_body = Some(String::from_utf8_lossy(&body[..body.len().min(MAX_BODY)]).into_owned());
        }
    }
}

/// Filter of rows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Query {
    /// Only rows after this sequence number.
    pub after: Option<u64>,
    /// Only rows of this application, including its token requests. Does not apply to counts.
    pub client_id: Option<String>,
    /// Only rows for this server, `asazure://…`.
    pub server: Option<String>,
    /// Only rows for this database.
    pub database: Option<String>,
    /// Only rows for this workspace.
    pub group_id: Option<Uuid>,
    /// Only rows for this semantic model.
    pub dataset_id: Option<Uuid>,
}

/// The model in a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Subject {
    server: Option<String>,
    database: Option<String>,
    group_id: Option<Uuid>,
    dataset_id: Option<Uuid>,
}

impl From<&Row> for Subject {
    fn from(row: &Row) -> Self {
        Self { server: row.server.clone(), database: row.database.clone(), group_id: row.group_id, dataset_id: row.dataset_id }
    }
}

impl Query {
    fn matches(&self, server: Option<&str>, database: Option<&str>, group: Option<Uuid>, dataset: Option<Uuid>) -> bool {
        let same = |wanted: Option<&String>, seen: Option<&str>| {
            wanted.is_none_or(|wanted| seen.is_some_and(|seen| wanted.to_lowercase() == seen.to_lowercase()))
        };
        same(self.server.as_ref(), server)
            && same(self.database.as_ref(), database)
            && self.group_id.is_none_or(|wanted| group == Some(wanted))
            && self.dataset_id.is_none_or(|wanted| dataset == Some(wanted))
    }
}

/// Number of calls of a route with a method.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// The method.
    pub method: String,
    /// The route, as in [`Row::route`].
    pub route: &'static str,
    /// The number, since the start or since the ledger was cleared.
    pub count: u64,
}

#[derive(PartialEq, Eq, Hash)]
struct CountKey {
    method: String,
    route: &'static str,
    subject: Subject,
}

#[derive(Default)]
struct Contents {
    rows: VecDeque<Row>,
    counts: HashMap<CountKey, u64>,
}

/// All rows.
#[derive(Default)]
pub struct Ledger {
    contents: Mutex<Contents>,
    sequence: AtomicU64,
    requests: AtomicU64,
}

impl Ledger {
    /// The next sequence number, for events without a row.
    pub fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1
    }

    /// The number of requests.
    pub fn requests(&self) -> u64 {
        self.requests.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Records a request on arrival. The returned entry records its result.
    pub fn record(self: &Arc<Self>, mut row: Row) -> Entry {
        self.requests.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let key = CountKey { method: row.method.clone(), route: row.route, subject: (&row).into() };
        let mut contents = self.contents.lock();
        // Under the lock, so that rows are in the order of their numbers.
        let sequence = self.next_sequence();
        row.sequence = sequence;
        *contents.counts.entry(key).or_insert(0) += 1;
        if contents.rows.len() >= MAX_ROWS {
            contents.rows.pop_front();
        }
        contents.rows.push_back(row);
        Entry { ledger: Arc::clone(self), sequence, began: Instant::now() }
    }

    /// The matching rows, newest last.
    #[must_use]
    pub fn rows(&self, query: &Query) -> Vec<Row> {
        let contents = self.contents.lock();
        let first = contents.rows.partition_point(|row| query.after.is_some_and(|after| row.sequence <= after));
        let of_client = |row: &Row| {
            let wanted = query.client_id.as_deref();
            wanted.is_none_or(|wanted| row.client_id.as_deref().is_some_and(|seen| wanted.eq_ignore_ascii_case(seen)))
        };
        let matches =
            |row: &&Row| of_client(row) && query.matches(row.server.as_deref(), row.database.as_deref(), row.group_id, row.dataset_id);
        contents.rows.range(first..).filter(matches).cloned().collect()
    }

    /// Number of calls of each route, including dropped rows.
    #[must_use]
    pub fn counts(&self, query: &Query) -> Vec<Count> {
        let contents = self.contents.lock();
        let mut sums: HashMap<(&str, &'static str), u64> = HashMap::new();
        let matches =
            |subject: &Subject| query.matches(subject.server.as_deref(), subject.database.as_deref(), subject.group_id, subject.dataset_id);
        for (key, count) in contents.counts.iter().filter(|(key, _)| matches(&key.subject)) {
            *sums.entry((&key.method, key.route)).or_insert(0) += count;
        }
        let mut counts: Vec<_> =
            sums.into_iter().map(|((method, route), count)| Count { method: method.to_owned(), route, count }).collect();
        counts.sort_by(|a, b| (a.route, &a.method).cmp(&(b.route, &b.method)));
        counts
    }

    /// Removes all rows and counts. Sequence numbers continue.
    pub fn clear(&self) {
        *self.contents.lock() = Contents::default();
    }

    fn update(&self, sequence: u64, change: impl FnOnce(&mut Row)) {
        let mut contents = self.contents.lock();
        let index = contents.rows.partition_point(|row| row.sequence < sequence);
        if let Some(row) = contents.rows.get_mut(index).filter(|row| row.sequence == sequence) {
            change(row);
        }
    }
}

/// A recorded request in progress.
pub struct Entry {
    ledger: Arc<Ledger>,
    sequence: u64,
    began: Instant,
}

impl Entry {
    /// Its number.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Records the fault that affected it.
    pub fn matched(&self, fault: &Arc<str>) {
        self.ledger.update(self.sequence, |row| row.fault_id = Some(Arc::clone(fault)));
    }

    /// Records that the service handled it.
    pub fn handled(&self, operation: Option<Uuid>) {
        self.ledger.update(self.sequence, |row| {
            row.handled = true;
            row.operation_id = operation.or(row.operation_id);
        });
    }

    /// Records the response's status.
    pub fn responded(&self, status: u16) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.ledger.update(self.sequence, |row| {
            row.status = Some(status);
            row.duration_millis = Some(millis);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(server: &str, database: &str) -> Row {
        Row { method: "GET".into(), route: "refresh", server: Some(server.into()), database: Some(database.into()), ..Row::default() }
    }

    #[test]
    fn ledger_filters_and_counts_rows() {
        let ledger = Arc::new(Ledger::default());
        let first = ledger.record(row("asazure://a/s", "One"));
        let control = ledger.next_sequence();
        let second = ledger.record(row("asazure://a/s", "Two"));
        assert!(first.sequence() < control && control < second.sequence());
        second.handled(Some(Uuid::nil()));
        second.responded(200);
        let query = Query { after: Some(control), server: Some("ASAZURE://a/s".into()), ..Query::default() };
        let rows = ledger.rows(&query);
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].status, rows[0].handled, rows[0].operation_id), (Some(200), true, Some(Uuid::nil())));
        assert_eq!(ledger.counts(&Query::default())[0].count, 2);
        assert_eq!(ledger.counts(&Query { database: Some("two".into()), ..Query::default() })[0].count, 1);
        let of = |id: &str| ledger.rows(&Query { client_id: Some(id.into()), ..Query::default() }).len();
        ledger.record(Row { client_id: Some("ab-c".into()), ..row("asazure://a/s", "One") });
        assert_eq!((of("AB-C"), of("other")), (1, 0));
        ledger.clear();
        second.responded(500);
        assert!(ledger.rows(&Query::default()).is_empty() && ledger.counts(&Query::default()).is_empty());
    }

    #[test]
    fn ledger_is_bounded() {
        let ledger = Arc::new(Ledger::default());
        let first = ledger.record(row("s", "d"));
        for _ in 0..MAX_ROWS {
            ledger.record(row("s", "d"));
        }
        first.responded(200);
        let rows = ledger.rows(&Query::default());
        assert_eq!((rows.len(), rows[0].sequence, rows[0].status), (MAX_ROWS, 2, None));
    }
}
