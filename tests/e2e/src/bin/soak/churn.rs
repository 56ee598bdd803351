//! The users: they request, change, cancel, delete and create resources. In each part, the order depends only on the seed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use e2e::{Kind, Model};
use model::random::Rng;
use serde_json::json;
use tabular_operator::api::{CANCEL_REQUESTED_AT, RUN_REQUESTED_AT, RunState};
use tokio::sync::{OwnedRwLockReadGuard, RwLock};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::cluster::Cluster;
use crate::fleet::{Fleet, Slot};
use crate::index_below;
use crate::ledger::{Account, Ledger};

/// The interval of actions. Most resources are idle, so that all processes together need a small share of a machine that runs other tests.
const INTERVAL: Duration = Duration::from_secs(2);
/// Maximum duration until all resources are ready, and until one is deleted: a retry takes a minute.
const LIMIT: Duration = Duration::from_mins(10);
/// How long a requested operation is awaited, if a fault delays it.
const RUNNING: Duration = Duration::from_secs(20);
/// The interval at which resources that did not succeed are requested again, and how often all must be ready in succession: the success of
/// an upstream may be about to start another run.
const RECHECK: Duration = Duration::from_secs(2);
const CALM: usize = 3;

/// Excludes actions of users: a deletion holds it until the resource exists again.
pub type Gate = Arc<RwLock<()>>;

/// What a user does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    /// Requests a run.
    Request,
    /// Changes the token of the trigger.
    Change,
    /// Requests a run whose operation fails.
    Fail,
    /// Cancels the current run.
    Cancel,
    /// Deletes the resource, and creates it again under the same name.
    Recreate,
    /// Deletes the resource, and creates one with a new name.
    Replace,
    /// Requests a run, deletes the resource during its operation, and removes the finalizer.
    Force,
}

/// The weights of actions.
const WEIGHTED: [(Action, usize); 7] = [
    (Action::Request, 5),
    (Action::Change, 2),
    (Action::Fail, 2),
    (Action::Cancel, 1),
    (Action::Recreate, 3),
    (Action::Replace, 3),
    (Action::Force, 2),
];

/// Performs the actions.
pub struct Churn {
    fleet: Fleet,
    cluster: Arc<Cluster>,
    ledger: Arc<Ledger>,
    gate: Gate,
    /// The deletions in progress; each returns the index of its slot.
    deletions: JoinSet<usize>,
    counts: BTreeMap<Action, usize>,
    /// Number of requested values so far.
    values: u64,
}

impl Churn {
    pub fn new(fleet: Fleet, cluster: Arc<Cluster>, ledger: Arc<Ledger>) -> Self {
        let (gate, deletions, counts) = (Gate::default(), JoinSet::new(), BTreeMap::new());
        Self { fleet, cluster, ledger, gate, deletions, counts, values: 0 }
    }

    pub fn gate(&self) -> Gate {
        Arc::clone(&self.gate)
    }

    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// What the users have done so far.
    pub fn counts(&self) -> String {
        let counts: Vec<String> = self.counts.iter().map(|(action, count)| format!("{action:?} {count}")).collect();
        counts.join(", ")
    }

    pub async fn create_all(&self) {
        self.fleet.create(&self.cluster).await;
    }

    /// Performs actions until `stop` is set, and ends those in progress.
    pub async fn run(&mut self, mut rng: Rng, stop: &AtomicBool) {
        self.fleet.set_schedules(&self.cluster, true).await;
        let mut beat = interval(INTERVAL);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !stop.load(Ordering::Relaxed) {
            beat.tick().await;
            while let Some(recreated) = self.deletions.try_join_next() {
                self.fleet.slots[recreated.expect("a deletion completes")].busy = false;
            }
            // Both are drawn for each beat, so that the order does not depend on the timing.
            let index = index_below(&mut rng, self.fleet.len());
            let action = draw(&mut rng);
            if !self.fleet.slots[index].busy {
                let permit = Arc::clone(&self.gate).read_owned().await;
                self.perform(index, action, permit).await;
            }
        }
        while let Some(recreated) = self.deletions.join_next().await {
            self.fleet.slots[recreated.expect("a deletion completes")].busy = false;
        }
    }

    async fn perform(&mut self, index: usize, action: Action, permit: OwnedRwLockReadGuard<()>) {
        let slot = self.fleet.slots[index].clone();
        let (kind, name) = (slot.kind(), slot.name());
        let action = if action == Action::Fail && !slot.fails_alone() { Action::Request } else { action };
        *self.counts.entry(action).or_default() += 1;
        self.values += 1;
        let value = format!("v{}", self.values);
        let cluster = &self.cluster;
        match action {
            Action::Request => cluster.annotate(kind, &name, RUN_REQUESTED_AT, &value).await,
            Action::Change => cluster.edit(kind, &name, &json!({"spec": {"trigger": {"token": value}}})).await,
            Action::Fail => {
                fail_next(cluster, &slot.model()).await;
                cluster.annotate(kind, &name, RUN_REQUESTED_AT, &value).await;
            }
            Action::Cancel => cluster.annotate(kind, &name, CANCEL_REQUESTED_AT, &value).await,
            Action::Recreate | Action::Replace | Action::Force => {
                let next = &mut self.fleet.slots[index];
                next.busy = true;
                if action == Action::Replace {
                    next.rename();
                }
                let (cluster, ledger, next) = (Arc::clone(cluster), Arc::clone(&self.ledger), next.clone());
                let run = (action == Action::Force).then_some(value);
                self.deletions.spawn(async move {
                    recreate(&cluster, &ledger, (&slot, &next), run.as_deref()).await;
                    drop(permit);
                    index
                });
            }
        }
    }

    /// Ends all that changes automatically, and waits until each resource is ready. A resource whose run did not succeed is requested again.
    pub async fn settle(&mut self) {
        for slot in self.fleet.slots.iter().filter(|slot| slot.fails_alone()) {
            self.cluster.azure.patch(&slot.model(), json!({"outcomes": []})).await;
        }
        self.fleet.set_schedules(&self.cluster, false).await;
        let mut requested: BTreeMap<String, i32> = BTreeMap::new();
        let (began, mut calm) = (tokio::time::Instant::now(), 0);
        while calm < CALM {
            let existing = self.ledger.existing();
            let complete = existing.len() == self.fleet.len();
            let unready: Vec<Account> = existing.into_iter().filter(|account| !account.is_ready()).collect();
            calm = if complete && unready.is_empty() { calm + 1 } else { 0 };
            for account in &unready {
                let run = account.run_number();
                if account.needs_request() && requested.insert(account.uid.clone(), run) != Some(run) {
                    self.values += 1;
                    self.cluster.annotate(account.kind, &account.name, RUN_REQUESTED_AT, &format!("v{}", self.values)).await;
                }
            }
            let first: Vec<String> = unready.iter().take(5).map(Account::describe).collect();
            assert!(began.elapsed() < LIMIT, "{} resources are not ready: {first:#?}", unready.len());
            sleep(RECHECK).await;
        }
    }
}

fn draw(rng: &mut Rng) -> Action {
    let all = WEIGHTED.iter().flat_map(|(action, weight)| std::iter::repeat_n(*action, *weight));
    let all: Vec<Action> = all.collect();
    all[index_below(rng, all.len())]
}

async fn fail_next(cluster: &Cluster, model: &Model) {
    cluster.azure.patch(model, json!({"outcomes": ["failed"]})).await;
}

/// Deletes a resource, and creates the next one of its slot when it is gone. With the value of a request for a run, its finalizer is removed
/// while that run has an operation.
async fn recreate(cluster: &Cluster, ledger: &Ledger, (slot, next): (&Slot, &Slot), run: Option<&str>) {
    let (kind, name): (Kind, String) = (slot.kind(), slot.name());
    let Some(account) = ledger.find(kind, &name) else { panic!("{name} was never created") };
    let mut has_operation = false;
    if let Some(value) = run {
        cluster.annotate(kind, &name, RUN_REQUESTED_AT, value).await;
        has_operation = ledger.matches_within(RUNNING, |accounts| accounts[&account.uid].state() == Some(RunState::Running)).await;
    }
    cluster.delete(kind, &name).await;
    if has_operation {
        cluster.edit(kind, &name, &json!({"metadata": {"finalizers": null}})).await;
    }
    ledger.until(LIMIT, &format!("the deletion of {}", account.describe()), |accounts| !accounts[&account.uid].exists).await;
    cluster.apply(next.kind(), &next.name(), &next.spec()).await;
    let exists = |account: &Account| account.exists && account.kind == next.kind() && account.name == next.name();
    ledger.until(LIMIT, &format!("the creation of {}", next.name()), |accounts| accounts.values().any(exists)).await;
}
