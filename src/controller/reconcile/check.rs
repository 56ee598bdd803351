//! A check: reads the credentials and lists the operations of a model, as far as it gets. It changes nothing.

use std::time::Duration;

use super::context::Context;
use super::observe::ResolvedCredentials;
use super::target::ModelTarget;
use crate::api::{Credentials, Model, Reason};
use crate::azure::identity::Identity;
use crate::controller::credentials::CredentialError;
use crate::engine::reconcile::Freshness;
use crate::engine::{Blocker, CheckFailure, CheckReport, Remedy};
use crate::operation::OperationKind;

/// Checks whether the operations of a kind can be listed. When the time ends, the report has what is known until then.
pub(super) async fn check(
    ctx: &Context,
    namespace: &str,
    credentials: ResolvedCredentials,
    (model, kind): (&Model, OperationKind),
    timeout: Duration,
) -> CheckReport {
    let mut report = CheckReport::default();
    let checked = tokio::time::timeout(timeout, steps(ctx, namespace, credentials, (model, kind), &mut report)).await;
    if let Ok(Err(failure)) = checked {
        report.failure = Some(failure);
    }
    report
}

async fn steps(
    ctx: &Context,
    namespace: &str,
    credentials: ResolvedCredentials,
    (model, kind): (&Model, OperationKind),
    report: &mut CheckReport,
) -> Result<(), CheckFailure> {
    let of_spec = |(reason, message)| CheckFailure::Blocked(Blocker { reason, message, remedy: Remedy::SpecChange });
    let target = ModelTarget::of(model, ctx.azure.cloud()).map_err(of_spec)?;
    let credentials = credentials.map_err(CheckFailure::Blocked)?;
    // As a submission would read them. A refusal that is remembered does not count: the user may just have fixed its cause.
    let identity =
        ctx.credential_resolver.resolve(namespace, credentials.as_ref(), Freshness::Fresh).await.map_err(|error| match error {
            CredentialError::Blocker(blocker) => CheckFailure::Blocked(blocker),
            CredentialError::Unavailable(error) => CheckFailure::CallFailed(error),
        })?;
    report.identity = Some(describe(credentials.as_ref(), &identity));
    let client = target.client(&ctx.azure, identity, namespace).map_err(|message| of_spec((Reason::ServerNotInCloud, message)))?;
    client.check(kind, &mut report.model).await.map_err(CheckFailure::CallFailed)
}

/// The identity in words, without any secret.
fn describe(credentials: Option<&Credentials>, identity: &Identity) -> String {
    let Some(Credentials { service_principal_ref, workload_identity, managed_identity }) = credentials else {
        return "the identity of the operator".to_owned();
    };
    match (service_principal_ref, workload_identity, managed_identity) {
        (Some(secret), _, _) => match identity.expires() {
            Some(end) => format!("Secret {}: tenantId, clientId, clientCertificate (valid until {end:.0})", secret.name),
            None => format!("Secret {}: tenantId, clientId, clientSecret", secret.name),
        },
        (None, Some(workload), _) => format!("ServiceAccount {}", workload.service_account_name),
        (None, None, Some(managed)) => match &managed.client_id {
            Some(id) => format!("managed identity {id}"),
            None => "the managed identity of the node".to_owned(),
        },
        (None, None, None) => "the identity of the operator".to_owned(),
    }
}
