//! The state of the local Azure: servers, their models and the operations on them. No I/O and no clock of its own.

pub mod model;
pub mod operation;
pub mod past;
pub mod scale_out;
pub mod settings;
pub mod sync;
pub mod syncs;
pub mod task;
pub mod timestamp;
pub mod verbatim;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use self::{model::Model, settings::ModelSettings};

/// A model behind its own lock, so that calls for different models do not block each other.
pub type SharedModel = Arc<Mutex<Model>>;

/// All servers and workspaces. Names are case-insensitive, as in the services.
#[derive(Default)]
pub struct World {
    servers: RwLock<HashMap<String, HashMap<String, SharedModel>>>,
    datasets: RwLock<BTreeMap<(Uuid, Uuid), SharedModel>>,
    /// Deleted models: their servers and workspaces still exist and keep their administrators.
    deleted: RwLock<Vec<SharedModel>>,
}

/// The result of a lookup.
pub enum Lookup {
    /// The server does not exist.
    NoServer,
    /// The server has no such model; contains another of its models, which provides the administrators.
    NoModel(SharedModel),
    /// The model.
    Found(SharedModel),
}

impl World {
    /// Finds a model by its server (`asazure://…`) and database.
    #[must_use]
    pub fn find(&self, server: &str, database: &str) -> Lookup {
        let servers = self.servers.read();
        let Some(models) = servers.get(&server.to_lowercase()) else {
            return Lookup::NoServer;
        };
        if let Some(model) = models.get(&database.to_lowercase()) {
            return Lookup::Found(Arc::clone(model));
        }
        let deleted = || self.deleted.read().iter().find(|model| model.lock().settings().server.eq_ignore_ascii_case(server)).cloned();
        models.values().next().cloned().or_else(deleted).map_or(Lookup::NoServer, Lookup::NoModel)
    }

    /// Deletes a model and all of its operations; returns whether it existed.
    pub fn delete(&self, model: &SharedModel) -> bool {
        let settings = model.lock().settings().clone();
        let removed = match settings.power_bi_ids() {
            Some(ids) => self.datasets.write().remove(&ids),
            None => self
                .servers
                .write()
                .get_mut(&settings.server.to_lowercase())
                .and_then(|models| models.remove(&settings.database.to_lowercase())),
        };
        self.deleted.write().extend(removed.iter().cloned());
        removed.is_some()
    }

    /// Whether a deleted semantic model was in a matching workspace.
    #[must_use]
    pub fn had_dataset(&self, matches: impl Fn(&ModelSettings) -> bool) -> bool {
        self.deleted.read().iter().any(|model| matches(model.lock().settings()))
    }

    /// Finds a semantic model by its workspace's id and its own.
    #[must_use]
    pub fn find_dataset(&self, group: Uuid, dataset: Uuid) -> Option<SharedModel> {
        self.datasets.read().get(&(group, dataset)).cloned()
    }

    /// All semantic models, in the order of their workspaces.
    #[must_use]
    pub fn datasets(&self) -> Vec<SharedModel> {
        self.datasets.read().values().cloned().collect()
    }

    /// Creates a model, or gives an existing one new settings; its operations stay.
    pub fn put(&self, settings: ModelSettings, now: Timestamp) {
        if let Some(ids) = settings.power_bi_ids() {
            let mut datasets = self.datasets.write();
            match datasets.get(&ids) {
                Some(model) => model.lock().set(settings, true, now),
                None => {
                    datasets.insert(ids, Arc::new(Mutex::new(Model::new(settings, now))));
                }
            }
            return;
        }
        let mut servers = self.servers.write();
        let models = servers.entry(settings.server.to_lowercase()).or_default();
        match models.get(&settings.database.to_lowercase()) {
            Some(model) => model.lock().set(settings, true, now),
            None => {
                models.insert(settings.database.to_lowercase(), Arc::new(Mutex::new(Model::new(settings, now))));
            }
        }
    }

    /// All models.
    #[must_use]
    pub fn models(&self) -> Vec<SharedModel> {
        let mut models = self.datasets();
        models.extend(self.servers.read().values().flat_map(HashMap::values).cloned());
        models
    }

    /// The model that has the operation or the sync `id`.
    #[must_use]
    pub fn model_of(&self, id: Uuid) -> Option<SharedModel> {
        self.models().into_iter().find(|model| {
            let mut model = model.lock();
            model.find(id).is_some() || model.syncs.find_mut(id).is_some() || model.scale_out.runs().iter().any(|run| run.id == id)
        })
    }
}

/// Converts milliseconds.
fn millis(millis: u64) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// `time` plus `span`, limited to the latest timestamp.
fn later(time: Timestamp, span: SignedDuration) -> Timestamp {
    time.saturating_add(span).unwrap_or(Timestamp::MAX)
}
