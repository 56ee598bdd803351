//! The client of the Kubernetes API and its configuration.
//!
//! The configuration comes from `KUBECONFIG`, `~/.kube/config` or the `ServiceAccount` of the pod, in this order. It is not built by
//! `kube::Config`, which would use `HTTPS_PROXY` for the Kubernetes API and apply `NO_PROXY` to the `proxy-url` of a kubeconfig.
//! Those variables are for Azure; `proxy-url` is for the Kubernetes API.

use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use hyper::header::{HeaderValue, USER_AGENT};
use kube::config::{AuthInfo, Cluster, ExecAuthCluster, InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use thiserror::Error;

use super::installation;

/// The user agent, which identifies the operator in the logs and the audit of the API server.
const AGENT: &str = concat!("tabular-operator/", env!("CARGO_PKG_VERSION"));
/// Timeout for establishing a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the API server may accept no data of a request.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the API server may send no data. It is longer than the duration of a watch request (`manager::watch::WATCH_SECONDS`).
const READ_TIMEOUT: Duration = Duration::from_secs(75);

/// Why no client can be set up. The settings cause each of these errors.
#[derive(Debug, Error)]
pub enum ClientError {
    /// There is no kubeconfig, and the process does not run in a pod.
    #[error("failed to find a Kubernetes API: {0}; set KUBECONFIG to a kubeconfig, or run in a pod with a ServiceAccount token")]
    NotConfigured(#[source] InClusterError),
    /// The kubeconfig cannot be read.
    #[error("failed to read the kubeconfig: {0}; check it with 'kubectl config view'")]
    Kubeconfig(#[from] KubeconfigError),
    /// The kubeconfig is incomplete or refers to an entry that does not exist.
    #[error("failed to read the kubeconfig: {0}; check it with 'kubectl config view'")]
    Incomplete(String),
    /// The library rejects the configuration.
    #[error("failed to set up the Kubernetes client: {0}")]
    Setup(#[source] kube::Error),
}

/// A client of the Kubernetes API.
pub struct Connection {
    /// Connects with the first request.
    pub client: Client,
    /// The configuration for further clients. A client works only in the runtime in which it was created.
    pub config: Config,
    /// The installation that uses it: see [`installation`].
    pub installation: Option<String>,
}

/// Sets up a client. It connects with the first request. Its default namespace is that of the pod or of the context of the
/// kubeconfig. Must be called within a tokio runtime.
///
/// # Errors
/// If there is no configuration, or an invalid one.
pub fn connect() -> Result<Connection, ClientError> {
    let config = match kubeconfig()? {
        Some(kubeconfig) => from_kubeconfig(&kubeconfig, &KubeConfigOptions::default())?,
        None => Config::incluster().map_err(ClientError::NotConfigured)?,
    };
    let installation = installation::of(&config.auth_info);
    let config = with_defaults(config);
    let client = Client::try_from(config.clone()).map_err(ClientError::Setup)?;
    Ok(Connection { client, config, installation })
}

/// Applies the settings that do not depend on the source of the configuration.
fn with_defaults(mut config: Config) -> Config {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.write_timeout = Some(WRITE_TIMEOUT);
    // A watch may be silent until the API server ends it. A request that is silent for longer, such as a list that hangs, is dead.
    config.read_timeout = Some(READ_TIMEOUT);
    // One call is one request. The caller retries, because only it knows what a lost response means.
    config.default_retry = false;
    config.headers.push((USER_AGENT, HeaderValue::from_static(AGENT)));
    config
}

/// Reads the kubeconfig. One that `KUBECONFIG` names must exist; the one in the home directory may be absent.
fn kubeconfig() -> Result<Option<Kubeconfig>, KubeconfigError> {
    if let Some(named) = Kubeconfig::from_env()? {
        return Ok(Some(named));
    }
    let usual = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".kube").join("config"));
    match usual {
        Some(path) if path.is_file() => Kubeconfig::read_from(path).map(Some),
        Some(_) | None => Ok(None),
    }
}

/// The configuration of a context in a kubeconfig: of its current context, unless `selected` names other entries.
///
/// # Errors
/// If an entry is missing or invalid.
pub fn from_kubeconfig(kubeconfig: &Kubeconfig, selected: &KubeConfigOptions) -> Result<Config, ClientError> {
    let incomplete = |what: String| ClientError::Incomplete(what);
    let current = selected
        .context
        .as_deref()
        .or(kubeconfig.current_context.as_deref())
        .filter(|name| !name.is_empty())
        .ok_or_else(|| incomplete("it has no current-context".to_owned()))?;
    let context = kubeconfig
        .contexts
        .iter()
        .find(|context| context.name == current)
        .and_then(|named| named.context.as_ref())
        .ok_or_else(|| incomplete(format!("its context '{current}' does not exist")))?;
    let cluster_name = selected.cluster.as_ref().unwrap_or(&context.cluster);
    let cluster = kubeconfig
        .clusters
        .iter()
        .find(|cluster| &cluster.name == cluster_name)
        .and_then(|named| named.cluster.as_ref())
        .ok_or_else(|| incomplete(format!("the cluster '{cluster_name}' of its context '{current}' does not exist")))?;
    let mut config = cluster_config(cluster)?;
    config.auth_info = user(kubeconfig, selected.user.as_deref().or(context.user.as_deref()), cluster)?;
    if let Some(namespace) = context.namespace.as_ref().filter(|namespace| !namespace.is_empty()) {
        config.default_namespace.clone_from(namespace);
    }
    Ok(config)
}

fn cluster_config(cluster: &Cluster) -> Result<Config, ClientError> {
    let server = cluster.server.as_deref().ok_or_else(|| ClientError::Incomplete("the cluster of its context has no server".to_owned()))?;
    let mut config = Config::new(uri("server", server)?);
    config.root_cert = authorities(cluster)?;
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    config.tls_server_name.clone_from(&cluster.tls_server_name);
    config.proxy_url = cluster.proxy_url.as_deref().filter(|url| !url.is_empty()).map(|url| uri("proxy-url", url)).transpose()?;
    Ok(config)
}

fn uri(field: &str, text: &str) -> Result<Uri, ClientError> {
    let whole = |uri: &Uri| uri.scheme().is_some() && uri.host().is_some_and(|host| !host.is_empty());
    text.parse()
        .ok()
        .filter(whole)
        .ok_or_else(|| ClientError::Incomplete(format!("its {field} '{text}' is not a URL such as https://host:6443")))
}

/// The certificate authorities. The library decodes the data or reads the file when it describes a cluster to a plugin.
fn authorities(cluster: &Cluster) -> Result<Option<Vec<Vec<u8>>>, ClientError> {
    let Some(pem) = ExecAuthCluster::try_from(cluster)?.certificate_authority_data else {
        return Ok(None);
    };
    CertificateDer::pem_slice_iter(&pem)
        .map(|certificate| certificate.map(|der| der.to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .map(Some)
        .map_err(|error| ClientError::Incomplete(format!("its certificate-authority is not PEM ({error})")))
}

/// The user of a context. A context without a user is anonymous, as with kubectl.
fn user(kubeconfig: &Kubeconfig, name: Option<&str>, cluster: &Cluster) -> Result<AuthInfo, ClientError> {
    let named = name.and_then(|name| kubeconfig.auth_infos.iter().find(|user| user.name == name));
    let mut user = named.and_then(|named| named.auth_info.clone()).unwrap_or_default();
    if let Some(plugin) = user.exec.as_mut().filter(|plugin| plugin.provide_cluster_info) {
        plugin.cluster = Some(cluster.try_into()?);
    }
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(cluster: &str) -> Result<Config, ClientError> {
        let yaml = format!(
            "{{apiVersion: v1, kind: Config, current-context: here,
              contexts: [{{name: here, context: {{cluster: one, user: me, namespace: bi}}}}],
              users: [{{name: me, user: {{token: t}}}}],
              clusters: [{{name: one, cluster: {cluster}}}]}}"
        );
        from_kubeconfig(&Kubeconfig::from_yaml(&yaml).unwrap(), &KubeConfigOptions::default())
    }

    #[test]
    fn kubeconfig_fields_are_all_read() {
        let config = with_defaults(parse("{server: 'https://127.0.0.1:6443', tls-server-name: kubernetes}").unwrap());
        assert_eq!(config.cluster_url.to_string(), "https://127.0.0.1:6443/");
        assert_eq!(config.default_namespace, "bi");
        assert_eq!(config.tls_server_name.as_deref(), Some("kubernetes"));
        assert!(config.auth_info.token.is_some());
        assert!(!config.default_retry);
        let watch = Duration::from_secs(crate::controller::manager::watch::WATCH_SECONDS.into());
        assert!(config.read_timeout.is_some_and(|silence| silence > watch), "a watch may be silent");
        assert_eq!(config.headers[0].1, format!("tabular-operator/{}", env!("CARGO_PKG_VERSION")).as_str());
    }

    #[test]
    fn named_entries_replace_those_of_the_context() {
        let kubeconfig = Kubeconfig::from_yaml(
            "{apiVersion: v1, kind: Config, current-context: here,
              contexts: [{name: here, context: {cluster: one, user: me}}, {name: there, context: {cluster: two, user: me, namespace: bi}}],
              users: [{name: me, user: {token: t}}, {name: you, user: {username: you}}],
              clusters: [{name: one, cluster: {server: 'https://one'}}, {name: two, cluster: {server: 'https://two'}}]}",
        )
        .unwrap();
        let select = |context: Option<&str>, cluster: Option<&str>, user: Option<&str>| {
            let [context, cluster, user] = [context, cluster, user].map(|name| name.map(str::to_owned));
            from_kubeconfig(&kubeconfig, &KubeConfigOptions { context, cluster, user })
        };
        let there = select(Some("there"), None, None).unwrap();
        assert_eq!((there.cluster_url.host(), there.default_namespace.as_str()), (Some("two"), "bi"));
        let mixed = select(None, Some("two"), Some("you")).unwrap();
        assert_eq!((mixed.cluster_url.host(), mixed.auth_info.username.as_deref()), (Some("two"), Some("you")));
        assert!(select(Some("nowhere"), None, None).unwrap_err().to_string().contains("its context 'nowhere' does not exist"));
        assert!(select(None, Some("three"), None).unwrap_err().to_string().contains("the cluster 'three'"));
    }

    #[test]
    fn only_proxy_url_of_kubeconfig_is_used() {
        assert_eq!(parse("{server: 'https://k'}").unwrap().proxy_url, None);
        assert_eq!(parse("{server: 'https://k', proxy-url: ''}").unwrap().proxy_url, None);
        let through = parse("{server: 'https://k', proxy-url: 'http://p:3128'}").unwrap();
        assert_eq!(through.proxy_url.unwrap().to_string(), "http://p:3128/");
    }

    #[tokio::test]
    async fn client_can_be_created_with_a_proxy() {
        // Fails if another test of this process has installed it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let config = parse("{server: 'https://k', proxy-url: 'http://p:3128'}").unwrap();
        assert_eq!(Client::try_from(with_defaults(config)).unwrap().default_namespace(), "bi");
    }

    #[test]
    fn incomplete_kubeconfig_fields_are_named() {
        assert!(parse("{}").unwrap_err().to_string().contains("has no server"));
        assert!(parse("{server: 'localhost'}").unwrap_err().to_string().contains("is not a URL"));
        let bad = parse("{server: 'https://k', certificate-authority-data: '!'}").unwrap_err().to_string();
        assert!(bad.starts_with("failed to read the kubeconfig"), "{bad}");
        let empty = from_kubeconfig(&Kubeconfig::default(), &KubeConfigOptions::default()).unwrap_err().to_string();
        assert!(empty.contains("no current-context"), "{empty}");
    }

    #[test]
    fn certificate_authority_is_decoded() {
        // "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        let data = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBQUEKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=";
        let config = parse(&format!("{{server: 'https://k', certificate-authority-data: {data}}}")).unwrap();
        assert_eq!(config.root_cert, Some(vec![vec![0, 0, 0]]));
    }
}
