//! Every identity, end to end: accepted credentials, messages about missing ones, and forbidden uses.

use std::time::Duration;

use e2e::rbac::{self, make};
use e2e::world::{SECRET, TENANT, condition, merged, run};
use e2e::{AnyObject, Row, TestSetup, World};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use tabular_operator::api::{ConditionStatus, ConditionType, RunState};
use uuid::Uuid;

/// Rechecks happen within seconds; this leaves time for a busy machine.
const SOON: Duration = Duration::from_secs(40);

/// An application's certificate and its key, as PEM.
pub(crate) fn certificate(change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let mut params = CertificateParams::new(vec![]).unwrap();
    change(&mut params);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// A spec with only these credentials.
pub(crate) fn with(credentials: &Value) -> Value {
    json!({"credentials": merged(&json!({"servicePrincipalRef": null}), credentials)})
}

pub(crate) fn federated(account: &str) -> Value {
    with(&json!({"workloadIdentity": {"serviceAccountName": account}}))
}

fn managed(client: &str) -> Value {
    with(&json!({"managedIdentity": {"clientId": client}}))
}

/// No credentials: the operator's own identity.
fn own() -> Value {
    json!({"credentials": null})
}

pub(crate) async fn put_account(world: &World, name: &str, client: &str) {
    let annotations = json!({"azure.workload.identity/client-id": client, "azure.workload.identity/tenant-id": TENANT});
    put_account_with(world, name, annotations).await;
}

async fn put_account_with(world: &World, name: &str, annotations: Value) {
    let accounts: Api<ServiceAccount> = Api::namespaced(world.client.clone(), &world.namespace);
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "annotations": annotations}});
    accounts.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(account)).await.unwrap();
}

/// Grants the operator tokens for a namespace's accounts, as in `deploy/samples`.
pub(crate) async fn grant_tokens(world: &World, namespace: &str) {
    let binding = json!({
        "metadata": {"name": "tabular-operator-tokens"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "tabular-operator-tokens"},
        "subjects": [{"kind": "ServiceAccount", "name": world.namespace, "namespace": rbac::OPERATORS}],
    });
    make::<RoleBinding>(&Api::namespaced(world.client.clone(), namespace), binding).await;
}

/// Registers a `ServiceAccount` of the world as a federated credential of the application.
pub(crate) async fn federate(world: &World, account: &str) {
    let (issuer, jwks) = world.environment.control_plane.issuer().await;
    world.azure.put_issuer(&issuer, &jwks).await;
    world.azure.put_federated(TENANT, &world.client_id, &issuer, &world.namespace, account).await;
}

/// The requests of an application.
pub(crate) async fn rows(world: &World, client: &str) -> Vec<Row> {
    world.azure.ledger_after(0).await.into_iter().filter(|row| row.client_id.as_deref() == Some(client)).collect()
}

/// The credential kinds in the successful token requests of the application.
async fn credential_kinds(world: &World) -> Vec<String> {
    let granted = |row: &Row| matches!(row.route.as_str(), "token" | "imds") && row.status == Some(200);
    let mut credential_kinds: Vec<String> =
        rows(world, &world.client_id).await.into_iter().filter(granted).filter_map(|row| row.credential).collect();
    credential_kinds.dedup();
    credential_kinds
}

async fn stalled(world: &World, reason: &str) -> String {
    let stalled = world.until_reason("orders", "Stalled", reason).await;
    assert_eq!(condition(&stalled, ConditionType::Ready), Some(ConditionStatus::False));
    message(&stalled)
}

fn message(object: &AnyObject) -> String {
    let conditions = &object.status.as_ref().unwrap().conditions;
    conditions.iter().find(|condition| condition.r#type == ConditionType::Ready).unwrap().message.clone()
}

/// Executes the commands at the end of a message.
async fn run_commands(world: &World, message: &str) {
    let (_, commands) = message.split_once("of the namespace run: ").unwrap_or_else(|| panic!("no command: {message}"));
    for command in commands.split(" && ") {
        let words: Vec<&str> = command.split_whitespace().collect();
        assert_eq!(words[0], "kubectl");
        world.environment.control_plane.kubectl(&words[1..]).await;
    }
}

async fn succeeds(world: &World) {
    world.until_state_within(SOON, "orders", RunState::Succeeded).await;
    assert_eq!(world.operations().await.len(), 1);
    world.assert_kstatus();
}

#[tokio::test]
async fn certificate_authenticates() {
    let (world, _operator) = World::running("certificate", TestSetup::default()).await;
    let (certificate, key) = certificate(|_| {});
    world.azure.put_certificates(TENANT, &world.client_id, &[&certificate]).await;
    let pem = format!("{key}{certificate}");
    world.put_secret_keys(json!({"tenantId": TENANT, "clientId": world.client_id, "clientCertificate": pem})).await;
    world.apply("orders", &json!({})).await;
    succeeds(&world).await;
    assert_eq!(credential_kinds(&world).await, ["certificate"]);
}

#[tokio::test]
async fn secret_with_windows_line_end_authenticates() {
    let (world, _operator) = World::running("byte-order-mark", TestSetup::default()).await;
    let written = |value: &str| format!("\u{feff}{value}\r\n");
    let keys = json!({"tenantId": written(TENANT), "clientId": written(&world.client_id), "clientSecret": written("right")});
    world.put_secret_keys(keys).await;
    world.apply("orders", &json!({})).await;
    succeeds(&world).await;
}

#[tokio::test]
async fn invalid_certificate_costs_no_call() {
    let (world, _operator) = World::running("bad-certificate", TestSetup::default()).await;
    let (good, key) = certificate(|_| {});
    let (other, _) = certificate(|_| {});
    let (expired, expired_key) = certificate(|params| params.not_after = rcgen::date_time_ymd(2024, 1, 1));
    let ids = json!({"tenantId": TENANT, "clientId": world.client_id});
    let rows = [
        (json!({"clientCertificate": good}), "contains no private key"),
        (
            json!({"clientCertificate": good.replace("CERTIFICATE", "PRIVATE KEY")}),
            "contains no private key: the block contains a certificate",
        ),
        (json!({"clientCertificate": format!("{good}{key}").replace('\n', " ")}), "is PEM on one line"),
        (json!({"clientCertificate": format!("{other}{key}")}), "belongs to none of its certificates"),
        (json!({"clientCertificate": format!("{expired}{expired_key}")}), "expired on 2024-01-01"),
        (json!({"clientCertificate": format!("{good}{key}"), "clientSecret": "right"}), "has both"),
        (json!({"clientCertificate": "garbage"}), "is not PEM"),
    ];
    for (index, (keys, expected)) in rows.iter().enumerate() {
        world.put_secret_keys(merged(&ids, keys)).await;
        if index == 0 {
            world.apply("orders", &json!({})).await;
        }
        let is_reported = |object: &AnyObject| {
            object.status.is_some() && condition(object, ConditionType::Stalled).is_some() && message(object).contains(expected)
        };
        world.until("orders", expected, is_reported).await;
    }
    assert!(rows_of_entra(&world).await.is_empty());
    // Only the last case sends a request to Entra ID, which does not know this certificate.
    world.put_secret_keys(merged(&ids, &json!({"clientCertificate": format!("{good}{key}")}))).await;
    let refused = stalled(&world, "CredentialsRefused").await;
    assert!(refused.contains("upload it, without its key, to the application"), "{refused}");
}

async fn rows_of_entra(world: &World) -> Vec<Row> {
    rows(world, &world.client_id).await.into_iter().filter(|row| row.route == "token").collect()
}

#[tokio::test]
async fn reported_command_grants_access_to_secret() {
    let (world, _operator) = World::running("no-right", TestSetup { without_secrets: true, ..TestSetup::default() }).await;
    world.apply("orders", &json!({})).await;
    let text = stalled(&world, "SecretForbidden").await;
    run_commands(&world, &text).await;
    succeeds(&world).await;
    // Only this Secret.
    assert_eq!([may(&world, "get secrets/aas-sp").await, may(&world, "get secrets/other").await], [true, false]);
}

/// Whether the operator has this permission.
async fn may(world: &World, what: &str) -> bool {
    let user = format!("--as=system:serviceaccount:{}:{}", rbac::OPERATORS, world.namespace);
    let arguments: Vec<&str> =
        ["auth", "can-i"].into_iter().chain(what.split(' ')).chain(["--namespace", &world.namespace, &user]).collect();
    // kubectl exits with 1 if the permission is missing.
    let output = world.environment.control_plane.kubectl_with(&arguments, "").await;
    String::from_utf8_lossy(&output.stdout).trim() == "yes"
}

#[tokio::test]
async fn reported_commands_set_up_federated_account() {
    let (world, _operator) = World::running("workload", TestSetup::default()).await;
    federate(&world, "refresher").await;
    world.apply("orders", &federated("refresher")).await;
    let text = stalled(&world, "ServiceAccountForbidden").await;
    assert!(text.contains("not allowed to read ServiceAccount refresher"), "{text}");
    // Permission to read it is not sufficient.
    let role = json!({"metadata": {"name": "read"}, "rules": [{"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["get"]}]});
    make::<Role>(&Api::namespaced(world.client.clone(), &world.namespace), role).await;
    let binding = json!({
        "metadata": {"name": "read"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "read"},
        "subjects": [{"kind": "ServiceAccount", "name": world.namespace, "namespace": rbac::OPERATORS}],
    });
    make::<RoleBinding>(&Api::namespaced(world.client.clone(), &world.namespace), binding).await;
    let text = stalled(&world, "ServiceAccountNotFound").await;
    assert!(text.contains("azure.workload.identity/client-id"), "{text}");
    put_account_with(&world, "refresher", json!({"azure.workload.identity/client-id": world.client_id})).await;
    let text = stalled(&world, "ServiceAccountInvalid").await;
    assert!(text.contains("has no annotation azure.workload.identity/tenant-id"), "{text}");
    put_account(&world, "refresher", &world.client_id).await;
    let is_reported =
        |object: &AnyObject| object.status.is_some() && message(object).contains("not allowed to request a token of ServiceAccount");
    let text = message(&world.until("orders", "the message about the missing permission", is_reported).await);
    assert!(rows_of_entra(&world).await.is_empty());
    run_commands(&world, &text).await;
    succeeds(&world).await;
    assert_eq!(credential_kinds(&world).await, ["federated"]);
    // Only for this account.
    let token = |name: &str| format!("create serviceaccounts/{name} --subresource=token");
    assert_eq!([may(&world, &token("refresher")).await, may(&world, &token("default")).await], [true, false]);
    assert!(!may(&world, "create serviceaccounts").await);
}

#[tokio::test]
async fn untrusted_account_is_reported_with_registration() {
    let (world, _operator) = World::running("untrusted", TestSetup::default()).await;
    grant_tokens(&world, &world.namespace).await;
    federate(&world, "other-account").await;
    put_account(&world, "refresher", &world.client_id).await;
    world.apply("orders", &federated("refresher")).await;
    let text = stalled(&world, "CredentialsRefused").await;
    let subject = format!("subject system:serviceaccount:{}:refresher", world.namespace);
    for part in ["issuer https://kubernetes.default.svc", &subject, "audience api://AzureADTokenExchange"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(world.operations().await.len(), 0);
}

#[tokio::test]
async fn managed_identity_serves_listed_namespaces() {
    let world = World::new("managed").await;
    let mut settings = world.operator_settings().clone();
    settings.arguments.push(format!("--operator-identity-namespace={}", world.namespace));
    let mut operator = e2e::Operator::start(&settings, world.environment.guard());
    operator.ready().await;
    world.apply("orders", &managed(&world.client_id)).await;
    let text = stalled(&world, "CredentialsRefused").await;
    assert!(text.contains("no managed identity with the client id"), "{text}");
    world.delete("orders").await;
    world.until_gone("orders").await;

    // Another id is another identity. The error of the first does not delay it.
    let other = Uuid::new_v4().to_string();
    world.azure.put_managed_identity(TENANT, &other).await;
    world.apply("other", &managed(&other)).await;
    world.until_state_within(SOON, "other", RunState::Succeeded).await;
    let rows = rows(&world, &other).await;
    assert!(rows.iter().any(|row| row.route == "imds" && row.host == "169.254.169.254"), "{rows:?}");
    assert!(operator.metrics().await.contains("managed-identity"));
}

#[tokio::test]
async fn operator_identity_is_refused_in_unlisted_namespace() {
    let setup = TestSetup::with_flags(&["--operator-identity-namespace=elsewhere"]);
    let (world, _operator) = World::running("not-allowed", setup).await;
    world.azure.put_managed_identity(TENANT, &world.client_id).await;
    for (name, spec) in [("orders", own()), ("managed", managed(&world.client_id))] {
        world.apply(name, &spec).await;
        let refused = world.until_reason(name, "Stalled", "IdentityNotAllowed").await;
        assert!(message(&refused).contains(&format!("--operator-identity-namespace {}", world.namespace)), "{}", message(&refused));
    }
    // The settings decide this, without a wait.
    assert_eq!(rows(&world, &world.client_id).await.len(), 0);
    world.apply("orders", &with(&json!({"servicePrincipalRef": {"name": SECRET}}))).await;
    world.until_state_within(SOON, "orders", RunState::Succeeded).await;
    world.assert_kstatus();
}

/// A world whose operator has its own identity and may use it for this namespace.
async fn with_own(name: &str, environment: &[(&str, &str)]) -> (World, e2e::Operator) {
    let world = World::new(name).await;
    let mut settings = world.operator_settings().clone();
    settings.arguments.push(format!("--operator-identity-namespace={}", world.namespace));
    // No request may be sent to this host.
    settings.environment.push(("AZURE_AUTHORITY_HOST".to_owned(), "https://evil.example.com".to_owned()));
    let variables = environment.iter().map(|(name, value)| ((*name).to_owned(), value.replace("CLIENT", &world.client_id)));
    settings.environment.extend(variables);
    let mut operator = e2e::Operator::start(&settings, world.environment.guard());
    operator.ready().await;
    world.apply("orders", &own()).await;
    (world, operator)
}

const IDS: [(&str, &str); 2] = [("AZURE_TENANT_ID", TENANT), ("AZURE_CLIENT_ID", "CLIENT")];

#[tokio::test]
async fn operator_identity_by_secret_authenticates() {
    let (world, mut operator) = with_own("own-secret", &[IDS[0], IDS[1], ("AZURE_CLIENT_SECRET", "right")]).await;
    succeeds(&world).await;
    assert_eq!(credential_kinds(&world).await, ["secret"]);
    assert!(operator.metrics().await.contains("identity=\"operator\""));
    let asked = world.azure.ledger_after(0).await;
    assert!(!asked.iter().any(|row| row.host.contains("evil")), "AZURE_AUTHORITY_HOST was used");
}

#[tokio::test]
async fn operator_identity_by_certificate_authenticates() {
    let (certificate, key) = certificate(|_| {});
    let path = e2e::TestEnvironment::get().directory().join("own.pem");
    std::fs::write(&path, format!("{certificate}{key}")).unwrap();
    let path = path.to_string_lossy();
    let (world, _operator) = with_own("own-certificate", &[IDS[0], IDS[1], ("AZURE_CLIENT_CERTIFICATE_PATH", &path)]).await;
    // Not registered until now. It is retried automatically after the source of the credential changes.
    world.azure.put_certificates(TENANT, &world.client_id, &[&certificate]).await;
    world.until_state_within(Duration::from_secs(90), "orders", RunState::Succeeded).await;
    assert_eq!(credential_kinds(&world).await, ["certificate"]);
}

#[tokio::test]
async fn operator_token_file_is_reread() {
    let path = e2e::TestEnvironment::get().directory().join("own.token");
    let shown = path.to_string_lossy().into_owned();
    let (world, _operator) = with_own("own-federated", &[IDS[0], IDS[1], ("AZURE_FEDERATED_TOKEN_FILE", &shown)]).await;
    let waiting = world.until_reason("orders", "Ready", "Retrying").await;
    assert!(message(&waiting).contains("AZURE_FEDERATED_TOKEN_FILE"), "{}", message(&waiting));
    assert!(!message(&waiting).contains(&shown));
    federate(&world, "operator").await;
    put_account_with(&world, "operator", json!({})).await;
    let accounts: Api<ServiceAccount> = Api::namespaced(world.client.clone(), &world.namespace);
    let audiences = vec!["api://AzureADTokenExchange".to_owned()];
    let request = TokenRequest { spec: TokenRequestSpec { audiences, ..TokenRequestSpec::default() }, ..TokenRequest::default() };
    let token = accounts.create_token_request("operator", &PostParams::default(), &request).await.unwrap().status.unwrap().token;
    std::fs::write(&path, token).unwrap();
    world.until_state_within(Duration::from_mins(1), "orders", RunState::Succeeded).await;
    assert_eq!(credential_kinds(&world).await, ["federated"]);
}

#[tokio::test]
async fn operator_identity_defaults_to_managed_identity() {
    let world = World::new("own-managed").await;
    world.azure.put_managed_identity(TENANT, &world.client_id).await;
    let mut settings = world.operator_settings().clone();
    settings.arguments.push(format!("--operator-identity-namespace={}", world.namespace));
    settings.environment.push(("AZURE_CLIENT_ID".to_owned(), world.client_id.clone()));
    let mut operator = e2e::Operator::start(&settings, world.environment.guard());
    operator.ready().await;
    world.apply("orders", &own()).await;
    succeeds(&world).await;
    assert_eq!(credential_kinds(&world).await, ["managed"]);
}

#[tokio::test]
async fn incomplete_identity_environment_is_reported() {
    let (world, _operator) = with_own("own-half", &[IDS[1], ("AZURE_CLIENT_SECRET", "right")]).await;
    let text = stalled(&world, "OperatorIdentityInvalid").await;
    assert!(text.contains("AZURE_TENANT_ID is not set: AZURE_CLIENT_SECRET requires it"), "{text}");
    assert_eq!(run(&world.until_reason("orders", "Stalled", "OperatorIdentityInvalid").await).operation_id, None);
}
