//! The actions of users.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as ClusterTime;
use tabular_operator::api::{
    self, AfterRefresh, ConcurrencyPolicy, ConflictPolicy, DeletionPolicy, ModelResource as Manifest, RefreshType, RunState,
};
use tabular_operator::engine::resubmit_value;

use super::cluster::{Resource, model};
use super::object::metadata;
use super::{Seconds, timestamp};

/// The value of the annotation `resubmit` for the first attempt of any resource.
const FIRST_RESUBMIT_VALUE: &str = "run-1-attempt-1";

/// An action of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UserAction {
    /// Sets a new `trigger.token`.
    Token,
    /// Sets another refresh type, and so another request.
    RefreshType,
    /// Sets a new value of the annotation `run-requested-at`.
    Request,
    /// Sets a new value of the annotation `cancel-requested-at`.
    Cancel,
    /// Sets a new value of the annotation `check-requested-at`.
    Check,
    /// Toggles `suspend`.
    Suspend,
    /// Toggles `staleAfterSeconds`.
    StaleAfter,
    /// Sets another concurrency policy.
    Concurrency(ConcurrencyPolicy),
    /// Sets another conflict policy.
    Conflict(ConflictPolicy),
    /// Sets another deletion policy.
    Deletion(DeletionPolicy),
    /// Sets another model.
    Model,
    /// Toggles `afterRefresh` with the resource of this index.
    AfterRefresh(usize),
    /// Sets the annotation `adopt` to the operation with this index.
    Adopt(usize),
    /// Sets the annotation `resubmit` to the value for the latest attempt.
    Resubmit,
    /// Sets the annotation `resubmit` to the value for the first attempt.
    ResubmitFirst,
    /// Sets the annotation `release`.
    Release,
    /// Replaces the manifest (`kubectl replace`), which removes the finalizer and all annotations.
    ReplaceManifest,
    /// Edits the state of the run in the status.
    EditState(RunState),
    /// Removes the finalizer by force.
    RemoveFinalizer,
    /// Deletes the resource.
    Delete,
}

impl Resource {
    /// The value of the annotation `resubmit` for the latest attempt.
    fn resubmit_value(&self) -> String {
        self.now().status.run.as_ref().map_or_else(|| FIRST_RESUBMIT_VALUE.to_owned(), resubmit_value)
    }

    /// Whether a user action would change anything.
    #[must_use]
    pub fn allows(&self, user_action: UserAction) -> bool {
        let policy = &self.now().revision.desired.policy;
        let refresh = self.now().revision.refresh().is_some();
        let run = self.now().status.run.as_ref();
        !self.is_deleted
            && match user_action {
                UserAction::Token | UserAction::Request | UserAction::Cancel | UserAction::Check | UserAction::Suspend => {
                    self.deleted.is_none()
                }
                UserAction::RefreshType | UserAction::Model | UserAction::StaleAfter | UserAction::AfterRefresh(_) => {
                    refresh && self.deleted.is_none()
                }
                UserAction::Concurrency(wanted) => refresh && policy.concurrency != wanted,
                UserAction::Conflict(wanted) => refresh && policy.conflict != wanted,
                UserAction::Deletion(wanted) => refresh && policy.deletion != wanted,
                UserAction::Adopt(op) => {
                    run.is_some_and(|run| run.state == RunState::Submitting) && self.annotation(api::ADOPT) != Some(&format!("op-{op}"))
                }
                UserAction::Resubmit => self.annotation(api::RESUBMIT).is_none(),
                UserAction::ResubmitFirst => self.annotation(api::RESUBMIT).is_none() && self.resubmit_value() != FIRST_RESUBMIT_VALUE,
                UserAction::Release => self.annotation(api::RELEASE).is_none(),
                UserAction::ReplaceManifest => {
                    let annotations = metadata(&self.now().revision.manifest).annotations.as_ref();
                    self.deleted.is_none() && annotations.is_some_and(|annotations| !annotations.is_empty())
                }
                UserAction::EditState(state) => run.is_some_and(|run| run.state != state),
                UserAction::RemoveFinalizer => self.now().revision.desired.has_finalizer,
                UserAction::Delete => self.deleted.is_none(),
            }
    }

    /// Applies a user action.
    pub fn apply_user_action(&mut self, user_action: UserAction, now: Seconds) {
        let next = |text: Option<&str>| format!("v{}", text.and_then(|text| text.strip_prefix('v')?.parse().ok()).unwrap_or(0_u32) + 1);
        match user_action {
            UserAction::Token => self.trigger(|trigger| trigger.token = Some(next(trigger.token.as_deref()))),
            UserAction::AfterRefresh(resource) => {
                self.misses_upstream_runs = true;
                self.trigger(|trigger| {
                    let name = format!("resource-{resource}");
                    trigger.after_refresh = if trigger.after_refresh.is_some() { None } else { Some(AfterRefresh { name }) };
                });
            }
            UserAction::RefreshType => self.edit(|spec| {
                let parameters = spec.refresh.get_or_insert_default();
                parameters.r#type = if parameters.r#type == RefreshType::Full { RefreshType::DataOnly } else { RefreshType::Full };
            }),
            UserAction::Request => {
                let value = next(self.annotation(api::RUN_REQUESTED_AT).map(String::as_str));
                self.annotate(api::RUN_REQUESTED_AT, &value);
            }
            UserAction::Cancel => {
                let value = next(self.annotation(api::CANCEL_REQUESTED_AT).map(String::as_str));
                self.annotate(api::CANCEL_REQUESTED_AT, &value);
            }
            UserAction::Check => {
                let value = next(self.annotation(api::CHECK_REQUESTED_AT).map(String::as_str));
                self.annotate(api::CHECK_REQUESTED_AT, &value);
            }
            UserAction::Suspend => self.change(|manifest| match manifest {
                Manifest::ModelRefresh(refresh) => refresh.spec.suspend = !refresh.spec.suspend,
                Manifest::ModelSync(sync) => sync.spec.suspend = !sync.spec.suspend,
            }),
            UserAction::StaleAfter => self.edit(|spec| spec.stale_after_seconds = spec.stale_after_seconds.xor(Some(60))),
            UserAction::Concurrency(policy) => self.edit(|spec| spec.concurrency_policy = policy),
            UserAction::Conflict(policy) => self.edit(|spec| spec.conflict_policy = policy),
            UserAction::Deletion(policy) => self.edit(|spec| spec.deletion_policy = policy),
            UserAction::Model => self.edit(|spec| spec.model = if spec.model == model(0) { model(1) } else { model(0) }),
            UserAction::Adopt(op) => self.annotate(api::ADOPT, &format!("op-{op}")),
            UserAction::Resubmit => self.annotate(api::RESUBMIT, &self.resubmit_value()),
            UserAction::ResubmitFirst => self.annotate(api::RESUBMIT, FIRST_RESUBMIT_VALUE),
            UserAction::Release => self.annotate(api::RELEASE, "true"),
            UserAction::ReplaceManifest => self.edit_metadata(|metadata| (metadata.annotations, metadata.finalizers) = (None, None)),
            UserAction::EditState(state) => {
                let mut status = (*self.now().status).clone();
                if let Some(run) = status.run.as_mut() {
                    run.state = state;
                }
                self.write_status(Arc::new(status));
                self.edited_statuses.push(Arc::clone(&self.now().status));
            }
            UserAction::RemoveFinalizer => self.set_finalizer(false),
            UserAction::Delete => {
                self.deleted = Some(now);
                self.edit_metadata(|metadata| metadata.deletion_timestamp = Some(ClusterTime(timestamp(now))));
            }
        }
    }

    /// Deletes its whole namespace.
    pub fn end_namespace(&mut self, now: Seconds) {
        self.namespace_terminating = true;
        if self.deleted.is_none() {
            self.apply_user_action(UserAction::Delete, now);
        }
    }
}
