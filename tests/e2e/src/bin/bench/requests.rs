//! The requests of a program, counted by the API server and the local Azure.

use e2e::{AuditLine, rbac};

use crate::setup::{ACCOUNT, Bench};

/// Numbers of requests.
#[derive(Clone, Copy, Debug)]
pub struct Requests {
    /// Writes of a status or a finalizer, including rejected ones.
    pub writes: usize,
    pub events: usize,
    /// `POST refreshes`.
    pub submissions: u64,
    /// `GET refreshes/<id>`.
    pub polls: u64,
}

impl Requests {
    /// Those in a namespace since its creation, and to the local Azure since its ledger was cleared.
    pub async fn since_clear(bench: &Bench, namespace: &str) -> Self {
        let audit = bench.environment.control_plane.audit();
        let lines = audit.writes(&rbac::user(ACCOUNT), &["modelrefreshes", "events"]);
        let of_namespace: Vec<&AuditLine> = lines.iter().filter(|line| line.object_ref.namespace == namespace).collect();
        let events = of_namespace.iter().filter(|line| line.object_ref.resource == "events").count();
        let azure = bench.azure();
        Self {
            writes: of_namespace.len() - events,
            events,
            submissions: azure.count("POST", "refreshes").await,
            polls: azure.count("GET", "refresh").await,
        }
    }
}
