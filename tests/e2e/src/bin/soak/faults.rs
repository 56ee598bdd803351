//! The faults of Azure, of the cluster and of the operators, one after the other. In each part, the order depends only on the seed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::{Action, ApiProxy, Model, RecordedRequest, WatchDelivery};
use model::random::Rng;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::churn::Gate;
use crate::cluster::{Cluster, IDENTITIES};
use crate::fleet;
use crate::index_below;
use crate::replicas::{Disruption, Replicas};

/// The pause after each fault, and what is added to it at most.
const PAUSE: Duration = Duration::from_secs(2);
const MORE: u64 = 4_000;
/// The clocks of a service: how far they are ahead, in milliseconds.
const CLOCKS: [i64; 4] = [0, 2_000, 45_000, 120_000];

/// The part of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Each fault occurs at least once, including changes of the leader.
    Rehearsal,
    /// The same process leads.
    Endurance,
}

impl Part {
    /// The random numbers of this part. How many the rehearsal uses depends on the machine, so each part has its own.
    pub fn rng(self, seed: u64) -> Rng {
        Rng::new(match self {
            Self::Rehearsal => seed,
            Self::Endurance => seed ^ 1,
        })
    }
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// Every request to Azure gets 503.
    Outage,
    /// Azure closes every connection.
    NoConnection,
    /// Entra ID is not available.
    NoTokens,
    /// Azure throttles polls.
    Throttled,
    /// Azure responds slowly.
    Slow,
    /// Azure accepts submissions, and the responses are lost.
    LostSubmissions,
    /// The clocks of some models step.
    ClockStep,
    /// A client secret is rotated.
    RotatedSecret,
    /// A Secret has a wrong value for some seconds.
    WrongSecret,
    /// All connections to the API server are reset.
    Reset,
    /// The operators cannot reach the API server for some seconds.
    Unreachable,
    /// The API server refuses writes of the leader.
    RefusedWrites,
    /// Watches are delayed, and then expire: 410.
    ExpiredWatches,
    /// The API server and its storage restart.
    ApiRestart,
    /// The standby ends.
    StandbyEnds(Disruption),
    /// The leader ends or freezes.
    LeaderChanges(Disruption),
}

const FAULTS: [Fault; 19] = [
    Fault::Outage,
    Fault::NoConnection,
    Fault::NoTokens,
    Fault::Throttled,
    Fault::Slow,
    Fault::LostSubmissions,
    Fault::ClockStep,
    Fault::RotatedSecret,
    Fault::WrongSecret,
    Fault::Reset,
    Fault::Unreachable,
    Fault::RefusedWrites,
    Fault::ExpiredWatches,
    Fault::ApiRestart,
    Fault::StandbyEnds(Disruption::Terminate),
    Fault::StandbyEnds(Disruption::Kill),
    Fault::LeaderChanges(Disruption::Terminate),
    Fault::LeaderChanges(Disruption::Kill),
    Fault::LeaderChanges(Disruption::Freeze),
];

/// Injects the faults.
pub struct Faults {
    began: Instant,
    cluster: Arc<Cluster>,
    replicas: Arc<Replicas>,
    gate: Gate,
    models: Vec<Model>,
    counts: BTreeMap<Fault, usize>,
    /// Number of client secrets so far.
    secrets: u64,
}

impl Faults {
    pub fn new((began, models): (Instant, Vec<Model>), cluster: Arc<Cluster>, replicas: Arc<Replicas>, gate: Gate) -> Self {
        Self { began, cluster, replicas, gate, models, counts: BTreeMap::new(), secrets: 0 }
    }

    /// How often each fault has occurred.
    pub fn counts(&self) -> String {
        let counts: Vec<String> = self.counts.iter().map(|(fault, count)| format!("{fault:?} {count}")).collect();
        counts.join(", ")
    }

    /// Injects faults until this time: first each once, in a random order, then any. A rehearsal lasts until each has occurred.
    pub async fn run(&mut self, (part, mut rng): (Part, Rng), until: Instant) {
        let is_allowed = |fault: &Fault| part == Part::Rehearsal || !matches!(fault, Fault::LeaderChanges(_));
        let all: Vec<Fault> = FAULTS.into_iter().filter(is_allowed).collect();
        let mut order = all.clone();
        for last in (1..order.len()).rev() {
            let other = index_below(&mut rng, last + 1);
            order.swap(last, other);
        }
        loop {
            let fault = match order.pop().filter(|_| part == Part::Rehearsal || Instant::now() < until) {
                Some(fault) => fault,
                None if Instant::now() >= until => return,
                None => all[index_below(&mut rng, all.len())],
            };
            let (lasts, pause) = (Duration::from_millis(1_000 + rng.below(3_000)), Duration::from_millis(rng.below(MORE)));
            *self.counts.entry(fault).or_default() += 1;
            println!("{:>7.1} s  {fault:?}", self.began.elapsed().as_secs_f64());
            self.inject(fault, lasts, &mut rng).await;
            sleep(PAUSE + pause).await;
        }
    }

    async fn inject(&mut self, fault: Fault, lasts: Duration, rng: &mut Rng) {
        match fault {
            Fault::Outage => self.azure(json!({}), 0, json!({"status": {"code": 503}}), lasts).await,
            Fault::NoConnection => self.azure(json!({}), 0, json!({"dropBefore": {}}), lasts).await,
            Fault::NoTokens => {
                self.cluster.azure.set_entra_available(false).await;
                sleep(lasts * 3).await;
                self.cluster.azure.set_entra_available(true).await;
            }
            Fault::Throttled => {
                let throttle = json!({"status": {"code": 429, "headers": {"Retry-After": "2"}}});
                self.azure(json!({"method": "GET", "route": "refresh"}), 20, throttle, lasts * 2).await;
            }
            Fault::Slow => self.azure(json!({}), 0, json!({"delay": {"millis": 1_500}}), lasts * 2).await,
            Fault::LostSubmissions => {
                self.azure(json!({"method": "POST", "route": "refreshes"}), 3, json!({"dropAfter": {}}), lasts * 2).await;
            }
            Fault::ClockStep => {
                let millis = CLOCKS[index_below(rng, CLOCKS.len())];
                let first = index_below(rng, self.models.len());
                let models: Vec<Model> = self.models.iter().cycle().skip(first).take(self.models.len() / 5 + 1).cloned().collect();
                fleet::set_clocks(&self.cluster, &models, millis).await;
            }
            Fault::RotatedSecret => {
                let (identity, secret) = self.next_secret(rng);
                self.cluster.put_application(identity, &secret).await;
                self.cluster.put_secret(identity, &secret).await;
            }
            Fault::WrongSecret => {
                let (identity, secret) = self.next_secret(rng);
                self.cluster.put_secret(identity, &secret).await;
                sleep(lasts * 2).await;
                self.cluster.put_application(identity, &secret).await;
            }
            Fault::Reset => self.proxies(ApiProxy::reset_connections),
            Fault::Unreachable => {
                self.proxies(|proxy| proxy.set_available(false));
                sleep(lasts).await;
                self.proxies(|proxy| proxy.set_available(true));
            }
            Fault::RefusedWrites => {
                let proxy = &self.replicas.proxies[self.replicas.leader().await.replica];
                let codes = [409, 500, 503].map(|code| proxy.inject_times(0, 5, Action::Respond(code), RecordedRequest::writes_resource));
                sleep(lasts * 2).await;
                drop(codes);
            }
            Fault::ExpiredWatches => self.expire_watches(lasts).await,
            Fault::ApiRestart => {
                // No deletion is in progress, so that the ledger misses none.
                let _no_actions = self.gate.write().await;
                self.cluster.restart().await;
                sleep(lasts).await;
            }
            Fault::StandbyEnds(how) => self.replicas.end_standby(how).await,
            Fault::LeaderChanges(how) => self.replicas.change_leader(how).await,
        }
        self.cluster.discard_records();
        self.replicas.discard_requests();
    }

    /// Injects a fault of Azure for some time; `times` is the maximum number of affected requests, 0 for all.
    async fn azure(&self, pattern: Value, times: u64, action: Value, lasts: Duration) {
        let fault = self.cluster.azure.fault(json!({"match": pattern, "times": times, "action": action})).await;
        sleep(lasts).await;
        fault.remove().await;
    }

    /// Users delete resources while the watches of the leader show nothing. The next watches start with a new list.
    async fn expire_watches(&self, lasts: Duration) {
        let proxy = &self.replicas.proxies[self.replicas.leader().await.replica];
        proxy.set_watch_delivery(WatchDelivery::Suspended);
        sleep(lasts).await;
        let expired = proxy.inject_times(0, 2, Action::Expired, |request| request.verb == "watch");
        proxy.reset_connections();
        proxy.set_watch_delivery(WatchDelivery::Immediate);
        sleep(PAUSE).await;
        drop(expired);
    }

    fn proxies(&self, act: impl Fn(&ApiProxy)) {
        self.replicas.proxies.iter().for_each(act);
    }

    fn next_secret(&mut self, rng: &mut Rng) -> (usize, String) {
        self.secrets += 1;
        (index_below(rng, IDENTITIES), format!("secret-{}", self.secrets))
    }
}
