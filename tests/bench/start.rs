//! How soon a process is ready, as its own probe tells.

use std::time::{Duration, Instant};

use harness::{Operator, OperatorSettings, Site};
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Between two looks: what a figure may be too large by.
const PAUSE: Duration = Duration::from_millis(1);
/// A process that is not ready by then never will be.
const DEADLINE: Duration = Duration::from_mins(1);

/// How long a process took until its `/readyz` said so.
#[derive(Clone, Copy)]
pub struct Ready {
    /// Since before it was started: loading the program counts, and seeding its random numbers, before the first handshake.
    pub since_start: Duration,
    /// Since the API server first answered it.
    pub since_answer: Duration,
}

/// Starts a process where the API server answers, and waits until it is ready.
pub async fn ready(settings: &OperatorSettings, site: &'static Site) -> (Operator, Ready) {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let address = free.local_addr().expect("it has an address");
    drop(free);
    let mut settings = settings.clone();
    settings.arguments.extend([format!("--metrics-address={address}"), "--health-address=127.0.0.1:0".to_owned()]);
    let began = Instant::now();
    let operator = Operator::start_as_is(&settings, site.guard());
    while !is_ready(address).await {
        assert!(began.elapsed() < DEADLINE, "the operator is not ready: see {}", settings.log.display());
        tokio::time::sleep(PAUSE).await;
    }
    let (since_start, now) = (began.elapsed(), Timestamp::now());
    let answered = operator.log().lines().find_map(first_answer).expect("the first answer is logged");
    let since_answer = Duration::try_from(now.duration_since(answered)).unwrap_or_default();
    (operator, Ready { since_start, since_answer })
}

/// The time of the line that tells of the first answer.
fn first_answer(line: &str) -> Option<Timestamp> {
    let line: Value = serde_json::from_str(line).ok()?;
    (line["message"] == "the Kubernetes API answers").then(|| line["timestamp"].as_str()?.parse().ok())?
}

async fn is_ready(address: std::net::SocketAddr) -> bool {
    let Ok(mut probe) = TcpStream::connect(address).await else { return false };
    let mut answer = Vec::new();
    let asked = probe.write_all(b"GET /readyz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n").await;
    asked.is_ok() && probe.read_to_end(&mut answer).await.is_ok() && answer.starts_with(b"HTTP/1.1 200")
}
