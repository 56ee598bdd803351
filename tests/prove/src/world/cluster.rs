//! The API server: each resource with the versions that it had, and what people do to it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as ClusterTime;
use tabular_operator::api::{
    self, AnalysisServicesModel, ConcurrencyPolicy, ConflictPolicy, DeletionPolicy, FINALIZER, Model, ModelRefresh, ModelRefreshSpec,
    RefreshType, RunState, Status,
};
use tabular_operator::engine::{Desired, Surroundings};

use super::{Second, moment};

/// How many versions of a resource a stale view can show.
pub const VERSIONS: usize = 4;

/// Everything of a resource but its status: the spec, the finalizer, the annotations.
#[derive(Debug)]
pub struct Edition {
    /// As the API server has it, without the status.
    pub refresh: ModelRefresh,
    /// What the engine makes of it.
    pub desired: Desired,
    /// Tells it from other content, whatever its generation.
    pub print: u64,
}

impl Edition {
    fn of(refresh: ModelRefresh, namespace_ending: bool) -> Arc<Self> {
        let desired = Desired::of_refresh(&refresh, Surroundings { fault: None, namespace_ending, followed: None });
        let mut hasher = DefaultHasher::new();
        serde_json::to_string(&refresh.spec).unwrap_or_default().hash(&mut hasher);
        let metadata = &refresh.metadata;
        (&metadata.annotations, &metadata.finalizers, metadata.deletion_timestamp.is_some()).hash(&mut hasher);
        Arc::new(Self { print: hasher.finish(), refresh, desired })
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

/// What a person does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wish {
    /// A new `trigger.token`.
    Token,
    /// Another refresh type, so other work.
    Work,
    /// A new value of the annotation `run-requested-at`.
    Request,
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
    /// The annotation `adopt`, naming the operation with this index.
    Adopt(usize),
    /// The annotation `resubmit`.
    Resubmit,
    /// The annotation `release`.
    Release,
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
    /// A person has said what became of a submission: a second operation of that run is theirs to answer for.
    pub word: bool,
    /// When its deletion was asked for.
    pub deleted: Option<Second>,
    namespace_ending: bool,
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
    pub fn new(index: usize, spec: ModelRefreshSpec) -> Self {
        let mut refresh = ModelRefresh::new(&format!("resource-{index}"), spec);
        refresh.metadata.namespace = Some("bi".to_owned());
        refresh.metadata.uid = Some(format!("uid-{index}"));
        refresh.metadata.generation = Some(1);
        let object = Object { version: 1, edition: Edition::of(refresh, false), status: Arc::default() };
        Self { versions: vec![object], gone: false, word: false, deleted: None, namespace_ending: false }
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
    pub fn write_status(&mut self, status: Status) {
        self.put(Arc::clone(&self.now().edition), Arc::new(status));
    }

    /// Changes everything but the status. What changes the spec, or begins the deletion, is a new generation.
    pub fn change(&mut self, edit: impl FnOnce(&mut ModelRefresh)) {
        let before = &self.now().edition.refresh;
        let mut refresh = before.clone();
        edit(&mut refresh);
        let dying = |refresh: &ModelRefresh| refresh.metadata.deletion_timestamp.is_some();
        if refresh.spec != before.spec || dying(&refresh) != dying(before) {
            refresh.metadata.generation = refresh.metadata.generation.map(|generation| generation + 1);
        }
        self.gone = dying(&refresh) && refresh.metadata.finalizers.as_ref().is_none_or(Vec::is_empty);
        let status = Arc::clone(&self.now().status);
        self.put(Edition::of(refresh, self.namespace_ending), status);
    }

    /// Adds or drops the finalizer.
    pub fn finalize(&mut self, held: bool) {
        self.change(|refresh| refresh.metadata.finalizers = held.then(|| vec![FINALIZER.to_owned()]));
    }

    fn annotate(&mut self, key: &str, value: &str) {
        self.change(|refresh| {
            refresh.metadata.annotations.get_or_insert_default().insert(key.to_owned(), value.to_owned());
        });
    }

    /// Takes off an annotation.
    pub fn bare(&mut self, key: &str) {
        self.change(|refresh| {
            refresh.metadata.annotations.get_or_insert_default().remove(key);
        });
    }

    fn annotation(&self, key: &str) -> Option<&String> {
        self.now().edition.refresh.metadata.annotations.as_ref()?.get(key)
    }

    /// Whether a wish would change anything.
    #[must_use]
    pub fn may(&self, wish: Wish) -> bool {
        let spec = &self.now().edition.refresh.spec;
        let run = self.now().status.run.as_ref();
        !self.gone
            && match wish {
                Wish::Token | Wish::Work | Wish::Request | Wish::Suspend | Wish::Model => self.deleted.is_none(),
                Wish::Concurrency(policy) => spec.concurrency_policy != policy,
                Wish::Conflict(policy) => spec.conflict_policy != policy,
                Wish::Deletion(policy) => spec.deletion_policy != policy,
                Wish::Adopt(op) => {
                    run.is_some_and(|run| run.state == RunState::Submitting) && self.annotation(api::ADOPT) != Some(&format!("op-{op}"))
                }
                Wish::Resubmit => self.annotation(api::RESUBMIT).is_none(),
                Wish::Release => self.annotation(api::RELEASE).is_none(),
                Wish::Unfinalize => self.now().edition.desired.finalizer,
                Wish::Delete => self.deleted.is_none(),
            }
    }

    /// Does what a person wishes.
    pub fn grant(&mut self, wish: Wish, now: Second) {
        let next = |text: Option<&str>| format!("v{}", text.and_then(|text| text.strip_prefix('v')?.parse().ok()).unwrap_or(0_u32) + 1);
        match wish {
            Wish::Token => self.change(|refresh| {
                let trigger = refresh.spec.trigger.get_or_insert_default();
                trigger.token = Some(next(trigger.token.as_deref()));
            }),
            Wish::Work => self.change(|refresh| {
                let parameters = refresh.spec.refresh.get_or_insert_default();
                parameters.r#type = if parameters.r#type == RefreshType::Full { RefreshType::DataOnly } else { RefreshType::Full };
            }),
            Wish::Request => {
                let value = next(self.annotation(api::RUN_REQUESTED_AT).map(String::as_str));
                self.annotate(api::RUN_REQUESTED_AT, &value);
            }
            Wish::Suspend => self.change(|refresh| refresh.spec.suspend = !refresh.spec.suspend),
            Wish::Concurrency(policy) => self.change(|refresh| refresh.spec.concurrency_policy = policy),
            Wish::Conflict(policy) => self.change(|refresh| refresh.spec.conflict_policy = policy),
            Wish::Deletion(policy) => self.change(|refresh| refresh.spec.deletion_policy = policy),
            Wish::Model => self.change(|refresh| {
                refresh.spec.model = if refresh.spec.model == model(0) { model(1) } else { model(0) };
            }),
            Wish::Adopt(op) => self.annotate(api::ADOPT, &format!("op-{op}")),
            Wish::Resubmit => self.annotate(api::RESUBMIT, "true"),
            Wish::Release => self.annotate(api::RELEASE, "true"),
            Wish::Unfinalize => self.finalize(false),
            Wish::Delete => {
                self.deleted = Some(now);
                self.change(|refresh| refresh.metadata.deletion_timestamp = Some(ClusterTime(moment(now))));
            }
        }
    }

    /// Its whole namespace is going.
    pub fn end_namespace(&mut self, now: Second) {
        self.namespace_ending = true;
        if self.deleted.is_none() {
            self.grant(Wish::Delete, now);
        }
    }
}
