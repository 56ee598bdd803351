//! A model that is given by names: they are resolved before a run requests its turn, and the run keeps the ids to its end.
//!
//! Names may move to another model, so each run resolves them; a run that waits long resolves them every 5 minutes. From its second
//! attempt on a run keeps the model of its first attempt.

use std::time::Duration;

use crate::api::{Model, ModelNames, Run};
use crate::engine::draft::Draft;
use crate::engine::{ResolvedModel, timing};
use crate::operation::ModelIds;

/// How long a waiting run uses resolved ids before it resolves the names again.
const MAX_RESOLUTION_AGE: Duration = Duration::from_mins(5);

/// Updates a run that is not submitted to the current spec. A trigger that comes meanwhile joins it.
pub(super) fn sync_with_spec(draft: &mut Draft<'_>) {
    sync_model(draft);
    if let Some(run) = draft.status.run.as_mut() {
        run.request_digest.clone_from(&draft.desired.operation.digest);
    }
}

/// Updates the run to the model that the spec names now: by its ids, if they are known.
fn sync_model(draft: &mut Draft<'_>) {
    let requested = &draft.desired.operation.model;
    let Some(run) = draft.status.run.as_mut() else { return };
    if requested.is_empty() {
        // The upstream refresh, which names the model, is missing; the recorded model stays.
        return;
    }
    let Some(names) = requested.names() else {
        (run.model, run.resolved_from) = (requested.clone(), None);
        return;
    };
    let on_record = known(run, &names);
    let resolved = draft.memory.resolved.as_ref().filter(|resolved| resolved.names == names);
    if let Some(ResolvedModel { ids: ModelIds { group_id, dataset_id }, .. }) = resolved {
        (run.model, run.resolved_from) = (Model::by_ids(group_id.clone(), dataset_id.clone()), Some(names));
    } else if !on_record {
        (run.model, run.resolved_from) = (requested.clone(), None);
    }
}

/// Whether a run knows the ids for these names.
fn known(run: &Run, names: &ModelNames) -> bool {
    run.resolved_from.as_ref() == Some(names)
}

/// Whether the ids of the run's model are still unknown, so that no call about it is possible.
pub(super) fn unknown(run: &Run) -> bool {
    run.model.names().is_some()
}

/// Whether the names must be resolved before the run continues.
pub(super) fn is_resolution_due(draft: &Draft<'_>) -> bool {
    let (Some(run), Some(names)) = (draft.status.run.as_ref(), draft.desired.operation.model.names()) else { return false };
    if known(run, &names) && run.attempt > 1 {
        return false;
    }
    let stale = |resolved: &ResolvedModel| resolved.names != names || timing::has_elapsed(resolved.at, MAX_RESOLUTION_AGE, draft.now);
    draft.memory.resolved.as_ref().is_none_or(stale)
}

/// Remembers the resolved ids. They are recorded with the next record of the run.
pub(super) fn found(draft: &mut Draft<'_>, ids: &ModelIds) {
    let Some(names) = draft.desired.operation.model.names() else { return };
    let lower = |id: &str| id.to_ascii_lowercase();
    let ids = ModelIds { group_id: lower(&ids.group_id), dataset_id: lower(&ids.dataset_id) };
    draft.memory.resolved = Some(ResolvedModel { names, ids, at: draft.now });
    sync_model(draft);
}
