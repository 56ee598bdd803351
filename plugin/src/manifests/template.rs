//! Writes a manifest from what a user chooses on the command line.

use serde_json::{Map, Value, json};
use tabular_operator::api::{Kind, Model, RefreshObject, RefreshType};

use super::schema::API_VERSION;

/// The name of the operator's `ServiceAccount`, as the chart and the manifests install it.
const OPERATOR: &str = "tabular-operator";

/// The identity at the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A service principal in a Secret of this name.
    Secret(String),
    /// A federated `ServiceAccount` of this name.
    ServiceAccount(String),
    /// A managed identity: user-assigned with this client id, or system-assigned.
    Managed(Option<String>),
    /// The operator's own identity.
    Operator,
}

/// What a new resource contains.
#[derive(Clone, Debug)]
pub struct Template {
    /// The kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its namespace, if the manifest names one.
    pub namespace: Option<String>,
    /// The model; `None` for the one of the upstream refresh.
    pub model: Option<Model>,
    /// The identity; `None` for the one of the upstream refresh.
    pub identity: Option<Identity>,
    /// The processing, for a refresh.
    pub r#type: Option<RefreshType>,
    /// The tables and partitions, for a refresh; empty for the whole model.
    pub objects: Vec<RefreshObject>,
    /// The schedule, in cron.
    pub schedule: Option<String>,
    /// Its time zone.
    pub time_zone: Option<String>,
    /// The upstream refresh.
    pub after: Option<String>,
    /// The maximum age of the data, in seconds.
    pub stale_after: Option<i64>,
    /// Whether no run starts.
    pub suspend: bool,
}

impl Template {
    /// The resource.
    #[must_use]
    pub fn resource(&self) -> Value {
        let credentials = self.identity.as_ref().and_then(|identity| match identity {
            Identity::Secret(name) => Some(json!({"servicePrincipalRef": {"name": name}})),
            Identity::ServiceAccount(name) => Some(json!({"workloadIdentity": {"serviceAccountName": name}})),
            Identity::Managed(None) => Some(json!({"managedIdentity": {}})),
            Identity::Managed(Some(id)) => Some(json!({"managedIdentity": {"clientId": id}})),
            Identity::Operator => None,
        });
        let objects = (!self.objects.is_empty()).then(|| json!(self.objects));
        let refresh = object([("type", self.r#type.map(|kind| json!(kind))), ("objects", objects)]);
        let trigger = object([
            ("schedule", self.schedule.as_ref().map(|schedule| json!(schedule))),
            ("timeZone", self.time_zone.as_ref().map(|zone| json!(zone))),
            ("afterRefresh", self.after.as_ref().map(|name| json!({"name": name}))),
        ]);
        let spec = object([
            ("model", self.model.as_ref().map(|model| json!(model))),
            ("credentials", credentials),
            ("refresh", refresh),
            ("trigger", trigger),
            ("staleAfterSeconds", self.stale_after.map(|seconds| json!(seconds))),
            ("suspend", self.suspend.then_some(Value::Bool(true))),
        ]);
        let metadata = self.metadata(&self.name);
        json!({"apiVersion": API_VERSION, "kind": self.kind.as_str(), "metadata": metadata, "spec": spec.unwrap_or_else(|| json!({}))})
    }

    /// The permission for the operator in a namespace to use the Secret or the `ServiceAccount`. Empty for an identity that needs none.
    #[must_use]
    pub fn access(&self, operator_namespace: &str) -> Vec<Value> {
        let rule = |resource: &str, name: &str, verb: &str| json!({"apiGroups": [""], "resources": [resource], "resourceNames": [name], "verbs": [verb]});
        let (name, rules) = match &self.identity {
            Some(Identity::Secret(secret)) => (format!("{OPERATOR}-secret-{secret}"), json!([rule("secrets", secret, "get")])),
            Some(Identity::ServiceAccount(account)) => {
                let rules = json!([rule("serviceaccounts", account, "get"), rule("serviceaccounts/token", account, "create")]);
                (format!("{OPERATOR}-token-{account}"), rules)
            }
            Some(Identity::Managed(_) | Identity::Operator) | None => return Vec::new(),
        };
        let (group, version) = ("rbac.authorization.k8s.io", "rbac.authorization.k8s.io/v1");
        let permissions = json!({"apiVersion": version, "kind": "Role", "metadata": self.metadata(&name), "rules": rules});
        let binding = json!({
            "apiVersion": version, "kind": "RoleBinding", "metadata": self.metadata(&name),
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": operator_namespace}],
        });
        vec![permissions, binding]
    }

    fn metadata(&self, name: &str) -> Value {
        match &self.namespace {
            Some(namespace) => json!({"name": name, "namespace": namespace}),
            None => json!({"name": name}),
        }
    }
}

/// An object with the fields that have a value; `None` without any.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Option<Value> {
    let present: Map<String, Value> = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    (!present.is_empty()).then_some(Value::Object(present))
}

/// Resources as one YAML stream. Text that YAML 1.1 or 1.2 would read as another type is quoted.
///
/// # Errors
/// If a value cannot be written, which would be a bug.
pub fn write(resources: &[Value]) -> Result<String, String> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false, compact_list_indent: false };
    let text = |resource: &Value| serde_saphyr::to_string_with_options(resource, options.clone()).map_err(|error| error.to_string());
    Ok(resources.iter().map(text).collect::<Result<Vec<_>, _>>()?.join("---\n"))
}
