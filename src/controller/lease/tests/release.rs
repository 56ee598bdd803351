//! The release of the lease, and drain requests.

use std::time::Duration;

use tokio::time::sleep;

use super::super::drain_signal;
use super::fake::{FakeApi, Fault};
use super::operator::{DURATION, STEP, elapsed, installed, operator, seconds};
use crate::engine::DrainMode;

#[tokio::test(start_paused = true)]
async fn released_lease_is_acquired_immediately() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    let b = operator(&api, "b");
    b.lease.on_standby().await;
    // Between two polls of the other candidate.
    sleep(seconds(20) + Duration::from_millis(500)).await;
    let released = a.lease.clone();
    assert!(elapsed(released.release()).await < STEP);
    assert!(!a.lease.holds());
    assert_eq!(api.holder().as_deref(), Some(""));
    assert!(elapsed(a.lease.lost()).await < STEP);
    assert!(elapsed(b.lease.acquired()).await <= seconds(1));
    assert_eq!(b.lease.term(), Some(1));
    released.release().await;
}

#[tokio::test(start_paused = true)]
async fn release_does_not_wait_for_unavailable_api() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    api.fail(Fault::Unreachable);
    let release = a.lease.release();
    let waited = elapsed(release).await;
    assert!(waited <= seconds(9), "{waited:?}");
    assert!(!a.lease.holds());
}

#[tokio::test(start_paused = true)]
async fn no_operator_acts_during_release() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    api.fail(Fault::ResponsesLost);
    let lease = a.lease.clone();
    let releasing = tokio::spawn(async move { lease.release().await });
    sleep(STEP).await;
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
    b.lease.on_standby().await;
    assert!(elapsed(b.lease.release()).await < STEP);
    assert!(!b.lease.holds() && a.lease.holds());
    assert_eq!(api.holder().as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn unconfirmed_acquisition_is_released() {
    let api = FakeApi::new();
    api.fail(Fault::ResponsesLost);
    let a = operator(&api, "a");
    sleep(STEP).await;
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
async fn drain_request_applies_only_to_its_installation() {
    let api = FakeApi::new();
    let annotations = || api.lease().and_then(|lease| lease.metadata.annotations).unwrap_or_default();
    let first = installed(&api, "a", Some("one"));
    first.lease.acquired().await;
    api.edit(|lease| {
        let annotations = lease.as_mut().unwrap().metadata.annotations.get_or_insert_default();
        annotations.insert(drain_signal::ANNOTATION.to_owned(), drain_signal::request(DrainMode::Cancel, 1, &["one"]));
    });
    sleep(DURATION).await;
    assert_eq!(first.lease.drain(), Some(DrainMode::Cancel));
    first.lease.release().await;
    // A pod of the same installation may acquire the lease meanwhile.
    let standby = installed(&api, "b", Some("one"));
    standby.lease.acquired().await;
    assert_eq!(standby.lease.drain(), Some(DrainMode::Cancel));
    standby.lease.release().await;
    let next = installed(&api, "c", Some("two"));
    next.lease.acquired().await;
    assert_eq!(next.lease.drain(), None, "the minute is not over");
    assert!(!annotations().contains_key(drain_signal::ANNOTATION));
    sleep(DURATION).await;
    assert!(next.lease.holds() && next.lease.drain().is_none());
}
