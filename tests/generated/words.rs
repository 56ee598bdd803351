//! The references of states, reasons, events, annotations and metrics.

use std::fmt::Write as _;

use schemars::{JsonSchema, schema_for};
use tabular_operator::api::{ConditionType, EventPolicy, Kind, Reason, RunState, TriggerType};
use tabular_operator::operation::{CallKind, IdentityKind, ServiceKind};
use tabular_operator::telemetry::labels::{
    ACTIVE_STATES, CallCode, Collection, END_STATES, ENDS, ExportResult, LabelValue, ReconcileResult, ResourceStatus, SubmissionResolution,
    TokenResult, Write as WriteKind, WriteResult, triggers,
};

use crate::{cell, page, settle};

/// The values of an enum and their descriptions.
fn words<T: JsonSchema>() -> Vec<(String, String)> {
    let schema = serde_json::to_value(schema_for!(T)).unwrap();
    let described = schema.get("oneOf").or(schema.get("anyOf"));
    let words: Vec<_> = described
        .and_then(serde_json::Value::as_array)
        .expect("each word is described")
        .iter()
        .map(|word| (word["const"].as_str().unwrap().to_owned(), word["description"].as_str().unwrap_or_default().to_owned()))
        .collect();
    assert!(!words.is_empty());
    words
}

fn table(text: &mut String, heads: [&str; 2], words: &[(String, String)]) {
    write!(text, "\n| {} | {} |\n|---|---|\n", heads[0], heads[1]).unwrap();
    for (word, meaning) in words {
        writeln!(text, "| `{word}` | {} |", cell(meaning)).unwrap();
    }
}

#[test]
fn states() {
    let about = "The state of a run is in `.status.run.state`, and in the column State of `kubectl get`. The conditions report the same and follow \
        kstatus, for `kubectl wait`, Argo CD, Flux and Helm.";
    let mut text = page("States", about);
    text.push_str("\n## A run\n");
    table(&mut text, ["State", "Meaning"], &words::<RunState>());
    text.push_str("\n## Trigger of a run\n\nIn `.status.run.trigger.type`.\n");
    table(&mut text, ["Trigger", "Meaning"], &words::<TriggerType>());
    text.push_str("\n## Conditions\n\nIn `.status.conditions`. The `reason` of each is one of [these](reasons.md).\n");
    table(&mut text, ["Condition", "Meaning"], &words::<ConditionType>());
    text.push_str(
        "\n<!-- given: installed refreshed -->\n\n```sh\nkubectl wait mref/adventureworks --for=condition=Finished --timeout=1h    # returns after any end\n\
         kubectl wait mref/adventureworks --for=condition=Succeeded --timeout=1h   # returns only after a success\n```\n\n\
         A condition whose `observedGeneration` differs from `metadata.generation` describes the previous\n\
         generation. `kubectl wait` ignores such a condition; other clients must compare.\n",
    );
    settle("docs/reference/states.md", &text);
}

#[test]
fn reasons() {
    let about =
        "The reason is in the `reason` of conditions and events, and in `.status.run.reason`. The `message` next to it has the details.";
    let mut text = page("Reasons", about);
    let words: Vec<_> = Reason::ALL.iter().map(|reason| (reason.as_str().to_owned(), reason.explanation().to_owned())).collect();
    table(&mut text, ["Reason", "Meaning and remedy"], &words);
    settle("docs/reference/reasons.md", &text);
}

#[test]
fn events() {
    let about = "The operator emits an event of `events.k8s.io/v1` for each transition, so that `kubectl describe` shows the history of a run. \
        `reportingController` is `tabular-operator.dev/controller`. This page lists all events. The operator writes events in the background: a \
        lost event blocks no run, and [the status](states.md) does not depend on events.";
    let mut text = page("Events", about);
    let explained = |wanted: &[EventPolicy]| {
        let of = Reason::ALL.iter().filter(|reason| wanted.contains(&reason.event_policy()));
        of.map(|reason| {
            let kind = if reason.warns() == Some(true) { "Warning" } else { "Normal" };
            (reason.as_str(), kind, reason.explanation())
        })
        .collect::<Vec<_>>()
    };
    let mut section = |head: &str, when: &str, wanted: &[EventPolicy]| {
        write!(text, "\n## {head}\n\n{when}\n\n| Reason | Type | Meaning and remedy |\n|---|---|---|\n").unwrap();
        let rows = explained(wanted);
        for (reason, kind, meaning) in &rows {
            writeln!(text, "| `{reason}` | {kind} | {} |", cell(meaning)).unwrap();
        }
        rows.len()
    };
    let transitions = section(
        "Transitions",
        "Emitted when the reason of the condition `Ready` changes to this one, or a new run or attempt starts with it.",
        &[EventPolicy::OnTransition, EventPolicy::WarningOnTransition, EventPolicy::Stalled, EventPolicy::Awaited],
    );
    let notices = section(
        "Other events",
        "Emitted when it happens. The status does not show it, or only briefly. This includes the end of a run if another run follows immediately, or if the resource is deleted.",
        &[EventPolicy::Explicit, EventPolicy::ExplicitWarning],
    );
    let quiet = Reason::ALL.iter().filter(|reason| reason.warns().is_none());
    let quiet: Vec<String> = quiet.map(|reason| format!("`{}`", reason.as_str())).collect();
    assert_eq!(transitions + notices + quiet.len(), Reason::ALL.len());
    write!(text, "\nReasons without an event: {}.\n", quiet.join(", ")).unwrap();
    settle("docs/reference/events.md", &text);
}

#[test]
fn annotations() {
    let about =
        "Users and tools control one resource with these annotations. They are not part of the spec, so they do not change its generation.";
    let mut text = page("Annotations and the finalizer", about);
    let source = include_str!("../../src/api/annotations.rs");
    let mut meaning = Vec::new();
    let mut words = Vec::new();
    for line in source.lines() {
        if let Some(line) = line.strip_prefix("///") {
            meaning.push(line.trim());
        } else if let Some(value) = line.strip_prefix("pub const ").and_then(|line| line.split('"').nth(1)) {
            words.push((value.to_owned(), std::mem::take(&mut meaning).join(" ")));
        } else {
            meaning.clear();
        }
    }
    assert!(words.len() >= 5, "{words:?}");
    table(&mut text, ["Name", "Meaning"], &words);
    text.push_str(
        "\n<!-- given: installed refreshed -->\n\n```sh\nkubectl annotate mref adventureworks tabular-operator.dev/run-requested-at=\"$(date -u +%FT%TZ)\" --overwrite\n\
         kubectl annotate mref adventureworks tabular-operator.dev/check-requested-at=\"$(date -u +%FT%TZ)\" --overwrite\n\
         kubectl annotate mref adventureworks tabular-operator.dev/cancel-requested-at=\"$(date -u +%FT%TZ)\" --overwrite\n```\n",
    );
    settle("docs/reference/annotations.md", &text);
}

/// The values of a label, each once.
fn values<T: LabelValue>(all: &[T]) -> String {
    let mut values: Vec<&str> = all.iter().map(|value| value.label()).collect();
    values.dedup();
    format!("`{}`", values.join("`, `"))
}

#[test]
fn metrics() {
    let about = "The operator serves metrics at `/metrics` of `--metrics-address`: as OpenMetrics if the client requests it, otherwise in the \
        Prometheus text format. Only the labels of the metrics `resource_…` contain the names of objects. If traces are enabled (`--otlp-endpoint`), the histograms of runs have an \
        exemplar with the trace of a run (`trace_id`), in OpenMetrics only.\n\nThe times of runs are recorded in whole seconds, and so are their lags. \
        Only the leader sets the gauges of resources, `tracked_entries` and `tasks`, every 15 s. They are 0 on a standby.\n\n\
        The per-resource metrics `resource_…` are those of the first resources by namespace and name, as many as `--resource-metrics` allows. With 0, \
        and on a standby, they are absent. The series of a deleted resource end within 15 s. The label `exported_namespace` has the namespace of the \
        resource. Prometheus adds the operator's own as `namespace`, with and without `honorLabels`. [Freshness](../observability.md#freshness) \
        describes their use.";
    let mut text = page("Metrics", about);
    text.push('\n');
    let source = include_str!("../../src/telemetry/metrics/mod.rs");
    let rows: Vec<&str> = source.lines().filter_map(|line| line.strip_prefix("//! |")).collect();
    assert!(rows.len() > 10, "{rows:?}");
    for row in rows {
        writeln!(text, "|{row}").unwrap();
    }
    text.push_str("\n## Values of the labels\n");
    let mut label = |name: &str, values: String| write!(text, "\n- {name}: {values}").unwrap();
    label("`kind`", values(Kind::ALL));
    label("`state` of `active_runs`", values(&ACTIVE_STATES));
    label("`status`", values(ResourceStatus::ALL));
    label("`exported_namespace`, `name`", "the namespace and the name of a resource".to_owned());
    label("`model`", "the short name of a model, in plain text".to_owned());
    label("`trigger`", values(&triggers()));
    label("`state` of ended runs", values(&END_STATES));
    for state in END_STATES {
        let ends: Vec<Reason> = ENDS.iter().filter(|(end, _)| *end == state).map(|(_, reason)| *reason).collect();
        label(&format!("`reason` of runs that have {}", state.label()), values(&ends));
    }
    label("`result` of reconciliations", values(ReconcileResult::ALL));
    label("`service`", values(ServiceKind::ALL));
    label("`operation`", values(CallKind::ALL));
    label("`code`", values(CallCode::ALL));
    label("`identity`", values(IdentityKind::ALL));
    label("`result` of tokens", values(TokenResult::ALL));
    label("`outcome`", values(SubmissionResolution::ALL));
    label("`write`", values(WriteKind::ALL));
    label("`result` of writes and renewals", values(WriteResult::ALL));
    label("`result` of spans", values(ExportResult::ALL));
    label("`collection`", values(Collection::ALL));
    text.push('\n');
    settle("docs/reference/metrics.md", &text);
}

#[test]
fn every_value_is_described() {
    for (word, meaning) in words::<RunState>().into_iter().chain(words::<ConditionType>()).chain(words::<TriggerType>()) {
        assert!(!meaning.is_empty(), "{word} is not described");
    }
}
