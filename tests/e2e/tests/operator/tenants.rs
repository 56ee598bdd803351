//! Several tenants on one model: an error of one tenant's identity blocks no other, and each operation stays with its resource.

use std::time::Duration;

use e2e::world::{SECRET, TENANT, merged, run};
use e2e::{Fault, Operator, TestSetup, World, eventually};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use tabular_operator::api::RunState;
use uuid::Uuid;

/// Maximum time that a resource with failing calls holds its turn: until its submission can no longer arrive, with a margin for a busy
/// machine.
const SOON: Duration = Duration::from_secs(90);

/// A deleted Secret is noticed after a minute.
const LONG: Duration = Duration::from_mins(2);

/// A world in which a second tenant has its own identity.
async fn two_tenants(name: &str, model: &Value) -> (World, Operator, Value) {
    let arguments = vec!["--call-timeout=2s".to_owned(), "--listing-lag=2s".to_owned()];
    let setup = TestSetup { model: Some(model.clone()), arguments, ..TestSetup::default() };
    let (world, operator) = World::running(name, setup).await;
    let healthy = world.put_identity("healthy", &Uuid::new_v4().to_string()).await;
    (world, operator, healthy)
}

/// Every request of the first tenant's application gets this response.
async fn respond_with(world: &World, status: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    for method in ["GET", "POST", "DELETE"] {
        let order = json!({"match": {"method": method, "clientId": world.client_id}, "times": 0, "action": {"status": status}});
        faults.push(world.azure.fault(order).await);
    }
    faults
}

/// Errors of an identity, and their repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failing {
    Throttled,
    Refused,
    Revoked,
    Unreachable,
    Deleted,
}

impl Failing {
    async fn begin(self, world: &World) -> Vec<Fault> {
        match self {
            Self::Throttled => {
                respond_with(world, &json!({"code": 429, "body": "too many requests", "headers": {"Retry-After": "20"}})).await
            }
            Self::Refused => respond_with(world, &json!({"code": 403, "body": {"error": {"code": "Forbidden", "message": "no"}}})).await,
            Self::Unreachable => respond_with(world, &json!({"code": 503, "body": "<html>down</html>"})).await,
            Self::Revoked => {
                // Its tokens are invalid too.
                world.azure.put_application(TENANT, &world.client_id, "renewed").await;
                let pattern = json!({"host": "*.asazure.windows.net", "clientId": world.client_id});
                vec![world.azure.fault(json!({"match": pattern, "times": 0, "action": {"status": {"code": 401}}})).await]
            }
            Self::Deleted => {
                world.secrets().delete(SECRET, &DeleteParams::default()).await.unwrap();
                Vec::new()
            }
        }
    }

    async fn end(self, world: &World, faults: Vec<Fault>) {
        for fault in faults {
            fault.remove().await;
        }
        match self {
            Self::Revoked => world.azure.put_application(TENANT, &world.client_id, "right").await,
            Self::Deleted => world.put_secret("right").await,
            Self::Throttled | Self::Refused | Self::Unreachable => {}
        }
    }
}

const EACH: [Failing; 5] = [Failing::Throttled, Failing::Refused, Failing::Revoked, Failing::Unreachable, Failing::Deleted];

/// The second resource waits for the operation of the first, and runs when that has ended, while the first stays in `meanwhile`. When its
/// identity is repaired, the first finds its own operation.
async fn second_runs_after(world: &World, first: &str, failing: Failing, faults: Vec<Fault>, meanwhile: RunState) {
    world
        .until_within(SOON, "second", "what it waits for", |object| {
            object.status.as_ref().and_then(|status| status.run.as_ref()?.waiting_for.as_ref()).is_some_and(|what| what.contains(first))
        })
        .await;
    world.patch_model(&json!({"durationMillis": 200})).await;
    world.azure.end(first, "succeeded").await;
    let second = world.until_state_within(SOON, "second", RunState::Succeeded).await;
    assert_eq!(run(&world.until("first", "its run", |_| true).await).state, meanwhile, "{failing:?}");
    failing.end(world, faults).await;
    let done = world.until_state_within(SOON, "first", RunState::Succeeded).await;
    let operations = world.operations().await;
    assert_eq!(operations.len(), 2, "{failing:?}");
    assert_eq!((run(&done).operation_id.as_deref(), operations[0].status.as_str()), (Some(first), "succeeded"), "{failing:?}");
    assert_eq!(run(&second).operation_id.as_ref(), Some(&operations[1].operation_id), "{failing:?}");
}

#[tokio::test]
async fn failing_identity_during_run_blocks_no_other_on_model() {
    let each = EACH.map(|failing| async move {
        let name = format!("during-{failing:?}").to_lowercase();
        let (world, _operator, healthy) = two_tenants(&name, &json!({"durationMillis": 600_000})).await;
        world.apply("first", &json!({})).await;
        let first = run(&world.until_state("first", RunState::Running).await).operation_id.clone().unwrap();
        let faults = failing.begin(&world).await;
        world.apply("second", &merged(&healthy, &json!({"conflictPolicy": "Replace"}))).await;
        // The second resource waits for its whole duration and never cancels it.
        second_runs_after(&world, &first, failing, faults, RunState::Running).await;
    });
    futures::future::join_all(each).await;
}

#[tokio::test]
async fn failing_identity_with_unresolved_submission_blocks_none() {
    let each = EACH.map(|failing| async move {
        let name = format!("unresolved-{failing:?}").to_lowercase();
        let (world, _operator, healthy) = two_tenants(&name, &json!({"durationMillis": 600_000})).await;
        // The response is lost, and from then on the identity fails.
        let down = json!({"match": {"method": "GET", "clientId": world.client_id}, "times": 0, "action": {"status": {"code": 503, "body": "down"}}});
        let list = world.azure.fault(down).await;
        let unanswered = world.fault("POST", "/refreshes", &json!({"action": {"dropAfter": {}}})).await;
        world.apply("first", &json!({})).await;
        unanswered.has_hit(1).await;
        let faults = failing.begin(&world).await;
        if failing == Failing::Deleted {
            // Values of a Secret are cached for a minute.
            world.until_within(LONG, "first", "the loss of its Secret", |object| {
                object.status.as_ref().and_then(|status| status.run.as_ref()).is_some_and(|run| run.reason == "SecretNotFound")
            })
            .await;
        }
        list.remove().await;
        world.apply("second", &merged(&healthy, &json!({"conflictPolicy": "Replace"}))).await;
        let first = world.operations().await[0].operation_id.clone();
        second_runs_after(&world, &first, failing, faults, RunState::Submitting).await;
    });
    futures::future::join_all(each).await;
}

#[tokio::test]
async fn throttled_waiting_identity_blocks_no_other_on_model() {
    let (world, _operator, healthy) = two_tenants("waiting-throttled", &json!({"durationMillis": 300})).await;
    let faults = respond_with(&world, &json!({"code": 429, "body": "too many requests", "headers": {"Retry-After": "20"}})).await;
    world.apply("first", &json!({})).await;
    world.until_reason("first", "Reconciling", "Retrying").await;
    world.apply("second", &healthy).await;
    world.until_state("second", RunState::Succeeded).await;
    Failing::Throttled.end(&world, faults).await;
    world.until_state_within(SOON, "first", RunState::Succeeded).await;
    assert_eq!(world.operations().await.len(), 2);
}

#[tokio::test]
async fn deleted_namespace_is_released_within_2m_of_any_error() {
    // They run concurrently: each takes two minutes.
    let ways = [Failing::Throttled, Failing::Refused, Failing::Revoked, Failing::Unreachable].map(|failing| async move {
        let setup = TestSetup {
            model: Some(json!({"durationMillis": 600_000})),
            everywhere: true,
            // The operator writes the event of a namespace only if it also watches `default`.
            arguments: vec!["--watch-namespace=default".to_owned()],
            ..TestSetup::default()
        };
        let (world, _operator) = World::running(&format!("ending-{failing:?}").to_lowercase(), setup).await;
        world.apply("orders", &json!({})).await;
        world.until_state("orders", RunState::Running).await;
        let faults = failing.begin(&world).await;
        let namespaces: Api<Namespace> = Api::all(world.client.clone());
        namespaces.delete(&world.namespace, &DeleteParams::default()).await.unwrap();
        let gone = world.recorder.wait("orders", |version| version.deleted.then(|| version.decode().unwrap()));
        let gone = tokio::time::timeout(Duration::from_mins(4), gone)
            .await
            .unwrap_or_else(|_| panic!("{failing:?}: the namespace is still terminating"));
        // The control plane deletes the resource some time after the namespace, later on a busy machine.
        let took = jiff::Timestamp::now().duration_since(gone.metadata.deletion_timestamp.unwrap().0).as_secs();
        assert!(took > 100, "{failing:?}: a temporary error must be tolerated");
        assert!(took < 135, "{failing:?}: it was released after {took} s");
        assert!(!world.operations().await[0].ended(), "{failing:?}");
        // The namespace accepts no more events, so the event is about the namespace.
        let events: Api<Event> = Api::namespaced(world.client.clone(), "default");
        eventually("the event", async || {
            let all = events.list(&ListParams::default()).await.unwrap();
            let reported =
                all.items.iter().find(|event| event.regarding.as_ref().is_some_and(|about| about.name.as_ref() == Some(&world.namespace)));
            reported.is_some_and(|event| event.note.as_deref().is_some_and(|note| note.contains("may still be running"))).then_some(())
        })
        .await;
        for fault in faults {
            fault.remove().await;
        }
    });
    futures::future::join_all(ways).await;
}
