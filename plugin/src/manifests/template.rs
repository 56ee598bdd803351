//! Writes a manifest from what a user chooses on the command line.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};
use tabular_operator::api::{Kind, Model, RefreshObject, RefreshType};

use super::schema::API_VERSION;

/// The `ServiceAccount` of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorAccount {
    namespace: String,
    name: String,
}

impl fmt::Display for OperatorAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for OperatorAccount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name =
            |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b));
        let parts = text.split_once('/').filter(|(namespace, name)| is_name(namespace) && is_name(name));
        let (namespace, name) = parts.ok_or_else(|| "must be NAMESPACE/NAME".to_owned())?;
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

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

/// The permission to use an identity.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The comment above it, in YAML.
    pub comment: String,
    /// Its `Role` and its `RoleBinding`.
    pub resources: Vec<Value>,
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

    /// The permission for an operator to use the Secret or the `ServiceAccount`; `None` for an identity that needs none.
    #[must_use]
    pub fn access(&self, operator: &OperatorAccount) -> Option<Access> {
        let rule = |resource: &str, name: &str, verb: &str| json!({"apiGroups": [""], "resources": [resource], "resourceNames": [name], "verbs": [verb]});
        let (name, rules, object) = match &self.identity {
            Some(Identity::Secret(secret)) => {
                (format!("{}-secret-{secret}", operator.name), json!([rule("secrets", secret, "get")]), format!("Secret {secret}"))
            }
            Some(Identity::ServiceAccount(account)) => {
                let rules = json!([rule("serviceaccounts", account, "get"), rule("serviceaccounts/token", account, "create")]);
                (format!("{}-token-{account}", operator.name), rules, format!("ServiceAccount {account}"))
            }
            Some(Identity::Managed(_) | Identity::Operator) | None => return None,
        };
        let (group, version) = ("rbac.authorization.k8s.io", "rbac.authorization.k8s.io/v1");
        let permissions = json!({"apiVersion": version, "kind": "Role", "metadata": self.metadata(&name), "rules": rules});
        let binding = json!({
            "apiVersion": version, "kind": "RoleBinding", "metadata": self.metadata(&name),
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": operator.name, "namespace": operator.namespace}],
        });
        let comment = format!(
            "# The ServiceAccount {operator} of the operator may use the {object}.\n\
             # To bind another ServiceAccount, set --operator-service-account NAMESPACE/NAME.\n"
        );
        Some(Access { comment, resources: vec![permissions, binding] })
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
