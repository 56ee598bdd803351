//! The command that grants what the operator lacks, to copy as it is.

use std::sync::Arc;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::OnceCell;

use crate::controller::call::bounded;
use crate::controller::records::CALL;

/// The roles of `deploy/base/rbac.yaml` that nobody is bound to.
const TOKENS: &str = "tabular-operator-tokens";

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
        let subject = self.subject().await;
        format!(
            "kubectl create role tabular-operator-{name} --namespace {namespace} --verb=get --resource=secrets --resource-name={name} && \
             kubectl create rolebinding tabular-operator-{name} --namespace {namespace} --role=tabular-operator-{name} {subject}"
        )
    }

    /// Lets the operator read the `ServiceAccount`s of a namespace, and ask for their tokens.
    pub(super) async fn tokens(&self, namespace: &str) -> String {
        let subject = self.subject().await;
        format!("kubectl create rolebinding {TOKENS} --namespace {namespace} --clusterrole={TOKENS} {subject}")
    }

    /// The operator, as a flag of kubectl.
    async fn subject(&self) -> String {
        let ask = || async {
            let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
            let review = bounded(CALL, reviews.create(&PostParams::default(), &SelfSubjectReview::default())).await.ok();
            let user = review.and_then(|review| review.status?.user_info?.username);
            user.map(|user| flag(&user)).ok_or(())
        };
        let unknown = || "--serviceaccount=NAMESPACE:NAME, those of the operator's ServiceAccount".to_owned();
        self.subject.get_or_try_init(ask).await.map_or_else(|()| unknown(), Clone::clone)
    }
}

/// How kubectl is told of a user.
pub(super) fn flag(user: &str) -> String {
    let account = user.strip_prefix("system:serviceaccount:").filter(|account| account.split(':').count() == 2);
    account.map_or_else(|| format!("--user='{}'", user.replace('\'', "")), |account| format!("--serviceaccount={account}"))
}
