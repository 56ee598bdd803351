//! The acquisition of the lease.

use tokio::time::{Instant, sleep, timeout};

use super::super::{Lease, LeaseHandle, LeaseReports, identity};
use super::fake::{FakeApi, Fault};
use super::operator::{DURATION, STEP, elapsed, operator, seconds, settings};

#[tokio::test(start_paused = true)]
async fn free_lease_is_acquired_immediately_and_kept() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    assert!(!a.lease.holds() && a.lease.term().is_none());
    assert!(elapsed(a.lease.acquired()).await < STEP);
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
    assert!(!a.lease.may_submit());
    a.lease.acquired().await;
    for _ in 0..120 {
        sleep(STEP * 25).await;
        assert!(a.lease.may_submit(), "while every renewal succeeds in time");
    }
    api.fail(Fault::Unreachable);
    let cut_off = Instant::now();
    elapsed(async {
        while a.lease.may_submit() {
            sleep(STEP).await;
        }
    })
    .await;
    assert!(a.lease.holds(), "an operation in progress may still be recorded");
    let sent_at_the_latest = cut_off.elapsed();
    let ended = sent_at_the_latest + elapsed(a.lease.lost()).await;
    let left = ended.saturating_sub(sent_at_the_latest);
    assert!(left + STEP >= DURATION / 5 && left <= DURATION / 5, "{left:?}");
    // The last successful renewal counts from before it was sent, so no other operator can hold the lease sooner.
    assert!(ended + DURATION / 5 <= DURATION + STEP, "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn second_candidate_stands_by() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    let b = operator(&api, "b");
    assert!(elapsed(b.lease.on_standby()).await < STEP);
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
    b.lease.on_standby().await;
    sleep(seconds(37)).await;
    a.task.abort();
    let waited = elapsed(b.lease.acquired()).await;
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
    let waited = elapsed(b.lease.acquired()).await;
    assert!((DURATION..DURATION + seconds(2)).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn acquisition_with_lost_response_is_recognized() {
    let api = FakeApi::new();
    api.fail(Fault::ResponsesLost);
    let a = operator(&api, "a");
    sleep(seconds(1)).await;
    api.fail(Fault::None);
    assert_eq!(api.holder().as_deref(), Some("a"));
    assert!(elapsed(a.lease.acquired()).await < seconds(5));
    assert_eq!(a.lease.term(), Some(0), "it is the same claim");
}

#[tokio::test(start_paused = true)]
async fn without_election_lease_is_always_held() {
    let lease = LeaseHandle::always();
    assert!(elapsed(lease.acquired()).await < STEP);
    assert!(lease.holds() && lease.holds_for(seconds(1_000_000)) && lease.term().is_none());
    assert!(timeout(seconds(1_000), lease.lost()).await.is_err());
    assert!(elapsed(lease.release()).await < STEP);
    assert!(!lease.holds());
    assert!(elapsed(lease.lost()).await < STEP);
}

#[test]
fn identities_of_processes_differ() {
    assert_ne!(identity(), identity());
    assert!(identity().contains('_'));
}

#[tokio::test]
async fn lease_without_a_client_is_lost() {
    let lease = Lease::start(|| Err(kube::Error::LinesCodecMaxLineLengthExceeded), settings("a", None), LeaseReports::default()).unwrap();
    lease.lost().await;
    lease.release().await;
    assert!(!lease.holds());
}
