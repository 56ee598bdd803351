//! Start-up time of a process, according to its own probe, and the figures that do not depend on the number of resources.

use std::time::{Duration, Instant};

use e2e::{Operator, OperatorSettings, TestEnvironment};
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::program::Program;
use crate::setup::{Bench, milliseconds, peak_mib};
use crate::table::Target::{AtMost, None as Untold};
use crate::table::{self, head, row};

/// Number of processes started for the start-up times.
const STARTS: usize = 11;
/// Interval between polls: the error of a figure.
const INTERVAL: Duration = Duration::from_millis(1);
/// A process that is not ready by then never will be.
const DEADLINE: Duration = Duration::from_mins(1);

/// The time until `/readyz` of a process reported readiness.
#[derive(Clone, Copy)]
pub struct Ready {
    /// Since before the start: includes loading the program and seeding its random numbers before the first handshake.
    pub since_start: Duration,
    /// Since the API server's first response, which only the operator logs.
    pub since_response: Option<Duration>,
}

/// Starts a process while the API server responds, and waits until it is ready.
pub async fn ready(settings: &OperatorSettings, environment: &'static TestEnvironment) -> (Operator, Ready) {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = free.local_addr().expect("the listener is bound");
    drop(free);
    let mut settings = settings.clone();
    settings.arguments.extend(["--metrics-address=127.0.0.1:0".to_owned(), format!("--health-address={address}")]);
    let began = Instant::now();
    let operator = Operator::start_as_is(&settings, environment.guard());
    while !is_ready(address).await {
        assert!(began.elapsed() < DEADLINE, "the process is not ready: see {}", settings.log.display());
        tokio::time::sleep(INTERVAL).await;
    }
    let (since_start, now) = (began.elapsed(), Timestamp::now());
    let responded = operator.log().lines().find_map(first_response);
    let since_response = responded.and_then(|responded| Duration::try_from(now.duration_since(responded)).ok());
    (operator, Ready { since_start, since_response })
}

/// The time of the log line about the first response.
fn first_response(line: &str) -> Option<Timestamp> {
    let line: Value = serde_json::from_str(line).ok()?;
    (line["message"] == "the Kubernetes API responds").then(|| line["timestamp"].as_str()?.parse().ok())?
}

async fn is_ready(address: std::net::SocketAddr) -> bool {
    let Ok(mut probe) = TcpStream::connect(address).await else { return false };
    let mut response = Vec::new();
    let asked = probe.write_all(b"GET /readyz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n").await;
    asked.is_ok() && probe.read_to_end(&mut response).await.is_ok() && response.starts_with(b"HTTP/1.1 200")
}

/// Prints the figures of a process without resources.
pub async fn figures(bench: &Bench) {
    bench.namespace("starts").await;
    let (mut of_start, mut of_response, mut peak) = (Vec::new(), Vec::new(), 0.0_f64);
    for _ in 0..STARTS {
        let (mut operator, ready) = bench.process(Program::Operator, "starts", &[]).await;
        of_start.push(milliseconds(ready.since_start));
        of_response.push(milliseconds(ready.since_response.expect("the first response is logged")));
        peak = peak.max(peak_mib(&operator));
        operator.terminate().await;
    }
    of_start.sort_by(f64::total_cmp);
    of_response.sort_by(f64::total_cmp);
    let binary = e2e::paths::operator().metadata().expect("the binary exists").len();
    head("the program");
    row("size", binary as f64 / 1e6, table::MB, AtMost(15.0));
    row("memory without resources", peak, table::MIB, Untold);
    row("ready after the API server's first response: p50", of_response[STARTS / 2], table::MILLISECONDS, AtMost(100.0));
    row("… the longest", of_response[STARTS - 1], table::MILLISECONDS, Untold);
    row("ready after the start of the program: p50", of_start[STARTS / 2], table::MILLISECONDS, Untold);
    row("… the longest", of_start[STARTS - 1], table::MILLISECONDS, Untold);
}
