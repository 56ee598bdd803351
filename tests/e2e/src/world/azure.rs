//! The model of a world in the local Azure.

use serde_json::{Value, json};

use super::World;
use crate::read::merged;
use crate::{Fault, Model, Operation, Row, Sync};

/// The duration of an operation that lasts until the test ends it: a slow machine cannot miss that it is running.
pub const LASTING_MILLIS: u64 = 3_600_000;

/// Settings of a model whose first refresh lasts until the test ends it; the next ones are short.
#[must_use]
pub fn first_lasts() -> Value {
    json!({"outcomes": [{"status": "succeeded", "durationMillis": LASTING_MILLIS}]})
}

impl World {
    pub(super) async fn put_model(&self, settings: &Value) {
        self.azure.put_model(self.named(settings)).await;
    }

    /// Creates another model on the server, and returns the part of a spec that refers to it.
    pub async fn put_database(&self, database: &str, settings: &Value) -> Value {
        self.put_model(&merged(settings, &json!({"database": database}))).await;
        json!({"model": {"analysisServices": {"database": database}}})
    }

    /// The operations of another model on the server.
    pub async fn operations_on(&self, database: &str) -> Vec<Operation> {
        self.azure.operations(&self.server, database).await
    }

    /// Changes the model.
    pub async fn patch_model(&self, changes: &Value) {
        self.azure.patch_model(self.named(changes)).await;
    }

    /// Ends the refresh that is running on another model on the server.
    pub async fn end_running_on(&self, database: &str) {
        self.azure.end_running(&Model::analysis_services(&self.server, database)).await;
    }

    fn named(&self, settings: &Value) -> Value {
        merged(&json!({"server": self.server, "database": self.database}), settings)
    }

    /// The model, as named in the control API.
    #[must_use]
    pub fn model(&self) -> Model {
        Model::analysis_services(&self.server, &self.database)
    }

    /// The actual state of the model's syncs.
    pub async fn syncs(&self) -> Vec<Sync> {
        self.azure.syncs(&self.model()).await
    }

    /// The actual state of the model's operations.
    pub async fn operations(&self) -> Vec<Operation> {
        self.azure.operations(&self.server, &self.database).await
    }

    /// Starts a refresh of another client, and returns its id.
    pub async fn start_for_other_client(&self, operation: &Value) -> String {
        self.azure.start(self.named(operation)).await
    }

    /// The requests for the model.
    pub async fn ledger(&self) -> Vec<Row> {
        self.azure.ledger(&self.server, &self.database).await
    }

    /// Number of POSTs of refreshes.
    pub async fn posts(&self) -> usize {
        self.ledger().await.iter().filter(|row| row.method == "POST").count()
    }

    /// Orders a fault for requests for this world's model: `method`, a glob for the end of the path, and the fault.
    pub async fn fault(&self, method: &str, path_end: &str, order: &Value) -> Fault {
        let server = self.server.rsplit('/').next().unwrap_or_default();
        // Syncs address the server's management name, `<server>:rw`.
        let path = format!("*/{server}*/*{path_end}");
        self.azure.fault(merged(&json!({"match": {"method": method, "path": path}}), order)).await
    }
}
