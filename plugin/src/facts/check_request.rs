//! What has become of a request for a check.

use tabular_operator::api::{CHECK_REQUESTED_AT, Check};

use crate::objects::Object;

/// The result of the request with this value, or of a later one that has replaced it.
#[must_use]
pub fn check_result<'a>(object: &'a Object, value: &str) -> Option<&'a Check> {
    let check = object.status().check.as_ref()?;
    let is_later = object.annotation(CHECK_REQUESTED_AT).is_some_and(|present| present != value && check.request == present);
    (check.request == value || is_later).then_some(check)
}

/// Whether a version of the resource shows that the request with this value arrived: by its annotation, or already by its result.
#[must_use]
pub fn is_check_requested(object: &Object, value: &str) -> bool {
    let is_performed = object.status().check.as_ref().is_some_and(|check| check.request == value);
    is_performed || object.annotation(CHECK_REQUESTED_AT) == Some(value)
}

#[cfg(test)]
mod tests {
    use kube::Resource as _;
    use serde_json::json;

    use super::*;
    use crate::fixture::refresh;

    #[test]
    fn result_of_own_or_later_request_is_the_answer() {
        for (present, recorded, answered) in [
            (Some("b"), "b", true),
            (Some("b"), "a", false),
            // Another user has requested a check meanwhile.
            (Some("c"), "c", true),
            (Some("c"), "b", true),
            (Some("c"), "a", false),
            (None, "b", true),
            (None, "a", false),
        ] {
            let check = json!({"request": recorded, "time": "2026-11-29T21:00:00Z", "result": "Passed"});
            let mut object = refresh("orders", "Orders", json!({}), json!({"check": check}));
            object.resource.meta_mut().annotations = present.map(|value| [(CHECK_REQUESTED_AT.to_owned(), value.to_owned())].into());
            assert_eq!(check_result(&object, "b").is_some(), answered, "{present:?} {recorded}");
        }
        assert!(check_result(&refresh("orders", "Orders", json!({}), json!({})), "b").is_none());
    }
}
