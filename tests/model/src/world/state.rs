//! The state of the world.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tabular_operator::api::Status;
use tabular_operator::engine::Settings;
use tabular_operator::engine::reconcile::PendingDecision;

use super::time::{GRACE, Seconds};
use super::uninstall::Uninstall;
use super::{Leadership, Op, Operator, Owner, PendingSubmission, Resource, Service, Visibility};
use crate::scenario::{Budget, Impairment, Scenario};

/// A violated invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The name of the invariant.
    pub invariant: &'static str,
    /// What was observed.
    pub details: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.details)
    }
}

/// The Lease at the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Its holder.
    pub holder: usize,
    /// When it was last renewed.
    pub renewed: Seconds,
}

/// A status write without a response that may still be performed.
#[derive(Clone, Debug)]
pub struct LateWrite {
    /// The operator that sent it.
    pub operator: usize,
    /// The resource.
    pub resource: usize,
    /// The version that it requires.
    pub version: u32,
    /// The status.
    pub status: Arc<Status>,
    /// The decision that it records.
    pub decision: Arc<PendingDecision>,
}

/// The state of the world.
#[derive(Clone, Debug)]
pub struct World {
    /// The scenario, with what may happen.
    pub scenario: Arc<Scenario>,
    /// The true time.
    pub now: Seconds,
    /// The resources.
    pub resources: Vec<Arc<Resource>>,
    /// The service.
    pub service: Service,
    /// The operators.
    pub operators: Vec<Operator>,
    /// The Lease, if there are two operators.
    pub lease: Lease,
    /// The progress of an uninstall.
    pub uninstall: Uninstall,
    /// Whether the first resource is impaired ([`Scenario::impairment`]).
    pub impaired: bool,
    /// The writes that may still be performed.
    pub late: Vec<LateWrite>,
    /// What may still happen.
    pub budget: Budget,
    /// The operators' settings.
    pub settings: Arc<Settings>,
}

/// The operators' settings: round numbers, so that few times matter.
fn settings(scenario: &Scenario) -> Settings {
    let secs = |count: Seconds| Duration::from_secs(count.unsigned_abs());
    Settings {
        poll_min: secs(scenario.poll),
        poll_max: secs(scenario.poll),
        poll_fraction: 0.1,
        call_timeout: secs(scenario.call_timeout),
        listing_lag: secs(scenario.listing_lag),
        max_refresh_duration: Duration::from_hours(48),
        reference_grace: secs(GRACE),
        power_bi_portal: None,
    }
}

impl World {
    /// The initial world of a scenario.
    #[must_use]
    pub fn new(scenario: &Arc<Scenario>) -> Self {
        let resources: Vec<_> =
            scenario.specs.iter().enumerate().map(|(index, spec)| Arc::new(Resource::new(index, spec.clone()))).collect();
        let operator =
            |index: usize| Operator::new(resources.len(), if index == 0 { scenario.initial_leadership() } else { Leadership::Standby });
        Self {
            now: 0,
            service: Service {
                visibility: Visibility::All,
                ops: Vec::new(),
                pending_submissions: Vec::new(),
                ahead: scenario.service_ahead,
                reports_time: scenario.reports_time,
                lag: scenario.lag,
                max_rows: scenario.max_rows,
                named_model: 0,
                failure_cause: scenario.failure_cause,
            },
            operators: (0..scenario.operators).map(operator).collect(),
            lease: Lease { holder: 0, renewed: 0 },
            uninstall: Uninstall::None,
            impaired: false,
            late: Vec::new(),
            budget: scenario.budget,
            settings: Arc::new(settings(scenario)),
            resources,
            scenario: Arc::clone(scenario),
        }
    }

    /// A resource, for a change.
    pub fn resource(&mut self, index: usize) -> &mut Resource {
        Arc::make_mut(&mut self.resources[index])
    }

    /// The running operations of a resource.
    pub fn live_of(&self, resource: usize) -> impl Iterator<Item = &Op> {
        self.service.ops.iter().map(AsRef::as_ref).filter(move |op| op.is_of(resource) && op.live())
    }

    /// The submissions of a resource that have not arrived.
    pub fn in_transit(&self, resource: usize) -> impl Iterator<Item = &PendingSubmission> {
        self.service
            .pending_submissions
            .iter()
            .filter(move |submission| matches!(submission.owner, Owner::Run { resource: of, .. } if of == resource))
    }

    /// The current impairment of a resource.
    #[must_use]
    pub fn impairment_of(&self, resource: usize) -> Option<Impairment> {
        self.scenario.impairment.filter(|_| self.impaired && resource == 0)
    }

    /// Whether an operator may act: by its own monotonic clock it holds the Lease.
    #[must_use]
    pub fn leads(&self, operator: usize) -> bool {
        self.leads_for(operator, 0)
    }

    /// Whether it may act for `margin` more seconds.
    #[must_use]
    pub fn leads_for(&self, operator: usize, margin: Seconds) -> bool {
        let operator = &self.operators[operator];
        operator.up
            && match operator.leadership {
                Leadership::NoElection => true,
                Leadership::Leader { until } => self.now + margin < until || self.scenario.broken_rules.lease,
                Leadership::Standby => false,
            }
    }
}
