//! Placeholders, edits and the order of rows.

use serde_json::json;

use super::*;

fn clock(post: Option<&str>) -> Clock {
    Clock {
        post: post.map(|time| time.parse().unwrap()),
        style: TimestampStyle { digits: 3, zone: true, trim_zeros: true },
        skew: SignedDuration::from_secs(60),
    }
}

fn template(value: Value) -> Template {
    serde_json::from_value(value).unwrap()
}

/// The served value, if it was set at noon.
fn served(value: Value, post: Option<&str>) -> Option<Value> {
    let mut template = template(value);
    template.pin("2026-07-30T12:00:00Z".parse().unwrap());
    template.filled(&clock(post))
}

#[test]
fn times_are_relative_to_setting_or_first_post() {
    for (written, shown) in [
        ("{now}", "2026-07-30T12:01:00Z"),
        ("{now-4s}", "2026-07-30T12:00:56Z"),
        ("from {now-90ms} to {now+2h}", "from 2026-07-30T12:00:59.91Z to 2026-07-30T14:01:00Z"),
        ("{now-5d}", "2026-07-25T12:01:00Z"),
        ("{post-1m}", "2026-07-30T12:30:00Z"),
        ("{2026-01-01T00:00:00Z}", "2026-01-01T00:01:00Z"),
        (r#"{"startTime":"{now+1s}"}"#, r#"{"startTime":"2026-07-30T12:01:01Z"}"#),
        ("{own} {} {noon} {.status} {", "{own} {} {noon} {.status} {"),
    ] {
        assert_eq!(served(json!(written), Some("2026-07-30T12:30:00Z")), Some(json!(shown)), "{written}");
    }
    assert_eq!(served(json!({"a": [1, null, {"b": "{now}"}]}), None), Some(json!({"a": [1, null, {"b": "2026-07-30T12:01:00Z"}]})));
    assert_eq!(served(json!({"a": ["{post}"]}), None), None);
}

#[test]
fn time_is_fixed_when_set() {
    let mut once = template(json!("{now-4s}"));
    once.pin("2026-07-30T12:00:00Z".parse().unwrap());
    let mut twice = once.clone();
    twice.pin("2026-07-31T00:00:00Z".parse().unwrap());
    assert_eq!(once, twice);
}

#[test]
fn invalid_time_is_refused() {
    for text in ["{now-4}", "{now-4 s}", "{post+s}", "a {now+1w} b"] {
        let error = serde_json::from_value::<Template>(json!({"startTime": text})).unwrap_err();
        assert!(error.to_string().contains("{now-4s}"), "{text}: {error}");
    }
}

#[test]
fn edit_drops_renames_retypes_and_replaces_fields() {
    let own = json!({"requestId": "1", "id": 7, "status": "Unknown", "extendedStatus": "InProgress", "nested": {"a": 1, "b": 2}});
    let edit = template(json!({
        "requestId": null,
        "RequestId": "{.requestId}",
        "id": "{.id}",
        "label": "run {.id} of {.missing}",
        "status": {"name": "{.status}"},
        "extendedStatus": 3,
        "nested": {"a": null},
        "startTime": "{2026-07-30T12:00:00Z}",
    }));
    let edited: Value = serde_json::from_str(&edit.applied_to(&own, &clock(None))).unwrap();
    let expected = json!({
        "RequestId": "1", "id": 7, "label": "run 7 of {.missing}", "status": {"name": "Unknown"}, "extendedStatus": 3, "nested": {"b": 2},
        "startTime": "2026-07-30T12:01:00Z",
    });
    assert_eq!(edited, expected);
    assert_eq!(Template::default().applied_to(&json!({"a": null}), &clock(None)), r#"{"a":null}"#);
}

#[test]
fn rows_keep_given_order_around_own_rows() {
    let shown = |rows_of: Value, post| {
        let templates: Vec<Template> = serde_json::from_value(rows_of).unwrap();
        rows(&templates, vec!["1".into(), "2".into()], &clock(post))
    };
    assert_eq!(rows(&own_rows(), vec!["1".into()], &clock(None)), ["1"]);
    assert_eq!(shown(json!([{"a": 1}, "{own}", "{\"a\":1,\"a\":2}", 7]), None), [r#"{"a":1}"#, "1", "2", r#"{"a":1,"a":2}"#, "7"]);
    assert_eq!(shown(json!([]), None), [""; 0]);
    assert_eq!(shown(json!(["\"{post}\""]), None), [""; 0]);
    assert_eq!(shown(json!(["\"{post}\""]), Some("2026-07-30T12:00:00Z")), ["\"2026-07-30T12:01:00Z\""]);
}
