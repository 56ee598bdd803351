//! The environment of one run: its own world, its model at either service, and an operator that is restarted whenever it exits.

use std::sync::Arc;
use std::time::Duration;

use e2e::operator::FAST;
use e2e::world::merged;
use e2e::{InjectedFault, Model, Operation, Operator, TestSetup, World, semantic_model};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Maximum duration of any step: the longest is a backoff of one minute after a refusal, on a busy machine.
pub const LIMIT: Duration = Duration::from_mins(3);
/// The delay before an exited operator is restarted.
const RESTART: Duration = Duration::from_millis(100);

/// The service of the model, and its names in the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Analysis Services.
    Analysis,
    /// Power BI, by ids.
    PowerBi,
    /// Power BI, by the names of workspace and semantic model.
    PowerBiNamed,
}

/// The environment of one run.
pub struct Fixture {
    /// Namespace, application and Secret.
    pub world: World,
    /// The model.
    pub model: Model,
    /// The part of a spec that refers to the model.
    pub spec: Value,
    /// The operator. The holder of the lock controls its process.
    pub operator: Arc<Mutex<Operator>>,
    keeper: JoinHandle<()>,
    /// The application of the second tenant.
    pub theirs: String,
    /// A lasting fault, and whether it affected a request.
    lasting: Mutex<(Option<InjectedFault>, bool)>,
}

impl Fixture {
    /// Creates it with an operator that is ready. `settings` are the model's. The polling interval is long enough that a run without
    /// faults has few polls, and short enough that no scenario is slow.
    pub async fn start(name: &str, service: Service, settings: &Value) -> Self {
        let world = World::with(name, TestSetup { api_proxy: true, limit: Some(LIMIT), ..TestSetup::default() }).await;
        let (model, spec) = model(&world, service).await;
        world.azure.patch(&model, settings.clone()).await;
        let mut settings = world.operator_settings().clone();
        let usual = FAST.iter().filter(|flag| !flag.starts_with("--poll-min=")).map(ToString::to_string);
        settings.arguments.splice(0..0, usual.chain(["--poll-min=400ms".to_owned()]));
        let mut operator = Operator::start_as_is(&settings, world.environment.guard());
        operator.ready_at_last().await;
        let operator = Arc::new(Mutex::new(operator));
        let keeper = tokio::spawn(keep(Arc::clone(&operator)));
        let (theirs, lasting) = (Uuid::new_v4().to_string(), Mutex::default());
        Self { world, model, spec, operator, keeper, theirs, lasting }
    }

    /// Applies a resource for the model.
    pub async fn apply(&self, named: &str, spec: &Value) {
        self.world.apply(named, &merged(&self.spec, spec)).await;
    }

    /// Creates the identity of the second tenant, and returns the part of a spec that uses it.
    pub async fn second_tenant(&self) -> Value {
        self.world.put_identity("theirs", &self.theirs).await
    }

    /// Stores a lasting fault.
    pub async fn keep_until_withdrawn(&self, fault: InjectedFault) {
        self.lasting.lock().await.0 = Some(fault);
    }

    /// Withdraws the lasting fault; returns whether it affected a request.
    pub async fn withdraw_lasting(&self) -> bool {
        let mut lasting = self.lasting.lock().await;
        if let Some(fault) = lasting.0.take() {
            lasting.1 = fault.hits() > 0;
        }
        lasting.1
    }

    /// The operator's refreshes of the model.
    pub async fn refreshes(&self) -> Vec<Operation> {
        self.refreshes_by(&self.world.client_id).await
    }

    /// An application's refreshes of the model.
    pub async fn refreshes_by(&self, client: &str) -> Vec<Operation> {
        let all = self.world.azure.refreshes(&self.model).await;
        all.into_iter().filter(|operation| operation.client.contains(client)).collect()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Restarts the operator whenever it exits on its own, as the kubelet would, for example after it lost its lease.
async fn keep(operator: Arc<Mutex<Operator>>) {
    loop {
        tokio::time::sleep(RESTART).await;
        let mut operator = operator.lock().await;
        if operator.has_ended() {
            operator.restart();
        }
    }
}

async fn model(world: &World, service: Service) -> (Model, Value) {
    if service == Service::Analysis {
        return (world.model(), json!({}));
    }
    let (model, by_ids, by_names) = semantic_model(world, &json!({"cancelMillis": 100})).await;
    (model, if service == Service::PowerBi { by_ids } else { by_names })
}
