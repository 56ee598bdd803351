//! Checks whether a database of Analysis Services exists.
//!
//! No list of databases is documented. A server returns 400 to a non-administrator, and also if the server does not exist (seen in public
//! reports). So "database not found" proves that the identity has access.

use url::Url;

use crate::azure::classify::{self, ResponseKind};
use crate::azure::http::{MAX_SHORT_BODY_BYTES, REDIRECTS, Response};
use crate::azure::session::Session;
use crate::operation::{CallKind, ModelExistence, OperationKind, ServiceKind};

/// Sends `GET refreshes`, of which only an error is relevant.
pub(in crate::azure) async fn find(session: &Session, refreshes: &Url) -> ModelExistence {
    let mut response = match session.get(CallKind::List(OperationKind::Refresh), refreshes.clone(), session.deadline(), &REDIRECTS).await {
        Ok(incoming) if (200..300).contains(&incoming.status()) => return ModelExistence::Exists,
        Ok(incoming) => incoming.read(MAX_SHORT_BODY_BYTES).await,
        Err(error) => return ModelExistence::Failed(error),
    };
    session.record_throttle_and_token(&mut response);
    existence(&response)
}

/// The meaning of an error for the database.
pub(in crate::azure) fn existence(response: &Response) -> ModelExistence {
    let summary = response.error_summary();
    let of_server = summary.code.to_ascii_lowercase().starts_with("server");
    match classify::response_kind(response, &summary) {
        // Without a code, the response may come from any server. So may a text that is no JSON, although it contains a code.
        ResponseKind::ModelNotFound | ResponseKind::NotFound
            if !of_server && !summary.code.is_empty() && response.may_be_from_service() =>
        {
            ModelExistence::Absent
        }
        kind => ModelExistence::Failed(classify::error_of(ServiceKind::AnalysisServices, kind, response, &summary)),
    }
}
