//! Scenarios: small worlds with a name, and the bounds of what may happen in each.

use std::sync::{Arc, Mutex};

use tabular_operator::api::{AfterRefresh, Model, ModelRefreshSpec, ModelSyncSpec, TriggerSpec};
use tabular_operator::engine::reconcile::Rejection;
use tabular_operator::engine::{Event, External};
use tabular_operator::operation::{FailureCause, Phase};

use crate::world::object::Spec;
use crate::world::{Appearance, ClientRequest, LEASE_HOLD, Leadership, Seconds, UserAction, Visibility};

/// How many faults may still occur, and how many actions users may still take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Submissions that are lost, late or refused.
    pub submissions: u8,
    /// Other calls, to the service or to the API server, that are lost.
    pub calls: u8,
    /// Calls that cannot be prepared: a Secret is missing.
    pub unprepared: u8,
    /// Reconciliations of a stale view.
    pub stale: u8,
    /// SIGKILLs.
    pub crashes: u8,
    /// Times at which an operator is late, or frozen.
    pub delays: u8,
    /// Reconciliations without a cause.
    pub spurious: u8,
    /// Actions of users.
    pub user_actions: u8,
    /// Operations of other clients.
    pub other_operations: u8,
    /// Operations that end without success and were not cancelled.
    pub failures: u8,
    /// Operations that the service loses.
    pub lost_operations: u8,
    /// Steps of an operator's wall clock.
    pub clock_steps: u8,
    /// Uninstalls.
    pub drains: u8,
    /// Responses that show an operation of this operator in another way.
    pub appearances: u8,
    /// Impairments of the first resource.
    pub impairments: u8,
    /// Reconciliations that are abandoned: by a timeout, a panic or a dropped future.
    pub abandonments: u8,
    /// Times at which the models are deleted, published again, or hidden.
    pub visibility_changes: u8,
}

/// A lasting impairment of a resource. It must not affect other resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Impairment {
    /// No call can be prepared: its identity is throttled, or the token service does not respond.
    Throttled,
    /// No call can be prepared: its identity is refused.
    Refused,
    /// No call can be prepared: its Secret was deleted.
    SecretDeleted,
    /// Each of its writes fails at the API server.
    Writes,
    /// The API server denies each of its writes permanently: only a change of the cluster helps.
    WritesDenied,
    /// The API server refuses each of its writes temporarily.
    WritesRefused,
    /// Its spec is invalid in a way that only the operator detects.
    InvalidSpec,
    /// The names of its model match no model.
    UnmatchedNames,
}

/// False responses of the world. They show that the invariants detect a controller that breaks its own rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BrokenRules {
    /// The status is written under any resource version.
    pub version: bool,
    /// The Lease never expires for its holder.
    pub lease: bool,
    /// A submission is sent however long ago its intent was.
    pub deadline: bool,
    /// An uninstall continues before the operator has observed it.
    pub unobserved_drain: bool,
    /// An operator submits although it has observed an uninstall.
    pub drain: bool,
    /// A status counts as written that was not.
    pub unwritten: bool,
    /// No operation counts as another resource's.
    pub claims: bool,
    /// A truncated list counts as complete.
    pub truncation: bool,
}

/// The facts that a script adds ([`crate::script`]). Explored scenarios have none.
#[derive(Clone, Debug, Default)]
pub struct Scripted {
    /// The facts outside the resources.
    pub external: External,
    /// The resource that has the turn of every model.
    pub ahead: Option<String>,
    /// The published events.
    pub events: Option<Arc<Mutex<Vec<Event>>>>,
}

/// A small world, and the bounds of what may happen in it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its description, in one sentence.
    pub description: &'static str,
    /// The resources.
    pub specs: Vec<Spec>,
    /// Whether the resources differ only in their names, so that swapping them changes nothing.
    pub symmetric: bool,
    /// The number of operators.
    pub operators: usize,
    /// The bounds.
    pub budget: Budget,
    /// The outcomes of submissions besides a response.
    pub submission_outcomes: Vec<crate::world::RequestOutcome>,
    /// The actions that users may take.
    pub user_actions: Vec<UserAction>,
    /// How operations may end besides with success.
    pub outcomes: Vec<Phase>,
    /// The operations of other clients, and how the service shows them.
    pub other_requests: Vec<(ClientRequest, Appearance)>,
    /// How the service may show an operation of this operator.
    pub appearances: Vec<Appearance>,
    /// Whether another resource may adopt the operation of a deleted resource, a known gap.
    pub adopts_orphans: bool,
    /// Whether the namespace may be deleted, and the Secret with it.
    pub deletes_namespace: bool,
    /// How late the service may show an operation, in seconds. The guarantees require at most [`Self::listing_lag`].
    pub lag: Seconds,
    /// How far the service's clock is ahead, in seconds.
    pub service_ahead: Seconds,
    /// The most rows of a list, the newest ones, if it is truncated.
    pub max_rows: Option<usize>,
    /// Whether the names of a model may refer to another model later.
    pub retargets_names: bool,
    /// The number of states after which the exploration stops; `None` if the scenario must be exhausted.
    pub max_states: Option<usize>,
    /// Whether a status write without a response may be performed later.
    pub late_writes: bool,
    /// How the API server may reject a write that it could perform, as an admission webhook does.
    pub rejections: Vec<Rejection>,
    /// The impairment of the first resource.
    pub impairment: Option<Impairment>,
    /// The changes of the models' visibility.
    pub visibility_changes: Vec<Visibility>,
    /// Whether the service reports its time.
    pub reports_time: bool,
    /// The steps that a wall clock may take, in seconds.
    pub clock_steps: Vec<Seconds>,
    /// How late an operator may be, in seconds.
    pub delay_lengths: Vec<Seconds>,
    /// The polling interval, in seconds.
    pub poll: Seconds,
    /// The timeout of a call, in seconds.
    pub call_timeout: Seconds,
    /// How late the operator assumes that the service may show an operation, in seconds.
    pub listing_lag: Seconds,
    /// The cause that the service reports of each end without success.
    pub failure_cause: Option<FailureCause>,
    /// Whether there are replicas to synchronize.
    pub replicas: bool,
    /// The false responses of the world.
    pub broken_rules: BrokenRules,
    /// The facts that a script adds.
    pub scripted: Scripted,
}

impl Scenario {
    /// A world with one resource and without faults.
    #[must_use]
    pub fn base(name: &'static str, description: &'static str) -> Self {
        use crate::world::RequestOutcome;
        Self {
            name,
            description,
            specs: vec![Spec::Refresh(spec(0))],
            symmetric: false,
            operators: 1,
            budget: Budget::default(),
            submission_outcomes: vec![RequestOutcome::LostBefore, RequestOutcome::LostAfter, RequestOutcome::Late],
            user_actions: Vec::new(),
            outcomes: vec![Phase::Failed],
            other_requests: vec![(ClientRequest::OtherType, Appearance::Plain)],
            appearances: Vec::new(),
            adopts_orphans: false,
            deletes_namespace: false,
            lag: 0,
            service_ahead: 0,
            max_rows: None,
            retargets_names: false,
            max_states: None,
            late_writes: false,
            rejections: Vec::new(),
            impairment: None,
            visibility_changes: Vec::new(),
            reports_time: true,
            clock_steps: Vec::new(),
            delay_lengths: vec![10, 45],
            poll: 10,
            call_timeout: 10,
            listing_lag: 30,
            failure_cause: None,
            replicas: true,
            broken_rules: BrokenRules::default(),
            scripted: Scripted::default(),
        }
    }

    /// The initial leadership of the first operator.
    #[must_use]
    pub fn initial_leadership(&self) -> Leadership {
        if self.operators > 1 { Leadership::Leader { until: LEASE_HOLD } } else { Leadership::NoElection }
    }

    /// After this many seconds an unlisted submission has certainly started no operation.
    #[must_use]
    pub fn visibility_timeout(&self) -> Seconds {
        self.call_timeout + self.listing_lag + 1
    }
}

/// A full refresh of the model with this index, with nothing else set.
#[must_use]
pub fn spec(model: u8) -> ModelRefreshSpec {
    let model = crate::world::cluster::model(model);
    let spec = serde_json::json!({"model": model, "refresh": {"type": "full"}});
    // The literal above is a spec.
    serde_json::from_value(spec).unwrap_or_else(|error| unreachable!("{error}"))
}

/// A full refresh of one table. Its name has letters beyond ASCII and a space at its end, so that its spelling may vary.
#[must_use]
pub fn of_one_table(model: u8) -> ModelRefreshSpec {
    let parameters = serde_json::from_value(serde_json::json!({"type": "full", "objects": [{"table": "Gr\u{f6}\u{df}e "}]}));
    // The literal above is a refresh's parameters.
    ModelRefreshSpec { refresh: Some(parameters.unwrap_or_else(|error| unreachable!("{error}"))), ..spec(model) }
}

/// A full refresh of the model that the names refer to.
#[must_use]
pub fn by_names() -> ModelRefreshSpec {
    let model = serde_json::from_value(serde_json::json!({"powerBI": {"workspace": "bi", "dataset": "Sales"}}));
    // The literal above is a model.
    ModelRefreshSpec { model: model.unwrap_or_else(|error| unreachable!("{error}")), ..spec(0) }
}

/// A full refresh of the Power BI model with this number, given by its ids.
#[must_use]
pub fn by_ids(number: u8) -> ModelRefreshSpec {
    let (group_id, dataset_id) = crate::world::ids_of(number);
    ModelRefreshSpec { model: Model::by_ids(group_id, dataset_id), ..spec(0) }
}

/// A schedule: five fields of cron, in UTC.
#[must_use]
pub fn times(schedule: &str) -> TriggerSpec {
    TriggerSpec { schedule: Some(schedule.to_owned()), ..TriggerSpec::default() }
}

/// A sync of the model with this index; after each success of the refresh `after`, if given.
#[must_use]
pub fn sync(model: u8, after: Option<&str>) -> ModelSyncSpec {
    let model = crate::world::cluster::model(model);
    let spec = serde_json::from_value(serde_json::json!({"model": model}));
    // The literal above is a spec.
    let spec: ModelSyncSpec = spec.unwrap_or_else(|error| unreachable!("{error}"));
    let after_refresh = after.map(|name| AfterRefresh { name: name.to_owned() });
    ModelSyncSpec { trigger: after.map(|_| TriggerSpec { after_refresh, ..TriggerSpec::default() }), ..spec }
}
