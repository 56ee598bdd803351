//! Scenarios: small worlds with a name, and the bounds of what may happen in each.

use tabular_operator::api::{AfterRefresh, Model, ModelRefreshSpec, ModelSyncSpec, RefreshTrigger};
use tabular_operator::engine::reconcile::Rejection;
use tabular_operator::operation::Phase;

use crate::world::cluster::Spec;
use crate::world::{Guise, HOLD, Second, Sight, Standing, Wish, Work};

/// How often what can go wrong may still go wrong, and how often people may still act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Left {
    /// Submissions that are lost, late or refused.
    pub posts: u8,
    /// Other calls, to the service or to the API server, that are lost.
    pub calls: u8,
    /// Calls that cannot be prepared: a Secret is missing.
    pub unprepared: u8,
    /// Passes on a stale view.
    pub stale: u8,
    /// SIGKILLs.
    pub crashes: u8,
    /// Times at which an operator is late, or frozen.
    pub delays: u8,
    /// Passes for no reason.
    pub wakes: u8,
    /// What people do.
    pub wishes: u8,
    /// Operations of other clients.
    pub strangers: u8,
    /// Operations that end otherwise than well by themselves.
    pub failures: u8,
    /// Operations that the service loses.
    pub vanishes: u8,
    /// Steps of an operator's wall clock.
    pub jumps: u8,
    /// Uninstalls that begin.
    pub leaves: u8,
    /// Responses that show an operation of this operator otherwise than it is.
    pub guises: u8,
    /// Times at which the first resource begins to ail.
    pub ails: u8,
    /// Reconciliations that are abandoned: a timeout, a panic, a dropped future.
    pub abandons: u8,
    /// Times at which the models are deleted, are published anew, or are hidden.
    pub sights: u8,
}

/// What may ail a resource for good: nothing of its own goes on, and no other resource has a part in that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ail {
    /// No call can be prepared: its identity is throttled, or does not answer.
    Throttled,
    /// No call can be prepared: its identity is refused.
    Refused,
    /// No call can be prepared: its Secret is gone.
    SecretGone,
    /// The API server fails each of its writes.
    Writes,
    /// The API server denies each of its writes: only a change of the cluster helps.
    WritesDenied,
    /// The API server refuses each of its writes for now.
    WritesRefused,
}

/// Rules that the world, in the place of the controller, breaks on purpose, to see that the proof notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Careless {
    /// Status is written whatever the resource's version is.
    pub version: bool,
    /// The Lease is believed for ever.
    pub lease: bool,
    /// A submission is sent however long ago its intent was.
    pub deadline: bool,
    /// An uninstall goes on before the operator has heard of it.
    pub deaf: bool,
    /// An operator submits although it has heard of an uninstall.
    pub drain: bool,
    /// A status counts as written that is not.
    pub unwritten: bool,
    /// No operation counts as another resource's.
    pub claims: bool,
    /// A list that is cut short counts as whole.
    pub truncation: bool,
}

/// One small world, and the bounds of what may happen in it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is about, in one sentence.
    pub about: &'static str,
    /// The resources.
    pub specs: Vec<Spec>,
    /// Whether the resources differ in nothing but their names, so that exchanging them changes nothing.
    pub symmetric: bool,
    /// How many operators.
    pub operators: usize,
    /// The bounds.
    pub left: Left,
    /// What becomes of submissions, beside an answer.
    pub posts: Vec<crate::world::How>,
    /// What people may do.
    pub wishes: Vec<Wish>,
    /// How operations may end beside well, and what may become of the refused.
    pub ends: Vec<Phase>,
    /// What other clients ask for, and how the service shows it.
    pub others: Vec<(Work, Guise)>,
    /// How the service may show an operation of this operator.
    pub guises: Vec<Guise>,
    /// Whether the operation of a resource that is gone may be taken for another's, a known gap.
    pub orphans: bool,
    /// Whether a namespace may end, with the Secret in it.
    pub namespace_ends: bool,
    /// How late the service may show an operation, at most [`Self::listing_lag`] where the promise is to hold.
    pub lag: Second,
    /// How far the service's clock is ahead.
    pub service_ahead: Second,
    /// How many rows a listing has at most, the newest, where it is cut short.
    pub rows: Option<usize>,
    /// Whether the names of a model may come to stand for another one.
    pub renames: bool,
    /// After how many states the exploration stops; `None` where there has to be an end to them.
    pub bound: Option<usize>,
    /// Whether a write of a status whose response is lost may be performed later.
    pub late_writes: bool,
    /// How the API server may reject a write that it could perform, as an admission webhook does.
    pub rejections: Vec<Rejection>,
    /// What may ail the first resource.
    pub ail: Option<Ail>,
    /// What may become of the models.
    pub sights: Vec<Sight>,
    /// Whether the service tells the time.
    pub tells_time: bool,
    /// The steps that a wall clock may take.
    pub jumps: Vec<Second>,
    /// How long an operator may sleep when it is late.
    pub sleeps: Vec<Second>,
    /// The pause between two looks.
    pub poll: Second,
    /// How long a call may take.
    pub call_timeout: Second,
    /// How late the operator believes that the service may show an operation.
    pub listing_lag: Second,
    /// Which of its own rules the controller breaks.
    pub careless: Careless,
}

impl Scenario {
    /// A world with one plain resource and nothing that goes wrong.
    #[must_use]
    pub fn calm(name: &'static str, about: &'static str) -> Self {
        use crate::world::How;
        Self {
            name,
            about,
            specs: vec![Spec::Refresh(spec(0))],
            symmetric: false,
            operators: 1,
            left: Left::default(),
            posts: vec![How::LostBefore, How::LostAfter, How::Late],
            wishes: Vec::new(),
            ends: vec![Phase::Failed],
            others: vec![(Work::OtherType, Guise::Plain)],
            guises: Vec::new(),
            orphans: false,
            namespace_ends: false,
            lag: 0,
            service_ahead: 0,
            rows: None,
            renames: false,
            bound: None,
            late_writes: false,
            rejections: Vec::new(),
            ail: None,
            sights: Vec::new(),
            tells_time: true,
            jumps: Vec::new(),
            sleeps: vec![10, 45],
            poll: 10,
            call_timeout: 10,
            listing_lag: 30,
            careless: Careless::default(),
        }
    }

    /// How the first operator begins.
    #[must_use]
    pub fn first_standing(&self) -> Standing {
        if self.operators > 1 { Standing::Leads { until: HOLD } } else { Standing::Alone }
    }

    /// After this many seconds it is certain that a submission that is not listed never began.
    #[must_use]
    pub fn certain_after(&self) -> Second {
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

/// A full refresh of one table, whose name has what names may differ in: letters beyond ASCII, and a blank at its end.
#[must_use]
pub fn of_one_table(model: u8) -> ModelRefreshSpec {
    let parameters = serde_json::from_value(serde_json::json!({"type": "full", "objects": [{"table": "Gr\u{f6}\u{df}e "}]}));
    // The literal above is a refresh's parameters.
    ModelRefreshSpec { refresh: Some(parameters.unwrap_or_else(|error| unreachable!("{error}"))), ..spec(model) }
}

/// A full refresh of the model that the names stand for.
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

/// A trigger by the clock alone: five fields of cron, in UTC.
#[must_use]
pub fn times(schedule: &str) -> RefreshTrigger {
    RefreshTrigger { schedule: Some(schedule.to_owned()), ..RefreshTrigger::default() }
}

/// A sync of the model with this index, after each success of the refresh with that name where there is one.
#[must_use]
pub fn sync(model: u8, after: Option<&str>) -> ModelSyncSpec {
    let model = crate::world::cluster::model(model);
    let spec = serde_json::from_value(serde_json::json!({"model": model}));
    // The literal above is a spec.
    let spec: ModelSyncSpec = spec.unwrap_or_else(|error| unreachable!("{error}"));
    let after_refresh = after.map(|name| AfterRefresh { name: name.to_owned() });
    ModelSyncSpec { trigger: after.map(|_| RefreshTrigger { after_refresh, ..RefreshTrigger::default() }), ..spec }
}
