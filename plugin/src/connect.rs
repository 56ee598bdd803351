//! The connection to the API server: kubeconfig, overrides, proxy.

use std::fmt::Display;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::Uri;
use http::header::{HeaderValue, USER_AGENT};
use hyper_util::client::proxy::matcher::Matcher;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tabular_operator::controller::{ClientError, from_kubeconfig};

use crate::failure::Failure;

/// The user agent, which identifies the plugin in the audit of the API server.
const AGENT: &str = concat!("kubectl-tabular/", env!("CARGO_PKG_VERSION"));
/// Timeout for establishing a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum time between two parts of a response. A watch ends after [`crate::watch::WATCH_SECONDS`].
const READ_TIMEOUT: Duration = Duration::from_secs(75);

/// The flags of each command that calls the API server, as in kubectl.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Cluster")]
pub struct ConnectionArgs {
    /// Namespace. Default: the namespace of the context.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Path of the kubeconfig. Default: KUBECONFIG, or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig. Default: its current context.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,

    /// Cluster of the kubeconfig. Default: that of the context.
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,

    /// User of the kubeconfig. Default: that of the context.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// User to impersonate.
    #[arg(long = "as", value_name = "USER")]
    pub as_user: Option<String>,

    /// Group to impersonate. Repeat the flag for more.
    #[arg(long, value_name = "GROUP", requires = "as_user")]
    pub as_group: Vec<String>,

    /// Timeout of one request to the API server, such as 5s or 1m; 0 for none. A watch has none.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = crate::cli::timeout)]
    pub request_timeout: Duration,
}

impl ConnectionArgs {
    /// The flags that select the cluster and the user, for commands that are printed. Each has a blank in front of it, and those that
    /// impersonate are last.
    #[must_use]
    pub fn flags(&self) -> String {
        let kubeconfig = self.kubeconfig.as_ref().map(|path| path.to_string_lossy());
        let flags = [
            ("kubeconfig", kubeconfig.as_deref()),
            ("context", self.context.as_deref()),
            ("cluster", self.cluster.as_deref()),
            ("user", self.user.as_deref()),
            ("as", self.as_user.as_deref()),
        ];
        let groups = self.as_group.iter().map(|group| ("as-group", Some(group.as_str())));
        flags.into_iter().chain(groups).filter_map(|(flag, value)| Some(format!(" --{flag} {}", quoted(value?)))).collect()
    }
}

/// A word of a command line, for a POSIX shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// An open connection, and what the flags select.
#[derive(Clone)]
pub struct Connection {
    /// The client. It connects with the first request.
    pub client: Client,
    /// The namespace of the flags, or of the context.
    pub namespace: String,
    /// The timeout of one request; `None` for no limit.
    pub timeout: Option<Duration>,
}

/// Sets up a client. It connects with the first request. Must be called within a tokio runtime.
///
/// # Errors
/// If there is no kubeconfig, or an invalid one.
pub fn connect(args: &ConnectionArgs) -> Result<Connection, Failure> {
    let config = config(args)?;
    let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let program = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone());
    let client = Client::try_from(config).map_err(|error| match error {
        // The client calls the program of the kubeconfig that gets the credentials.
        kube::Error::Auth(_) => {
            let program = program.map(|program| format!(" by {program}")).unwrap_or_default();
            Failure::new(format!("failed to get the credentials of the kubeconfig{program}: {error}; install it, or log in again"))
        }
        kube::Error::ProxyProtocolUnsupported { .. } | kube::Error::ProxyProtocolDisabled { .. } => {
            Failure::new("the proxy has an unsupported scheme: set an http:// or https:// proxy")
        }
        error => unusable(args, &format_args!("failed to set up the client from the kubeconfig: {error}")),
    })?;
    Ok(Connection { client, namespace, timeout: Some(args.request_timeout).filter(|timeout| !timeout.is_zero()) })
}

/// A kubeconfig from which no client can be set up. The printed command selects the same files and entries.
fn unusable(args: &ConnectionArgs, cause: &dyn Display) -> Failure {
    Failure::new(format!("{cause}; check it with `kubectl config view{}`", args.flags()))
}

fn config(args: &ConnectionArgs) -> Result<Config, Failure> {
    let mut config = match read(args)? {
        Some(kubeconfig) => {
            let selected = KubeConfigOptions { context: args.context.clone(), cluster: args.cluster.clone(), user: args.user.clone() };
            let mut config = from_kubeconfig(&kubeconfig, &selected).map_err(|error| match error {
                // The message of the operator has its remedy, without the flags.
                ClientError::Kubeconfig(cause) => unusable(args, &format_args!("failed to read the kubeconfig: {cause}")),
                ClientError::Incomplete(cause) => unusable(args, &format_args!("failed to read the kubeconfig: {cause}")),
                ClientError::NotConfigured(_) | ClientError::Setup(_) => Failure::new(error.to_string()),
            })?;
            if config.proxy_url.is_none() {
                config.proxy_url = proxy(&config.cluster_url, |name| std::env::var(name).ok());
            }
            config
        }
        None => Config::incluster().map_err(|_| {
            Failure::new("no kubeconfig found: set --kubeconfig or KUBECONFIG, or run in a pod with a ServiceAccount token")
        })?,
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // Longer than a watch is silent: a connection that is lost without notice ends.
    config.read_timeout = Some(READ_TIMEOUT);
    // One call is one request: only the caller knows what a lost response means.
    config.default_retry = false;
    config.headers.push((USER_AGENT, HeaderValue::from_static(AGENT)));
    if let Some(user) = &args.as_user {
        config.auth_info.impersonate = Some(user.clone());
        config.auth_info.impersonate_groups = Some(args.as_group.clone()).filter(|groups| !groups.is_empty());
    }
    Ok(config)
}

/// Reads the kubeconfig. `None` if neither the files of `KUBECONFIG` nor the default one exist, and no flag needs one.
pub(crate) fn read(args: &ConnectionArgs) -> Result<Option<Kubeconfig>, Failure> {
    let invalid = |error: KubeconfigError| match error {
        KubeconfigError::ReadConfig(error, path) => {
            Failure::new(format!("failed to read the kubeconfig {}: {error}; correct --kubeconfig or KUBECONFIG", path.display()))
        }
        error => unusable(args, &error),
    };
    if let Some(path) = &args.kubeconfig {
        return Kubeconfig::read_from(path).map(Some).map_err(invalid);
    }
    // As in kubectl, an empty value counts as none.
    let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let mut paths: Vec<PathBuf> = std::env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty()).collect();
    if paths.is_empty() {
        paths.extend(std::env::home_dir().map(|home| home.join(".kube").join("config")));
    }
    let kubeconfig = merged(&paths).map_err(invalid)?;
    if kubeconfig.is_none() && (args.context.is_some() || args.cluster.is_some() || args.user.is_some()) {
        let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        let place = if paths.is_empty() { String::new() } else { format!(" at {}", paths.join(" or ")) };
        return Err(Failure::new(format!(
            "no kubeconfig found{place}, which --context, --cluster and --user need: set --kubeconfig or KUBECONFIG"
        )));
    }
    Ok(kubeconfig)
}

/// The kubeconfig of these files. A value is that of the first file that has it. As in kubectl, an empty `current-context` counts as none,
/// and a missing file is skipped; `None` if all are missing.
fn merged(paths: &[PathBuf]) -> Result<Option<Kubeconfig>, KubeconfigError> {
    let mut merged: Option<Kubeconfig> = None;
    for path in paths {
        let mut next = match Kubeconfig::read_from(path) {
            Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == ErrorKind::NotFound => continue,
            read => read?,
        };
        next.current_context = next.current_context.filter(|name| !name.is_empty());
        merged = Some(match merged {
            Some(merged) => merged.merge(next)?,
            None => next,
        });
    }
    Ok(merged)
}

/// The proxy for a server by the environment, by the rules of Go and so of kubectl: a local server has none.
fn proxy(server: &Uri, variable: impl Fn(&str) -> Option<String>) -> Option<Uri> {
    let set = |upper: &str| variable(upper).or_else(|| variable(&upper.to_lowercase())).unwrap_or_default();
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if local {
        return None;
    }
    let (http, https) = (set("HTTP_PROXY"), set("HTTPS_PROXY"));
    let url = if server.scheme_str() == Some("http") { http.clone() } else { https.clone() };
    Matcher::builder().http(http).https(https).no(set("NO_PROXY")).build().intercept(server)?;
    // As written, because the match has no credentials.
    let url = if url.contains("://") { url } else { format!("http://{url}") };
    url.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy_of(server: &str, variables: &[(&str, &str)]) -> Option<String> {
        let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        proxy(&server.parse().unwrap(), variable).map(|uri| uri.to_string())
    }

    #[test]
    fn flags_select_the_same_cluster_in_a_shell() {
        assert_eq!(ConnectionArgs { namespace: Some("bi".to_owned()), ..ConnectionArgs::default() }.flags(), "");
        let args = ConnectionArgs {
            kubeconfig: Some("/home/me/my config".into()),
            context: Some("arn:aws:eks:eu-west-1:1:cluster/bi".to_owned()),
            cluster: Some(String::new()),
            user: Some("me@corp.example".to_owned()),
            as_user: Some("o'neil; ls".to_owned()),
            as_group: vec!["system:masters".to_owned(), "$HOME".to_owned()],
            ..ConnectionArgs::default()
        };
        let expected = " --kubeconfig '/home/me/my config' --context arn:aws:eks:eu-west-1:1:cluster/bi --cluster '' --user me@corp.example --as 'o'\\''neil; ls' --as-group system:masters --as-group '$HOME'";
        assert_eq!(args.flags(), expected);
    }

    #[test]
    fn missing_files_of_a_list_are_skipped() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("a"), "current-context: a\ncontexts: [{name: a, context: {cluster: a}}]\n").unwrap();
        std::fs::write(at("b"), "current-context: b\ncontexts: [{name: b, context: {cluster: b}}]\n").unwrap();
        std::fs::write(at("unset"), "current-context: \"\"\ncontexts: [{name: c, context: {cluster: c}}]\n").unwrap();
        std::fs::write(at("invalid"), "contexts: 1\n").unwrap();
        let read = |names: &[&str]| merged(&names.iter().map(|name| at(name)).collect::<Vec<_>>());
        let both = read(&["missing", "a", "b"]).unwrap().unwrap();
        assert_eq!((both.current_context.as_deref(), both.contexts.len()), (Some("a"), 2));
        let second = read(&["unset", "b"]).unwrap().unwrap();
        assert_eq!((second.current_context.as_deref(), second.contexts.len()), (Some("b"), 2));
        assert!(read(&["missing"]).unwrap().is_none() && read(&[]).unwrap().is_none());
        assert!(read(&["a", "invalid"]).is_err());
    }

    #[test]
    fn command_that_shows_the_kubeconfig_has_the_flags() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        std::fs::write(&path, "contexts: [{name: a, context: {cluster: a}}]\n").unwrap();
        let args = ConnectionArgs { kubeconfig: Some(path), context: Some("gone".to_owned()), ..ConnectionArgs::default() };
        let cause = "failed to read the kubeconfig: its context 'gone' does not exist";
        assert_eq!(config(&args).unwrap_err().sentence, format!("{cause}; check it with `kubectl config view{}`", args.flags()));
    }

    #[test]
    fn proxy_follows_the_rules_of_kubectl() {
        let set = [("HTTPS_PROXY", "http://p:3128"), ("NO_PROXY", ".corp.example,10.0.0.0/8,")];
        assert_eq!(proxy_of("https://k8s.example:6443", &set).as_deref(), Some("http://p:3128/"));
        for direct in
            ["https://api.corp.example", "https://10.1.2.3:6443", "https://127.0.0.1:6443", "https://localhost", "https://[::1]:6443"]
        {
            assert_eq!(proxy_of(direct, &set), None, "{direct}");
        }
        assert_eq!(proxy_of("http://k8s.example", &set), None);
        assert_eq!(proxy_of("https://k8s.example", &[("https_proxy", "http://lower:1")]).as_deref(), Some("http://lower:1/"));
        assert_eq!(proxy_of("https://k8s.example", &[]), None);
        let with_password = proxy_of("https://k8s.example", &[("HTTPS_PROXY", "http://me:pw@p:3128")]);
        assert_eq!(with_password.as_deref(), Some("http://me:pw@p:3128/"));
    }
}
