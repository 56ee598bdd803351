//! A small world around the real decision: an API server, a service, other clients, people, operators that crash, and time.
//!
//! Everything that may happen next is an [`Action`]; what has just happened is the world itself. The laws are checked as the
//! actions are played. The same world is explored whole ([`crate::explore`]) and at random ([`crate::walk`]).

mod action;
mod calls;
pub mod cluster;
pub mod coverage;
mod display;
mod driver;
mod operator;
mod play;
mod print;
pub mod service;
mod turns;
mod uninstall;
mod writes;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tabular_operator::api::Status;
use tabular_operator::engine::Settings;
use tabular_operator::engine::reconcile::PendingDecision;

use crate::scenario::{Ail, Left, Scenario};
pub use action::{Action, How};
pub use cluster::{Resource, Wish};
pub use operator::{Gone, Mind, Operator, Standing, Task, Waits};
pub(crate) use play::ids_of;
pub use play::{index_of, is_unresolved};
pub use service::{Guise, Op, Owner, Post, Service, Sight, Work};
pub use uninstall::Uninstall;

/// A moment of the true time, in seconds since the beginning.
pub type Second = i64;

/// How long a Lease is another's, in seconds, and how long its holder acts by it: four fifths, as in `controller::lease`.
pub const LEASE: Second = 15;
/// How long the holder of a Lease acts by it.
pub const HOLD: Second = 12;
/// How much of it has to be left for a submission to be sent.
pub const MARGIN: Second = 3;

/// How long a missing reference may still arrive, in seconds.
pub const GRACE: Second = 8;

/// A moment as a timestamp.
#[must_use]
pub fn moment(second: Second) -> Timestamp {
    // 2026-01-01T12:00:00Z
    let beginning = Timestamp::constant(1_767_268_800, 0);
    beginning.checked_add(SignedDuration::from_secs(second)).unwrap_or(beginning)
}

/// A timestamp as a moment.
#[must_use]
pub fn second(moment_of: Timestamp) -> Second {
    moment_of.duration_since(moment(0)).as_secs()
}

/// A law that does not hold, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The law's name.
    pub law: &'static str,
    /// What was found.
    pub found: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.law, self.found)
    }
}

/// The Lease at the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Whose it is.
    pub holder: usize,
    /// When it was last renewed.
    pub renewed: Second,
}

/// A write of a status whose response was lost, and that may still be performed.
#[derive(Clone, Debug)]
pub struct LateWrite {
    /// The operator that sent it.
    pub operator: usize,
    /// The resource.
    pub resource: usize,
    /// The version that it is for.
    pub version: u32,
    /// The status.
    pub status: Arc<Status>,
    /// The decision that it records.
    pub decision: Arc<PendingDecision>,
}

/// The world at one moment.
#[derive(Clone, Debug)]
pub struct World {
    /// What may happen in it.
    pub scenario: Arc<Scenario>,
    /// The true time.
    pub now: Second,
    /// The resources.
    pub resources: Vec<Arc<Resource>>,
    /// The service.
    pub service: Service,
    /// The operators.
    pub operators: Vec<Operator>,
    /// The Lease, where there are two operators.
    pub lease: Lease,
    /// How far an uninstall has come.
    pub uninstall: Uninstall,
    /// Whether the first resource ails ([`Scenario::ail`]).
    pub ailing: bool,
    /// The writes that may still be performed.
    pub late: Vec<LateWrite>,
    /// What may still go wrong.
    pub left: Left,
    /// The operators' settings.
    pub settings: Arc<Settings>,
}

/// The operators' settings: round numbers that make few moments matter.
fn settings(scenario: &Scenario) -> Settings {
    let secs = |count: Second| Duration::from_secs(count.unsigned_abs());
    Settings {
        poll_min: secs(scenario.poll),
        poll_max: secs(scenario.poll),
        poll_fraction: 0.1,
        call_timeout: secs(scenario.call_timeout),
        listing_lag: secs(scenario.listing_lag),
        reference_grace: secs(GRACE),
    }
}

impl World {
    /// The world in which a scenario begins.
    #[must_use]
    pub fn new(scenario: &Arc<Scenario>) -> Self {
        let resources: Vec<_> =
            scenario.specs.iter().enumerate().map(|(index, spec)| Arc::new(Resource::new(index, spec.clone()))).collect();
        let operator =
            |index: usize| Operator::new(resources.len(), if index == 0 { scenario.first_standing() } else { Standing::StandsBy });
        Self {
            now: 0,
            service: Service {
                sight: Sight::All,
                ops: Vec::new(),
                posts: Vec::new(),
                ahead: scenario.service_ahead,
                tells_time: scenario.tells_time,
                lag: scenario.lag,
                rows: scenario.rows,
                named: 0,
            },
            operators: (0..scenario.operators).map(operator).collect(),
            lease: Lease { holder: 0, renewed: 0 },
            uninstall: Uninstall::No,
            ailing: false,
            late: Vec::new(),
            left: scenario.left,
            settings: Arc::new(settings(scenario)),
            resources,
            scenario: Arc::clone(scenario),
        }
    }

    /// A resource, to be changed.
    pub fn resource(&mut self, index: usize) -> &mut Resource {
        Arc::make_mut(&mut self.resources[index])
    }

    /// The operations of a resource that run.
    pub fn live_of(&self, resource: usize) -> impl Iterator<Item = &Op> {
        self.service.ops.iter().map(AsRef::as_ref).filter(move |op| op.is_of(resource) && op.live())
    }

    /// The submissions of a resource that are on their way.
    pub fn on_their_way(&self, resource: usize) -> impl Iterator<Item = &Post> {
        self.service.posts.iter().filter(move |post| matches!(post.owner, Owner::Run { resource: of, .. } if of == resource))
    }

    /// What ails a resource now.
    #[must_use]
    pub fn ail_of(&self, resource: usize) -> Option<Ail> {
        self.scenario.ail.filter(|_| self.ailing && resource == 0)
    }

    /// Whether an operator may act: by its own monotonic clock it holds the Lease.
    #[must_use]
    pub fn leads(&self, operator: usize) -> bool {
        self.leads_for(operator, 0)
    }

    /// Whether it may act for so many seconds more.
    #[must_use]
    pub fn leads_for(&self, operator: usize, margin: Second) -> bool {
        let operator = &self.operators[operator];
        operator.up
            && match operator.standing {
                Standing::Alone => true,
                Standing::Leads { until } => self.now + margin < until || self.scenario.careless.lease,
                Standing::StandsBy => false,
            }
    }
}
