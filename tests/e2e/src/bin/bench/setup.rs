//! The components of the benchmark, and what each part creates in them.

use std::time::Duration;

use e2e::{Operator, OperatorSettings, SimulatorClient, TestEnvironment, Usage, kubeconfig, rbac};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use tabular_operator::api::ModelRefresh;

use crate::program::Program;
use crate::start::{self, Ready};

pub const SERVER: &str = "asazure://westus.asazure.windows.net/bench";
/// The account of the programs under test.
pub const ACCOUNT: &str = "bench";
const TENANT: &str = "72f988bf-0000-4000-8000-0000000000bb";
const CLIENT: &str = "11111111-0000-4000-8000-0000000000bb";
/// Number of concurrent requests of the benchmark itself.
pub const CONCURRENCY: usize = 64;
/// Maximum duration of any step, also on a busy machine: beyond it the operator has exited.
pub const LONGEST: Duration = Duration::from_mins(15);

/// The running components.
pub struct Bench {
    pub environment: &'static TestEnvironment,
    /// An administrator.
    pub client: Client,
    /// A client with the operator's account.
    pub account: Client,
    settings: OperatorSettings,
}

impl Bench {
    pub async fn start() -> Self {
        let environment = TestEnvironment::get();
        let client = environment.client().await;
        environment.simulator.client().put_application(TENANT, CLIENT, "secret").await;
        let token = rbac::account(&client, ACCOUNT, ACCOUNT, rbac::ROLE, true).await;
        let file = environment.directory().join("bench.kubeconfig");
        kubeconfig::write(&file, &environment.endpoint(), &token, rbac::OPERATORS);
        let account = kubeconfig::client(&file).await;
        let settings = OperatorSettings {
            kubeconfig: file,
            proxy: environment.simulator.proxy().to_owned(),
            authority: environment.simulator.authority().to_owned(),
            arguments: Vec::new(),
            environment: vec![],
            log: environment.directory().join("bench.log"),
            pod: None,
            program: None,
        };
        Self { environment, client, account, settings }
    }

    /// A client of the local Azure.
    pub fn azure(&self) -> SimulatorClient {
        self.environment.simulator.client()
    }

    /// Creates a namespace for each part, with the Secret.
    pub async fn namespace(&self, name: &str) -> Api<ModelRefresh> {
        rbac::make::<Namespace>(&Api::all(self.client.clone()), json!({"metadata": {"name": name}})).await;
        let secret = json!({"metadata": {"name": "sp"}, "stringData": {"tenantId": TENANT, "clientId": CLIENT, "clientSecret": "secret"}});
        rbac::make::<Secret>(&Api::namespaced(self.client.clone(), name), secret).await;
        Api::namespaced(self.client.clone(), name)
    }

    /// The settings of an operator for a namespace, with a Lease of the same name.
    pub fn settings(&self, namespace: &str) -> OperatorSettings {
        let arguments = vec![
            format!("--watch-namespace={namespace}"),
            format!("--lease-namespace={}", rbac::OPERATORS),
            format!("--lease-name={namespace}"),
        ];
        OperatorSettings { arguments, ..self.settings.clone() }
    }

    /// Starts a program for a namespace, and waits until it is ready.
    pub async fn process(&self, program: Program, namespace: &str, arguments: &[&str]) -> (Operator, Ready) {
        let mut settings = self.settings(namespace);
        settings.program = program.path();
        settings.log = self.environment.directory().join(format!("{}.log", program.name()));
        settings.arguments.extend(arguments.iter().map(ToString::to_string));
        start::ready(&settings, self.environment).await
    }

    /// Creates a model for each of `count` resources.
    pub async fn models(&self, prefix: &str, count: usize, settings: impl Fn(usize) -> Value) {
        let azure = self.azure();
        stream::iter(0..count)
            .for_each_concurrent(CONCURRENCY, |index| {
                let mut model = settings(index);
                model["server"] = json!(SERVER);
                model["database"] = json!(format!("{prefix}{index}"));
                let azure = azure.clone();
                async move { azure.put_model(model).await }
            })
            .await;
    }

    /// Creates `count` resources.
    pub async fn create(&self, api: &Api<ModelRefresh>, prefix: &str, count: usize) {
        stream::iter(0..count)
            .for_each_concurrent(CONCURRENCY, |index| async move {
                api.create(&PostParams::default(), &manifest(prefix, index)).await.expect("failed to create a resource");
            })
            .await;
    }
}

/// The resource of an index, on the model of the same index.
pub fn manifest(prefix: &str, index: usize) -> ModelRefresh {
    let spec = json!({
        "model": {"analysisServices": {"server": SERVER, "database": format!("{prefix}{index}")}},
        "credentials": {"servicePrincipalRef": {"name": "sp"}},
        "refresh": {"type": "full"},
    });
    ModelRefresh::new(&format!("{prefix}-{index}"), serde_json::from_value(spec).expect("the manifest is valid"))
}

pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The largest resident set of a process so far, in MiB.
pub fn peak_mib(process: &Operator) -> f64 {
    Usage::of(process.pid()).peak_kib as f64 / 1024.0
}
