//! The parsers of both services together with the decision, while a submission is unresolved. The lists and details are documented
//! responses with fields that are missing, renamed, of another type, empty, older or in another case.
//!
//! The decision adopts only the operation that our submission started. It does not submit again after our submission has arrived. Each
//! history ends with an adoption, another submission, a user decision or a deadline.
//!
//! Three refreshes of other clients are indistinguishable from ours within the window, and are not generated: one of the same type and
//! objects, one of some partitions if we request the whole table, and one of some tables if we request the whole model.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod edits;
mod operations;

use std::time::Duration;

use edits::PlacedEdit;
use fuzz::{fixtures, invariants};
use jiff::{SignedDuration, Timestamp};
use operations::{Op, Part, Submitter, intent};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};
use tabular_operator::api::{Kind, ModelResource, Reason, RunState, Status, Time};
use tabular_operator::azure::ListWindow;
use tabular_operator::azure::fuzzing::{self, ServiceResponse};
use tabular_operator::controller::fuzzing as resources;
use tabular_operator::engine::{
    ClaimedOperations, DecisionInput, DecisionMemory, DesiredState, Effect, EffectResult, External, Turn, decide,
};
use tabular_operator::operation::{CancelResult, ClockSkew, Listing, OperationId, ServiceKind};

/// Maximum duration of a history in milliseconds: both deadlines of the spec, the longest operation and the maximum lag of a list.
const MAX_DURATION: i64 = 2_400_000;
/// Both deadlines of the spec, in seconds.
const DEADLINE: i64 = 600;

/// The objects that we request, and the objects that other clients may request at the same time.
const REQUESTED: [(&[Part], &[&[Part]]); 7] = [
    (&[], &[]),
    (&[("Gr\u{f6}\u{df}e ", None)], &[&[("Gr\u{f6}\u{df}e", None)], &[("Gro\u{308}\u{df}e ", None)], &[("Grosse ", None)]]),
    (&[("Dummy Sales ", None)], &[&[("Dummy Sales", None)], &[("Dummy\u{a0}Sales ", None)], &[("Dummy Sales ", None), ("Dates", None)]]),
    (&[("Sales", Some("2025"))], &[&[("Sales", Some("2026"))], &[("Sales", None)], &[("Customers", Some("2025"))]]),
    (&[("Sales", None), ("Customers", None)], &[&[("Sales", None)], &[("Customers", None)], &[("Customers", None), ("Dates", None)]]),
    (&[("Sales", Some("2025")), ("Sales", Some("2026"))], &[&[("Sales", Some("2025"))], &[("Dates", None)]]),
    (&[("Sales", None)], &[&[("Sales", None), ("Customers", None)], &[("Sales\u{200b}", None)], &[("Dates", None)]]),
];

const EXTERNAL: [&str; 5] = ["Scheduled", "OnDemand", "ViaApi", "WebModeling", "OnDemandTraining"];
const UNKNOWN: [Option<&str>; 3] = [Some("DirectLakeFraming"), Some("ViaSomethingNew"), None];

/// The difference between another client's operation and ours.
#[derive(Clone, Copy, Debug)]
enum Other {
    External(usize, bool),
    Unknown(usize, bool),
    Type,
    Objects(usize),
    Before,
    After,
}

/// The times of an operation in milliseconds, `start` from the intent, and its result. `lag` is the delay until a list contains it.
#[derive(Clone, Debug)]
struct Times {
    start: i64,
    length: i64,
    lag: i64,
    succeeds: bool,
    never_ends: bool,
}

#[derive(Clone, Debug)]
struct Case {
    service: ServiceKind,
    refresh_type: &'static str,
    requested: usize,
    replace: bool,
    /// Whether this process recorded the intent.
    recorded_here: bool,
    /// How far the service's clock is ahead in seconds, and whether its responses contain its time.
    clock: (i64, bool),
    /// Duration of a list call in milliseconds.
    elapsed: i64,
    envelope: bool,
    ours: Option<Times>,
    others: Vec<(Other, Times)>,
    edits: Vec<PlacedEdit>,
}

fn times(start: impl Strategy<Value = i64>) -> impl Strategy<Value = Times> {
    let length = prop_oneof![200..20_000_i64, 20_000..400_000_i64];
    let rare = |one_in: u32| prop::bool::weighted(1.0 / f64::from(one_in));
    (start, length, 0..119_000_i64, any::<bool>(), rare(6)).prop_map(|(start, length, lag, succeeds, never_ends)| Times {
        start,
        length,
        lag,
        succeeds,
        never_ends,
    })
}

fn case() -> impl Strategy<Value = Case> {
    let other = prop_oneof![
        2 => (0..EXTERNAL.len(), any::<bool>()).prop_map(|(at, named)| Other::External(at, named)),
        2 => (0..UNKNOWN.len(), any::<bool>()).prop_map(|(at, has_details)| Other::Unknown(at, has_details)),
        2 => Just(Other::Type),
        4 => (0..3_usize).prop_map(Other::Objects),
        2 => Just(Other::Before),
        1 => Just(Other::After),
    ];
    let clock = prop_oneof![3 => (-1_800..1_800_i64).prop_map(|ahead| (ahead, true)), 1 => (-240..=0_i64).prop_map(|ahead| (ahead, false))];
    let service = prop_oneof![Just(ServiceKind::AnalysisServices), Just(ServiceKind::PowerBi)];
    let requested = (service, prop_oneof![Just("full"), Just("dataOnly"), Just("calculate")], 0..REQUESTED.len());
    let world = (option::of(times(0..29_000_i64)), vec((other, times(-100_000..300_000_i64)), 0..4), vec(edits::edit(), 0..5));
    let rest = (any::<bool>(), any::<bool>(), clock, prop_oneof![2 => Just(0_i64), 1 => Just(400), 1 => Just(8_000)], any::<bool>());
    (requested, world, rest).prop_map(
        |((service, refresh_type, requested), (ours, others, edits), (replace, recorded_here, clock, elapsed, envelope))| Case {
            service,
            refresh_type,
            requested,
            replace,
            recorded_here,
            clock,
            elapsed,
            envelope,
            ours,
            others,
            edits,
        },
    )
}

impl Case {
    fn op(&self, id: &'static str, times: &Times) -> Op {
        Op {
            id,
            ours: false,
            submitter: Submitter::Client,
            start: times.start,
            end: times.start + times.length,
            never_ends: times.never_ends,
            succeeds: times.succeeds,
            visible: times.start + times.lag,
            refresh_type: self.refresh_type,
            objects: REQUESTED[self.requested].0.to_vec(),
            has_details: true,
        }
    }

    fn other(&self, id: &'static str, (other, times): &(Other, Times)) -> Op {
        let mut op = self.op(id, times);
        let other_type = if self.refresh_type == "full" { "calculate" } else { "full" };
        let objects = REQUESTED[self.requested].1;
        let shift = match other {
            Other::After if self.clock.1 => 34_000 - op.start.min(34_000),
            Other::After => 600_000 - op.start.min(600_000),
            Other::Before => -3_000 - op.start.max(-3_000),
            Other::External(..) | Other::Unknown(..) | Other::Type | Other::Objects(_) => 0,
        };
        (op.start, op.end, op.visible) = (op.start + shift, op.end + shift, op.visible + shift);
        match (other, self.service) {
            (Other::External(at, true), ServiceKind::PowerBi) => op.submitter = Submitter::Type(Some(EXTERNAL[*at])),
            (Other::External(at, false), ServiceKind::PowerBi) => op.submitter = Submitter::WithoutId(EXTERNAL[*at]),
            (Other::Unknown(at, _), ServiceKind::PowerBi) => op.submitter = Submitter::Type(UNKNOWN[*at]),
            (Other::Objects(at), _) if !objects.is_empty() => op.objects = objects[at % objects.len()].to_vec(),
            (Other::Before | Other::After, _) => {}
            (Other::External(..) | Other::Unknown(..) | Other::Type | Other::Objects(_), _) => op.refresh_type = other_type,
        }
        op.has_details = match other {
            Other::External(..) => self.service == ServiceKind::AnalysisServices,
            Other::Unknown(_, has_details) => *has_details || self.service == ServiceKind::AnalysisServices,
            Other::Type | Other::Objects(_) | Other::Before | Other::After => true,
        };
        op
    }

    /// The operations. A model runs only one at a time, so the service refused those of other clients that would overlap.
    fn ops(&self) -> Vec<Op> {
        let ours = self.ours.as_ref().map(|times| Op { ours: true, ..self.op("0a1b2c3d-0000-4000-8000-00000000000f", times) });
        let ids = ["a1000000-0000-4000-8000-00000000000a", "b2000000-0000-4000-8000-00000000000b", "c3000000-0000-4000-8000-00000000000c"];
        let mut ops: Vec<Op> = ours.into_iter().collect();
        for other in ids.into_iter().zip(&self.others).map(|(id, other)| self.other(id, other)) {
            if ops.iter().all(|op| other.end < op.start || op.end < other.start) {
                ops.push(other);
            }
        }
        ops
    }

    fn resource(&self) -> ModelResource {
        let model = match self.service {
            ServiceKind::AnalysisServices => {
                json!({"analysisServices": {"server": "asazure://westus.asazure.windows.net/sales", "database": "Orders"}})
            }
            ServiceKind::PowerBi => json!({"powerBI": {
                "groupId": "11111111-1111-4111-8111-111111111111", "datasetId": "22222222-2222-4222-8222-222222222222"}}),
        };
        let objects: Vec<Value> = REQUESTED[self.requested]
            .0
            .iter()
            .map(|(table, partition)| match partition {
                Some(partition) => json!({"table": table, "partition": partition}),
                None => json!({"table": table}),
            })
            .collect();
        let mut refresh = json!({"type": self.refresh_type});
        if !objects.is_empty() {
            refresh["objects"] = json!(objects);
        }
        let object = json!({
            "apiVersion": "tabular-operator.dev/v1alpha1", "kind": "ModelRefresh",
            "metadata": {"name": "orders", "namespace": "bi", "uid": "u", "generation": 1, "creationTimestamp": "2026-11-22T08:59:59Z",
                "finalizers": ["tabular-operator.dev/operation"]},
            "spec": {"model": model, "refresh": refresh, "conflictPolicy": if self.replace { "Replace" } else { "Wait" },
                "activeDeadlineSeconds": DEADLINE, "waitDeadlineSeconds": DEADLINE},
        });
        resources::resource(Kind::ModelRefresh, object.to_string().as_bytes()).unwrap()
    }

    /// The parsed result of the list call with this index, at `now`.
    fn list(&self, ops: &[Op], since: Timestamp, now: i64, index: usize) -> Listing {
        let (ahead, shows_clock) = self.clock;
        let edits = |of: usize, in_row: bool| {
            self.edits.iter().filter(move |placed| placed.op % ops.len() == of && placed.in_row == in_row && placed.lists.contains(&index))
        };
        let mut visible: Vec<(usize, &Op)> = ops.iter().enumerate().filter(|(_, op)| op.visible <= now).collect();
        visible.sort_by_key(|(_, op)| std::cmp::Reverse(op.start));
        let row = |(at, op): &(usize, &Op)| {
            let mut row = op.row(self.service, now, ahead);
            edits(*at, true).for_each(|placed| edits::apply(&placed.edit, op.ours, &mut row));
            row
        };
        let rows: Vec<Value> = visible.iter().map(row).collect();
        let body = if self.envelope { json!({"@odata.context": "x", "value": rows}) } else { json!(rows) }.to_string();
        let details = |id: &OperationId| {
            let found = visible.iter().find(|(_, op)| id.eq_ignoring_case(op.id));
            let Some((at, op)) = found.filter(|(_, op)| op.has_details) else { return ServiceResponse::new(404, &[], b"", None) };
            let refused_details = edits(*at, false).find_map(|placed| edits::refused_details(&placed.edit));
            refused_details.unwrap_or_else(|| {
                let mut details = op.details(self.service, now, ahead);
                edits(*at, false).for_each(|placed| edits::apply(&placed.edit, op.ours, &mut details));
                ServiceResponse::new(200, &[("content-type", b"application/json")], details.to_string().as_bytes(), None)
            })
        };
        let server = Timestamp::from_second((at(now) + SignedDuration::from_secs(ahead)).as_second()).unwrap();
        let clock_skew = shows_clock.then(|| ClockSkew::of(server, (at(now), at(now + self.elapsed))));
        let window = ListWindow { intent: since, now: at(now) };
        fuzzing::list(self.service, body.as_bytes(), (window, clock_skew), Duration::from_hours(30), details).unwrap().unwrap()
    }
}

/// The status of a run that is being submitted.
fn submitting(desired: &DesiredState) -> Status {
    let run = json!({
        "number": 1, "trigger": {"type": "Creation", "value": ""}, "attempt": 1, "state": "Submitting", "model": desired.operation.model,
        "requestDigest": desired.operation.digest, "requestedTime": intent(), "submittedTime": intent(), "reason": "Submitting", "message": "",
    });
    serde_json::from_value(json!({"observedGeneration": 1, "run": run})).unwrap()
}

/// A time on the operator's clock, in milliseconds from the intent.
fn at(millis: i64) -> Timestamp {
    intent() + SignedDuration::from_millis(millis)
}

/// How a history ends.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Adopted(String),
    Submitted,
    UserDecision,
    Deadline,
}

/// Executes decisions until the submission is resolved or the run ends.
fn simulate(case: &Case) -> End {
    let (mut ops, resource, settings) = (case.ops(), case.resource(), fixtures::settings());
    let desired = DesiredState::of(&resource, External::default());
    let mut status = submitting(&desired);
    let mut memory = DecisionMemory { own_intent: case.recorded_here.then(|| Time::from(intent())), ..DecisionMemory::default() };
    let (mut now, mut lists, mut effect_result) = (300, 0, EffectResult::None);
    while now < MAX_DURATION {
        let decision = decide(&DecisionInput {
            desired: &desired,
            status: &status,
            memory: &memory,
            effect_result,
            now: at(now),
            settings: &settings,
        });
        invariants::status(&decision.status);
        (status, memory) = (decision.status, decision.memory);
        let run = status.run.as_ref().unwrap();
        if let Some(id) = &run.operation_id {
            return End::Adopted(id.clone());
        }
        if run.reason == Reason::SubmissionUnknown.as_str() {
            assert!(run.candidates.len() <= 10 && !run.message.is_empty());
            return End::UserDecision;
        }
        if run.state.ended() {
            assert_eq!((run.state, run.reason.as_str()), (RunState::TimedOut, Reason::WaitDeadlineExceeded.as_str()));
            return End::Deadline;
        }
        effect_result = match decision.effect {
            Effect::Submit => return End::Submitted,
            Effect::List(kind, since) => {
                let listing = case.list(&ops, since, now, lists);
                lists += 1;
                now += case.elapsed;
                EffectResult::Listed { kind, result: Ok(listing), claimed: ClaimedOperations::default() }
            }
            Effect::AcquireTurn => EffectResult::Turn(Turn::Granted),
            Effect::Cancel(id) => {
                // An edit may have changed the id.
                let op = ops.iter_mut().find(|op| id.eq_ignoring_case(op.id));
                assert!(case.replace && op.as_ref().is_none_or(|op| !op.ours && op.submitter == Submitter::Client), "cancelled {id}");
                EffectResult::CancelRequested(op.map_or(CancelResult::NotRunning, |op| {
                    (op.end, op.never_ends) = (op.end.min(now + 1_000), false);
                    CancelResult::Accepted
                }))
            }
            Effect::None => {
                now += i64::try_from(decision.requeue_after.expect("neither effect nor requeue").as_millis()).unwrap().max(1);
                EffectResult::None
            }
            Effect::AddFinalizer
            | Effect::ResolveModel
            | Effect::FindModel
            | Effect::Poll(_)
            | Effect::RemoveAnnotation(_)
            | Effect::RemoveFinalizer => {
                panic!("{:?}", decision.effect)
            }
        };
    }
    panic!("the history has no end: {:?}", status.run)
}

fn check(case: &Case) -> Result<(), TestCaseError> {
    let end = simulate(case);
    match (&end, case.ours.is_some()) {
        (End::Adopted(id), _) => {
            let ours = case.ops().iter().any(|op| op.ours && id.eq_ignore_ascii_case(op.id));
            prop_assert!(ours, "adopted {id}, which is not ours");
        }
        (End::Submitted | End::Deadline, arrived) => prop_assert!(!arrived, "our operation exists but was not adopted: {end:?}"),
        (End::UserDecision, _) => {}
    }
    if case.edits.is_empty() && case.others.is_empty() && case.clock.1 {
        let expected = if case.ours.is_some() { matches!(end, End::Adopted(_) | End::UserDecision) } else { end == End::Submitted };
        prop_assert!(expected, "{end:?}");
    }
    Ok(())
}

/// Number of cases; `PROPTEST_CASES` overrides it.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_list_never_causes_wrong_adoption_or_resubmission(case in case()) {
        check(&case)?;
    }
}
