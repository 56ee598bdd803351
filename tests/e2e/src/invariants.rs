//! Invariants of every recorded history of a resource, and of every write to one.

use std::collections::BTreeMap;

use tabular_operator::api::{FINALIZER, RunState};

use crate::{AnyObject, ApiProxy, World, kstatus};

impl World {
    /// Checks that every version of every resource follows the rules by which tools read it.
    pub fn assert_kstatus(&self) {
        for version in self.recorder.all() {
            let object = version.decode().unwrap_or_else(|error| panic!("failed to decode {:?}: {error}", version.object));
            let faults = kstatus::faults(&object);
            let name = &version.named;
            assert!(faults.is_empty(), "{name} violates the rules of kstatus: {faults:#?}\n{:#?}", object.status);
        }
    }

    /// Checks every version: the finalizer protects a resource whose operation may run, run numbers never decrease, and an ended run does
    /// not change.
    pub fn assert_histories(&self) {
        let mut ends: BTreeMap<_, (RunState, Option<String>)> = BTreeMap::new();
        let mut numbers = BTreeMap::new();
        for version in self.recorder.all() {
            let name = &version.named;
            let object = version.decode().unwrap_or_else(|error| panic!("failed to decode {name}: {error}"));
            let Some(run) = object.status.as_ref().and_then(|status| status.run.as_ref()) else { continue };
            let may_run = matches!(run.state, RunState::Submitting | RunState::Running | RunState::Cancelling);
            // A deletion event shows the object after the removal of the finalizer.
            assert!(!may_run || version.deleted || is_held(&object), "the operation of {name} may run without the finalizer: {run:#?}");
            let of = (name.clone(), object.metadata.uid.clone());
            let before = numbers.insert(of.clone(), run.number).unwrap_or(0);
            assert!(before <= run.number, "the run number of {name} fell from {before} to {}", run.number);
            let end = (run.state, run.operation_id.clone());
            match ends.get(&(of.clone(), run.number)) {
                Some(ended) => assert_eq!(end, *ended, "ended run {} of {name} changed", run.number),
                None if run.state.ended() => drop(ends.insert((of, run.number), end)),
                None => {}
            }
        }
    }
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
