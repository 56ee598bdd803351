//! The desired state of a resource: its spec, metadata and annotations, with all defaults.

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::operation_digest::{Equivalents, digest, hex, with_lower_case_ids, without_objects};
use super::{AnnotationRequests, Blocker, DrainMode, External, Remedy, ScheduleTrigger, SkippedWrites, Upstream};
use crate::api::{
    self, ConcurrencyPolicy, ConflictPolicy, DeletionPolicy, Model, ModelRefresh, ModelRefreshSpec, ModelSync, ModelSyncSpec, Reason,
    RefreshObject, RefreshParameters, TriggerSpec,
};
use crate::engine::text;
use crate::operation::{ObjectName, OperationKind, RefreshRequest, Request};

/// The desired state of a resource.
#[allow(clippy::struct_excessive_bools, reason = "each is a separate fact")]
#[derive(Clone, Debug)]
pub struct DesiredState {
    /// The namespace and the name.
    pub namespace_and_name: (String, String),
    /// The resource's uid: another uid is another resource, even with the same name.
    pub uid: String,
    /// The arguments of `kubectl` that name it, such as `mref sales --namespace bi`.
    pub kubectl_arguments: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// When it was created, in whole seconds.
    pub created: Timestamp,
    /// The deletion, if the resource is being deleted.
    pub deletion: Option<Deletion>,
    /// Whether it has the operator's finalizer.
    pub has_finalizer: bool,
    /// Whether it has a finalizer of another controller, which keeps it after the operator has removed its own.
    pub has_other_finalizers: bool,
    /// The requests in the annotations.
    pub requests: AnnotationRequests,
    /// The operation of a run.
    pub operation: OperationSpec,
    /// `trigger.token`.
    pub token: Option<String>,
    /// The refresh whose successful runs start one run each.
    pub upstream: UpstreamRef,
    /// The schedule.
    pub schedule_trigger: Option<ScheduleTrigger>,
    /// Whether creation and change start a run.
    pub runs_on_change: bool,
    /// How runs are handled.
    pub policy: RunPolicy,
    /// A fault in the spec, or in what it refers to, that only the operator can detect.
    pub blocker: Option<Blocker>,
    /// Whether the operator is about to be uninstalled.
    pub drain: Option<DrainMode>,
    /// Whether another resource has the operation that the annotation `adopt` names.
    pub adopt_claimed: bool,
    /// The writes that are left out for now.
    pub skipped_writes: SkippedWrites,
}

/// A requested deletion.
#[derive(Clone, Debug)]
pub struct Deletion {
    /// When.
    pub requested: Timestamp,
    /// Whether the whole namespace is being deleted, so that missing objects cannot be created in it.
    pub namespace_terminating: bool,
}

/// The refresh whose successful runs start runs.
#[derive(Clone, Debug)]
pub enum UpstreamRef {
    /// None.
    None,
    /// This one.
    Found(Upstream),
    /// The refresh of this name, whose runs are unknown or must start no run. The blocker does not apply to other triggers.
    Unavailable(String, Option<Blocker>),
}

/// The operation of a run.
#[derive(Clone, Debug)]
pub struct OperationSpec {
    /// The model.
    pub model: Model,
    /// What is submitted.
    pub request: Request,
    /// Identifies this operation as it was written; [`OperationSpec::has_digest`] compares it.
    pub digest: String,
    /// The parameters as they were written, and their objects apart ([`without_objects`]).
    parameters: Option<RefreshParameters>,
    objects: String,
    /// The digests of all ways to write the same operation, once they are needed.
    equivalents: OnceLock<Arc<Equivalents>>,
}

/// How runs are handled.
#[derive(Clone, Debug)]
pub struct RunPolicy {
    /// For a new trigger during a run.
    pub concurrency: ConcurrencyPolicy,
    /// For a refresh of another client that is running.
    pub conflict: ConflictPolicy,
    /// For a deletion during a run.
    pub deletion: DeletionPolicy,
    /// Whether new runs are suspended.
    pub suspend: bool,
    /// Maximum age of the data; `None` if it has no target.
    pub stale_after: Option<Duration>,
    /// How long a run may wait for its turn.
    pub wait_deadline: Duration,
    /// How long an operation may run.
    pub active_deadline: Duration,
    /// The most further attempts after a failed one.
    pub backoff_limit: i32,
    /// How many ended runs are kept.
    pub history_limit: usize,
}

impl DesiredState {
    /// The desired state of a `ModelRefresh`.
    #[must_use]
    pub fn of_refresh(refresh: &ModelRefresh, external: External) -> Self {
        // Destructured completely, so that a new field does not compile until it is handled here.
        let ModelRefreshSpec {
            model,
            credentials: _, // the identity is not part of the operation
            refresh: parameters,
            trigger,
            concurrency_policy,
            conflict_policy,
            wait_deadline_seconds,
            active_deadline_seconds,
            backoff_limit,
            suspend,
            stale_after_seconds,
            deletion_policy,
            history_limit,
        } = &refresh.spec;
        let policy = RunPolicy {
            concurrency: *concurrency_policy,
            conflict: *conflict_policy,
            deletion: *deletion_policy,
            suspend: *suspend,
            stale_after: stale_after_seconds.map(seconds),
            wait_deadline: seconds(*wait_deadline_seconds),
            active_deadline: seconds(*active_deadline_seconds),
            backoff_limit: *backoff_limit,
            history_limit: usize::try_from(*history_limit).unwrap_or(0),
        };
        Self::with_metadata(&refresh.metadata, trigger.as_ref(), OperationSpec::refresh(model, parameters.as_ref()), policy, external)
    }

    /// The desired state of a `ModelSync`. If it names no model, the model is that of its upstream refresh. If that is missing too, there
    /// is no model, and a blocker reports it.
    #[must_use]
    pub fn of_sync(sync: &ModelSync, external: External) -> Self {
        let ModelSyncSpec {
            model,
            credentials: _, // the identity is not part of the operation
            trigger,
            wait_deadline_seconds,
            active_deadline_seconds,
            backoff_limit,
            suspend,
            history_limit,
        } = &sync.spec;
        let upstream_model = external.upstream.as_ref().map(|upstream| &upstream.model);
        let operation = OperationSpec::sync(&model.as_ref().or(upstream_model).cloned().unwrap_or_default());
        let policy = RunPolicy {
            concurrency: ConcurrencyPolicy::Queue,
            conflict: ConflictPolicy::Wait,
            // It cannot be cancelled, so a deletion orphans it.
            deletion: DeletionPolicy::Orphan,
            suspend: *suspend,
            stale_after: None,
            wait_deadline: seconds(*wait_deadline_seconds),
            active_deadline: seconds(*active_deadline_seconds),
            backoff_limit: *backoff_limit,
            history_limit: usize::try_from(*history_limit).unwrap_or(0),
        };
        Self::with_metadata(&sync.metadata, trigger.as_ref(), operation, policy, external)
    }

    fn with_metadata(
        metadata: &ObjectMeta,
        trigger: Option<&TriggerSpec>,
        operation: OperationSpec,
        policy: RunPolicy,
        external: External,
    ) -> Self {
        let External { blocker, namespace_terminating, upstream, drain, adopt_claimed, skipped_writes } = external;
        let upstream_name = trigger.and_then(|trigger| trigger.after_refresh.as_ref()).map(|after| after.name.as_str());
        let (blocker, upstream) = resolve_upstream(upstream_name, &operation.model, blocker, upstream);
        let (blocker, schedule_trigger) = match trigger.and_then(ScheduleTrigger::of) {
            None => (blocker, None),
            Some(Ok(schedule_trigger)) => (blocker, Some(schedule_trigger)),
            Some(Err(message)) => (blocker.or(Some(Blocker { reason: Reason::InvalidSpec, message, remedy: Remedy::SpecChange })), None),
        };
        Self {
            namespace_and_name: (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default()),
            uid: metadata.uid.clone().unwrap_or_default(),
            kubectl_arguments: kubectl_arguments(operation.request.kind(), metadata),
            generation: metadata.generation.unwrap_or_default(),
            created: metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            deletion: metadata.deletion_timestamp.as_ref().map(|time| Deletion { requested: time.0, namespace_terminating }),
            has_finalizer: api::has_finalizer(metadata),
            has_other_finalizers: api::has_other_finalizers(metadata),
            requests: AnnotationRequests::of(metadata),
            operation,
            token: trigger.and_then(|trigger| trigger.token.as_deref()).map(text::token),
            upstream,
            schedule_trigger,
            runs_on_change: trigger.is_none_or(TriggerSpec::runs_on_change),
            policy,
            blocker,
            drain,
            adopt_claimed,
            skipped_writes,
        }
    }
}

impl DesiredState {
    /// The command that sets an annotation of the resource.
    pub(in crate::engine) fn annotate(&self, annotation: &str, value: &str) -> String {
        let kind = match self.operation.request.kind() {
            OperationKind::Refresh => "mref",
            OperationKind::Sync => "msync",
        };
        let (namespace, name) = &self.namespace_and_name;
        format!("kubectl annotate --overwrite {kind} {name} -n {namespace} {annotation}={value}")
    }
}

/// What blocks all runs of a resource, and its upstream refresh.
fn resolve_upstream(
    upstream_name: Option<&str>,
    model: &Model,
    blocker: Option<Blocker>,
    upstream: Option<Upstream>,
) -> (Option<Blocker>, UpstreamRef) {
    let Some(name) = upstream_name else { return (blocker, UpstreamRef::None) };
    let is_upstream_fault =
        |blocker: &Blocker| matches!(blocker.reason, Reason::UpstreamNotFound | Reason::UpstreamUnreadable | Reason::UpstreamCycle);
    match (blocker, upstream) {
        (Some(blocker), _) if is_upstream_fault(&blocker) && model.is_empty() => {
            (Some(blocker), UpstreamRef::Unavailable(name.to_owned(), None))
        }
        (Some(blocker), _) if is_upstream_fault(&blocker) => (None, UpstreamRef::Unavailable(name.to_owned(), Some(blocker))),
        (blocker, Some(upstream)) => (blocker, UpstreamRef::Found(upstream)),
        // The model of a run is unknown.
        (None, None) if model.is_empty() => {
            let message = format!("the model is unknown because ModelRefresh {name} (spec.trigger.afterRefresh) cannot be read");
            let blocker = Blocker { reason: Reason::UpstreamUnreadable, message, remedy: Remedy::ClusterChange };
            (Some(blocker), UpstreamRef::Unavailable(name.to_owned(), None))
        }
        (blocker, None) => (blocker, UpstreamRef::Unavailable(name.to_owned(), None)),
    }
}

fn kubectl_arguments(kind: OperationKind, metadata: &ObjectMeta) -> String {
    let short = match kind {
        OperationKind::Refresh => "mref",
        OperationKind::Sync => "msync",
    };
    let [name, namespace] = [&metadata.name, &metadata.namespace].map(|part| part.as_deref().unwrap_or_default());
    format!("{short} {name} --namespace {namespace}")
}

fn seconds(count: i32) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0))
}

impl OperationSpec {
    /// A sync of a model's replicas.
    #[must_use]
    pub fn sync(model: &Model) -> Self {
        Self::new(model, Request::Sync, None, String::new())
    }

    fn new(model: &Model, request: Request, parameters: Option<RefreshParameters>, objects: String) -> Self {
        let digest = hex(digest(&with_lower_case_ids(model), parameters.as_ref(), &objects));
        Self { model: model.clone(), request, digest, parameters, objects, equivalents: OnceLock::new() }
    }

    /// Whether a recorded digest is of this operation. A digest is of the parameters as written, so that it is the same in every version of
    /// the operator. But a default of the service that is written out requests the same as one that is left out. Earlier builds recorded the
    /// digest of the ids as written.
    #[must_use]
    pub fn has_digest(&self, recorded: &str) -> bool {
        let compute = || Arc::new(Equivalents::new(&self.model, &self.digest, self.parameters.as_ref(), &self.objects));
        self.digest == recorded || self.equivalents.get_or_init(compute).contain(recorded)
    }

    /// What [`Self::has_digest`] has computed, if anything.
    pub(in crate::engine) fn equivalents(&self) -> Option<Arc<Equivalents>> {
        self.equivalents.get().cloned()
    }

    /// Uses what an earlier decision has computed, if it is of this operation.
    pub(in crate::engine) fn recall(&self, known: Option<&Arc<Equivalents>>) {
        if let Some(known) = known.filter(|known| known.are_of(&self.model, &self.digest)) {
            // If they are already computed, they are the same.
            let _ = self.equivalents.set(Arc::clone(known));
        }
    }

    /// The refresh of a model with its parameters.
    #[must_use]
    pub fn refresh(model: &Model, parameters: Option<&RefreshParameters>) -> Self {
        let parameters = parameters.cloned().unwrap_or_default();
        let (written, json) = without_objects(&parameters);
        let RefreshParameters {
            r#type,
            commit_mode,
            max_parallelism,
            retry_count,
            objects,
            apply_refresh_policy,
            effective_date,
            attempt_timeout_seconds,
        } = parameters;
        let name = |RefreshObject { table, partition }| ObjectName { table, partition };
        let request = Request::Refresh(RefreshRequest {
            refresh_type: Some(r#type.as_str().to_owned()),
            commit_mode: commit_mode.map(|mode| mode.as_str().to_owned()),
            max_parallelism,
            retry_count,
            objects: objects.into_iter().map(name).collect(),
            apply_refresh_policy,
            effective_date,
            attempt_timeout: attempt_timeout_seconds.map(seconds),
        });
        Self::new(model, request, Some(written), json)
    }
}
