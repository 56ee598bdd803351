//! The binary: its output, exit codes and refusals.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

struct Running {
    child: Child,
    ready: Value,
    directory: std::path::PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_simulator"))
}

fn start(name: &str, arguments: &[&str]) -> Running {
    let directory = std::env::temp_dir().join(format!("simulator-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut child = command()
        .args(arguments)
        .arg("--ca-file")
        .arg(directory.join("ca.pem"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    Running { child, ready: serde_json::from_str(&line).unwrap(), directory }
}

#[tokio::test]
async fn binary_announces_readiness_and_exits_with_parent() {
    let mut running = start("parent", &["--parent-exits"]);
    let address = |name: &str| running.ready[name].as_str().unwrap().to_owned();
    let ca = std::fs::read(address("caFile")).unwrap();
    let http = reqwest::Client::builder()
        .proxy(reqwest::Proxy::https(address("proxy")).unwrap())
        .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
        .build()
        .unwrap();
    let form = "grant_type=client_credentials&client_id=11111111-0000-4000-8000-000000000001&client_secret=example-secret&scope=https://*.asazure.windows.net/.default";
    let url = "https://login.microsoftonline.com/72f988bf-0000-4000-8000-000000000001/oauth2/v2.0/token";
    let response = http.post(url).header("content-type", "application/x-www-form-urlencoded").body(form).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(plain.get(format!("{}/healthz", address("control"))).send().await.unwrap().status(), 200);
    drop(running.child.stdin.take());
    assert_eq!(running.child.wait().unwrap().code(), Some(0));
}

#[test]
fn sigterm_exits_with_0() {
    let mut running = start("sigterm", &[]);
    let killed = Command::new("kill").arg("-TERM").arg(running.child.id().to_string()).status().unwrap();
    assert!(killed.success());
    assert_eq!(running.child.wait().unwrap().code(), Some(0));
}

#[test]
fn world_file_is_read_and_invalid_ones_refused() {
    let directory = std::env::temp_dir().join(format!("simulator-worlds-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let world = directory.join("world.yaml");
    let refused = |text: &str| {
        std::fs::write(&world, text).unwrap();
        let output = command().args(["--ca-file", "/nonexistent/ca.pem", "--world"]).arg(&world).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, sentence) = refused("modls: []");
    assert!(code == Some(2) && sentence.contains("modls"), "{sentence}");
    let (code, sentence) = refused("models: [{server: nowhere, database: M}]");
    assert!(code == Some(2) && sentence.contains("nowhere"), "{sentence}");
    let (code, sentence) = refused("{\"models\": []}");
    assert!(code == Some(1) && sentence.contains("/nonexistent/ca.pem"), "{sentence}");
    let output = command().args(["--ca-file", "x", "--proxy-address", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn help_shows_usage_examples() {
    let mut child = command().arg("--help").stdout(Stdio::piped()).spawn().unwrap();
    let mut help = String::new();
    child.stdout.take().unwrap().read_to_string(&mut help).unwrap();
    assert!(child.wait().unwrap().success());
    for word in ["--proxy-address", "--control-address", "--ca-file", "--world", "--parent-exits", "curl", "example-secret"] {
        assert!(help.contains(word), "{word}");
    }
}
