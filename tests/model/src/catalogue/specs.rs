//! The specs that several scenarios share.

use tabular_operator::api::{ConflictPolicy, ModelRefreshSpec};

use crate::scenario::spec;
use crate::world::object::Spec;

/// A refresh with an edited spec.
pub(super) fn with(edit: impl FnOnce(&mut ModelRefreshSpec)) -> Vec<Spec> {
    let mut spec = spec(0);
    edit(&mut spec);
    vec![Spec::Refresh(spec)]
}

/// A refresh that cancels another client's.
pub(super) fn replacing() -> ModelRefreshSpec {
    ModelRefreshSpec { conflict_policy: ConflictPolicy::Replace, ..spec(0) }
}
