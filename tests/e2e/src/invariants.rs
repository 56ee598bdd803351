//! Invariants of every recorded history of a resource, and of every write to one. Those of statuses are the model check's.

use std::collections::BTreeMap;

use model::invariants;
use model::world::Violation;
use tabular_operator::api::{FINALIZER, RunState};

use crate::{AnyObject, ApiProxy, Version, World};

impl World {
    /// Checks that every version of every resource follows the rules by which tools read it.
    pub fn assert_kstatus(&self) {
        for version in self.recorder.all() {
            let object = decode(&version);
            let status = object.status.as_ref().unwrap_or_else(|| panic!("without a status, tools consider {} current", version.named));
            assert_holds(invariants::conditions(status, object.metadata.generation.unwrap_or_default()), &version);
        }
    }

    /// Checks every version: the finalizer protects a resource whose operation may run, a run never goes back, and an ended run does not
    /// change.
    pub fn assert_histories(&self) {
        let mut latest = BTreeMap::new();
        for version in self.recorder.all() {
            let object = decode(&version);
            let (is_held, Some(status)) = (is_held(&object), object.status) else { continue };
            let state = status.run.as_ref().map(|run| run.state);
            let may_run = matches!(state, Some(RunState::Submitting | RunState::Running | RunState::Cancelling));
            // A deletion event shows the object after the removal of the finalizer.
            assert!(!may_run || version.deleted || is_held, "an operation may run without the finalizer: {version:#?}");
            let of = (version.named.clone(), object.metadata.uid);
            if let Some(before) = latest.insert(of, status.clone()) {
                assert_holds(invariants::runs(&before, &status), &version);
            }
        }
    }
}

fn decode(version: &Version) -> AnyObject {
    version.decode().unwrap_or_else(|error| panic!("failed to decode {:?}: {error}", version.object))
}

fn assert_holds(checked: Result<(), Violation>, version: &Version) {
    checked.unwrap_or_else(|violation| panic!("{}: {violation}\n{:#?}", version.named, version.object));
}

fn is_held(object: &AnyObject) -> bool {
    object.metadata.finalizers.iter().flatten().any(|name| name == FINALIZER)
}

impl ApiProxy {
    /// Checks that every write to a resource of the operator contained the version that it was decided on.
    pub fn assert_preconditions(&self) {
        for request in self.requests() {
            assert!(!request.writes_resource() || request.has_precondition, "a write without a resource version: {request:#?}");
        }
    }
}
