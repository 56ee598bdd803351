//! What has to hold of every history of a resource, as the recorder has it, and of every write to one.

use std::collections::BTreeMap;

use tabular_operator::api::{FINALIZER, RunState};

use crate::{AnyObject, ApiProxy, World, kstatus};

impl World {
    /// Every version of every resource so far has to obey the rules by which tools read it.
    pub fn assert_kstatus(&self) {
        for version in self.recorder.all() {
            let object = version.decode().unwrap_or_else(|error| panic!("failed to decode {:?}: {error}", version.object));
            let faults = kstatus::faults(&object);
            let name = &version.named;
            assert!(faults.is_empty(), "{name} breaks the rules of kstatus: {faults:#?}\n{:#?}", object.status);
        }
    }

    /// In every version so far: what may run is held by the finalizer, a run's number never falls, and a run that has ended
    /// stays as it was.
    pub fn assert_histories(&self) {
        let mut ends: BTreeMap<_, (RunState, Option<String>)> = BTreeMap::new();
        let mut numbers = BTreeMap::new();
        for version in self.recorder.all() {
            let name = &version.named;
            let object = version.decode().unwrap_or_else(|error| panic!("failed to decode {name}: {error}"));
            let Some(run) = object.status.as_ref().and_then(|status| status.run.as_ref()) else { continue };
            let may_run = matches!(run.state, RunState::Submitting | RunState::Running | RunState::Cancelling);
            // A deletion shows what the finalizer's removal left.
            assert!(!may_run || version.deleted || is_held(&object), "{name} may run without its finalizer: {run:#?}");
            let of = (name.clone(), object.metadata.uid.clone());
            let before = numbers.insert(of.clone(), run.number).unwrap_or(0);
            assert!(before <= run.number, "{name} was at run {before}, and is at {}", run.number);
            let end = (run.state, run.operation_id.clone());
            match ends.get(&(of.clone(), run.number)) {
                Some(ended) => assert_eq!(end, *ended, "run {} of {name} had ended, and changed", run.number),
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
    /// Every write to a resource of ours so far named the version that it was decided on.
    pub fn assert_fenced(&self) {
        for seen in self.seen() {
            assert!(!seen.writes_resource() || seen.fenced, "a write that no other write could have stopped: {seen:#?}");
        }
    }
}
