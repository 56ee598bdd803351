//! The identity that the operator presents to the service for one resource.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The identity for requests to the service. Set exactly one field.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.servicePrincipalRef), has(self.workloadIdentity), has(self.managedIdentity)].filter(x, x).size() == 1")
    .message("set exactly one of servicePrincipalRef, workloadIdentity and managedIdentity, or omit credentials"))]
pub struct Credentials {
    /// A service principal that a Secret in this namespace describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_principal_ref: Option<ServicePrincipalRef>,
    /// A `ServiceAccount` in this namespace that is federated with a Microsoft Entra application or a user-assigned identity. Requires no
    /// secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<WorkloadIdentity>,
    /// A managed identity of the operator's nodes or pod, if the operator's administrator allows it for this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_identity: Option<ManagedIdentity>,
}

/// Reference to a Secret in this namespace that contains a service principal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServicePrincipalRef {
    /// Name of the Secret. Its keys: `tenantId`, `clientId`, and either `clientSecret` or `clientCertificate` (PEM: the certificate and its
    /// RSA key, in any order). The operator reads the Secret each time it needs it, so a rotated Secret takes effect immediately.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
        .message("name: must be the name of a Secret in this namespace (lower-case letters, digits, '-' and '.')"))]
    pub name: String,
}

/// Reference to a federated `ServiceAccount` in this namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadIdentity {
    /// Name of the `ServiceAccount`. The subject of the federated credential is `system:serviceaccount:<namespace>:<name>`, its audience
    /// `api://AzureADTokenExchange`. The annotations `azure.workload.identity/client-id` and `azure.workload.identity/tenant-id` of the
    /// `ServiceAccount` identify it in Microsoft Entra ID.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
        .message("serviceAccountName: must be the name of a ServiceAccount in this namespace (lower-case letters, digits, '-' and '.')"))]
    pub service_account_name: String,
}

/// A managed identity of the operator's nodes or pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManagedIdentity {
    /// Client id of a user-assigned identity. Default: the system-assigned identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$')")
        .message("clientId: must be the GUID of the managed identity (its client id, not its object id)"))]
    pub client_id: Option<String>,
}
