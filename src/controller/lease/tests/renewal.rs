//! The renewal of the lease, and its loss.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::super::{Lease, LeaseReports, LeaseSettings};
use super::fake::{FakeApi, Fault};
use super::operator::{DURATION, STEP, elapsed, operator, seconds, settings};

#[tokio::test(start_paused = true)]
async fn holder_without_api_stops_before_another_can_start() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    let b = operator(&api, "b");
    sleep(seconds(31)).await;
    // Only this operator is disconnected.
    *a.connection.lock() = Fault::Unreachable;
    let start = Instant::now();
    elapsed(a.lease.lost()).await;
    let stopped = Instant::now();
    assert!(!a.lease.holds() && a.lease.term().is_none());
    assert!(stopped - start <= DURATION * 4 / 5, "{:?}", stopped - start);
    assert!(!b.lease.holds());
    b.lease.acquired().await;
    assert!(Instant::now() - stopped >= seconds(2), "{:?} between the two", Instant::now() - stopped);
    // It stays lost after the connection recovers.
    *a.connection.lock() = Fault::None;
    sleep(seconds(60)).await;
    assert!(!a.lease.holds() && b.lease.holds());
    assert!(a.task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn short_api_outage_keeps_the_lease() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    for fault in [Fault::Unreachable, Fault::Forbidden, Fault::ResponsesLost] {
        // Just before a renewal, for 6 s of the remaining 7.
        sleep(seconds(4)).await;
        api.fail(fault);
        sleep(seconds(6)).await;
        api.fail(Fault::None);
        sleep(seconds(10)).await;
        assert!(a.lease.holds(), "after {fault:?}");
    }
    assert_eq!(a.lease.term(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn renewals_without_responses_do_not_count() {
    // The writes are performed, but an operator without their responses must not act.
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    api.fail(Fault::ResponsesLost);
    assert!(elapsed(a.lease.lost()).await <= DURATION * 4 / 5);
}

#[tokio::test(start_paused = true)]
async fn write_of_another_holder_ends_lease_at_next_renewal() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    api.edit(|lease| {
        lease.as_mut().unwrap().spec.as_mut().unwrap().holder_identity = Some("thief".to_owned());
    });
    assert!(elapsed(a.lease.lost()).await <= seconds(6));
    assert!(!a.lease.holds());
    assert_eq!(api.holder().as_deref(), Some("thief"));
}

#[tokio::test(start_paused = true)]
async fn label_on_lease_does_not_lose_it() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    api.edit(|lease| {
        lease.as_mut().unwrap().metadata.labels = Some([("team".to_owned(), "bi".to_owned())].into());
    });
    sleep(seconds(30)).await;
    assert!(a.lease.holds());
    assert!(api.lease().unwrap().metadata.labels.is_some());
}

#[tokio::test(start_paused = true)]
async fn dead_loop_loses_the_lease_in_time() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    a.task.abort();
    assert!(elapsed(a.lease.lost()).await <= DURATION * 4 / 5);
    assert!(elapsed(a.lease.release()).await < STEP, "there is no loop to wait for");
}

#[tokio::test(start_paused = true)]
async fn suspended_process_loses_the_lease() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    // The clock advances while the process is suspended. The first check after it must be correct.
    tokio::time::advance(seconds(13)).await;
    assert!(!a.lease.holds());
    sleep(seconds(5)).await;
    assert!(!a.lease.holds(), "and it stays lost");
    assert!(a.task.is_finished());
}

/// In real time, while the runtime of the test is blocked.
#[tokio::test]
async fn busy_operator_keeps_its_lease() {
    let api = FakeApi::new();
    let settings = LeaseSettings { duration: Duration::from_millis(900), ..settings("a", None) };
    let of_thread = api.clone();
    let connect = move || Ok(of_thread.client(&Arc::new(Mutex::new(Fault::None))));
    let lease = Lease::start(connect, settings, LeaseReports::default()).unwrap();
    lease.acquired().await;
    let deadline = std::time::Instant::now() + seconds(10);
    while api.writes().len() < 4 {
        assert!(std::time::Instant::now() < deadline, "{} writes", api.writes().len());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(lease.holds());
    lease.release().await;
    assert_eq!(api.holder().as_deref(), Some(""));
}
