//! The course of a resource, as the tools saw it: their verdicts on every version that a watch showed, and what must hold of each.

use std::collections::{BTreeMap, BTreeSet};

use harness::judge::{self, Verdict};
use harness::{AnyObject, World, kstatus};
use tabular_operator::api::{RUN_REQUESTED_AT, RunState};

/// The verdicts on all resources of a world.
pub struct Courses {
    verdicts: BTreeMap<String, Vec<(AnyObject, Verdict)>>,
}

impl Courses {
    /// Has every version so far judged. What holds of any version is asserted here.
    pub async fn of(world: &World) -> Self {
        world.assert_kstatus();
        let versions = world.recorder.all();
        let verdicts = judge::verdicts(versions.iter().map(|version| &version.object)).await;
        let mut courses = BTreeMap::<String, Vec<_>>::new();
        for (version, verdict) in versions.iter().zip(verdicts) {
            let object = version.decode().unwrap();
            let wrong = wrong(&object, &verdict);
            assert!(wrong.is_empty(), "{}: {wrong:#?}\n{verdict:#?}\n{object:#?}", version.named);
            courses.entry(version.named.clone()).or_default().push((object, verdict));
        }
        let courses = Self { verdicts: courses };
        eprintln!("{} versions were judged, of {} states", versions.len(), courses.states().len());
        courses
    }

    /// What kstatus and Argo CD said of a resource, one after the other.
    pub fn words(&self, named: &str) -> Vec<String> {
        let verdicts = self.verdicts.get(named).unwrap_or_else(|| panic!("{named} was never seen")).iter();
        let mut words: Vec<String> = verdicts.map(|(_, verdict)| format!("{} {}", verdict.kstatus.status, verdict.argo.status)).collect();
        words.dedup();
        words
    }

    /// Asserts the words on a resource.
    pub fn assert(&self, named: &str, wanted: &[&str]) {
        assert_eq!(self.words(named), wanted, "{named}");
    }

    /// The states of runs that were judged.
    pub fn run_states(&self) -> BTreeSet<String> {
        let objects = self.verdicts.values().flatten().filter_map(|(object, _)| harness::world::run_state(object));
        objects.map(|state| format!("{state:?}")).collect()
    }

    /// What differs in more than names, times and numbers.
    pub fn states(&self) -> BTreeSet<String> {
        let state = |(object, verdict): &(AnyObject, Verdict)| {
            let status = object.status.as_ref();
            let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default().iter();
            let conditions: Vec<String> =
                conditions.map(|condition| format!("{:?}={:?} {}", condition.r#type, condition.status, condition.reason)).collect();
            let seen = status.map(|status| status.observed_generation == object.metadata.generation.unwrap_or_default());
            let deleted = object.metadata.deletion_timestamp.is_some();
            format!("{conditions:?} {:?} {seen:?} {deleted} {}", harness::world::run_state(object), verdict.argo.status)
        };
        self.verdicts.values().flatten().map(state).collect()
    }
}

/// What is wrong with the verdict on a version, whatever led to it.
fn wrong(object: &AnyObject, verdict: &Verdict) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |holds: bool, rule: &str| {
        if !holds {
            wrong.push(rule.to_owned());
        }
    };
    check(verdict.faults.is_empty(), "Flux's rules for conditions are broken");
    let (kstatus, argo) = (verdict.kstatus.status.as_str(), verdict.argo.status.as_str());
    check(kstatus == format!("{:?}", kstatus::verdict(object)), "kstatus does not say what tests/harness says that it does");
    if object.metadata.deletion_timestamp.is_some() {
        check(argo == "Progressing", "what is being deleted is not Progressing");
        check(verdict.actions.values().all(|action| action == "disabled"), "an action is offered on what is being deleted");
        return wrong;
    }
    let asked = asked(object);
    // The one thing that kstatus cannot see.
    let wanted = if kstatus == "Current" && asked { "InProgress" } else { kstatus };
    check(verdict.cel.status == wanted, "the health checks of deploy/flux say something else than kstatus");
    let status = object.status.as_ref();
    let run = status.and_then(|status| status.run.as_ref());
    let observed = status.is_some_and(|status| Some(status.observed_generation) == object.metadata.generation);
    if argo == "Healthy" {
        check(kstatus == "Current" && observed && !asked, "Healthy, though something newer is asked for");
        check(run.is_none_or(|run| run.state == RunState::Succeeded), "Healthy, though the latest run has not succeeded");
        check(status.is_some_and(|status| status.queued.is_none()), "Healthy, though a run is to follow");
        let token = object.spec["trigger"]["token"].as_str();
        let handled = status.and_then(|status| status.last_handled_token.as_deref());
        check(run.is_none() || token == handled, "Healthy, though the token is a new one");
    }
    check((argo == "Degraded") == (kstatus == "Failed"), "Degraded and Failed are not the same");
    let suspended = object.spec["suspend"] == true;
    check(argo != "Suspended" || suspended, "Suspended without spec.suspend");
    let runs = run.is_some_and(|run| matches!(run.state, RunState::Submitting | RunState::Running | RunState::Cancelling));
    check(!runs || argo == "Progressing" || argo == "Degraded", "it runs, and is not Progressing");
    let cancellable = run.is_some_and(|run| match run.state {
        RunState::Waiting | RunState::Submitting => true,
        RunState::Running => object.types.as_ref().is_some_and(|types| types.kind == "ModelRefresh"),
        RunState::Cancelling | RunState::Succeeded | RunState::Failed | RunState::TimedOut | RunState::Cancelled | RunState::Newer(_) => {
            false
        }
    });
    let offered = |action: &str| verdict.actions.get(action).map(String::as_str) == Some("enabled");
    check(offered("run-now") != suspended && offered("suspend") != suspended && offered("resume") == suspended, "the wrong actions");
    check(offered("cancel") == cancellable, "cancel is offered where nothing can be, or is not where something can");
    wrong
}

/// Whether the annotation asks for a run that the operator has not taken up.
fn asked(object: &AnyObject) -> bool {
    let asked = object.metadata.annotations.as_ref().and_then(|annotations| annotations.get(RUN_REQUESTED_AT));
    let handled = object.status.as_ref().and_then(|status| status.last_handled_request.as_ref());
    asked.is_some() && asked != handled
}
