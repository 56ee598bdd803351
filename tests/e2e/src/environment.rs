//! The components shared by all tests of a process: one control plane with the definitions installed, and one local Azure.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::PostParams;
use kube::{Api, Client};

use crate::guard::Guard;
use crate::kubeconfig::{self, Endpoint};
use crate::wait::eventually;
use crate::{ControlPlane, Simulator, rbac};

/// The running components, which end with this process.
#[derive(Debug)]
pub struct TestEnvironment {
    /// The API server.
    pub control_plane: ControlPlane,
    /// The local Azure.
    pub simulator: Simulator,
    guard: Guard,
    directory: PathBuf,
}

static ENVIRONMENT: OnceLock<TestEnvironment> = OnceLock::new();
/// A failed start fails for every test, without another wait.
static TRIED: AtomicBool = AtomicBool::new(false);

impl TestEnvironment {
    /// The environment of this process; the first caller starts it.
    pub fn get() -> &'static Self {
        ENVIRONMENT.get_or_init(|| {
            assert!(!TRIED.swap(true, Ordering::SeqCst), "the control plane or the local Azure did not start: see the first failure");
            let environment = Self::start();
            // On its own thread: the caller may be inside a runtime.
            std::thread::scope(|scope| scope.spawn(|| runtime().block_on(environment.install())).join()).expect("failed to install");
            environment
        })
    }

    /// Starts both components concurrently, with nothing installed.
    #[must_use]
    pub fn start() -> Self {
        Self::start_at(0)
    }

    /// The same, with the API server at this port, so that it can be restarted. With port 0, it has any free port.
    #[must_use]
    pub fn start_at(port: u16) -> Self {
        // Fails only if a provider is already installed.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let directory = std::env::temp_dir().join(format!("tabular-operator-{}", uuid::Uuid::new_v4().simple()));
        fs::DirBuilder::new().mode(0o700).create(&directory).expect("failed to create a temporary directory");
        let keep = std::env::var_os("TABULAR_OPERATOR_TEST_KEEP").is_some();
        let guard = Guard::start((!keep).then_some(&directory));
        let (control_plane, simulator) = std::thread::scope(|scope| {
            let control_plane = scope.spawn(|| ControlPlane::start(&directory, port));
            let simulator = Simulator::start(&directory);
            (control_plane.join().expect("failed to start the control plane"), simulator)
        });
        Self { control_plane, simulator, guard, directory }
    }

    /// Installs the definitions and the operators' permissions.
    pub async fn install(&self) {
        let client = self.client().await;
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        for definition in tabular_operator::api::crds().expect("the definitions are valid") {
            let name = definition.metadata.name.clone().expect("a definition has a name");
            definitions.create(&PostParams::default(), &definition).await.expect("failed to install a definition");
            served(&definitions, &name).await;
        }
        rbac::install(&client).await;
    }

    /// An administrator's client for the current runtime.
    pub async fn client(&self) -> Client {
        self.control_plane.client().await
    }

    /// The endpoint of the API server, for a kubeconfig.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint { url: self.control_plane.url().to_owned(), authority: kubeconfig::authority(self.control_plane.kubeconfig()) }
    }

    /// The directory for files of tests. It is removed when this process ends, unless `TABULAR_OPERATOR_TEST_KEEP=1`.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Ends processes together with this one.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }
}

/// Waits until the API server serves a definition.
pub async fn served(definitions: &Api<CustomResourceDefinition>, name: &str) {
    eventually(&format!("{name} to be served"), async || {
        let status = definitions.get(name).await.ok()?.status?;
        let served = status.conditions?.into_iter().any(|condition| condition.type_ == "Established" && condition.status == "True");
        served.then_some(())
    })
    .await;
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("the runtime starts")
}
