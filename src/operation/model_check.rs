//! What a check of a model found at its identity provider and at its service.

use std::time::Duration;

use super::result::ModelIds;

/// What a check of a model found so far. Each fact is set as soon as it is known, so that a check that is interrupted shows its progress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ModelCheck {
    /// The host of the service.
    pub host: String,
    /// How long the token is still valid; `None` without a token.
    pub token_lifetime: Option<Duration>,
    /// How long the list took; `None` if the service did not respond to it.
    pub response_time: Option<Duration>,
    /// The ids that the names of the model refer to; `None` if they are not resolved, or the model has no names.
    pub ids: Option<ModelIds>,
    /// Whether the identity could list the operations of the model.
    pub listed: bool,
}
