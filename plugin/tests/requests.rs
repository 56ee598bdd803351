//! What the plugin reports about a request, compared with what the operator's own decision did about it.
//!
//! Random requests, cancellations and ends of operations lead to versions of a resource, which the decision of the operator writes. The
//! plugin reads these versions, or some of them as after a lost connection.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use jiff::Timestamp;
use kubectl_tabular::facts::{CancelRequest, RequestOutcome, RunRequest};
use kubectl_tabular::objects::Object;
use proptest::prelude::*;
use serde_json::{Value, json};
use tabular_operator::api::{CANCEL_REQUESTED_AT, FINALIZER, Kind, ModelRefresh, RUN_REQUESTED_AT, Reason, RunState, Status, TriggerType};
use tabular_operator::engine::{
    ClaimedOperations, DecisionInput, DecisionMemory, DesiredState, Effect, EffectResult, Event, External, Settings, Turn, decide,
};
use tabular_operator::operation::{CancelResult, Listing, Operation, OperationId, Phase, PollResult, SubmitResult};

/// The most decisions of one reconciliation, as in the operator.
const MOST_DECISIONS: usize = 12;

/// What happens.
#[derive(Clone, Copy, Debug)]
enum Action {
    /// A user requests a run.
    Request,
    /// A tool removes the request that the operator has accepted.
    Remove,
    /// A user requests a cancellation.
    Cancel,
    /// The operation ends.
    End(Phase),
    /// Another resource has the turn, or no longer has it.
    Block(bool),
    /// The service refuses the next submission.
    Refuse,
    /// Time passes, in seconds.
    Wait(u8),
    /// The operator decides.
    Reconcile,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => Just(Action::Request),
        1 => Just(Action::Remove),
        1 => Just(Action::Cancel),
        2 => prop_oneof![Just(Phase::Succeeded), Just(Phase::Failed)].prop_map(Action::End),
        1 => any::<bool>().prop_map(Action::Block),
        1 => Just(Action::Refuse),
        2 => (1..90_u8).prop_map(Action::Wait),
        8 => Just(Action::Reconcile),
    ]
}

struct World {
    object: Value,
    now: Timestamp,
    memory: DecisionMemory,
    operation: Option<(OperationId, Phase)>,
    blocked: bool,
    refuses: bool,
    operations: usize,
    /// Every version, and whether the decision that wrote it dropped a request.
    versions: Vec<(Object, bool)>,
    /// The values of the requests, each with the version that it created.
    requests: Vec<(String, usize)>,
    /// The same of the cancellations.
    cancellations: Vec<(String, usize)>,
}

impl World {
    fn new(policy: &str, backoff_limit: i32) -> Self {
        let object = json!({
            "apiVersion": "tabular-operator.dev/v1alpha1", "kind": "ModelRefresh",
            "metadata": {
                "name": "orders", "namespace": "bi", "uid": "u", "resourceVersion": "1", "generation": 1,
                "creationTimestamp": "2026-01-01T12:00:00Z", "finalizers": [FINALIZER], "annotations": {},
            },
            "spec": {
                "model": {"analysisServices": {"server": "asazure://westus.asazure.windows.net/s", "database": "d"}},
                "concurrencyPolicy": policy, "backoffLimit": backoff_limit, "historyLimit": 20, "trigger": {"onChange": false},
            },
            "status": {"observedGeneration": -1},
        });
        let mut world = Self {
            object,
            now: "2026-01-01T12:00:00Z".parse().unwrap(),
            memory: DecisionMemory::default(),
            operation: None,
            blocked: false,
            refuses: false,
            operations: 0,
            versions: Vec::new(),
            requests: Vec::new(),
            cancellations: Vec::new(),
        };
        world.write(false, |_| {});
        world.reconcile();
        world
    }

    /// Writes a version.
    fn write(&mut self, dropped: bool, change: impl FnOnce(&mut Value)) {
        change(&mut self.object);
        self.object["metadata"]["resourceVersion"] = (self.versions.len() + 1).to_string().into();
        let object = serde_json::from_value(self.object.clone()).unwrap();
        self.versions.push((Object::parse(Kind::ModelRefresh, object).unwrap(), dropped));
    }

    fn annotate(&mut self, name: &str, value: Option<String>) {
        self.write(false, |object| match value {
            Some(value) => object["metadata"]["annotations"][name] = value.into(),
            None => drop(object["metadata"]["annotations"].as_object_mut().unwrap().remove(name)),
        });
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Request => {
                let value = format!("request {}", self.requests.len());
                self.annotate(RUN_REQUESTED_AT, Some(value.clone()));
                self.requests.push((value, self.versions.len() - 1));
            }
            // Otherwise the request would be withdrawn.
            Action::Remove if self.has_accepted_latest() => self.annotate(RUN_REQUESTED_AT, None),
            Action::Remove => {}
            Action::Cancel => {
                let value = format!("cancel {}", self.cancellations.len());
                self.annotate(CANCEL_REQUESTED_AT, Some(value.clone()));
                self.cancellations.push((value, self.versions.len() - 1));
            }
            Action::End(phase) => {
                if let Some((_, running)) = self.operation.as_mut().filter(|(_, phase)| !phase.ended()) {
                    *running = phase;
                }
            }
            Action::Block(blocked) => self.blocked = blocked,
            Action::Refuse => self.refuses = true,
            Action::Wait(seconds) => self.now += Duration::from_secs(seconds.into()),
            Action::Reconcile => self.reconcile(),
        }
    }

    /// Whether the operator has accepted or handled the latest request.
    fn has_accepted_latest(&self) -> bool {
        let status = self.status();
        let known = [status.queued.map(|queued| queued.value), status.last_handled_request];
        self.requests.last().is_some_and(|(value, _)| known.iter().flatten().any(|known| known == value))
    }

    fn reconcile(&mut self) {
        let settings = Settings {
            poll_min: Duration::from_secs(1),
            poll_max: Duration::from_secs(10),
            poll_fraction: 0.1,
            call_timeout: Duration::from_secs(30),
            listing_lag: Duration::from_mins(2),
            max_refresh_duration: Duration::from_hours(48),
            reference_grace: Duration::from_mins(1),
            power_bi_portal: None,
        };
        let mut effect_result = EffectResult::None;
        for _ in 0..MOST_DECISIONS {
            let refresh: ModelRefresh = serde_json::from_value(self.object.clone()).unwrap();
            let desired = DesiredState::of_refresh(&refresh, External::default());
            let status = refresh.status.clone().unwrap_or_default();
            let input = DecisionInput {
                desired: &desired,
                status: &status,
                memory: &self.memory,
                effect_result,
                now: self.now,
                settings: &settings,
            };
            let decision = decide(&input);
            if decision.status != status {
                // A request that ends with the run that it has joined is reported with that run.
                let is_drop =
                    |event: &Event| event.reason == Reason::TriggerDropped && event.message.contains("concurrencyPolicy is Forbid");
                let dropped = decision.events.iter().any(is_drop);
                self.write(dropped, |object| object["status"] = serde_json::to_value(&decision.status).unwrap());
            }
            self.memory = decision.memory;
            self.now += Duration::from_secs(1);
            effect_result = match decision.effect {
                Effect::None if decision.requeue_after == Some(Duration::ZERO) => EffectResult::None,
                Effect::None => return,
                Effect::AcquireTurn if self.blocked => EffectResult::Turn(Turn::Behind("another".to_owned())),
                Effect::AcquireTurn => EffectResult::Turn(Turn::Granted),
                Effect::Submit if std::mem::take(&mut self.refuses) => {
                    EffectResult::Submitted(SubmitResult::Busy { message: "busy".to_owned() })
                }
                Effect::Submit => EffectResult::Submitted(self.submit()),
                Effect::List(kind, _) => EffectResult::Listed { kind, result: Ok(empty()), claimed: ClaimedOperations::default() },
                Effect::Poll(_) => EffectResult::Polled(self.poll()),
                Effect::Cancel(_) => {
                    if let Some((_, phase)) = self.operation.as_mut().filter(|(_, phase)| !phase.ended()) {
                        *phase = Phase::Cancelled;
                    }
                    EffectResult::CancelRequested(CancelResult::Accepted)
                }
                effect @ (Effect::AddFinalizer
                | Effect::ResolveModel
                | Effect::FindModel
                | Effect::RemoveAnnotation(_)
                | Effect::RemoveFinalizer) => panic!("{effect:?}"),
            };
        }
    }

    fn submit(&mut self) -> SubmitResult {
        self.operations += 1;
        let id = OperationId::parse(&format!("operation-{}", self.operations)).unwrap();
        self.operation = Some((id.clone(), Phase::InProgress));
        SubmitResult::Accepted { id, location: None, activity_id: None, retry_after: None }
    }

    fn poll(&self) -> PollResult {
        let (id, phase) = self.operation.clone().unwrap();
        let mut operation = Operation::new(id, phase, format!("{phase:?}"));
        operation.start = Some(self.now);
        PollResult::Found { operation: Box::new(operation), retry_after: None, location: None }
    }

    fn status(&self) -> Status {
        serde_json::from_value(self.object["status"].clone()).unwrap()
    }

    /// Lets everything end.
    fn settle(&mut self) {
        (self.blocked, self.refuses) = (false, false);
        for _ in 0..200 {
            self.act(Action::End(Phase::Succeeded));
            self.act(Action::Wait(60));
            self.reconcile();
            let status = self.status();
            if status.queued.is_none() && status.run.is_none_or(|run| run.state.ended()) {
                return;
            }
        }
        panic!("a run does not end: {:#?}", self.status());
    }

    /// What the decisions did about a request: the number of its run, and whether it was dropped because of that run. `None` if the
    /// operator never read it.
    fn truth(&self, index: usize) -> Option<(i32, bool)> {
        let (value, created) = &self.requests[index];
        let serves = |handled: &str| self.requests[index..].iter().any(|(later, _)| later == handled);
        let later = &self.versions[*created..];
        // A run of its own is the best evidence.
        let own = later
            .iter()
            .filter_map(|(object, _)| object.run())
            .find(|run| run.trigger.r#type == TriggerType::Request && run.trigger.value == *value);
        if let Some(own) = own {
            return Some((own.number, false));
        }
        let (object, dropped) = later.iter().find(|(object, _)| object.status().last_handled_request.as_deref().is_some_and(serves))?;
        Some((object.run()?.number, *dropped))
    }
}

fn empty() -> Listing {
    Listing::default()
}

/// What the plugin reports at the end, from those of the versions `from` this one that are shown.
fn reported(world: &World, mut request: RunRequest, from: usize, shows: impl Fn(usize) -> bool) -> RequestOutcome {
    let mut outcome = RequestOutcome::Pending;
    let last = world.versions.len() - 1;
    for (at, (object, _)) in world.versions.iter().enumerate().skip(from) {
        if !matches!(outcome, RequestOutcome::Pending | RequestOutcome::Accepted | RequestOutcome::InProgress(_)) {
            return outcome;
        }
        if at == last || shows(at) {
            outcome = request.observe(Some(object));
        }
    }
    outcome
}

fn brief(outcome: &RequestOutcome) -> Option<(i32, bool)> {
    match outcome {
        RequestOutcome::Ended(ending) => Some((ending.number, false)),
        RequestOutcome::Dropped(number) => Some((*number, true)),
        RequestOutcome::Removed => None,
        RequestOutcome::Pending
        | RequestOutcome::Accepted
        | RequestOutcome::InProgress(_)
        | RequestOutcome::NotInHistory(_)
        | RequestOutcome::NotCancellable(_)
        | RequestOutcome::Deleted => {
            panic!("{outcome:?}")
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plugin_reports_what_operator_did(
        policy in prop_oneof![Just("Queue"), Just("Forbid"), Just("Replace")],
        backoff_limit in 0..2_i32,
        actions in prop::collection::vec(action(), 1..60),
        missed in prop::collection::vec(any::<bool>(), 64),
        delay in 0..8_usize,
    ) {
        let mut world = World::new(policy, backoff_limit);
        for action in &actions {
            world.act(*action);
        }
        world.settle();
        prop_assert!(world.status().run.is_none_or(|run| run.state != RunState::Waiting));
        for (index, (value, created)) in world.requests.iter().enumerate() {
            let (truth, shows) = (world.truth(index), |at: usize| !missed[at % missed.len()]);
            let version = |at: usize| world.versions[at].0.clone();
            let request = RunRequest::new(value.clone(), version(*created));
            prop_assert_eq!(brief(&reported(&world, request.clone(), *created, |_| true)), truth, "request {} of {:?}", index, actions);
            // Without some versions, a request may count as dropped that a run served, but never the reverse. It may count as served by a
            // later run if the run that it had joined was cancelled, because the queued run after that serves it too.
            let is_true = |reported: Option<(i32, bool)>| match (reported, truth) {
                (Some((_, true)), _) if policy == "Forbid" => true,
                (Some((later, false)), Some((number, false))) => later >= number,
                (reported, truth) => reported == truth,
            };
            let sampled = brief(&reported(&world, request, *created, shows));
            prop_assert!(is_true(sampled), "{sampled:?}, not {truth:?}: request {index} of {actions:?}, with missed versions");
            // After a lost response, a later version is the first one that is known.
            let read = (created + delay).min(world.versions.len() - 1);
            if let Some(request) = RunRequest::recovered(value.clone(), version(created - 1), version(read)) {
                let recovered = brief(&reported(&world, request, read, shows));
                prop_assert!(is_true(recovered), "{recovered:?}, not {truth:?}: request {index} of {actions:?}, recovered");
            }
        }
        for (index, (value, created)) in world.cancellations.iter().enumerate() {
            let is_later = |handled: &str| world.cancellations[index..].iter().any(|(later, _)| later == handled);
            let handled = |object: &&Object| object.status().last_handled_cancel_request.as_deref().is_some_and(is_later);
            let before = &world.versions[*created].0;
            let after = world.versions[*created..].iter().map(|(object, _)| object).find(handled).unwrap();
            let number = |object: &Object| object.run().map(|run| run.number);
            prop_assert_eq!(number(after), number(before), "cancellation {} of {:?} is about another run", index, actions);
            if let Some(request) = CancelRequest::new(value.clone(), before.clone()) {
                let outcome = request.observe(world.versions.last().map(|(object, _)| object));
                prop_assert_eq!(brief(&outcome).map(|(number, _)| number), number(before));
            }
        }
    }
}
