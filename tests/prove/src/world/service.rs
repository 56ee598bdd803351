//! The service: it names operations itself, runs one refresh and one synchronisation of a model at a time, and shows late what it
//! has taken.

use std::sync::Arc;

use jiff::SignedDuration;
use tabular_operator::operation::{
    Ahead, Listing, ObjectName, ObjectProgress, Operation, OperationId, OperationKind, Origin, Phase, Request,
};

use super::{Second, moment};

/// Whose operation it is, whatever anybody believes.
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
    /// Another client's.
    Stranger,
}

/// An operation that the service has taken.
#[derive(Clone, Debug)]
pub struct Op {
    /// Its id.
    pub id: OperationId,
    /// The model's index.
    pub model: u8,
    /// Whose it is.
    pub owner: Owner,
    /// What was asked for.
    pub request: Arc<Request>,
    /// When it began.
    pub began: Second,
    /// Whether looks and listings show it yet.
    pub visible: bool,
    /// When it ended, and how.
    pub ended: Option<(Second, Phase)>,
    /// Whether it is to be cancelled.
    pub cancelling: bool,
    /// Whether the service has lost it.
    pub vanished: bool,
}

impl Op {
    /// Whether it runs.
    #[must_use]
    pub fn live(&self) -> bool {
        self.ended.is_none() && !self.vanished
    }

    /// Whether it is this resource's.
    #[must_use]
    pub fn is_of(&self, index: usize) -> bool {
        matches!(self.owner, Owner::Run { resource, .. } if resource == index)
    }
}

/// A submission on its way to the service.
#[derive(Clone, Debug)]
pub struct Post {
    /// The model's index.
    pub model: u8,
    /// Whose it is.
    pub owner: Owner,
    /// What it asks for.
    pub request: Arc<Request>,
    /// It arrives by then, or never.
    pub by: Second,
}

/// The service.
#[derive(Clone, Debug)]
pub struct Service {
    /// All operations, in the order of their beginning.
    pub ops: Vec<Arc<Op>>,
    /// Submissions on their way.
    pub posts: Vec<Post>,
    /// How far its clock is ahead of the true time, in seconds.
    pub ahead: Second,
    /// Whether its answers tell the time.
    pub tells_time: bool,
    /// How late it may show an operation, in seconds.
    pub lag: Second,
    /// How many rows a listing has at most, the newest.
    pub rows: Option<usize>,
    /// The model that the names stand for.
    pub named: u8,
}

/// The id of the operation with this index.
#[must_use]
pub fn id(index: usize) -> Option<OperationId> {
    OperationId::parse(&format!("op-{index}"))
}

impl Service {
    /// The operation of a kind that runs on a model.
    #[must_use]
    pub fn running(&self, model: u8, kind: OperationKind) -> Option<&Op> {
        self.ops.iter().map(AsRef::as_ref).find(|op| op.model == model && op.live() && op.request.kind() == kind)
    }

    /// Takes an operation, unless one runs on the model: then it is busy.
    pub fn take(&mut self, model: u8, owner: Owner, request: &Arc<Request>, now: Second) -> Option<OperationId> {
        if self.running(model, request.kind()).is_some() {
            return None;
        }
        let id = id(self.ops.len())?;
        self.ops.push(Arc::new(Op {
            id: id.clone(),
            model,
            owner,
            request: Arc::clone(request),
            began: now,
            visible: self.lag == 0,
            ended: None,
            cancelling: false,
            vanished: false,
        }));
        Some(id)
    }

    /// Changes one operation.
    pub fn change(&mut self, index: usize, edit: impl FnOnce(&mut Op)) {
        if let Some(op) = self.ops.get_mut(index) {
            edit(Arc::make_mut(op));
        }
    }

    /// The operation of this id on this model, where the service shows it.
    #[must_use]
    pub fn shown(&self, id: &OperationId, kind: OperationKind, model: u8) -> Option<usize> {
        let is_meant = |op: &Op| op.model == model && op.request.kind() == kind && op.id.same(id.as_str());
        self.ops.iter().position(|op| is_meant(op) && op.visible && !op.vanished)
    }

    /// One operation as it is described.
    #[must_use]
    pub fn describe(&self, op: &Op) -> Operation {
        let phase = op.ended.map_or(Phase::InProgress, |(_, phase)| phase);
        let there = |second: Second| moment(second + self.ahead);
        let object = |name: &ObjectName| ObjectProgress { name: name.clone(), phase, reported: format!("{phase:?}") };
        Operation {
            id: op.id.clone(),
            phase,
            reported: format!("{phase:?}"),
            start: Some(there(op.began)),
            end: op.ended.map(|(at, _)| there(at)),
            refresh_type: op.request.as_refresh().and_then(|request| request.refresh_type.clone()),
            objects: op.request.as_refresh().iter().flat_map(|request| &request.objects).map(object).collect(),
            messages: Vec::new(),
            activity_id: None,
            failure: None,
            origin: Origin::Client,
            unread: false,
        }
    }

    /// The listing of a model, as the client reads it: what runs, and what began since `intent` by the client's clock, which is
    /// `clock` ahead of the true time.
    #[must_use]
    pub fn list(&self, model: u8, kind: OperationKind, intent: jiff::Timestamp, now: Second, clock: Second) -> Listing {
        // As `service::Window` has it: the service's clock where it tells it, with six seconds for clocks that differ; else five minutes.
        let allowance = if self.tells_time { self.ahead - clock - 6 } else { -300 };
        let since = intent.checked_add(SignedDuration::from_secs(allowance)).unwrap_or(intent);
        let of_model = |op: &&Arc<Op>| op.model == model && op.request.kind() == kind && op.visible && !op.vanished;
        let mut operations: Vec<Operation> = self.ops.iter().rev().filter(of_model).map(|op| self.describe(op)).collect();
        // As `service::refreshes` judges it: as many as were asked for, and the oldest of them began within the window.
        let full = self.rows.is_some_and(|rows| operations.len() >= rows);
        operations.truncate(self.rows.unwrap_or(usize::MAX));
        let reaches_back = operations.last().and_then(|oldest| oldest.start).is_some_and(|start| start < since);
        operations.retain(|operation| !operation.phase.ended() || operation.start.is_none_or(|start| start >= since));
        let ahead = self.tells_time.then(|| Ahead::of(moment(now + self.ahead), (moment(now + clock), moment(now + clock))));
        // The newest come first here, so none that runs is left out.
        Listing { operations, truncated: full && !reaches_back, may_hide_running: false, unnamed: None, ahead }
    }

    /// What happens by itself as time goes by: what was accepted is shown in time, and a submission that is too late never arrives.
    pub fn pass_time(&mut self, now: Second) {
        let lag = self.lag;
        for op in self.ops.iter_mut().filter(|op| !op.visible && op.began + lag <= now) {
            Arc::make_mut(op).visible = true;
        }
        self.posts.retain(|post| post.by >= now);
    }
}
