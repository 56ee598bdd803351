//! The defaults of the services: a refresh that writes one out requests the same as one that leaves it out.

use crate::api::{CommitMode, Model, RefreshParameters, ServiceModel};

/// Each way to write the same refresh parameters: at most 32, with and without each default. The sources are in the descriptions of the
/// fields. `effectiveDate` has no fixed default, and that of `type` is written out by the API server.
pub(super) fn equivalents(model: &Model, written: &RefreshParameters) -> Vec<RefreshParameters> {
    let ways = vec![written.clone()];
    let ways = with_and_without_default(ways, |way| &mut way.commit_mode, CommitMode::Transactional);
    let ways = with_and_without_default(ways, |way| &mut way.max_parallelism, 10);
    let ways = with_and_without_default(ways, |way| &mut way.retry_count, 0);
    match model.at_service() {
        Some(ServiceModel::AnalysisServices(_)) | None => ways,
        Some(ServiceModel::PowerBi(_)) => {
            let ways = with_and_without_default(ways, |way| &mut way.apply_refresh_policy, true);
            with_and_without_default(ways, |way| &mut way.attempt_timeout_seconds, 18_000)
        }
    }
}

/// Adds to each way one that differs only in a field, if the field is left out or has its default.
fn with_and_without_default<T: Copy + PartialEq>(
    ways: Vec<RefreshParameters>,
    field: fn(&mut RefreshParameters) -> &mut Option<T>,
    default: T,
) -> Vec<RefreshParameters> {
    let both = |mut way: RefreshParameters| {
        if field(&mut way).is_some_and(|value| value != default) {
            return vec![way];
        }
        let mut other = way.clone();
        (*field(&mut way), *field(&mut other)) = (None, Some(default));
        vec![way, other]
    };
    ways.into_iter().flat_map(both).collect()
}
