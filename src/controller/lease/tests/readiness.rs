//! What the readiness shows about the Lease.

use tokio::time::sleep;

use super::fake::{FakeApi, Fault};
use super::operator::{DURATION, operator, seconds};

#[tokio::test(start_paused = true)]
async fn standby_that_cannot_read_the_lease_is_not_ready() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    let b = operator(&api, "b");
    b.lease.on_standby().await;
    b.health.api_responded();
    b.health.standby(true);
    assert_eq!(b.health.ready().as_deref(), Ok("ok: standby, another operator is the leader"));
    *b.connection.lock() = Fault::Forbidden;
    sleep(seconds(2)).await;
    let message = b.health.ready().unwrap();
    assert!(message.starts_with("ok: standby, but failed to read the Lease: the Kubernetes API returned 403"), "{message}");
    assert!(message.contains("grant get, create and update on leases"), "{message}");
    sleep(DURATION).await;
    let message = b.health.ready().unwrap_err();
    assert!(message.starts_with("standby, but unable to take over: failed to read the Lease"), "{message}");
    *b.connection.lock() = Fault::None;
    sleep(seconds(2)).await;
    assert_eq!(b.health.ready().as_deref(), Ok("ok: standby, another operator is the leader"));
    assert!(a.lease.holds() && a.lease.term() == Some(0));
}

#[tokio::test(start_paused = true)]
async fn candidate_and_leader_name_refused_lease_requests() {
    let api = FakeApi::new();
    api.fail(Fault::Forbidden);
    let a = operator(&api, "a");
    a.health.api_responded();
    sleep(seconds(1)).await;
    let message = a.health.ready().unwrap_err();
    assert!(message.starts_with("failed to read the Lease: the Kubernetes API returned 403"), "{message}");
    api.fail(Fault::None);
    a.lease.acquired().await;
    a.health.caches_synced();
    assert_eq!(a.health.ready().as_deref(), Ok("ok"));
    api.fail(Fault::Forbidden);
    sleep(seconds(6)).await;
    let message = a.health.ready().unwrap();
    assert!(message.starts_with("ok, but failed to renew the Lease"), "{message}");
    api.fail(Fault::None);
    sleep(seconds(2)).await;
    assert_eq!(a.health.ready().as_deref(), Ok("ok"));
}

#[tokio::test(start_paused = true)]
async fn lost_race_for_the_lease_is_no_failure() {
    let api = FakeApi::new();
    let all = [operator(&api, "a"), operator(&api, "b"), operator(&api, "c")];
    sleep(seconds(5)).await;
    for one in &all {
        one.health.api_responded();
        one.health.caches_synced();
        assert_eq!(one.health.ready().as_deref(), Ok("ok"));
    }
}
