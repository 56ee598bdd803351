//! The command that grants what the operator lacks, to copy as it is.

use std::sync::Arc;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::OnceCell;

use crate::controller::call::bounded;
use crate::controller::records::CALL;

/// Writes commands, for whom the operator is to the Kubernetes API. Cheap to clone.
#[derive(Clone)]
pub(super) struct Grants {
    client: Client,
    /// Asked for when the first right is missing.
    subject: Arc<OnceCell<String>>,
}

impl Grants {
    pub(super) fn new(client: Client) -> Self {
        Self { client, subject: Arc::default() }
    }

    /// Lets the operator read this one Secret.
    pub(super) async fn secret(&self, namespace: &str, name: &str) -> String {
        let role = format!("tabular-operator-secret-{name}");
        self.commands(namespace, &role, &format!("--verb=get --resource=secrets --resource-name={name}")).await
    }

    /// Lets the operator read this one `ServiceAccount`, and ask for its tokens. The role has each verb for each resource;
    /// those that are not needed mean nothing: what is created has no name yet, and a token cannot be read.
    pub(super) async fn tokens(&self, namespace: &str, name: &str) -> String {
        let role = format!("tabular-operator-token-{name}");
        let rights = format!("--verb=get,create --resource=serviceaccounts,serviceaccounts/token --resource-name={name}");
        self.commands(namespace, &role, &rights).await
    }

    /// They name no role of the installation, whose names are its administrator's choice.
    async fn commands(&self, namespace: &str, role: &str, rights: &str) -> String {
        let subject = self.subject().await;
        format!(
            "kubectl create role {role} --namespace {namespace} {rights} && kubectl create rolebinding {role} --namespace {namespace} \
             --role={role} {subject}"
        )
    }

    /// The operator, as a flag of kubectl.
    async fn subject(&self) -> String {
        let ask = || async {
            let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
            let review = bounded(CALL, reviews.create(&PostParams::default(), &SelfSubjectReview::default())).await.ok();
            let user = review.and_then(|review| review.status?.user_info?.username);
            user.map(|user| flag(&user)).ok_or(())
        };
        let unknown = || "--serviceaccount=NAMESPACE:NAME, with the namespace and name of the operator's ServiceAccount".to_owned();
        self.subject.get_or_try_init(ask).await.map_or_else(|()| unknown(), Clone::clone)
    }
}

/// How kubectl is told of a user.
pub(super) fn flag(user: &str) -> String {
    let account = user.strip_prefix("system:serviceaccount:").filter(|account| account.split(':').count() == 2);
    account.map_or_else(|| format!("--user='{}'", user.replace('\'', "")), |account| format!("--serviceaccount={account}"))
}
