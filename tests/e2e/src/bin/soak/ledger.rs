//! The account of each resource: every run and every operation that its statuses have recorded, from a watch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use e2e::{AnyObject, Kind, Model};
use futures::StreamExt as _;
use kube::ResourceExt as _;
use kube::runtime::watcher::{Config, Event, watcher};
use tabular_operator::api::{self, RUN_REQUESTED_AT, Run, RunState, Status, TriggerType};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::cluster::Cluster;

/// The delay before a failed watch is retried.
const RETRY: Duration = Duration::from_millis(200);

/// All accounts, by uid.
pub type Accounts = BTreeMap<String, Account>;

/// The submission of a run: its number, its attempt, and how often a user had it submitted again.
pub type Submission = (i32, i32, i32);

/// What is known of one resource.
#[derive(Clone, Debug)]
pub struct Account {
    pub uid: String,
    pub kind: Kind,
    pub name: String,
    pub exists: bool,
    /// The model of a submission in progress: the service may have an operation that no status has recorded.
    pub open: Option<Model>,
    /// The latest status; `None` before the first, and of a deleted resource.
    pub status: Option<Status>,
    requested: Option<String>,
    /// The ids of the operations of each submission.
    pub operations: BTreeMap<Submission, BTreeSet<String>>,
    /// The ids of previous operations and of the history, including those of submissions that no watch showed, because the API server was
    /// restarting.
    pub previous: BTreeSet<String>,
    /// The trigger of each run.
    pub triggers: BTreeMap<i32, (TriggerType, String)>,
    /// The models of the operations.
    pub models: BTreeMap<String, Model>,
}

impl Account {
    fn new(kind: Kind, object: &AnyObject) -> Self {
        Self {
            uid: object.uid().unwrap_or_default(),
            kind,
            name: object.name_any(),
            exists: true,
            open: None,
            status: None,
            requested: None,
            operations: BTreeMap::new(),
            previous: BTreeSet::new(),
            triggers: BTreeMap::new(),
            models: BTreeMap::new(),
        }
    }

    fn record(&mut self, object: AnyObject) {
        self.requested = object.annotations().get(RUN_REQUESTED_AT).cloned();
        let Some(status) = object.status else { return };
        self.open = None;
        // The model of a resource never changes here.
        let own_model = status.run.as_ref().and_then(|run| model(&run.model));
        for entry in &status.history {
            self.triggers.entry(entry.number).or_insert_with(|| (entry.trigger.r#type, String::new()));
            self.record_previous(entry.operation_id.as_slice(), own_model.as_ref());
        }
        if let Some(run) = &status.run {
            // A refresh of the same name has its own runs.
            let upstream = status.last_upstream_run.as_ref().filter(|_| run.trigger.r#type == TriggerType::AfterRefresh);
            let value = || format!("{} {}", run.trigger.value, upstream.map_or("", |upstream| &upstream.uid)).trim().to_owned();
            self.triggers.entry(run.number).or_insert_with(|| (run.trigger.r#type, value()));
            self.open = own_model.clone().filter(|_| run.state == RunState::Submitting);
            self.record_previous(&run.previous_operation_ids, own_model.as_ref());
            if let Some(id) = &run.operation_id {
                self.operations.entry((run.number, run.attempt, run.resubmissions)).or_default().insert(id.to_lowercase());
                self.models.extend(own_model.map(|model| (id.to_lowercase(), model)));
            }
        }
        self.status = Some(status);
    }

    /// Records the ids of earlier operations on a model.
    fn record_previous(&mut self, ids: &[String], model: Option<&Model>) {
        for id in ids.iter().map(|id| id.to_lowercase()) {
            if let Some(model) = model {
                self.models.entry(id.clone()).or_insert_with(|| model.clone());
            }
            self.previous.insert(id);
        }
    }

    fn run(&self) -> Option<&Run> {
        self.status.as_ref()?.run.as_ref()
    }

    /// The ids of all its operations.
    pub fn ids(&self) -> BTreeSet<&str> {
        self.operations.values().flatten().chain(&self.previous).map(String::as_str).collect()
    }

    /// The state of the latest run.
    pub fn state(&self) -> Option<RunState> {
        self.run().map(|run| run.state)
    }

    /// The number of the latest run; 0 before the first.
    pub fn run_number(&self) -> i32 {
        self.run().map_or(0, |run| run.number)
    }

    /// Whether the latest run succeeded and nothing else is requested.
    pub fn is_ready(&self) -> bool {
        let Some(status) = &self.status else { return false };
        let upstream = status.last_upstream_run.as_ref().and_then(|run| run.queued);
        let handled = self.requested.is_none() || status.last_handled_request == self.requested;
        self.state() == Some(RunState::Succeeded) && status.queued.is_none() && upstream.is_none() && handled
    }

    /// Whether it only becomes ready if a user requests a run.
    pub fn needs_request(&self) -> bool {
        let Some(status) = &self.status else { return false };
        let idle = self.state().is_none_or(RunState::ended) && self.state() != Some(RunState::Succeeded);
        idle && status.queued.is_none() && (self.requested.is_none() || status.last_handled_request == self.requested)
    }

    /// What the last status says, for a message.
    pub fn describe(&self) -> String {
        let run = self.run().map(|run| format!("run {} attempt {} {:?}: {}", run.number, run.attempt, run.state, run.message));
        let conditions = self.status.iter().flat_map(|status| &status.conditions);
        let conditions: Vec<String> =
            conditions.map(|condition| format!("{:?}={:?} {}", condition.r#type, condition.status, condition.message)).collect();
        format!("{} ({}): {}; {}", self.name, self.uid, run.unwrap_or_default(), conditions.join("; "))
    }
}

/// The model in the terms of the local Azure.
fn model(model: &api::Model) -> Option<Model> {
    let model = serde_json::to_value(model).expect("a model is serializable");
    let text = |path: &str| model.pointer(path).and_then(serde_json::Value::as_str);
    if let (Some(server), Some(database)) = (text("/analysisServices/server"), text("/analysisServices/database")) {
        return Some(Model::analysis_services(server, database));
    }
    Some(Model::power_bi(text("/powerBI/groupId")?, text("/powerBI/datasetId")?))
}

/// The accounts of all resources, kept current by a watch of each kind.
pub struct Ledger {
    accounts: Arc<Mutex<Accounts>>,
    changed: watch::Receiver<()>,
    _tasks: JoinSet<()>,
}

impl Ledger {
    pub fn start(cluster: &Cluster) -> Self {
        let (accounts, (changes, receiver)) = (Arc::<Mutex<Accounts>>::default(), watch::channel(()));
        let mut tasks = JoinSet::new();
        for kind in Kind::ALL {
            let (accounts, changes) = (Arc::clone(&accounts), changes.clone());
            let mut events = watcher(cluster.api(kind), Config::default()).boxed();
            tasks.spawn(async move {
                let mut listed = BTreeSet::new();
                while let Some(event) = events.next().await {
                    let Ok(event) = event else {
                        // The API server may be restarting.
                        sleep(RETRY).await;
                        continue;
                    };
                    observe(&mut lock(&accounts), kind, event, &mut listed);
                    changes.send_replace(());
                }
            });
        }
        Self { accounts, changed: receiver, _tasks: tasks }
    }

    /// The existing resource of this name.
    pub fn find(&self, kind: Kind, name: &str) -> Option<Account> {
        lock(&self.accounts).values().find(|account| account.exists && account.kind == kind && account.name == name).cloned()
    }

    /// The existing resources.
    pub fn existing(&self) -> Vec<Account> {
        lock(&self.accounts).values().filter(|account| account.exists).cloned().collect()
    }

    /// All accounts, including those of deleted resources.
    pub fn accounts(&self) -> Accounts {
        lock(&self.accounts).clone()
    }

    /// Waits until the accounts match.
    pub async fn until(&self, limit: Duration, what: &str, matches: impl Fn(&Accounts) -> bool) {
        assert!(self.matches_within(limit, matches).await, "timed out after {limit:?} waiting for {what}");
    }

    /// Whether the accounts match within this time.
    pub async fn matches_within(&self, limit: Duration, matches: impl Fn(&Accounts) -> bool) -> bool {
        let mut changed = self.changed.clone();
        let wait = async {
            while !matches(&lock(&self.accounts)) {
                changed.changed().await.expect("the watch is running");
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok()
    }
}

fn lock(accounts: &Mutex<Accounts>) -> std::sync::MutexGuard<'_, Accounts> {
    accounts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Records an event. `listed` has the uids of a list that is not complete.
fn observe(accounts: &mut Accounts, kind: Kind, event: Event<AnyObject>, listed: &mut BTreeSet<String>) {
    match event {
        Event::Init => listed.clear(),
        Event::InitDone => {
            for account in accounts.values_mut().filter(|account| account.kind == kind && !listed.contains(&account.uid)) {
                (account.exists, account.status) = (false, None);
            }
        }
        Event::InitApply(object) => {
            listed.insert(object.uid().unwrap_or_default());
            account(accounts, kind, &object).record(object);
        }
        Event::Apply(object) => account(accounts, kind, &object).record(object),
        Event::Delete(object) => {
            let account = account(accounts, kind, &object);
            account.record(object);
            (account.exists, account.status) = (false, None);
        }
    }
}

fn account<'a>(accounts: &'a mut Accounts, kind: Kind, object: &AnyObject) -> &'a mut Account {
    accounts.entry(object.uid().unwrap_or_default()).or_insert_with(|| Account::new(kind, object))
}
