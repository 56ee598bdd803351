//! Commands that grant missing permissions to the operator, ready to copy.

use std::sync::Arc;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::OnceCell;

use crate::controller::cluster::resource_api::REQUEST_TIMEOUT;
use crate::controller::cluster::timeout::with_timeout;

/// Builds the commands for the user that the operator is in the Kubernetes API. Cheap to clone.
#[derive(Clone)]
pub(super) struct RbacHint {
    client: Client,
    /// Requested when the first permission is missing.
    subject: Arc<OnceCell<String>>,
}

impl RbacHint {
    pub(super) fn new(client: Client) -> Self {
        Self { client, subject: Arc::default() }
    }

    /// The commands that allow the operator to read this Secret.
    pub(super) async fn secret(&self, namespace: &str, name: &str) -> String {
        let role = format!("tabular-operator-secret-{name}");
        self.commands(namespace, &role, &format!("--verb=get --resource=secrets --resource-name={name}")).await
    }

    /// The commands that allow the operator to read this `ServiceAccount` and request its tokens. The role contains each verb for each
    /// resource. The unnecessary combinations grant nothing: an object to create has no name yet, and a token cannot be read.
    pub(super) async fn tokens(&self, namespace: &str, name: &str) -> String {
        let role = format!("tabular-operator-token-{name}");
        let rights = format!("--verb=get,create --resource=serviceaccounts,serviceaccounts/token --resource-name={name}");
        self.commands(namespace, &role, &rights).await
    }

    /// The commands create their own role, because the administrator chooses the names of the roles of the installation.
    async fn commands(&self, namespace: &str, role: &str, rights: &str) -> String {
        let subject = self.subject().await;
        format!(
            "kubectl create role {role} --namespace {namespace} {rights} && kubectl create rolebinding {role} --namespace {namespace} \
             --role={role} {subject}"
        )
    }

    /// The user of the operator as a flag of kubectl.
    async fn subject(&self) -> String {
        let fetch = || async {
            let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
            let review = with_timeout(REQUEST_TIMEOUT, reviews.create(&PostParams::default(), &SelfSubjectReview::default())).await.ok();
            let user = review.and_then(|review| review.status?.user_info?.username);
            user.map(|user| flag(&user)).ok_or(())
        };
        let unknown = || "--serviceaccount=NAMESPACE:NAME, with the namespace and name of the operator's ServiceAccount".to_owned();
        self.subject.get_or_try_init(fetch).await.map_or_else(|()| unknown(), Clone::clone)
    }
}

/// The flag of kubectl for a user.
pub(super) fn flag(user: &str) -> String {
    let account = user.strip_prefix("system:serviceaccount:").filter(|account| account.split(':').count() == 2);
    account.map_or_else(|| format!("--user='{}'", user.replace('\'', "")), |account| format!("--serviceaccount={account}"))
}
