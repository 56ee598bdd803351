//! The service: it names operations itself, runs one refresh and one sync of a model at a time, and shows late what it
//! has taken.

use std::sync::Arc;

use jiff::SignedDuration;
use tabular_operator::operation::{
    ClockSkew, Listing, ObjectName, ObjectProgress, Operation, OperationId, OperationKind, Origin, Phase, RefreshRequest, Request,
    UnnamedOperation,
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

/// What another client asks for, beside a resource that asks for something on the same model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Work {
    /// The same.
    Same,
    /// The same objects, and another type.
    OtherType,
    /// The same type, and a table that differs from the one that was asked for in its blanks alone.
    OtherBlanks,
    /// The same type, and a table that differs from the one that was asked for in the encoding of a letter alone.
    OtherEncoding,
    /// The same type, and one table more.
    MoreObjects,
}

impl Work {
    /// The request of another client, beside this one. Whoever asks for a whole model names no tables that others could differ in.
    #[must_use]
    pub fn beside(self, request: &Request) -> Request {
        let other_type = |objects: &[ObjectName]| {
            let refresh_type = Some("calculate".to_owned());
            Request::Refresh(RefreshRequest { refresh_type, objects: objects.to_vec(), ..RefreshRequest::default() })
        };
        let Request::Refresh(request) = request else { return other_type(&[]) };
        let with = |objects: Vec<ObjectName>| {
            Request::Refresh(RefreshRequest { refresh_type: request.refresh_type.clone(), objects, ..RefreshRequest::default() })
        };
        let renamed = |edit: fn(&str) -> String| {
            let renamed = |object: &ObjectName| ObjectName { table: edit(&object.table), partition: object.partition.clone() };
            with(request.objects.iter().map(renamed).collect())
        };
        match self {
            Self::Same => Request::Refresh(request.clone()),
            Self::OtherType => other_type(&request.objects),
            Self::OtherBlanks | Self::OtherEncoding | Self::MoreObjects if request.objects.is_empty() => other_type(&[]),
            Self::OtherBlanks => renamed(blanks),
            Self::OtherEncoding => renamed(decomposed),
            Self::MoreObjects => {
                let more = ObjectName { table: "Customers".to_owned(), partition: None };
                with(request.objects.iter().cloned().chain([more]).collect())
            }
        }
    }
}

/// By how much a start may be shown too early or too late, in seconds: longer than a submission can take to arrive.
pub const SHIFT: Second = 60;

/// What the service shows of an operation in place of the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Guise {
    /// The truth: a client of the API has submitted it.
    Plain,
    /// Its row has a type that this version does not know.
    UnknownOrigin,
    /// A schedule, a person or the service itself has started it.
    External,
    /// As above, and its row has no id.
    ExternalWithoutId,
    /// Its row has no id, and may be of a client.
    WithoutId,
    /// It shows no type.
    WithoutType,
    /// It shows a type that nothing documents.
    UndocumentedType,
    /// It shows no objects.
    WithoutObjects,
    /// It shows no start.
    WithoutStart,
    /// It shows no end.
    WithoutEnd,
    /// It shows a later start, which comes after its end where it was short.
    LateStart,
    /// It shows an earlier start.
    EarlyStart,
    /// Its details cannot be read.
    Unread,
    /// Its names are in the other case.
    OtherCase,
    /// Its names have lost their blanks.
    OtherBlanks,
    /// Its names have a letter in another encoding.
    OtherEncoding,
}

impl Guise {
    /// Who can have submitted an operation, as far as the service shows it so.
    #[must_use]
    pub fn origin(self) -> Origin {
        match self {
            Self::UnknownOrigin => Origin::Unknown,
            Self::External | Self::ExternalWithoutId => Origin::External,
            Self::Plain
            | Self::WithoutId
            | Self::WithoutType
            | Self::UndocumentedType
            | Self::WithoutObjects
            | Self::WithoutStart
            | Self::WithoutEnd
            | Self::LateStart
            | Self::EarlyStart
            | Self::Unread
            | Self::OtherCase
            | Self::OtherBlanks
            | Self::OtherEncoding => Origin::Client,
        }
    }

    /// Whether a list that shows an operation so stands in the order of its starts.
    #[must_use]
    pub fn keeps_order(self) -> bool {
        !matches!(self, Self::LateStart | Self::EarlyStart)
    }

    /// Puts it on what the service shows of an operation.
    fn put_on(self, operation: &mut Operation) {
        let by = SignedDuration::from_secs(SHIFT);
        let renamed = |operation: &mut Operation, edit: fn(&str) -> String| {
            operation.objects.iter_mut().for_each(|object| object.name.table = edit(&object.name.table));
        };
        operation.origin = self.origin();
        match self {
            Self::Plain | Self::UnknownOrigin | Self::WithoutId => {}
            // The details of such a refresh are not asked for.
            Self::External | Self::ExternalWithoutId => (operation.refresh_type, operation.objects) = (None, Vec::new()),
            Self::WithoutType => operation.refresh_type = None,
            Self::UndocumentedType => operation.refresh_type = Some("reframe".to_owned()),
            Self::WithoutObjects => operation.objects.clear(),
            Self::WithoutStart => operation.start = None,
            Self::WithoutEnd => operation.end = None,
            Self::LateStart => operation.start = operation.start.and_then(|start| start.checked_add(by).ok()),
            Self::EarlyStart => operation.start = operation.start.and_then(|start| start.checked_sub(by).ok()),
            Self::Unread => (operation.refresh_type, operation.objects, operation.incomplete) = (None, Vec::new(), true),
            Self::OtherCase => renamed(operation, str::to_uppercase),
            Self::OtherBlanks => renamed(operation, blanks),
            Self::OtherEncoding => renamed(operation, decomposed),
        }
    }
}

/// A name without the blanks around it.
fn blanks(name: &str) -> String {
    name.trim().to_owned()
}

/// A name with its umlaut in two characters.
fn decomposed(name: &str) -> String {
    name.replace('\u{f6}', "o\u{308}")
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
    /// What the service shows of it.
    pub guise: Guise,
}

impl Op {
    /// Whether it runs.
    #[must_use]
    pub fn live(&self) -> bool {
        self.ended.is_none() && !self.vanished
    }

    /// What the service shows of it, where `ours` is put on the operations of this operator.
    #[must_use]
    pub fn shown_as(&self, ours: Guise) -> Guise {
        match self.owner {
            Owner::Run { .. } => ours,
            Owner::Stranger => self.guise,
        }
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

/// What the service lets the identities see of its models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sight {
    /// All of them.
    #[default]
    All,
    /// They were deleted, with all that ran on them, and the place where they were is still to be seen.
    Deleted,
    /// Access was lost: they are answered for as if they were deleted, and so is the place.
    Hidden,
}

/// The service.
#[derive(Clone, Debug)]
pub struct Service {
    /// What is to be seen of the models.
    pub sight: Sight,
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
        if self.sight != Sight::All || self.running(model, request.kind()).is_some() {
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
            guise: Guise::Plain,
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

    /// One operation as it is described, where `ours` is put on those of this operator.
    #[must_use]
    pub fn describe(&self, op: &Op, ours: Guise) -> Operation {
        let phase = op.ended.map_or(Phase::InProgress, |(_, phase)| phase);
        let there = |second: Second| moment(second + self.ahead);
        let object = |name: &ObjectName| ObjectProgress { name: name.clone(), phase, service_status: format!("{phase:?}") };
        let mut operation = Operation {
            id: op.id.clone(),
            phase,
            service_status: format!("{phase:?}"),
            start: Some(there(op.began)),
            end: op.ended.map(|(at, _)| there(at)),
            refresh_type: op.request.as_refresh().and_then(|request| request.refresh_type.clone()),
            objects: op.request.as_refresh().iter().flat_map(|request| &request.objects).map(object).collect(),
            messages: Vec::new(),
            activity_id: None,
            failure: None,
            origin: Origin::Client,
            incomplete: false,
        };
        op.shown_as(ours).put_on(&mut operation);
        operation
    }

    /// The listing of a model, as the client reads it: what runs, and what began since `intent` by the client's clock, which is
    /// `clock` ahead of the true time. `ours` is put on the operations of this operator.
    #[must_use]
    pub fn list(
        &self,
        (model, kind): (u8, OperationKind),
        intent: jiff::Timestamp,
        (now, clock): (Second, Second),
        ours: Guise,
    ) -> Listing {
        // As `azure::Window` has it: the service's clock where it tells it, with six seconds for clocks that differ; else five minutes.
        let allowance = if self.tells_time { self.ahead - clock - 6 } else { -300 };
        let since = intent.checked_add(SignedDuration::from_secs(allowance)).unwrap_or(intent);
        let of_model = |op: &&Arc<Op>| op.model == model && op.request.kind() == kind && op.visible && !op.vanished;
        let shown = |op: &Arc<Op>| (op.shown_as(ours), self.describe(op, ours));
        let mut rows: Vec<(Guise, Operation)> = self.ops.iter().rev().filter(of_model).map(shown).collect();
        // As `azure::refreshes` judges it: as many as were asked for, and the oldest of them began within the window.
        let full = self.rows.is_some_and(|rows_at_most| rows.len() >= rows_at_most);
        rows.truncate(self.rows.unwrap_or(usize::MAX));
        let starts: Vec<jiff::Timestamp> = rows.iter().filter_map(|(_, row)| row.start).collect();
        let newest_first = starts.is_sorted_by(|newer, older| newer >= older);
        let reaches_back = newest_first && starts.len() == rows.len() && starts.last().is_some_and(|start| *start < since);
        let mut listing = Listing {
            truncated: full && !reaches_back,
            // Where the newest come first, none that runs is left out.
            may_hide_running: full && !newest_first,
            clock_skew: self.tells_time.then(|| ClockSkew::of(moment(now + self.ahead), (moment(now + clock), moment(now + clock)))),
            ..Listing::default()
        };
        for (guise, row) in rows {
            let over = row.phase.ended();
            if over && (row.start.is_some_and(|start| start < since) || row.origin == Origin::External) {
                continue;
            }
            match guise {
                Guise::ExternalWithoutId => listing.unnamed = listing.unnamed.max(Some(UnnamedOperation { start: row.start })),
                Guise::WithoutId => {
                    listing.truncated = true;
                    listing.may_hide_running |= !over;
                }
                _ => listing.operations.push(row),
            }
        }
        listing.operations.sort_by_key(|operation| std::cmp::Reverse(operation.start.unwrap_or(jiff::Timestamp::MAX)));
        listing
    }

    /// The models are deleted, their access is lost, or all is as it was.
    pub fn show(&mut self, sight: Sight) {
        self.sight = sight;
        if sight == Sight::Deleted {
            for op in &mut self.ops {
                Arc::make_mut(op).vanished = true;
            }
        }
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
