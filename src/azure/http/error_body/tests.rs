//! Tests of all error formats.

use serde_json::json;

use super::*;

/// The code and text of each message of an operation.
fn shown(input: &str) -> Vec<(String, String)> {
    let messages = ErrorBody::all(&Node::of_text(input)).into_iter().filter_map(|error| error.service_message("Error"));
    messages.map(|message| (message.code.unwrap_or_default(), message.text)).collect()
}

/// The code and the sentence of a call.
fn call(input: &str) -> (String, String) {
    let error = ErrorBody::of_text(input);
    (error.code(), error.call_message(600))
}

fn detail(code: &str, value: &str) -> serde_json::Value {
    json!({"code": code, "detail": {"type": 1, "value": value}})
}

/// One error in each format, with its code and text.
fn shapes() -> Vec<(String, &'static str, &'static str)> {
    let underlying = "DM_ErrorDetailNameCode_UnderlyingErrorMessage";
    let pbi = json!({"error": {"code": "DMTS_X", "pbi.error": {"code": "DMTS_X", "parameters": {}, "details":
        [detail(underlying, "No way."), detail("DM_ErrorDetailNameCode_UnderlyingHResult", "-2147467259")], "exceptionCulprit": 1}}});
    let both = json!({"errorCode": "ModelRefresh_Error", "errorDescription": pbi.to_string()});
    let rows = [
        (json!({"errorCode": "X1", "errorDescription": "No way."}), "X1", "No way."),
        (json!({"ErrorCode": "X1", "ERRORDESCRIPTION": "No\r\n  way."}), "X1", "No way."),
        (json!({"error": {"code": "Premium_ASWL_Error"}}), "Premium_ASWL_Error", "Premium_ASWL_Error"),
        (json!({"errorCode": "Premium_ASWL_Error"}), "Premium_ASWL_Error", "Premium_ASWL_Error"),
        (json!({"error": {"code": "X1", "message": "No way."}}), "X1", "No way."),
        (json!({"Error": {"Code": 17, "Message": "No way."}}), "17", "No way."),
        (
            json!({"error": {"code": "X1", "message": "Bad Request", "details": [{"message": "No way.", "target": "t"}]}}),
            "X1",
            "Bad Request: No way.",
        ),
        (json!({"error": {"code": "X1", "details": [{"code": "X2", "message": "No way."}, {"code": "X3"}]}}), "X1", "X2: No way. X3"),
        (json!({"error": {"code": "X1", "details": {"message": "No way."}}}), "X1", "No way."),
        (json!({"error": {"code": "X1", "message": "No.", "details": ["No way."]}}), "X1", "No. No way."),
        (pbi.clone(), "DMTS_X", "No way. UnderlyingHResult: -2147467259"),
        (both.clone(), "ModelRefresh_Error", "DMTS_X: No way. UnderlyingHResult: -2147467259"),
        (json!({"error": {"pbi.error": {"code": "DMTS_X", "details": [detail("A_Details_Label", "No way.")]}}}), "DMTS_X", "No way."),
        (json!({"error": {"code": "X1", "pbi.error": {"details": [detail("Message", "No way.")]}}}), "X1", "No way."),
        (json!({"Message": "No way."}), "", "No way."),
        (json!({"message": "No way."}), "", "No way."),
        (
            json!({"Message": "An error has occurred.", "ExceptionMessage": "No way.", "StackTrace": "at X"}),
            "",
            "An error has occurred. No way.",
        ),
        (json!({"error": "No way."}), "", "No way."),
        (json!({"error": "invalid_request", "error_description": "No way."}), "invalid_request", "No way."),
        (json!({"odata.error": {"code": "X1", "message": {"lang": "en", "value": "No way."}}}), "X1", "No way."),
        (
            json!({"errorCode": "X1", "message": "No.", "moreDetails": [{"errorCode": "X2", "message": "No way."}], "requestId": "1"}),
            "X1",
            "No. X2: No way.",
        ),
        (json!({"code": "X1", "innererror": {"code": "X2", "innererror": {"message": "No way."}}}), "X1", "X2: No way."),
        (json!({"type": "https://x/6", "title": "Wrong.", "status": 400, "errors": {"$.type": ["No way."]}}), "", "Wrong. $.type: No way."),
        (json!({"code": "X1", "why": "no way"}), "X1", "why: no way"),
        (json!({"response": {"error": {"code": "X1", "message": "No way."}}}), "X1", "No way."),
        (json!("No way."), "", "No way."),
        (json!([[{"code": "X1", "message": "No way."}]]), "X1", "No way."),
        (json!({"message": 17}), "", "17"),
        (json!({"message": ["No way."], "code": null}), "", "No way."),
        (json!({"message": "X1", "code": "X1"}), "X1", "X1"),
        (json!({"code": "X1", "message": "No way.", "details": [{"message": "No way."}]}), "X1", "No way."),
    ];
    let mut rows: Vec<_> = rows.map(|(body, code, text)| (body.to_string(), code, text)).into();
    rows.extend([
        ("boom".to_owned(), "", "boom"),
        (" The\tmodel \u{feff} is gone.\r\n".to_owned(), "", "The model is gone."),
        (
            "ModelRefreshFailed_CredentialsNotSpecified".to_owned(),
            "ModelRefreshFailed_CredentialsNotSpecified",
            "ModelRefreshFailed_CredentialsNotSpecified",
        ),
        ("0xC11C0020".to_owned(), "0xC11C0020", "0xC11C0020"),
        (i64::MIN.to_string(), "-9223372036854775808", "-9223372036854775808"),
        ("0xC11C0020: Evicted.".to_owned(), "0xC11C0020", "Evicted."),
        (
            format!("Data source error: {pbi} Table: Sales."),
            "DMTS_X",
            "Data source error: No way. UnderlyingHResult: -2147467259 Table: Sales.",
        ),
        (r#"{0} and {"a":1} are no errors"#.to_owned(), "", r#"{0} and {"a":1} are no errors"#),
        (r#"{"error":{"code":"X1","mess"#.to_owned(), "", r#"{"error":{"code":"X1","mess"#),
        ("[1, 2]".to_owned(), "", "[1, 2]"),
        (r#"{"message":"cut \ud83d"}"#.to_owned(), "", "cut \u{fffd}"),
        (json!({"message": "Column <oii>Key</oii> has no <ccon>value</ccon>"}).to_string(), "", "Column Key has no value"),
    ]);
    rows
}

#[test]
fn error_in_any_format_has_its_code_and_text() {
    for (input, code, text) in shapes() {
        assert_eq!(shown(&input), [(code.to_owned(), text.to_owned())], "{input}");
        // A call shows the code next to the text, so a code alone is not a text.
        let (of_call, sentence) = call(&input);
        assert_eq!(of_call, code, "{input}");
        assert!(sentence == text || (sentence.is_empty() && text == code), "{input}: {sentence}");
    }
}

#[test]
fn encoded_error_is_the_same_error() {
    for (input, ..) in shapes() {
        let mut encoded = input.clone();
        for _ in 0..3 {
            encoded = json!(encoded).to_string();
            assert_eq!(shown(&encoded), shown(&input), "{encoded}");
            assert_eq!(call(&encoded), call(&input), "{encoded}");
        }
        let wrapped = json!({"errorDescription": input}).to_string();
        assert_eq!(shown(&wrapped).first().map(|(_, text)| text), shown(&input).first().map(|(_, text)| text), "{wrapped}");
    }
}

#[test]
fn empty_errors_are_no_messages() {
    for input in ["", " ", "null", "{}", "[]", "[null,[]]", r#"{"error":{}}"#, r#"{"error":{"code":"","message":" "}}"#, r#""""#, "\u{7}"] {
        assert_eq!(shown(input), [], "{input}");
        assert_eq!(call(input), (String::new(), String::new()), "{input}");
    }
}

#[test]
fn long_texts_are_truncated_after_parsing() {
    let long = "word ".repeat(40_000);
    let bodies = [
        json!({"errorCode": "X1", "errorDescription": long}).to_string(),
        json!({"error": {"code": "X1", "message": "", "details": [{"message": long}]}}).to_string(),
        json!({"errorCode": "X1", "errorDescription": json!({"error": {"message": long}}).to_string()}).to_string(),
        json!({"padding": "p".repeat(100_000), "code": "X1", "message": long}).to_string(),
    ];
    for body in bodies {
        let shown = shown(&body);
        assert_eq!((shown.len(), shown[0].0.as_str(), shown[0].1.chars().count()), (1, "X1", 1024));
        assert!(shown[0].1.starts_with("word word"));
        assert_eq!(call(&body).1.chars().count(), 600);
    }
}

#[test]
fn size_and_depth_are_bounded() {
    let deep = format!("{}{}", r#"{"error":"#.repeat(100_000), "}".repeat(100_000));
    let wide = format!(r#"{{"details":[{}{{"message":"last"}}]}}"#, r#"{"message":"m"},"#.repeat(100_000));
    let lines = "0xC1000000: a line\n".repeat(100_000);
    let mut nested = "no way".to_owned();
    for _ in 0..12 {
        nested = json!({"a": "\\ud83d", "error": nested}).to_string();
    }
    for input in [deep, wide, lines, nested, "{".repeat(100_000), "\"".repeat(100_000)] {
        let errors = ErrorBody::all(&Node::of_text(&input));
        assert!(errors.len() < 10_000, "{}", errors.len());
        assert!(errors.iter().all(|error| error.parts.len() <= MAX_PARTS && error.rest.len() <= MAX_PARTS));
    }
}

/// Power BI puts all errors of a refresh into one text (seen in a public report).
#[test]
fn lines_with_codes_are_separate_errors() {
    let text = "Retry attempts exceeded.\n0x414700EF: {\"RootActivityId\":\"77314CAD\"}\n0xC136003E: Column 'a' in\nTable 'b' is wrong.\r\n\
                0xC11C0006: The current operation was cancelled.";
    let input = json!({"errorCode": "ModelRefresh_Error", "errorDescription": text}).to_string();
    let expected = [
        ("ModelRefresh_Error", "Retry attempts exceeded."),
        ("0x414700EF", "RootActivityId: 77314CAD"),
        ("0xC136003E", "Column 'a' in Table 'b' is wrong."),
        ("0xC11C0006", "The current operation was cancelled."),
    ];
    assert_eq!(shown(&input), expected.map(|(code, text)| (code.to_owned(), text.to_owned())));
    let (code, sentence) = call(&input);
    assert_eq!(code, "ModelRefresh_Error");
    assert!(sentence.contains("0xC136003E: Column 'a'") && !sentence.contains("77314CAD"), "{sentence}");
}

#[test]
fn listed_errors_are_separate_messages() {
    let input = json!([{"code": "X1", "message": "one", "type": "Warning"}, "two", null, 7, {"error": {"message": "three"}}]).to_string();
    assert_eq!(shown(&input).into_iter().map(|(_, text)| text).collect::<Vec<_>>(), ["one", "two", "three"]);
    assert_eq!(ErrorBody::all(&Node::of_text(&input))[0].service_message("Error").unwrap().severity, "Warning");
    assert_eq!(call(&input), ("X1".to_owned(), "one: two: three".to_owned()));
}

#[test]
fn call_error_is_stable_and_operation_error_is_complete() {
    let body = json!({"code": "X1", "message": "No way.\r\nTechnical Details:\r\nRootActivityId: 0f9a-1", "details": [
        {"code": "RootActivityId", "message": "0f9a-1"}, {"code": "Time", "message": "noon"}, {"code": "Param1", "message": "sales"},
        {"message": "1344a272-7893-4afa-a4b3-3fb87222fdac"}, {"message": "2026-01-02T12:00:00Z"}]})
    .to_string();
    assert_eq!(call(&body).1, "No way. Param1: sales");
    assert_eq!(ErrorBody::of_text(&body).activity_id().as_deref(), Some("0f9a-1"));
    let text = shown(&body)[0].1.clone();
    assert!(["RootActivityId: 0f9a-1", "1344a272-7893", "noon"].iter().all(|id| text.contains(id)), "{text}");
    assert_eq!(call(r#"{"code":"X1","requestId":"1344a272"}"#).1, "");
}

#[test]
fn tokens_and_control_characters_are_removed() {
    let token = "eyJ0eXAiOiJKV1QiLCJhbGciOi.x.y";
    let bodies = [
        format!("got Bearer {token}"),
        json!({"message": format!("got\u{1b}[31m {token}")}).to_string(),
        json!({"code": token, "message": json!({"error": {"message": token}}).to_string()}).to_string(),
        json!({(token): token, "details": [{"code": token, "message": "m"}]}).to_string(),
        format!("0xC11C0006: {token}\n0xC11C0007: <oii>eyJ0eXAi</oii>OiJKV1QiLCJhbGciOi.x.y"),
    ];
    for body in bodies {
        let input = format!("{:?} {:?}", shown(&body), call(&body));
        assert!(!input.contains("eyJ") && input.contains("[redacted]"), "{input}");
        assert!(!input.contains("\\u{1b}"), "{input}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_parsed_within_bounds_and_shown(input in "(\\PC|[{}\":,\\\\\n]){0,200}") {
        let errors = ErrorBody::all(&Node::of_text(&input));
        for message in errors.iter().filter_map(|error| error.service_message("Error")) {
            proptest::prop_assert!(!message.text.is_empty() && message.text.chars().count() <= 1024);
            proptest::prop_assert!(!message.text.chars().any(char::is_control));
        }
        // Invalid JSON is shown unchanged.
        let plain = text::one_line(&input, 1024);
        if !input.contains(['{', '[', '"', ':', '<', '\u{feff}']) && !plain.is_empty() {
            proptest::prop_assert_eq!(&shown(&input)[0].1, &plain);
        }
    }
}
