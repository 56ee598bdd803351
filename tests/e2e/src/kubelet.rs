//! A simulated node: runs the pods of the operator's Deployments and Jobs, on a control plane without nodes.
//!
//! A pod is a process with the settings, the `ServiceAccount` and the permissions of its template. Only the addresses of Azure and of the
//! metrics server are replaced by the test's. A Deployment is rolled out as its controller does it, the new pod first. The statuses of
//! Deployments and Jobs are written for clients that wait for them (Helm, `kubectl rollout status`).

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, PodTemplateSpec, ServiceAccount};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::process::Child;
use tokio::task::JoinHandle;

use crate::operator;
use crate::{TestEnvironment, kubeconfig};

/// The program of the pods to run; others are ignored.
const PROGRAM: &str = "/tabular-operator";
/// The interval between checks of the cluster.
const INTERVAL: Duration = Duration::from_millis(100);

/// A shared environment, or the environment of the process.
pub trait EnvironmentHandle: Deref<Target = TestEnvironment> + Clone + Send + Sync + 'static {}

impl<S: Deref<Target = TestEnvironment> + Clone + Send + Sync + 'static> EnvironmentHandle for S {}

/// A node agent. It and its pods end when dropped.
#[derive(Debug)]
pub struct Kubelet {
    task: JoinHandle<()>,
    directory: PathBuf,
}

impl Kubelet {
    /// Starts it for all namespaces of an exclusive environment.
    pub async fn start<S: EnvironmentHandle>(environment: S) -> Self {
        Self::of(environment, None).await
    }

    /// Starts it for the Jobs of one namespace only, if a test runs the operator itself.
    pub async fn of_jobs<S: EnvironmentHandle>(environment: S, namespace: &str) -> Self {
        Self::of(environment, Some(namespace.to_owned())).await
    }

    async fn of<S: EnvironmentHandle>(environment: S, jobs_of: Option<String>) -> Self {
        let directory = environment.directory().join("pods");
        fs::create_dir_all(&directory).unwrap();
        let client = environment.client().await;
        let mut node = Node { client, environment, directory: directory.clone(), jobs_of, pods: HashMap::new(), jobs: HashMap::new() };
        let task = tokio::spawn(async move {
            loop {
                node.poll().await;
                tokio::time::sleep(INTERVAL).await;
            }
        });
        Self { task, directory }
    }

    /// The log of all pods of a Deployment or a Job; empty if the file does not exist yet.
    #[must_use]
    pub fn log(&self, namespace: &str, name: &str) -> PathBuf {
        file(&self.directory, namespace, name, "log")
    }

    /// A script that runs its arguments like `kubectl exec` in a pod of a Deployment. It exists while the pod runs.
    #[must_use]
    pub fn exec(&self, namespace: &str, name: &str) -> PathBuf {
        file(&self.directory, namespace, name, "exec")
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Namespace and name of a Deployment or Job.
type Owner = (String, String);

struct Node<S: EnvironmentHandle> {
    environment: S,
    client: Client,
    directory: PathBuf,
    /// If set, only Jobs of this namespace are run.
    jobs_of: Option<String>,
    pods: HashMap<Owner, Vec<Pod<S>>>,
    /// The uids of the started Jobs, by their owner.
    jobs: HashMap<Owner, (String, Option<Pod<S>>)>,
}

/// A process that represents a pod.
struct Pod<S: EnvironmentHandle> {
    environment: S,
    pid: u32,
    template: String,
    child: Child,
    log_offset: u64,
    ready: bool,
}

impl<S: EnvironmentHandle> Pod<S> {
    fn terminate(&self) {
        if self.child.id().is_some() {
            let _ = std::process::Command::new("kill").arg("-TERM").arg(self.pid.to_string()).status();
        }
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("failed to poll a pod")
    }
}

impl<S: EnvironmentHandle> Drop for Pod<S> {
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        self.environment.guard().ended(self.pid);
    }
}

impl<S: EnvironmentHandle> Node<S> {
    async fn poll(&mut self) {
        let all = ListParams::default();
        let Ok(deployments) = Api::<Deployment>::all(self.client.clone()).list(&all).await else { return };
        let Ok(jobs) = Api::<Job>::all(self.client.clone()).list(&all).await else { return };
        let owner = |namespace: Option<String>, name: String| (namespace.unwrap_or_default(), name);
        let alive: Vec<Owner> = deployments.items.iter().map(|it| owner(it.namespace(), it.name_any())).collect();
        for (_, pods) in self.pods.iter_mut().filter(|(owner, _)| !alive.contains(owner)) {
            pods.retain_mut(|pod| pod.ended().is_none());
            pods.iter().for_each(Pod::terminate);
        }
        self.pods.retain(|_, pods| !pods.is_empty());
        let jobs_of = self.jobs_of.clone();
        for deployment in deployments.into_iter().filter(|_| jobs_of.is_none()) {
            self.deployment(&deployment).await;
        }
        for job in jobs.into_iter().filter(|job| jobs_of.is_none() || job.namespace() == jobs_of) {
            self.job(&job).await;
        }
    }

    async fn deployment(&mut self, deployment: &Deployment) -> Option<()> {
        let owner = (deployment.namespace()?, deployment.name_any());
        let spec = deployment.spec.as_ref()?;
        let container = ours(&spec.template)?;
        let template = serde_json::to_string(&spec.template).unwrap();
        let wanted = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0);
        let mut pods = self.pods.remove(&owner).unwrap_or_default();
        pods.retain_mut(|pod| pod.ended().is_none());
        while pods.iter().filter(|pod| pod.template == template).count() < wanted {
            let Some(pod) = self.run(&owner, &template, &spec.template, container).await else { break };
            pods.push(pod);
        }
        let log = file(&self.directory, &owner.0, &owner.1, "log");
        for pod in pods.iter_mut().filter(|pod| !pod.ready) {
            pod.ready = is_ready(&log, pod.log_offset).await;
        }
        let (mut new, old): (Vec<Pod<S>>, Vec<Pod<S>>) = pods.into_iter().partition(|pod| pod.template == template);
        let ready = new.iter().filter(|pod| pod.ready).count();
        // As in a rolling update, old pods end when enough new ones are ready.
        if ready >= wanted {
            old.iter().for_each(Pod::terminate);
        }
        new.iter().skip(wanted).for_each(Pod::terminate);
        let (ready, old_ones) = (ready.min(wanted), old.len());
        new.extend(old);
        self.pods.insert(owner, new);
        let done = ready == wanted && old_ones == 0;
        let status = json!({
            "observedGeneration": deployment.metadata.generation,
            "replicas": wanted + old_ones,
            "updatedReplicas": wanted,
            "readyReplicas": ready + old_ones,
            "availableReplicas": ready + old_ones,
            "unavailableReplicas": wanted - ready,
            "conditions": [
                condition("Available", if ready + old_ones >= wanted { "True" } else { "False" }, "MinimumReplicasAvailable"),
                condition("Progressing", "True", if done { "NewReplicaSetAvailable" } else { "ReplicaSetUpdated" }),
            ],
        });
        if !is_same_status(&serde_json::to_value(&deployment.status).unwrap(), &status) {
            self.report::<Deployment>(deployment.namespace(), &deployment.name_any(), &status).await;
        }
        Some(())
    }

    async fn job(&mut self, job: &Job) -> Option<()> {
        let owner = (job.namespace()?, job.name_any());
        let template = &job.spec.as_ref()?.template;
        let container = ours(template)?;
        let uid = job.uid()?;
        if self.jobs.get(&owner).is_none_or(|(known, _)| *known != uid) {
            // Another agent started it.
            if job.status.as_ref().is_some_and(|status| status.start_time.is_some()) {
                return None;
            }
            let pod = self.run(&owner, "", template, container).await?;
            self.report::<Job>(Some(owner.0.clone()), &owner.1, &json!({"startTime": jiff::Timestamp::now(), "active": 1})).await;
            self.jobs.insert(owner, (uid, Some(pod)));
            return Some(());
        }
        let (_, pod) = self.jobs.get_mut(&owner)?;
        let ended = pod.as_mut()?.ended()?;
        *pod = None;
        let now = jiff::Timestamp::now();
        let status = if ended.success() {
            let conditions =
                [condition("SuccessCriteriaMet", "True", "CompletionsReached"), condition("Complete", "True", "CompletionsReached")];
            json!({"active": null, "succeeded": 1, "completionTime": now, "conditions": conditions})
        } else {
            let conditions =
                [condition("FailureTarget", "True", "BackoffLimitExceeded"), condition("Failed", "True", "BackoffLimitExceeded")];
            json!({"active": null, "failed": 1, "conditions": conditions})
        };
        self.report::<Job>(Some(owner.0), &owner.1, &status).await;
        Some(())
    }

    async fn report<K>(&self, namespace: Option<String>, name: &str, status: &Value)
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &namespace.unwrap_or_default());
        let patched = api.patch_status(name, &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await;
        // It may have been deleted meanwhile.
        if let Err(error) = patched {
            assert!(
                matches!(&error, kube::Error::Api(status) if status.code == 404 || status.code == 409),
                "failed to report {name}: {error}"
            );
        }
    }

    /// Starts a pod, unless its account does not exist yet.
    async fn run(&self, owner: &Owner, template_text: &str, template: &PodTemplateSpec, container: &Container) -> Option<Pod<S>> {
        let (namespace, name) = owner;
        let account = template.spec.as_ref()?.service_account_name.clone()?;
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec { expiration_seconds: Some(86_400), ..TokenRequestSpec::default() },
            ..TokenRequest::default()
        };
        let token = accounts.create_token_request(&account, &PostParams::default(), &request).await.ok()?.status?.token;
        let kubeconfig = file(&self.directory, namespace, name, "kubeconfig");
        kubeconfig::write(&kubeconfig, &self.environment.endpoint(), &token, namespace);
        let mut variables: Vec<(String, String)> = Vec::new();
        for variable in container.env.iter().flatten() {
            variables.push((variable.name.clone(), variable.value.clone().unwrap_or_default()));
        }
        let proxy = self.environment.simulator.proxy().to_owned();
        variables.extend([
            ("KUBECONFIG".to_owned(), kubeconfig.to_str()?.to_owned()),
            ("HTTPS_PROXY".to_owned(), proxy.clone()),
            ("HTTP_PROXY".to_owned(), proxy),
            ("TABULAR_OPERATOR_EXTRA_CA_FILE".to_owned(), self.environment.simulator.authority().to_str()?.to_owned()),
            ("TABULAR_OPERATOR_METRICS_ADDRESS".to_owned(), "127.0.0.1:0".to_owned()),
            ("TABULAR_OPERATOR_HEALTH_ADDRESS".to_owned(), "127.0.0.1:0".to_owned()),
        ]);
        self.script(owner, &variables);
        let path = file(&self.directory, namespace, name, "log");
        let log = File::options().create(true).append(true).open(&path).expect("failed to open a pod's log");
        let log_offset = log.metadata().unwrap().len();
        let mut command = operator::program();
        command.args(container.args.iter().flatten()).envs(variables);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let child = tokio::process::Command::from(command).kill_on_drop(true).spawn().expect("failed to start a pod");
        let pid = child.id()?;
        self.environment.guard().watch(pid);
        Some(Pod { environment: self.environment.clone(), pid, template: template_text.to_owned(), child, log_offset, ready: false })
    }

    /// Writes the script that simulates `kubectl exec`.
    fn script(&self, (namespace, name): &Owner, variables: &[(String, String)]) {
        let mut text = "#!/usr/bin/env bash\n".to_owned();
        for (name, value) in variables {
            writeln!(text, "export {name}='{}'", value.replace('\'', r"'\''")).unwrap();
        }
        let program = crate::paths::operator();
        writeln!(text, "[ \"$1\" = {PROGRAM} ] || {{ echo \"$1 is not in the image\" >&2; exit 127; }}\nshift").unwrap();
        writeln!(text, "exec '{}' \"$@\"", program.display()).unwrap();
        let path = file(&self.directory, namespace, name, "exec");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn file(directory: &Path, namespace: &str, name: &str, extension: &str) -> PathBuf {
    directory.join(format!("{namespace}_{name}.{extension}"))
}

/// The operator's container, if the pod has one.
fn ours(template: &PodTemplateSpec) -> Option<&Container> {
    let container = template.spec.as_ref()?.containers.first()?;
    (container.command.as_deref() == Some(&[PROGRAM.to_owned()])).then_some(container)
}

/// Whether a pod that logs here from `offset` on reports that it is ready.
async fn is_ready(log: &Path, offset: u64) -> bool {
    let text = fs::read(log).unwrap_or_default();
    let from = usize::try_from(offset).unwrap_or(0).min(text.len());
    let log_text = String::from_utf8_lossy(&text[from..]).into_owned();
    let Some(address) = log_text.lines().find_map(|line| operator::address(line, "serving probes")) else { return false };
    let response = operator::plain_http().get(format!("http://{address}/readyz")).send().await;
    response.is_ok_and(|response| response.status().is_success())
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    let now = jiff::Timestamp::now();
    json!({"type": kind, "status": status, "reason": reason, "message": reason, "lastTransitionTime": now, "lastUpdateTime": now})
}

/// Whether a status has the same content, except times.
fn is_same_status(found: &Value, wanted: &Value) -> bool {
    let bare = |status: &Value| {
        let mut status = status.clone();
        for condition in status["conditions"].as_array_mut().into_iter().flatten() {
            let condition = condition.as_object_mut().unwrap();
            condition.retain(|key, _| matches!(key.as_str(), "type" | "status" | "reason"));
        }
        status
    };
    let (found, wanted) = (bare(found), bare(wanted));
    wanted.as_object().unwrap().iter().all(|(key, value)| found[key] == *value || (*value == json!(0) && found[key].is_null()))
}
