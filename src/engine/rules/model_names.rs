//! A model that is given by names: they are looked up before a run asks for its turn, and the ids serve that run to its end.
//!
//! Names move, so each run looks them up anew; one that waits long does so again from time to time. From its second attempt on
//! a run keeps to the model that its first one was on.

use std::time::Duration;

use crate::api::{Model, ModelNames, Run};
use crate::engine::pass::Pass;
use crate::engine::{Resolved, pace};
use crate::operation::ModelIds;

/// How long a run that waits believes what its names were found to stand for.
const BELIEVED: Duration = Duration::from_mins(5);

/// While nothing is submitted, a run is for what is asked for now, and a trigger that comes joins it.
pub(super) fn renew(pass: &mut Pass<'_>) {
    renew_model(pass);
    if let Some(run) = pass.record.run.as_mut() {
        run.work.clone_from(&pass.desired.work.digest);
    }
}

/// Makes the run one on the model that the spec names now: by its ids, where those are known.
fn renew_model(pass: &mut Pass<'_>) {
    let asked = &pass.desired.work.model;
    let Some(run) = pass.record.run.as_mut() else { return };
    if asked.is_empty() {
        // The refresh that it follows is not there to tell; what is on record stays.
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

/// Whether the ids of the run's model are still unknown, so that the service can be asked nothing about it.
pub(super) fn unknown(run: &Run) -> bool {
    run.model.names().is_some()
}

/// Whether the names are to be looked up before the run goes on.
pub(super) fn lookup_is_due(pass: &Pass<'_>) -> bool {
    let (Some(run), Some(names)) = (pass.record.run.as_ref(), pass.desired.work.model.names()) else { return false };
    if known(run, &names) && run.attempt > 1 {
        return false;
    }
    let stale = |resolved: &Resolved| resolved.names != names || pace::passed(resolved.at, BELIEVED, pass.now);
    pass.scratch.resolved.as_ref().is_none_or(stale)
}

/// Remembers what the names stand for. It is recorded with whatever the run records next.
pub(super) fn found(pass: &mut Pass<'_>, ids: &ModelIds) {
    let Some(names) = pass.desired.work.model.names() else { return };
    let lower = |id: &str| id.to_ascii_lowercase();
    let ids = ModelIds { group_id: lower(&ids.group_id), dataset_id: lower(&ids.dataset_id) };
    pass.scratch.resolved = Some(Resolved { names, ids, at: pass.now });
    renew_model(pass);
}
