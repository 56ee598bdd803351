//! The alerts, checked with Prometheus' own tool: in `deploy/prometheus`, and as rendered by the chart.

use std::fs;

use e2e::Tool;
use serde_json::Value;

use crate::{CHART, objects, scratch, value_set};

const RULES: &str = "deploy/prometheus/rules.yaml";

#[tokio::test]
async fn each_alert_fires_only_on_its_cause() {
    let promtool = Tool::named("promtool");
    promtool.run(&["check", "rules", "--lint=all", "--lint-fatal", RULES]).await;
    promtool.run(&["test", "rules", "deploy/prometheus/rules_test.yaml"]).await;
}

#[tokio::test]
async fn alerts_of_chart_are_valid_rules() {
    let values = value_set("everything-values.yaml");
    let arguments = ["template", CHART, "--kube-version", "1.29.0", "--values", &values, "--show-only", "templates/prometheusrule.yaml"];
    let rendered = Tool::named("helm").run(&arguments).await;
    let spec = &objects(&rendered)[0]["spec"];
    let file = scratch("alerts").join("rules.yaml");
    fs::write(&file, spec.to_string()).unwrap();
    Tool::named("promtool").run(&["check", "rules", "--lint=all", "--lint-fatal", file.to_str().unwrap()]).await;
    // Those of deploy/prometheus, minus one that is disabled, plus one from the values.
    let count =
        |spec: &Value| spec["groups"].as_array().unwrap().iter().map(|group| group["rules"].as_array().unwrap().len()).sum::<usize>();
    let own = fs::read_to_string(e2e::paths::workspace().join(RULES)).unwrap();
    assert_eq!(count(spec), count(&objects(&own)[0]));
}
