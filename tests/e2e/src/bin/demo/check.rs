//! The checks and their evidence: the reported state from Kubernetes, the actual state from the service.

use std::collections::BTreeSet;

use tabular_operator::api::{Reason, RunState, TriggerType};

use crate::azure::{FAILURE_MESSAGE, Operation, Request};
use crate::manifests::{BLOCKED, DELETED, FAILING, FULL, NEXT, REPLICAS, SEMANTIC, SEMANTIC_REPLICAS};
use crate::watch::{Watch, Watched};
use screen::{Line, Style};

/// The evidence at one time.
pub struct Evidence<'a> {
    pub watch: &'a Watch,
    pub operations: &'a [Operation],
    pub ledger: &'a [Request],
}

/// A check.
pub struct Check {
    what: &'static str,
    holds: fn(&Evidence<'_>) -> bool,
    passed: bool,
}

impl Check {
    /// All checks.
    pub fn all() -> Vec<Self> {
        let check = |what, holds| Self { what, holds, passed: false };
        vec![
            check("adventureworks: a full refresh of three objects reported progress and succeeded", full),
            check("adventureworks-calculate: waited for it on the same model and then ran", next),
            check("msync/adventureworks: synchronized the server's read-only replicas after that refresh", replicas),
            check("sales: got 409 because of another client's refresh, waited for its end and then ran", blocked),
            check("inventory: failed and reported the service's message", failing),
            check("forecast: was deleted during its run, and its operation was cancelled", deleted),
            check("sales-orders: refreshed a Power BI semantic model that is referenced by names", semantic),
            check("msync/sales-orders: synchronized its replicas (query scale-out) after that refresh", semantic_replicas),
            check("the services ran exactly one operation for each of the eight", runs_once),
        ]
    }

    /// Evaluates it; once passed, it stays passed.
    pub fn evaluate(&mut self, evidence: &Evidence<'_>) {
        self.passed = self.passed || (self.holds)(evidence);
    }

    /// Evaluates it again, whatever its previous result.
    pub fn evaluate_again(&mut self, evidence: &Evidence<'_>) {
        self.passed = (self.holds)(evidence);
    }

    pub fn passed(&self) -> bool {
        self.passed
    }

    /// Its line in the list.
    pub fn line(&self, over: bool) -> Line {
        let (style, mark) = match (self.passed, over) {
            (true, _) => (Style::Green, "✔ "),
            (false, false) => (Style::Faint, "· "),
            (false, true) => (Style::Red, "✘ "),
        };
        vec![(style, mark.to_owned()), (if self.passed || over { Style::Plain } else { Style::Faint }, self.what.to_owned())]
    }
}

impl Evidence<'_> {
    fn watched(&self, name: &str) -> Option<&Watched> {
        self.watch.of(name)
    }

    /// The operation named in a resource's status.
    fn own(&self, name: &str) -> Option<&Operation> {
        let id = self.watched(name)?.runs.iter().rev().find_map(|run| run.operation_id.as_deref())?;
        self.operations.iter().find(|operation| operation.id == id)
    }

    fn ended(&self, name: &str, state: RunState) -> bool {
        self.watched(name).and_then(Watched::run).is_some_and(|run| run.state == state)
    }

    /// Whether a resource succeeded because its upstream had.
    fn ran_after(&self, dependent: &str, refresh: &str) -> bool {
        let because = |watched: &Watched| {
            watched
                .run()
                .is_some_and(|run| run.trigger.r#type == TriggerType::AfterRefresh && run.trigger.value == format!("{refresh} run 1"))
        };
        self.watched(dependent).is_some_and(because)
            && self.ended(dependent, RunState::Succeeded)
            && self.ended(refresh, RunState::Succeeded)
    }
}

fn full(evidence: &Evidence<'_>) -> bool {
    let moving = |watched: &Watched| {
        watched.ever(|run| {
            run.state == RunState::Running
                && run.progress.as_ref().is_some_and(|progress| progress.completed > 0 && progress.completed < progress.total)
        })
    };
    let true_end = |operation: &Operation| operation.status == "succeeded" && operation.r#type == "full" && operation.objects.len() == 3;
    evidence.watched(FULL).is_some_and(moving) && evidence.ended(FULL, RunState::Succeeded) && evidence.own(FULL).is_some_and(true_end)
}

fn next(evidence: &Evidence<'_>) -> bool {
    let waited = |watched: &Watched| watched.ever(|run| run.state == RunState::Waiting && run.reason == Reason::WaitingForTurn.as_str());
    let (Some(first), Some(second)) = (evidence.own(FULL), evidence.own(NEXT)) else { return false };
    let in_turn = begun_after(second, first);
    let true_end = second.status == "succeeded" && second.r#type == "calculate";
    evidence.watched(NEXT).is_some_and(waited) && evidence.ended(NEXT, RunState::Succeeded) && in_turn && true_end
}

fn blocked(evidence: &Evidence<'_>) -> bool {
    let Some(own) = evidence.own(BLOCKED) else { return false };
    let other = evidence.operations.iter().find(|operation| operation.by_another() && operation.database == own.database);
    let Some(other) = other else { return false };
    let named = |watched: &Watched| {
        watched.ever(|run| run.state == RunState::Waiting && run.waiting_for.as_ref().is_some_and(|holder| holder.contains(&other.id)))
    };
    let in_turn = other.status == "succeeded" && begun_after(own, other);
    let refused = evidence.ledger.iter().any(|request| request.status == Some(409) && request.database.as_deref() == Some(&own.database));
    evidence.watched(BLOCKED).is_some_and(named)
        && refused
        && in_turn
        && own.status == "succeeded"
        && evidence.ended(BLOCKED, RunState::Succeeded)
}

fn failing(evidence: &Evidence<'_>) -> bool {
    let reports = |watched: &Watched| {
        watched.run().is_some_and(|run| {
            run.message.contains(FAILURE_MESSAGE) && run.messages.iter().any(|message| message.message == FAILURE_MESSAGE)
        })
    };
    let true_end = evidence.own(FAILING).is_some_and(|operation| operation.status == "failed");
    evidence.ended(FAILING, RunState::Failed) && evidence.watched(FAILING).is_some_and(reports) && true_end
}

fn deleted(evidence: &Evidence<'_>) -> bool {
    let ran = |watched: &Watched| !watched.exists && watched.ever(|run| run.state == RunState::Running);
    let true_end = |operation: &Operation| operation.status == "cancelled" && operation.cancel_requested_time.is_some();
    evidence.watched(DELETED).is_some_and(ran) && evidence.own(DELETED).is_some_and(true_end)
}

fn replicas(evidence: &Evidence<'_>) -> bool {
    let (Some(refresh), Some(sync)) = (evidence.own(FULL), evidence.own(REPLICAS)) else { return false };
    evidence.ran_after(REPLICAS, FULL) && sync.kind == "sync" && sync.status == "completed" && begun_after(sync, refresh)
}

fn semantic(evidence: &Evidence<'_>) -> bool {
    let was_listed = |route: &str| evidence.ledger.iter().any(|request| request.route == route && request.status == Some(200));
    let true_end = |operation: &Operation| {
        operation.dataset_id.is_some() && operation.refresh_type == "ViaEnhancedApi" && operation.status == "succeeded"
    };
    was_listed("groups")
        && was_listed("datasets")
        && evidence.ended(SEMANTIC, RunState::Succeeded)
        && evidence.own(SEMANTIC).is_some_and(true_end)
}

fn semantic_replicas(evidence: &Evidence<'_>) -> bool {
    let Some(refresh) = evidence.own(SEMANTIC) else { return false };
    // Power BI assigns no id to such a sync.
    let mut syncs = evidence.operations.iter().filter(|operation| operation.kind == "sync" && operation.dataset_id == refresh.dataset_id);
    evidence.ran_after(SEMANTIC_REPLICAS, SEMANTIC) && syncs.any(|sync| sync.status == "completed" && begun_after(sync, refresh))
}

/// Whether one started after the other had ended.
fn begun_after(second: &Operation, first: &Operation) -> bool {
    first.end_time.is_some_and(|end| end <= second.start_time)
}

fn runs_once(evidence: &Evidence<'_>) -> bool {
    let refreshes = [FULL, NEXT, BLOCKED, FAILING, DELETED, SEMANTIC];
    let accepted = |route: &str| {
        let begun = |request: &&Request| {
            request.method == "POST" && request.route == route && request.status.is_some_and(|status| (200..300).contains(&status))
        };
        evidence.ledger.iter().filter(begun).count()
    };
    let started = |kind: &str| evidence.operations.iter().filter(|operation| operation.kind == kind && !operation.by_another()).count();
    let named = refreshes.iter().chain([&REPLICAS]);
    let own: BTreeSet<&str> = named.filter_map(|name| Some(evidence.own(name)?.id.as_str())).collect();
    let all = (refreshes.len(), 2);
    (accepted("refreshes"), accepted("sync")) == all && (started("refresh"), started("sync")) == all && own.len() == refreshes.len() + 1
}
