//! The API server: each resource with the versions that it had, and what people do to it.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as ClusterTime;
use tabular_operator::api::{
    self, AfterRefresh, AnalysisServicesModel, ConcurrencyPolicy, ConflictPolicy, DeletionPolicy, FINALIZER, Model, ModelRefresh,
    ModelRefreshSpec, ModelResource as Manifest, ModelSync, ModelSyncSpec, RefreshTrigger, RefreshType, RunState, Status, Trigger,
};
use tabular_operator::engine::reconcile::View;
use tabular_operator::engine::{Desired, External, Upstream, resubmit_value};

use super::{Second, moment};
use crate::accepted::Asked;

/// How many versions of a resource a stale view can show.
pub const VERSIONS: usize = 4;

/// The first question about a submission that a resource may ask.
const FIRST: &str = "run-1-attempt-1";

/// What a resource asks for.
#[derive(Clone, Debug)]
pub enum Spec {
    /// A refresh.
    Refresh(ModelRefreshSpec),
    /// A sync.
    Sync(ModelSyncSpec),
}

/// Everything of a resource but its status: the spec, the finalizer, the annotations.
#[derive(Debug)]
pub struct Edition {
    /// As the API server has it, without the status.
    pub manifest: Manifest,
    /// What the engine makes of it, where it follows nobody.
    pub desired: Desired,
    /// Tells it from other content, whatever its generation.
    pub print: u64,
}

impl Edition {
    fn of(manifest: Manifest) -> Arc<Self> {
        let desired = Desired::of(&manifest, External::default());
        let mut hasher = DefaultHasher::new();
        let spec = match &manifest {
            Manifest::ModelRefresh(refresh) => serde_json::to_string(&refresh.spec),
            Manifest::ModelSync(sync) => serde_json::to_string(&sync.spec),
        };
        let metadata = metadata(&manifest);
        (spec.unwrap_or_default(), &metadata.annotations, &metadata.finalizers, metadata.deletion_timestamp.is_some()).hash(&mut hasher);
        Arc::new(Self { print: hasher.finish(), manifest, desired })
    }

    /// The spec, where it is a refresh's.
    #[must_use]
    pub fn refresh(&self) -> Option<&ModelRefreshSpec> {
        match &self.manifest {
            Manifest::ModelRefresh(refresh) => Some(&refresh.spec),
            Manifest::ModelSync(_) => None,
        }
    }
}

fn metadata(manifest: &Manifest) -> &ObjectMeta {
    match manifest {
        Manifest::ModelRefresh(refresh) => &refresh.metadata,
        Manifest::ModelSync(sync) => &sync.metadata,
    }
}

fn metadata_of(manifest: &mut Manifest) -> &mut ObjectMeta {
    match manifest {
        Manifest::ModelRefresh(refresh) => &mut refresh.metadata,
        Manifest::ModelSync(sync) => &mut sync.metadata,
    }
}

/// One version of a resource.
#[derive(Clone, Debug)]
pub struct Object {
    /// The resource version.
    pub version: u32,
    /// Everything but the status.
    pub edition: Arc<Edition>,
    /// The status.
    pub status: Arc<Status>,
}

impl Object {
    /// The same version, as if its deletion had waited for the operator: what a detached reconciliation works on.
    #[must_use]
    pub fn deleted(&self, now: Second) -> Self {
        let mut manifest = self.edition.manifest.clone();
        let metadata = metadata_of(&mut manifest);
        metadata.deletion_timestamp.get_or_insert(ClusterTime(moment(now)));
        metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
        Self { edition: Edition::of(manifest), ..self.clone() }
    }
}

impl View for Object {
    fn status(&self) -> &Status {
        &self.status
    }

    fn version(&self) -> u64 {
        u64::from(self.version)
    }

    fn is_deleting(&self) -> bool {
        metadata(&self.edition.manifest).deletion_timestamp.is_some()
    }

    fn has_finalizer(&self) -> bool {
        self.edition.desired.finalizer
    }

    fn desired(&self, external: External) -> Cow<'_, Desired> {
        match &external {
            External {
                blocker: None,
                namespace_terminating: false,
                upstream: None,
                drain: None,
                adopt_claimed: false,
                metadata_refused: false,
            } => Cow::Borrowed(&self.edition.desired),
            _ => Cow::Owned(Desired::of(&self.edition.manifest, external)),
        }
    }

    fn with_status(&self, status: &Arc<Status>) -> Self {
        Self { status: Arc::clone(status), ..self.clone() }
    }
}

/// What a person does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wish {
    /// A new `trigger.token`.
    Token,
    /// Another refresh type, so other work.
    Work,
    /// A new value of the annotation `run-requested-at`.
    Request,
    /// A new value of the annotation `cancel-requested-at`.
    Cancel,
    /// `suspend` the other way round.
    Suspend,
    /// Another concurrency policy.
    Concurrency(ConcurrencyPolicy),
    /// Another conflict policy.
    Conflict(ConflictPolicy),
    /// Another deletion policy.
    Deletion(DeletionPolicy),
    /// Another model.
    Model,
    /// `afterRefresh` the resource with this index, or nobody any more.
    Follow(usize),
    /// The annotation `adopt`, naming the operation with this index.
    Adopt(usize),
    /// The annotation `resubmit`, as it answers what is asked about the latest run.
    Resubmit,
    /// The annotation `resubmit`, left over: as it answered the first question of all.
    Leftover,
    /// The annotation `release`.
    Release,
    /// `kubectl replace` of the manifest: it takes off the finalizer and every annotation.
    Manifest,
    /// The status shows another state of the run.
    State(RunState),
    /// The finalizer taken off by force.
    Unfinalize,
    /// Its deletion.
    Delete,
}

/// A resource at the API server.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its latest versions, the newest last.
    pub versions: Vec<Object>,
    /// Whether it is gone.
    pub gone: bool,
    /// Up to the run of this number, what its operations do is not the decision's to answer for any more: a person has said what
    /// became of a submission, nobody could tell, or it was given up and said so ([`crate::laws::answered`]).
    pub answered: i32,
    /// The questions that a decision to submit again has answered.
    pub decided: Vec<String>,
    /// What was submitted last.
    pub asked: Option<Asked>,
    /// What edits of the status have left.
    pub edited: Vec<Arc<Status>>,
    /// What began each of its runs.
    pub begun: Vec<Trigger>,
    /// It was let go of, and an event said what may still run.
    pub said: bool,
    /// The version that an uninstall has listed, until it has taken its finalizer off.
    pub listed: Option<u32>,
    /// Whether the uninstall that listed it has said that its operation goes on.
    pub goes_on: bool,
    /// When its deletion was asked for.
    pub deleted: Option<Second>,
    /// Whether its namespace is going.
    pub namespace_terminating: bool,
}

/// The model with this index.
#[must_use]
pub fn model(index: u8) -> Model {
    let server = "asazure://westus.asazure.windows.net/myserver".to_owned();
    Model { analysis_services: Some(AnalysisServicesModel { server, database: format!("Model{index}") }), power_bi: None }
}

impl Resource {
    /// A resource that was just applied.
    #[must_use]
    pub fn new(index: usize, spec: Spec) -> Self {
        let name = format!("resource-{index}");
        let mut manifest = match spec {
            Spec::Refresh(spec) => Manifest::ModelRefresh(ModelRefresh::new(&name, spec)),
            Spec::Sync(spec) => Manifest::ModelSync(ModelSync::new(&name, spec)),
        };
        let metadata = metadata_of(&mut manifest);
        metadata.namespace = Some("bi".to_owned());
        metadata.uid = Some(format!("uid-{index}"));
        metadata.generation = Some(1);
        metadata.creation_timestamp = Some(ClusterTime(moment(0)));
        let object = Object { version: 1, edition: Edition::of(manifest), status: Arc::default() };
        Self {
            versions: vec![object],
            gone: false,
            answered: 0,
            decided: Vec::new(),
            asked: None,
            edited: Vec::new(),
            begun: Vec::new(),
            said: false,
            listed: None,
            goes_on: false,
            deleted: None,
            namespace_terminating: false,
        }
    }

    /// As it is now.
    #[must_use]
    pub fn now(&self) -> &Object {
        // There is always one: it was made with one, and the newest is never taken away.
        &self.versions[self.versions.len() - 1]
    }

    /// The version that is `age` versions old, or the oldest that is still known.
    #[must_use]
    pub fn aged(&self, age: usize) -> &Object {
        &self.versions[self.versions.len().saturating_sub(1 + age)]
    }

    fn put(&mut self, edition: Arc<Edition>, status: Arc<Status>) {
        if self.versions.len() == VERSIONS {
            self.versions.remove(0);
        }
        let version = self.now().version + 1;
        self.versions.push(Object { version, edition, status });
    }

    /// Writes the status.
    pub fn write_status(&mut self, status: Arc<Status>) {
        self.put(Arc::clone(&self.now().edition), status);
    }

    /// Changes everything but the status. What changes the spec, or begins the deletion, is a new generation.
    pub fn change(&mut self, edit: impl FnOnce(&mut Manifest)) {
        let before = &self.now().edition.manifest;
        let mut manifest = before.clone();
        edit(&mut manifest);
        let dying = |manifest: &Manifest| metadata(manifest).deletion_timestamp.is_some();
        let same_spec = match (&manifest, before) {
            (Manifest::ModelRefresh(after), Manifest::ModelRefresh(before)) => after.spec == before.spec,
            (Manifest::ModelSync(after), Manifest::ModelSync(before)) => after.spec == before.spec,
            (Manifest::ModelRefresh(_), Manifest::ModelSync(_)) | (Manifest::ModelSync(_), Manifest::ModelRefresh(_)) => false,
        };
        let begins_to_die = dying(&manifest) != dying(before);
        let metadata = metadata_of(&mut manifest);
        if !same_spec || begins_to_die {
            metadata.generation = metadata.generation.map(|generation| generation + 1);
        }
        self.gone = metadata.deletion_timestamp.is_some() && metadata.finalizers.as_ref().is_none_or(Vec::is_empty);
        let status = Arc::clone(&self.now().status);
        self.put(Edition::of(manifest), status);
    }

    /// Changes the metadata.
    fn label(&mut self, edit: impl FnOnce(&mut ObjectMeta)) {
        self.change(|manifest| edit(metadata_of(manifest)));
    }

    /// Changes the spec, where it is a refresh's.
    fn edit(&mut self, edit: impl FnOnce(&mut ModelRefreshSpec)) {
        self.change(|manifest| match manifest {
            Manifest::ModelRefresh(refresh) => edit(&mut refresh.spec),
            Manifest::ModelSync(_) => {}
        });
    }

    fn trigger(&mut self, edit: impl FnOnce(&mut RefreshTrigger)) {
        self.change(|manifest| {
            edit(match manifest {
                Manifest::ModelRefresh(refresh) => refresh.spec.trigger.get_or_insert_default(),
                Manifest::ModelSync(sync) => sync.spec.trigger.get_or_insert_default(),
            });
        });
    }

    /// Adds or drops the finalizer.
    pub fn finalize(&mut self, held: bool) {
        self.label(|metadata| metadata.finalizers = held.then(|| vec![FINALIZER.to_owned()]));
    }

    fn annotate(&mut self, key: &str, value: &str) {
        self.label(|metadata| {
            metadata.annotations.get_or_insert_default().insert(key.to_owned(), value.to_owned());
        });
    }

    /// Takes off an annotation.
    pub fn bare(&mut self, key: &str) {
        self.label(|metadata| {
            metadata.annotations.get_or_insert_default().remove(key);
        });
    }

    fn annotation(&self, key: &str) -> Option<&String> {
        metadata(&self.now().edition.manifest).annotations.as_ref()?.get(key)
    }

    /// What is asked, or would be, about the submission of the latest run.
    fn resubmit_value(&self) -> String {
        self.now().status.run.as_ref().map_or_else(|| FIRST.to_owned(), resubmit_value)
    }

    /// Whether a status of it is as somebody has edited it.
    #[must_use]
    pub fn is_edited(&self, status: &Arc<Status>) -> bool {
        self.edited.iter().any(|edited| Arc::ptr_eq(edited, status))
    }

    /// Whether it is suspended.
    #[must_use]
    pub fn suspended(&self) -> bool {
        self.now().edition.desired.policy.suspend
    }

    /// Whether a wish would change anything.
    #[must_use]
    pub fn may(&self, wish: Wish) -> bool {
        let policy = &self.now().edition.desired.policy;
        let refresh = self.now().edition.refresh().is_some();
        let run = self.now().status.run.as_ref();
        !self.gone
            && match wish {
                Wish::Token | Wish::Request | Wish::Cancel | Wish::Suspend => self.deleted.is_none(),
                Wish::Work | Wish::Model | Wish::Follow(_) => refresh && self.deleted.is_none(),
                Wish::Concurrency(wished) => refresh && policy.concurrency != wished,
                Wish::Conflict(wished) => refresh && policy.conflict != wished,
                Wish::Deletion(wished) => refresh && policy.deletion != wished,
                Wish::Adopt(op) => {
                    run.is_some_and(|run| run.state == RunState::Submitting) && self.annotation(api::ADOPT) != Some(&format!("op-{op}"))
                }
                Wish::Resubmit => self.annotation(api::RESUBMIT).is_none(),
                Wish::Leftover => self.annotation(api::RESUBMIT).is_none() && self.resubmit_value() != FIRST,
                Wish::Release => self.annotation(api::RELEASE).is_none(),
                Wish::Manifest => {
                    let annotations = metadata(&self.now().edition.manifest).annotations.as_ref();
                    self.deleted.is_none() && annotations.is_some_and(|annotations| !annotations.is_empty())
                }
                Wish::State(state) => run.is_some_and(|run| run.state != state),
                Wish::Unfinalize => self.now().edition.desired.finalizer,
                Wish::Delete => self.deleted.is_none(),
            }
    }

    /// Does what a person wishes.
    pub fn grant(&mut self, wish: Wish, now: Second) {
        let next = |text: Option<&str>| format!("v{}", text.and_then(|text| text.strip_prefix('v')?.parse().ok()).unwrap_or(0_u32) + 1);
        match wish {
            Wish::Token => self.trigger(|trigger| trigger.token = Some(next(trigger.token.as_deref()))),
            Wish::Follow(resource) => self.trigger(|trigger| {
                let name = format!("resource-{resource}");
                trigger.after_refresh = if trigger.after_refresh.is_some() { None } else { Some(AfterRefresh { name }) };
            }),
            Wish::Work => self.edit(|spec| {
                let parameters = spec.refresh.get_or_insert_default();
                parameters.r#type = if parameters.r#type == RefreshType::Full { RefreshType::DataOnly } else { RefreshType::Full };
            }),
            Wish::Request => {
                let value = next(self.annotation(api::RUN_REQUESTED_AT).map(String::as_str));
                self.annotate(api::RUN_REQUESTED_AT, &value);
            }
            Wish::Cancel => {
                let value = next(self.annotation(api::CANCEL_REQUESTED_AT).map(String::as_str));
                self.annotate(api::CANCEL_REQUESTED_AT, &value);
            }
            Wish::Suspend => self.change(|manifest| match manifest {
                Manifest::ModelRefresh(refresh) => refresh.spec.suspend = !refresh.spec.suspend,
                Manifest::ModelSync(sync) => sync.spec.suspend = !sync.spec.suspend,
            }),
            Wish::Concurrency(policy) => self.edit(|spec| spec.concurrency_policy = policy),
            Wish::Conflict(policy) => self.edit(|spec| spec.conflict_policy = policy),
            Wish::Deletion(policy) => self.edit(|spec| spec.deletion_policy = policy),
            Wish::Model => self.edit(|spec| spec.model = if spec.model == model(0) { model(1) } else { model(0) }),
            Wish::Adopt(op) => self.annotate(api::ADOPT, &format!("op-{op}")),
            Wish::Resubmit => self.annotate(api::RESUBMIT, &self.resubmit_value()),
            Wish::Leftover => self.annotate(api::RESUBMIT, FIRST),
            Wish::Release => self.annotate(api::RELEASE, "true"),
            Wish::Manifest => self.label(|metadata| (metadata.annotations, metadata.finalizers) = (None, None)),
            Wish::State(state) => {
                let mut status = (*self.now().status).clone();
                if let Some(run) = status.run.as_mut() {
                    run.state = state;
                }
                self.write_status(Arc::new(status));
                self.edited.push(Arc::clone(&self.now().status));
            }
            Wish::Unfinalize => self.finalize(false),
            Wish::Delete => {
                self.deleted = Some(now);
                self.label(|metadata| metadata.deletion_timestamp = Some(ClusterTime(moment(now))));
            }
        }
    }

    /// What a follower has to know of it.
    #[must_use]
    pub fn followed(&self) -> Option<Upstream> {
        match self.now().edition.manifest.with_status(&self.now().status) {
            Manifest::ModelRefresh(refresh) if !self.gone => Some(Upstream::of(&refresh)),
            Manifest::ModelRefresh(_) | Manifest::ModelSync(_) => None,
        }
    }

    /// Its whole namespace is going.
    pub fn end_namespace(&mut self, now: Second) {
        self.namespace_terminating = true;
        if self.deleted.is_none() {
            self.grant(Wish::Delete, now);
        }
    }
}
