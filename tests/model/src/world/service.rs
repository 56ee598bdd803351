//! The service. It generates the ids of operations, runs one refresh and one sync of a model at a time, and may show an operation late.

use std::sync::Arc;

use jiff::SignedDuration;
use tabular_operator::operation::{
    ClockSkew, FailureCause, Listing, ObjectName, ObjectProgress, Operation, OperationId, OperationKind, Origin, Phase, Request,
    UnnamedOperation,
};

use super::{Appearance, Seconds, timestamp};

/// The actual owner of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// An attempt of a run of a resource.
    Run {
        /// The resource's index.
        resource: usize,
        /// The run's number.
        number: i32,
        /// The attempt.
        attempt: i32,
    },
    /// Another client.
    OtherClient,
}

/// An operation that the service has accepted.
#[derive(Clone, Debug)]
pub struct Op {
    /// Its id.
    pub id: OperationId,
    /// The model's index.
    pub model: u8,
    /// Its owner.
    pub owner: Owner,
    /// The request.
    pub request: Arc<Request>,
    /// When it started.
    pub started_at: Seconds,
    /// Whether polls and lists show it yet.
    pub visible: bool,
    /// When it ended, and how.
    pub ended: Option<(Seconds, Phase)>,
    /// Whether its cancellation was requested.
    pub cancelling: bool,
    /// Whether the service has lost it.
    pub lost: bool,
    /// How the service shows it.
    pub appearance: Appearance,
}

impl Op {
    /// Whether it is running.
    #[must_use]
    pub fn live(&self) -> bool {
        self.ended.is_none() && !self.lost
    }

    /// How the service shows it, with `ours` for the operations of this operator.
    #[must_use]
    pub fn shown_as(&self, ours: Appearance) -> Appearance {
        match self.owner {
            Owner::Run { .. } => ours,
            Owner::OtherClient => self.appearance,
        }
    }

    /// Whether it belongs to a resource.
    #[must_use]
    pub fn is_of(&self, index: usize) -> bool {
        matches!(self.owner, Owner::Run { resource, .. } if resource == index)
    }
}

/// A submission that has not arrived at the service.
#[derive(Clone, Debug)]
pub struct PendingSubmission {
    /// The model's index.
    pub model: u8,
    /// Its owner.
    pub owner: Owner,
    /// The request.
    pub request: Arc<Request>,
    /// It arrives by then, or never.
    pub by: Seconds,
}

/// What the identities can observe of the models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Visibility {
    /// All of them.
    #[default]
    All,
    /// They were deleted with their operations, and their server or workspace is visible.
    Deleted,
    /// Access was lost: the service responds as if they and their server or workspace were deleted.
    Hidden,
}

/// The service.
#[derive(Clone, Debug)]
pub struct Service {
    /// What can be observed of the models.
    pub visibility: Visibility,
    /// All operations, in the order of their starts.
    pub ops: Vec<Arc<Op>>,
    /// The submissions that have not arrived.
    pub pending_submissions: Vec<PendingSubmission>,
    /// How far its clock is ahead of the true time, in seconds.
    pub ahead: Seconds,
    /// Whether its responses report its time.
    pub reports_time: bool,
    /// How late it may show an operation, in seconds.
    pub lag: Seconds,
    /// The most rows of a list, the newest ones.
    pub max_rows: Option<usize>,
    /// The number of the model that the names refer to.
    pub named_model: u8,
    /// The cause that it reports of each end without success.
    pub failure_cause: Option<FailureCause>,
}

/// The id of the operation with this index.
#[must_use]
pub fn id(index: usize) -> Option<OperationId> {
    OperationId::parse(&format!("op-{index}"))
}

impl Service {
    /// The running operation of a kind on a model.
    #[must_use]
    pub fn running(&self, model: u8, kind: OperationKind) -> Option<&Op> {
        self.ops.iter().map(AsRef::as_ref).find(|op| op.model == model && op.live() && op.request.kind() == kind)
    }

    /// Accepts an operation; `None` if the model is busy or not visible.
    pub fn accept(&mut self, model: u8, owner: Owner, request: &Arc<Request>, now: Seconds) -> Option<OperationId> {
        if self.visibility != Visibility::All || self.running(model, request.kind()).is_some() {
            return None;
        }
        let id = id(self.ops.len())?;
        self.ops.push(Arc::new(Op {
            id: id.clone(),
            model,
            owner,
            request: Arc::clone(request),
            started_at: now,
            visible: self.lag == 0,
            ended: None,
            cancelling: false,
            lost: false,
            appearance: Appearance::Plain,
        }));
        Some(id)
    }

    /// Changes one operation.
    pub fn change(&mut self, index: usize, edit: impl FnOnce(&mut Op)) {
        if let Some(op) = self.ops.get_mut(index) {
            edit(Arc::make_mut(op));
        }
    }

    /// The index of the operation with this id on this model, if the service shows it.
    #[must_use]
    pub fn find_visible(&self, id: &OperationId, kind: OperationKind, model: u8) -> Option<usize> {
        let is_meant = |op: &Op| op.model == model && op.request.kind() == kind && op.id.eq_ignoring_case(id.as_str());
        self.ops.iter().position(|op| is_meant(op) && op.visible && !op.lost)
    }

    /// The description of an operation, with `ours` for the operations of this operator.
    #[must_use]
    pub fn describe(&self, op: &Op, ours: Appearance) -> Operation {
        let phase = op.ended.map_or(Phase::InProgress, |(_, phase)| phase);
        let there = |at: Seconds| timestamp(at + self.ahead);
        let object = |name: &ObjectName| ObjectProgress { name: name.clone(), phase, service_status: format!("{phase:?}") };
        let mut operation = Operation {
            start: Some(there(op.started_at)),
            end: op.ended.map(|(at, _)| there(at)),
            refresh_type: op.request.as_refresh().and_then(|request| request.refresh_type.clone()),
            objects: op.request.as_refresh().iter().flat_map(|request| &request.objects).map(object).collect(),
            failure: self.failure_cause.filter(|_| matches!(phase, Phase::Failed | Phase::TimedOut | Phase::Cancelled)),
            ..Operation::new(op.id.clone(), phase, format!("{phase:?}"))
        };
        op.shown_as(ours).apply_to(&mut operation);
        operation
    }

    /// The list of a model, as the client reads it: the running operations, and those that started since `intent` by the client's clock,
    /// which is `clock` seconds ahead of the true time. `ours` is how the operator's own operations are shown.
    #[must_use]
    pub fn list(
        &self,
        (model, kind): (u8, OperationKind),
        intent: jiff::Timestamp,
        (now, clock): (Seconds, Seconds),
        ours: Appearance,
    ) -> Listing {
        // As in `azure::ListWindow`: by the service's clock if it is reported, with six seconds for differing clocks; otherwise five minutes.
        let allowance = if self.reports_time { self.ahead - clock - 6 } else { -300 };
        let since = intent.checked_add(SignedDuration::from_secs(allowance)).unwrap_or(intent);
        let of_model = |op: &&Arc<Op>| op.model == model && op.request.kind() == kind && op.visible && !op.lost;
        let shown = |op: &Arc<Op>| (op.shown_as(ours), self.describe(op, ours));
        let mut rows: Vec<(Appearance, Operation)> = self.ops.iter().rev().filter(of_model).map(shown).collect();
        // As in `azure::refreshes`: the requested number of rows, and the oldest started within the window.
        let full = self.max_rows.is_some_and(|limit| rows.len() >= limit);
        rows.truncate(self.max_rows.unwrap_or(usize::MAX));
        let starts: Vec<jiff::Timestamp> = rows.iter().filter_map(|(_, row)| row.start).collect();
        let newest_first = starts.is_sorted_by(|newer, older| newer >= older);
        let reaches_back = newest_first && starts.len() == rows.len() && starts.last().is_some_and(|start| *start < since);
        let mut listing = Listing {
            truncated: full && !reaches_back,
            // If the newest come first, no running operation is missing.
            may_hide_running: full && !newest_first,
            clock_skew: self
                .reports_time
                .then(|| ClockSkew::of(timestamp(now + self.ahead), (timestamp(now + clock), timestamp(now + clock)))),
            ..Listing::default()
        };
        for (appearance, row) in rows {
            let over = row.phase.ended();
            if over && (row.start.is_some_and(|start| start < since) || row.origin == Origin::External) {
                continue;
            }
            match appearance {
                Appearance::ExternalWithoutId => {
                    listing.unnamed = listing.unnamed.max(Some(UnnamedOperation { is_external: true, start: row.start }));
                }
                Appearance::WithoutId => {
                    listing.truncated = true;
                    listing.may_hide_running |= !over;
                }
                _ => listing.operations.push(row),
            }
        }
        listing.operations.sort_by_key(|operation| std::cmp::Reverse(operation.start.unwrap_or(jiff::Timestamp::MAX)));
        listing
    }

    /// Deletes the models, hides them, or makes them visible again.
    pub fn set_visibility(&mut self, visibility: Visibility) {
        self.visibility = visibility;
        if visibility == Visibility::Deleted {
            for op in &mut self.ops {
                Arc::make_mut(op).lost = true;
            }
        }
    }

    /// Applies what happens automatically as time passes: an accepted operation becomes visible, and a submission that is too late never
    /// arrives.
    pub fn advance(&mut self, now: Seconds) {
        let lag = self.lag;
        for op in self.ops.iter_mut().filter(|op| !op.visible && op.started_at + lag <= now) {
            Arc::make_mut(op).visible = true;
        }
        self.pending_submissions.retain(|submission| submission.by >= now);
    }
}
