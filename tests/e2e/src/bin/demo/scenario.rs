//! The scenario of the demo: the actions and their times, until all checks have passed or the time limit is reached.

use std::time::{Duration, Instant};

use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;
use tabular_operator::api::{ModelRefresh, ModelSync, RunState};

use crate::azure;
use crate::check::{Check, Evidence};
use crate::manifests::{
    self, BLOCKED, DELETED, FAILING, FULL, NEXT, REPLICAS, REPLICAS_FILE, SEMANTIC, SEMANTIC_FILE, SEMANTIC_REPLICAS, text,
};
use crate::processes::Processes;
use crate::watch::{Resource, Watch};
use crate::{Cli, Outcome};
use screen::{Line, Screen, Style};

/// In the order of the table.
const ALL: [&str; 8] = [FULL, NEXT, REPLICAS, BLOCKED, FAILING, DELETED, SEMANTIC, SEMANTIC_REPLICAS];
/// Maximum duration on a slow machine.
const LIMIT: Duration = Duration::from_mins(3);
/// Interval between frames.
const FRAME: Duration = Duration::from_millis(250);
/// Duration of the other client's refresh.
const OTHERS_MILLIS: u32 = 11_000;
/// Duration of the deleted run before its deletion.
const DELETED_AFTER: Duration = Duration::from_secs(8);

/// Runs the demo, and returns whether all checks passed.
pub async fn run(cli: &Cli, processes: &mut Processes, screen: &mut Screen) -> Outcome<bool> {
    let began = Instant::now();
    screen.print(if cli.context.is_some() { "Starting a local Azure…" } else { "Starting a local Kubernetes API and a local Azure…" });
    processes.start(cli).await?;
    let cluster = processes.cluster.as_mut().ok_or("there is no cluster")?;
    cluster.install().await?;
    for plural in &cluster.found_definitions {
        screen.print(&format!("The definition of {plural} already exists in your cluster: the demo uses and keeps it."));
    }
    let namespace = cluster.namespace.clone();
    let installed = began.elapsed();
    let ready = processes.start_operator().await?;
    screen.print(&format!(
        "Ready: the environment after {:.1} s, the operator {} ms after its start. Applying the samples in namespace {namespace}.",
        installed.as_secs_f64(),
        ready.as_millis()
    ));
    screen.print("");
    let mut scenario = Scenario { watch: Watch::new(&ALL), checks: Check::all(), next_applied: false, running_since: None, deleted: false };
    scenario.begin(processes).await?;
    let passed = scenario.run(processes, screen).await?;
    let plugin = processes.plugin(cli.context.as_deref())?;
    plugin.show(screen).await?;
    let azure = processes.azure.as_ref().ok_or("nothing is running")?;
    plugin.check(&ALL, &azure::operations(azure).await).await?;
    screen.print("");
    screen.print("kubectl tabular reports the same as Kubernetes and the services.");
    Ok(passed)
}

struct Scenario {
    watch: Watch,
    checks: Vec<Check>,
    next_applied: bool,
    running_since: Option<Instant>,
    deleted: bool,
}

impl Scenario {
    /// Starts another client's refresh of one of the models, then applies the samples.
    async fn begin(&self, processes: &mut Processes) -> Outcome<()> {
        let (Some(cluster), Some(azure)) = (processes.cluster.as_mut(), processes.azure.as_ref()) else {
            return Err("nothing is running".to_owned());
        };
        let busy = manifests::sample(BLOCKED);
        let (server, database) = ("/spec/model/analysisServices/server", "/spec/model/analysisServices/database");
        let other = json!({
            "server": text(&busy, server), "database": text(&busy, database), "type": "full", "durationMillis": OTHERS_MILLIS,
        });
        azure.start(other).await;
        for file in ["credentials", "secret-access"] {
            for document in manifests::read(&format!("deploy/samples/{file}.yaml")) {
                cluster.apply(document).await?;
            }
        }
        for name in [FULL, BLOCKED, FAILING, DELETED] {
            cluster.apply(manifests::sample(name)).await?;
        }
        for file in [REPLICAS_FILE, SEMANTIC_FILE] {
            for document in manifests::read(file) {
                cluster.apply(document).await?;
            }
        }
        Ok(())
    }

    async fn run(&mut self, processes: &mut Processes, screen: &mut Screen) -> Outcome<bool> {
        let mut frames = tokio::time::interval(FRAME);
        frames.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            frames.tick().await;
            processes.ensure_running()?;
            self.observe(processes, screen).await?;
            self.act(processes, screen).await?;
            let all = self.checks.iter().all(Check::passed);
            let late = self.watch.elapsed() > LIMIT;
            if all || late {
                return self.print_result(processes, screen).await;
            }
            screen.draw(&self.render(false));
        }
    }

    /// Reads the state of Kubernetes and the service.
    async fn observe(&mut self, processes: &Processes, screen: &mut Screen) -> Outcome<()> {
        let (Some(cluster), Some(azure)) = (processes.cluster.as_ref(), processes.azure.as_ref()) else {
            return Err("nothing is running".to_owned());
        };
        let everything = ListParams::default();
        let (refreshes, syncs) = (cluster.namespaced::<ModelRefresh>(), cluster.namespaced::<ModelSync>());
        let events = cluster.namespaced::<Event>();
        let (refreshes, syncs, events) = tokio::join!(refreshes.list(&everything), syncs.list(&everything), events.list(&everything));
        let failed = |error| format!("failed to list the resources: {error}");
        let refreshes = refreshes.map_err(failed)?.items.into_iter().map(Resource::from);
        let syncs = syncs.map_err(failed)?.items.into_iter().map(Resource::from);
        let resources: Vec<Resource> = refreshes.chain(syncs).collect();
        self.watch.print_new_events(events.map_err(|error| format!("failed to list the events: {error}"))?.items, screen);
        self.watch.update(&resources, screen);
        let (operations, ledger) = (azure::operations(azure).await, azure::ledger(azure).await);
        let evidence = Evidence { watch: &self.watch, operations: &operations, ledger: &ledger };
        for check in &mut self.checks {
            check.evaluate(&evidence);
        }
        Ok(())
    }

    /// Performs the due actions: applies the second resource on the same model, deletes one during its run.
    async fn act(&mut self, processes: &mut Processes, screen: &mut Screen) -> Outcome<()> {
        let cluster = processes.cluster.as_mut().ok_or("nothing is running")?;
        let runs = |name: &str| self.watch.of(name).is_some_and(|watched| watched.run().is_some_and(|run| run.state == RunState::Running));
        if !self.next_applied && runs(FULL) {
            self.next_applied = true;
            cluster.apply(manifests::sample(NEXT)).await?;
        }
        if runs(DELETED) {
            self.running_since.get_or_insert_with(Instant::now);
        }
        if !self.deleted && self.running_since.is_some_and(|since| since.elapsed() >= DELETED_AFTER) {
            self.deleted = true;
            self.watch.print_event(screen, DELETED, Style::Yellow, "kubectl delete", "while it runs");
            let deleted = cluster.namespaced::<ModelRefresh>().delete(DELETED, &DeleteParams::default()).await;
            deleted.map_err(|error| format!("failed to delete {DELETED}: {error}"))?;
        }
        Ok(())
    }

    /// The final evaluation: conditions that must never occur are checked again.
    async fn print_result(&mut self, processes: &Processes, screen: &mut Screen) -> Outcome<bool> {
        let azure = processes.azure.as_ref().ok_or("nothing is running")?;
        let (operations, ledger) = (azure::operations(azure).await, azure::ledger(azure).await);
        let evidence = Evidence { watch: &self.watch, operations: &operations, ledger: &ledger };
        for check in &mut self.checks {
            check.evaluate_again(&evidence);
        }
        let all = self.checks.iter().all(Check::passed);
        if screen.live() {
            screen.draw(&self.render(true));
        } else {
            for line in self.render(true) {
                screen.print_styled(&line);
            }
        }
        screen.settle();
        screen.print("");
        screen.print(&format!(
            "{} of {} checks passed after {:.0} s.",
            self.checks.iter().filter(|check| check.passed()).count(),
            self.checks.len(),
            self.watch.elapsed().as_secs_f64()
        ));
        if all { Ok(true) } else { Err(format!("not all checks passed within {} s", LIMIT.as_secs())) }
    }

    fn render(&self, over: bool) -> Vec<Line> {
        let mut lines = self.watch.table();
        lines.push(Vec::new());
        lines.extend(self.checks.iter().map(|check| check.line(over)));
        lines
    }
}
