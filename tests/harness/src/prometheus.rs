//! A real Prometheus that scrapes operators every second, with rules, asked by its HTTP API as Grafana does.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::guard::Guard;
use crate::{tools, wait};

/// How often it scrapes, and looks at its rules.
const INTERVAL: &str = "1s";

/// A running Prometheus, with its data in a directory of its own.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    guard: &'static Guard,
    url: String,
    http: reqwest::Client,
}

impl Prometheus {
    /// Starts it for these targets (`host:port`), as a monitor in the namespace `tabular-system` would find them, with the rules of a file,
    /// and waits until it is ready. Everything of it is in `directory`.
    pub async fn start(directory: &Path, guard: &'static Guard, targets: &[String], rules: &Path) -> Self {
        fs::create_dir_all(directory).expect("failed to make its directory");
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
        // Free when it was asked; nobody else on this machine asks for a number of its own.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free").port();
        let child = Command::new(tools::directory().join("prometheus"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--enable-feature=exemplar-storage")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("failed to make its log"))
            .spawn()
            .expect("failed to start prometheus");
        guard.watch(child.id());
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a plain client can be made");
        let mut prometheus = Self { child, guard, url: format!("http://127.0.0.1:{port}"), http };
        wait::eventually("Prometheus to be ready", async || {
            let ended = prometheus.child.try_wait().expect("failed to look at it");
            assert!(ended.is_none(), "Prometheus has ended: {}", fs::read_to_string(&log).unwrap_or_default());
            let answer = prometheus.http.get(format!("{}/-/ready", prometheus.url)).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        prometheus
    }

    /// What it answers to a request of its API, below `/api/v1/`.
    ///
    /// # Errors
    /// What it says is wrong.
    pub async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let request = self.http.get(format!("{}/api/v1/{path}", self.url)).query(parameters);
        let answer = request.send().await.expect("Prometheus answers");
        let answer: Value = answer.json().await.expect("its answer is JSON");
        if answer["status"] == "success" { Ok(answer["data"].clone()) } else { Err(answer["error"].to_string()) }
    }

    /// The series that a query has now.
    ///
    /// # Errors
    /// Why it is no query.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let data = self.ask("query", &[("query", query)]).await?;
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
