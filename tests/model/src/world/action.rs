//! What may happen next.

use std::time::Duration;

use tabular_operator::engine::DrainMode;
use tabular_operator::engine::reconcile::{Call, NextEffect, Rejection, Request};
use tabular_operator::operation::{OperationKind, Phase, ServiceErrorKind};

use super::cluster::Object;
use super::operator::Gone;
use super::{Guise, HOLD, LEASE, Second, Sight, Standing, Task, Uninstall, Waits, Wish, Work, World};

/// How a step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// As it should.
    Well,
    /// It is lost on the way there.
    LostBefore,
    /// It is done, and the answer is lost.
    LostAfter,
    /// Its answer is lost, and it arrives later, or never.
    Late,
    /// The service refuses it.
    Refused(ServiceErrorKind),
    /// The API server rejects the write.
    Rejected(Rejection),
    /// The call cannot be prepared: a Secret is missing.
    Unprepared,
    /// The preparation takes so many seconds.
    Slow(Second),
    /// Its timeout passes first.
    TimedOut,
    /// The response shows the operations of this operator so.
    Shown(Guise),
}

/// One thing that may happen. Its fields are indices, and times in seconds.
#[allow(missing_docs)] // the names say it
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// An operator begins a pass over a resource, on a view that is so many versions old.
    Begin { operator: usize, resource: usize, age: usize },
    /// A request of a reconciliation is performed.
    Go { operator: usize, resource: usize, how: How },
    /// Its response comes to the reconciliation.
    Deliver { operator: usize, resource: usize },
    /// The driver of a reconciliation stops: a timeout, a panic, a dropped future.
    Abandon { operator: usize, resource: usize },
    /// A write of the status whose response was lost is performed at last.
    Land { write: usize },
    /// SIGKILL.
    Crash { operator: usize },
    /// An operator is started.
    Start { operator: usize },
    /// The holder renews the Lease; the answer is lost where `heard` is false.
    Renew { operator: usize, heard: bool },
    /// A candidate takes the Lease.
    Take { operator: usize },
    /// A process whose Lease has run out ends, and comes back as a candidate.
    Exit { operator: usize },
    /// An operation ends.
    End { op: usize, phase: Phase },
    /// The service shows an operation at last.
    Show { op: usize },
    /// The service loses an operation.
    Vanish { op: usize },
    /// A submission arrives at last.
    Arrive { post: usize },
    /// Another client starts a refresh, which the service shows so.
    Stranger { model: u8, work: Work, guise: Guise },
    /// A person acts.
    Wish { resource: usize, wish: Wish },
    /// The namespace ends, and all that is in it.
    EndNamespace,
    /// The names of the model that is given by names come to stand for another one.
    Rename,
    /// The first resource begins to ail, or is well again.
    Ail { ailing: bool },
    /// The models are deleted, are hidden, or are to be seen again.
    See { sight: Sight },
    /// An uninstall begins: the word is said.
    Leave { leaving: DrainMode },
    /// It is given up, and the word is taken back.
    Stay,
    /// An operator hears the word, or that it was taken back.
    Heed { operator: usize },
    /// Nothing is under way.
    Drained,
    /// The finalizer is taken off, unless the resource has changed since it was listed.
    Strip { resource: usize },
    /// The operator is gone.
    Uninstall,
    /// It is installed again.
    Install,
    /// Time goes by until something is due.
    Tick,
    /// Time goes by, whatever is due: the operators are late.
    Sleep { by: Second },
    /// The wall clock of an operator steps.
    Jump { operator: usize, by: Second },
}

impl World {
    /// Everything that may happen next.
    #[must_use]
    pub fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::with_capacity(16);
        if let Some((operator, resource)) = self.committed() {
            self.ways(operator, resource, &mut actions);
            return actions;
        }
        for operator in 0..self.operators.len() {
            self.of_operator(operator, &mut actions);
        }
        self.of_service(&mut actions);
        if self.left.wishes > 0 {
            for (resource, object) in self.resources.iter().enumerate() {
                let may = self.scenario.wishes.iter().filter(|wish| object.may(**wish));
                actions.extend(may.map(|wish| Action::Wish { resource, wish: *wish }));
            }
            if self.scenario.namespace_ends && self.resources.iter().any(|object| !object.gone && object.deleted.is_none()) {
                actions.push(Action::EndNamespace);
            }
            if self.scenario.renames {
                actions.push(Action::Rename);
            }
        }
        if self.left.ails > 0 && self.scenario.ail.is_some() && !self.ailing {
            actions.push(Action::Ail { ailing: true });
        }
        if self.left.sights > 0 {
            let others = self.scenario.sights.iter().filter(|sight| **sight != self.service.sight);
            actions.extend(others.map(|sight| Action::See { sight: *sight }));
        }
        self.of_uninstall(&mut actions);
        self.of_time(&mut actions);
        actions
    }

    /// The reconciliation that has just decided: what it requests before the effect is performed before anything else happens.
    fn committed(&self) -> Option<(usize, usize)> {
        let committed = |(_, mind): &(usize, &super::Mind)| mind.task.as_ref().is_some_and(|task| task.is_committed());
        let of =
            |(index, operator): (usize, &super::Operator)| operator.minds.iter().enumerate().find(committed).map(|(mind, _)| (index, mind));
        self.operators.iter().enumerate().find_map(of)
    }

    /// What may become of the reconciliation in progress.
    fn ways(&self, operator: usize, resource: usize, actions: &mut Vec<Action>) {
        let Some(task) = &self.operators[operator].minds[resource].task else { return };
        if self.left.abandons > 0 {
            actions.push(Action::Abandon { operator, resource });
        }
        match &task.waits {
            Waits::Response(_) => actions.push(Action::Deliver { operator, resource }),
            Waits::Request(request) => {
                actions.extend(self.fates(operator, resource, task, request).into_iter().map(|how| Action::Go { operator, resource, how }));
            }
        }
    }

    /// What may become of a request.
    fn fates(&self, operator: usize, resource: usize, task: &Task, request: &Request<Object>) -> Vec<How> {
        let (mut fates, calls) = (vec![How::Well], self.left.calls > 0);
        if self.ail_of(resource).is_some() {
            return fates;
        }
        let times_out = |timeout: Option<Duration>| timeout.filter(|_| calls).map(|_| How::TimedOut);
        match request {
            Request::Prepare { timeout, .. } => {
                fates.extend((self.left.unprepared > 0).then_some(How::Unprepared));
                fates.extend(self.scenario.sleeps.iter().filter(|_| self.left.delays > 0).map(|by| How::Slow(*by)));
                fates.extend(times_out(*timeout));
            }
            Request::WriteStatus { .. } if !calls || !self.leads(operator) || !self.is_current(resource, task.machine.view()) => {}
            Request::WriteStatus { .. } => {
                fates.extend([How::LostBefore, How::LostAfter]);
                fates.extend(self.scenario.late_writes.then_some(How::Late));
                fates.extend(self.scenario.rejections.iter().map(|rejection| How::Rejected(*rejection)));
            }
            // A call, after the observation that comes immediately before it.
            Request::Observe => {
                let decision = task.decision();
                if let Some(NextEffect::Call(call)) = decision.map(|decision| &decision.effect) {
                    self.fates_of(call, &mut fates);
                    if !matches!(call, Call::Submit(_)) {
                        fates.extend(times_out(decision.and_then(|decision| decision.deadline).map(|_| Duration::ZERO)));
                    }
                }
            }
            Request::Call { call, .. } => self.fates_of(call, &mut fates),
            Request::Read { .. } | Request::ReadNamespace => fates.extend(calls.then_some(How::LostBefore)),
            Request::AddFinalizer | Request::RemoveAnnotation(_) | Request::RemoveFinalizer { .. } if calls => {
                fates.extend([How::LostBefore, How::LostAfter]);
                fates.extend(self.scenario.rejections.iter().map(|rejection| How::Rejected(*rejection)));
            }
            Request::AddFinalizer | Request::RemoveAnnotation(_) | Request::RemoveFinalizer { .. } => {}
            Request::Reserve { .. } | Request::AcquireTurn { .. } | Request::Publish { .. } | Request::Done(_) => {}
        }
        fates
    }

    /// What may become of a call.
    fn fates_of(&self, call: &Call, fates: &mut Vec<How>) {
        let calls = self.left.calls > 0;
        match call {
            Call::Submit(_) if self.left.posts > 0 => fates.extend(&self.scenario.posts),
            Call::Submit(_) => {}
            Call::Cancel(_) if calls => fates.extend([How::LostBefore, How::LostAfter]),
            Call::Cancel(_) => {}
            Call::Poll(..) | Call::List(..) | Call::FindModel | Call::ResolveModel => {
                fates.extend(calls.then_some(How::LostBefore));
                if self.left.guises > 0 && matches!(call, Call::Poll(..) | Call::List(..)) {
                    fates.extend(self.scenario.guises.iter().copied().map(How::Shown));
                }
            }
        }
    }

    fn of_operator(&self, operator: usize, actions: &mut Vec<Action>) {
        let it = &self.operators[operator];
        if !it.up {
            if self.uninstall != Uninstall::Gone {
                actions.push(Action::Start { operator });
            }
            return;
        }
        for (resource, mind) in it.minds.iter().enumerate() {
            if mind.task.is_some() {
                self.ways(operator, resource, actions);
            } else if self.leads(operator) && mind.gone != Gone::Forgotten {
                let due = mind.is_due(self.now);
                if due || self.left.wakes > 0 {
                    actions.push(Action::Begin { operator, resource, age: 0 });
                }
                if due && self.left.stale > 0 && mind.gone == Gone::No {
                    let of = &self.resources[resource];
                    let shown = (1..of.versions.len()).filter(|age| of.aged(*age).version >= mind.known);
                    actions.extend(shown.map(|age| Action::Begin { operator, resource, age }));
                }
            }
        }
        if self.left.crashes > 0 && it.has_memory() {
            actions.push(Action::Crash { operator });
        }
        match it.standing {
            Standing::Alone => {}
            Standing::Leads { until } => {
                let ours = self.lease.holder == operator && self.now < until;
                if self.now >= until {
                    actions.push(Action::Exit { operator });
                }
                if ours && until < self.now + HOLD {
                    actions.push(Action::Renew { operator, heard: true });
                    if self.left.calls > 0 {
                        actions.push(Action::Renew { operator, heard: false });
                    }
                }
            }
            Standing::StandsBy => {
                if self.now >= self.lease.renewed + LEASE {
                    actions.push(Action::Take { operator });
                }
            }
        }
        if self.left.jumps > 0 {
            actions.extend(self.scenario.jumps.iter().map(|by| Action::Jump { operator, by: *by }));
        }
    }

    fn of_service(&self, actions: &mut Vec<Action>) {
        for (op, it) in self.service.ops.iter().enumerate() {
            if it.live() {
                actions.push(Action::End { op, phase: Phase::Succeeded });
                if it.cancelling {
                    actions.push(Action::End { op, phase: Phase::Cancelled });
                }
                let ours = it.owner != super::Owner::Stranger;
                if self.left.failures > 0 && ours {
                    actions.extend(self.scenario.ends.iter().map(|phase| Action::End { op, phase: *phase }));
                }
            }
            if !it.visible {
                actions.push(Action::Show { op });
            }
            if self.left.vanishes > 0 && !it.vanished {
                actions.push(Action::Vanish { op });
            }
        }
        actions.extend((0..self.service.posts.len()).map(|post| Action::Arrive { post }));
        actions.extend((0..self.late.len()).map(|write| Action::Land { write }));
        if self.left.strangers > 0 {
            let mut models: Vec<u8> = (0..self.resources.len()).map(|resource| self.model_of(resource)).collect();
            models.sort_unstable();
            models.dedup();
            models.retain(|model| *model != u8::MAX);
            for model in models.into_iter().filter(|model| self.service.running(*model, OperationKind::Refresh).is_none()) {
                actions.extend(self.scenario.others.iter().map(|(work, guise)| Action::Stranger { model, work: *work, guise: *guise }));
            }
        }
    }

    fn of_time(&self, actions: &mut Vec<Action>) {
        if self.is_urgent() {
            if self.left.delays > 0 {
                actions.extend(self.scenario.sleeps.iter().map(|by| Action::Sleep { by: *by }));
            }
        } else if self.next_moment().is_some() {
            actions.push(Action::Tick);
        }
    }

    /// Whether an operator has something to do at this moment.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        (0..self.operators.len()).any(|index| {
            let operator = &self.operators[index];
            let busy = |mind: &super::Mind| mind.task.is_some();
            let due = |mind: &super::Mind| mind.is_due(self.now) && mind.gone != Gone::Forgotten;
            (!operator.up && self.uninstall != Uninstall::Gone)
                || operator.minds.iter().any(busy)
                || (self.leads(index) && operator.minds.iter().any(due))
                || match operator.standing {
                    Standing::Alone => false,
                    Standing::Leads { until } => self.now >= until,
                    Standing::StandsBy => self.now >= self.lease.renewed + LEASE,
                }
        })
    }

    /// When something is due next.
    #[must_use]
    pub fn next_moment(&self) -> Option<Second> {
        let mut moments: Vec<Second> = Vec::new();
        for (index, operator) in self.operators.iter().enumerate() {
            if self.leads(index) {
                moments.extend(operator.minds.iter().filter(|mind| mind.gone != Gone::Forgotten).filter_map(|mind| mind.due));
            }
            match operator.standing {
                Standing::Alone => {}
                // It is time to renew it, and it has run out.
                Standing::Leads { until } => moments.extend([until - HOLD + LEASE / 3, until]),
                Standing::StandsBy => moments.push(self.lease.renewed + LEASE),
            }
        }
        moments.extend(self.service.ops.iter().filter(|op| !op.visible).map(|op| op.began + self.service.lag));
        moments.extend(self.service.posts.iter().map(|post| post.by + 1));
        moments.into_iter().filter(|moment| *moment > self.now).min()
    }
}
