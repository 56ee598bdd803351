//! The digest of an operation must stay as it is.
#![allow(clippy::unwrap_used)]

use sha2::{Digest as _, Sha256};

use super::super::operation_digest::DIGESTS;
use super::{OperationSpec, digest, hex};
use crate::api::{AnalysisServicesModel, CommitMode, Model, RefreshObject, RefreshParameters, RefreshType};

fn model(database: &str) -> Model {
    let server = "asazure://westus.asazure.windows.net/myserver".to_owned();
    Model { analysis_services: Some(AnalysisServicesModel { server, database: database.to_owned() }), power_bi: None }
}

const GROUP: &str = "f089354e-8366-4e18-aea3-4cb4a3a50b48";

fn by_ids(group: &str) -> Model {
    Model::by_ids(group.to_owned(), "cfafbeb1-8037-4d0c-896e-a46fb27ff229".to_owned())
}

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
fn digest_ignores_the_letter_case_of_ids() {
    let (lower, upper) = (by_ids(GROUP), by_ids(&GROUP.to_uppercase()));
    let parameters = parameters(Vec::new());
    for parameters in [Some(&parameters), None] {
        let of = |model: &Model| parameters.map_or_else(|| OperationSpec::sync(model), |it| OperationSpec::refresh(model, Some(it)));
        assert_eq!(of(&lower).digest, hex(digest(&lower, parameters, "")), "as in every version");
        assert_eq!(of(&upper).digest, of(&lower).digest);
        // What an earlier build recorded.
        assert!(of(&upper).has_digest(&hex(digest(&upper, parameters, ""))));
        assert!(!of(&upper).has_digest(&of(&by_ids("f089354e-8366-4e18-aea3-4cb4a3a50b49")).digest));
    }
}

#[test]
fn digest_is_of_the_json_with_sorted_objects() {
    let quoted = r#""objects":[{}]"#;
    let sorted =
        [vec![], vec![object("", None)], vec![object(quoted, None), object("A", Some(quoted)), object("B", None), object("B", Some("é"))]];
    for (objects, model) in sorted.into_iter().zip([model(quoted), model("Sales"), model(quoted)]) {
        let mut written = RefreshParameters { effective_date: Some("2026-11-21".to_owned()), ..parameters(objects) };
        let [model_json, json] = [serde_json::to_string(&model), serde_json::to_string(&written)].map(Result::unwrap);
        let hash = Sha256::digest(format!(r#"{{"model":{model_json},"refresh":{json}}}"#));
        written.objects.reverse();
        assert_eq!(OperationSpec::refresh(&model, Some(&written)).digest, format!("{hash:x}")[..24], "{json}");
    }
}

#[test]
fn equivalent_ways_are_digested_once() {
    let parameters = RefreshParameters { objects: vec![object("DimDate", None)], ..RefreshParameters::default() };
    let digested = |operation: &OperationSpec| {
        let before = DIGESTS.get();
        assert!(!operation.has_digest("another"));
        DIGESTS.get() - before
    };
    let (lower, upper) = (by_ids(GROUP), by_ids(&GROUP.to_uppercase()));
    for (model, ways) in [(model("Sales"), 8), (lower.clone(), 32), (upper.clone(), 64)] {
        let of = || OperationSpec::refresh(&model, Some(&parameters));
        let first = of();
        assert_eq!((digested(&first), digested(&first)), (ways, 0));
        let next = of();
        next.recall(first.equivalents().as_ref());
        assert_eq!(digested(&next), 0);
    }
    // They have the same digest, but what was recorded for the ids in upper case differs.
    let [lower, upper] = [lower, upper].map(|model| OperationSpec::refresh(&model, Some(&parameters)));
    assert!(!lower.has_digest("another"));
    upper.recall(lower.equivalents().as_ref());
    assert_eq!(digested(&upper), 64);
}
