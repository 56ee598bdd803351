//! Commands that grant missing permissions to the operator, ready to copy.

use std::sync::Arc;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::OnceCell;

use crate::api::value_digest;
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
        let role = role("secret", name);
        self.commands(namespace, &role, &format!("--verb=get --resource=secrets --resource-name={name}")).await
    }

    /// The commands that allow the operator to read this `ServiceAccount` and request its tokens. The role contains each verb for each
    /// resource. The unnecessary combinations grant nothing: an object to create has no name yet, and a token cannot be read.
    pub(super) async fn tokens(&self, namespace: &str, name: &str) -> String {
        let role = role("token", name);
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

/// The name of a role for one object. It is short, because a message that contains the commands has a limit.
fn role(purpose: &str, name: &str) -> String {
    let is_long = name.len() > MAX_NAME_BYTES;
    let digest = || value_digest(name).chars().skip("sha256:".len()).take(12).collect();
    format!("tabular-operator-{purpose}-{}", if is_long { digest() } else { name.to_owned() })
}

/// The longest name that the name of a role repeats, in bytes.
const MAX_NAME_BYTES: usize = 80;

/// The flag of kubectl for a user.
pub(super) fn flag(user: &str) -> String {
    let account = user.strip_prefix("system:serviceaccount:").filter(|account| account.split(':').count() == 2);
    account.map_or_else(|| format!("--user='{}'", user.replace('\'', "")), |account| format!("--serviceaccount={account}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_of_an_object_with_a_long_name_is_short() {
        assert_eq!(role("secret", "azure"), "tabular-operator-secret-azure");
        let [one, other] = ["a", "b"].map(|letter| role("token", &letter.repeat(253)));
        assert!(one.len() < 40 && one != other, "{one} {other}");
    }
}
