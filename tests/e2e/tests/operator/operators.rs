//! Two operators, of which one leads or assumes that it does: never two submissions of a run, and no write based on a state older than
//! the new leader's.

use std::time::{Duration, Instant};

use e2e::world::LASTING_MILLIS;
use e2e::{Action, ApiProxy, DEADLINE, Fault, Operator, RecordedRequest, TestSetup, When, World, eventually, rbac};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::Api;
use serde_json::json;
use tabular_operator::api::RunState;

/// The lease duration, shorter than in other tests: these wait for its expiry.
const LEASE: Duration = Duration::from_secs(5);
/// The additional time that a failover may take.
const FAILOVER: Duration = Duration::from_secs(2);
/// Every matching request.
const ALWAYS: usize = usize::MAX;

/// A world with a leader and a candidate, each with its own proxy to the API server.
struct Pair {
    world: World,
    leader: Operator,
    other: Operator,
    others_proxy: ApiProxy,
}

impl Pair {
    async fn new(name: &str, model: serde_json::Value) -> Self {
        Self::with_flags(name, model, &[]).await
    }

    async fn with_flags(name: &str, model: serde_json::Value, flags: &[&str]) -> Self {
        let mut setup = TestSetup { model: Some(model), api_proxy: true, ..TestSetup::with_flags(flags) };
        setup.arguments.push(format!("--lease-duration={}s", LEASE.as_secs()));
        let (world, leader) = World::running(name, setup).await;
        let first = holder(&world).await;
        let (others_proxy, mut other) = world.start_second_operator().await;
        other.ready().await;
        assert_eq!(holder(&world).await, first, "the second one is a candidate");
        Self { world, leader, other, others_proxy }
    }

    /// Holds the first POST of a refresh that this function requests.
    async fn with_a_post_held(name: &str, when: &str, flags: &[&str]) -> (Self, Fault) {
        let pair = Self::with_flags(name, json!({"durationMillis": 2_000}), flags).await;
        let hold = pair.world.fault("POST", "refreshes", &json!({"action": {"hold": {"at": when}}})).await;
        pair.world.apply("orders", &json!({})).await;
        hold.holds().await;
        (pair, hold)
    }

    /// Waits until the other operator leads.
    async fn until_taken_over(&self, from: Option<&str>) {
        eventually("the other operator to lead", async || holder(&self.world).await.filter(|now| Some(now.as_str()) != from).map(drop))
            .await;
    }

    /// Checks that the refresh ran once, that the status names it, and that no write violated an invariant.
    async fn assert_ran_once(&self, posts: usize) {
        let done = self.world.until_state("orders", RunState::Succeeded).await;
        let operations = self.world.operations().await;
        assert_eq!((operations.len(), self.world.posts().await), (1, posts), "{operations:#?}");
        assert_eq!(e2e::world::run(&done).operation_id.as_ref(), Some(&operations[0].operation_id));
        self.assert_sound();
    }

    fn assert_sound(&self) {
        self.world.proxy().assert_preconditions();
        self.others_proxy.assert_preconditions();
        self.world.assert_histories();
        self.world.assert_kstatus();
    }

    /// Number of completed writes to resources through the first operator's proxy.
    fn done_by_the_first(&self) -> usize {
        let requests = self.world.proxy().requests();
        requests.iter().filter(|request| request.writes_resource() && request.status.is_some_and(|code| code < 300)).count()
    }
}

async fn lease(world: &World) -> LeaseSpec {
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), rbac::OPERATORS);
    leases.get(&world.namespace).await.unwrap().spec.unwrap_or_default()
}

async fn holder(world: &World) -> Option<String> {
    lease(world).await.holder_identity.filter(|holder| !holder.is_empty())
}

/// Checks that the current holder acquired the Lease in time after an event. Its own timestamp counts, so a delay of this test does not.
async fn assert_acquired_in_time(world: &World, event: Timestamp) {
    assert_acquired_within(LEASE + FAILOVER, world, event).await;
}

/// The same for at most `limit`.
async fn assert_acquired_within(limit: Duration, world: &World, event: Timestamp) {
    let acquired = lease(world).await.acquire_time.expect("a held lease has an acquire time").0;
    let took = Duration::try_from(acquired.duration_since(event)).unwrap_or_default();
    assert!(took <= limit, "the failover took {took:?}");
}

/// Waits until the leader exits because its lease expired, and checks that it stopped in time after an event. Its own timestamp counts here,
/// too.
async fn assert_stops_in_time(leader: &mut Operator, event: Timestamp) {
    let code = leader.end(DEADLINE).await.code();
    let log = leader.log();
    assert_eq!(code, Some(1), "{log}");
    let lost = log.lines().find(|line| line.contains("lost the lease")).unwrap_or_else(|| panic!("it did not lose its lease: {log}"));
    let line: serde_json::Value = serde_json::from_str(lost).unwrap();
    let stopped: Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
    let took = Duration::try_from(stopped.duration_since(event)).unwrap_or_default();
    assert!(took <= LEASE + FAILOVER, "it stopped after {took:?}");
}

fn is_lease(request: &RecordedRequest) -> bool {
    request.resource == "leases"
}

#[tokio::test]
async fn killed_leader_is_replaced_within_lease_and_2s() {
    let pair = Pair::new("failover", json!({"durationMillis": LASTING_MILLIS})).await;
    let Pair { world, mut leader, .. } = pair;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;
    let before = holder(&world).await;
    let killed = Timestamp::now();
    leader.kill();
    eventually("the other operator to lead", async || holder(&world).await.filter(|now| Some(now) != before.as_ref())).await;
    assert_acquired_in_time(&world, killed).await;
    world.azure.end_running(&world.model()).await;
    world.until_state("orders", RunState::Succeeded).await;
    assert_eq!((world.operations().await.len(), world.posts().await), (1, 1));
    assert_eq!(world.ledger().await.iter().filter(|row| row.method == "DELETE").count(), 0);
    pair.others_proxy.assert_preconditions();
    world.assert_histories();
}

#[tokio::test]
async fn lease_lost_with_accepted_post_in_flight_runs_once() {
    let (mut pair, hold) = Pair::with_a_post_held("post-after", "after", &[]).await;
    let before = holder(&pair.world).await;
    let at = Timestamp::now();
    let cut = pair.world.proxy().inject_times(0, ALWAYS, Action::Respond(503), is_lease);
    assert_stops_in_time(&mut pair.leader, at).await;
    pair.until_taken_over(before.as_deref()).await;
    hold.remove().await;
    pair.assert_ran_once(1).await;
    drop(cut);
}

#[tokio::test]
async fn lease_lost_with_post_in_transit_runs_once() {
    let (mut pair, hold) = Pair::with_a_post_held("post-before", "before", &[]).await;
    let before = holder(&pair.world).await;
    let at = Timestamp::now();
    let cut = pair.world.proxy().inject_times(0, ALWAYS, Action::Respond(503), is_lease);
    assert_stops_in_time(&mut pair.leader, at).await;
    // The process exited and its connection ended: the service never handles the held request.
    hold.holds_none().await;
    hold.remove().await;
    pair.until_taken_over(before.as_deref()).await;
    pair.assert_ran_once(2).await;
    drop(cut);
}

#[tokio::test]
async fn late_post_of_frozen_leader_runs_once() {
    // The POST arrives, after the next leader leads, within the time that a submission may take.
    let (mut pair, hold) = Pair::with_a_post_held("post-late", "before", &["--call-timeout=20s"]).await;
    let before = holder(&pair.world).await;
    pair.leader.signal("STOP");
    pair.until_taken_over(before.as_deref()).await;
    hold.remove().await;
    pair.assert_ran_once(1).await;
    let done = pair.done_by_the_first();
    pair.leader.signal("CONT");
    assert_eq!(pair.leader.end(DEADLINE).await.code(), Some(1));
    assert_eq!(pair.done_by_the_first(), done, "it wrote after its resumption");
    pair.assert_ran_once(1).await;
}

#[tokio::test]
async fn resumed_leader_submits_nothing_after_lost_lease() {
    let mut pair = Pair::new("frozen", json!({"durationMillis": 500})).await;
    let before = holder(&pair.world).await;
    // Without a delay, the first status of a run is its intent.
    let intent =
        pair.world.proxy().inject(0, Action::Hold(When::After), |request| request.writes_resource() && request.subresource == "status");
    pair.world.apply("orders", &json!({})).await;
    pair.world.until_state("orders", RunState::Submitting).await;
    tokio::time::timeout(DEADLINE, intent.wait_until_hit()).await.unwrap();
    pair.leader.signal("STOP");
    intent.release();
    pair.until_taken_over(before.as_deref()).await;
    pair.assert_ran_once(1).await;
    let done = pair.done_by_the_first();
    pair.leader.signal("CONT");
    assert_eq!(pair.leader.end(DEADLINE).await.code(), Some(1), "{}", pair.leader.log());
    assert_eq!(pair.done_by_the_first(), done, "it wrote after its resumption");
    // The single POST is the other operator's.
    pair.assert_ran_once(1).await;
}

#[tokio::test]
async fn late_write_of_old_leader_is_refused() {
    let mut pair = Pair::new("late-write", json!({"durationMillis": 2_000})).await;
    let before = holder(&pair.world).await;
    // The second status contains the id.
    let running =
        pair.world.proxy().inject(1, Action::Hold(When::Before), |request| request.writes_resource() && request.subresource == "status");
    pair.world.apply("orders", &json!({})).await;
    tokio::time::timeout(DEADLINE, running.wait_until_hit()).await.unwrap();
    pair.leader.signal("STOP");
    pair.until_taken_over(before.as_deref()).await;
    pair.world.until_state("orders", RunState::Succeeded).await;
    let done = pair.done_by_the_first();
    running.release();
    let code = eventually("the response to the late write", async || {
        let requests = pair.world.proxy().requests();
        requests.iter().find(|request| request.action == Some(Action::Hold(When::Before))).and_then(|request| request.status)
    })
    .await;
    assert_eq!(code, 409);
    pair.leader.signal("CONT");
    assert_eq!(pair.leader.end(DEADLINE).await.code(), Some(1));
    assert_eq!(pair.done_by_the_first(), done);
    pair.assert_ran_once(1).await;
}

#[tokio::test]
async fn disconnected_leader_is_replaced_within_lease_and_2s() {
    let mut pair = Pair::new("cut-off", json!({"durationMillis": LASTING_MILLIS})).await;
    let models = ["second", "third", "late"];
    let mut specs = Vec::new();
    for (model, millis) in models.into_iter().zip([LASTING_MILLIS, LASTING_MILLIS, 1_000]) {
        specs.push(pair.world.put_database(model, &json!({"durationMillis": millis})).await);
    }
    pair.world.apply("orders", &json!({})).await;
    for (name, spec) in models[..2].iter().zip(&specs) {
        pair.world.apply(name, spec).await;
    }
    for name in ["orders", "second", "third"] {
        pair.world.until_state(name, RunState::Running).await;
    }
    let before = holder(&pair.world).await;
    // It reaches Azure, but not the API server, which the other operator reaches.
    let cut = Timestamp::now();
    pair.world.proxy().set_available(false);
    pair.world.apply("late", &specs[2]).await;
    assert_stops_in_time(&mut pair.leader, cut).await;
    pair.until_taken_over(before.as_deref()).await;
    assert_acquired_in_time(&pair.world, cut).await;
    // It returns as a standby.
    let done = pair.done_by_the_first();
    pair.leader.restart();
    pair.world.proxy().set_available(true);
    pair.leader.ready().await;
    pair.world.azure.end_running(&pair.world.model()).await;
    for name in &models[..2] {
        pair.world.end_running_on(name).await;
    }
    for name in models {
        pair.world.until_state(name, RunState::Succeeded).await;
        assert_eq!(pair.world.operations_on(name).await.len(), 1, "{name}");
    }
    pair.assert_ran_once(1).await;
    assert_eq!(pair.done_by_the_first(), done, "a standby writes nothing");
}

#[tokio::test]
async fn api_server_outage_of_30s_runs_once() {
    let mut pair = Pair::new("away", json!({"durationMillis": 10_000})).await;
    pair.world.apply("early", &json!({"suspend": true})).await;
    let spec = pair.world.put_database("second", &json!({"durationMillis": 1_000})).await;
    pair.world.apply("orders", &json!({})).await;
    pair.world.until_state("orders", RunState::Running).await;
    // One POST is accepted while its id cannot be recorded.
    let hold = pair.world.azure.fault(json!({
        "match": {"method": "POST", "route": "refreshes", "clientId": pair.world.client_id}, "action": {"hold": {"at": "after"}},
    }));
    let hold = hold.await;
    pair.world.apply("second", &spec).await;
    hold.holds().await;
    let (gone, at) = (Instant::now(), Timestamp::now());
    pair.world.proxy().set_available(false);
    pair.others_proxy.set_available(false);
    hold.remove().await;
    // It cannot know whether another operator leads.
    assert_stops_in_time(&mut pair.leader, at).await;
    pair.leader.restart();
    tokio::time::sleep(Duration::from_secs(30).saturating_sub(gone.elapsed())).await;
    let before = holder(&pair.world).await;
    let back = Timestamp::now();
    pair.world.proxy().set_available(true);
    pair.others_proxy.set_available(true);
    pair.until_taken_over(before.as_deref()).await;
    assert_acquired_in_time(&pair.world, back).await;
    pair.world.until_state("second", RunState::Succeeded).await;
    pair.world.until_state("orders", RunState::Succeeded).await;
    assert_eq!((pair.world.operations().await.len(), pair.world.posts().await), (1, 1));
    assert_eq!(pair.world.operations_on("second").await.len(), 1);
    let posts = pair.world.azure.requests_by(&pair.world.client_id).await;
    assert_eq!(posts.iter().filter(|row| row.method == "POST" && row.route == "refreshes").count(), 2);
    pair.assert_sound();
}

#[tokio::test]
async fn rolling_update_during_post_runs_once() {
    let (pair, hold) = Pair::with_a_post_held("rolling", "after", &[]).await;
    let Pair { world, mut leader, others_proxy, other } = pair;
    let before = holder(&world).await;
    let (ended, ()) = tokio::join!(leader.terminate(), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        hold.remove().await;
    });
    assert_eq!(ended.code(), Some(0));
    let given_back = Timestamp::now();
    eventually("the new one to lead", async || holder(&world).await.filter(|now| Some(now) != before.as_ref())).await;
    assert_acquired_within(FAILOVER, &world, given_back).await;
    let pair = Pair { world, leader, other, others_proxy };
    pair.assert_ran_once(1).await;
    // The old operator completed its submission and recorded the id itself.
    assert!(pair.done_by_the_first() >= 3, "{:#?}", pair.world.writes());
}
