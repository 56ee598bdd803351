//! Tests of the per-resource metrics.

use super::*;
use crate::telemetry::metrics::{Metrics, text_format};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn row(namespace: &str, name: &str) -> ResourceRow {
    ResourceRow::complete(namespace, name)
}

/// A resource without a run, a schedule or a target.
fn bare(namespace: &str, name: &str) -> ResourceRow {
    ResourceRow {
        last_success: None,
        last_duration: None,
        next_schedule: None,
        target: None,
        run_started: None,
        usual_duration: None,
        ..row(namespace, name)
    }
}

fn shown(count: usize, rows: Vec<ResourceRow>, now: &str) -> String {
    let metrics = Metrics::new();
    metrics.set_resource_table(ResourceTable::first(count, rows.into_iter().map(Arc::new).collect(), at(now)));
    metrics.encode().unwrap()
}

/// The samples of the resources, without the prefix of their names.
fn samples(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("tabular_operator_resource_")).collect()
}

/// The values of a label in a text.
fn values<'a>(text: &'a str, label: &str) -> Vec<&'a str> {
    let start = format!(",{label}=\"");
    samples(text).into_iter().filter_map(|line| Some(line.split_once(&start)?.1.split_once('"')?.0)).collect()
}

#[test]
fn resource_has_its_values_as_series() {
    let text = shown(10, vec![row("bi", "a")], "2026-01-01T12:00:00Z");
    let labels = r#"kind="ModelRefresh",exported_namespace="bi",name="a""#;
    let expected = [
        "metrics_omitted{} 0".to_owned(),
        format!(r#"info{{{labels},model="s/d"}} 1"#),
        format!(r#"status{{{labels},status="ready"}} 1"#),
        format!("last_success_timestamp_seconds{{{labels}}} 1767225600"),
        format!("last_duration_seconds{{{labels}}} 61"),
        format!("next_schedule_timestamp_seconds{{{labels}}} 1767312000"),
        format!("stale_after_seconds{{{labels}}} 86400"),
        format!("fresh{{{labels}}} 1"),
        format!("run_started_timestamp_seconds{{{labels}}} 1767268800"),
        format!("usual_duration_seconds{{{labels}}} 60"),
    ];
    assert_eq!(samples(&text), expected);
}

#[test]
fn missing_values_have_no_series() {
    let text = shown(10, vec![bare("bi", "a")], "2026-01-01T12:00:00Z");
    let names: Vec<_> = samples(&text).into_iter().map(|line| line.split('{').next().unwrap()).collect();
    assert_eq!(names, ["metrics_omitted", "info", "status"]);
    assert!(!text.contains("resource_fresh"), "an unused metric is described");
}

#[test]
fn data_is_stale_from_its_stale_time() {
    for (now, fresh) in [("2026-01-01T23:59:59Z", "1"), ("2026-01-02T00:00:00Z", "0")] {
        let text = shown(10, vec![row("bi", "a")], now);
        let value = samples(&text).into_iter().find(|line| line.starts_with("fresh{")).unwrap().rsplit(' ').next();
        assert_eq!(value, Some(fresh), "{now}");
    }
}

#[test]
fn first_resources_by_namespace_and_name_are_shown() {
    let rows = || vec![bare("z", "a"), bare("b", "z"), bare("b", "c"), ResourceRow { kind: Kind::ModelSync, ..bare("b", "c") }];
    let rows_of = |count: usize| {
        let text = shown(count, rows(), "2026-01-01T12:00:00Z");
        let infos = text.lines().filter(|line| line.contains("_resource_info{")).collect::<Vec<_>>().join("\n");
        let omitted = samples(&text)[0].rsplit(' ').next().unwrap().to_owned();
        (values(&infos, "exported_namespace").join(" "), values(&infos, "name").join(" "), omitted)
    };
    assert_eq!(rows_of(4), ("b b b z".to_owned(), "c c z a".to_owned(), "0".to_owned()));
    assert_eq!(rows_of(3), ("b b b".to_owned(), "c c z".to_owned(), "1".to_owned()));
    assert_eq!(rows_of(1), ("b".to_owned(), "c".to_owned(), "3".to_owned()));
}

#[test]
fn resource_known_twice_is_shown_once() {
    let text = shown(2, vec![row("bi", "a"), row("bi", "b"), row("bi", "a")], "2026-01-01T12:00:00Z");
    assert_eq!(text.matches("_resource_info{").count(), 2);
    assert_eq!(samples(&text)[0], "metrics_omitted{} 0");
}

#[test]
fn replaced_and_cleared_tables_leave_no_series() {
    let metrics = Metrics::new();
    let set = |rows: Vec<ResourceRow>| {
        metrics.set_resource_table(ResourceTable::first(1, rows.into_iter().map(Arc::new).collect(), Timestamp::UNIX_EPOCH));
    };
    assert!(!metrics.encode().unwrap().contains("tabular_operator_resource_"), "nothing has been collected");
    set(vec![row("bi", "first"), row("bi", "second")]);
    assert!(metrics.encode().unwrap().contains(r#"name="first""#));
    set(vec![row("bi", "new")]);
    let text = metrics.encode().unwrap();
    assert!(text.contains(r#"name="new""#) && !text.contains("first"), "{text}");
    metrics.clear_resource_table();
    assert!(!metrics.encode().unwrap().contains("tabular_operator_resource_"));
}

#[test]
fn metric_is_described_once_over_all_pages() {
    let count = 2 * PAGE_ROWS + 1;
    let text = shown(count, (0..count).map(|n| row("bi", &format!("r{n:04}"))).collect(), "2026-01-01T12:00:00Z");
    let mut described: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE tabular_operator_resource")).collect();
    let all = described.len();
    described.dedup();
    assert_eq!(
        (described.len(), all),
        (RESOURCE_METRICS.len() + 2, RESOURCE_METRICS.len() + 2),
        "with `resources` and `resource_metrics_omitted`: {described:?}"
    );
    assert_eq!(samples(&text).len(), count * RESOURCE_METRICS.len() + 1);
    // Each metric is one block of lines.
    let mut names: Vec<_> = samples(&text).into_iter().map(|line| line.split('{').next().unwrap()).collect();
    names.dedup();
    assert_eq!(names.len(), RESOURCE_METRICS.len() + 1);
    assert!(text.ends_with("\n# EOF\n"));
}

#[test]
fn names_and_models_are_escaped() {
    let long = "n".repeat(253);
    let odd = ResourceRow { model: shown_model("a \"quoted\" \\ back\nline\u{202e} ü"), ..bare("b\"i\\", &format!("x\ny{long}")) };
    let text = shown(1, vec![odd], "2026-01-01T12:00:00Z");
    let info = samples(&text).into_iter().find(|line| line.starts_with("info")).unwrap();
    let expected =
        format!(r#"info{{kind="ModelRefresh",exported_namespace="b\"i\\",name="x\ny{long}",model="a \"quoted\" \\ back line ü"}} 1"#);
    assert_eq!(info, expected);
    assert!(text_format::from_open_metrics(&text).contains(&format!("tabular_operator_resource_{expected}\n")));
}

#[test]
fn model_is_cut_at_a_character() {
    assert_eq!(&*shown_model(&"x".repeat(128)), "x".repeat(128));
    assert_eq!(&*shown_model(&"x".repeat(129)), format!("{}…", "x".repeat(125)));
    let wide = shown_model(&"ü".repeat(100));
    assert_eq!((&*wide, wide.len()), (&*format!("{}…", "ü".repeat(62)), 127));
}

/// The rows of 2,000 resources with long names, and a pointer to each, take at most 1.5 MiB. A scrape adds one page.
#[test]
fn two_thousand_resources_fit_in_1536_kib() {
    // Two counters of the row, and 16 bytes of the allocator for each of its four allocations.
    let fixed = size_of::<ResourceRow>() + 2 * size_of::<usize>() + 4 * 16 + 2 * size_of::<Arc<ResourceRow>>();
    let texts = 63 + 253 + MAX_MODEL_BYTES;
    assert!(2_000 * (fixed + texts) <= 1_536 * 1_024, "{fixed} + {texts} bytes for each resource");
    let longest = || ResourceRow { model: shown_model(&"ü".repeat(200)), ..row(&"n".repeat(63), &"r".repeat(253)) };
    let rows = (0..2_000).map(|_| Arc::new(longest())).collect();
    let table = Arc::new(ResourceTable::first(2_000, rows, at("2026-01-01T12:00:00Z")));
    let largest = table.pages().map(|page| page.unwrap().len()).max();
    assert!(largest.is_some_and(|bytes| bytes <= 200 * 1_024), "{largest:?}");
}
