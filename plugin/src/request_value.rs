//! The value of a request's annotation: its time, and the reason that the user gives. The status of the run records it.

use jiff::{SignedDuration, Timestamp};
use tabular_operator::engine::token;

use crate::objects::Object;
use crate::output::shown;

/// The longest reason, in bytes.
const MOST_REASON: usize = 200;

/// The reason of the command line.
///
/// # Errors
/// If the operator would not keep it unchanged.
pub fn reason(text: &str) -> Result<String, String> {
    let reason = text.trim();
    if reason.is_empty() || reason.len() > MOST_REASON || shown(reason) != reason {
        return Err(format!("must be one line of 1 to {MOST_REASON} bytes without control and invisible characters"));
    }
    let value = value_at(Timestamp::now(), Some(reason));
    if token(&value) == value { Ok(reason.to_owned()) } else { Err("is too long for its many special characters: shorten it".to_owned()) }
}

/// A new value for an annotation of a resource. Two requests never share a value, because each time has nanoseconds.
#[must_use]
pub fn new_value(object: &Object, annotation: &str, reason: Option<&str>, mut now: Timestamp) -> String {
    loop {
        let value = value_at(now, reason);
        // A clock may be coarse, or set back.
        if object.annotation(annotation) != Some(value.as_str()) {
            return value;
        }
        now = now.checked_add(SignedDuration::from_nanos(1)).unwrap_or(now);
    }
}

fn value_at(now: Timestamp, reason: Option<&str>) -> String {
    let time = now.strftime("%FT%T%.9fZ");
    reason.map_or_else(|| time.to_string(), |reason| format!("{time} {reason}"))
}

#[cfg(test)]
mod tests {
    use kube::Resource as _;
    use serde_json::json;
    use tabular_operator::api::RUN_REQUESTED_AT;

    use super::*;
    use crate::fixture::{NOW, at, refresh};

    #[test]
    fn reasons_are_one_line_that_operator_keeps() {
        assert_eq!(reason(" late file from SAP ").as_deref(), Ok("late file from SAP"));
        assert_eq!(reason(&"a".repeat(200)).map(|reason| reason.len()), Ok(200));
        for text in ["", "  ", "two\nlines", "\u{1b}[2J", "a\u{202e}b", &"a".repeat(201), &"é".repeat(101), &"&".repeat(100)] {
            assert!(reason(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn value_has_nanoseconds_and_differs_from_present_one() {
        let mut object = refresh("orders", "Orders", json!({}), json!({}));
        let first = new_value(&object, RUN_REQUESTED_AT, Some("why"), at(NOW));
        assert_eq!(first, "2026-11-29T21:09:12.000000000Z why");
        object.resource.meta_mut().annotations = Some([(RUN_REQUESTED_AT.to_owned(), first)].into());
        assert_eq!(new_value(&object, RUN_REQUESTED_AT, Some("why"), at(NOW)), "2026-11-29T21:09:12.000000001Z why");
        assert_eq!(new_value(&object, RUN_REQUESTED_AT, None, at(NOW)), "2026-11-29T21:09:12.000000000Z");
    }
}
