//! Administrators who remove permissions that the operator needs, during a run.

use std::time::Duration;

use e2e::rbac::{self, make};
use e2e::world::{run, run_state};
use e2e::{Kind, TestSetup, World, eventually};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use tabular_operator::api::RunState;

use super::{end_first, event, in_mid_run, orders, outcomes, settled};

/// An administrator's policy that denies requests in the world's namespace until it is removed.
struct Denial {
    world_name: String,
    policies: Api<ValidatingAdmissionPolicy>,
    bindings: Api<ValidatingAdmissionPolicyBinding>,
}

impl Denial {
    /// Denies these writes (`UPDATE` of `modelrefreshes/status`), and waits until the policy is effective.
    async fn of(world: &World, operation: &str, resource: &str, expression: &str) -> Self {
        let name = world.namespace.clone();
        let policy = json!({
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": ["tabular-operator.dev"], "apiVersions": ["*"], "operations": [operation], "resources": [resource],
                }]},
                "validations": [{"expression": expression, "message": "frozen by the platform team"}],
            },
        });
        let binding = json!({
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}},
            },
        });
        let denial = Self { world_name: name, policies: Api::all(world.client.clone()), bindings: Api::all(world.client.clone()) };
        make(&denial.policies, policy).await;
        make(&denial.bindings, binding).await;
        denial
    }

    /// Removes it.
    async fn lift(self) {
        self.bindings.delete(&self.world_name, &DeleteParams::default()).await.unwrap();
        self.policies.delete(&self.world_name, &DeleteParams::default()).await.unwrap();
    }
}

/// Waits until the API server denies status writes, also by an administrator.
async fn until_denied(world: &World) {
    let probe = json!({"apiVersion": Kind::api_version(), "kind": "ModelRefresh", "metadata": {"name": "probe"}, "spec": {
        "model": {"analysisServices": {"server": world.server, "database": "none"}}, "suspend": true,
        "credentials": {"servicePrincipalRef": {"name": "none"}},
    }});
    let api = world.api(Kind::Refresh);
    api.patch("probe", &PatchParams::apply("test").force(), &Patch::Apply(&probe)).await.unwrap();
    eventually("the policy to deny", async || {
        let patch = json!({"status": {"observedGeneration": 0}});
        api.patch_status("probe", &PatchParams { dry_run: true, ..PatchParams::default() }, &Patch::Merge(&patch))
            .await
            .is_err()
            .then_some(())
    })
    .await;
}

const LONG: Duration = Duration::from_mins(2);

#[tokio::test]
async fn denied_status_write_prevents_submission() {
    let (world, _operator) = World::running("status-denied", TestSetup::default()).await;
    let denial = Denial::of(&world, "UPDATE", "modelrefreshes/status", "false").await;
    until_denied(&world).await;
    world.apply("orders", &json!({})).await;
    // The finalizer is not denied: the operator adds it before it would record the intent.
    world.until("orders", "the finalizer", |object| object.metadata.finalizers.is_some()).await;
    assert_eq!((world.posts().await, run_state(&orders(&world).await)), (0, None), "nothing is submitted without a record");
    let written = event(&world, "orders", "WriteRefused", &["status", "frozen by the platform team"]).await;
    assert!(written.contains("policy"), "the note must name the policy: {written}");
    denial.lift().await;
    world.until_state_within(LONG, "orders", RunState::Succeeded).await;
    assert_eq!((world.posts().await, outcomes(&world).await), (1, vec!["succeeded".to_owned()]));
}

#[tokio::test]
async fn denied_end_of_run_is_recorded_later() {
    let (world, _operator) = in_mid_run("end-denied", &json!({}), TestSetup::default()).await;
    let denial = Denial::of(&world, "UPDATE", "modelrefreshes/status", "false").await;
    until_denied(&world).await;
    end_first(&world).await;
    // The operator observes the end, and cannot record it.
    let id = world.operations().await[0].operation_id.clone();
    let polls = async || world.ledger().await.iter().filter(|row| row.method == "GET" && row.path.ends_with(&id)).count();
    let before = polls().await;
    eventually("a poll", async || (polls().await > before).then_some(())).await;
    assert_eq!(run(&orders(&world).await).state, RunState::Running, "the end is not reported before it is recorded");
    denial.lift().await;
    let done = world.until_state_within(LONG, "orders", RunState::Succeeded).await;
    assert_eq!((run(&done).number, run(&done).operation_id.as_ref()), (1, Some(&id)));
    assert_eq!((world.posts().await, outcomes(&world).await), (1, vec!["succeeded".to_owned()]));
}

#[tokio::test]
async fn permissions_removed_and_restored_during_run_lose_no_run() {
    let (world, _operator) = in_mid_run("rbac-gone", &json!({}), TestSetup::default()).await;
    let bindings: Api<RoleBinding> = Api::namespaced(world.client.clone(), &world.namespace);
    let binding = bindings.get(&world.namespace).await.unwrap();
    bindings.delete(&world.namespace, &DeleteParams::default()).await.unwrap();
    // The change becomes effective a moment later.
    let question =
        ["auth", "can-i", "update", "mref/orders", "--subresource=status", "--namespace", &world.namespace, "--as", &world.user()];
    eventually("the removal of the permissions", async || {
        (!world.environment.control_plane.kubectl_with(&question, "").await.status.success()).then_some(())
    })
    .await;
    let refused = async || world.writes().iter().filter(|write| write.ends_with("-> 403")).count();
    end_first(&world).await;
    eventually("a refused write", async || (refused().await > 0).then_some(())).await;
    world.apply("more", &json!({})).await;
    assert_eq!(world.posts().await, 1);
    let again = json!({
        "metadata": {"name": world.namespace},
        "roleRef": binding.role_ref,
        "subjects": [{"kind": "ServiceAccount", "name": world.namespace, "namespace": rbac::OPERATORS}],
    });
    make::<RoleBinding>(&bindings, again).await;
    let done = world.until_state_within(LONG, "orders", RunState::Succeeded).await;
    world.until_state_within(LONG, "more", RunState::Succeeded).await;
    assert_eq!((run(&done).number, world.posts().await), (1, 2));
    assert_eq!(outcomes(&world).await, ["succeeded", "succeeded"]);
    settled(&world).await;
}
