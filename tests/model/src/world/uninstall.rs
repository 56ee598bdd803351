//! An uninstall: the operator is told to begin nothing more, and once nothing is under way the finalizers are taken off.
//! `controller::drain` is the real one, beside the operator and in another process.

use tabular_operator::api::{DeletionPolicy, RunState};
use tabular_operator::engine::DrainMode;

use super::cluster::Object;
use super::{Action, Broken, Standing, World};
use crate::laws;

/// How far it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Uninstall {
    /// Nobody is about to.
    #[default]
    No,
    /// The word stands in the Lease.
    Said(DrainMode),
    /// Nothing was under way, and the finalizers come off.
    Done(DrainMode),
    /// There is no operator.
    Gone,
}

impl Uninstall {
    /// What the Lease says to whoever reads it.
    #[must_use]
    pub fn word(self) -> Option<DrainMode> {
        match self {
            Self::Said(leaving) | Self::Done(leaving) => Some(leaving),
            Self::No | Self::Gone => None,
        }
    }
}

impl World {
    /// What may happen next of it.
    pub(super) fn of_uninstall(&self, actions: &mut Vec<Action>) {
        match self.uninstall {
            Uninstall::No if self.left.leaves > 0 => {
                actions.extend([DrainMode::Cancel, DrainMode::Wait].map(|leaving| Action::Leave { leaving }));
            }
            Uninstall::No => {}
            Uninstall::Said(_) => {
                actions.push(Action::Stay);
                if self.is_drained() {
                    actions.push(Action::Drained);
                }
            }
            Uninstall::Done(_) => {
                let held = |resource: &usize| self.resources[*resource].listed.is_some();
                actions.extend((0..self.resources.len()).filter(held).map(|resource| Action::Strip { resource }));
                if self.resources.iter().all(|resource| resource.listed.is_none()) {
                    actions.push(Action::Uninstall);
                }
            }
            Uninstall::Gone => actions.push(Action::Install),
        }
        let hears = |operator: &usize| self.is_deaf(*operator);
        actions.extend((0..self.operators.len()).filter(hears).map(|operator| Action::Heed { operator }));
    }

    /// Whether an operator that acts has not heard what the Lease says now. Of two the holder hears it as it renews the Lease.
    #[must_use]
    pub fn is_deaf(&self, operator: usize) -> bool {
        let it = &self.operators[operator];
        it.up && it.standing == Standing::Alone && it.heard != self.uninstall.word()
    }

    /// Whether the look after the word shows nothing under way: only what has heard the word begins nothing more.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let word = self.uninstall.word();
        let heeded = |operator: usize| {
            let it = &self.operators[operator];
            // The holder of the Lease has renewed it since, or it has run out, or there is none.
            self.scenario.careless.deaf || !it.up || it.heard == word || it.standing == Standing::StandsBy || !self.leads(operator)
        };
        (0..self.operators.len()).all(heeded) && self.resources.iter().all(|resource| resource.gone || !is_under_way(resource.now()))
    }

    /// An operator reads the Lease, and looks at everything anew where that says something else than before.
    pub(super) fn reads_the_word(&mut self, operator: usize) {
        let (word, it) = (self.uninstall.word(), &mut self.operators[operator]);
        if it.heard != word {
            it.heard = word;
            it.minds.iter_mut().for_each(|mind| mind.dirty = true);
        }
    }

    /// Lets it go on.
    pub(super) fn uninstalls(&mut self, action: Action) -> Result<(), Broken> {
        match action {
            Action::Leave { leaving } => {
                self.left.leaves -= 1;
                self.uninstall = Uninstall::Said(leaving);
            }
            Action::Stay => self.uninstall = Uninstall::No,
            Action::Heed { operator } => self.reads_the_word(operator),
            Action::Drained => {
                self.uninstall = self.uninstall.word().map_or(Uninstall::No, Uninstall::Done);
                for index in 0..self.resources.len() {
                    let it = self.resource(index);
                    it.goes_on = !it.gone && goes_on(it.now());
                    it.listed = (!it.gone && it.now().edition.desired.finalizer).then(|| it.now().version);
                }
            }
            Action::Strip { resource } => {
                let listed = self.resource(resource).listed.take();
                let it = &self.resources[resource];
                // One that has changed since keeps its finalizer, and is named.
                if !it.gone && Some(it.now().version) == listed {
                    laws::stripped(self, resource)?;
                    let it = self.resource(resource);
                    it.said |= it.goes_on;
                    it.finalize(false);
                    self.touch(resource);
                }
            }
            Action::Uninstall => {
                laws::uninstalled(self)?;
                self.uninstall = Uninstall::Gone;
                for operator in &mut self.operators {
                    operator.restart(false);
                }
            }
            Action::Install => {
                self.uninstall = Uninstall::No;
                for operator in 0..self.operators.len() {
                    self.operators[operator].up = true;
                    self.read_all(operator);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn runs(object: &Object) -> bool {
    let run = object.status.run.as_ref();
    run.is_some_and(|run| matches!(run.state, RunState::Submitting | RunState::Running | RunState::Cancelling))
}

/// Whether its operation is to go on, and is said to.
fn goes_on(object: &Object) -> bool {
    runs(object) && object.edition.desired.policy.deletion == DeletionPolicy::Orphan
}

fn is_under_way(object: &Object) -> bool {
    runs(object) && !goes_on(object)
}
