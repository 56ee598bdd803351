//! Which resource claims which operation: an index over the ids in all records, so that a list costs one lookup per operation, however many
//! resources there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::super::ClaimedOperations;
use crate::api::{Model, RunState, Status};
use crate::operation::{OperationId, OperationKind};

/// How many deleted resources are remembered.
const MAX_REMOVED: usize = 1_000;

/// An operation id in lower case, as 128 bits of its SHA-256: a third of the memory of the text.
type Id = [u8; 16];

#[cfg(test)]
thread_local! {
    /// How many operations without a record this thread has compared with another one.
    static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The data that the claims of a resource are read from.
#[derive(Clone, Copy, Debug)]
pub struct ClaimSource<'a> {
    /// The kind of operation of its runs.
    pub kind: OperationKind,
    /// The model that its spec names.
    pub model: Option<&'a Model>,
    /// Its status.
    pub status: Option<&'a Status>,
}

/// The claims of all resources, and of those that were deleted recently: an operation that a resource orphaned may still be running, and
/// no record names it. In memory only: after a restart another resource may adopt such an operation as its own.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    by_id: BTreeSet<(Id, Arc<str>)>,
    /// The resources whose submission is unresolved, by the key of its model.
    unresolved: BTreeSet<(String, Arc<str>)>,
    /// By uid.
    claimants: HashMap<Arc<str>, Claimant>,
    /// The deleted ones, the latest last.
    removed: BTreeMap<u64, Arc<str>>,
    removals: u64,
    /// The operation that a resource is about to adopt.
    reserved: NamedOperations,
    /// The operation that the service returned last to a resource. Its record may not name the operation yet.
    accepted: NamedOperations,
}

/// At most one operation of each resource, which no record names yet.
#[derive(Clone, Debug, Default)]
struct NamedOperations {
    /// By uid.
    by_uid: HashMap<Arc<str>, NamedOperation>,
    /// The uids by operation. Thousands of resources may have an operation here while a list asks for each of its operations.
    by_id: BTreeSet<(Id, Arc<str>)>,
}

#[derive(Clone, Debug)]
struct NamedOperation {
    kind: OperationKind,
    model: String,
    id: Id,
}

#[derive(Clone, Debug)]
struct Claimant {
    claim: Claim,
    unresolved: Option<Unresolved>,
    /// Whether the resource exists.
    present: bool,
    /// Its key among the deleted ones.
    removal: Option<u64>,
}

/// A submission that may have started an operation that no record names.
#[derive(Clone, Debug, PartialEq)]
struct Unresolved {
    /// The key of its model.
    model: String,
    intent: Timestamp,
}

impl Claims {
    /// Number of resources with a claim, also deleted ones, and of the operations that are reserved or not yet recorded.
    #[must_use]
    pub fn count(&self) -> usize {
        self.claimants.len() + self.reserved.by_uid.len() + self.accepted.by_uid.len()
    }

    /// Replaces the claims of a resource that exists. A released one counts as deleted.
    pub fn update(&mut self, uid: &Arc<str>, source: ClaimSource<'_>, is_released: bool) {
        self.replace(uid, source, !is_released);
    }

    /// Keeps the claims of a resource that is being deleted, or was deleted.
    pub fn keep_removed(&mut self, uid: &Arc<str>, source: ClaimSource<'_>) {
        let present = self.claimants.get(uid).is_some_and(|claimant| claimant.present);
        self.replace(uid, source, present);
        self.removals += 1;
        let removal = self.removals;
        let Some(claimant) = self.claimants.get_mut(uid) else { return };
        if let Some(earlier) = claimant.removal.replace(removal) {
            self.removed.remove(&earlier);
        }
        self.removed.insert(removal, Arc::clone(uid));
        while self.removed.len() > MAX_REMOVED
            && let Some((_, oldest)) = self.removed.pop_first()
        {
            if let Some(claimant) = self.claimants.get_mut(&oldest) {
                claimant.removal = None;
            }
            self.drop_unless_needed(&oldest);
        }
    }

    /// Reserves the operation that the resource with this uid is about to adopt, until its next call. Returns false if another resource
    /// already has it: tracks it, has tracked it, or is about to adopt it. First come, first served. Candidates do not count, because the
    /// user decides which resource started them.
    pub fn try_reserve(
        &mut self,
        own: &str,
        claim: Option<(OperationKind, &str, &OperationId)>,
        is_tracked: impl Fn(&str) -> bool,
    ) -> bool {
        self.reserved.remove(own);
        let Some((kind, model, operation)) = claim else { return true };
        let id = id_of(operation.as_str());
        let owns = |uid: &Arc<str>| {
            let claimant = self.claimants.get(uid).filter(|claimant| claimant.claim.counts_for(kind, model));
            claimant.is_some_and(|claimant| !claimant.claim.candidates.contains(&id) && (claimant.present || is_tracked(uid)))
        };
        let is_named = |operations: &NamedOperations| operations.has_of_other(Some(own), (kind, model, id));
        if uids_of(&self.by_id, id).filter(|uid| &***uid != own).any(owns) || is_named(&self.reserved) || is_named(&self.accepted) {
            return false;
        }
        self.reserved.insert(own, NamedOperation { kind, model: model.to_owned(), id });
        true
    }

    /// Claims the operation that the service returned for the submission of a resource, until its record names the operation.
    pub fn accept(&mut self, uid: &str, (kind, model, operation): (OperationKind, &str, &OperationId)) {
        self.accepted.insert(uid, NamedOperation { kind, model: model.to_owned(), id: id_of(operation.as_str()) });
    }

    /// Drops a resource that no longer exists.
    pub fn on_deleted(&mut self, uid: &Arc<str>) {
        self.reserved.remove(uid);
        self.accepted.remove(uid);
        if let Some(claimant) = self.claimants.get_mut(uid) {
            claimant.present = false;
        }
        self.drop_unless_needed(uid);
    }

    /// Which of these operations of a kind on a model belong to resources other than the one with this uid: those that they track or have
    /// tracked, and those that an unresolved submission may have started. Those of a deleted resource count as tracked while the operator
    /// tracks its operation to the end.
    pub fn of_others<'a>(
        &self,
        own: Option<&str>,
        (kind, model): (OperationKind, &str),
        operations: impl IntoIterator<Item = &'a OperationId>,
        is_tracked: impl Fn(&str) -> bool,
    ) -> ClaimedOperations {
        let mut claimed = ClaimedOperations::default();
        for operation in operations {
            let id = id_of(operation.as_str());
            for uid in uids_of(&self.by_id, id).filter(|uid| Some(&***uid) != own) {
                let Some(claimant) = self.claimants.get(uid).filter(|claimant| claimant.claim.counts_for(kind, model)) else { continue };
                let of_it = match claimant.present || is_tracked(uid) {
                    _ if claimant.claim.candidates.contains(&id) => &mut claimed.candidates,
                    true => &mut claimed.active,
                    false => &mut claimed.orphaned,
                };
                of_it.insert(operation.as_str().to_lowercase());
            }
            let is_named = |operations: &NamedOperations| operations.has_of_other(own, (kind, model, id));
            if is_named(&self.accepted) {
                claimed.active.insert(operation.as_str().to_lowercase());
            }
            // A user may be wrong, so an operation named for another resource is a candidate until that resource's record has it.
            if is_named(&self.reserved) {
                claimed.candidates.insert(operation.as_str().to_lowercase());
            }
        }
        let on_model = self.unresolved.range((model.to_owned(), Arc::from(""))..).take_while(|(of, _)| of == model).map(|(_, uid)| uid);
        for uid in on_model.filter(|uid| Some(&***uid) != own) {
            let Some(claimant) = self.claimants.get(uid).filter(|claimant| claimant.claim.kind == kind) else { continue };
            if claimant.present || is_tracked(uid) {
                claimed.unresolved.extend(claimant.unresolved.iter().map(|unresolved| unresolved.intent));
            }
        }
        claimed
    }

    fn replace(&mut self, uid: &Arc<str>, source: ClaimSource<'_>, present: bool) {
        let (claim, unresolved) = (Claim::from_source(source), Unresolved::of(source));
        if unresolved.is_none() {
            self.accepted.remove(uid);
        }
        let removal = match self.claimants.get_mut(uid) {
            Some(claimant) if claim.as_ref() == Some(&claimant.claim) && unresolved == claimant.unresolved => {
                claimant.present = present;
                return;
            }
            Some(claimant) => claimant.removal,
            None => None,
        };
        self.remove(uid);
        match claim {
            Some(claim) => {
                self.by_id.extend(claim.ids.iter().map(|id| (*id, Arc::clone(uid))));
                self.unresolved.extend(unresolved.iter().map(|unresolved| (unresolved.model.clone(), Arc::clone(uid))));
                self.claimants.insert(Arc::clone(uid), Claimant { claim, unresolved, present, removal });
            }
            None => {
                removal.map(|removal| self.removed.remove(&removal));
            }
        }
    }

    fn drop_unless_needed(&mut self, uid: &Arc<str>) {
        if self.claimants.get(uid).is_some_and(|claimant| !claimant.present && claimant.removal.is_none()) {
            self.remove(uid);
        }
    }

    fn remove(&mut self, uid: &Arc<str>) {
        let Some(claimant) = self.claimants.remove(uid) else { return };
        for id in claimant.claim.ids {
            self.by_id.remove(&(id, Arc::clone(uid)));
        }
        if let Some(Unresolved { model, .. }) = claimant.unresolved {
            self.unresolved.remove(&(model, Arc::clone(uid)));
        }
    }
}

impl NamedOperations {
    /// Replaces the operation of a resource.
    fn insert(&mut self, uid: &str, operation: NamedOperation) {
        self.remove(uid);
        let uid: Arc<str> = uid.into();
        self.by_id.insert((operation.id, Arc::clone(&uid)));
        self.by_uid.insert(uid, operation);
    }

    fn remove(&mut self, uid: &str) {
        if let Some((uid, operation)) = self.by_uid.remove_entry(uid) {
            self.by_id.remove(&(operation.id, uid));
        }
    }

    /// Whether this is the operation of a resource other than `own`.
    fn has_of_other(&self, own: Option<&str>, (kind, model, id): (OperationKind, &str, Id)) -> bool {
        let others = uids_of(&self.by_id, id).filter(|uid| Some(&***uid) != own);
        others.filter_map(|uid| self.by_uid.get(uid)).any(|operation| operation.counts_for(kind, model))
    }
}

impl NamedOperation {
    /// Whether its id stands for this operation on a model. A refresh's id is unique.
    fn counts_for(&self, kind: OperationKind, model: &str) -> bool {
        #[cfg(test)]
        STEPS.with(|count| count.set(count.get() + 1));
        self.kind == kind && (kind == OperationKind::Refresh || self.model == model)
    }
}

/// The resources with this operation, by uid.
fn uids_of(by_id: &BTreeSet<(Id, Arc<str>)>, id: Id) -> impl Iterator<Item = &Arc<str>> {
    by_id.range((id, Arc::from(""))..).take_while(move |(found, _)| *found == id).map(|(_, uid)| uid)
}

/// The operations that a record names.
#[derive(Clone, Debug, PartialEq)]
struct Claim {
    kind: OperationKind,
    /// The keys of the models on which they count. A refresh's id is unique, and its resource may have moved to another model since, so
    /// it counts on any. The client may make a sync's id from the state of its model, so it counts only on that model.
    models: Vec<String>,
    /// Sorted.
    ids: Box<[Id]>,
    /// Those that the resource may have started, and does not track.
    candidates: Box<[Id]>,
}

impl Claim {
    /// The operations of a resource; `None` if it has none and no unresolved submission.
    fn from_source(source: ClaimSource<'_>) -> Option<Self> {
        let status = source.status?;
        let of_history = status.history.iter().filter_map(|entry| entry.operation_id.as_ref());
        let of_run = status.run.iter().flat_map(|run| run.operation_id.iter().chain(&run.previous_operation_ids));
        let mut ids: BTreeSet<Id> = of_history.chain(of_run).map(|id| id_of(id)).collect();
        let candidates = status.run.iter().flat_map(|run| &run.candidates).map(|candidate| id_of(&candidate.operation_id));
        let candidates: Box<[Id]> = candidates.filter(|candidate| !ids.contains(candidate)).collect();
        ids.extend(&candidates);
        let kind = source.kind;
        let models = match kind {
            OperationKind::Refresh => Vec::new(),
            OperationKind::Sync => status.run.iter().map(|run| &run.model).chain(source.model).map(Model::key).collect(),
        };
        (!ids.is_empty() || Unresolved::of(source).is_some()).then(|| Self { kind, models, ids: ids.into_iter().collect(), candidates })
    }

    /// Whether these may include an operation of this kind on this model. The services have separate ids for refreshes and syncs.
    fn counts_for(&self, kind: OperationKind, model: &str) -> bool {
        let on_model = || match kind {
            OperationKind::Refresh => true,
            OperationKind::Sync => self.models.iter().any(|key| key == model),
        };
        self.kind == kind && on_model()
    }
}

impl Unresolved {
    /// The submission of a run that may have started an operation that no record names. Also if a user must decide which operation it is:
    /// the record may name no candidates, or not all of them.
    fn of(source: ClaimSource<'_>) -> Option<Self> {
        let run = source.status?.run.as_ref().filter(|run| run.state == RunState::Submitting)?;
        let intent = run.submitted_time.unwrap_or(run.requested_time).timestamp();
        Some(Self { model: run.model.key(), intent })
    }
}

fn id_of(operation: &str) -> Id {
    let digest = Sha256::digest(operation.to_lowercase().as_bytes());
    std::array::from_fn(|byte| digest[byte])
}

#[cfg(test)]
mod tests;
