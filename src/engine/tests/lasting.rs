//! What must stay as it is: the digest of a piece of work, the round trip of a status, and the purity of what decides.

use std::path::Path;

use super::world::{World, model, secs};
use crate::api::{CommitMode, RefreshObject, RefreshParameters, RefreshType, Status};
use crate::engine::OperationSpec;

fn object(table: &str, partition: Option<&str>) -> RefreshObject {
    RefreshObject { table: table.to_owned(), partition: partition.map(str::to_owned) }
}

fn parameters(objects: Vec<RefreshObject>) -> RefreshParameters {
    RefreshParameters {
        r#type: RefreshType::Full,
        commit_mode: Some(CommitMode::Transactional),
        max_parallelism: Some(2),
        retry_count: Some(2),
        objects,
        ..RefreshParameters::default()
    }
}

#[test]
fn digest_is_the_same_in_every_version() {
    // Another digest starts a run of every resource in every cluster at the next upgrade. Do not change these values.
    let operation = OperationSpec::refresh(
        &model("AdventureWorks"),
        Some(&parameters(vec![object("DimDate", None), object("DimCustomer", Some("P1"))])),
    );
    assert_eq!(operation.digest, "88095ef6cdb7b3230af8cd1e");
    assert_eq!(OperationSpec::refresh(&model("AdventureWorks"), None).digest, "f1c52d0cb3af96e6b917e825");
}

#[test]
fn digest_ignores_object_order_and_explicit_defaults() {
    let (date, customer) = (object("DimDate", None), object("DimCustomer", Some("P1")));
    let one = OperationSpec::refresh(&model("Sales"), Some(&parameters(vec![date.clone(), customer.clone()])));
    let two = OperationSpec::refresh(&model("Sales"), Some(&parameters(vec![customer.clone(), date])));
    assert_eq!(one.digest, two.digest);
    assert_eq!(
        OperationSpec::refresh(&model("Sales"), None).digest,
        OperationSpec::refresh(&model("Sales"), Some(&RefreshParameters::default())).digest
    );
    let others = [
        OperationSpec::refresh(&model("Sales"), Some(&parameters(vec![customer]))),
        OperationSpec::refresh(&model("Other"), Some(&parameters(vec![]))),
        OperationSpec::refresh(&model("Sales"), Some(&parameters(vec![]))),
    ];
    assert!(others.iter().all(|other| other.digest != one.digest));
}

#[test]
fn empty_status_is_read_as_unobserved() {
    assert_eq!(serde_json::from_str::<Status>("{}").unwrap(), Status::default());
    assert_eq!(Status::default().observed_generation, -1);
    let mut world = World::new(|_| {});
    world.run_for(secs(300));
    let text = serde_json::to_string(world.status()).unwrap();
    assert!(!text.contains("null"), "{text}");
}

/// Every source file under `folder` that is no test, with its code: without comments.
fn sources(folder: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder);
    let file = path.with_extension("rs");
    let mut found: Vec<_> = file.exists().then(|| (file.display().to_string(), code(&file))).into_iter().collect();
    let mut folders = vec![path];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.display().to_string(), code(&path)));
            }
        }
    }
    found
}

fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_decides_is_pure() {
    let banned = [
        "tokio",
        "reqwest",
        "hyper",
        "kube::Client",
        "kube::Api",
        "kube::runtime",
        "kube::client",
        "SystemTime",
        "Instant",
        "Timestamp::now",
        "Zoned::now",
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "rand::",
        "crate::azure",
        "crate::controller",
    ];
    for folder in ["engine", "api", "operation"] {
        let files = sources(folder);
        assert!(!files.is_empty(), "no sources of {folder}");
        for (name, code) in files {
            let used: Vec<_> = banned.iter().filter(|word| code.contains(**word)).collect();
            assert!(used.is_empty(), "{name} uses {used:?}");
            assert!(folder == "engine" || !code.contains("crate::engine"), "{name} depends on the engine");
        }
    }
}

#[test]
fn the_services_know_nothing_of_kubernetes() {
    for (name, code) in sources("azure") {
        let banned = ["kube", "k8s_openapi", "crate::api", "crate::engine", "crate::controller"];
        let used: Vec<_> = banned.iter().filter(|word| code.contains(**word)).collect();
        assert!(used.is_empty(), "{name} uses {used:?}");
    }
}
