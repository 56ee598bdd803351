//! The scripted world, and what users change in it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tabular_operator::api::{
    AnalysisServicesModel, Model, ModelRefresh, ModelRefreshSpec, ModelResource as Manifest, ModelSyncSpec, PowerBiModel, RESUBMIT, Status,
};
use tabular_operator::engine::reconcile::PlannedCall;
use tabular_operator::engine::{Blocker, CheckReport, DrainMode, EffectResult, Event, Settings, resubmit_value};
use tabular_operator::operation::ModelLookup;

use super::service::Service;
use crate::scenario::Scenario;
use crate::world::object::{Spec, metadata_of};
use crate::world::{self, UserAction};

/// A user's edit of a status.
pub type StatusEdit = Box<dyn FnOnce(&mut Status)>;

/// A resource, its service and its operator, which may be killed at any step.
pub struct World {
    pub(super) inner: world::World,
    /// The service.
    pub service: Service,
    pub(super) spec: ModelRefreshSpec,
    pub(super) has_model: bool,
    /// The upstream refresh.
    pub upstream: Option<ModelRefresh>,
    /// The result of resolving the names.
    pub resolution: ModelLookup,
    /// How often the names were resolved.
    pub resolves: usize,
    /// The resource that has the turn on the model.
    pub ahead: Option<String>,
    /// A fault in the spec, or in what it refers to.
    pub spec_blocker: Option<Blocker>,
    /// What the preparation of a call results in, if it fails.
    pub preparation_failure: Option<EffectResult>,
    /// What a check finds, if it does not succeed.
    pub check_report: Option<CheckReport>,
    /// How many checks were performed.
    pub checks: usize,
    /// The calls whose preparation fails.
    pub fails_preparation_of: fn(&PlannedCall) -> bool,
    /// Whether the namespace is being deleted.
    pub namespace_terminating: bool,
    /// The drain that the operator has observed.
    pub drain: Option<DrainMode>,
    /// Whether another resource has the operation that `adopt` names.
    pub adopt_claimed: bool,
    /// Whether the API server has refused to change the metadata.
    pub metadata_refused: bool,
    /// How a user edits the status during the next submission.
    pub edit_during_submission: Option<StatusEdit>,
    /// After how many further requests and responses the operator is killed.
    pub crash_in: Option<usize>,
    /// How often the operator has written.
    pub writes: usize,
    /// The statuses that it has written.
    pub statuses: Vec<Status>,
    /// The events that it has published.
    pub events: Vec<Event>,
    pub(super) published: Arc<Mutex<Vec<Event>>>,
}

/// A time.
pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A number of seconds.
pub fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A model in Analysis Services.
pub fn model(database: &str) -> Model {
    let server = "asazure://westus.asazure.windows.net/myserver".to_owned();
    Model { analysis_services: Some(AnalysisServicesModel { server, database: database.to_owned() }), power_bi: None }
}

/// A model in Power BI that is given by its names.
pub fn named(workspace: &str) -> Model {
    let (workspace, dataset) = (Some(workspace.to_owned()), Some("Orders".to_owned()));
    Model { analysis_services: None, power_bi: Some(PowerBiModel { group_id: None, dataset_id: None, workspace, dataset }) }
}

/// The settings of the operator.
pub fn settings() -> Settings {
    Settings {
        poll_min: secs(1),
        poll_max: secs(30),
        poll_fraction: 0.1,
        call_timeout: secs(30),
        listing_lag: secs(120),
        max_refresh_duration: secs(172_800),
        reference_grace: secs(60),
        power_bi_portal: None,
    }
}

fn sync_spec(spec: &ModelRefreshSpec, has_model: bool) -> ModelSyncSpec {
    let spec = spec.clone();
    ModelSyncSpec {
        model: Some(spec.model).filter(|_| has_model),
        credentials: None,
        trigger: spec.trigger,
        wait_deadline_seconds: spec.wait_deadline_seconds,
        active_deadline_seconds: spec.active_deadline_seconds,
        backoff_limit: spec.backoff_limit,
        suspend: spec.suspend,
        history_limit: spec.history_limit,
    }
}

impl World {
    /// A refresh that was just applied, with a spec as `edit` leaves it.
    pub fn new(edit: impl FnOnce(&mut ModelRefreshSpec)) -> Self {
        Self::of(edit, |spec| Spec::Refresh(spec.clone()))
    }

    /// A sync that was just applied. Its spec is written as that of a refresh, of which it has a part of the fields.
    pub fn sync(edit: impl FnOnce(&mut ModelRefreshSpec)) -> Self {
        Self::of(edit, |spec| Spec::Sync(sync_spec(spec, true)))
    }

    fn of(edit: impl FnOnce(&mut ModelRefreshSpec), kind: impl FnOnce(&ModelRefreshSpec) -> Spec) -> Self {
        let spec = serde_json::json!({"model": model("Sales"), "refresh": {"type": "full"}});
        let mut spec: ModelRefreshSpec = serde_json::from_value(spec).unwrap();
        edit(&mut spec);
        let base = Scenario::base("scripted", "a test scripts each event");
        let mut scenario = Scenario { specs: vec![kind(&spec)], call_timeout: 30, listing_lag: 120, ..base };
        let published = Arc::new(Mutex::new(Vec::new()));
        scenario.scripted.events = Some(Arc::clone(&published));
        let mut inner = world::World::new(&Arc::new(scenario));
        inner.settings = Arc::new(settings());
        // The script decides when an operation becomes visible.
        inner.service.lag = world::Seconds::from(u32::MAX);
        Self {
            inner,
            service: Service::default(),
            spec,
            has_model: true,
            upstream: None,
            resolution: ModelLookup::Ambiguous("no workspace is named Sales".to_owned()),
            resolves: 0,
            ahead: None,
            spec_blocker: None,
            preparation_failure: None,
            check_report: None,
            checks: 0,
            fails_preparation_of: |_| true,
            namespace_terminating: false,
            drain: None,
            adopt_claimed: false,
            metadata_refused: false,
            edit_during_submission: None,
            crash_in: None,
            writes: 0,
            statuses: Vec::new(),
            events: Vec::new(),
            published,
        }
    }

    /// Changes the spec.
    pub fn edit(&mut self, edit: impl FnOnce(&mut ModelRefreshSpec)) -> &mut Self {
        let before = self.spec.clone();
        edit(&mut self.spec);
        if self.spec == before { self } else { self.apply_spec() }
    }

    /// A sync without a model takes that of its upstream.
    pub fn without_model(mut self) -> Self {
        self.has_model = false;
        self.apply_spec();
        self
    }

    fn apply_spec(&mut self) -> &mut Self {
        let (spec, has_model) = (self.spec.clone(), self.has_model);
        let resource = self.inner.resource(0);
        let before = Arc::clone(&resource.now().revision);
        resource.change(|manifest| match manifest {
            Manifest::ModelRefresh(refresh) => refresh.spec = spec,
            Manifest::ModelSync(sync) => sync.spec = sync_spec(&spec, has_model),
        });
        if !before.desired.runs_on_change && resource.now().revision.desired.runs_on_change {
            // What changed while `onChange` was false counts as handled.
            resource.submitted_work = Some((before.desired.operation.digest.clone(), before.desired.token.clone()));
        }
        self.changed()
    }

    /// Changes the metadata.
    pub fn edit_metadata(&mut self, edit: impl FnOnce(&mut ObjectMeta)) -> &mut Self {
        self.inner.resource(0).change(|manifest| edit(metadata_of(manifest)));
        self.changed()
    }

    /// Sets or removes an annotation.
    pub fn annotate(&mut self, key: &str, value: Option<&str>) -> &mut Self {
        self.edit_metadata(|metadata| {
            let annotations = metadata.annotations.get_or_insert_default();
            match value {
                Some(value) => annotations.insert(key.to_owned(), value.to_owned()),
                None => annotations.remove(key),
            };
        })
    }

    /// Decides that the submission started nothing.
    pub fn resubmit(&mut self) -> &mut Self {
        let value = resubmit_value(self.run());
        self.annotate(RESUBMIT, Some(&value))
    }

    /// Edits the status (`kubectl edit --subresource=status`).
    pub fn edit_status(&mut self, edit: impl FnOnce(&mut Status)) -> &mut Self {
        let mut status = self.status().clone();
        edit(&mut status);
        let status = Arc::new(status);
        let resource = self.inner.resource(0);
        // A run that a user removes is restored, or its trigger starts another one.
        if let Some(removed) = resource.now().status.run.clone().filter(|run| status.run.as_ref().is_none_or(|it| it.number < run.number)) {
            resource.started_triggers.retain(|trigger| *trigger != removed.trigger);
        }
        resource.write_status(Arc::clone(&status));
        resource.edited_statuses.push(status);
        self.changed()
    }

    /// Deletes the resource.
    pub fn delete(&mut self) -> &mut Self {
        if self.inner.resources[0].deleted.is_none() {
            self.inner.apply_user_action(0, UserAction::Delete);
        }
        self
    }

    /// The resource, or a fact outside it, has changed: it is reconciled immediately.
    pub fn changed(&mut self) -> &mut Self {
        self.inner.mark_changed(0);
        self
    }

    /// A user has made a decision that may be wrong, so that the operator is not accountable for the operations.
    pub fn user_decided(&mut self) -> &mut Self {
        self.inner.resource(0).exempt_up_to = i32::MAX;
        self
    }

    /// The settings of the operator.
    pub fn settings(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.inner.settings)
    }
}
