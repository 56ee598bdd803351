//! The unit tests of the chart's templates, and a check that they cover every value.

use std::collections::BTreeSet;
use std::fs;

use e2e::{Tool, paths};
use serde_json::Value;

use crate::{CHART, objects};

/// Minimum number of cases.
const CASES: usize = 100;

#[tokio::test]
async fn every_template_case_passes() {
    let report = Tool::named("helm-unittest").run(&["--strict", "--color=false", CHART]).await;
    let line = report.lines().find(|line| line.starts_with("Tests:")).unwrap_or_else(|| panic!("no line of tests in\n{report}"));
    let passed: usize = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{line}"));
    assert!(passed >= CASES, "{line}");
}

/// Every value is set in a case, so that each has an effect.
#[test]
fn every_value_has_a_case() {
    let mut set = BTreeSet::new();
    let files = fs::read_dir(paths::workspace().join(CHART).join("tests")).unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|path| path.is_file()) {
        for suite in objects(&fs::read_to_string(file).unwrap()) {
            let cases = suite["tests"].as_array().unwrap();
            for values in cases.iter().chain([&suite]).map(|case| &case["set"]) {
                paths_of("", values, &mut set);
            }
        }
    }
    let values = fs::read_to_string(paths::workspace().join(CHART).join("values.yaml")).unwrap();
    let mut wanted = BTreeSet::new();
    paths_of("", &objects(&values)[0], &mut wanted);
    // A value that is copied needs its own case.
    let covered =
        |path: &str| set.iter().any(|set| set == path || set.starts_with(&format!("{path}.")) || path.starts_with(&format!("{set}.")));
    let left: Vec<&String> = wanted.iter().filter(|path| !covered(path) && !AS_IT_IS.iter().any(|whole| path.starts_with(whole))).collect();
    assert!(left.is_empty(), "no case sets {left:?}");
}

/// Values that are copied into the pod.
const AS_IT_IS: [&str; 3] = ["resources.", "podSecurityContext.", "securityContext."];

/// The paths of all values that are not maps; a key may contain dots, as in Helm's `--set`.
fn paths_of(prefix: &str, value: &Value, paths: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (name, value) in map {
                paths_of(&if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") }, value, paths);
            }
        }
        _ if prefix.is_empty() => {}
        _ => {
            paths.insert(prefix.to_owned());
        }
    }
}
