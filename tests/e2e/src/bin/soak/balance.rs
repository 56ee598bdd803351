//! The balance: the operations at the service are exactly those that the statuses have recorded, each for one submission of one run.

use std::collections::{BTreeMap, BTreeSet};

use e2e::{Kind, Model, SimulatorClient};
use futures::{StreamExt as _, stream};
use tabular_operator::api::RunState;

use crate::fleet::Fleet;
use crate::ledger::{Accounts, Ledger};

/// Number of concurrent requests for operations.
const CONCURRENCY: usize = 16;
/// Maximum number of printed violations.
const SHOWN: usize = 20;

/// An operation of the operator at the service.
struct Operation {
    id: String,
    model: Model,
    kind: Kind,
    status: String,
}

impl Operation {
    fn succeeded(&self) -> bool {
        matches!(self.status.as_str(), "succeeded" | "completed")
    }

    fn ended(&self) -> bool {
        !matches!(self.status.as_str(), "notStarted" | "inProgress" | "replicating" | "rehydrating" | "finalizing")
    }

    /// Whether the service shows its id, so that a status can contain it.
    fn has_id(&self) -> bool {
        self.kind == Kind::Refresh || matches!(self.model, Model::AnalysisServices { .. })
    }
}

/// The comparison of both sides.
#[derive(Debug, Default)]
pub struct Balance {
    runs: usize,
    retries: usize,
    operations: usize,
    /// Operations whose resource was deleted while their submission was in progress, so that no status has their id.
    ended_with_resource: usize,
    violations: Vec<String>,
}

impl Balance {
    pub async fn of(azure: &SimulatorClient, fleet: &Fleet, ledger: &Ledger) -> Self {
        let operations: Vec<Operation> = stream::iter(fleet.models())
            .map(|model| async move { operations(azure, model).await })
            .buffered(CONCURRENCY)
            .flat_map(stream::iter)
            .collect()
            .await;
        let accounts = ledger.accounts();
        let mut balance = Self { operations: operations.len(), ..Self::default() };
        balance.check_submissions(&accounts);
        balance.check_operations(&accounts, &operations);
        balance.check_syncs_without_ids(&accounts, &operations);
        balance.check_ends(&accounts, &operations);
        balance
    }

    /// Each trigger started one run, and each submission of a run started one operation.
    fn check_submissions(&mut self, accounts: &Accounts) {
        for account in accounts.values() {
            let mut started = BTreeSet::new();
            for (number, (kind, value)) in &account.triggers {
                self.runs += 1;
                if !value.is_empty() && !started.insert((format!("{kind:?}"), value)) {
                    self.violations.push(format!("{}: run {number} has the trigger {kind:?} {value} of an earlier run", account.name));
                }
            }
            for (submission @ (_, attempt, _), ids) in &account.operations {
                self.retries += usize::from(*attempt > 1);
                if ids.len() > 1 {
                    self.violations.push(format!("{}: submission {submission:?} has several operations: {ids:?}", account.name));
                }
            }
        }
    }

    /// Each operation is recorded by one resource, and each recorded operation exists.
    fn check_operations(&mut self, accounts: &Accounts, operations: &[Operation]) {
        let mut recorded: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut unrecorded: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for account in accounts.values() {
            for id in account.ids() {
                recorded.entry(id).or_default().push(&account.uid);
            }
        }
        for operation in operations {
            match recorded.get(operation.id.as_str()).map(Vec::as_slice) {
                Some([_]) => {}
                Some(uids) => self.violations.push(format!("operation {} is recorded by several resources: {uids:?}", operation.id)),
                None if operation.has_id() => unrecorded.entry(format!("{:?}", operation.model)).or_default().push(&operation.id),
                None => {}
            }
            if !operation.ended() {
                self.violations.push(format!("operation {} is still {}", operation.id, operation.status));
            }
        }
        for (model, ids) in unrecorded {
            let open = accounts.values().filter(|account| !account.exists).filter_map(|account| account.open.as_ref());
            let explained = open.filter(|open| format!("{open:?}") == model).count();
            self.ended_with_resource += ids.len().min(explained);
            if ids.len() > explained {
                self.violations.push(format!("no status has recorded the operations {ids:?} on {model}"));
            }
        }
        let existing: BTreeSet<&str> = operations.iter().map(|operation| operation.id.as_str()).collect();
        for account in accounts.values() {
            for (id, model) in &account.models {
                let has_id = account.kind == Kind::Refresh || matches!(model, Model::AnalysisServices { .. });
                if has_id && !existing.contains(id.as_str()) {
                    self.violations.push(format!("{}: the recorded operation {id} does not exist at the service", account.name));
                }
            }
        }
    }

    /// Power BI assigns no ids to syncs, so these are counted for each model.
    fn check_syncs_without_ids(&mut self, accounts: &Accounts, operations: &[Operation]) {
        let mut difference: BTreeMap<String, i64> = BTreeMap::new();
        for operation in operations.iter().filter(|operation| !operation.has_id()) {
            *difference.entry(format!("{:?}", operation.model)).or_default() += 1;
        }
        let mut open: BTreeMap<String, i64> = BTreeMap::new();
        for account in accounts.values().filter(|account| account.kind == Kind::Sync) {
            for model in account.models.values().filter(|model| matches!(model, Model::PowerBi { .. })) {
                *difference.entry(format!("{model:?}")).or_default() -= 1;
            }
            if let Some(model) = account.open.as_ref().filter(|_| !account.exists) {
                *open.entry(format!("{model:?}")).or_default() += 1;
            }
        }
        for (model, difference) in difference {
            let explained = open.get(&model).copied().unwrap_or(0);
            if !(0..=explained).contains(&difference) {
                self.violations.push(format!("the service has {difference} more syncs on {model} than the statuses have recorded"));
            }
        }
    }

    /// The status of each resource agrees with the service.
    fn check_ends(&mut self, accounts: &Accounts, operations: &[Operation]) {
        let by_id: BTreeMap<&str, &Operation> = operations.iter().map(|operation| (operation.id.as_str(), operation)).collect();
        for account in accounts.values().filter(|account| account.exists) {
            let last = account.operations.last_key_value().and_then(|(_, ids)| ids.first());
            let operation = last.and_then(|id| by_id.get(id.as_str()));
            if operation.is_some_and(|operation| operation.succeeded() != (account.state() == Some(RunState::Succeeded))) {
                self.violations.push(format!("the service does not agree with the status of {}", account.describe()));
            }
        }
    }

    /// Prints it, and returns whether it balances.
    pub fn print(&self) -> bool {
        let Self { runs, retries, operations, ended_with_resource, violations } = self;
        println!("\nledger: {runs} runs and {retries} retries recorded, {operations} operations at the service");
        println!("        {ended_with_resource} of them ended together with their resource, before a status had their id");
        for violation in violations.iter().take(SHOWN) {
            println!("  {violation}");
        }
        println!("        {}", if violations.is_empty() { "balanced".to_owned() } else { format!("{} VIOLATIONS", violations.len()) });
        violations.is_empty()
    }
}

/// The operator's operations on a model.
async fn operations(azure: &SimulatorClient, model: Model) -> Vec<Operation> {
    let (refreshes, syncs) = tokio::join!(azure.refreshes(&model), azure.syncs(&model));
    let refreshes = refreshes.into_iter().map(|found| (found.operation_id, found.client, Kind::Refresh, found.status));
    let syncs = syncs.into_iter().map(|found| (found.operation_id, found.client, Kind::Sync, found.status));
    let ours = refreshes.chain(syncs).filter(|(_, client, _, _)| client.starts_with("application"));
    ours.map(|(id, _, kind, status)| Operation { id: id.to_lowercase(), model: model.clone(), kind, status }).collect()
}
