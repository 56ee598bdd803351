//! A deleted Lease.

use serde_json::json;
use tokio::time::sleep;

use super::fake::{FakeApi, Fault};
use super::operator::{DURATION, STEP, elapsed, operator, seconds};

#[tokio::test(start_paused = true)]
async fn deleted_lease_is_created_again_by_its_holder() {
    let api = FakeApi::new();
    let (a, b) = (operator(&api, "a"), operator(&api, "b"));
    a.lease.acquired().await;
    b.lease.on_standby().await;
    for deletions in 1..=10 {
        api.edit(|lease| {
            lease.as_mut().unwrap().metadata.labels = Some([("team".to_owned(), "bi".to_owned())].into());
        });
        sleep(seconds(6)).await;
        api.edit(|lease| *lease = None);
        for _ in 0..seconds(6).as_millis() / STEP.as_millis() {
            sleep(STEP).await;
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
    b.lease.on_standby().await;
    *a.connection.lock() = Fault::Unreachable;
    api.edit(|lease| *lease = None);
    elapsed(a.lease.lost()).await;
    assert!(!b.lease.holds());
    elapsed(b.lease.acquired()).await;
    assert_eq!(b.lease.term(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn new_process_waits_if_lease_was_deleted() {
    let of_the_status = json!({"managedFields": [{"manager": "tabular-operator", "operation": "Update", "subresource": "status"}]});
    for work in [json!({"finalizers": [crate::api::FINALIZER]}), of_the_status] {
        let api = FakeApi::new();
        let a = operator(&api, "a");
        a.lease.acquired().await;
        api.add_resource(work);
        *a.connection.lock() = Fault::Unreachable;
        api.edit(|lease| *lease = None);
        let b = operator(&api, "b");
        elapsed(a.lease.lost()).await;
        assert!(!b.lease.holds());
        let waited = elapsed(b.lease.acquired()).await;
        assert!(waited <= seconds(5) + DURATION, "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn repeatedly_deleted_lease_has_one_holder() {
    let api = FakeApi::new();
    let mut all = [operator(&api, "a"), operator(&api, "b"), operator(&api, "c")];
    elapsed(async {
        while !all.iter().any(|one| one.lease.holds()) {
            sleep(STEP).await;
        }
    })
    .await;
    api.add_resource_with_finalizer();
    for step in 0..60_000 {
        sleep(STEP).await;
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
    api.add_resource(json!({"finalizers": ["another.example/one"], "managedFields": [{"manager": "kubectl", "operation": "Apply"}]}));
    assert!(elapsed(operator(&api, "a").lease.acquired()).await < seconds(1));
}

#[tokio::test(start_paused = true)]
async fn deletion_of_namespace_loses_the_lease() {
    let api = FakeApi::new();
    let a = operator(&api, "a");
    a.lease.acquired().await;
    let writes = api.writes().len();
    api.edit(|lease| *lease = None);
    api.fail(Fault::Forbidden);
    assert!(elapsed(a.lease.lost()).await <= DURATION);
    assert_eq!(api.writes().len(), writes);
}
