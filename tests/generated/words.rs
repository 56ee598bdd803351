//! The references of single words: states, reasons, annotations, metrics.

use std::fmt::Write as _;

use schemars::{JsonSchema, schema_for};
use tabular_operator::api::{ConditionType, Reason, RunState, TriggerType};
use tabular_operator::telemetry::labels;

use crate::{cell, page, settle};

/// The words of an enum and what is written of them.
fn words<T: JsonSchema>() -> Vec<(String, String)> {
    let schema = serde_json::to_value(schema_for!(T)).unwrap();
    let words: Vec<_> = schema["oneOf"]
        .as_array()
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
    let about = "Where a run stands is in `.status.run.state`, and is the column State of `kubectl get`. The conditions say the same by the rules of \
        kstatus, for `kubectl wait`, Argo CD, Flux and Helm.";
    let mut text = page("States", about);
    text.push_str("\n## A run\n");
    table(&mut text, ["State", "Meaning"], &words::<RunState>());
    text.push_str("\n## What started it\n\nIn `.status.run.trigger.type`.\n");
    table(&mut text, ["Trigger", "Meaning"], &words::<TriggerType>());
    text.push_str("\n## Conditions\n\nIn `.status.conditions`. The `reason` of each is one of [these](reasons.md).\n");
    table(&mut text, ["Condition", "Meaning"], &words::<ConditionType>());
    text.push_str(
        "\n```sh\nkubectl wait mref/adventureworks --for=condition=Finished --timeout=1h    # returns at any end\n\
         kubectl wait mref/adventureworks --for=condition=Succeeded --timeout=1h   # returns at a success alone\n```\n\n\
         Right after a change, wait for the new generation first: a condition whose `observedGeneration` is not the resource's\n\
         `metadata.generation` speaks of the time before.\n",
    );
    settle("docs/reference/states.md", &text);
}

#[test]
fn reasons() {
    let about = "One word for why: in the `reason` of conditions and events, and in `.status.run.reason`. The `message` beside it says it in a sentence.";
    let mut text = page("Reasons", about);
    let words: Vec<_> = Reason::ALL.iter().map(|reason| (reason.as_str().to_owned(), reason.explanation().to_owned())).collect();
    table(&mut text, ["Reason", "What it means, and what to do"], &words);
    settle("docs/reference/reasons.md", &text);
}

#[test]
fn annotations() {
    let about = "By these a person or a tool speaks to one resource. None is part of the spec, so none changes its generation.";
    let mut text = page("Annotations and the finalizer", about);
    let source = include_str!("../../src/api/annotations.rs");
    let mut meaning = Vec::new();
    let mut words = Vec::new();
    for line in source.lines() {
        if let Some(line) = line.strip_prefix("///") {
            meaning.push(line.trim());
        } else if let Some(value) = line.strip_prefix("pub const ").and_then(|line| line.split('"').nth(1)) {
            words.push((value.to_owned(), std::mem::take(&mut meaning).join(" ")));
        }
    }
    assert!(words.len() >= 5, "{words:?}");
    table(&mut text, ["Name", "Meaning"], &words);
    text.push_str(
        "\n```sh\nkubectl annotate mref adventureworks tabular-operator.dev/run-requested-at=\"$(date -u +%FT%TZ)\" --overwrite\n```\n",
    );
    settle("docs/reference/annotations.md", &text);
}

#[test]
fn metrics() {
    let about = "Served as OpenMetrics text at `/metrics` of `--metrics-address`. No label holds the name of anybody's object.";
    let mut text = page("Metrics", about);
    text.push('\n');
    let source = include_str!("../../src/telemetry/metrics.rs");
    let rows: Vec<&str> = source.lines().filter_map(|line| line.strip_prefix("//! |")).collect();
    assert!(rows.len() > 10, "{rows:?}");
    for row in rows {
        writeln!(text, "|{row}").unwrap();
    }
    text.push_str("\n## Values of the labels\n");
    let list = |values: &[&str]| format!("`{}`", values.join("`, `"));
    let mut label = |name: &str, values: String| write!(text, "\n- {name}: {values}").unwrap();
    macro_rules! values {
        ($name:ident) => {
            list(&labels::$name::ALL.iter().map(|value| value.as_str()).collect::<Vec<_>>())
        };
    }
    label("`kind`", values!(Kind));
    label("`state` of `active_runs`", values!(ActiveState));
    label("`state` of ended runs", values!(EndState));
    label("`result` of passes", values!(ReconcileResult));
    label("`service`", values!(Service));
    label("`route`", values!(Route));
    label("`answer`", values!(Answer));
    label("`identity`", values!(Identity));
    label("`result` of tokens", values!(TokenResult));
    label("`outcome`", values!(UnknownSubmission));
    label("`write`", values!(Write));
    label("`result` of writes and renewals", values!(WriteResult));
    text.push('\n');
    settle("docs/reference/metrics.md", &text);
}

#[test]
fn every_kind_of_word_is_described() {
    for (word, meaning) in words::<RunState>().into_iter().chain(words::<ConditionType>()).chain(words::<TriggerType>()) {
        assert!(!meaning.is_empty(), "{word} is not described");
    }
}
