//! Tests that the metrics match their documentation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Ended, Metrics, ResourceRow, ResourceTable, Submitted};
use crate::api::{Kind, Reason, RunState};
use crate::operation::{CallKind, CallRecord, CallTarget, IdentityKind, OperationKind, ServiceKind};
use crate::telemetry::labels::{Collection, ENDS, ExportResult, ReconcileResult, SubmissionResolution, Write, WriteResult};
use crate::telemetry::trace_id::TraceId;

fn trace() -> TraceId {
    TraceId::from_bytes([0xa5; 16])
}

/// Metrics with a value for each of them.
fn full() -> Metrics {
    let metrics = Metrics::new();
    let (second, trace) = (Duration::from_secs(1), Some(trace()));
    metrics.reconciled(Kind::ModelRefresh, ReconcileResult::Success, second);
    metrics.set_queue_depth(3);
    metrics.set_active_runs(Kind::ModelRefresh, RunState::Waiting, 2);
    metrics.run_submitted(Kind::ModelRefresh, Submitted { waited: second, after_schedule: Some(second) }, trace);
    let ended = Ended { state: RunState::Succeeded, reason: Reason::Succeeded, duration: Some(second), lag: Some(second) };
    metrics.run_ended(Kind::ModelRefresh, ended, trace);
    let call = |target, status| CallRecord { target, host: "h", status: Some(status), fault: None, duration: second };
    metrics.called(&call(CallTarget::Service(ServiceKind::PowerBi, CallKind::Submit(OperationKind::Refresh)), 429));
    metrics.deferred(ServiceKind::PowerBi);
    metrics.called(&call(CallTarget::Token(IdentityKind::ServicePrincipal), 401));
    metrics.set_certificate_expiry("2026-11-22T00:00:00Z".parse().ok());
    metrics.submission_resolved(SubmissionResolution::Adopted);
    let rows = vec![Arc::new(ResourceRow::complete("bi", "a"))];
    metrics.set_resource_table(ResourceTable::first(1, rows, Timestamp::UNIX_EPOCH));
    metrics.set_watch_healthy(Kind::ModelSync, None, false);
    metrics.set_watch_healthy(Kind::ModelSync, Some("bi"), true);
    metrics.wrote(Write::Status, WriteResult::Conflict);
    metrics.set_leader(true);
    metrics.lease_renewed(WriteResult::Success);
    metrics.spans_exported(ExportResult::Error, 7);
    metrics.set_tracked_entries(Collection::LocalStates, 5);
    metrics.set_tasks(6);
    metrics
}

#[test]
fn counted_values_have_their_documented_names() {
    let metrics = full();
    let text = metrics.encode().unwrap();
    for line in [
        r#"reconciles_total{kind="ModelRefresh",result="success"} 1"#,
        r#"reconcile_duration_seconds_count{kind="ModelRefresh"} 1"#,
        "reconciles_in_flight 0",
        "model_queue_depth 3",
        r#"active_runs{kind="ModelRefresh",state="Waiting"} 2"#,
        r#"run_wait_seconds_count{kind="ModelRefresh"} 1"#,
        r#"run_schedule_lag_seconds_count{kind="ModelRefresh"} 1"#,
        r#"run_end_lag_seconds_count{kind="ModelRefresh"} 1"#,
        r#"runs_ended_total{kind="ModelRefresh",state="Succeeded",reason="Succeeded"} 1"#,
        r#"runs_ended_total{kind="ModelSync",state="Failed",reason="SyncFailed"} 0"#,
        r#"run_duration_seconds_count{kind="ModelRefresh",state="Succeeded"} 1"#,
        r#"service_calls_total{service="power-bi",operation="submit",code="429"} 1"#,
        r#"service_call_duration_seconds_count{service="power-bi",operation="submit"} 1"#,
        r#"service_calls_deferred_total{service="power-bi"} 1"#,
        r#"token_requests_total{identity="service-principal",result="refused"} 1"#,
        "certificate_expiry_timestamp_seconds{} 1795305600",
        r#"submission_resolutions_total{outcome="adopted"} 1"#,
        r#"watch_healthy{kind="ModelSync",watched_namespace="*"} 0"#,
        r#"watch_healthy{kind="ModelSync",watched_namespace="bi"} 1"#,
        r#"kubernetes_writes_total{write="status",result="conflict"} 1"#,
        r#"kubernetes_writes_total{write="event",result="refused"} 0"#,
        "is_leader 1",
        r#"lease_renewals_total{result="success"} 1"#,
        r#"trace_spans_total{result="error"} 7"#,
        r#"tracked_entries{collection="local-states"} 5"#,
        r#"tracked_entries{collection="tokens"} 0"#,
        "tasks 6",
    ] {
        assert!(text.contains(&format!("\ntabular_operator_{line}\n")), "{line} is not in\n{text}");
    }
    assert!(text.contains("tabular_operator_build_info{version="), "{text}");
    let example =
        format!("run_duration_seconds_bucket{{le=\"1.0\",kind=\"ModelRefresh\",state=\"Succeeded\"}} 1 # {{trace_id=\"{}\"}} 1.0", trace());
    assert!(text.contains(&example), "{example} is not in\n{text}");

    let pass = metrics.reconciling();
    assert!(metrics.encode().unwrap().contains("tabular_operator_reconciles_in_flight 1\n"));
    drop(pass);
    metrics.set_certificate_expiry(None);
    assert!(!metrics.encode().unwrap().contains("\ntabular_operator_certificate_expiry_timestamp_seconds"));
}

/// A row of the table in the module documentation: type and labels, by name.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
    let rows = include_str!("mod.rs").lines().filter_map(|line| line.strip_prefix("//! | `"));
    rows.map(|row| {
        let (name, rest) = row.split_once('`').unwrap();
        let cells: Vec<&str> = rest.split('|').map(str::trim).collect();
        (name.to_owned(), (cells[1].to_owned(), quoted(cells[2])))
    })
    .collect()
}

#[test]
fn table_has_every_metric_with_type_and_labels() {
    let (mut documented, text) = (documented(), full().encode().unwrap());
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE tabular_operator_")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let (as_documented, labels) = documented.remove(&format!("{name}{suffix}")).unwrap_or_else(|| panic!("{name} is not in the table"));
        assert_eq!(as_documented, kind, "{name}");
        let mut samples = 0;
        for sample in text.lines().filter(|line| line.starts_with(&format!("tabular_operator_{name}"))) {
            let sample = sample.split(" # ").next().unwrap();
            let (full_name, inside) = sample.split_once('{').unwrap_or((sample.split(' ').next().unwrap(), ""));
            let of_this = ["", "_total", "_info", "_bucket", "_count", "_sum"].map(|suffix| format!("tabular_operator_{name}{suffix}"));
            if !of_this.iter().any(|of_this| of_this == full_name) {
                continue;
            }
            samples += 1;
            let found: BTreeSet<String> =
                inside.split(',').filter_map(|part| part.split_once('=')).map(|(label, _)| label.to_owned()).collect();
            assert_eq!(&found - &BTreeSet::from(["le".to_owned()]), labels, "{sample}");
        }
        assert!(samples > 0, "{name} has no sample");
    }
    assert!(documented.is_empty(), "missing metrics: {documented:?}");
}

/// Only the per-resource metrics grow with the number of resources: `resources.rs` bounds them.
#[test]
fn number_of_series_is_bounded() {
    let series = full().encode().unwrap().lines().filter(|line| !line.starts_with('#')).count();
    let most: usize = Kind::ALL.len() * ENDS.len() + 400;
    assert!(series < most, "{series} series");
}
