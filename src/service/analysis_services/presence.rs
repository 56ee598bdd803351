//! Whether a database of Analysis Services exists.
//!
//! No list of the databases is documented. But a server answers an identity that is none of its administrators, and one that asks for a
//! server that is not there, with 400 (seen in public reports): so one that says that the database is not found has let the identity in.

use url::Url;

use crate::operation::{CallKind, OperationKind, Presence, ServiceKind};
use crate::service::Call;
use crate::service::answer::Answer;
use crate::service::classify::{self, Word};
use crate::service::http::{LARGEST_WORD, REDIRECTS};

/// `GET refreshes`, of which only the refusal matters.
pub(in crate::service) async fn find(call: &Call, refreshes: &Url) -> Presence {
    let mut answer =
        match call.get(call.target(CallKind::List(OperationKind::Refresh)), refreshes.clone(), call.deadline(), &REDIRECTS).await {
            Ok(incoming) if (200..300).contains(&incoming.status()) => return Presence::There,
            Ok(incoming) => incoming.read(LARGEST_WORD).await,
            Err(trouble) => return Presence::Trouble(trouble),
        };
    call.heed(&mut answer);
    presence(&answer)
}

/// What a refusal says of the database.
pub(in crate::service) fn presence(answer: &Answer) -> Presence {
    let complaint = answer.complaint();
    let of_server = complaint.code.to_ascii_lowercase().starts_with("server");
    match classify::word(answer, &complaint) {
        // Without a code it may be anybody's word.
        Word::NoModel | Word::NotFound if !of_server && !complaint.code.is_empty() => Presence::Gone,
        word => Presence::Trouble(classify::trouble_of(ServiceKind::AnalysisServices, word, answer, &complaint)),
    }
}
