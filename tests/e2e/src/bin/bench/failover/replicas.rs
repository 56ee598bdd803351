//! Two replicas of the operator, of which one holds the Lease.

use std::cell::Cell;
use std::time::Duration;

use e2e::{ApiProxy, Operator, kubeconfig, rbac};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::Api;
use tabular_operator::controller::lease::LeaseSettings;

use super::NAMESPACE;
use crate::setup::{ACCOUNT, Bench, LONGEST};

/// The interval between two polls of an operation.
pub const POLLS: Duration = Duration::from_secs(1);
/// The default settings, except for what shortens the benchmark: [`POLLS`], and how long an unresolved submission waits. Both are
/// independent of the Lease.
const FLAGS: [&str; 5] = ["--poll-min=1s", "--poll-max=1s", "--call-timeout=5s", "--listing-lag=2s", "--metrics-address=127.0.0.1:0"];

/// The interval between checks whether a process is running.
const CHECK: Duration = Duration::from_millis(100);

/// A process with its own connection to the API server.
pub struct Replica {
    /// Its host name, as the name of a pod, and its name at the local Azure.
    pub name: String,
    pub api: ApiProxy,
    pub operator: Operator,
    /// Number of exits without a failure by the benchmark.
    exits: usize,
}

impl Replica {
    /// Starts it, and waits until it leads or is a standby.
    pub async fn start(bench: &Bench, name: String) -> Self {
        let api = ApiProxy::start(&bench.environment.endpoint());
        let directory = bench.environment.directory();
        let mut settings = bench.settings(NAMESPACE);
        settings.kubeconfig = directory.join(format!("{name}.kubeconfig"));
        kubeconfig::write(&settings.kubeconfig, api.endpoint(), &rbac::token(&bench.client, ACCOUNT).await, rbac::OPERATORS);
        settings.proxy = settings.proxy.replacen("://", &format!("://{name}:any@"), 1);
        settings.environment = vec![("HOSTNAME".to_owned(), name.clone())];
        settings.log = directory.join(format!("{name}.log"));
        settings.arguments.extend(FLAGS.map(str::to_owned));
        let mut operator = Operator::start_as_is(&settings, bench.environment.guard());
        operator.ready().await;
        Self { name, api, operator, exits: 0 }
    }

    /// Starts the next process after the exit of this one, and waits until it is a standby.
    pub async fn restart(&mut self) {
        self.operator.restart();
        self.operator.ready_at_last().await;
    }

    /// Starts it again if it has exited, as Kubernetes does: on a busy machine, it may lose the Lease.
    pub fn keep_running(&mut self) {
        if self.operator.has_ended() {
            self.exits += 1;
            self.operator.restart();
        }
    }

    /// Number of completed writes to the API server.
    pub fn writes(&self) -> usize {
        self.api.requests().iter().filter(|request| request.is_write() && request.status.is_some_and(|code| code < 300)).count()
    }

    fn is(&self, holder: &str) -> bool {
        holder.rsplit_once('_').is_some_and(|(name, _)| name == self.name)
    }
}

/// Both replicas and their Lease.
pub struct Replicas {
    both: [Replica; 2],
    leases: Api<Lease>,
    /// Number of replicas so far.
    started: usize,
}

impl Replicas {
    pub async fn start(bench: &Bench) -> Self {
        let both = [Replica::start(bench, name(0)).await, Replica::start(bench, name(1)).await];
        Self { both, leases: Api::namespaced(bench.client.clone(), rbac::OPERATORS), started: 2 }
    }

    /// The index of the leader, when there is one.
    pub async fn leader(&mut self) -> usize {
        e2e::within(LONGEST, "a leader", async || {
            self.both.iter_mut().for_each(Replica::keep_running);
            let holder = self.lease().await.holder_identity.unwrap_or_default();
            self.both.iter().position(|replica| replica.is(&holder))
        })
        .await
    }

    /// The leader and the standby.
    pub async fn by_role(&mut self) -> (&mut Replica, &mut Replica) {
        let leader = self.leader().await;
        let [first, second] = &mut self.both;
        if leader == 0 { (first, second) } else { (second, first) }
    }

    /// Starts a replica in the place of another one, waits until it is ready, and returns the other one.
    pub async fn replace(&mut self, bench: &Bench, index: usize) -> Replica {
        let next = Replica::start(bench, name(self.started)).await;
        self.started += 1;
        std::mem::replace(&mut self.both[index], next)
    }

    /// Keeps both running until `done`.
    pub async fn keep_running_until(&mut self, done: &Cell<bool>) {
        while !done.get() {
            self.both.iter_mut().for_each(Replica::keep_running);
            tokio::time::sleep(CHECK).await;
        }
    }

    /// Number of exits without a failure by the benchmark, since the last call.
    pub fn take_exits(&mut self) -> usize {
        self.both.iter_mut().map(|replica| std::mem::take(&mut replica.exits)).sum()
    }

    async fn lease(&self) -> LeaseSpec {
        self.leases.get(NAMESPACE).await.expect("the Lease exists").spec.unwrap_or_default()
    }

    /// The settings of the Lease, as its holder recorded them.
    pub async fn lease_settings(&self) -> LeaseSettings {
        let seconds = self.lease().await.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        LeaseSettings {
            namespace: rbac::OPERATORS.to_owned(),
            name: NAMESPACE.to_owned(),
            duration: Duration::from_secs(seconds.expect("a held Lease has a duration")),
            identity: String::new(),
            installation: None,
            watch_namespaces: vec![NAMESPACE.to_owned()],
        }
    }

    /// Waits until `lead` before a time that is `after` a renewal of the Lease.
    pub async fn until_after_renewal(&self, interval: Duration, after: Duration, lead: Duration) {
        let renewed = self.lease().await.renew_time.expect("a held Lease has a renewal time").0;
        let now = Timestamp::now();
        let mut at = renewed + after;
        while at < now + lead {
            at += interval;
        }
        tokio::time::sleep(Duration::try_from((at - lead).duration_since(now)).unwrap_or_default()).await;
    }
}

fn name(index: usize) -> String {
    format!("replica-{index}")
}
