//! The history of a resource as seen by the tools: their assessments of every recorded version, and the invariants of each.

use std::collections::{BTreeMap, BTreeSet};

use e2e::gitops_health::{self, Assessment};
use e2e::{AnyObject, World, kstatus};
use tabular_operator::api::{RUN_REQUESTED_AT, RunState};

/// The assessments of all resources of a world.
pub struct Histories {
    assessments: BTreeMap<String, Vec<(AnyObject, Assessment)>>,
}

impl Histories {
    /// Evaluates every version so far, and asserts the invariants of each.
    pub async fn of(world: &World) -> Self {
        world.assert_kstatus();
        let versions = world.recorder.all();
        let assessments = gitops_health::assessments(versions.iter().map(|version| &version.object)).await;
        let mut histories = BTreeMap::<String, Vec<_>>::new();
        for (version, assessment) in versions.iter().zip(assessments) {
            let object = version.decode().unwrap();
            let violations = violations(&object, &assessment);
            assert!(violations.is_empty(), "{}: {violations:#?}\n{assessment:#?}\n{object:#?}", version.named);
            histories.entry(version.named.clone()).or_default().push((object, assessment));
        }
        let histories = Self { assessments: histories };
        eprintln!("evaluated {} versions in {} states", versions.len(), histories.states().len());
        histories
    }

    /// The sequence of kstatus and Argo CD results for a resource.
    pub fn results(&self, named: &str) -> Vec<String> {
        let assessments = self.assessments.get(named).unwrap_or_else(|| panic!("{named} was never recorded")).iter();
        let mut results: Vec<String> =
            assessments.map(|(_, assessment)| format!("{} {}", assessment.kstatus.status, assessment.argo.status)).collect();
        results.dedup();
        results
    }

    /// Asserts the sequence of results for a resource.
    pub fn assert(&self, named: &str, wanted: &[&str]) {
        assert_eq!(self.results(named), wanted, "{named}");
    }

    /// The states of the evaluated runs.
    pub fn run_states(&self) -> BTreeSet<String> {
        let objects = self.assessments.values().flatten().filter_map(|(object, _)| e2e::world::run_state(object));
        objects.map(|state| format!("{state:?}")).collect()
    }

    /// The distinct states, ignoring names, times and numbers.
    pub fn states(&self) -> BTreeSet<String> {
        let state = |(object, assessment): &(AnyObject, Assessment)| {
            let status = object.status.as_ref();
            let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default().iter();
            let conditions: Vec<String> =
                conditions.map(|condition| format!("{:?}={:?} {}", condition.r#type, condition.status, condition.reason)).collect();
            let seen = status.map(|status| status.observed_generation == object.metadata.generation.unwrap_or_default());
            let deleted = object.metadata.deletion_timestamp.is_some();
            format!("{conditions:?} {:?} {seen:?} {deleted} {}", e2e::world::run_state(object), assessment.argo.status)
        };
        self.assessments.values().flatten().map(state).collect()
    }
}

/// Violations in the assessment of a version, independent of its history.
fn violations(object: &AnyObject, assessment: &Assessment) -> Vec<String> {
    let mut violations = Vec::new();
    let mut check = |holds: bool, rule: &str| {
        if !holds {
            violations.push(rule.to_owned());
        }
    };
    check(assessment.faults.is_empty(), "Flux's rules for conditions are violated");
    let (kstatus, argo) = (assessment.kstatus.status.as_str(), assessment.argo.status.as_str());
    check(kstatus == format!("{:?}", kstatus::status(object)), "kstatus differs from the rules in tests/e2e");
    if object.metadata.deletion_timestamp.is_some() {
        check(argo == "Progressing", "an object that is being deleted is not Progressing");
        check(assessment.actions.values().all(|action| action == "disabled"), "an action is offered for an object that is being deleted");
        return violations;
    }
    let requested = requested(object);
    // The only state that kstatus cannot detect.
    let wanted = if kstatus == "Current" && requested { "InProgress" } else { kstatus };
    check(assessment.cel.status == wanted, "the health checks of deploy/flux differ from kstatus");
    let status = object.status.as_ref();
    let run = status.and_then(|status| status.run.as_ref());
    let observed = status.is_some_and(|status| Some(status.observed_generation) == object.metadata.generation);
    if argo == "Healthy" {
        check(kstatus == "Current" && observed && !requested, "Healthy despite a newer request");
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
    let offered = |action: &str| assessment.actions.get(action).map(String::as_str) == Some("enabled");
    check(offered("run-now") != suspended && offered("suspend") != suspended && offered("resume") == suspended, "unexpected actions");
    check(offered("cancel") == cancellable, "cancel does not match whether the run is cancellable");
    violations
}

/// Whether the annotation requests a run that the operator has not handled yet. No tool can compare a value with a digest.
fn requested(object: &AnyObject) -> bool {
    let requested = object.metadata.annotations.as_ref().and_then(|annotations| annotations.get(RUN_REQUESTED_AT));
    let handled = object.status.as_ref().and_then(|status| status.last_handled_request.as_ref());
    let is_digest = handled.is_some_and(|handled| handled.starts_with("sha256:"));
    requested.is_some() && requested != handled && !is_digest
}
