//! Observability of a run: its trace, log, metrics and events.

use e2e::collector::{Collector, attribute, hex};
use e2e::world::{first_lasts, run};
use e2e::{TestSetup, World, eventually};
use serde_json::{Value, json};
use tabular_operator::api::{Reason, RunState};

use crate::collectors::traced;

#[tokio::test]
async fn run_is_one_trace_across_restart() {
    let collector = Collector::start().await;
    let (world, mut operator) = traced("traced", &collector, Some(first_lasts())).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Running).await;
    // Unsent spans are lost with the process.
    let sent = |name: &str| collector.spans().iter().any(|span| span.name == name);
    eventually("the first spans", async || (sent("POST refreshes") && sent("waiting")).then_some(())).await;
    operator.kill();
    operator.restart();
    world.azure.end_running(&world.model()).await;
    let done = world.until_state("orders", RunState::Succeeded).await;
    eventually("the span of the whole run", async || collector.spans().iter().any(|span| span.name.starts_with("run of")).then_some(()))
        .await;

    let (spans, record, uid) = (collector.spans(), run(&done), done.metadata.uid.clone().unwrap());
    let of = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let root = of("run of ModelRefresh");
    assert_eq!(root.len(), 1, "{spans:#?}");
    let root = root[0];
    assert!(root.parent_span_id.is_empty());
    for span in &spans {
        assert_eq!(span.trace_id, root.trace_id, "{} has another trace id", span.name);
        assert!(span.span_id == root.span_id || span.parent_span_id == root.span_id, "{} has another parent", span.name);
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{}", span.name);
        for (key, value) in [
            ("tabular.kind", "ModelRefresh"),
            ("k8s.namespace.name", world.namespace.as_str()),
            ("tabular.name", "orders"),
            ("tabular.uid", &uid),
            ("tabular.run", "1"),
        ] {
            assert_eq!(attribute(span, key).as_deref(), Some(value), "{key} of {}", span.name);
        }
    }
    let operation = of("operation");
    assert_eq!(operation.len(), 1);
    for span in [root, operation[0]] {
        assert_eq!(attribute(span, "tabular.operation_id"), record.operation_id);
        assert_eq!(attribute(span, "tabular.activity_id"), record.activity_id);
        assert_eq!(span.status.as_ref().unwrap().code, 1);
    }
    assert_eq!((of("waiting").len(), of("POST refreshes").len()), (1, 1));
    assert!(
        !of("token of service principal").is_empty() && !of("GET refresh").is_empty(),
        "{:?}",
        spans.iter().map(|span| &span.name).collect::<Vec<_>>()
    );
    let polls = of("GET refresh");
    let poll = polls.last().unwrap();
    assert_eq!(attribute(poll, "tabular.operation_id"), record.operation_id);
    assert_eq!(attribute(poll, "http.response.status_code").as_deref(), Some("200"));
    assert_eq!(attribute(poll, "server.address").as_deref(), Some("westus.asazure.windows.net"));
    assert!(root.end_time_unix_nano - root.start_time_unix_nano > 3_000_000_000);
    assert!(collector.senders().contains(&("service.name".to_owned(), "tabular-operator".to_owned())), "{:?}", collector.senders());
    let reported = collector.text() + &operator.log();
    assert!(!reported.contains("planted-header") && !reported.contains("Bearer"), "the spans contain a secret");

    // The exemplar in the metrics refers to the trace.
    let hex = hex(&root.trace_id);
    let metrics = operator.metrics_as("application/openmetrics-text").await;
    let example = metrics.lines().find(|line| line.contains("run_duration_seconds_bucket") && line.contains(" # {"));
    assert!(example.is_some_and(|line| line.contains(&format!("trace_id=\"{hex}\""))), "{hex} is not in {example:?}");
}

#[tokio::test]
async fn run_appears_in_log_and_metrics() {
    let (world, mut operator) = World::running("logged", TestSetup::default()).await;
    let done = world.apply("orders", &json!({"backoffLimit": 0})).await;
    let uid = done.metadata.uid.clone().unwrap();
    let done = world.until_state("orders", RunState::Succeeded).await;
    let record = run(&done);
    // A log line is written after its status write.
    let log = eventually("the last line", async || Some(operator.log()).filter(|log| log.contains(r#""state":"Succeeded""#))).await;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    let reported: Vec<&Value> = lines.iter().filter(|line| line["run"] == 1).collect();
    let states: Vec<&str> = reported.iter().map(|line| line["state"].as_str().unwrap_or_default()).collect();
    assert_eq!(states, ["Submitting", "Running", "Succeeded"], "{log}");
    for line in &reported {
        assert_eq!((&line["namespace"], &line["name"]), (&json!(world.namespace), &json!("orders")));
        assert_eq!((&line["uid"], &line["kind"], &line["attempt"]), (&json!(uid), &json!("ModelRefresh"), &json!(1)));
    }
    for line in &reported[1..] {
        assert_eq!(line["operation"], json!(record.operation_id));
    }
    assert_eq!(reported[2]["activity"], json!(record.activity_id), "{}", reported[2]);

    let metrics = operator.metrics().await;
    for line in [
        r#"runs_requested_total{kind="ModelRefresh",trigger="Creation"} 1"#,
        r#"runs_ended_total{kind="ModelRefresh",state="Succeeded",reason="Succeeded"} 1"#,
        r#"run_wait_seconds_count{kind="ModelRefresh"} 1"#,
        r#"run_duration_seconds_count{kind="ModelRefresh",state="Succeeded"} 1"#,
        r#"run_end_lag_seconds_count{kind="ModelRefresh"} 1"#,
        r#"service_calls_total{service="analysis-services",operation="submit",code="2xx"} 1"#,
        r#"token_requests_total{identity="service-principal",result="success"} 1"#,
        r#"trace_spans_total{result="success"} 0"#,
    ] {
        assert!(metrics.contains(&format!("tabular_operator_{line}\n")), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn kubectl_describe_shows_run_history() {
    let (world, _operator) = World::running("described", TestSetup::with_model(json!({"outcome": "failed"}))).await;
    world.apply("orders", &json!({})).await;
    world.until_state("orders", RunState::Failed).await;
    let wanted = [("Normal", "Running"), ("Warning", "RefreshFailed")];
    let description = eventually("the events", async || {
        let text = world.environment.control_plane.kubectl(&["describe", "mref", "orders", "--namespace", &world.namespace]).await;
        let events = text.split("\nEvents:").nth(1).unwrap_or_default().to_owned();
        wanted.iter().all(|(_, reason)| events.contains(reason)).then_some(events)
    })
    .await;
    // Each once, in order, with its documented type and an entry in the reference.
    let rows: Vec<Vec<&str>> = description.lines().skip(3).map(|line| line.split_whitespace().collect()).collect();
    let reported: Vec<(&str, &str)> = rows.iter().filter(|row| row.len() > 3).map(|row| (row[0], row[1])).collect();
    assert_eq!(reported, wanted, "{description}");
    let reference = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/events.md")).unwrap();
    for (kind, reason) in reported {
        assert!(reference.contains(&format!("| `{reason}` | {kind} |")), "{reason} ({kind}) is not in the reference");
        assert!(Reason::parse(reason).is_some());
    }
}
