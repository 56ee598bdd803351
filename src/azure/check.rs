//! A check of a model: a token, the ids of its names, and the list of its operations. It sends only GETs.

use tokio::time::Instant;

use super::client::ModelClient;
use crate::operation::{CallKind, ModelCheck, ModelLookup, OperationKind, ServiceError, ServiceErrorKind};

impl ModelClient {
    /// Checks whether the identity can list the operations of a kind. Sets each fact in `found` as soon as it is known, so the caller may
    /// stop at any time.
    ///
    /// # Errors
    /// Why the check cannot continue. The facts that are missing in `found` show what it tried last.
    pub async fn check(self, kind: OperationKind, found: &mut ModelCheck) -> Result<(), ServiceError> {
        self.host().clone_into(&mut found.host);
        found.token_lifetime = Some(self.check_token().await?);
        let client = if self.has_ids() {
            self
        } else {
            match self.prepare_for(CallKind::Resolve).await?.resolve().await {
                ModelLookup::Found(ids) => {
                    found.ids = Some(ids.clone());
                    self.with_ids(&ids)?
                }
                ModelLookup::Ambiguous(sentence) => return Err(ServiceError::new(ServiceErrorKind::NotFound, sentence)),
                ModelLookup::Failed(error) => return Err(error),
            }
        };
        let call = client.prepare_for(CallKind::List(kind)).await?;
        let sent_at = Instant::now();
        let listed = call.check_list(kind).await;
        let has_response = listed.as_ref().map_or_else(|error| error.kind != ServiceErrorKind::Unreachable, |()| true);
        found.response_time = has_response.then(|| sent_at.elapsed());
        listed?;
        found.listed = true;
        Ok(())
    }
}
