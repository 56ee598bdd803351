//! The lease against an in-memory API with a paused clock. Every second is a step of that clock.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::fake::{FakeApi, Fault};
use super::{Lease, LeaseHandle, LeaseReports, LeaseSettings, drain_signal, identity};
use crate::engine::Leaving;

const DURATION: Duration = Duration::from_secs(15);
const MOMENT: Duration = Duration::from_millis(10);

/// One operator.
pub(super) struct Operator {
    pub(super) lease: LeaseHandle,
    pub(super) task: JoinHandle<()>,
    /// The fault of its own connection to the API.
    pub(super) line: Arc<Mutex<Fault>>,
}

pub(super) fn operator(api: &FakeApi, name: &str) -> Operator {
    installed(api, name, None)
}

/// One of this installation.
fn installed(api: &FakeApi, name: &str, installation: Option<&str>) -> Operator {
    let line = Arc::new(Mutex::new(Fault::None));
    let (lease, task) = Lease::spawn(api.client(&line), settings(name, installation));
    Operator { lease, task, line }
}

fn settings(name: &str, installation: Option<&str>) -> LeaseSettings {
    LeaseSettings {
        namespace: "ops".to_owned(),
        name: "tabular-operator".to_owned(),
        duration: DURATION,
        identity: name.to_owned(),
        installation: installation.map(ToOwned::to_owned),
        watched: Vec::new(),
    }
}

/// Waits on the paused clock, and returns the elapsed time.
async fn took(what: impl Future<Output = ()>) -> Duration {
    let start = Instant::now();
    timeout(Duration::from_mins(2), what).await.expect("it ends within two minutes");
    start.elapsed()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[tokio::test(start_paused = true)]
async fn free_lease_is_acquired_immediately_and_kept() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    assert!(!a.lease.holds() && a.lease.term().is_none());
    assert!(took(a.lease.acquired()).await < MOMENT);
    assert_eq!((a.lease.holds(), a.lease.term()), (true, Some(0)));
    for _ in 0..600 {
        sleep(seconds(1)).await;
        assert!(a.lease.holds_for(seconds(6)), "7 s of 15 remain just before a renewal");
    }
    // The first write, and a renewal every 5 s for 600 s.
    assert!((118..=122).contains(&api.writes().len()), "{} writes", api.writes().len());
}

#[tokio::test(start_paused = true)]
async fn no_submission_in_the_last_fifth_of_the_lease() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    assert!(!a.lease.holds_for_a_submission());
    a.lease.acquired().await;
    for _ in 0..120 {
        sleep(MOMENT * 25).await;
        assert!(a.lease.holds_for_a_submission(), "while every renewal succeeds in time");
    }
    api.fail(Fault::Away);
    let cut_off = Instant::now();
    took(async {
        while a.lease.holds_for_a_submission() {
            sleep(MOMENT).await;
        }
    })
    .await;
    assert!(a.lease.holds(), "an operation in progress may still be recorded");
    let sent_at_the_latest = cut_off.elapsed();
    let ended = sent_at_the_latest + took(a.lease.lost()).await;
    let left = ended.saturating_sub(sent_at_the_latest);
    assert!(left + MOMENT >= DURATION / 5 && left <= DURATION / 5, "{left:?}");
    // The last successful renewal counts from before it was sent, so no other operator can hold the lease sooner.
    assert!(ended + DURATION / 5 <= DURATION + MOMENT, "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn second_candidate_stands_by() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    let b = operator(&api, "b");
    assert!(took(b.lease.standing_by()).await < MOMENT);
    sleep(seconds(300)).await;
    assert!(a.lease.holds() && !b.lease.holds());
    assert!(api.writes().iter().all(|holder| holder == "a"));
    assert!(api.reads() <= 302, "{} reads in 300 s", api.reads());
}

#[tokio::test(start_paused = true)]
async fn one_of_many_candidates_wins() {
    let api = FakeApi::new();
    let all: Vec<_> = (0..20).map(|n| operator(&api, &format!("o{n}"))).collect();
    sleep(seconds(30)).await;
    assert_eq!(all.iter().filter(|operator| operator.lease.holds()).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn dead_holder_is_replaced_within_duration_and_two_seconds() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    let b = operator(&api, "b");
    b.lease.standing_by().await;
    sleep(seconds(37)).await;
    a.task.abort();
    let waited = took(b.lease.acquired()).await;
    assert!(waited <= DURATION + seconds(2), "{waited:?}");
    assert!(waited >= seconds(10), "{waited:?} is shorter than the rest of the duration after a renewal");
    assert_eq!(b.lease.term(), Some(1));
    // The handle of the dead operator also reports the loss, by its own clock.
    assert!(!a.lease.holds());
}

#[tokio::test(start_paused = true)]
async fn clocks_of_machines_are_never_compared() {
    // By the wall clock, it was acquired in 1970. The candidate waits nevertheless.
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    a.task.abort();
    api.edit(|lease| {
        let spec = lease.as_mut().unwrap().spec.as_mut().unwrap();
        spec.renew_time.as_mut().unwrap().0 = jiff::Timestamp::UNIX_EPOCH;
    });
    let b = operator(&api, "b");
    let waited = took(b.lease.acquired()).await;
    assert!((DURATION..DURATION + seconds(2)).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn holder_without_api_stops_before_another_can_start() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    let b = operator(&api, "b");
    sleep(seconds(31)).await;
    // Only this operator is disconnected.
    *a.line.lock() = Fault::Away;
    let start = Instant::now();
    took(a.lease.lost()).await;
    let stopped = Instant::now();
    assert!(!a.lease.holds() && a.lease.term().is_none());
    assert!(stopped - start <= DURATION * 4 / 5, "{:?}", stopped - start);
    assert!(!b.lease.holds());
    b.lease.acquired().await;
    assert!(Instant::now() - stopped >= seconds(2), "{:?} between the two", Instant::now() - stopped);
    // It stays lost after the connection recovers.
    *a.line.lock() = Fault::None;
    sleep(seconds(60)).await;
    assert!(!a.lease.holds() && b.lease.holds());
    assert!(a.task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn short_api_outage_keeps_the_lease() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    for fault in [Fault::Away, Fault::Forbidden, Fault::AnswersLost] {
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
    api.fail(Fault::AnswersLost);
    assert!(took(a.lease.lost()).await <= DURATION * 4 / 5);
}

#[tokio::test(start_paused = true)]
async fn acquisition_with_lost_response_is_recognized() {
    let api = FakeApi::new();
    api.fail(Fault::AnswersLost);
    let a = operator(&api, "a");
    sleep(seconds(1)).await;
    api.fail(Fault::None);
    assert_eq!(api.holder().as_deref(), Some("a"));
    assert!(took(a.lease.acquired()).await < seconds(5));
    assert_eq!(a.lease.term(), Some(0), "it is the same claim");
}

#[tokio::test(start_paused = true)]
async fn write_of_another_holder_ends_lease_at_next_renewal() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    api.edit(|lease| {
        lease.as_mut().unwrap().spec.as_mut().unwrap().holder_identity = Some("thief".to_owned());
    });
    assert!(took(a.lease.lost()).await <= seconds(6));
    assert!(!a.lease.holds());
    assert_eq!(api.holder().as_deref(), Some("thief"));
}

#[tokio::test(start_paused = true)]
async fn deleted_lease_is_created_again_by_its_holder() {
    let api = FakeApi::new();
    let (a, b) = (operator(&api, "a"), operator(&api, "b"));
    a.lease.acquired().await;
    b.lease.standing_by().await;
    for deletions in 1..=10 {
        api.edit(|lease| {
            lease.as_mut().unwrap().metadata.labels = Some([("team".to_owned(), "bi".to_owned())].into());
        });
        sleep(seconds(6)).await;
        api.edit(|lease| *lease = None);
        for _ in 0..seconds(6).as_millis() / MOMENT.as_millis() {
            sleep(MOMENT).await;
            assert!(a.lease.holds() && !b.lease.holds(), "after {deletions} deletions");
        }
        assert_eq!(api.holder().as_deref(), Some("a"));
        assert!(api.lease().unwrap().metadata.labels.is_some());
    }
    assert_eq!(a.lease.term(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn deleted_lease_of_dead_holder_keeps_full_wait() {
    let api = FakeApi::new();
    let (a, b) = (operator(&api, "a"), operator(&api, "b"));
    a.lease.acquired().await;
    b.lease.standing_by().await;
    *a.line.lock() = Fault::Away;
    api.edit(|lease| *lease = None);
    took(a.lease.lost()).await;
    assert!(!b.lease.holds());
    took(b.lease.acquired()).await;
    assert_eq!(b.lease.term(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn new_process_waits_if_lease_was_deleted() {
    let of_the_status = json!({"managedFields": [{"manager": "tabular-operator", "operation": "Update", "subresource": "status"}]});
    for work in [json!({"finalizers": [crate::api::FINALIZER]}), of_the_status] {
        let api = FakeApi::new();
        let a = operator(&api, "a");
        a.lease.acquired().await;
        api.work(work);
        *a.line.lock() = Fault::Away;
        api.edit(|lease| *lease = None);
        let b = operator(&api, "b");
        took(a.lease.lost()).await;
        assert!(!b.lease.holds());
        let waited = took(b.lease.acquired()).await;
        assert!(waited <= seconds(5) + DURATION, "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn repeatedly_deleted_lease_has_one_holder() {
    let api = FakeApi::new();
    let mut all = [operator(&api, "a"), operator(&api, "b"), operator(&api, "c")];
    took(async {
        while !all.iter().any(|one| one.lease.holds()) {
            sleep(MOMENT).await;
        }
    })
    .await;
    api.work_with_finalizer();
    for step in 0..60_000 {
        sleep(MOMENT).await;
        // From the earliest time at which a candidate can observe it to the next renewal.
        if api.lease().is_some() && step % 701 < 1 + step / 2_000 {
            api.edit(|lease| *lease = None);
        }
        assert!(all.iter().filter(|one| one.lease.holds()).count() <= 1, "at step {step}");
        for (n, one) in all.iter_mut().enumerate() {
            if one.task.is_finished() {
                *one = operator(&api, &format!("{n}-{step}"));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn first_operator_of_a_cluster_does_not_wait() {
    let api = FakeApi::new();
    api.work(json!({"finalizers": ["another.example/one"], "managedFields": [{"manager": "kubectl", "operation": "Apply"}]}));
    assert!(took(operator(&api, "a").lease.acquired()).await < seconds(1));
}

#[tokio::test(start_paused = true)]
async fn deletion_of_namespace_loses_the_lease() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    let writes = api.writes().len();
    api.edit(|lease| *lease = None);
    api.fail(Fault::Forbidden);
    assert!(took(a.lease.lost()).await <= DURATION);
    assert_eq!(api.writes().len(), writes);
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
async fn released_lease_is_acquired_immediately() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    let b = operator(&api, "b");
    b.lease.standing_by().await;
    // Between two polls of the other candidate.
    sleep(seconds(20) + Duration::from_millis(500)).await;
    let released = a.lease.clone();
    assert!(took(released.release()).await < MOMENT);
    assert!(!a.lease.holds());
    assert_eq!(api.holder().as_deref(), Some(""));
    assert!(took(a.lease.lost()).await < MOMENT);
    assert!(took(b.lease.acquired()).await <= seconds(1));
    assert_eq!(b.lease.term(), Some(1));
    released.release().await;
}

#[tokio::test(start_paused = true)]
async fn release_does_not_wait_for_unavailable_api() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    api.fail(Fault::Away);
    let release = a.lease.release();
    let waited = took(release).await;
    assert!(waited <= seconds(9), "{waited:?}");
    assert!(!a.lease.holds());
}

#[tokio::test(start_paused = true)]
async fn no_operator_acts_during_release() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    api.fail(Fault::AnswersLost);
    let lease = a.lease.clone();
    let releasing = tokio::spawn(async move { lease.release().await });
    sleep(MOMENT).await;
    // The API server has already cleared the holder, although the response was lost.
    assert_eq!(api.holder().as_deref(), Some(""));
    assert!(!a.lease.holds());
    releasing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn candidate_can_be_released() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    let b = operator(&api, "b");
    b.lease.standing_by().await;
    assert!(took(b.lease.release()).await < MOMENT);
    assert!(!b.lease.holds() && a.lease.holds());
    assert_eq!(api.holder().as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn unconfirmed_acquisition_is_released() {
    let api = FakeApi::new();
    api.fail(Fault::AnswersLost);
    let a = operator(&api, "a");
    sleep(MOMENT).await;
    assert_eq!(api.holder().as_deref(), Some("a"));
    let lease = a.lease.clone();
    let releasing = tokio::spawn(async move { lease.release().await });
    sleep(seconds(1)).await;
    api.fail(Fault::None);
    releasing.await.unwrap();
    assert_eq!(api.holder().as_deref(), Some(""));
    assert!(!a.lease.holds());
}

#[tokio::test(start_paused = true)]
async fn dead_loop_loses_the_lease_in_time() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    a.task.abort();
    assert!(took(a.lease.lost()).await <= DURATION * 4 / 5);
    assert!(took(a.lease.release()).await < MOMENT, "there is no loop to wait for");
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

#[tokio::test(start_paused = true)]
async fn without_election_lease_is_always_held() {
    let lease = LeaseHandle::always();
    assert!(took(lease.acquired()).await < MOMENT);
    assert!(lease.holds() && lease.holds_for(seconds(1_000_000)) && lease.term().is_none());
    assert!(timeout(seconds(1_000), lease.lost()).await.is_err());
    assert!(took(lease.release()).await < MOMENT);
    assert!(!lease.holds());
    assert!(took(lease.lost()).await < MOMENT);
}

#[test]
fn identities_of_processes_differ() {
    assert_ne!(identity(), identity());
    assert!(identity().contains('_'));
}

#[tokio::test(start_paused = true)]
async fn drain_request_applies_only_to_its_installation() {
    let api = FakeApi::new();
    let annotations = || api.lease().and_then(|lease| lease.metadata.annotations).unwrap_or_default();
    let first = installed(&api, "a", Some("one"));
    first.lease.acquired().await;
    api.edit(|lease| {
        let annotations = lease.as_mut().unwrap().metadata.annotations.get_or_insert_default();
        annotations.insert(drain_signal::ANNOTATION.to_owned(), drain_signal::word(Leaving::Cancel, 1, &["one"]));
    });
    sleep(DURATION).await;
    assert_eq!(first.lease.leaving(), Some(Leaving::Cancel));
    first.lease.release().await;
    // A pod of the same installation may acquire the lease meanwhile.
    let standby = installed(&api, "b", Some("one"));
    standby.lease.acquired().await;
    assert_eq!(standby.lease.leaving(), Some(Leaving::Cancel));
    standby.lease.release().await;
    let next = installed(&api, "c", Some("two"));
    next.lease.acquired().await;
    assert_eq!(next.lease.leaving(), None, "the minute is not over");
    assert!(!annotations().contains_key(drain_signal::ANNOTATION));
    sleep(DURATION).await;
    assert!(next.lease.holds() && next.lease.leaving().is_none());
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

#[tokio::test]
async fn lease_without_a_client_is_lost() {
    let lease = Lease::start(|| Err(kube::Error::LinesCodecMaxLineLengthExceeded), settings("a", None), LeaseReports::default()).unwrap();
    lease.lost().await;
    lease.release().await;
    assert!(!lease.holds());
}
