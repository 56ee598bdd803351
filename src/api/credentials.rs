//! Who the operator is at the service, for one resource.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The identity to call the service with: exactly one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.servicePrincipalRef), has(self.workloadIdentity), has(self.managedIdentity)].filter(x, x).size() == 1")
    .message("set exactly one of servicePrincipalRef, workloadIdentity and managedIdentity, or leave out credentials"))]
pub struct Credentials {
    /// A service principal whose details are in a Secret of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_principal_ref: Option<ServicePrincipalRef>,
    /// A `ServiceAccount` of this namespace that is federated with a Microsoft Entra application or a user-assigned identity:
    /// no secret is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<WorkloadIdentity>,
    /// A managed identity of the operator's nodes or pod, where its administrator allows it for this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_identity: Option<ManagedIdentity>,
}

/// A Secret of this namespace that holds a service principal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServicePrincipalRef {
    /// The Secret's name. Its keys: `tenantId`, `clientId`, and either `clientSecret` or `clientCertificate` (PEM: the
    /// certificate and its RSA key, in any order). The Secret is read when it is needed, so a rotated one serves at once.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
        .message("name is the name of a Secret in this namespace: lower-case letters, digits, '-' and '.'"))]
    pub name: String,
}

/// A federated `ServiceAccount` of this namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadIdentity {
    /// The `ServiceAccount`'s name. The federated credential's subject is
    /// `system:serviceaccount:<namespace>:<name>`, its audience `api://AzureADTokenExchange`. Its annotations `azure.workload.identity/client-id` and
    /// `azure.workload.identity/tenant-id` say who it is in Microsoft Entra ID.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
        .message("serviceAccountName is the name of a ServiceAccount in this namespace: lower-case letters, digits, '-' and '.'"))]
    pub service_account_name: String,
}

/// A managed identity of the operator's nodes or pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManagedIdentity {
    /// The client id of a user-assigned identity; the system-assigned one where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$')")
        .message("clientId is the GUID of the managed identity (its client id, not its object id)"))]
    pub client_id: Option<String>,
}
