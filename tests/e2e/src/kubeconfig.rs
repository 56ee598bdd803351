//! Kubeconfigs: reads the administrator's, writes one for a token.

use std::fs;
use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;

/// A client for the kubeconfig at `path`.
pub async fn client(path: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(path).unwrap_or_else(|error| panic!("failed to read {}: {error}", path.display()));
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("the kubeconfig is complete");
    Client::try_from(config).expect("the kubeconfig is valid")
}

/// The API server's certificate authority in the kubeconfig at `path`, as base64 of PEM.
#[must_use]
pub fn authority(path: &Path) -> String {
    let kubeconfig = Kubeconfig::read_from(path).unwrap_or_else(|error| panic!("failed to read {}: {error}", path.display()));
    let cluster = kubeconfig.clusters.into_iter().find_map(|named| named.cluster).expect("it has a cluster");
    cluster.certificate_authority_data.expect("it contains its authority's certificate")
}

/// The endpoint of an API server: its URL and its certificate authority.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `https://127.0.0.1:…`.
    pub url: String,
    /// The authority's certificate, PEM in base64.
    pub authority: String,
}

/// Writes a kubeconfig for `token` with the default namespace `namespace`.
pub fn write(path: &Path, endpoint: &Endpoint, token: &str, namespace: &str) {
    let Endpoint { url, authority } = endpoint;
    let content = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": url, "certificate-authority-data": authority}}],
        "users": [{"name": "it", "user": {"token": token}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it", "namespace": namespace}}],
    });
    fs::write(path, content.to_string()).unwrap_or_else(|error| panic!("failed to write {}: {error}", path.display()));
}
