//! The operations of resources that are gone, as far as they are remembered.

use std::collections::{BTreeSet, VecDeque};

use kube::ResourceExt as _;
use parking_lot::Mutex;

use super::resource::Resource;
use crate::api::Status;
use crate::operation::OperationKind;

/// How many resources that are gone are remembered.
const REMEMBERED: usize = 1_000;

/// The operations of refreshes that are gone: what was let go may still run, and no record names it any more. In memory only: after
/// a restart it is as any other client's.
#[derive(Debug, Default)]
pub(super) struct Departed {
    /// By uid, the latest last.
    ids: Mutex<VecDeque<(String, BTreeSet<String>)>>,
}

impl Departed {
    /// A resource goes, or is gone.
    pub(super) fn note(&self, object: &Resource) {
        // That one synchronisation is taken for another does no harm: each brings the replicas what the model has.
        let (OperationKind::Refresh, Some(uid), Some(status)) = (object.operation(), object.uid(), object.status()) else { return };
        let named = named_by(status);
        let mut ids = self.ids.lock();
        ids.retain(|(earlier, _)| *earlier != uid);
        if named.is_empty() {
            return;
        }
        ids.push_back((uid, named));
        while ids.len() > REMEMBERED {
            ids.pop_front();
        }
    }

    /// The operations of all but this resource.
    pub(super) fn of_others(&self, own: Option<&str>) -> BTreeSet<String> {
        self.ids.lock().iter().filter(|(uid, _)| Some(uid.as_str()) != own).flat_map(|(_, ids)| ids.iter().cloned()).collect()
    }
}

/// The operations that a record names.
pub(super) fn named_by(status: &Status) -> BTreeSet<String> {
    let of_history = status.history.iter().filter_map(|entry| entry.operation_id.as_ref());
    let of_run = status.run.iter().flat_map(|run| {
        let candidates = run.candidates.iter().map(|candidate| &candidate.operation_id);
        run.operation_id.iter().chain(&run.earlier_operation_ids).chain(candidates)
    });
    of_history.chain(of_run).map(|id| id.to_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::labels::Kind;

    fn model() -> serde_json::Value {
        serde_json::json!({"analysisServices": {"server": "asazure://w.asazure.windows.net/s", "database": "d"}})
    }

    fn resource(kind: Kind, uid: &str, status: &serde_json::Value) -> Resource {
        let written = serde_json::json!({
            "apiVersion": "tabular-operator.dev/v1alpha1",
            "kind": kind.as_str(),
            "metadata": {"name": uid, "namespace": "bi", "uid": uid},
            "spec": {"model": model()},
            "status": status,
        });
        serde_json::from_value(written).unwrap()
    }

    fn with_run() -> serde_json::Value {
        let trigger = serde_json::json!({"type": "Creation", "value": ""});
        serde_json::json!({
            "run": {
                "number": 2, "trigger": trigger, "attempt": 2, "state": "Submitting", "requestedTime": "2026-01-01T00:00:00Z",
                "model": model(), "work": "w", "reason": "SubmissionUnknown", "message": "m",
                "operationId": "OP-4", "earlierOperationIds": ["op-3"],
                "candidates": [{"operationId": "op-5", "status": "InProgress"}, {"operationId": "op-6", "status": "Completed"}],
            },
            "history": [{"number": 1, "trigger": trigger, "attempts": 1, "state": "Succeeded", "operationId": "op-1", "message": "m"}],
        })
    }

    #[test]
    fn what_a_resource_let_go_stays_its_own_and_its_candidates_too() {
        let departed = Departed::default();
        departed.note(&resource(Kind::ModelRefresh, "u-1", &with_run()));
        let all = ["op-1", "op-3", "op-4", "op-5", "op-6"];
        assert_eq!(departed.of_others(Some("u-2")), all.map(str::to_owned).into());
        assert!(departed.of_others(Some("u-1")).is_empty());
        departed.note(&resource(Kind::ModelSync, "u-3", &with_run()));
        departed.note(&resource(Kind::ModelRefresh, "u-4", &serde_json::json!({})));
        assert_eq!(departed.ids.lock().len(), 1);
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let departed = Departed::default();
        for n in 0..=REMEMBERED {
            departed.note(&resource(Kind::ModelRefresh, &format!("u-{n}"), &with_run()));
        }
        let ids = departed.ids.lock();
        assert_eq!((ids.len(), ids[0].0.as_str()), (REMEMBERED, "u-1"));
    }
}
