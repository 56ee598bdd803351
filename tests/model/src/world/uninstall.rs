//! An uninstall: the operator drains, and when no operation is running, the finalizers are removed. `controller::drain` implements it, in a
//! process besides the operator.

use tabular_operator::api::{DeletionPolicy, RunState};
use tabular_operator::engine::DrainMode;

use super::object::Object;
use super::{Action, Leadership, Violation, World};
use crate::invariants;

/// The progress of an uninstall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Uninstall {
    /// There is no uninstall.
    #[default]
    None,
    /// The Lease requests a drain.
    Draining(DrainMode),
    /// No operation is running, and the finalizers are being removed.
    Drained(DrainMode),
    /// The operator was removed.
    Removed,
}

impl Uninstall {
    /// The drain that the Lease requests.
    #[must_use]
    pub fn drain_request(self) -> Option<DrainMode> {
        match self {
            Self::Draining(mode) | Self::Drained(mode) => Some(mode),
            Self::None | Self::Removed => None,
        }
    }
}

impl World {
    /// The possible next actions of an uninstall.
    pub(super) fn of_uninstall(&self, actions: &mut Vec<Action>) {
        match self.uninstall {
            Uninstall::None if self.budget.drains > 0 => {
                actions.extend([DrainMode::Cancel, DrainMode::Wait].map(|mode| Action::RequestDrain { mode }));
            }
            Uninstall::None => {}
            Uninstall::Draining(_) => {
                actions.push(Action::WithdrawDrain);
                if self.is_drained() {
                    actions.push(Action::CompleteDrain);
                }
            }
            Uninstall::Drained(_) => {
                let is_listed = |resource: &usize| self.resources[*resource].listed_version.is_some();
                actions.extend((0..self.resources.len()).filter(is_listed).map(|resource| Action::RemoveFinalizer { resource }));
                if self.resources.iter().all(|resource| resource.listed_version.is_none()) {
                    actions.push(Action::Uninstall);
                }
            }
            Uninstall::Removed => actions.push(Action::Install),
        }
        let observes = |operator: &usize| self.has_unobserved_drain(*operator);
        actions.extend((0..self.operators.len()).filter(observes).map(|operator| Action::ObserveDrain { operator }));
    }

    /// Whether an operator has not observed the current request in the Lease. With two operators, the holder observes it when it renews the
    /// Lease.
    #[must_use]
    pub fn has_unobserved_drain(&self, operator: usize) -> bool {
        let it = &self.operators[operator];
        it.up && it.leadership == Leadership::NoElection && it.observed_drain != self.uninstall.drain_request()
    }

    /// Whether the check after the request shows no running operation: only operators that have observed the request start no runs.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let request = self.uninstall.drain_request();
        let has_observed = |operator: usize| {
            let it = &self.operators[operator];
            // The holder of the Lease has renewed it since, its Lease has expired, or there is none.
            self.scenario.broken_rules.unobserved_drain
                || !it.up
                || it.observed_drain == request
                || it.leadership == Leadership::Standby
                || !self.leads(operator)
        };
        (0..self.operators.len()).all(has_observed)
            && self.resources.iter().all(|resource| resource.is_deleted || !is_in_progress(resource.now()))
    }

    /// An operator reads the Lease, and reconciles all resources if the request has changed.
    pub(super) fn observe_drain(&mut self, operator: usize) {
        let (request, it) = (self.uninstall.drain_request(), &mut self.operators[operator]);
        if it.observed_drain != request {
            it.observed_drain = request;
            it.states.iter_mut().for_each(|state| state.dirty = true);
        }
    }

    /// Applies an action of the uninstall.
    pub(super) fn apply_uninstall(&mut self, action: Action) -> Result<(), Violation> {
        match action {
            Action::RequestDrain { mode } => {
                self.budget.drains -= 1;
                self.uninstall = Uninstall::Draining(mode);
            }
            Action::WithdrawDrain => self.uninstall = Uninstall::None,
            Action::ObserveDrain { operator } => self.observe_drain(operator),
            Action::CompleteDrain => {
                self.uninstall = self.uninstall.drain_request().map_or(Uninstall::None, Uninstall::Drained);
                for index in 0..self.resources.len() {
                    let it = self.resource(index);
                    it.left_running = !it.is_deleted && left_running(it.now());
                    it.listed_version = (!it.is_deleted && it.now().revision.desired.has_finalizer).then(|| it.now().version);
                }
            }
            Action::RemoveFinalizer { resource } => {
                let listed_version = self.resource(resource).listed_version.take();
                let it = &self.resources[resource];
                // A resource that has changed since keeps its finalizer, and the uninstall reports it.
                if !it.is_deleted && Some(it.now().version) == listed_version {
                    invariants::finalizer_removed_by_uninstall(self, resource)?;
                    let it = self.resource(resource);
                    it.reported |= it.left_running;
                    it.set_finalizer(false);
                    self.mark_changed(resource);
                }
            }
            Action::Uninstall => {
                invariants::uninstalled(self)?;
                self.uninstall = Uninstall::Removed;
                for operator in &mut self.operators {
                    operator.restart(false);
                }
            }
            Action::Install => {
                self.uninstall = Uninstall::None;
                for operator in 0..self.operators.len() {
                    self.operators[operator].up = true;
                    self.rebuild(operator);
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

/// Whether the uninstall leaves its operation running, and reports that.
fn left_running(object: &Object) -> bool {
    runs(object) && object.revision.desired.policy.deletion == DeletionPolicy::Orphan
}

fn is_in_progress(object: &Object) -> bool {
    runs(object) && !left_running(object)
}
