//! Checks whether a database of Analysis Services exists.
//!
//! No list of databases is documented. But a server returns 400 to an identity that is not an administrator, and for a server that does not
//! exist (seen in public reports). If the database is not found, the identity therefore has access.

use url::Url;

use crate::azure::classify::{self, Word};
use crate::azure::http::{Answer, LARGEST_WORD, REDIRECTS};
use crate::azure::session::Session;
use crate::operation::{CallKind, OperationKind, Presence, ServiceKind};

/// Sends `GET refreshes`, of which only an error is relevant.
pub(in crate::azure) async fn find(session: &Session, refreshes: &Url) -> Presence {
    let mut answer = match session.get(CallKind::List(OperationKind::Refresh), refreshes.clone(), session.deadline(), &REDIRECTS).await {
        Ok(incoming) if (200..300).contains(&incoming.status()) => return Presence::Exists,
        Ok(incoming) => incoming.read(LARGEST_WORD).await,
        Err(error) => return Presence::Failed(error),
    };
    session.heed(&mut answer);
    presence(&answer)
}

/// The meaning of an error for the database.
pub(in crate::azure) fn presence(answer: &Answer) -> Presence {
    let complaint = answer.complaint();
    let of_server = complaint.code.to_ascii_lowercase().starts_with("server");
    match classify::word(answer, &complaint) {
        // Without a code, the response may come from any server.
        Word::NoModel | Word::NotFound if !of_server && !complaint.code.is_empty() => Presence::Absent,
        word => Presence::Failed(classify::error_of(ServiceKind::AnalysisServices, word, answer, &complaint)),
    }
}
