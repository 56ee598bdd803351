//! A real Prometheus with rules that scrapes operators every second; queried over its HTTP API, as Grafana does.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::guard::Guard;
use crate::{tools, wait};

/// The interval of scrapes and rule evaluations.
const INTERVAL: &str = "1s";

/// A running Prometheus, with its data in its own directory.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    guard: &'static Guard,
    url: String,
    http: reqwest::Client,
}

impl Prometheus {
    /// Starts it for these targets (`host:port`), as discovered by a monitor in the namespace `tabular-system`, with the rules of a file,
    /// and waits until it is ready. All of its files are in `directory`.
    pub async fn start(directory: &Path, guard: &'static Guard, targets: &[String], rules: &Path) -> Self {
        fs::create_dir_all(directory).expect("failed to create its directory");
        let scrape = json!({
            "job_name": "tabular-operator",
            "static_configs": [{"targets": targets, "labels": {"namespace": "tabular-system", "pod": "tabular-operator-0"}}],
        });
        let config = json!({
            "global": {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": INTERVAL},
            "rule_files": [rules],
            "scrape_configs": [scrape],
        });
        let (file, log) = (directory.join("prometheus.yaml"), directory.join("prometheus.log"));
        fs::write(&file, config.to_string()).expect("failed to write its configuration");
        // Other processes on this machine use ports assigned by the kernel, so this one stays free.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free").port();
        let child = Command::new(tools::directory().join("prometheus"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--enable-feature=exemplar-storage")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("failed to create its log"))
            .spawn()
            .expect("failed to start prometheus");
        guard.watch(child.id());
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("the client is created");
        let mut prometheus = Self { child, guard, url: format!("http://127.0.0.1:{port}"), http };
        wait::eventually("Prometheus to be ready", async || {
            let ended = prometheus.child.try_wait().expect("failed to poll Prometheus");
            assert!(ended.is_none(), "Prometheus exited: {}", fs::read_to_string(&log).unwrap_or_default());
            let response = prometheus.http.get(format!("{}/-/ready", prometheus.url)).send().await.ok()?;
            response.status().is_success().then_some(())
        })
        .await;
        prometheus
    }

    /// Its response to a request below `/api/v1/`.
    ///
    /// # Errors
    /// The error that it reports.
    pub async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let request = self.http.get(format!("{}/api/v1/{path}", self.url)).query(parameters);
        let response = request.send().await.expect("Prometheus responds");
        let response: Value = response.json().await.expect("its response is JSON");
        if response["status"] == "success" { Ok(response["data"].clone()) } else { Err(response["error"].to_string()) }
    }

    /// The current series of a query.
    ///
    /// # Errors
    /// The reason why the query is invalid.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let data = self.get("query", &[("query", query)]).await?;
        Ok(data["result"].as_array().cloned().unwrap_or_default())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.guard.ended(self.child.id());
    }
}
