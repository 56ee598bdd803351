//! The permissions of a `ServiceAccount`, compared with its requests to the API server.

use std::collections::BTreeSet;

use e2e::AuditLine;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kube::api::ListParams;
use kube::{Api, Client};

/// One permission.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// The verb, such as `update`.
    pub verb: String,
    /// The resource in the plural, with its subresource: `modelrefreshes/status`.
    pub resource: String,
    /// The object's name, if it is restricted to one.
    pub name: Option<String>,
    /// The namespace, if it is restricted to one.
    pub namespace: Option<String>,
}

impl Grant {
    /// Whether this request needed it.
    pub fn covers(&self, line: &AuditLine) -> bool {
        let asked = &line.object_ref;
        let subresource = if asked.subresource.is_empty() { String::new() } else { format!("/{}", asked.subresource) };
        self.verb == line.verb
            && self.resource == format!("{}{subresource}", asked.resource)
            && self.name.as_ref().is_none_or(|name| *name == asked.name)
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == asked.namespace)
    }
}

/// Every permission of a `ServiceAccount` that is granted by name, in the cluster and in every namespace.
pub async fn of(client: &Client, namespace: &str, account: &str) -> BTreeSet<Grant> {
    let mut grants = BTreeSet::new();
    let bound = |subjects: &Option<Vec<Subject>>| {
        let ours = |subject: &Subject| subject.name == account && subject.namespace.as_deref() == Some(namespace);
        subjects.iter().flatten().any(ours)
    };
    let all = ListParams::default();
    for binding in Api::<ClusterRoleBinding>::all(client.clone()).list(&all).await.unwrap() {
        if bound(&binding.subjects) {
            add(&mut grants, &rules(client, &binding.role_ref, None).await, None);
        }
    }
    for binding in Api::<RoleBinding>::all(client.clone()).list(&all).await.unwrap() {
        if bound(&binding.subjects) {
            let within = binding.metadata.namespace.unwrap();
            add(&mut grants, &rules(client, &binding.role_ref, Some(&within)).await, Some(&within));
        }
    }
    grants
}

async fn rules(client: &Client, role: &RoleRef, namespace: Option<&str>) -> Vec<PolicyRule> {
    match (role.kind.as_str(), namespace) {
        ("Role", Some(namespace)) => Api::<Role>::namespaced(client.clone(), namespace).get(&role.name).await.unwrap().rules,
        _ => Api::<ClusterRole>::all(client.clone()).get(&role.name).await.unwrap().rules,
    }
    .unwrap_or_default()
}

fn add(grants: &mut BTreeSet<Grant>, rules: &[PolicyRule], namespace: Option<&str>) {
    for rule in rules {
        let names = rule.resource_names.clone().unwrap_or_default();
        let names: Vec<Option<String>> = if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() };
        for (verb, resource) in rule.verbs.iter().flat_map(|verb| rule.resources.iter().flatten().map(move |resource| (verb, resource))) {
            for name in &names {
                let (verb, resource, name) = (verb.clone(), resource.clone(), name.clone());
                grants.insert(Grant { verb, resource, name, namespace: namespace.map(str::to_owned) });
            }
        }
    }
}
