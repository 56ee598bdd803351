//! The two replicas of the operator, each behind its own proxy. A process that exits is started again, as by the kubelet.

use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::{Duration, Instant};

use e2e::{ApiProxy, Operator};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::cluster::Cluster;
use crate::sample::Scraper;

/// The delay before an exited process is started again.
const RESTART: Duration = Duration::from_millis(100);
/// Maximum time until another process leads, and until a continued one has exited: the Lease must expire, on a busy machine.
const LIMIT: Duration = Duration::from_mins(5);
/// The interval at which the processes are asked whether they lead.
const RECHECK: Duration = Duration::from_millis(500);
/// Number of lines of each log that are shown after a failure.
const LINES: usize = 40;

/// How a process ends or stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disruption {
    /// SIGTERM: it releases the Lease.
    Terminate,
    /// SIGKILL: its Lease expires.
    Kill,
    /// SIGSTOP until another process leads, then SIGCONT: it must exit without another call.
    Freeze,
}

/// A process that leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    pub replica: usize,
    pub pid: u32,
}

struct Replica {
    operator: Operator,
    /// Whether its exit is the effect of a disruption.
    disrupted: bool,
}

/// Both replicas.
pub struct Replicas {
    pair: [Arc<Mutex<Replica>>; 2],
    pub proxies: [ApiProxy; 2],
    scrapers: [Scraper; 2],
    /// The exits that no disruption explains.
    exits: Arc<SyncMutex<Vec<String>>>,
    _keepers: JoinSet<()>,
}

impl Replicas {
    /// Starts both, and waits until one leads.
    pub async fn start(cluster: &Cluster) -> Self {
        let proxies = [(); 2].map(|()| ApiProxy::start(&cluster.environment.endpoint()));
        let settings = ["a", "b"].into_iter().zip(&proxies).map(|(name, proxy)| cluster.operator(name, proxy.endpoint()));
        let [(first, first_metrics), (second, second_metrics)] =
            <[_; 2]>::try_from(settings.collect::<Vec<_>>()).unwrap_or_else(|_| unreachable!("there are two"));
        let guard = cluster.environment.guard();
        let pair = [first, second].map(|settings| {
            let operator = Operator::start(&settings, guard);
            Arc::new(Mutex::new(Replica { operator, disrupted: false }))
        });
        let (exits, mut keepers) = (Arc::<SyncMutex<Vec<String>>>::default(), JoinSet::new());
        for replica in &pair {
            keepers.spawn(keep(Arc::clone(replica), Arc::clone(&exits)));
        }
        let scrapers = [first_metrics, second_metrics].map(|address| Scraper::new(&address));
        let replicas = Self { pair, proxies, scrapers, exits, _keepers: keepers };
        replicas.leader().await;
        replicas
    }

    /// The current process of each replica, and access to its metrics.
    pub async fn processes(&self) -> [(u32, &Scraper); 2] {
        let pid = async |replica: usize| self.pair[replica].lock().await.operator.pid();
        [(pid(0).await, &self.scrapers[0]), (pid(1).await, &self.scrapers[1])]
    }

    /// Waits until a process leads.
    pub async fn leader(&self) -> Leader {
        self.leader_other_than(None).await
    }

    async fn leader_other_than(&self, former: Option<Leader>) -> Leader {
        let began = Instant::now();
        loop {
            for (replica, (pid, scraper)) in self.processes().await.into_iter().enumerate() {
                let leader = Leader { replica, pid };
                if former != Some(leader) && scraper.leads().await {
                    return leader;
                }
            }
            assert!(began.elapsed() < LIMIT, "no process leads after {LIMIT:?}");
            tokio::time::sleep(RECHECK).await;
        }
    }

    /// Disrupts the leader, and waits until another process leads. A frozen leader is then continued, and must exit.
    pub async fn change_leader(&self, how: Disruption) {
        let former = self.leader().await;
        self.disrupt(former.replica, how).await;
        self.leader_other_than(Some(former)).await;
        if how == Disruption::Freeze {
            self.pair[former.replica].lock().await.operator.signal("CONT");
            self.until_replaced(former).await;
        }
    }

    /// Waits until a process has exited and the next one has started.
    async fn until_replaced(&self, former: Leader) {
        let began = Instant::now();
        while self.pair[former.replica].lock().await.operator.pid() == former.pid {
            assert!(began.elapsed() < LIMIT, "process {} has not exited {LIMIT:?} after another one leads", former.pid);
            tokio::time::sleep(RECHECK).await;
        }
    }

    /// Ends the standby.
    pub async fn end_standby(&self, how: Disruption) {
        let leader = self.leader().await;
        self.disrupt(1 - leader.replica, how).await;
    }

    async fn disrupt(&self, replica: usize, how: Disruption) {
        let mut replica = self.pair[replica].lock().await;
        if replica.operator.has_ended() {
            return;
        }
        replica.disrupted = true;
        match how {
            Disruption::Terminate => replica.operator.signal("TERM"),
            Disruption::Kill => replica.operator.kill(),
            Disruption::Freeze => replica.operator.signal("STOP"),
        }
    }

    /// Removes the recorded requests of both proxies.
    pub fn discard_requests(&self) {
        self.proxies.iter().for_each(ApiProxy::discard_requests);
    }

    /// The exits that neither a disruption nor the loss of the Lease explains.
    pub fn unexpected_exits(&self) -> Vec<String> {
        self.exits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last lines of both logs.
    pub async fn logs(&self) -> String {
        let mut logs = Vec::new();
        for replica in &self.pair {
            let log = replica.lock().await.operator.log();
            let lines: Vec<&str> = log.lines().collect();
            logs.push(lines[lines.len().saturating_sub(LINES)..].join("\n"));
        }
        logs.join("\n\n")
    }
}

/// Starts the process again whenever it has exited.
async fn keep(replica: Arc<Mutex<Replica>>, exits: Arc<SyncMutex<Vec<String>>>) {
    loop {
        tokio::time::sleep(RESTART).await;
        let Replica { operator, disrupted } = &mut *replica.lock().await;
        if operator.has_ended() {
            // On a busy machine, a leader may lose its Lease.
            if !*disrupted && !operator.log().contains("lost the lease") {
                let last = operator.log().lines().last().unwrap_or_default().to_owned();
                exits.lock().unwrap_or_else(PoisonError::into_inner).push(last);
            }
            *disrupted = false;
            operator.restart();
        }
    }
}
