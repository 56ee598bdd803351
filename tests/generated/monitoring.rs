//! Alerts, dashboards and pages use only metrics, labels and values that exist.

use std::collections::{BTreeMap, BTreeSet};

use crate::chart::{files, read};

/// The labels that Prometheus adds to a metric.
const TARGET: [&str; 4] = ["namespace", "job", "pod", "le"];

/// The labels that have the names of objects.
const NAMES: [&str; 3] = ["exported_namespace", "name", "model"];

/// The metrics of the reference with their labels, and the values of each label for all metrics.
fn documented() -> (BTreeMap<String, BTreeSet<String>>, BTreeMap<String, BTreeSet<String>>) {
    let page = read("docs/reference/metrics.md");
    let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let (mut metrics, mut values) = (BTreeMap::new(), BTreeMap::<String, BTreeSet<String>>::new());
    for line in page.lines() {
        if let [_, name, kind, labels, ..] = line.split('|').map(str::trim).collect::<Vec<_>>()[..]
            && kind != "type"
            && let [name] = &quoted(name)[..]
        {
            let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_count", "_sum"] } else { &[""] };
            for suffix in suffixes {
                metrics.insert(format!("tabular_operator_{name}{suffix}"), quoted(labels).into_iter().collect());
            }
        } else if let Some((label, words)) = line.strip_prefix("- ").and_then(|line| line.split_once(": ")) {
            values.entry(quoted(label).remove(0)).or_default().extend(quoted(words));
        }
    }
    (metrics, values)
}

/// A metric with the labels and values of its selector.
struct Selection {
    name: String,
    labels: Vec<(String, Vec<String>)>,
}

/// All selectors `name{label="a|b"}` in a text.
fn selections(text: &str) -> Vec<Selection> {
    let mut found = Vec::new();
    for (start, _) in text.match_indices("tabular_operator_") {
        let rest = &text[start..];
        let end = rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let inside = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside);
        let labels = inside.split(',').filter_map(|part| part.split_once('=')).map(|(label, value)| {
            let words = value.trim_matches(|letter| "~\\\"".contains(letter)).split('|').map(str::to_owned).collect();
            (label.trim().to_owned(), words)
        });
        found.push(Selection { name: name.to_owned(), labels: labels.collect() });
    }
    found
}

#[test]
fn alerts_and_runbooks_correspond() {
    const PAGE: &str = "https://github.com/tabular-operator/tabular-operator/blob/main/docs/runbooks.md#";
    let rules: serde_json::Value = serde_saphyr::from_str(&read("deploy/prometheus/rules.yaml")).unwrap();
    let rules = rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    let mut alerts = BTreeSet::new();
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        assert_eq!(rule["annotations"]["runbook_url"], format!("{PAGE}{}", name.to_lowercase()), "{name}");
        assert!(alerts.insert(name.to_owned()), "{name} is defined twice");
    }
    let page = read("docs/runbooks.md");
    let mut runbooks = BTreeSet::new();
    for runbook in page.split("\n## ").skip(1) {
        let name = runbook.lines().next().unwrap();
        assert!(
            ["**Meaning.**", "**Diagnosis.**", "**Mitigation.**"].iter().all(|part| runbook.contains(part)),
            "{name} lacks a part of its runbook"
        );
        runbooks.insert(name.to_owned());
    }
    assert_eq!(alerts, runbooks);
}

/// A metric that no panel shows would be unused.
#[test]
fn every_metric_is_on_a_dashboard() {
    let texts = dashboards().iter().map(|file| read(file)).collect::<String>();
    let shown: BTreeSet<String> = selections(&texts).into_iter().map(|selection| selection.name).collect();
    let of = |name: &str| ["", "_bucket"].iter().any(|suffix| shown.contains(&format!("{name}{suffix}")));
    let stems = documented().0.into_keys().filter(|name| !["_bucket", "_count", "_sum"].iter().any(|suffix| name.ends_with(suffix)));
    // The collector shows whether spans arrive.
    let missing: Vec<String> = stems.filter(|name| !of(name) && name != "tabular_operator_trace_spans_total").collect();
    assert!(missing.is_empty(), "not on a dashboard: {missing:?}");
}

fn dashboards() -> Vec<String> {
    files("deploy/grafana", ".json").into_iter().map(|name| format!("deploy/grafana/{name}")).collect()
}

/// All documents except the reference.
fn pages() -> Vec<String> {
    let folders = ["docs", "docs/operations", "deploy", "charts/tabular-operator", "."];
    let pages: Vec<String> =
        folders.iter().flat_map(|folder| files(folder, ".md").into_iter().map(move |name| format!("{folder}/{name}"))).collect();
    assert!(pages.len() > 25, "only {} pages were found", pages.len());
    pages
}

#[test]
fn alerts_dashboards_and_pages_name_existing_metrics() {
    let (metrics, values) = documented();
    let mut seen = 0;
    for file in dashboards().into_iter().chain(["deploy/prometheus/rules.yaml".to_owned()]).chain(pages()) {
        for Selection { name, labels } in selections(&read(&file)) {
            seen += 1;
            let known = metrics.get(&name).unwrap_or_else(|| panic!("{file}: unknown metric {name}"));
            for (label, words) in labels.iter().filter(|(label, _)| !TARGET.contains(&label.as_str())) {
                assert!(known.contains(label), "{file}: {name} has no label {label}");
                for word in words.iter().filter(|_| !NAMES.contains(&label.as_str())) {
                    assert!(values[label].contains(word), "{file}: {label} of {name} has no value {word}");
                }
            }
        }
    }
    assert!(seen > 25, "only {seen} metrics were found");
}

/// The panel of resources that need action counts those of each selector of the alert, and the timeline shows each status.
#[test]
fn panels_of_models_have_each_status() {
    let statuses = |file: &str| -> Vec<Vec<String>> {
        let selected = selections(&read(file)).into_iter().filter(|selection| selection.name == "tabular_operator_resource_status");
        selected.flat_map(|selection| selection.labels).filter(|(label, _)| label == "status").map(|(_, words)| words).collect()
    };
    let (alert, panels) = (statuses("deploy/prometheus/rules.yaml"), statuses("deploy/grafana/freshness.json"));
    assert!(!alert.is_empty() && alert.iter().all(|selected| *selected == panels[0]), "{alert:?} instead of {:?}", panels[0]);
    let shown: BTreeSet<String> = panels.into_iter().skip(1).flatten().collect();
    assert_eq!(shown, documented().1["status"]);
}
