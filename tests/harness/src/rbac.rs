//! What an operator may do: the least that it needs, and a `ServiceAccount` for each test.

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::PostParams;
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// The namespace of the operators' `ServiceAccount`s and Leases.
pub const OPERATORS: &str = "operators";
/// The role of an operator, in the namespaces that it serves.
pub const ROLE: &str = "tabular-operator";

/// The user that a `ServiceAccount` of [`OPERATORS`] is to the API server.
#[must_use]
pub fn user(name: &str) -> String {
    format!("system:serviceaccount:{OPERATORS}:{name}")
}

/// Makes what all operators share: the role, and the right to Leases of their own namespace.
pub async fn install(client: &Client) {
    make::<Namespace>(&Api::all(client.clone()), json!({"metadata": {"name": OPERATORS}})).await;
    let rules = json!([
        {"apiGroups": ["tabular-operator.dev"], "resources": ["modelrefreshes"], "verbs": ["get", "list", "watch", "update", "patch"]},
        {"apiGroups": ["tabular-operator.dev"], "resources": ["modelrefreshes/status"], "verbs": ["get", "update", "patch"]},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
    ]);
    make::<ClusterRole>(&Api::all(client.clone()), json!({"metadata": {"name": ROLE}, "rules": rules})).await;
    let leases = json!([{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "get", "update", "patch"]}]);
    make::<Role>(&Api::namespaced(client.clone(), OPERATORS), json!({"metadata": {"name": "leases"}, "rules": leases})).await;
    let everybody = format!("system:serviceaccounts:{OPERATORS}");
    let binding = json!({
        "metadata": {"name": "leases"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "leases"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": everybody}],
    });
    make::<RoleBinding>(&Api::namespaced(client.clone(), OPERATORS), binding).await;
}

/// Makes a `ServiceAccount` that serves `namespace`, or the whole cluster, and gives its token.
pub async fn account(client: &Client, name: &str, namespace: &str, everywhere: bool) -> String {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), OPERATORS);
    make(&accounts, json!({"metadata": {"name": name}})).await;
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": OPERATORS}],
    });
    if everywhere {
        make::<ClusterRoleBinding>(&Api::all(client.clone()), binding).await;
    } else {
        make::<RoleBinding>(&Api::namespaced(client.clone(), namespace), binding).await;
    }
    let request = TokenRequest {
        spec: TokenRequestSpec { expiration_seconds: Some(86_400), ..TokenRequestSpec::default() },
        ..TokenRequest::default()
    };
    let answer = accounts.create_token_request(name, &PostParams::default(), &request).await;
    answer.expect("failed to ask for a token").status.expect("a token was given").token
}

/// Creates an object from JSON.
pub async fn make<K>(api: &Api<K>, object: serde_json::Value) -> K
where
    K: Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let said = object.to_string();
    let object = serde_json::from_value(object).unwrap_or_else(|error| panic!("failed to read {said}: {error}"));
    let made = api.create(&PostParams::default(), &object).await;
    made.unwrap_or_else(|error| panic!("failed to create {said}: {error}"))
}
