//! A Lease whose holder another client cleared.

use k8s_openapi::api::coordination::v1::LeaseSpec;
use tokio::time::{Instant, sleep};

use super::fake::{FakeApi, Fault};
use super::operator::{DURATION, STEP, operator, seconds};

#[tokio::test(start_paused = true)]
async fn cleared_holder_stops_before_another_starts() {
    let clearings: [fn(&mut LeaseSpec); 3] =
        [|spec| spec.holder_identity = Some(String::new()), |spec| spec.holder_identity = None, |spec| *spec = LeaseSpec::default()];
    for (clear, fault) in clearings.into_iter().flat_map(|clear| [Fault::None, Fault::Unreachable].map(|fault| (clear, fault))) {
        let api = FakeApi::new();
        let (a, standby) = (operator(&api, "a"), operator(&api, "b"));
        a.lease.acquired().await;
        standby.lease.on_standby().await;
        // Just after a renewal.
        sleep(seconds(5) + STEP * 2).await;
        *a.connection.lock() = fault;
        api.edit(|lease| clear(lease.as_mut().unwrap().spec.as_mut().unwrap()));
        let (cleared, started_later) = (Instant::now(), operator(&api, "c"));
        while !standby.lease.holds() && !started_later.lease.holds() {
            assert!(cleared.elapsed() < DURATION + seconds(2));
            sleep(STEP).await;
        }
        assert!(!a.lease.holds());
        assert!(cleared.elapsed() >= DURATION, "{:?}", cleared.elapsed());
        assert!(a.task.is_finished() && !(standby.lease.holds() && started_later.lease.holds()));
    }
}

#[tokio::test(start_paused = true)]
async fn lease_released_before_the_start_is_free() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    a.lease.release().await;
    let (b, start) = (operator(&api, "b"), Instant::now());
    b.lease.acquired().await;
    assert!(start.elapsed() <= seconds(1), "{:?}", start.elapsed());
}
