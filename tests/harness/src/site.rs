//! What all tests of a process share: one control plane with the definitions installed, and one local Azure.

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

/// The running parts, which end with this process.
#[derive(Debug)]
pub struct Site {
    /// The API server.
    pub control_plane: ControlPlane,
    /// The local Azure.
    pub simulator: Simulator,
    guard: Guard,
    directory: PathBuf,
}

static SITE: OnceLock<Site> = OnceLock::new();
/// What failed once fails for every test, and need not be waited for again.
static TRIED: AtomicBool = AtomicBool::new(false);

impl Site {
    /// The site of this process, started by whoever asks first.
    pub fn get() -> &'static Self {
        SITE.get_or_init(|| {
            assert!(!TRIED.swap(true, Ordering::SeqCst), "the control plane or the local Azure did not start: the first failure says why");
            let site = Self::start();
            // On a thread of its own: whoever asks may be inside a runtime already.
            std::thread::scope(|scope| scope.spawn(|| runtime().block_on(site.install())).join()).expect("failed to install");
            site
        })
    }

    /// Starts the parts, both at once, with nothing installed.
    #[must_use]
    pub fn start() -> Self {
        // Fails only where one is installed already, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let directory = std::env::temp_dir().join(format!("tabular-operator-{}", uuid::Uuid::new_v4().simple()));
        fs::DirBuilder::new().mode(0o700).create(&directory).expect("failed to make a temporary directory");
        let keep = std::env::var_os("TABULAR_OPERATOR_TEST_KEEP").is_some();
        let guard = Guard::start((!keep).then_some(&directory));
        let (control_plane, simulator) = std::thread::scope(|scope| {
            let control_plane = scope.spawn(|| ControlPlane::start(&directory));
            let simulator = Simulator::start(&directory);
            (control_plane.join().expect("failed to start the control plane"), simulator)
        });
        Self { control_plane, simulator, guard, directory }
    }

    /// Installs the definitions and what operators may do.
    pub async fn install(&self) {
        let client = self.client().await;
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        for definition in tabular_operator::api::crds().expect("the definitions can be made") {
            let name = definition.metadata.name.clone().expect("a definition has a name");
            definitions.create(&PostParams::default(), &definition).await.expect("failed to install a definition");
            eventually(&format!("{name} to be served"), async || {
                let status = definitions.get(&name).await.ok()?.status?;
                let served = status.conditions?.into_iter().any(|condition| condition.type_ == "Established" && condition.status == "True");
                served.then_some(())
            })
            .await;
        }
        rbac::install(&client).await;
    }

    /// An administrator's client, for the runtime that asks.
    pub async fn client(&self) -> Client {
        self.control_plane.client().await
    }

    /// The API server itself, for a kubeconfig.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint { url: self.control_plane.url().to_owned(), authority: kubeconfig::authority(self.control_plane.kubeconfig()) }
    }

    /// Where files of tests go. It is removed when this process ends; `TABULAR_OPERATOR_TEST_KEEP=1` keeps it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What ends processes with this one.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made")
}
