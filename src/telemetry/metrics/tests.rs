//! Whether the metrics are shown as they are documented.

use super::*;

#[test]
fn what_is_counted_is_shown_by_its_documented_name() {
    let metrics = Metrics::new();
    let second = Duration::from_secs(1);
    metrics.reconciled(Kind::ModelRefresh, ReconcileResult::Success, second);
    metrics.set_queue_depth(3);
    metrics.set_active_runs(Kind::ModelRefresh, ActiveState::Waiting, 2);
    metrics.run_submitted(Kind::ModelRefresh, second);
    metrics.run_ended(Kind::ModelRefresh, EndState::Succeeded, Some(second));
    metrics.called(Service::PowerBi, Route::Submit, Answer::of_status(429), second);
    metrics.token_requested(Identity::ServicePrincipal, TokenResult::Refused);
    metrics.unknown_submission(UnknownSubmission::Adopted);
    metrics.wrote(Write::Status, WriteResult::Conflict);
    metrics.set_leader(true);
    metrics.lease_renewed(WriteResult::Success);
    let text = metrics.encode().unwrap();
    for line in [
        r#"reconciles_total{kind="ModelRefresh",result="success"} 1"#,
        r#"reconcile_duration_seconds_count{kind="ModelRefresh"} 1"#,
        "reconcile_queue_depth 3",
        r#"active_runs{kind="ModelRefresh",state="Waiting"} 2"#,
        r#"run_wait_seconds_count{kind="ModelRefresh"} 1"#,
        r#"runs_ended_total{kind="ModelRefresh",state="Succeeded"} 1"#,
        r#"runs_ended_total{kind="ModelSync",state="Failed"} 0"#,
        r#"run_duration_seconds_count{kind="ModelRefresh",state="Succeeded"} 1"#,
        r#"service_calls_total{service="power-bi",route="submit",answer="429"} 1"#,
        r#"service_call_duration_seconds_count{service="power-bi",route="submit"} 1"#,
        r#"token_requests_total{identity="service-principal",result="refused"} 1"#,
        r#"unknown_submissions_total{outcome="adopted"} 1"#,
        r#"kubernetes_writes_total{write="status",result="conflict"} 1"#,
        "is_leader 1",
        r#"lease_renewals_total{result="success"} 1"#,
    ] {
        assert!(text.contains(&format!("\ntabular_operator_{line}\n")), "{line} is not in\n{text}");
    }
    assert!(text.contains("tabular_operator_build_info{version="), "{text}");
}

#[test]
fn every_metric_stands_in_the_table_above() {
    let source = include_str!("../metrics.rs");
    let text = Metrics::new().encode().unwrap();
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE tabular_operator_")) {
        let name = name.split(' ').next().unwrap();
        let documented = source.lines().any(|line| line.starts_with(&format!("//! | `{name}")));
        assert!(documented, "{name} is missing from the table at the head of this file");
    }
}
