//! The resources: groups of ten, each with every shape.

use e2e::{Kind, Model};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cluster::{Cluster, IDENTITIES, secret_name};

/// Number of resources of a group.
const GROUP: usize = 10;
/// Number of servers of Analysis Services, and of workspaces.
const SERVERS: usize = 5;
/// Number of entries of the history.
const HISTORY: i32 = 3;
/// A schedule that never occurs during a run.
pub const RARELY: &str = "0 0 1 1 *";
/// Number of concurrent requests that create.
const CONCURRENCY: usize = 16;

/// What is special about a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A refresh with a maximum age of its data.
    Plain,
    /// A refresh that is attempted again.
    Retried,
    /// A refresh with a schedule.
    Scheduled,
    /// A refresh on which a sync depends.
    Upstream,
    /// A sync after [`Self::Upstream`].
    Dependent,
    /// A refresh in Power BI.
    PowerBi,
    /// A refresh in Power BI that each new trigger replaces.
    Replacing,
    /// A refresh on the model of [`Self::Plain`].
    Sharing,
    /// A sync.
    Synced,
    /// A refresh after [`Self::Plain`] or, in every other group, a sync after [`Self::PowerBi`].
    Following,
}

const SHAPES: [Shape; GROUP] = [
    Shape::Plain,
    Shape::Retried,
    Shape::Scheduled,
    Shape::Upstream,
    Shape::Dependent,
    Shape::PowerBi,
    Shape::Replacing,
    Shape::Sharing,
    Shape::Synced,
    Shape::Following,
];

/// One resource. It is deleted and created again, also under new names.
#[derive(Clone, Debug)]
pub struct Slot {
    index: usize,
    /// Number of its name.
    generation: u32,
    /// Whether it is being deleted and created again.
    pub busy: bool,
}

impl Slot {
    pub fn shape(&self) -> Shape {
        SHAPES[self.index % GROUP]
    }

    fn group(&self) -> usize {
        self.index / GROUP
    }

    fn follows_power_bi(&self) -> bool {
        self.group() % 2 == 1
    }

    pub fn kind(&self) -> Kind {
        match self.shape() {
            Shape::Dependent | Shape::Synced => Kind::Sync,
            Shape::Following if self.follows_power_bi() => Kind::Sync,
            _ => Kind::Refresh,
        }
    }

    pub fn name(&self) -> String {
        if self.generation == 0 { name(self.index) } else { format!("{}-{}", name(self.index), self.generation) }
    }

    /// Takes a new name, unless another resource refers to it.
    pub fn rename(&mut self) {
        self.generation += u32::from(!matches!(self.shape(), Shape::Plain | Shape::Upstream | Shape::PowerBi));
    }

    /// The model that it has of its own, with its settings; `None` if it uses the model of another resource.
    fn own_model(&self) -> Option<(Model, Value)> {
        let settings = |index: usize| json!({"notStartedMillis": 100, "durationMillis": 1_000 + 500 * (index % 7), "cancelMillis": 200});
        match self.shape() {
            Shape::Sharing | Shape::Dependent => None,
            Shape::Following if self.follows_power_bi() => None,
            Shape::PowerBi | Shape::Replacing => {
                let names = json!({"workspace": format!("W{}", self.group() % SERVERS), "dataset": format!("D{}", self.index)});
                Some((self.model(), e2e::world::merged(&settings(self.index), &names)))
            }
            _ => Some((self.model(), settings(self.index))),
        }
    }

    /// The model that its runs use.
    pub fn model(&self) -> Model {
        let of = |index: usize| Self { index, ..self.clone() }.model();
        let first = self.group() * GROUP;
        match self.shape() {
            Shape::Sharing => of(first),
            Shape::Dependent => of(first + 3),
            Shape::Following if self.follows_power_bi() => of(first + 5),
            Shape::PowerBi | Shape::Replacing => {
                Model::power_bi(&id(0x9000, self.group() % SERVERS).to_string(), &id(0xa000, self.index).to_string())
            }
            _ => Model::analysis_services(&server(self.group()), &format!("m{}", self.index)),
        }
    }

    /// Whether the next operation of its model can be set to fail.
    pub fn fails_alone(&self) -> bool {
        matches!(self.shape(), Shape::Plain | Shape::Retried | Shape::Scheduled)
    }

    /// Its schedule, if it has one.
    pub fn schedule(&self) -> Option<&'static str> {
        (self.shape() == Shape::Scheduled).then_some(if self.group().is_multiple_of(2) { "*/2 * * * *" } else { "1-59/2 * * * *" })
    }

    pub fn spec(&self) -> Value {
        let first = self.group() * GROUP;
        let model = match self.model() {
            Model::AnalysisServices { server, database } => json!({"analysisServices": {"server": server, "database": database}}),
            Model::PowerBi { group, dataset } => json!({"powerBI": {"groupId": group, "datasetId": dataset}}),
        };
        // Several runs may end while the API server restarts. Fewer entries reach their maximum sooner.
        let mut spec = json!({"historyLimit": HISTORY});
        if self.own_model().is_some() || self.shape() == Shape::Sharing {
            spec["model"] = model;
            spec["credentials"] = json!({"servicePrincipalRef": {"name": secret_name(self.group() % IDENTITIES)}});
        }
        if self.kind() == Kind::Refresh {
            spec["refresh"] = json!({"type": "full"});
        }
        match self.shape() {
            Shape::Plain => spec["staleAfterSeconds"] = json!(86_400),
            Shape::Retried => spec["backoffLimit"] = json!(3),
            Shape::Scheduled => spec["trigger"] = json!({"schedule": self.schedule()}),
            Shape::Dependent => spec["trigger"] = json!({"afterRefresh": {"name": name(first + 3)}}),
            Shape::Following => {
                let upstream = if self.follows_power_bi() { first + 5 } else { first };
                spec["trigger"] = json!({"afterRefresh": {"name": name(upstream)}});
            }
            Shape::Replacing => spec["concurrencyPolicy"] = json!("Replace"),
            Shape::Upstream | Shape::PowerBi | Shape::Sharing | Shape::Synced => {}
        }
        spec
    }
}

/// All resources.
#[derive(Debug)]
pub struct Fleet {
    pub slots: Vec<Slot>,
}

impl Fleet {
    pub fn new(count: usize) -> Self {
        Self { slots: (0..count).map(|index| Slot { index, generation: 0, busy: false }).collect() }
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// All models.
    pub fn models(&self) -> Vec<Model> {
        self.slots.iter().filter_map(Slot::own_model).map(|(model, _)| model).collect()
    }

    /// Creates all models.
    pub async fn put_models(&self, cluster: &Cluster) {
        let models = self.slots.iter().filter_map(Slot::own_model);
        stream::iter(models)
            .for_each_concurrent(CONCURRENCY, |(model, settings)| async move { cluster.azure.put(&model, settings).await })
            .await;
    }

    /// Creates all resources.
    pub async fn create(&self, cluster: &Cluster) {
        let create = |slot: Slot| async move { cluster.apply(slot.kind(), &slot.name(), &slot.spec()).await };
        stream::iter(self.slots.clone()).for_each_concurrent(CONCURRENCY, create).await;
    }

    /// Sets the schedules that are due in each two minutes, or one that never is.
    pub async fn set_schedules(&self, cluster: &Cluster, active: bool) {
        for slot in &self.slots {
            if let Some(schedule) = slot.schedule() {
                let schedule = if active { schedule } else { RARELY };
                cluster.edit(slot.kind(), &slot.name(), &json!({"spec": {"trigger": {"schedule": schedule}}})).await;
            }
        }
    }
}

/// Sets the clocks of these models at the service: how far they are ahead, or behind.
pub async fn set_clocks(cluster: &Cluster, models: &[Model], millis: i64) {
    let set = |model: Model| async move { cluster.azure.patch(&model, json!({"clockSkewMillis": millis})).await };
    stream::iter(models.to_vec()).for_each_concurrent(CONCURRENCY, set).await;
}

/// The name of a resource that is never renamed.
fn name(index: usize) -> String {
    format!("r-{index}")
}

fn server(group: usize) -> String {
    format!("asazure://westus.asazure.windows.net/soak{}", group % SERVERS)
}

fn id(kind: u16, number: usize) -> Uuid {
    Uuid::from_u128((u128::from(kind) << 64) + u128::try_from(number).expect("it is small"))
}
