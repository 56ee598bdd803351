//! The names of resources and namespaces in the cluster, and of the entries in the kubeconfig.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::config::Kubeconfig;
use kube::{Api, ResourceExt as _};
use tabular_operator::api::Kind;

use crate::connect::{ConnectionArgs, connect, read};
use crate::target::Target;

/// How long the cluster may take. A shell waits for the completion.
const LIMIT: Duration = Duration::from_secs(1);

/// Where names come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The resources of the namespace, as a command accepts them.
    Resources,
    /// The namespaces.
    Namespaces,
    /// The contexts of the kubeconfig.
    Contexts,
    /// Its clusters.
    Clusters,
    /// Its users.
    Users,
    /// The files, which the shell completes.
    Files,
}

impl Source {
    /// Each source.
    pub(super) const ALL: [Self; 6] = [Self::Resources, Self::Namespaces, Self::Contexts, Self::Clusters, Self::Users, Self::Files];

    /// The names that start with a text. None on any error, and none after a second.
    pub(super) fn names(self, connection: ConnectionArgs, start: &str) -> Vec<String> {
        let start = start.to_owned();
        let (send, receive) = mpsc::channel();
        // In a thread that is abandoned after the limit: a program of the kubeconfig that gets the credentials blocks its thread.
        thread::spawn(move || {
            // The receiver may have given up.
            let _ = send.send(self.find(&connection, &start));
        });
        receive.recv_timeout(LIMIT).ok().flatten().unwrap_or_default()
    }

    fn find(self, connection: &ConnectionArgs, start: &str) -> Option<Vec<String>> {
        let mut names = match self {
            Self::Files => return None,
            Self::Contexts => kubeconfig(connection)?.contexts.into_iter().map(|entry| entry.name).collect(),
            Self::Clusters => kubeconfig(connection)?.clusters.into_iter().map(|entry| entry.name).collect(),
            Self::Users => kubeconfig(connection)?.auth_infos.into_iter().map(|entry| entry.name).collect(),
            Self::Resources | Self::Namespaces => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
                runtime.block_on(async {
                    if self == Self::Namespaces { namespaces(connection).await } else { resources(connection, start).await }
                })?
            }
        };
        names.retain(|name: &String| name.starts_with(start));
        names.sort();
        Some(names)
    }
}

fn kubeconfig(connection: &ConnectionArgs) -> Option<Kubeconfig> {
    read(connection).ok().flatten()
}

async fn namespaces(connection: &ConnectionArgs) -> Option<Vec<String>> {
    let api: Api<Namespace> = Api::all(connect(connection).ok()?.client);
    let list = api.list_metadata(&newest_cached()).await.ok()?;
    Some(list.items.iter().map(kube::ResourceExt::name_any).collect())
}

/// The names of refreshes, and of syncs with their kind; those of one kind if the word starts with it.
async fn resources(connection: &ConnectionArgs, start: &str) -> Option<Vec<String>> {
    let connection = connect(connection).ok()?;
    let prefix = start.split_once('/').map(|(word, _)| word);
    let of = async |kind: Kind| {
        let known = prefix.map(|word| format!("{word}/x").parse::<Target>());
        if known.as_ref().is_some_and(|target| target.as_ref().map(|target| target.kind) != Ok(kind)) {
            return Vec::new();
        }
        let list = connection.api(kind, Some(&connection.namespace)).list_metadata(&newest_cached()).await;
        let name = |name: String| match prefix {
            Some(word) => format!("{word}/{name}"),
            None => Target { kind, name }.to_string(),
        };
        list.map(|list| list.items.iter().map(|object| name(object.name_any())).collect()).unwrap_or_default()
    };
    let (mut refreshes, syncs) = futures::join!(of(Kind::ModelRefresh), of(Kind::ModelSync));
    refreshes.extend(syncs);
    Some(refreshes)
}

/// From the cache of the API server.
fn newest_cached() -> ListParams {
    ListParams::default().match_any()
}
