//! A release of the chart for one test's world, and the operator run as it is installed: its settings, its `ServiceAccount` and
//! what that is granted, and nothing else.

use std::process::Output;

use harness::world::SECRET;
use harness::{Kubelet, Operator, OperatorSettings, Tool, World, kubeconfig};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{EnvVar, ServiceAccount};
use kube::Api;
use kube::api::PostParams;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{CHART, scratch};

/// A team's `ServiceAccount`, whose tokens the operator may ask for.
pub const ACCOUNT: &str = "refresher";

/// How many there are at a time. One that serves all namespaces would serve those of the other tests too: it has all places.
const AT_A_TIME: u32 = 8;
static PLACES: Semaphore = Semaphore::const_new(AT_A_TIME as usize);

/// A release, in a namespace of its own.
pub struct Release<'a> {
    world: &'a World,
    helm: Tool,
    values: String,
    /// Where it is.
    pub namespace: String,
    /// What its objects are called.
    pub name: String,
    _places: SemaphorePermit<'static>,
}

impl<'a> Release<'a> {
    /// Installs one that serves all namespaces: the definitions are there already, and it may read the world's Secret and have tokens
    /// of [`ACCOUNT`].
    pub async fn everywhere(world: &'a World) -> Self {
        Self::install(world, AT_A_TIME, "").await
    }

    /// The same, for the world's namespace alone.
    pub async fn in_namespace(world: &'a World, more: &str) -> Self {
        Self::install(world, 1, &format!("watchNamespaces={{{}}},{more}", world.namespace)).await
    }

    async fn install(world: &'a World, places: u32, more: &str) -> Self {
        let places = PLACES.acquire_many(places).await.unwrap();
        let served = &world.namespace;
        let values = format!(
            "crds.enabled=false,polling.min=100ms,polling.max=1s,polling.listingLag=3s,leaderElection.leaseDuration=5s,\
             secretAccess[0].namespace={served},secretAccess[0].names={{{SECRET}}},\
             tokenAccess[0].namespace={served},tokenAccess[0].names={{{ACCOUNT}}},{more}"
        );
        let release = Self {
            world,
            helm: Tool::helm("helm", world.site.control_plane.kubeconfig(), &scratch(served)),
            values: values.trim_end_matches(',').to_owned(),
            namespace: format!("{served}-system"),
            // Another name than that of the documents, which the harness has in use.
            name: format!("{served}-tabular-operator"),
            _places: places,
        };
        release.helm("install", &[CHART, "--create-namespace", "--set", &release.values]).await;
        release
    }

    /// Upgrades it, with more values.
    pub async fn upgrade(&self, more: &str) {
        self.helm("upgrade", &[CHART, "--reuse-values", "--set", more]).await;
    }

    /// Uninstalls it, its Job before that included.
    pub async fn uninstall(&self) {
        let output = self.try_to_uninstall().await;
        assert!(output.status.success(), "{output:?}");
    }

    /// The same, where that may fail.
    pub async fn try_to_uninstall(&self) -> Output {
        let _kubelet = Kubelet::of_jobs(self.world.site, &self.namespace).await;
        self.helm.run_with(&["uninstall", &self.world.namespace, "--namespace", &self.namespace, "--timeout", "1m"], "").await
    }

    /// Installs it anew, as it was.
    pub async fn reinstall(&self) {
        self.helm("install", &[CHART, "--set", &self.values]).await;
    }

    async fn helm(&self, command: &str, more: &[&str]) {
        let mut arguments = vec![command, self.world.namespace.as_str()];
        arguments.extend(more);
        arguments.extend(["--namespace", &self.namespace]);
        self.helm.run(&arguments).await;
    }

    /// Who the operator is to the API server.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }

    /// Starts the operator of its Deployment, as a pod of it would run, and waits until it is ready. Only where metrics are served and
    /// where Azure is are the test's.
    pub async fn operator(&self) -> Operator {
        let Self { world, namespace, name, .. } = self;
        let deployment = Api::<Deployment>::namespaced(world.client.clone(), namespace).get(name).await.unwrap();
        let mut pod = deployment.spec.unwrap().template.spec.unwrap();
        let account = pod.service_account_name.unwrap();
        let container = pod.containers.remove(0);
        assert_eq!((container.command.unwrap(), container.args.unwrap()), (vec!["/tabular-operator".to_owned()], vec!["run".to_owned()]));
        let accounts: Api<ServiceAccount> = Api::namespaced(world.client.clone(), namespace);
        let token = accounts.create_token_request(&account, &PostParams::default(), &TokenRequest::default()).await.unwrap();
        let file = world.site.directory().join(format!("{namespace}.kubeconfig"));
        let endpoint = world.api_proxy.as_ref().map_or_else(|| world.site.endpoint(), |proxy| proxy.endpoint().clone());
        // The pod's own namespace is that of the Lease.
        kubeconfig::write(&file, &endpoint, &token.status.unwrap().token, namespace);
        let arguments = container.env.unwrap().iter().map(argument).collect();
        let settings = OperatorSettings { kubeconfig: file, arguments, ..world.operator_settings().clone() };
        let mut operator = Operator::start_as_is(&settings, world.site.guard());
        operator.ready().await;
        operator
    }
}

/// A setting as the flag that its variable stands for.
fn argument(variable: &EnvVar) -> String {
    let name = variable.name.strip_prefix("TABULAR_OPERATOR_").unwrap_or_else(|| panic!("{} is no setting", variable.name));
    let value = if ["METRICS_ADDRESS", "HEALTH_ADDRESS"].contains(&name) { "127.0.0.1:0" } else { variable.value.as_deref().unwrap() };
    format!("--{}={value}", name.to_lowercase().replace('_', "-"))
}
