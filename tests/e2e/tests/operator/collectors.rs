//! The trace collector, available and failing: it never blocks a run.

use e2e::collector::{Collector, ResponseMode};
use e2e::{Operator, TestSetup, World, eventually};
use serde_json::{Value, json};
use tabular_operator::api::RunState;

/// An operator that sends its spans to `collector` without delay.
pub(crate) async fn traced(name: &str, collector: &Collector, model: Option<Value>) -> (World, Operator) {
    traced_to(name, collector.url(), &[("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer planted-header")], model).await
}

async fn traced_to(name: &str, url: &str, more: &[(&str, &str)], model: Option<Value>) -> (World, Operator) {
    let usual = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        // The proxy of these tests only serves the local Azure.
        ("NO_PROXY", "127.0.0.1"),
    ];
    let environment = usual.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    World::running(name, TestSetup { model, environment, ..TestSetup::default() }).await
}

fn warnings(operator: &Operator) -> usize {
    operator.log().lines().filter(|line| line.contains("failed to send spans")).count()
}

/// Number of spans counted with this result.
async fn spans_of(operator: &mut Operator, result: &str) -> usize {
    let name = format!("tabular_operator_trace_spans_total{{result=\"{result}\"}} ");
    let metrics = operator.metrics().await;
    metrics.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
}

/// Waits until lost spans are counted.
async fn until_lost(operator: &mut Operator) {
    let lost = |line: &str| line.starts_with("tabular_operator_trace_spans_total{result=\"error\"}") && !line.ends_with(" 0");
    eventually("the loss to be counted", async || operator.metrics().await.lines().any(lost).then_some(())).await;
}

#[tokio::test]
async fn failing_collector_blocks_no_run_and_is_logged_once() {
    let refusing = Collector::start().await;
    refusing.set_response(ResponseMode::Reject);
    for (name, url) in [("untraced", refusing.url().to_owned()), ("traced-nowhere", Collector::gone().await)] {
        let (world, mut operator) = traced_to(name, &url, &[], None).await;
        for run in ["one", "two"] {
            let of_model = world.put_database(run, &json!({"durationMillis": 500})).await;
            world.apply(run, &of_model).await;
            world.until_state(run, RunState::Succeeded).await;
            until_lost(&mut operator).await;
        }
        assert_eq!(warnings(&operator), 1, "{}", operator.log());
        assert!(operator.terminate().await.success());
    }
    assert!(refusing.spans().is_empty());
}

#[tokio::test]
async fn tls_collector_is_trusted_only_by_its_authority() {
    let (collector, authority) = Collector::start_tls().await;
    let file = e2e::TestEnvironment::get().directory().join("collector-authority.pem");
    std::fs::write(&file, authority).unwrap();
    for (name, trusted) in [("traced-tls", true), ("untrusted-tls", false)] {
        let certificate = [("OTEL_EXPORTER_OTLP_CERTIFICATE", file.to_str().unwrap())];
        let more = if trusted { certificate.as_slice() } else { &[] };
        let before = collector.spans().len();
        let (world, mut operator) = traced_to(name, collector.url(), more, None).await;
        world.apply("orders", &json!({})).await;
        world.until_state("orders", RunState::Succeeded).await;
        if trusted {
            let came = || collector.spans().iter().any(|span| span.name.starts_with("run of"));
            eventually("the span of the run", async || came().then_some(())).await;
        } else {
            until_lost(&mut operator).await;
            assert_eq!(collector.spans().len(), before);
        }
        assert_eq!(warnings(&operator), usize::from(!trusted), "{}", operator.log());
    }
}

/// Each batch waits 10 s for its response: an operator that blocked on it would not complete any run here.
#[tokio::test]
async fn hanging_collector_delays_no_run_and_queue_is_bounded() {
    let collector = Collector::start().await;
    collector.set_response(ResponseMode::Hang);
    let (queue, batch) = (32, 16);
    let limits = [("OTEL_BSP_MAX_QUEUE_SIZE", queue.to_string()), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", batch.to_string())];
    let limits = limits.each_ref().map(|(name, value)| (*name, value.as_str()));
    let (world, mut operator) = traced_to("traced-hanging", collector.url(), &limits, None).await;
    let runs: Vec<String> = (0..24).map(|number| format!("run-{number}")).collect();
    for run in &runs {
        let of_model = world.put_database(run, &json!({"notStartedMillis": 0, "durationMillis": 500})).await;
        world.apply(run, &of_model).await;
    }
    for run in &runs {
        world.until_state(run, RunState::Succeeded).await;
    }
    // One span per call; per run one for the whole, one for its wait and one for its operation.
    let spans = world.azure.requests_by(&world.client_id).await.len() + 3 * runs.len();
    assert!(spans > 2 * (queue + batch), "only {spans} spans were created");
    // Spans dropped from a full queue are counted immediately, before the first batch times out.
    eventually("the loss to be counted", async || (spans_of(&mut operator, "error").await + queue + batch >= spans).then_some(())).await;
    eventually("the warning in the log", async || (warnings(&operator) == 1).then_some(())).await;
    // It now receives the kept spans, but not the lost ones.
    collector.set_response(ResponseMode::Accept);
    eventually("the recovery in the log", async || operator.log().contains("accepts spans again").then_some(())).await;
    // Each span is counted once it is sent or lost, so nothing is sent afterwards.
    let kept = eventually("the queue to be sent, and each span to be counted", async || {
        let (sent, lost) = (spans_of(&mut operator, "success").await, spans_of(&mut operator, "error").await);
        let kept = collector.spans().len();
        (kept > 0 && sent == kept && sent + lost >= spans).then_some(kept)
    })
    .await;
    assert!(kept <= queue + batch, "{kept} spans were kept");
    collector.set_response(ResponseMode::Hang);
    let began = std::time::Instant::now();
    assert!(operator.terminate().await.success());
    assert!(began.elapsed() < std::time::Duration::from_secs(8), "its exit waits 2 s for the collector, and took {:?}", began.elapsed());
}
