//! What an action does: to the operators, to the service, to the resources, and to time.

use std::sync::Arc;

use jiff::Timestamp;
use tabular_operator::api::{Model, Reason, RunState, Status};
use tabular_operator::operation::{Phase, Request};

use super::cluster::Object;
use super::{Action, Broken, HOLD, LateWrite, Owner, Post, Second, Standing, Wish, World, moment};
use crate::laws;

/// The index of a model that is known by its names alone: no operation is ever on it.
const NAMELESS: u8 = u8::MAX;

/// The index of the first Power BI model. Those before it are in Analysis Services.
const POWER_BI: u8 = 2;

/// The index of a model.
#[must_use]
pub fn index_of(model: &Model) -> u8 {
    let database = model.analysis_services.as_ref().map(|model| model.database.as_str());
    let by_name = database.and_then(|name| name.strip_prefix("Model")?.parse().ok());
    let dataset = model.power_bi.as_ref().and_then(|model| model.dataset_id.as_deref());
    let by_id = || dataset.and_then(|id| id.rsplit('-').next()?.parse::<u8>().ok()).map(|number| POWER_BI + number);
    by_name.or_else(by_id).unwrap_or(NAMELESS)
}

/// The ids of the Power BI model with this number.
pub(crate) fn ids_of(number: u8) -> (String, String) {
    ("11111111-1111-4111-8111-111111111111".to_owned(), format!("22222222-2222-4222-8222-{number:012}"))
}

impl World {
    /// Lets something happen.
    ///
    /// # Errors
    /// The law that it breaks.
    pub fn play(&mut self, action: Action) -> Result<(), Broken> {
        match action {
            Action::Begin { operator, resource, age } => {
                self.left.stale -= u8::from(age > 0);
                let due = self.operators[operator].minds[resource].is_due(self.now);
                self.left.wakes -= u8::from(!due);
                self.begins(operator, resource, age)?;
            }
            Action::Go { operator, resource, how } => self.go(operator, resource, how)?,
            Action::Deliver { operator, resource } => self.delivers(operator, resource)?,
            Action::Abandon { operator, resource } => {
                self.left.abandons -= 1;
                self.abandons(operator, resource)?;
            }
            Action::Land { write } => {
                let LateWrite { operator, resource, version, status, decision } = self.late.remove(write);
                if !self.resources[resource].gone && self.resources[resource].now().version == version {
                    self.lands(operator, resource, &decision, &status)?;
                    self.touch(resource);
                }
            }
            Action::Crash { operator } => {
                self.left.crashes -= 1;
                self.operators[operator].restart(false);
            }
            Action::Exit { operator } => self.operators[operator].restart(true),
            Action::Start { operator } => {
                self.operators[operator].up = true;
                self.reads_the_word(operator);
                self.read_all(operator);
            }
            Action::Renew { operator, heard } => {
                self.lease.renewed = self.now;
                if heard {
                    self.reads_the_word(operator);
                    self.operators[operator].standing = Standing::Leads { until: self.now + HOLD };
                } else {
                    self.left.calls -= 1;
                }
            }
            Action::Take { operator } => {
                self.lease = super::Lease { holder: operator, renewed: self.now };
                self.operators[operator].restart(true);
                self.reads_the_word(operator);
                self.operators[operator].standing = Standing::Leads { until: self.now + HOLD };
                self.read_all(operator);
            }
            Action::Wish { resource, wish } => {
                self.left.wishes -= 1;
                let now = self.now;
                self.resource(resource).grant(wish, now);
                self.touch(resource);
            }
            Action::EndNamespace => {
                self.left.wishes -= 1;
                let now = self.now;
                for resource in 0..self.resources.len() {
                    self.resource(resource).end_namespace(now);
                    self.touch(resource);
                }
            }
            Action::Rename => {
                self.left.wishes -= 1;
                self.service.named = 1 - self.service.named;
            }
            Action::Ail { ailing } => {
                self.left.ails -= u8::from(ailing);
                self.ailing = ailing;
            }
            Action::See { sight } => {
                self.left.sights = self.left.sights.saturating_sub(1);
                self.service.show(sight);
            }
            Action::Leave { .. }
            | Action::Stay
            | Action::Heed { .. }
            | Action::Drained
            | Action::Strip { .. }
            | Action::Uninstall
            | Action::Install => self.uninstalls(action)?,
            Action::Tick => {
                let next = self.next_moment().unwrap_or(self.now);
                self.advance(next);
            }
            Action::Sleep { by } => {
                self.left.delays -= 1;
                self.advance(self.now + by);
            }
            Action::Jump { operator, by } => {
                self.left.jumps -= 1;
                self.operators[operator].clock += by;
            }
            Action::End { .. } | Action::Show { .. } | Action::Vanish { .. } | Action::Arrive { .. } | Action::Stranger { .. } => {
                self.serve(action);
            }
        }
        self.forget_the_gone();
        laws::always(self)
    }

    /// What happens at the service.
    fn serve(&mut self, action: Action) {
        let now = self.now;
        match action {
            Action::End { op, phase } => {
                let by_itself = phase == Phase::Succeeded || (phase == Phase::Cancelled && self.service.ops[op].cancelling);
                self.left.failures -= u8::from(!by_itself);
                self.service.change(op, |op| op.ended = Some((now, phase)));
            }
            Action::Show { op } => self.service.change(op, |op| op.visible = true),
            Action::Vanish { op } => {
                self.left.vanishes -= 1;
                self.service.change(op, |op| op.vanished = true);
            }
            Action::Arrive { post } => {
                let Post { model, owner, request, .. } = self.service.posts.remove(post);
                // Busy, where another was first; nobody hears of it.
                let _ = self.service.take(model, owner, &request, now);
            }
            Action::Stranger { model, work, guise } => {
                self.left.strangers -= 1;
                let on_it = (0..self.resources.len()).find(|resource| self.model_of(*resource) == model);
                let ours = on_it.map_or(Request::Sync, |resource| self.resources[resource].now().edition.desired.work.request.clone());
                if self.service.take(model, Owner::Stranger, &Arc::new(work.beside(&ours)), now).is_some() {
                    self.service.change(self.service.ops.len() - 1, |op| op.guise = guise);
                }
            }
            _ => {}
        }
    }

    /// Lets time go by.
    pub(crate) fn advance(&mut self, to: Second) {
        self.now = to;
        self.service.pass_time(to);
    }

    /// Somebody has changed a resource: every operator that watches sees it.
    pub(crate) fn touch(&mut self, resource: usize) {
        for operator in &mut self.operators {
            operator.minds[resource].dirty = true;
        }
        self.late.retain(|write| write.resource != resource || write.version == self.resources[resource].now().version);
        self.show_all(resource);
    }

    /// A refresh has changed: those that follow it look again.
    pub(super) fn tell_followers(&mut self, resource: usize) {
        let name = format!("resource-{resource}");
        let follows = |other: &&usize| self.resources[**other].now().edition.manifest.upstream_name() == Some(name.as_str());
        let all: Vec<usize> = (0..self.resources.len()).collect();
        for other in all.iter().filter(follows).copied().collect::<Vec<_>>() {
            self.touch(other);
        }
    }

    /// By the operator's wall clock.
    pub(crate) fn wall(&self, operator: usize) -> Timestamp {
        moment(self.now + self.operators[operator].clock)
    }

    /// Whether a write on this view is accepted.
    pub(super) fn is_current(&self, resource: usize, view: &Object) -> bool {
        let it = &self.resources[resource];
        !it.gone && (it.now().version == view.version || self.scenario.careless.version)
    }

    /// A person's wish that counts against nothing: what people do once everything is calm.
    pub(crate) fn grant(&mut self, resource: usize, wish: Wish) {
        let now = self.now;
        self.resource(resource).grant(wish, now);
        self.touch(resource);
    }
}

/// Whether a user has to say what became of a submission.
#[must_use]
pub fn is_unresolved(status: &Status) -> bool {
    status.run.as_ref().is_some_and(|run| run.state == RunState::Submitting && run.reason == Reason::SubmissionUnknown.as_str())
}
