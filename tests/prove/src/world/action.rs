//! What may happen next.

use std::fmt;

use tabular_operator::engine::{Effect, Leaving};
use tabular_operator::operation::{OperationKind, Phase, TroubleKind};

use super::{Guise, HOLD, LEASE, Second, Sight, Standing, Task, Uninstall, Wish, Work, World};

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
    Refused(TroubleKind),
    /// The call cannot be prepared: a Secret is missing.
    Unprepared,
    /// The response shows the operations of this operator so.
    Shown(Guise),
}

/// One thing that may happen. Its fields are indices, and times in seconds.
#[allow(missing_docs)] // the names say it
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// An operator begins a pass over a resource, on a view that is so many versions old.
    Begin { operator: usize, resource: usize, age: usize },
    /// An operator decides on what it has just learnt.
    Decide { operator: usize, resource: usize },
    /// An operator takes the next step of its pass: the write of what it decided, or the effect.
    Go { operator: usize, resource: usize, how: How },
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
    Leave { leaving: Leaving },
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

/// Whether an effect is a call to the service, as `controller::effects` has it.
pub(super) fn is_call(effect: &Effect) -> bool {
    match effect {
        Effect::Submit | Effect::Resolve | Effect::Look(_) | Effect::List(..) | Effect::FindModel | Effect::Cancel(_) => true,
        Effect::Nothing | Effect::AddFinalizer | Effect::TakeTurn | Effect::RemoveAnnotation(_) | Effect::Release => false,
    }
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

    /// Whose decision has just been made: it is written before anything else happens.
    fn committed(&self) -> Option<(usize, usize)> {
        let decided = |(_, mind): &(usize, &super::Mind)| matches!(mind.task, Task::Decided { .. });
        let of =
            |(index, operator): (usize, &super::Operator)| operator.minds.iter().enumerate().find(decided).map(|(mind, _)| (index, mind));
        self.operators.iter().enumerate().find_map(of)
    }

    /// The ways in which the next step of a pass may go.
    fn ways(&self, operator: usize, resource: usize, actions: &mut Vec<Action>) {
        let mut way = |how| actions.push(Action::Go { operator, resource, how });
        let (calls, both) = (self.left.calls > 0, [How::LostBefore, How::LostAfter]);
        if self.ail_of(resource).is_some() {
            return way(How::Well);
        }
        match &self.operators[operator].minds[resource].task {
            Task::Idle | Task::Learnt { .. } => {}
            Task::Decided { view, step, .. } => {
                way(How::Well);
                if self.left.unprepared > 0 && is_call(&step.effect) {
                    way(How::Unprepared);
                }
                let writes = step.recorded != *view.status && self.is_current(resource, view) && self.leads(operator);
                if writes && calls {
                    both.into_iter().for_each(way);
                }
            }
            Task::Acting { step, .. } => {
                way(How::Well);
                match &step.effect {
                    Effect::Submit if self.left.posts > 0 => self.scenario.posts.iter().copied().for_each(way),
                    Effect::Look(_) | Effect::List(..) | Effect::FindModel | Effect::Resolve => {
                        if calls {
                            way(How::LostBefore);
                        }
                        if self.left.guises > 0 && !matches!(step.effect, Effect::Resolve | Effect::FindModel) {
                            self.scenario.guises.iter().copied().map(How::Shown).for_each(way);
                        }
                    }
                    Effect::Cancel(_) | Effect::AddFinalizer | Effect::RemoveAnnotation(_) | Effect::Release if calls => {
                        both.into_iter().for_each(way);
                    }
                    Effect::Nothing
                    | Effect::TakeTurn
                    | Effect::Submit
                    | Effect::Cancel(_)
                    | Effect::AddFinalizer
                    | Effect::RemoveAnnotation(_)
                    | Effect::Release => {}
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
            match &mind.task {
                Task::Idle if self.leads(operator) && !self.resources[resource].gone => {
                    let due = mind.is_due(self.now);
                    if due || self.left.wakes > 0 {
                        actions.push(Action::Begin { operator, resource, age: 0 });
                    }
                    if due && self.left.stale > 0 {
                        let of = &self.resources[resource];
                        let shown = (1..of.versions.len()).filter(|age| of.aged(*age).version >= mind.known);
                        actions.extend(shown.map(|age| Action::Begin { operator, resource, age }));
                    }
                }
                Task::Idle => {}
                Task::Learnt { .. } => actions.push(Action::Decide { operator, resource }),
                Task::Decided { .. } | Task::Acting { .. } => self.ways(operator, resource, actions),
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
            let busy = |mind: &super::Mind| !matches!(mind.task, Task::Idle);
            let due = |(resource, mind): (usize, &super::Mind)| mind.is_due(self.now) && !self.resources[resource].gone;
            (!operator.up && self.uninstall != Uninstall::Gone)
                || operator.minds.iter().any(busy)
                || (self.leads(index) && operator.minds.iter().enumerate().any(due))
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
                let there = |(resource, _): &(usize, &super::Mind)| !self.resources[*resource].gone;
                moments.extend(operator.minds.iter().enumerate().filter(there).filter_map(|(_, mind)| mind.due));
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

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |operator: &usize| char::from(b'A' + u8::try_from(*operator).unwrap_or(25));
        match self {
            Self::Begin { operator, resource, age: 0 } => write!(f, "operator {} looks at resource {resource}", name(operator)),
            Self::Begin { operator, resource, age } => {
                write!(f, "operator {} looks at resource {resource}, as it was {age} version(s) ago", name(operator))
            }
            Self::Decide { operator, resource } => write!(f, "operator {} decides for resource {resource}", name(operator)),
            Self::Go { operator, resource, how } => {
                let how = match how {
                    How::Well => String::new(),
                    How::LostBefore => ": lost before it arrives".to_owned(),
                    How::LostAfter => ": done, and the answer is lost".to_owned(),
                    How::Late => ": no answer, and it is still on its way".to_owned(),
                    How::Refused(kind) => format!(": refused ({kind:?})"),
                    How::Unprepared => ": cannot be prepared, the Secret is missing".to_owned(),
                    How::Shown(guise) => format!(": the service shows ours as {guise:?}"),
                };
                write!(f, "operator {} goes on with resource {resource}{how}", name(operator))
            }
            Self::Crash { operator } => write!(f, "operator {} is killed", name(operator)),
            Self::Start { operator } => write!(f, "operator {} is started", name(operator)),
            Self::Renew { operator, heard } => {
                write!(f, "operator {} renews the Lease{}", name(operator), if *heard { "" } else { ", and does not hear of it" })
            }
            Self::Take { operator } => write!(f, "operator {} takes the Lease", name(operator)),
            Self::Exit { operator } => write!(f, "operator {} ends, for its Lease has run out, and stands by", name(operator)),
            Self::End { op, phase } => write!(f, "op-{op} ends: {phase:?}"),
            Self::Show { op } => write!(f, "the service shows op-{op}"),
            Self::Vanish { op } => write!(f, "the service loses op-{op}"),
            Self::Arrive { post } => write!(f, "submission {post} arrives at last"),
            Self::Stranger { model, work, guise } => {
                write!(f, "another client refreshes model {model}: {work:?} as ours, and shown as {guise:?}")
            }
            Self::Wish { resource, wish } => write!(f, "a person changes resource {resource}: {wish:?}"),
            Self::EndNamespace => write!(f, "the namespace is deleted"),
            Self::Rename => write!(f, "the model's names come to stand for another one"),
            Self::Ail { ailing: true } => write!(f, "resource 0 begins to ail"),
            Self::Ail { ailing: false } => write!(f, "resource 0 is well again"),
            Self::See { sight: Sight::All } => write!(f, "the models are to be seen again"),
            Self::See { sight: Sight::Deleted } => write!(f, "the models are deleted"),
            Self::See { sight: Sight::Hidden } => write!(f, "the models are hidden from this identity"),
            Self::Leave { leaving } => write!(f, "an uninstall begins ({leaving:?})"),
            Self::Stay => write!(f, "the uninstall is given up"),
            Self::Heed { operator } => write!(f, "operator {} hears of it", name(operator)),
            Self::Drained => write!(f, "the uninstall finds nothing under way"),
            Self::Strip { resource } => write!(f, "the uninstall takes the finalizer off resource {resource}"),
            Self::Uninstall => write!(f, "the operator is uninstalled"),
            Self::Install => write!(f, "the operator is installed again"),
            Self::Tick => write!(f, "time goes by"),
            Self::Sleep { by } => write!(f, "{by} s go by, and the operators are late"),
            Self::Jump { operator, by } => write!(f, "the wall clock of operator {} steps by {by} s", name(operator)),
        }
    }
}
