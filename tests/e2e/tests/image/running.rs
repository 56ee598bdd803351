//! The operator running in the image only: a read-only file system with the kubelet's files, a user without a name, and no capabilities.
//! It could lack: the C library's own files, a certificate store, time zones, `/tmp`, `/etc/passwd`, `/proc`, a shell, and name
//! resolution.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use e2e::pod::{self, Mounts};
use e2e::{Operator, OperatorSettings, World, rbac};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::json;
use tabular_operator::api::RunState;

use crate::layout::Image;
use crate::nameserver::NameServer;
use crate::scratch;

/// The path of the local Azure's authority, as in a volume.
const EXTRA_AUTHORITY: &str = "etc/tabular-operator/extra-ca.pem";

#[tokio::test]
async fn runs_succeed_with_proxy_from_name_server() {
    let Some(world) = world("by-dns").await else { return };
    let Some(server) = NameServer::start(&format!("egress.{}.svc.cluster.local", world.namespace)) else {
        return eprintln!("not tested: name resolution by a name server needs root (port 53)");
    };
    let mut operator = start(&world, "127.0.0.1 localhost\n", &NameServer::resolver(&world.namespace)).await;
    whole_run(&world, &mut operator).await;
    assert!(server.asked().contains(&format!("egress.{}.svc.cluster.local", world.namespace)), "{:?}", server.asked());
}

#[tokio::test]
async fn runs_succeed_with_proxy_from_hosts_file() {
    let Some(world) = world("by-hosts").await else { return };
    // As with `hostAliases`. The name server does not respond.
    let mut operator = start(&world, "127.0.0.1 localhost\n127.0.0.1 egress\n", "nameserver 127.53.0.2\n").await;
    whole_run(&world, &mut operator).await;
}

/// A world, if this machine can run programs as in a pod.
async fn world(name: &str) -> Option<World> {
    match pod::missing_support() {
        Some(why) => {
            eprintln!("not tested: the image in a pod's environment needs namespaces: {why}");
            None
        }
        None => Some(World::new(name).await),
    }
}

/// Starts the operator in the image, and waits until it is ready.
async fn start(world: &World, hosts: &str, resolver: &str) -> Operator {
    let root = scratch(&world.namespace);
    Image::ours().unpack(&root);
    let token = rbac::token(&world.client, &world.namespace).await;
    let authority = Api::<ConfigMap>::namespaced(world.client.clone(), rbac::OPERATORS).get("kube-root-ca.crt").await.unwrap();
    let account = [token.as_str(), rbac::OPERATORS, authority.data.unwrap()["ca.crt"].as_str()].map(str::to_owned);
    Mounts { account: [&account[0], &account[1], &account[2]], hosts, resolver }.put_into(&root);
    let settings = world.operator_settings();
    pod::add(&root, EXTRA_AUTHORITY, &fs::read_to_string(&settings.authority).unwrap());

    let (host, port) = world.environment.control_plane.url().trim_start_matches("https://").split_once(':').unwrap();
    let settings = OperatorSettings {
        proxy: format!("http://egress:{}", settings.proxy.rsplit(':').next().unwrap()),
        authority: Path::new("/").join(EXTRA_AUTHORITY),
        environment: [("KUBERNETES_SERVICE_HOST", host), ("KUBERNETES_SERVICE_PORT", port), ("HOSTNAME", "tabular-operator-0")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        pod: Some(root),
        ..settings.clone()
    };
    let began = Instant::now();
    let mut operator = Operator::start(&settings, world.environment.guard());
    operator.ready().await;
    eprintln!("ready after {} ms, in {} KiB of memory", began.elapsed().as_millis(), resident(&operator));
    operator
}

/// A refresh in another time zone than this machine's, its sync, and a shutdown as by Kubernetes.
async fn whole_run(world: &World, operator: &mut Operator) {
    assert_unprivileged(operator);
    world.apply("orders", &json!({"trigger": {"onChange": true, "schedule": "0 5 * * *", "timeZone": "Europe/Rome"}})).await;
    let orders = world.until_state("orders", RunState::Succeeded).await;
    assert!(orders.status.unwrap().next_schedule_time.is_some(), "the time zone must be known");
    world.apply("modelsync/replicas", &json!({})).await;
    world.until_state("modelsync/replicas", RunState::Succeeded).await;
    let log = operator.log();
    assert!(log.contains("Mozilla"), "the log must name the certificate authorities:\n{log}");
    let complaints: Vec<&str> =
        log.lines().filter(|line| line.contains(r#""level":"WARN""#) || line.contains(r#""level":"ERROR""#)).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert_eq!(operator.terminate().await.code(), Some(0));
}

/// The process cannot gain more privileges.
fn assert_unprivileged(operator: &Operator) {
    let status = status(operator);
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    for capabilities in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(field(capabilities), "0000000000000000", "{capabilities}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
    let program = PathBuf::from(format!("/proc/{}/exe", operator.pid()));
    assert!(fs::read_link(program).is_ok_and(|program| program.ends_with("tabular-operator")), "the process must run the image's program");
}

fn resident(operator: &Operator) -> u64 {
    let status = status(operator);
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn status(operator: &Operator) -> String {
    fs::read_to_string(format!("/proc/{}/status", operator.pid())).unwrap()
}
