//! The cost of the per-resource metrics: how long a scrape takes, and the memory that they need.

use std::time::{Duration, Instant};

use e2e::{Operator, Usage, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Number of scrapes, of which the longest counts.
const SCRAPES: usize = 21;

/// The scrapes of one process.
#[derive(Clone, Copy)]
pub struct Scrapes {
    /// Duration of the longest.
    pub longest: Duration,
    /// Size of one, in bytes.
    pub bytes: usize,
    /// The resident memory of the process after all of them, in MiB.
    pub resident_mib: f64,
}

/// Scrapes a process that has metrics of this many resources.
pub async fn scrapes(operator: &mut Operator, resources: usize) -> Scrapes {
    let address = operator.metrics_address().await;
    let shown = |text: &str| text.matches("\ntabular_operator_resource_info{").count();
    eventually("the metrics of all resources", async || (shown(&scrape(&address).await) == resources).then_some(())).await;
    let (mut longest, mut bytes) = (Duration::ZERO, 0);
    for _ in 0..SCRAPES {
        let began = Instant::now();
        bytes = scrape(&address).await.len();
        longest = longest.max(began.elapsed());
    }
    Scrapes { longest, bytes, resident_mib: Usage::of(operator.pid()).resident_kib as f64 / 1024.0 }
}

/// One scrape, as Prometheus does it. HTTP/1.0 has no chunks, so the response is the text.
async fn scrape(address: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("the operator serves metrics");
    let request = "GET /metrics HTTP/1.0\r\nhost: bench\r\naccept: application/openmetrics-text\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("failed to request the metrics");
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("failed to read the metrics");
    assert!(response.ends_with("# EOF\n"), "the metrics are incomplete");
    response
}
