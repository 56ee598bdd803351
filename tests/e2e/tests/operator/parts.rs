//! The components of the test library, on which all other tests rely.

use e2e::world::TENANT;
use e2e::{Action, ApiProxy, TestEnvironment, TestSetup, When, World, eventually, kubeconfig};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::json;

#[tokio::test]
async fn world_is_created_and_resources_recorded() {
    let world = World::new("recorded").await;
    world.apply("one", &json!({})).await;
    world.edit("one", &json!({"spec": {"suspend": true}})).await;
    let suspended = world.until("one", "suspension", |object| object.spec["suspend"] == true).await;
    assert_eq!(suspended.metadata.generation, Some(2));
    world.delete("one").await;
    world.until_gone("one").await;
    assert_eq!(world.recorder.of("one").len(), 3);
    world.assert_kstatus();
}

#[tokio::test]
async fn local_azure_is_reachable_and_reports_operations() {
    let world = World::with("azure", TestSetup::with_model(json!({"durationMillis": 50_000}))).await;
    let id = world.start_for_other_client(&json!({"type": "calculate"})).await;
    let operations = world.operations().await;
    assert_eq!((operations.len(), operations[0].operation_id.as_str(), operations[0].ended()), (1, id.as_str(), false));
    world.azure.end(&id, "failed").await;
    assert_eq!(world.operations().await[0].status, "failed");
}

#[tokio::test]
async fn api_proxy_forwards_records_and_injects_faults() {
    let environment = TestEnvironment::get();
    let world = World::new("proxied").await;
    let proxy = ApiProxy::start(&environment.endpoint());
    let token = e2e::rbac::account(&world.client, &format!("{}-more", world.namespace), &world.namespace, e2e::rbac::ROLE, false).await;
    let path = environment.directory().join("proxied.kubeconfig");
    kubeconfig::write(&path, proxy.endpoint(), &token, &world.namespace);
    let client = kubeconfig::client(&path).await;
    let api: Api<tabular_operator::api::ModelRefresh> = Api::namespaced(client.clone(), &world.namespace);
    world.apply("one", &json!({})).await;
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 1);

    // The ServiceAccount's permissions apply here too: the token passes through.
    let maps: Api<ConfigMap> = Api::namespaced(client, &world.namespace);
    let refused = maps.create(&PostParams::default(), &ConfigMap::default()).await.unwrap_err();
    assert!(refused.to_string().contains(&world.namespace), "{refused}");

    let conflict = proxy.inject(0, Action::Respond(409), e2e::RecordedRequest::writes_resource);
    let annotate = || async {
        let change = kube::api::Patch::Merge(json!({"metadata": {"annotations": {"a": "b"}}}));
        api.patch("one", &kube::api::PatchParams::default(), &change).await
    };
    assert!(matches!(annotate().await.unwrap_err(), kube::Error::Api(status) if status.code == 409));
    assert_eq!(conflict.hits(), 1);
    let lost = proxy.inject(0, Action::Drop(When::After), e2e::RecordedRequest::writes_resource);
    annotate().await.unwrap_err();
    lost.wait_until_hit().await;
    world.until("one", "the annotation", |object| object.metadata.annotations.is_some()).await;
    let half = proxy.inject(0, Action::Truncate, |request| request.verb == "get");
    api.get("one").await.unwrap_err();
    assert_eq!(half.hits(), 1);

    let held = proxy.inject(0, Action::Hold(When::Before), |request| request.verb == "get");
    let get = api.get("one");
    let release = async {
        held.wait_until_hit().await;
        held.release();
    };
    let (got, ()) = tokio::join!(get, release);
    got.unwrap();

    let signatures: Vec<String> = proxy.requests().iter().map(e2e::RecordedRequest::signature).collect();
    assert_eq!(signatures[..3], ["list modelrefreshes", "create configmaps", "patch modelrefreshes"]);
    assert!(proxy.requests()[0].received > 100);

    // A request in progress is forgotten, and the next one is recorded.
    let held = proxy.inject(0, Action::Hold(When::Before), |request| request.verb == "get");
    let discard = async {
        held.wait_until_hit().await;
        proxy.discard_requests();
        held.release();
    };
    let (got, ()) = tokio::join!(api.get("one"), discard);
    got.unwrap();
    api.list(&ListParams::default()).await.unwrap();
    let left: Vec<_> = proxy.requests().iter().map(|request| (request.signature(), request.status)).collect();
    assert_eq!(left, [("list modelrefreshes".to_owned(), Some(200))]);
}

#[tokio::test]
async fn audit_log_counts_by_user() {
    let environment = TestEnvironment::get();
    let world = World::new("audited").await;
    world.apply("one", &json!({})).await;
    let config = environment.directory().join(format!("{}.kubeconfig", world.namespace));
    let client = kubeconfig::client(&config).await;
    let api: Api<tabular_operator::api::ModelRefresh> = Api::namespaced(client, &world.namespace);
    assert!(world.writes().is_empty());
    let patch = kube::api::Patch::Merge(json!({"metadata": {"finalizers": ["tabular-operator.dev/operation"]}}));
    api.patch("one", &kube::api::PatchParams::default(), &patch).await.unwrap();
    // The line may follow the response.
    let writes = eventually("the write in the audit log", async || Some(world.writes()).filter(|writes| !writes.is_empty())).await;
    assert_eq!(writes, ["patch modelrefreshes one -> 200"]);
}

#[tokio::test]
async fn local_azure_accepts_service_account_tokens() {
    let world = World::new("federated").await;
    let (issuer, jwks) = world.environment.control_plane.issuer().await;
    world.azure.put_issuer(&issuer, &jwks).await;
    world.azure.put_federated(TENANT, &world.client_id, &issuer, &world.namespace, "refresher").await;
    world.environment.control_plane.kubectl(&["create", "serviceaccount", "refresher", "--namespace", &world.namespace]).await;
    let authority = std::fs::read(world.environment.simulator.authority()).unwrap();
    let http = reqwest::Client::builder()
        .proxy(reqwest::Proxy::https(world.environment.simulator.proxy()).unwrap())
        .tls_certs_only([reqwest::Certificate::from_pem(&authority).unwrap()])
        .build()
        .unwrap();
    let exchange = async |namespace: &str, account: &str, audience: &str| {
        let arguments = ["create", "token", account, "--namespace", namespace, "--audience", audience];
        let token = world.environment.control_plane.kubectl(&arguments).await;
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &world.client_id),
            ("scope", "https%3A%2F%2F*.asazure.windows.net%2F.default"),
            ("client_assertion_type", "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"),
            ("client_assertion", token.trim()),
        ];
        let body = form.map(|(name, value)| format!("{name}={value}")).join("&");
        let request = http.post(format!("https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token"));
        let response = request.header("content-type", "application/x-www-form-urlencoded").body(body).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (status, response) = exchange(&world.namespace, "refresher", "api://AzureADTokenExchange").await;
    assert_eq!(status, 200, "{response}");
    for (namespace, account, audience, code) in [
        ("default", "default", "api://AzureADTokenExchange", "AADSTS700213"),
        (world.namespace.as_str(), "refresher", "https://elsewhere", "AADSTS700212"),
    ] {
        let (status, response) = exchange(namespace, account, audience).await;
        assert!(status == 401 && response.contains(code), "{response}");
    }
}
