//! The digest of an operation, and the digests of all ways to write it.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::service_defaults;
use crate::api::{Model, PowerBiModel, RefreshObject, RefreshParameters};

/// The JSON of the objects that [`without_objects`] returns. No value contains it, because quotes in a value are escaped.
const PLACEHOLDER: &str = r#""objects":[{}]"#;

#[cfg(test)]
thread_local! {
    /// How many digests this thread has computed.
    pub(super) static DIGESTS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The digests of all ways to write an operation, at most 64. To compute them takes milliseconds if the names of its objects have 64 KiB,
/// so decisions share them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Equivalents {
    /// The model as written. The digest of the operation ignores the letter case of its ids.
    model: Model,
    /// The digest of the operation.
    digest: String,
    /// The digests of all ways.
    all: Vec<u128>,
}

impl Equivalents {
    /// Computes them. The objects are apart, as [`without_objects`] returns them.
    pub(super) fn new(model: &Model, own: &str, parameters: Option<&RefreshParameters>, objects: &str) -> Self {
        let ways: Vec<Option<RefreshParameters>> = match parameters {
            Some(written) => service_defaults::equivalents(model, written).into_iter().map(Some).collect(),
            None => vec![None],
        };
        let mut spellings = vec![with_lower_case_ids(model), model.clone()];
        spellings.dedup();
        let all = spellings.iter().flat_map(|model| ways.iter().map(move |way| digest(model, way.as_ref(), objects))).collect();
        Self { model: model.clone(), digest: own.to_owned(), all }
    }

    /// Whether they are of the operation with this model and digest.
    pub(super) fn are_of(&self, model: &Model, own: &str) -> bool {
        self.model == *model && self.digest == own
    }

    /// Whether a recorded digest is one of them.
    pub(super) fn contain(&self, recorded: &str) -> bool {
        self.all.iter().any(|digest| hex(*digest) == recorded)
    }
}

/// The model with its ids in lower case: a GUID in upper case is the same id.
pub(super) fn with_lower_case_ids(model: &Model) -> Model {
    let mut model = model.clone();
    if let Some(PowerBiModel { group_id, dataset_id, .. }) = &mut model.power_bi {
        for id in [group_id, dataset_id].into_iter().flatten() {
            id.make_ascii_lowercase();
        }
    }
    model
}

/// The parameters with one empty object in place of all objects, and the JSON that [`digest`] puts in its place. The order of the objects
/// is not part of a digest, because tools reorder lists that are sets.
pub(super) fn without_objects(parameters: &RefreshParameters) -> (RefreshParameters, String) {
    if parameters.objects.is_empty() {
        return (parameters.clone(), String::new());
    }
    let mut sorted: Vec<&RefreshObject> = parameters.objects.iter().collect();
    sorted.sort_by(|a, b| (&a.table, &a.partition).cmp(&(&b.table, &b.partition)));
    let json = format!("\"objects\":{}", serde_json::to_string(&sorted).unwrap_or_default());
    let objects = vec![RefreshObject { table: String::new(), partition: None }];
    (RefreshParameters { objects, effective_date: parameters.effective_date.clone(), ..*parameters }, json)
}

/// A digest that is the same for the same operation in every version of the operator: another digest starts a run.
pub(super) fn digest(model: &Model, parameters: Option<&RefreshParameters>, objects: &str) -> u128 {
    #[derive(Serialize)]
    struct Canonical<'a> {
        model: &'a Model,
        #[serde(skip_serializing_if = "Option::is_none")]
        refresh: Option<&'a RefreshParameters>,
    }
    #[cfg(test)]
    DIGESTS.with(|count| count.set(count.get() + 1));
    let json = serde_json::to_string(&Canonical { model, refresh: parameters }).unwrap_or_default();
    let (before, after) = json.split_once(PLACEHOLDER).unwrap_or((json.as_str(), ""));
    let hash = Sha256::new().chain_update(before).chain_update(objects).chain_update(after).finalize();
    hash.iter().take(12).fold(0, |number: u128, byte| (number << 8) | u128::from(*byte))
}

/// A digest as it is recorded: 12 bytes.
pub(super) fn hex(digest: u128) -> String {
    format!("{digest:024x}")
}
