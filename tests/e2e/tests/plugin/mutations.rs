//! Manifests that differ from accepted ones by one or two random changes. The same seed results in the same manifests.

use std::fs;

use e2e::paths;
use serde_json::{Value, json};

/// Bases above this size have hundreds of objects, which say nothing that a short list does not.
const MAX_BASE: usize = 8 << 10;

/// A linear congruential generator, because the numbers must be the same in each version of a library.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % bound as u64).expect("the bound is small")
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// The mutations of this seed.
pub fn mutations(seed: u64, count: usize) -> Vec<Value> {
    let bases = bases();
    let mut random = Random(seed);
    let mut made = Vec::new();
    for _ in 0..count {
        let mut manifest = random.pick(&bases).clone();
        // One change shows more than two, of which either can be the cause.
        for _ in 0..=usize::from(random.below(4) == 0) {
            mutate(&mut manifest, &mut random);
        }
        made.push(manifest);
    }
    made
}

fn bases() -> Vec<Value> {
    let directory = paths::workspace().join("tests/e2e/manifests/accepted");
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap()).filter(|text| text.len() <= MAX_BASE);
    texts.map(|text| serde_saphyr::from_str(&text).unwrap()).collect()
}

fn mutate(manifest: &mut Value, random: &mut Random) {
    let mut places = Vec::new();
    for part in ["/metadata", "/spec"] {
        collect(manifest.pointer(part).unwrap_or(&Value::Null), part, &mut places);
    }
    let place = random.pick(&places).clone();
    match random.below(6) {
        0 => {
            remove(manifest, &place);
        }
        1 => set(manifest, &place, random.pick(&values()).clone()),
        2 => {
            let (place, value) = random.pick(&additions()).clone();
            add(manifest, place, &value);
        }
        3 => {
            let object = place.rsplit_once('/').map_or("/spec", |(object, _)| object).to_owned();
            add(manifest, &format!("{object}/{}", random.pick(&["unknown", "name", "Type", "schedule", "model"])), &json!("full"));
        }
        4 => {
            let value = random.pick(&places).clone();
            let value = manifest.pointer(&value).cloned().unwrap_or_default();
            set(manifest, &place, value);
        }
        _ => {
            let text = manifest.pointer(&place).and_then(Value::as_str).map(str::to_owned);
            if let Some(text) = text {
                let end = random
                    .pick(&[" ", "/", ":rw", "é", "\u{200b}", "\n", "\t", "-", ".", "?", "0", "A", "\u{7}", "x".repeat(300).as_str()])
                    .to_string();
                set(manifest, &place, json!(if random.below(4) == 0 { format!("{end}{text}") } else { format!("{text}{end}") }));
            }
        }
    }
}

/// The pointers of all fields and items below a place.
fn collect(value: &Value, place: &str, found: &mut Vec<String>) {
    found.push(place.to_owned());
    for (name, value) in value.as_object().into_iter().flatten() {
        collect(value, &format!("{place}/{}", name.replace('~', "~0").replace('/', "~1")), found);
    }
    for (index, value) in value.as_array().into_iter().flatten().enumerate() {
        collect(value, &format!("{place}/{index}"), found);
    }
}

fn set(manifest: &mut Value, place: &str, value: Value) {
    if let Some(found) = manifest.pointer_mut(place) {
        *found = value;
    }
}

fn remove(manifest: &mut Value, place: &str) {
    let Some((parent, name)) = place.rsplit_once('/') else { return };
    match manifest.pointer_mut(parent) {
        Some(Value::Object(fields)) => {
            fields.remove(&name.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(items)) if !items.is_empty() => {
            items.pop();
        }
        _ => {}
    }
}

/// Sets a field, and the objects above it that are missing.
fn add(manifest: &mut Value, place: &str, value: &Value) {
    let mut at = manifest;
    let names: Vec<&str> = place.split('/').skip(1).collect();
    for (index, name) in names.iter().enumerate() {
        let Value::Object(fields) = at else { return };
        let new = if index + 1 == names.len() { value.clone() } else { json!({}) };
        if index + 1 == names.len() {
            fields.insert((*name).to_owned(), new);
            return;
        }
        at = fields.entry(*name).or_insert(new);
    }
}

/// Values that some field accepts, and values that few do.
fn values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(false),
        json!(""),
        json!(0),
        json!(-1),
        json!(1),
        json!(2.0),
        json!(2.5),
        json!(60),
        json!(99_999_999_999_u64),
        json!(1e30),
        json!([]),
        json!({}),
        json!(["a"]),
        json!([null]),
        json!([{"table": "a"}, {"table": "a"}]),
        json!({"name": "a"}),
        json!("a"),
        json!("A b"),
        json!(" a"),
        json!("true"),
        json!("full"),
        json!("partialBatch"),
        json!("Forbid"),
        json!("0 5 * * *"),
        json!("0 0 30 2 *"),
        json!("59-1 5 * * *"),
        json!("0 5 * * MON-FRI"),
        json!("Europe/Rome"),
        json!("Europe/Roma"),
        json!("2026-02-29"),
        json!("f089354e-8366-4e18-aea3-4cb4a3a50b48"),
        json!("asazure://westus.asazure.windows.net/other"),
        json!("a/b#c"),
        json!("日本"),
        json!("a\u{0}b"),
        json!("x".repeat(257)),
    ]
}

/// Fields of the definitions, each with a value that is right in some resource.
fn additions() -> Vec<(&'static str, Value)> {
    vec![
        ("/spec/suspend", json!(true)),
        ("/spec/staleAfterSeconds", json!(60)),
        ("/spec/backoffLimit", json!(11)),
        ("/spec/historyLimit", json!(0)),
        ("/spec/conflictPolicy", json!("Replace")),
        ("/spec/concurrencyPolicy", json!("Allow")),
        ("/spec/deletionPolicy", json!("Orphan")),
        ("/spec/refresh", Value::Null),
        ("/spec/refresh/type", json!("calculate")),
        ("/spec/refresh/retryCount", json!(3)),
        ("/spec/refresh/attemptTimeoutSeconds", json!(43_200)),
        ("/spec/refresh/applyRefreshPolicy", json!(false)),
        ("/spec/refresh/commitMode", json!("partialBatch")),
        ("/spec/refresh/effectiveDate", json!("2026-02-30")),
        ("/spec/refresh/objects", json!([{"table": "a", "partition": "b"}, {"table": "a"}])),
        ("/spec/refresh/objects", json!([{"partition": "b"}])),
        ("/spec/model/powerBI", json!({"workspace": "w", "dataset": "d"})),
        ("/spec/model/analysisServices", json!({"server": "asazure://a.b/c", "database": "d"})),
        ("/spec/model/powerBI/workspace", json!("w")),
        ("/spec/credentials", json!({})),
        ("/spec/credentials/managedIdentity", json!({})),
        ("/spec/credentials/servicePrincipalRef", json!({"name": "a."})),
        ("/spec/credentials/workloadIdentity", json!({"serviceAccountName": "a"})),
        ("/spec/trigger", Value::Null),
        ("/spec/trigger/schedule", json!("*/15 * * * *")),
        ("/spec/trigger/timeZone", json!("Etc/UTC")),
        ("/spec/trigger/startingDeadlineSeconds", json!(10)),
        ("/spec/trigger/afterRefresh", json!({"name": "other"})),
        ("/spec/trigger/token", json!("")),
        ("/spec/trigger/onChange", json!(false)),
        ("/metadata/labels", json!({"tier": "gold", "a.b/c": ""})),
        ("/metadata/labels", json!({"tier": 1})),
        ("/metadata/annotations", json!({"a": "日本\n"})),
        ("/metadata/annotations", json!({"a b": "c"})),
        ("/metadata/finalizers", json!(["a.b/c"])),
        ("/metadata/creationTimestamp", Value::Null),
        ("/metadata/ownerReferences", json!([{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b"}])),
        ("/status", json!({"observedGeneration": "many"})),
        ("/status", json!({"observed": 1})),
        ("/other", json!(1)),
    ]
}
