//! The operations of resources that are gone, as far as they are remembered.

use std::collections::{BTreeSet, VecDeque};

use kube::ResourceExt as _;
use parking_lot::Mutex;

use super::resource::Resource;
use crate::api::Model;
use crate::engine::Taken;
use crate::operation::OperationKind;

/// How many resources that are gone are remembered.
const REMEMBERED: usize = 1_000;

/// The operations of resources that are gone: what was let go may still run, and no record names it any more. In memory only: after
/// a restart it may be taken for what another has begun.
#[derive(Debug, Default)]
pub(super) struct Departed {
    /// By uid, the latest last.
    records: Mutex<VecDeque<(String, Named)>>,
}

impl Departed {
    /// A resource goes, or is gone.
    pub(super) fn note(&self, object: &Resource) {
        let Some(uid) = object.uid() else { return };
        let mut records = self.records.lock();
        records.retain(|(earlier, _)| *earlier != uid);
        let Some(named) = Named::by(object) else { return };
        records.push_back((uid, named));
        while records.len() > REMEMBERED {
            records.pop_front();
        }
    }

    /// The operations of this kind, and that may be on this model, of all but the resource with this uid. Those of a resource whose
    /// finalizer was taken off by force are still watched, for as long as they are followed without it.
    pub(super) fn of_others(&self, own: Option<&str>, (kind, model): (OperationKind, &str), is_followed: impl Fn(&str) -> bool) -> Taken {
        let mut taken = Taken::default();
        let records = self.records.lock();
        for (uid, named) in records.iter().filter(|(uid, named)| Some(uid.as_str()) != own && named.counts_for(kind, model)) {
            let of_it = if is_followed(uid) { &mut taken.watched } else { &mut taken.let_go };
            of_it.extend(named.ids.iter().cloned());
        }
        taken
    }
}

/// The operations that a record names.
#[derive(Debug)]
pub(super) struct Named {
    kind: OperationKind,
    /// The keys of the models on which they count. A refresh's id is unique, and its resource may have moved to another model since, so
    /// it counts on any. A synchronisation's may be the client's own word for a state of its model, so it counts on that model alone.
    models: Vec<String>,
    /// In lower case.
    pub(super) ids: BTreeSet<String>,
}

impl Named {
    /// Those of a resource; `None` where there are none.
    pub(super) fn by(object: &Resource) -> Option<Self> {
        let status = object.status()?;
        let of_history = status.history.iter().filter_map(|entry| entry.operation_id.as_ref());
        let of_run = status.run.iter().flat_map(|run| {
            let candidates = run.candidates.iter().map(|candidate| &candidate.operation_id);
            run.operation_id.iter().chain(&run.earlier_operation_ids).chain(candidates)
        });
        let ids: BTreeSet<String> = of_history.chain(of_run).map(|id| id.to_lowercase()).collect();
        let kind = object.operation();
        let models = match kind {
            OperationKind::Refresh => Vec::new(),
            OperationKind::Sync => status.run.iter().map(|run| &run.model).chain(object.model()).map(Model::key).collect(),
        };
        (!ids.is_empty()).then_some(Self { kind, models, ids })
    }

    /// Whether one of these may be an operation of this kind on this model. The services count refreshes and synchronisations apart.
    pub(super) fn counts_for(&self, kind: OperationKind, model: &str) -> bool {
        let on_model = || match kind {
            OperationKind::Refresh => true,
            OperationKind::Sync => self.models.iter().any(|key| key == model),
        };
        self.kind == kind && on_model()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::labels::Kind;

    fn model(database: &str) -> serde_json::Value {
        serde_json::json!({"analysisServices": {"server": "asazure://w.asazure.windows.net/s", "database": database}})
    }

    fn key(database: &str) -> String {
        serde_json::from_value::<Model>(model(database)).unwrap().key()
    }

    fn resource(kind: Kind, uid: &str, status: &serde_json::Value) -> Resource {
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

    fn all() -> BTreeSet<String> {
        ["op-1", "op-3", "op-4", "op-5", "op-6"].map(str::to_owned).into()
    }

    #[test]
    fn what_a_resource_let_go_stays_its_own_and_its_candidates_too() {
        let departed = Departed::default();
        departed.note(&resource(Kind::ModelRefresh, "u-1", &with_run()));
        departed.note(&resource(Kind::ModelRefresh, "u-4", &serde_json::json!({})));
        let of_others = |own, kind| departed.of_others(Some(own), (kind, &key("elsewhere")), |_| false).let_go;
        assert_eq!(of_others("u-2", OperationKind::Refresh), all());
        assert!(of_others("u-1", OperationKind::Refresh).is_empty());
        assert!(of_others("u-2", OperationKind::Sync).is_empty());
        assert_eq!(departed.records.lock().len(), 1);
    }

    #[test]
    fn a_synchronisation_that_was_let_go_counts_on_the_models_of_its_resource_alone() {
        let departed = Departed::default();
        departed.note(&resource(Kind::ModelSync, "u-1", &with_run()));
        let of_others = |kind, database| departed.of_others(Some("u-2"), (kind, &key(database)), |_| false).let_go;
        for database in ["d", "before"] {
            assert_eq!(of_others(OperationKind::Sync, database), all());
            assert!(of_others(OperationKind::Refresh, database).is_empty());
        }
        assert!(of_others(OperationKind::Sync, "elsewhere").is_empty());
    }

    #[test]
    fn what_is_followed_without_its_resource_is_still_watched() {
        let departed = Departed::default();
        departed.note(&resource(Kind::ModelRefresh, "u-1", &with_run()));
        let of_others = |followed: &str| departed.of_others(None, (OperationKind::Refresh, &key("d")), |uid| uid == followed);
        assert_eq!(of_others("u-1"), Taken { watched: all(), let_go: BTreeSet::new() });
        assert_eq!(of_others("u-2"), Taken { watched: BTreeSet::new(), let_go: all() });
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let departed = Departed::default();
        for n in 0..=REMEMBERED {
            departed.note(&resource(Kind::ModelRefresh, &format!("u-{n}"), &with_run()));
        }
        let records = departed.records.lock();
        assert_eq!((records.len(), records[0].0.as_str()), (REMEMBERED, "u-1"));
    }
}
