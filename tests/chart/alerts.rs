//! The alerts, judged by Prometheus' own tool: as they stand in `deploy/prometheus`, and as the chart hands them on.

use std::fs;

use harness::Tool;
use serde_json::Value;

use crate::{CHART, objects, scratch, value_set};

const RULES: &str = "deploy/prometheus/rules.yaml";

#[tokio::test]
async fn each_alert_fires_on_its_cause_and_on_nothing_beside_it() {
    let promtool = Tool::named("promtool");
    promtool.run(&["check", "rules", "--lint=all", "--lint-fatal", RULES]).await;
    promtool.run(&["test", "rules", "deploy/prometheus/rules_test.yaml"]).await;
}

#[tokio::test]
async fn the_charts_alerts_are_rules_too() {
    let values = value_set("everything-values.yaml");
    let arguments = ["template", CHART, "--kube-version", "1.29.0", "--values", &values, "--show-only", "templates/prometheusrule.yaml"];
    let rendered = Tool::named("helm").run(&arguments).await;
    let spec = &objects(&rendered)[0]["spec"];
    let file = scratch("alerts").join("rules.yaml");
    fs::write(&file, spec.to_string()).unwrap();
    Tool::named("promtool").run(&["check", "rules", "--lint=all", "--lint-fatal", file.to_str().unwrap()]).await;
    // Those of deploy/prometheus, less one that is left out, and one of the values' own.
    let count =
        |spec: &Value| spec["groups"].as_array().unwrap().iter().map(|group| group["rules"].as_array().unwrap().len()).sum::<usize>();
    let own = fs::read_to_string(harness::paths::workspace().join(RULES)).unwrap();
    assert_eq!(count(spec), count(&objects(&own)[0]));
}
