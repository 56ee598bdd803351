//! The calls to the service, as `controller::effects` makes them, and what comes back.

use std::collections::BTreeSet;
use std::sync::Arc;

use tabular_operator::api::Time;
use tabular_operator::engine::{Effect, Seen, Step, Taken, unresolved_since};
use tabular_operator::operation::{
    Cancellation, Look, ModelIds, OperationId, OperationKind, Presence, Resolution, Submission, Trouble, TroubleKind,
};

use super::cluster::Object;
use super::play::{ids_of, index_of};
use super::{Broken, Guise, How, MARGIN, Op, Operator, Owner, Post, Sight, World};
use crate::laws;

/// What a call that brought nothing is told as.
const TROUBLE: TroubleKind = TroubleKind::Unreachable;

/// A trouble of this kind.
fn trouble(kind: TroubleKind) -> Trouble {
    Trouble { kind, message: format!("{kind:?}"), retry_after: None, activity_id: None }
}

impl World {
    /// Makes the call that an effect is.
    pub(super) fn call(&mut self, operator: usize, resource: usize, (view, step): (&Object, &Step), how: How) -> Result<Seen, Broken> {
        let model = index_of(&step.model);
        let lost = how == How::LostBefore;
        // Of a resource that is gone, what the service shows is all that is known: none of it is shown otherwise than it is.
        let of_gone = |op: &Arc<Op>| matches!(op.owner, Owner::Run { resource: of, .. } if self.resources[of].gone);
        let ours = if let How::Shown(guise) = how
            && !self.service.ops.iter().any(of_gone)
        {
            guise
        } else {
            Guise::Plain
        };
        Ok(match &step.effect {
            Effect::Submit => self.submit(operator, resource, (view, model), how)?,
            Effect::Look(_) if self.service.sight != Sight::All => Seen::Look(Look::Gone),
            Effect::List(kind, _) if self.service.sight != Sight::All => {
                Seen::Listing { kind: *kind, result: Err(trouble(TroubleKind::NotFound)), taken: Taken::default() }
            }
            Effect::FindModel if lost => Seen::Presence(Presence::Trouble(trouble(TROUBLE))),
            Effect::FindModel => Seen::Presence(match self.service.sight {
                Sight::All => Presence::There,
                Sight::Deleted => Presence::Gone,
                Sight::Hidden => Presence::Trouble(trouble(TroubleKind::NotFound)),
            }),
            Effect::Look(_) if lost => Seen::Look(Look::Trouble(trouble(TROUBLE))),
            Effect::Look(handle) => Seen::Look(self.look(&handle.id, (model, kind_of(view)), ours)),
            Effect::List(kind, since) => {
                let listing = || self.service.list((model, *kind), *since, (self.now, self.operators[operator].clock), ours);
                let result = if lost { Err(trouble(TROUBLE)) } else { Ok(listing()) };
                Seen::Listing { kind: *kind, result, taken: self.taken_by_others(operator, resource, *kind, model) }
            }
            Effect::Cancel(id) => self.cancel(resource, (view, model), id, how)?,
            Effect::Resolve if lost => Seen::Resolved(Resolution::Trouble(trouble(TROUBLE))),
            Effect::Resolve => {
                let (group_id, dataset_id) = ids_of(self.service.named);
                Seen::Resolved(Resolution::Found(ModelIds { group_id, dataset_id }))
            }
            Effect::Nothing | Effect::TakeTurn | Effect::AddFinalizer | Effect::RemoveAnnotation(_) | Effect::Release => Seen::Nothing,
        })
    }

    fn submit(&mut self, operator: usize, resource: usize, (view, model): (&Object, u8), how: How) -> Result<Seen, Broken> {
        let unanswered = || Seen::Submission(Submission::Unanswered { message: "no answer".to_owned() });
        // The Lease has run out since the intent was written, or is about to; or the operator has heard that it is to go.
        if !self.leads_for(operator, MARGIN) || self.operators[operator].heard.is_some() {
            return Ok(Seen::Submission(Submission::Deferred { message: "nothing was submitted".to_owned() }));
        }
        let Some(run) = view.status.run.as_ref() else { return Ok(unanswered()) };
        let timeout = self.scenario.call_timeout;
        let intent = run.submitted_time.map_or(self.wall(operator), Time::timestamp);
        let spent = self.wall(operator).duration_since(intent).as_secs().max(0);
        let left = timeout + 1 - spent;
        if left * 4 < timeout && !self.scenario.careless.deadline {
            return Ok(Seen::Submission(Submission::Deferred { message: "nothing was submitted".to_owned() }));
        }
        laws::submission(self, operator, resource, (view, model))?;
        let owner = Owner::Run { resource, number: run.number, attempt: run.attempt };
        let request = Arc::new(view.edition.desired.work.request.clone());
        Ok(match how {
            How::Well | How::Unprepared | How::Shown(_) => Seen::Submission(match self.service.take(model, owner, &request, self.now) {
                Some(id) => Submission::Accepted { id, location: None, activity_id: None, retry_after: None },
                None if self.service.sight != Sight::All => Submission::Refused(trouble(TroubleKind::NotFound)),
                None => Submission::Busy { message: "another refresh is running".to_owned() },
            }),
            How::LostBefore => unanswered(),
            How::LostAfter => {
                let _ = self.service.take(model, owner, &request, self.now);
                unanswered()
            }
            How::Late => {
                self.service.posts.push(Post { model, owner, request, by: self.now + left });
                unanswered()
            }
            How::Refused(kind) => Seen::Submission(Submission::Refused(trouble(kind))),
        })
    }

    fn look(&self, id: &OperationId, (model, kind): (u8, OperationKind), ours: Guise) -> Look {
        self.service.shown(id, kind, model).map_or(Look::Gone, |op| Look::Found {
            operation: Box::new(self.service.describe(&self.service.ops[op], ours)),
            retry_after: None,
            location: None,
        })
    }

    fn cancel(&mut self, resource: usize, (view, model): (&Object, u8), id: &OperationId, how: How) -> Result<Seen, Broken> {
        laws::cancellation(self, resource, view, id)?;
        let lost = || Cancellation::Trouble(trouble(TROUBLE));
        let shown = self.service.shown(id, OperationKind::Refresh, model).filter(|_| self.service.sight == Sight::All);
        let op = shown.filter(|op| self.service.ops[*op].live());
        Ok(Seen::Cancellation(match (how, op) {
            (How::LostBefore, _) => lost(),
            (_, None) => Cancellation::NothingToCancel,
            (_, Some(op)) => {
                self.service.change(op, |op| op.cancelling = true);
                if how == How::Well { Cancellation::Accepted } else { lost() }
            }
        }))
    }

    /// The operations that are other resources', as `controller::effects` gathers them.
    fn taken_by_others(&self, operator: usize, resource: usize, kind: OperationKind, model: u8) -> Taken {
        let others = self.resources.iter().enumerate().filter(|(index, other)| *index != resource && !other.gone);
        let unresolved = others.clone().map(|(_, other)| other.now()).filter(|other| kind_of(other) == kind);
        let unresolved = unresolved.filter_map(|other| other.status.run.as_ref()).filter(|run| index_of(&run.model) == model);
        let unresolved = unresolved.filter_map(unresolved_since).map(Time::timestamp).collect();
        let present: BTreeSet<Named> = others.flat_map(|(_, other)| named_by(other.now())).collect();
        let departed = &self.operators[operator].departed;
        let of = |named: &BTreeSet<Named>, candidates: bool| -> BTreeSet<String> {
            let of = named.iter().filter(|named| named.is_candidate == candidates && named.counts_for(kind, model));
            of.map(|named| named.id.clone()).collect()
        };
        let mut candidates = &of(&present, true) | &of(departed, true);
        candidates.extend(self.named_for_others(operator, resource).map(str::to_owned));
        Taken { watched: of(&present, false), let_go: of(departed, false), candidates, unresolved }
    }
}

/// An operation that a record names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Named {
    id: String,
    /// The model on which it counts, where it is a synchronisation's; a refresh's counts on any.
    synchronises: Option<u8>,
    /// Whether the resource does not follow it, but may have started it.
    is_candidate: bool,
}

impl Operator {
    /// The operations of this kind, and that may be on this model, of resources that it has let go.
    pub fn let_go(&self, kind: OperationKind, model: u8) -> impl Iterator<Item = &str> {
        self.departed.iter().filter(move |named| named.counts_for(kind, model)).map(|named| named.id.as_str())
    }
}

impl Named {
    fn counts_for(&self, kind: OperationKind, model: u8) -> bool {
        match kind {
            OperationKind::Refresh => self.synchronises.is_none(),
            OperationKind::Sync => self.synchronises == Some(model),
        }
    }
}

/// The operations that a record names: those that its runs follow or have followed, and those that an unknown submission may have
/// begun.
pub(super) fn named_by(object: &Object) -> BTreeSet<Named> {
    let of_history = object.status.history.iter().filter_map(|entry| entry.operation_id.as_ref());
    let of_run = object.status.run.iter().flat_map(|run| run.operation_id.iter().chain(&run.earlier_operation_ids));
    let followed: BTreeSet<&String> = of_history.chain(of_run).collect();
    let candidates = object.status.run.iter().flat_map(|run| &run.candidates).map(|candidate| &candidate.operation_id);
    let candidates = candidates.filter(|id| !followed.contains(id)).map(|id| (id, true));
    let models: Vec<Option<u8>> = match kind_of(object) {
        OperationKind::Refresh => vec![None],
        OperationKind::Sync => {
            let of_run = object.status.run.as_ref().map(|run| &run.model);
            of_run.into_iter().chain(object.edition.manifest.model()).map(|model| Some(index_of(model))).collect()
        }
    };
    let named = |(id, is_candidate): (&String, bool)| {
        models.iter().map(|model| Named { id: id.clone(), synchronises: *model, is_candidate }).collect::<Vec<_>>()
    };
    candidates.chain(followed.iter().map(|id| (*id, false))).flat_map(named).collect()
}

fn kind_of(object: &Object) -> OperationKind {
    object.edition.desired.work.request.kind()
}
