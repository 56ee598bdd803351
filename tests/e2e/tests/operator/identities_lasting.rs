//! Identities over time and in combination: rotation, expiry, an unavailable identity provider, other tenants, other clouds, and the
//! absence of secrets in all output.

use std::time::Duration;

use e2e::rbac::make;
use e2e::world::{SECRET, TENANT, merged, run};
use e2e::{Operator, TestSetup, World};
use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tabular_operator::api::RunState;
use uuid::Uuid;

use crate::identities::{certificate, federate, federated, grant_tokens, put_account, rows, with};

/// The duration of a run with an event in its middle.
const LONG: Duration = Duration::from_mins(1);

fn slow(millis: u64) -> TestSetup {
    TestSetup::with_model(json!({"durationMillis": millis}))
}

/// Sets a token lifetime shorter than a run.
async fn short_lived(world: &World, more: &Value) {
    let registration = json!({"tenantId": TENANT, "clientId": world.client_id, "tokenLifetimeSeconds": 4});
    world.azure.put_registration(merged(&registration, more)).await;
}

async fn tokens(world: &World) -> usize {
    rows(world, &world.client_id).await.iter().filter(|row| row.route == "token" && row.status == Some(200)).count()
}

async fn ends_well(world: &World) {
    world.until_state_within(LONG, "orders", RunState::Succeeded).await;
    assert_eq!(world.operations().await.len(), 1);
    world.assert_kstatus();
}

#[tokio::test]
async fn rotated_certificate_and_expired_tokens_during_run() {
    let (world, _operator) = World::running("rotation", slow(14_000)).await;
    let (old, old_key) = certificate(|_| {});
    let (new, new_key) = certificate(|_| {});
    let keys = |pem: String| json!({"tenantId": TENANT, "clientId": world.client_id, "clientCertificate": pem});
    short_lived(&world, &json!({"certificates": [old]})).await;
    world.put_secret_keys(keys(format!("{old}{old_key}"))).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;
    // The new one is registered, the old one revoked, and the Secret changed last, in the order of a careless administrator.
    short_lived(&world, &json!({"certificates": [new]})).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.put_secret_keys(keys(format!("{new}{new_key}"))).await;
    ends_well(&world).await;
    assert!(tokens(&world).await >= 2);
}

#[tokio::test]
async fn account_changes_application_during_run() {
    let (world, _operator) = World::running("annotation", slow(12_000)).await;
    grant_tokens(&world, &world.namespace).await;
    federate(&world, "refresher").await;
    put_account(&world, "refresher", &world.client_id).await;
    world.apply("orders", &federated("refresher")).await;
    world.until_state("orders", RunState::Running).await;
    let next = Uuid::new_v4().to_string();
    let (issuer, _) = world.environment.control_plane.issuer().await;
    world.azure.put_federated(TENANT, &next, &issuer, &world.namespace, "refresher").await;
    put_account(&world, "refresher", &next).await;
    ends_well(&world).await;
    world.annotate("orders", "tabular-operator.dev/run-requested-at", Some("again")).await;
    world.until_run("orders", 2, RunState::Running).await;
    assert!(rows(&world, &next).await.iter().any(|row| row.credential.as_deref() == Some("federated")));
}

#[tokio::test]
async fn identity_provider_outage_beyond_token_lifetime() {
    let (world, _operator) = World::running("entra-away", slow(10_000)).await;
    grant_tokens(&world, &world.namespace).await;
    let (issuer, jwks) = world.environment.control_plane.issuer().await;
    world.azure.put_issuer(&issuer, &jwks).await;
    let subject = format!("system:serviceaccount:{}:refresher", world.namespace);
    short_lived(&world, &json!({"federatedCredentials": [{"issuer": issuer, "subject": subject}]})).await;
    put_account(&world, "refresher", &world.client_id).await;
    world.apply("orders", &federated("refresher")).await;
    world.until_state("orders", RunState::Running).await;
    let down = json!({
        "match": {"path": "*/oauth2/v2.0/token", "clientId": world.client_id}, "times": 1000,
        "action": {"status": {"code": 503, "body": "<html>down</html>"}},
    });
    let down = world.azure.fault(down).await;
    down.has_hit(3).await;
    let running = world.until_state("orders", RunState::Running).await;
    assert!(run(&running).operation_id.is_some());
    down.remove().await;
    ends_well(&world).await;
}

#[tokio::test]
async fn cached_token_of_machine_is_renewed_before_expiry() {
    let world = World::with("machine-cache", slow(40_000)).await;
    let mut settings = world.operator_settings().clone();
    settings.arguments.push(format!("--operator-identity-namespace={}", world.namespace));
    let mut operator = Operator::start(&settings, world.environment.guard());
    operator.ready().await;
    // Its `expires_in` is an hour, of which 30 seconds are left.
    let age = json!({"tokenLifetimeSeconds": 3_600, "tokenAgeSeconds": 3_570});
    world.azure.put_managed(merged(&json!({"tenantId": TENANT, "clientId": world.client_id}), &age)).await;
    world.apply("orders", &with(&json!({"managedIdentity": {"clientId": world.client_id}}))).await;
    ends_well(&world).await;
    let rows = rows(&world, &world.client_id).await;
    let requested = rows.iter().filter(|row| row.route == "imds").count();
    assert!(requested >= 2 && rows.iter().all(|row| row.status != Some(401)), "{rows:?}");
}

#[tokio::test]
async fn tenant_cannot_use_identity_of_another() {
    // Two namespaces, and one operator that could read both completely.
    let theirs = World::new("tenant-b").await;
    let world = World::with("tenant-a", TestSetup { everywhere: true, ..TestSetup::default() }).await;
    let mut settings = world.operator_settings().clone();
    settings.arguments.push(format!("--watch-namespace={}", theirs.namespace));
    settings.arguments.push(format!("--operator-identity-namespace={}", world.namespace));
    settings.environment.extend(
        [("AZURE_TENANT_ID", TENANT), ("AZURE_CLIENT_ID", &world.client_id), ("AZURE_CLIENT_SECRET", "right")]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let mut operator = Operator::start(&settings, world.environment.guard());
    operator.ready().await;
    for namespace in [&world.namespace, &theirs.namespace] {
        grant_tokens(&world, namespace).await;
    }
    let application = Uuid::new_v4().to_string();
    let (issuer, jwks) = world.environment.control_plane.issuer().await;
    world.azure.put_issuer(&issuer, &jwks).await;
    world.azure.put_federated(TENANT, &application, &issuer, &world.namespace, "refresher").await;
    put_account(&world, "refresher", &application).await;
    // Each has worked for its owner, so its tokens are cached.
    for (name, spec) in [("secret", json!({})), ("account", federated("refresher")), ("own", json!({"credentials": null}))] {
        let database = world.put_database(name, &json!({"durationMillis": 300})).await;
        world.apply(name, &merged(&database, &spec)).await;
        world.until_state_within(LONG, name, RunState::Succeeded).await;
    }

    theirs.secrets().delete(SECRET, &DeleteParams::default()).await.unwrap();
    theirs.apply("secret", &json!({})).await;
    theirs.until_reason("secret", "Stalled", "SecretNotFound").await;
    theirs.apply("own", &json!({"credentials": null})).await;
    theirs.until_reason("own", "Stalled", "IdentityNotAllowed").await;
    theirs.apply("managed", &with(&json!({"managedIdentity": {}}))).await;
    theirs.until_reason("managed", "Stalled", "IdentityNotAllowed").await;
    theirs.apply("account", &federated("refresher")).await;
    theirs.until_reason("account", "Stalled", "ServiceAccountNotFound").await;
    // The same name and annotations do not share an identity.
    put_account(&theirs, "refresher", &application).await;
    let refused = theirs.until_reason("account", "Stalled", "CredentialsRefused").await;
    assert!(run(&refused).message.contains(&format!("system:serviceaccount:{}:refresher", theirs.namespace)), "{}", run(&refused).message);
    assert!(theirs.operations().await.is_empty());
}

#[tokio::test]
async fn trace_log_contains_no_secret() {
    let levels = "trace,kube=trace,kube_client=trace,reqwest=trace,azure_core=trace,azure_identity=trace,hyper=trace,h2=trace,tower=trace";
    let setup = TestSetup { arguments: vec![format!("--log-level={levels}")], ..TestSetup::default() };
    let (world, mut operator) = World::running("planted", setup).await;
    let planted = "planted-secret-of-an-application";
    world.azure.put_application(TENANT, &world.client_id, planted).await;
    world.put_secret(planted).await;
    world.apply("secret", &world.put_database("One", &json!({"durationMillis": 300})).await).await;
    world.until_state_within(LONG, "secret", RunState::Succeeded).await;

    let (certificate, key) = certificate(|_| {});
    world.azure.put_certificates(TENANT, &world.client_id, &[&certificate]).await;
    // Separate Secrets: a recently read one would still be cached.
    for (name, pem) in [("certified", format!("{certificate}{key}")), ("broken", key.clone())] {
        let keys = json!({"tenantId": TENANT, "clientId": world.client_id, "clientCertificate": pem});
        make::<Secret>(&world.secrets(), json!({"metadata": {"name": name}, "stringData": keys})).await;
    }
    let of = |name: &str| json!({"credentials": {"servicePrincipalRef": {"name": name}}});
    let database = world.put_database("Two", &json!({"durationMillis": 300})).await;
    world.apply("certificate", &merged(&database, &of("certified"))).await;
    world.until_state_within(LONG, "certificate", RunState::Succeeded).await;
    world.apply("broken", &of("broken")).await;
    world.until_reason("broken", "Stalled", "SecretInvalid").await;

    grant_tokens(&world, &world.namespace).await;
    federate(&world, "refresher").await;
    put_account(&world, "refresher", &world.client_id).await;
    let database = world.put_database("Three", &json!({"durationMillis": 300})).await;
    world.apply("account", &merged(&database, &federated("refresher"))).await;
    world.until_state_within(LONG, "account", RunState::Succeeded).await;

    let mut seen = operator.log() + &operator.metrics().await;
    for version in world.recorder.all() {
        seen += &serde_json::to_string(&version.object).unwrap();
    }
    for name in ["secret", "certificate", "broken", "account"] {
        seen += &world.events(name).await.join("\n");
    }
    assert!(seen.contains("\"level\":\"TRACE\"") || seen.contains("\"level\":\"DEBUG\""), "the log is not at its lowest level");
    // The common prefix of tokens and assertions. Each line of a key is unique.
    let lines = key.lines().filter(|line| !line.starts_with("-----") && line.len() > 20);
    for secret in ["eyJ", planted, "client_assertion", "client_secret"].into_iter().chain(lines) {
        let at = seen.find(secret);
        assert!(
            at.is_none(),
            "the output contains {secret}: …{}…",
            at.map(|at| seen[at.saturating_sub(300)..].chars().take(600).collect::<String>()).unwrap()
        );
    }
}
