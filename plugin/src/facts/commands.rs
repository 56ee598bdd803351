//! The commands of the advice, with the names of a resource.

use kube::ResourceExt as _;
use tabular_operator::api::advice::{fill, plugin_command};
use tabular_operator::api::{Credentials, Kind};

use crate::objects::Object;

/// The names of the operator, for commands.
#[derive(Clone, Copy, Debug)]
pub struct OperatorNames<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// The name of its Deployment, its `ServiceAccount` and its Lease: the full name of its Helm release.
    pub name: &'a str,
}

/// The commands with the names of a resource. Where the plugin has a command for the same, it replaces that of kubectl.
#[must_use]
pub(super) fn filled(object: &Object, commands: &[&'static str], operator: OperatorNames<'_>) -> Vec<String> {
    let template = |command: &&'static str| fill(plugin_command(command).unwrap_or(command), |name| value(object, name, operator));
    commands.iter().map(template).collect()
}

/// The value of a placeholder. Each is safe in a shell, because the API server has accepted it as a name. The commands with an operation
/// or a submission are those that the plugin has a command for.
fn value(object: &Object, placeholder: &str, operator: OperatorNames<'_>) -> Option<String> {
    let credentials = object.resource.credentials();
    let secret = |credentials: &Credentials| credentials.service_principal_ref.as_ref().map(|secret| secret.name.clone());
    let account = |credentials: &Credentials| credentials.workload_identity.as_ref().map(|account| account.service_account_name.clone());
    match placeholder {
        "kind" => Some(if object.resource.kind() == Kind::ModelSync { "msync" } else { "mref" }.to_owned()),
        "name" => Some(object.resource.name_any()),
        "target" => Some(object.name()),
        "namespace" => Some(object.namespace().to_owned()),
        "operator" => Some(operator.name.to_owned()),
        "operator-namespace" => Some(operator.namespace.to_owned()),
        "secret" => credentials.and_then(secret),
        "service-account" => credentials.and_then(account),
        _ => None,
    }
}
