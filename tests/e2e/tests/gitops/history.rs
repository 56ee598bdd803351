//! The history of a resource as seen by the tools: their verdicts on every recorded version, and the invariants of each.

use std::collections::{BTreeMap, BTreeSet};

use e2e::gitops_health::{self, Verdict};
use e2e::{AnyObject, World, kstatus};
use tabular_operator::api::{RUN_REQUESTED_AT, RunState};

/// The verdicts on all resources of a world.
pub struct Courses {
    verdicts: BTreeMap<String, Vec<(AnyObject, Verdict)>>,
}

impl Courses {
    /// Evaluates every version so far, and asserts the invariants of each.
    pub async fn of(world: &World) -> Self {
        world.assert_kstatus();
        let versions = world.recorder.all();
        let verdicts = gitops_health::verdicts(versions.iter().map(|version| &version.object)).await;
        let mut courses = BTreeMap::<String, Vec<_>>::new();
        for (version, verdict) in versions.iter().zip(verdicts) {
            let object = version.decode().unwrap();
            let wrong = wrong(&object, &verdict);
            assert!(wrong.is_empty(), "{}: {wrong:#?}\n{verdict:#?}\n{object:#?}", version.named);
            courses.entry(version.named.clone()).or_default().push((object, verdict));
        }
        let courses = Self { verdicts: courses };
        eprintln!("evaluated {} versions in {} states", versions.len(), courses.states().len());
        courses
    }

    /// The sequence of kstatus and Argo CD results for a resource.
    pub fn words(&self, named: &str) -> Vec<String> {
        let verdicts = self.verdicts.get(named).unwrap_or_else(|| panic!("{named} was never recorded")).iter();
        let mut words: Vec<String> = verdicts.map(|(_, verdict)| format!("{} {}", verdict.kstatus.status, verdict.argo.status)).collect();
        words.dedup();
        words
    }

    /// Asserts the sequence of results for a resource.
    pub fn assert(&self, named: &str, wanted: &[&str]) {
        assert_eq!(self.words(named), wanted, "{named}");
    }

    /// The states of the evaluated runs.
    pub fn run_states(&self) -> BTreeSet<String> {
        let objects = self.verdicts.values().flatten().filter_map(|(object, _)| e2e::world::run_state(object));
        objects.map(|state| format!("{state:?}")).collect()
    }

    /// The distinct states, ignoring names, times and numbers.
    pub fn states(&self) -> BTreeSet<String> {
        let state = |(object, verdict): &(AnyObject, Verdict)| {
            let status = object.status.as_ref();
            let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default().iter();
            let conditions: Vec<String> =
                conditions.map(|condition| format!("{:?}={:?} {}", condition.r#type, condition.status, condition.reason)).collect();
            let seen = status.map(|status| status.observed_generation == object.metadata.generation.unwrap_or_default());
            let deleted = object.metadata.deletion_timestamp.is_some();
            format!("{conditions:?} {:?} {seen:?} {deleted} {}", e2e::world::run_state(object), verdict.argo.status)
        };
        self.verdicts.values().flatten().map(state).collect()
    }
}

/// Violations in the verdict on a version, independent of its history.
fn wrong(object: &AnyObject, verdict: &Verdict) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |holds: bool, rule: &str| {
        if !holds {
            wrong.push(rule.to_owned());
        }
    };
    check(verdict.faults.is_empty(), "Flux's rules for conditions are violated");
    let (kstatus, argo) = (verdict.kstatus.status.as_str(), verdict.argo.status.as_str());
    check(kstatus == format!("{:?}", kstatus::verdict(object)), "kstatus differs from the rules in tests/e2e");
    if object.metadata.deletion_timestamp.is_some() {
        check(argo == "Progressing", "an object that is being deleted is not Progressing");
        check(verdict.actions.values().all(|action| action == "disabled"), "an action is offered for an object that is being deleted");
        return wrong;
    }
    let asked = asked(object);
    // The only state that kstatus cannot detect.
    let wanted = if kstatus == "Current" && asked { "InProgress" } else { kstatus };
    check(verdict.cel.status == wanted, "the health checks of deploy/flux differ from kstatus");
    let status = object.status.as_ref();
    let run = status.and_then(|status| status.run.as_ref());
    let observed = status.is_some_and(|status| Some(status.observed_generation) == object.metadata.generation);
    if argo == "Healthy" {
        check(kstatus == "Current" && observed && !asked, "Healthy despite a newer request");
        check(run.is_none_or(|run| run.state == RunState::Succeeded), "Healthy although the latest run has not succeeded");
        check(status.is_some_and(|status| status.queued.is_none()), "Healthy despite a queued run");
        let token = object.spec["trigger"]["token"].as_str();
        let handled = status.and_then(|status| status.last_handled_token.as_deref());
        check(run.is_none() || token == handled, "Healthy despite a new token");
    }
    check((argo == "Degraded") == (kstatus == "Failed"), "Degraded and Failed do not match");
    let suspended = object.spec["suspend"] == true;
    check(argo != "Suspended" || suspended, "Suspended without spec.suspend");
    let runs = run.is_some_and(|run| matches!(run.state, RunState::Submitting | RunState::Running | RunState::Cancelling));
    check(!runs || argo == "Progressing" || argo == "Degraded", "a run in progress is not Progressing");
    let cancellable = run.is_some_and(|run| match run.state {
        RunState::Waiting | RunState::Submitting => true,
        RunState::Running => object.types.as_ref().is_some_and(|types| types.kind == "ModelRefresh"),
        RunState::Cancelling
        | RunState::Succeeded
        | RunState::Failed
        | RunState::TimedOut
        | RunState::Cancelled
        | RunState::Unrecognized(_) => false,
    });
    let offered = |action: &str| verdict.actions.get(action).map(String::as_str) == Some("enabled");
    check(offered("run-now") != suspended && offered("suspend") != suspended && offered("resume") == suspended, "unexpected actions");
    check(offered("cancel") == cancellable, "cancel does not match whether the run is cancellable");
    wrong
}

/// Whether the annotation requests a run that the operator has not handled yet.
fn asked(object: &AnyObject) -> bool {
    let asked = object.metadata.annotations.as_ref().and_then(|annotations| annotations.get(RUN_REQUESTED_AT));
    let handled = object.status.as_ref().and_then(|status| status.last_handled_request.as_ref());
    asked.is_some() && asked != handled
}
