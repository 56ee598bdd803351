//! The environment of one test: a namespace, a model, an application with its Secret, and operators.

mod azure;
mod resources;
mod waits;

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use serde_json::{Value, json};
use uuid::Uuid;

pub use self::azure::{LASTING_MILLIS, first_lasts};
use crate::operator::{self, Operator, OperatorSettings};
use crate::rbac::{self, make};
pub use crate::read::{condition, merged, run, run_state, status};
use crate::{ApiProxy, DEADLINE, Recorder, SimulatorClient, TestEnvironment, kubeconfig};

/// The tenant of all applications.
pub const TENANT: &str = "72f988bf-0000-4000-8000-0000000000aa";
/// The name of each world's Secret.
pub const SECRET: &str = "aas-sp";

/// Deviations from the defaults.
#[derive(Clone, Debug, Default)]
pub struct TestSetup {
    /// Settings of the model in the local Azure, merged into the defaults.
    pub model: Option<Value>,
    /// Whether operators reach the API server through an [`ApiProxy`].
    pub api_proxy: bool,
    /// Whether operators have permissions in all namespaces, so that they can act in a namespace that is being deleted.
    pub everywhere: bool,
    /// Additional flags for operators.
    pub arguments: Vec<String>,
    /// Additional environment variables.
    pub environment: Vec<(String, String)>,
    /// Whether operators cannot read Secrets until a test grants it.
    pub without_secrets: bool,
    /// Timeout of each wait for a resource; by default [`DEADLINE`].
    pub limit: Option<Duration>,
}

impl TestSetup {
    /// The defaults with these settings of the model, merged into its defaults.
    #[must_use]
    pub fn with_model(model: Value) -> Self {
        Self { model: Some(model), ..Self::default() }
    }

    /// The defaults with an [`ApiProxy`].
    #[must_use]
    pub fn with_proxy() -> Self {
        Self { api_proxy: true, ..Self::default() }
    }

    /// The defaults with additional flags for operators.
    #[must_use]
    pub fn with_flags(flags: &[&str]) -> Self {
        Self { arguments: flags.iter().map(ToString::to_string).collect(), ..Self::default() }
    }
}

/// The environment of one test.
pub struct World {
    /// The shared components.
    pub environment: &'static TestEnvironment,
    /// An administrator's client.
    pub client: Client,
    /// The local Azure.
    pub azure: SimulatorClient,
    /// Its namespace, and the name of its `ServiceAccount` and its Lease.
    pub namespace: String,
    /// Its server, `asazure://…`.
    pub server: String,
    /// Its database.
    pub database: String,
    /// Its application's id.
    pub client_id: String,
    /// Every version of its resources.
    pub recorder: Recorder,
    /// The proxy between its operators and the API server, if requested.
    pub api_proxy: Option<ApiProxy>,
    settings: OperatorSettings,
    limit: Duration,
}

impl World {
    /// A world with the defaults, without an operator.
    pub async fn new(name: &str) -> Self {
        Self::with(name, TestSetup::default()).await
    }

    /// A world with these settings.
    pub async fn with(name: &str, setup: TestSetup) -> Self {
        let environment = TestEnvironment::get();
        let client = environment.client().await;
        let id = Uuid::new_v4().simple().to_string();
        // The fault matrix creates thousands of worlds: six digits would collide.
        let namespace = format!("{name}-{}", &id[..10]);
        make::<Namespace>(&Api::all(client.clone()), json!({"metadata": {"name": namespace}})).await;
        let role = if setup.without_secrets { rbac::BARE_ROLE } else { rbac::ROLE };
        let token = rbac::account(&client, &namespace, &namespace, role, setup.everywhere).await;
        let api_proxy = if setup.api_proxy { Some(ApiProxy::start(&environment.endpoint())) } else { None };
        let endpoint = api_proxy.as_ref().map_or_else(|| environment.endpoint(), |proxy| proxy.endpoint().clone());
        let file = |suffix: &str| -> PathBuf { environment.directory().join(format!("{namespace}.{suffix}")) };
        kubeconfig::write(&file("kubeconfig"), &endpoint, &token, &namespace);
        let mut arguments = vec![
            format!("--watch-namespace={namespace}"),
            format!("--lease-namespace={}", rbac::OPERATORS),
            format!("--lease-name={namespace}"),
        ];
        arguments.extend(setup.arguments);
        let settings = OperatorSettings {
            kubeconfig: file("kubeconfig"),
            proxy: environment.simulator.proxy().to_owned(),
            authority: environment.simulator.authority().to_owned(),
            arguments,
            environment: setup.environment,
            log: file("log"),
            pod: None,
            program: None,
        };
        let world = Self {
            azure: environment.simulator.client(),
            recorder: Recorder::start(client.clone(), &namespace).await,
            server: format!("asazure://westus.asazure.windows.net/{}", namespace.replace('-', "")),
            database: "AdventureWorks".to_owned(),
            client_id: Uuid::new_v4().to_string(),
            environment,
            client,
            namespace,
            api_proxy,
            settings,
            limit: setup.limit.unwrap_or(DEADLINE),
        };
        world.azure.put_application(TENANT, &world.client_id, "right").await;
        world.put_model(&json!({"notStartedMillis": 100, "durationMillis": 900, "cancelMillis": 100})).await;
        if let Some(model) = &setup.model {
            world.patch_model(model).await;
        }
        world.put_secret("right").await;
        world
    }

    /// A world with an operator that is ready.
    pub async fn running(name: &str, setup: TestSetup) -> (Self, Operator) {
        let world = Self::with(name, setup).await;
        let mut operator = world.start_operator();
        operator.ready().await;
        (world, operator)
    }

    /// Starts an operator without waiting.
    #[must_use]
    pub fn start_operator(&self) -> Operator {
        Operator::start(&self.settings, self.environment.guard())
    }

    /// Starts another operator with its own proxy; the others keep theirs. Does not wait.
    pub async fn start_second_operator(&self) -> (ApiProxy, Operator) {
        let proxy = ApiProxy::start(&self.environment.endpoint());
        let mut settings = self.settings.clone();
        let suffix = Uuid::new_v4().simple().to_string();
        settings.kubeconfig.set_extension(format!("{}.kubeconfig", &suffix[..6]));
        settings.log.set_extension(format!("{}.log", &suffix[..6]));
        let token = rbac::token(&self.client, &self.namespace).await;
        kubeconfig::write(&settings.kubeconfig, proxy.endpoint(), &token, &self.namespace);
        (proxy, Operator::start(&settings, self.environment.guard()))
    }

    /// The settings of this world's operators.
    #[must_use]
    pub fn operator_settings(&self) -> &OperatorSettings {
        &self.settings
    }

    /// The proxy in front of the API server. Panics if it was not requested.
    #[must_use]
    pub fn proxy(&self) -> &ApiProxy {
        self.api_proxy.as_ref().expect("set TestSetup::api_proxy")
    }

    /// The operators' user name at the API server.
    #[must_use]
    pub fn user(&self) -> String {
        rbac::user(&self.namespace)
    }

    /// The writes of the operators so far, without events and leases, in order.
    #[must_use]
    pub fn writes(&self) -> Vec<String> {
        let lines = self.environment.control_plane.audit().writes(&self.user(), &["modelrefreshes", "modelsyncs"]);
        lines.iter().map(crate::AuditLine::summary).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the operator's log in {}:\n{}", self.namespace, operator::tail(&self.settings.log, 60));
        }
    }
}
