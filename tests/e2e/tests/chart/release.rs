//! A release of the chart for one test's world, and the operator with only the release's settings, `ServiceAccount` and permissions.

use std::process::Output;

use e2e::world::SECRET;
use e2e::{Kubelet, Operator, OperatorSettings, Tool, World, kubeconfig};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{EnvVar, ServiceAccount};
use kube::Api;
use kube::api::PostParams;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{CHART, scratch};

/// A team's `ServiceAccount` for whose tokens the operator has permission.
pub const ACCOUNT: &str = "refresher";

/// Number of concurrent releases. A release for all namespaces would also serve other tests, so it takes all permits.
const AT_A_TIME: u32 = 8;
static PLACES: Semaphore = Semaphore::const_new(AT_A_TIME as usize);

/// A release in its own namespace.
pub struct Release<'a> {
    world: &'a World,
    helm: Tool,
    values: String,
    /// Its namespace.
    pub namespace: String,
    /// The name of its objects.
    pub name: String,
    _places: SemaphorePermit<'static>,
}

impl<'a> Release<'a> {
    /// Installs a release for all namespaces. The definitions already exist, and the operator may read the world's Secret and request
    /// tokens of [`ACCOUNT`].
    pub async fn everywhere(world: &'a World) -> Self {
        Self::install(world, PLACES.acquire_many(AT_A_TIME).await.unwrap(), "").await
    }

    /// Installs a release for the world's namespace only.
    pub async fn in_namespace(world: &'a World, more: &str) -> Self {
        Self::install_for(world, PLACES.acquire().await.unwrap(), more).await
    }

    /// The same for two worlds. Both places are taken at once: otherwise, two tests could each wait for the second
    /// place of the other.
    pub async fn in_namespaces([first, second]: [&'a World; 2], more: &str) -> [Self; 2] {
        let mut places = PLACES.acquire_many(2).await.unwrap();
        let one = places.split(1).expect("there are two");
        [Self::install_for(first, places, more).await, Self::install_for(second, one, more).await]
    }

    async fn install_for(world: &'a World, places: SemaphorePermit<'static>, more: &str) -> Self {
        Self::install(world, places, &format!("watchNamespaces={{{}}},{more}", world.namespace)).await
    }

    async fn install(world: &'a World, places: SemaphorePermit<'static>, more: &str) -> Self {
        let served = &world.namespace;
        let values = format!(
            "crds.enabled=false,polling.min=100ms,polling.max=1s,polling.listingLag=3s,leaderElection.leaseDuration=10s,\
             secretAccess[0].namespace={served},secretAccess[0].names={{{SECRET}}},\
             tokenAccess[0].namespace={served},tokenAccess[0].names={{{ACCOUNT}}},{more}"
        );
        let release = Self {
            world,
            helm: Tool::helm("helm", world.environment.control_plane.kubeconfig(), &scratch(served)),
            values: values.trim_end_matches(',').to_owned(),
            namespace: format!("{served}-system"),
            // Not the name in the documents, which the test library uses.
            name: format!("{served}-tabular-operator"),
            _places: places,
        };
        release.helm("install", &[CHART, "--create-namespace", "--set", &release.values]).await;
        release
    }

    /// Upgrades it with additional values.
    pub async fn upgrade(&self, more: &str) {
        self.helm("upgrade", &[CHART, "--reuse-values", "--set", more]).await;
    }

    /// Uninstalls it, including its preceding Job.
    pub async fn uninstall(&self) {
        let output = self.try_to_uninstall().await;
        assert!(output.status.success(), "{output:?}");
    }

    /// Uninstalls it and returns Helm's output, which may be an error.
    pub async fn try_to_uninstall(&self) -> Output {
        let _kubelet = Kubelet::of_jobs(self.world.environment, &self.namespace).await;
        self.helm.run_with(&["uninstall", &self.world.namespace, "--namespace", &self.namespace, "--timeout", "3m"], "").await
    }

    /// Installs it again with the same values.
    pub async fn reinstall(&self) {
        self.helm("install", &[CHART, "--set", &self.values]).await;
    }

    async fn helm(&self, command: &str, more: &[&str]) {
        let mut arguments = vec![command, self.world.namespace.as_str()];
        arguments.extend(more);
        arguments.extend(["--namespace", &self.namespace]);
        self.helm.run(&arguments).await;
    }

    /// The operator's user name at the API server.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }

    /// Starts the operator of its Deployment as in a pod, and waits until it is ready. Only the addresses of Azure and of the metrics
    /// server are the test's.
    pub async fn operator(&self) -> Operator {
        let Self { world, namespace, name, .. } = self;
        let deployment = Api::<Deployment>::namespaced(world.client.clone(), namespace).get(name).await.unwrap();
        let mut pod = deployment.spec.unwrap().template.spec.unwrap();
        let account = pod.service_account_name.unwrap();
        let container = pod.containers.remove(0);
        assert_eq!((container.command.unwrap(), container.args.unwrap()), (vec!["/tabular-operator".to_owned()], vec!["run".to_owned()]));
        let accounts: Api<ServiceAccount> = Api::namespaced(world.client.clone(), namespace);
        let token = accounts.create_token_request(&account, &PostParams::default(), &TokenRequest::default()).await.unwrap();
        let file = world.environment.directory().join(format!("{namespace}.kubeconfig"));
        let endpoint = world.api_proxy.as_ref().map_or_else(|| world.environment.endpoint(), |proxy| proxy.endpoint().clone());
        // The pod's own namespace is that of the Lease.
        kubeconfig::write(&file, &endpoint, &token.status.unwrap().token, namespace);
        let arguments = container.env.unwrap().iter().map(argument).collect();
        let settings = OperatorSettings { kubeconfig: file, arguments, ..world.operator_settings().clone() };
        let mut operator = Operator::start_as_is(&settings, world.environment.guard());
        operator.ready().await;
        operator
    }
}

/// The flag for the variable of a setting.
fn argument(variable: &EnvVar) -> String {
    let name = variable.name.strip_prefix("TABULAR_OPERATOR_").unwrap_or_else(|| panic!("{} is not a setting", variable.name));
    let value = if ["METRICS_ADDRESS", "HEALTH_ADDRESS"].contains(&name) { "127.0.0.1:0" } else { variable.value.as_deref().unwrap() };
    format!("--{}={value}", name.to_lowercase().replace('_', "-"))
}
