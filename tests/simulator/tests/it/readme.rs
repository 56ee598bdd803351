//! The README names every setting of a model, so that users need not read the source.

use serde_json::Value;
use simulator::world::settings::ModelSettings;

#[test]
fn readme_names_every_model_setting() {
    let readme = include_str!("../../README.md");
    let named = |field: &str| readme.contains(&format!("`{field}`"));
    let settings = serde_json::to_value(ModelSettings::default()).unwrap();
    let mut missing = Vec::new();
    for (field, value) in settings.as_object().unwrap() {
        if !named(field) {
            missing.push(field.clone());
        }
        if let ("sync" | "powerBI" | "scaleOut", Value::Object(group)) = (field.as_str(), value) {
            missing.extend(group.keys().filter(|inner| !named(inner)).map(|inner| format!("{field}.{inner}")));
        }
    }
    assert_eq!(missing, [""; 0], "add each of them to a table of README.md");
}

#[test]
fn fidelity_page_names_existing_settings() {
    let page = include_str!("../../../../docs/fidelity.md");
    let settings = serde_json::to_value(ModelSettings::default()).unwrap();
    let groups = ["sync", "powerBI", "scaleOut"].map(|group| settings[group].as_object().unwrap());
    let there_is = |name: &str| settings.get(name).is_some() || groups.iter().any(|group| group.contains_key(name));
    let mut seen = 0;
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").collect();
        let [_, _, setting] = cells.as_slice() else {
            continue;
        };
        for name in setting.split('`').skip(1).step_by(2).filter(|name| *name != "…Millis") {
            assert!(there_is(name.rsplit('.').next().unwrap()), "setting '{name}' does not exist");
            seen += 1;
        }
    }
    assert!(seen > 50, "the third column of the page is incomplete: {seen}");
}
