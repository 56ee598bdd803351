//! Which resource claims which operation: an index over the ids in all records, so that a list of operations costs one lookup for each of
//! them, however many resources there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::api::{Model, ModelResource};
use crate::engine::{Taken, unresolved_since};
use crate::operation::{OperationId, OperationKind};

/// How many deleted resources are remembered.
const REMEMBERED: usize = 1_000;

/// An operation id without regard to case, as 128 bits of its SHA-256: a third of the memory of the text.
type Id = [u8; 16];

/// The claims of all resources, and of those that were deleted recently: an operation that a resource orphaned may still run, and no record
/// names it any more. In memory only: after a restart it may be taken for what another resource started.
#[derive(Debug, Default)]
pub(super) struct Claims {
    by_id: BTreeSet<(Id, Arc<str>)>,
    /// The resources whose submission is unresolved, by the key of its model.
    unresolved: BTreeSet<(String, Arc<str>)>,
    /// By uid.
    claimants: HashMap<Arc<str>, Claimant>,
    /// The deleted ones, the latest last.
    departed: BTreeMap<u64, Arc<str>>,
    departures: u64,
    /// The operation that a resource, by its uid, is about to adopt.
    reserved: HashMap<Arc<str>, Reserved>,
}

#[derive(Debug)]
struct Reserved {
    kind: OperationKind,
    model: String,
    id: Id,
}

#[derive(Debug)]
struct Claimant {
    named: Named,
    unresolved: Option<Unresolved>,
    /// Whether the resource exists.
    present: bool,
    /// Its key among the deleted ones.
    departure: Option<u64>,
}

/// A submission that may have started an operation that no record names.
#[derive(Clone, Debug, PartialEq)]
struct Unresolved {
    /// The key of its model.
    model: String,
    intent: Timestamp,
}

impl Claims {
    /// Replaces the claims of a resource that exists. A released one counts as deleted.
    pub(super) fn show(&mut self, uid: &Arc<str>, object: &ModelResource) {
        self.replace(uid, object, !object.is_released());
    }

    /// Keeps the claims of a resource that is being deleted, or was.
    pub(super) fn depart(&mut self, uid: &Arc<str>, object: &ModelResource) {
        let present = self.claimants.get(uid).is_some_and(|claimant| claimant.present);
        self.replace(uid, object, present);
        self.departures += 1;
        let departure = self.departures;
        let Some(claimant) = self.claimants.get_mut(uid) else { return };
        if let Some(earlier) = claimant.departure.replace(departure) {
            self.departed.remove(&earlier);
        }
        self.departed.insert(departure, Arc::clone(uid));
        while self.departed.len() > REMEMBERED
            && let Some((_, oldest)) = self.departed.pop_first()
        {
            if let Some(claimant) = self.claimants.get_mut(&oldest) {
                claimant.departure = None;
            }
            self.drop_unless_needed(&oldest);
        }
    }

    /// Whether another resource than the one with this uid has the operation that is to be adopted for it: follows it, has followed it, or
    /// is about to adopt it. First come, first served: until it is called again for the resource, the operation is reserved for it.
    /// Candidates do not count: which resource has started them is what the user says.
    pub(super) fn reserve(
        &mut self,
        own: &str,
        named: Option<(OperationKind, &str, &OperationId)>,
        is_tracked: impl Fn(&str) -> bool,
    ) -> bool {
        self.reserved.remove(own);
        let Some((kind, model, operation)) = named else { return false };
        let id = id_of(operation.as_str());
        let claimants = self.by_id.range((id, Arc::from(""))..).take_while(|(claimed, _)| *claimed == id).map(|(_, uid)| uid);
        let owns = |uid: &Arc<str>| {
            let claimant = self.claimants.get(uid).filter(|claimant| claimant.named.counts_for(kind, model));
            claimant.is_some_and(|claimant| !claimant.named.candidates.contains(&id) && (claimant.present || is_tracked(uid)))
        };
        if claimants.filter(|uid| &***uid != own).any(owns) || self.reserved.values().any(|reserved| reserved.is(kind, model, &id)) {
            return true;
        }
        self.reserved.insert(own.into(), Reserved { kind, model: model.to_owned(), id });
        false
    }

    /// The resource no longer exists.
    pub(super) fn gone(&mut self, uid: &Arc<str>) {
        self.reserved.remove(uid);
        if let Some(claimant) = self.claimants.get_mut(uid) {
            claimant.present = false;
        }
        self.drop_unless_needed(uid);
    }

    /// Which of these operations of a kind on a model other resources than the one with this uid follow or have followed, and which they
    /// may have started by a submission that is unknown. Those of a deleted resource are still watched while the operator tracks its
    /// operation to the end.
    pub(super) fn by_others<'a>(
        &self,
        own: Option<&str>,
        (kind, model): (OperationKind, &str),
        operations: impl IntoIterator<Item = &'a OperationId>,
        is_tracked: impl Fn(&str) -> bool,
    ) -> Taken {
        let mut taken = Taken::default();
        for operation in operations {
            let id = id_of(operation.as_str());
            let claimants = self.by_id.range((id, Arc::from(""))..).take_while(|(claimed, _)| *claimed == id).map(|(_, uid)| uid);
            for uid in claimants.filter(|uid| Some(&***uid) != own) {
                let Some(claimant) = self.claimants.get(uid).filter(|claimant| claimant.named.counts_for(kind, model)) else { continue };
                let of_it = match claimant.present || is_tracked(uid) {
                    _ if claimant.named.candidates.contains(&id) => &mut taken.candidates,
                    true => &mut taken.watched,
                    false => &mut taken.let_go,
                };
                of_it.insert(operation.as_str().to_lowercase());
            }
            // A user may be wrong, so what they name for another resource is a doubt until that one's record has it.
            let mut others = self.reserved.iter().filter(|(uid, _)| Some(&***uid) != own);
            if others.any(|(_, reserved)| reserved.is(kind, model, &id)) {
                taken.candidates.insert(operation.as_str().to_lowercase());
            }
        }
        let on_model = self.unresolved.range((model.to_owned(), Arc::from(""))..).take_while(|(of, _)| of == model).map(|(_, uid)| uid);
        for uid in on_model.filter(|uid| Some(&***uid) != own) {
            let Some(claimant) = self.claimants.get(uid).filter(|claimant| claimant.named.kind == kind) else { continue };
            if claimant.present || is_tracked(uid) {
                taken.unresolved.extend(claimant.unresolved.iter().map(|unresolved| unresolved.intent));
            }
        }
        taken
    }

    fn replace(&mut self, uid: &Arc<str>, object: &ModelResource, present: bool) {
        let (named, unresolved) = (Named::by(object), Unresolved::of(object));
        let departure = match self.claimants.get_mut(uid) {
            Some(claimant) if named.as_ref() == Some(&claimant.named) && unresolved == claimant.unresolved => {
                claimant.present = present;
                return;
            }
            Some(claimant) => claimant.departure,
            None => None,
        };
        self.remove(uid);
        match named {
            Some(named) => {
                self.by_id.extend(named.ids.iter().map(|id| (*id, Arc::clone(uid))));
                self.unresolved.extend(unresolved.iter().map(|unresolved| (unresolved.model.clone(), Arc::clone(uid))));
                self.claimants.insert(Arc::clone(uid), Claimant { named, unresolved, present, departure });
            }
            None => {
                departure.map(|departure| self.departed.remove(&departure));
            }
        }
    }

    fn drop_unless_needed(&mut self, uid: &Arc<str>) {
        if self.claimants.get(uid).is_some_and(|claimant| !claimant.present && claimant.departure.is_none()) {
            self.remove(uid);
        }
    }

    fn remove(&mut self, uid: &Arc<str>) {
        let Some(claimant) = self.claimants.remove(uid) else { return };
        for id in claimant.named.ids {
            self.by_id.remove(&(id, Arc::clone(uid)));
        }
        if let Some(Unresolved { model, .. }) = claimant.unresolved {
            self.unresolved.remove(&(model, Arc::clone(uid)));
        }
    }
}

impl Reserved {
    fn is(&self, kind: OperationKind, model: &str, id: &Id) -> bool {
        // A refresh's id is unique.
        self.kind == kind && self.id == *id && (kind == OperationKind::Refresh || self.model == model)
    }
}

/// The operations that a record names.
#[derive(Debug, PartialEq)]
struct Named {
    kind: OperationKind,
    /// The keys of the models on which they count. A refresh's id is unique, and its resource may have moved to another model since, so
    /// it counts on any. The client may make a synchronization's id from the state of its model, so it counts on that model alone.
    models: Vec<String>,
    /// Sorted.
    ids: Box<[Id]>,
    /// Those that the resource may have started, and does not follow.
    candidates: Box<[Id]>,
}

impl Named {
    /// Those of a resource; `None` where there are none, and none may be unknown.
    fn by(object: &ModelResource) -> Option<Self> {
        let status = object.status()?;
        let of_history = status.history.iter().filter_map(|entry| entry.operation_id.as_ref());
        let of_run = status.run.iter().flat_map(|run| run.operation_id.iter().chain(&run.earlier_operation_ids));
        let mut ids: BTreeSet<Id> = of_history.chain(of_run).map(|id| id_of(id)).collect();
        let candidates = status.run.iter().flat_map(|run| &run.candidates).map(|candidate| id_of(&candidate.operation_id));
        let candidates: Box<[Id]> = candidates.filter(|candidate| !ids.contains(candidate)).collect();
        ids.extend(&candidates);
        let kind = object.kind().into();
        let models = match kind {
            OperationKind::Refresh => Vec::new(),
            OperationKind::Sync => status.run.iter().map(|run| &run.model).chain(object.model()).map(Model::key).collect(),
        };
        (!ids.is_empty() || Unresolved::of(object).is_some()).then(|| Self { kind, models, ids: ids.into_iter().collect(), candidates })
    }

    /// Whether one of these may be an operation of this kind on this model. The services count refreshes and synchronizations apart.
    fn counts_for(&self, kind: OperationKind, model: &str) -> bool {
        let on_model = || match kind {
            OperationKind::Refresh => true,
            OperationKind::Sync => self.models.iter().any(|key| key == model),
        };
        self.kind == kind && on_model()
    }
}

impl Unresolved {
    fn of(object: &ModelResource) -> Option<Self> {
        let run = object.status()?.run.as_ref()?;
        let intent = unresolved_since(run)?.timestamp();
        Some(Self { model: run.model.key(), intent })
    }
}

fn id_of(operation: &str) -> Id {
    let digest = Sha256::digest(operation.to_lowercase().as_bytes());
    std::array::from_fn(|byte| digest[byte])
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt as _;

    use super::*;
    use crate::api::Kind;

    fn model(database: &str) -> serde_json::Value {
        serde_json::json!({"analysisServices": {"server": "asazure://w.asazure.windows.net/s", "database": database}})
    }

    fn key(database: &str) -> String {
        serde_json::from_value::<Model>(model(database)).unwrap().key()
    }

    fn resource(kind: Kind, uid: &str, status: &serde_json::Value) -> ModelResource {
        let written = serde_json::json!({
            "apiVersion": "tabular-operator.dev/v1alpha1",
            "kind": kind.as_str(),
            "metadata": {"name": uid, "namespace": "bi", "uid": uid},
            "spec": {"model": model("d")},
            "status": status,
        });
        serde_json::from_value(written).unwrap()
    }

    fn with_run() -> serde_json::Value {
        let trigger = serde_json::json!({"type": "Creation", "value": ""});
        serde_json::json!({
            "run": {
                "number": 2, "trigger": trigger, "attempt": 2, "state": "Submitting", "requestedTime": "2026-01-01T00:00:00Z",
                "model": model("before"), "work": "w", "reason": "SubmissionUnknown", "message": "m",
                "operationId": "OP-4", "earlierOperationIds": ["op-3"],
                "candidates": [{"operationId": "op-5", "status": "InProgress"}, {"operationId": "op-6", "status": "Completed"}],
            },
            "history": [{"number": 1, "trigger": trigger, "attempts": 1, "state": "Succeeded", "operationId": "op-1", "message": "m"}],
        })
    }

    fn uid(object: &ModelResource) -> Arc<str> {
        object.uid().unwrap_or_default().into()
    }

    fn depart(claims: &mut Claims, object: &ModelResource) {
        claims.depart(&uid(object), object);
    }

    fn operations() -> Vec<OperationId> {
        ["op-1", "op-2", "OP-3", "op-4", "op-5", "op-6"].iter().filter_map(|id| OperationId::parse(id)).collect()
    }

    fn followed() -> BTreeSet<String> {
        ["op-1", "op-3", "op-4"].map(str::to_owned).into()
    }

    fn candidates() -> BTreeSet<String> {
        ["op-5", "op-6"].map(str::to_owned).into()
    }

    #[test]
    fn orphaned_operations_stay_claimed_and_candidates_stay_in_doubt() {
        let mut claims = Claims::default();
        depart(&mut claims, &resource(Kind::ModelRefresh, "u-1", &with_run()));
        depart(&mut claims, &resource(Kind::ModelRefresh, "u-4", &serde_json::json!({})));
        let of_others = |own, kind| claims.by_others(Some(own), (kind, &key("elsewhere")), &operations(), |_| false);
        let of_another = of_others("u-2", OperationKind::Refresh);
        assert_eq!(of_another, Taken { let_go: followed(), candidates: candidates(), ..Taken::default() });
        assert_eq!(of_others("u-1", OperationKind::Refresh), Taken::default());
        assert_eq!(of_others("u-2", OperationKind::Sync), Taken::default());
        assert_eq!((claims.departed.len(), claims.claimants.len()), (1, 1));
    }

    #[test]
    fn orphaned_synchronization_counts_on_its_models_alone() {
        let mut claims = Claims::default();
        depart(&mut claims, &resource(Kind::ModelSync, "u-1", &with_run()));
        let of_others = |kind, database| claims.by_others(Some("u-2"), (kind, &key(database)), &operations(), |_| false).let_go;
        for database in ["d", "before"] {
            assert_eq!(of_others(OperationKind::Sync, database), followed());
            assert!(of_others(OperationKind::Refresh, database).is_empty());
        }
        assert!(of_others(OperationKind::Sync, "elsewhere").is_empty());
    }

    #[test]
    fn operation_that_is_tracked_without_its_resource_is_watched() {
        let mut claims = Claims::default();
        depart(&mut claims, &resource(Kind::ModelRefresh, "u-1", &with_run()));
        let of_others = |tracked: &str| claims.by_others(None, (OperationKind::Refresh, &key("d")), &operations(), |uid| uid == tracked);
        let taken = |watched, let_go| Taken { watched, let_go, candidates: candidates(), ..Taken::default() };
        // Not on the model on which its submission may have started something.
        assert_eq!(of_others("u-1"), taken(followed(), BTreeSet::new()));
        assert_eq!(of_others("u-2"), taken(BTreeSet::new(), followed()));
    }

    #[test]
    fn unresolved_submission_counts_on_its_model_until_it_is_resolved_or_let_go() {
        let mut status = with_run();
        status["run"]["submittedTime"] = "2026-01-01T00:01:00Z".into();
        // One that a user is asked about is as unresolved as any: the candidates may lack the one that it started.
        let unresolved = resource(Kind::ModelRefresh, "u-1", &status);
        status["run"]["state"] = "Running".into();
        let resolved = resource(Kind::ModelRefresh, "u-1", &status);
        let mut claims = Claims::default();
        let of_others = |claims: &Claims, own, kind, database, tracked: bool| {
            claims.by_others(Some(own), (kind, &key(database)), &[], |_| tracked).unresolved.len()
        };
        let of_another = |claims: &Claims| of_others(claims, "u-2", OperationKind::Refresh, "before", false);
        claims.show(&uid(&unresolved), &unresolved);
        assert_eq!(of_another(&claims), 1);
        assert_eq!(of_others(&claims, "u-1", OperationKind::Refresh, "before", false), 0);
        assert_eq!(of_others(&claims, "u-2", OperationKind::Sync, "before", false), 0);
        assert_eq!(of_others(&claims, "u-2", OperationKind::Refresh, "d", false), 0);
        claims.show(&uid(&resolved), &resolved);
        assert_eq!(of_another(&claims), 0);
        depart(&mut claims, &unresolved);
        claims.gone(&uid(&unresolved));
        assert_eq!(of_another(&claims), 0);
        assert_eq!(of_others(&claims, "u-2", OperationKind::Refresh, "before", true), 1);
        depart(&mut claims, &resource(Kind::ModelRefresh, "u-1", &serde_json::json!({})));
        assert!(claims.unresolved.is_empty() && claims.by_id.is_empty());
    }

    #[test]
    fn operation_is_adopted_by_the_first_resource_that_a_user_names_it_for() {
        let mut claims = Claims::default();
        let other = resource(Kind::ModelRefresh, "u-1", &with_run());
        claims.show(&uid(&other), &other);
        let mut taken = |own: &str, operation: Option<&str>| {
            let operation = operation.and_then(OperationId::parse);
            claims.reserve(own, operation.as_ref().map(|id| (OperationKind::Refresh, "m", id)), |_| false)
        };
        assert_eq!(["op-1", "op-3", "OP-4"].map(|id| taken("u-2", Some(id))), [true; 3], "it follows it, or has followed it");
        assert!(!taken("u-1", Some("op-4")), "its own");
        assert!(!taken("u-2", Some("op-5")) && !taken("u-2", Some("op-5")), "a candidate");
        assert!(taken("u-3", Some("OP-5")), "which the first has");
        let of_others = |own| claims.by_others(Some(own), (OperationKind::Refresh, "m"), &operations(), |_| false);
        assert_eq!(of_others("u-1").candidates, BTreeSet::from(["op-5".to_owned()]));
        let mut taken = |own: &str, operation: Option<&str>| {
            let operation = operation.and_then(OperationId::parse);
            claims.reserve(own, operation.as_ref().map(|id| (OperationKind::Refresh, "m", id)), |_| false)
        };
        assert!(!taken("u-2", None) && !taken("u-3", Some("op-5")), "until it has it no more");
        claims.gone(&"u-3".into());
        assert!(!claims.reserve("u-4", OperationId::parse("op-5").as_ref().map(|id| (OperationKind::Refresh, "m", id)), |_| false));
    }

    #[test]
    fn deleted_resource_is_forgotten_when_others_follow_or_it_was_not_kept() {
        let mut claims = Claims::default();
        let kept = resource(Kind::ModelRefresh, "kept", &with_run());
        for n in 0..=REMEMBERED {
            depart(&mut claims, &resource(Kind::ModelRefresh, &format!("u-{n}"), &with_run()));
        }
        assert_eq!((claims.departed.len(), claims.claimants.len()), (REMEMBERED, REMEMBERED));
        assert!(!claims.claimants.contains_key("u-0"));
        claims.show(&uid(&kept), &kept);
        claims.gone(&uid(&kept));
        assert!(!claims.claimants.contains_key("kept"));
        assert_eq!(claims.by_id.len(), (followed().len() + candidates().len()) * REMEMBERED);
    }

    #[test]
    fn claims_follow_the_record_and_survive_the_deletion_that_keeps_them() {
        let mut claims = Claims::default();
        let (before, after) =
            (resource(Kind::ModelRefresh, "u-1", &serde_json::json!({})), resource(Kind::ModelRefresh, "u-1", &with_run()));
        let of_others = |claims: &Claims| claims.by_others(Some("u-2"), (OperationKind::Refresh, "m"), &operations(), |_| false);
        claims.show(&uid(&before), &before);
        assert_eq!(of_others(&claims), Taken::default());
        claims.show(&uid(&after), &after);
        assert_eq!(of_others(&claims).watched, followed());
        depart(&mut claims, &after);
        assert_eq!(of_others(&claims).watched, followed());
        claims.gone(&uid(&after));
        assert_eq!(of_others(&claims), Taken { let_go: followed(), candidates: candidates(), ..Taken::default() });
        depart(&mut claims, &before);
        assert_eq!((of_others(&claims), claims.departed.len(), claims.by_id.len()), (Taken::default(), 0, 0));
    }
}
