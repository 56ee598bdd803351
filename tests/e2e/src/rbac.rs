//! The permissions of an operator: the minimum that it needs, and a `ServiceAccount` for each test.

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::PostParams;
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The namespace of the operators' `ServiceAccount`s and Leases.
pub const OPERATORS: &str = "operators";
/// The role of an operator in its namespaces: the deployed one, and Secrets.
pub const ROLE: &str = "tabular-operator";
/// The same without Secrets.
pub const BARE_ROLE: &str = "tabular-operator-bare";

/// The user name of a `ServiceAccount` of [`OPERATORS`].
#[must_use]
pub fn user(name: &str) -> String {
    format!("system:serviceaccount:{OPERATORS}:{name}")
}

/// Creates the objects that all operators share: the role, and the permission for Leases of their namespace.
pub async fn install(client: &Client) {
    make::<Namespace>(&Api::all(client.clone()), json!({"metadata": {"name": OPERATORS}})).await;
    // Exactly the permissions of the deployment: a missing permission fails a test.
    let wanted: [(&str, &[&str]); 4] = [
        (ROLE, &["tabular-operator", "tabular-operator-secrets"]),
        (BARE_ROLE, &["tabular-operator"]),
        ("tabular-operator-secrets", &["tabular-operator-secrets"]),
        ("tabular-operator-tokens", &["tabular-operator-tokens"]),
    ];
    for (name, parts) in wanted {
        let rules: Vec<Value> = parts.iter().flat_map(|part| deployed("ClusterRole", part)).collect();
        make::<ClusterRole>(&Api::all(client.clone()), json!({"metadata": {"name": name}, "rules": rules})).await;
    }
    let mut leases = deployed("Role", "tabular-operator-lease");
    for rule in &mut leases {
        // Each world has its own Lease with its own name.
        rule.as_object_mut().expect("a rule is an object").remove("resourceNames");
    }
    make::<Role>(&Api::namespaced(client.clone(), OPERATORS), json!({"metadata": {"name": "leases"}, "rules": leases})).await;
    let everybody = format!("system:serviceaccounts:{OPERATORS}");
    let binding = json!({
        "metadata": {"name": "leases"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "leases"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": everybody}],
    });
    make::<RoleBinding>(&Api::namespaced(client.clone(), OPERATORS), binding).await;
}

/// The rules of a role of `deploy/base`.
fn deployed(kind: &str, name: &str) -> Vec<Value> {
    let objects: Vec<Value> =
        serde_saphyr::from_multiple(include_str!("../../../deploy/base/rbac.yaml")).expect("deploy/base/rbac.yaml is valid");
    let role = |object: &Value| object["kind"] == kind && object["metadata"]["name"] == name;
    let object = objects.into_iter().find(role).unwrap_or_else(|| panic!("{kind} {name} is not in deploy/base/rbac.yaml"));
    object["rules"].as_array().expect("a role has rules").clone()
}

/// Creates a `ServiceAccount` that has a role in `namespace` or in the whole cluster, and returns its token.
pub async fn account(client: &Client, name: &str, namespace: &str, role: &str, everywhere: bool) -> String {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), OPERATORS);
    make(&accounts, json!({"metadata": {"name": name}})).await;
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": OPERATORS}],
    });
    if everywhere {
        make::<ClusterRoleBinding>(&Api::all(client.clone()), binding).await;
    } else {
        make::<RoleBinding>(&Api::namespaced(client.clone(), namespace), binding).await;
    }
    token(client, name).await
}

/// A token of a `ServiceAccount` of [`OPERATORS`].
pub async fn token(client: &Client, name: &str) -> String {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), OPERATORS);
    let request = TokenRequest {
        spec: TokenRequestSpec { expiration_seconds: Some(86_400), ..TokenRequestSpec::default() },
        ..TokenRequest::default()
    };
    let response = accounts.create_token_request(name, &PostParams::default(), &request).await;
    response.expect("failed to request a token").status.expect("the response has a token").token
}

/// Creates an object from JSON.
pub async fn make<K>(api: &Api<K>, object: Value) -> K
where
    K: Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let json = object.to_string();
    let object = serde_json::from_value(object).unwrap_or_else(|error| panic!("failed to read {json}: {error}"));
    let made = api.create(&PostParams::default(), &object).await;
    made.unwrap_or_else(|error| panic!("failed to create {json}: {error}"))
}
