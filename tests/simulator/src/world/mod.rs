//! The state of the local Azure: servers, their models and the operations on them. No I/O and no clock of its own.

pub mod model;
pub mod operation;
pub mod settings;
pub mod timestamp;

use std::{collections::HashMap, sync::Arc};

use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use self::{model::Model, settings::ModelSettings};

/// A model behind its own lock, so that calls for different models do not wait for each other.
pub type SharedModel = Arc<Mutex<Model>>;

/// All servers. Names are compared without regard to case, as the service does.
#[derive(Default)]
pub struct World {
    servers: RwLock<HashMap<String, HashMap<String, SharedModel>>>,
}

/// What a call for a model finds.
pub enum Lookup {
    /// There is no such server.
    NoServer,
    /// The server has no such model; here is another of its models, which knows the server's administrators.
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
        models.values().next().map_or(Lookup::NoServer, |model| Lookup::NoModel(Arc::clone(model)))
    }

    /// Makes a model, or gives an existing one new settings; its operations stay.
    pub fn put(&self, settings: ModelSettings) {
        let mut servers = self.servers.write();
        let models = servers.entry(settings.server.to_lowercase()).or_default();
        match models.get(&settings.database.to_lowercase()) {
            Some(model) => model.lock().set(settings, true),
            None => {
                models.insert(settings.database.to_lowercase(), Arc::new(Mutex::new(Model::new(settings))));
            }
        }
    }

    /// All models.
    #[must_use]
    pub fn models(&self) -> Vec<SharedModel> {
        self.servers.read().values().flat_map(HashMap::values).cloned().collect()
    }

    /// The model that has the operation `id`.
    #[must_use]
    pub fn model_of(&self, id: Uuid) -> Option<SharedModel> {
        self.models().into_iter().find(|model| model.lock().find(id).is_some())
    }
}
