//! Start-up time of a process, according to its own probe.

use std::time::{Duration, Instant};

use e2e::{Operator, OperatorSettings, TestEnvironment};
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Interval between polls: the error of a figure.
const INTERVAL: Duration = Duration::from_millis(1);
/// A process that is not ready by then never will be.
const DEADLINE: Duration = Duration::from_mins(1);

/// The time until `/readyz` of a process reported readiness.
#[derive(Clone, Copy)]
pub struct Ready {
    /// Since before the start: includes loading the program and seeding its random numbers before the first handshake.
    pub since_start: Duration,
    /// Since the API server's first response.
    pub since_response: Duration,
}

/// Starts a process while the API server responds, and waits until it is ready.
pub async fn ready(settings: &OperatorSettings, environment: &'static TestEnvironment) -> (Operator, Ready) {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = free.local_addr().expect("the listener is bound");
    drop(free);
    let mut settings = settings.clone();
    settings.arguments.extend([format!("--metrics-address={address}"), "--health-address=127.0.0.1:0".to_owned()]);
    let began = Instant::now();
    let operator = Operator::start_as_is(&settings, environment.guard());
    while !is_ready(address).await {
        assert!(began.elapsed() < DEADLINE, "the operator is not ready: see {}", settings.log.display());
        tokio::time::sleep(INTERVAL).await;
    }
    let (since_start, now) = (began.elapsed(), Timestamp::now());
    let responded = operator.log().lines().find_map(first_response).expect("the first response is logged");
    let since_response = Duration::try_from(now.duration_since(responded)).unwrap_or_default();
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
