//! Somebody edits the status by hand, or puts an old one in its place.

use harness::world::run;
use harness::{Setting, eventually};
use serde_json::json;
use tabular_operator::api::RunState;

use super::{end_first, in_mid_run, kubectl, orders, outcomes, settled};

#[tokio::test]
async fn status_of_an_earlier_moment_runs_nothing_again() {
    let (world, _operator) = in_mid_run("old-status", &json!({}), Setting::default()).await;
    let mut old = serde_json::to_value(orders(&world).await).unwrap();
    end_first(&world).await;
    let id = run(&settled(&world).await).operation_id.clone();
    // As a restored backup or a migration script does it.
    old["metadata"] = json!({"name": "orders", "namespace": world.namespace});
    kubectl(&world, &["replace", "--subresource=status", "-f", "-"], &old).await;
    let ended = |version: &harness::Version| version.decode().is_ok_and(|object| run(&object).state == RunState::Succeeded);
    eventually("the end to be shown again", async || {
        let versions = world.recorder.of("orders");
        let reopened = versions.iter().rposition(|version| version.decode().is_ok_and(|object| run(&object).state == RunState::Running));
        (reopened.is_some_and(|at| versions[at..].iter().any(|version| ended(version)))).then_some(())
    })
    .await;
    let done = settled(&world).await;
    assert_eq!((run(&done).operation_id.clone(), run(&done).number), (id, 1));
    assert_eq!((world.posts().await, outcomes(&world).await), (1, vec!["succeeded".to_owned()]));
}
