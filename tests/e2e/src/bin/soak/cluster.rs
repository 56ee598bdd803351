//! The components, and requests to the API server that are repeated while it does not respond.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{iter, process};

use e2e::kubeconfig::{self, Endpoint};
use e2e::{AnyObject, Kind, OperatorSettings, SimulatorClient, TestEnvironment, rbac};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

/// The namespace of the resources, and the name of the operators' account and Lease.
pub const NAMESPACE: &str = "soak";
/// Number of applications, each with its Secret.
pub const IDENTITIES: usize = 10;
const TENANT: &str = "72f988bf-0000-4000-8000-0000000000cc";
/// A token is renewed several times in each part.
const TOKEN_SECONDS: u32 = 30;
/// Maximum duration of a request, with its repetitions: far longer than a restart of the API server.
const LIMIT: Duration = Duration::from_mins(3);
/// The pause before a repetition.
const PAUSE: Duration = Duration::from_millis(200);
/// Long enough that a leader keeps its Lease during a restart of the API server on a busy machine, and short enough to wait for its expiry.
const LEASE: &str = "--lease-duration=45s";

/// The running components.
pub struct Cluster {
    pub environment: &'static TestEnvironment,
    pub client: Client,
    pub azure: SimulatorClient,
    token: String,
}

impl Cluster {
    pub async fn start() -> Self {
        let environment: &'static TestEnvironment = Box::leak(Box::new(TestEnvironment::start_at(free_port())));
        environment.install().await;
        let client = environment.client().await;
        rbac::make::<Namespace>(&Api::all(client.clone()), json!({"metadata": {"name": NAMESPACE}})).await;
        let token = rbac::account(&client, NAMESPACE, NAMESPACE, rbac::ROLE, false).await;
        let cluster = Self { environment, client, azure: environment.simulator.client(), token };
        for identity in 0..IDENTITIES {
            cluster.put_application(identity, "0").await;
            cluster.put_secret(identity, "0").await;
        }
        cluster
    }

    /// The settings of an operator that reaches the API server at this endpoint, and its metrics address.
    pub fn operator(&self, name: &str, endpoint: &Endpoint) -> (OperatorSettings, String) {
        let file = |suffix: &str| self.environment.directory().join(format!("{name}.{suffix}"));
        kubeconfig::write(&file("kubeconfig"), endpoint, &self.token, NAMESPACE);
        let metrics = format!("127.0.0.1:{}", free_port());
        let settings = OperatorSettings {
            kubeconfig: file("kubeconfig"),
            proxy: self.environment.simulator.proxy().to_owned(),
            authority: self.environment.simulator.authority().to_owned(),
            arguments: vec![
                format!("--watch-namespace={NAMESPACE}"),
                format!("--lease-namespace={}", rbac::OPERATORS),
                format!("--lease-name={NAMESPACE}"),
                format!("--metrics-address={metrics}"),
                "--health-address=127.0.0.1:0".to_owned(),
                "--poll-min=500ms".to_owned(),
                "--poll-max=2s".to_owned(),
                LEASE.to_owned(),
            ],
            environment: vec![],
            log: file("log"),
            pod: None,
            program: None,
        };
        (settings, metrics)
    }

    /// Sets the client secret of an application; tokens stay valid.
    pub async fn put_application(&self, identity: usize, secret: &str) {
        let (client, seconds) = (client_id(identity), TOKEN_SECONDS);
        let body = json!({"tenantId": TENANT, "clientId": client, "clientSecret": secret, "tokenLifetimeSeconds": seconds});
        self.azure.put_registration(body).await;
    }

    /// Sets the client secret in the Secret of an application.
    pub async fn put_secret(&self, identity: usize, secret: &str) {
        let name = secret_name(identity);
        let keys = json!({"tenantId": TENANT, "clientId": client_id(identity), "clientSecret": secret});
        let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": keys});
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), NAMESPACE);
        let (apply, patch) = (PatchParams::apply("soak").force(), Patch::Apply(&object));
        insisted(|| secrets.patch(&name, &apply, &patch)).await.expect("a Secret can be applied");
    }

    pub fn api(&self, kind: Kind) -> Api<AnyObject> {
        kind.api(&self.client, NAMESPACE)
    }

    /// Creates or changes a resource.
    pub async fn apply(&self, kind: Kind, name: &str, spec: &Value) {
        let manifest = json!({"apiVersion": Kind::api_version(), "kind": kind.name(), "metadata": {"name": name}, "spec": spec});
        let (api, apply, patch) = (self.api(kind), PatchParams::apply("soak").force(), Patch::Apply(&manifest));
        insisted(|| api.patch(name, &apply, &patch)).await.expect("a resource can be applied");
    }

    /// Changes a resource, if it exists.
    pub async fn edit(&self, kind: Kind, name: &str, patch: &Value) {
        let (api, merge, patch) = (self.api(kind), PatchParams::default(), Patch::Merge(patch));
        insisted(|| api.patch(name, &merge, &patch)).await;
    }

    /// Sets an annotation of a resource, if it exists.
    pub async fn annotate(&self, kind: Kind, name: &str, annotation: &str, value: &str) {
        self.edit(kind, name, &json!({"metadata": {"annotations": {annotation: value}}})).await;
    }

    /// Requests the deletion of a resource.
    pub async fn delete(&self, kind: Kind, name: &str) {
        let (api, delete) = (self.api(kind), DeleteParams::default());
        insisted(|| api.delete(name, &delete)).await;
    }

    /// Restarts the API server and its storage.
    pub async fn restart(&self) {
        let control_plane = &self.environment.control_plane;
        tokio::task::spawn_blocking(|| control_plane.restart()).await.expect("the API server restarts");
    }

    /// Removes what the components have recorded so far.
    pub fn discard_records(&self) {
        self.environment.control_plane.audit().clear();
    }
}

/// The result of a request, which is repeated until the API server handles it; `None` if the object does not exist.
async fn insisted<T, F: Future<Output = kube::Result<T>>>(request: impl Fn() -> F) -> Option<T> {
    let began = Instant::now();
    loop {
        match request().await {
            Ok(result) => return Some(result),
            Err(kube::Error::Api(status)) if status.code == 404 => return None,
            Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => {
                panic!("the API server refused a request: {status:?}")
            }
            Err(error) => assert!(began.elapsed() < LIMIT, "the API server does not respond: {error}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The name of the Secret of an application.
pub fn secret_name(identity: usize) -> String {
    format!("sp-{identity}")
}

fn client_id(identity: usize) -> String {
    format!("11111111-0000-4000-8000-0000000001{identity:02}")
}

/// A port below those that the kernel assigns, so that no other process gets it during a restart. Each call returns another one.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = || 20_000 + u16::try_from((process::id() + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000).expect("it is below 10,000");
    let free = iter::repeat_with(next).take(10_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.expect("loopback has a free port")
}
