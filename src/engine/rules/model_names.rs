//! A model that is given by names: they are resolved before a run requests its turn, and the run keeps the ids to its end.
//!
//! Names may move to another model, so each run resolves them; a run that waits long resolves them every 5 minutes. From its second
//! attempt on a run keeps the model of its first attempt.

use std::time::Duration;

use crate::api::{Model, ModelNames, Run};
use crate::engine::draft::Pass;
use crate::engine::{Resolved, timing};
use crate::operation::ModelIds;

/// How long a waiting run uses resolved ids before it resolves the names again.
const BELIEVED: Duration = Duration::from_mins(5);

/// Updates a run that is not submitted to the current spec. A trigger that comes meanwhile joins it.
pub(super) fn renew(pass: &mut Pass<'_>) {
    renew_model(pass);
    if let Some(run) = pass.record.run.as_mut() {
        run.work.clone_from(&pass.desired.work.digest);
    }
}

/// Updates the run to the model that the spec names now: by its ids, if they are known.
fn renew_model(pass: &mut Pass<'_>) {
    let asked = &pass.desired.work.model;
    let Some(run) = pass.record.run.as_mut() else { return };
    if asked.is_empty() {
        // The followed refresh, which names the model, is missing; the recorded model stays.
        return;
    }
    let Some(names) = asked.names() else {
        (run.model, run.looked_up) = (asked.clone(), None);
        return;
    };
    let on_record = known(run, &names);
    let looked_up = pass.scratch.resolved.as_ref().filter(|resolved| resolved.names == names);
    if let Some(Resolved { ids: ModelIds { group_id, dataset_id }, .. }) = looked_up {
        (run.model, run.looked_up) = (Model::by_ids(group_id.clone(), dataset_id.clone()), Some(names));
    } else if !on_record {
        (run.model, run.looked_up) = (asked.clone(), None);
    }
}

/// Whether a run knows the ids for these names.
fn known(run: &Run, names: &ModelNames) -> bool {
    run.looked_up.as_ref() == Some(names)
}

/// Whether the ids of the run's model are still unknown, so that no call about it is possible.
pub(super) fn unknown(run: &Run) -> bool {
    run.model.names().is_some()
}

/// Whether the names must be resolved before the run continues.
pub(super) fn lookup_is_due(pass: &Pass<'_>) -> bool {
    let (Some(run), Some(names)) = (pass.record.run.as_ref(), pass.desired.work.model.names()) else { return false };
    if known(run, &names) && run.attempt > 1 {
        return false;
    }
    let stale = |resolved: &Resolved| resolved.names != names || timing::passed(resolved.at, BELIEVED, pass.now);
    pass.scratch.resolved.as_ref().is_none_or(stale)
}

/// Remembers the resolved ids. They are recorded with the next record of the run.
pub(super) fn found(pass: &mut Pass<'_>, ids: &ModelIds) {
    let Some(names) = pass.desired.work.model.names() else { return };
    let lower = |id: &str| id.to_ascii_lowercase();
    let ids = ModelIds { group_id: lower(&ids.group_id), dataset_id: lower(&ids.dataset_id) };
    pass.scratch.resolved = Some(Resolved { names, ids, at: pass.now });
    renew_model(pass);
}
