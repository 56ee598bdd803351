//! Tests of the relevant rows of a list, and of their conclusions.

mod displaced;
mod same_id;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn selection(top: Option<usize>) -> Selection {
    Selection::new(ServiceKind::PowerBi, (at("2026-01-01T12:00:00Z"), at("2025-11-30T12:00:00Z")), top)
}

fn select(rows: &[&str]) -> (Vec<String>, bool) {
    let mut selection = selection(None);
    for row in rows {
        selection.add(row.as_bytes());
    }
    let Selected { rows, truncated, .. } = selection.finish();
    (rows.into_iter().map(|(id, _)| id.to_string()).collect(), truncated)
}

#[test]
fn rows_running_or_started_in_window_are_kept() {
    let (kept, truncated) = select(&[
        r#"{"refreshId":"old","startTime":"2026-01-01T11:00:00Z","endTime":"2026-01-01T13:00:00Z","status":"succeeded"}"#,
        r#"{"refreshId":"early","startTime":"2026-01-01T12:00:00","status":"failed"}"#,
        r#"{"refreshId":"late","startTime":"2026-01-01T12:00:09.1234567Z","status":"succeeded"}"#,
        r#"{"refreshId":"runs","startTime":"2025-12-01T12:00:00Z","status":"inProgress"}"#,
        r#"{"refreshId":"odd","status":"succeeded"}"#,
        r#"{"refreshId":"new","startTime":"2025-12-31T12:00:00Z","status":"somethingNew"}"#,
        r#"{"refreshId":"LATE","startTime":"2026-01-01T12:00:09.1234567Z","status":"succeeded"}"#,
    ]);
    assert_eq!(kept, ["new", "runs", "odd", "LATE", "early"]);
    assert!(!truncated);
}

#[test]
fn row_without_id_makes_list_uncertain() {
    let row = |fields: &str| format!(r#"{{"refreshType":"ViaEnhancedApi"{fields}}}"#);
    assert_eq!(select(&[&row("")]), (vec![], true));
    assert_eq!(select(&[&row(r#","refreshId":"a/b","status":"inProgress""#)]), (vec![], true));
    assert_eq!(select(&[&row(r#","startTime":"2020-01-01T12:00:00Z","status":"failed""#)]), (vec![], false));
}

#[test]
fn unreadable_row_makes_list_uncertain_and_others_count() {
    let ours = r#"{"requestId":"ours","refreshType":"ViaEnhancedApi","startTime":"2026-01-01T12:00:05Z","status":"Unknown"}"#;
    for row in ["17", "\"null\"", "\"requestId\"", "[]", r#"{"requestId":"odd","x":nan}"#, r#"{"requestId":"cut","status":"Comp"#] {
        let mut selection = selection(None);
        for row in [row, ours] {
            selection.add(row.as_bytes());
        }
        let Selected { rows, truncated, may_hide_running, unnamed, .. } = selection.finish();
        let kept: Vec<&str> = rows.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!((kept, truncated, may_hide_running, unnamed), (vec!["ours"], true, true, None), "{row}");
    }
}

#[test]
fn half_a_surrogate_pair_in_a_row_is_repaired() {
    let rows: [&[u8]; 3] = [
        br#"{"requestId":"r","status":"Failed","startTime":"2026-01-01T12:00:05Z","serviceExceptionJson":"no","x":[NaN,-Infinity]}"#,
        br#"{"requestId":"r","status":"Failed","startTime":"2026-01-01T12:00:05Z","serviceExceptionJson":"{\"errorDescription\":\"cut \\ud83d"}"#,
        b"{\"requestId\":\"r\",\"status\":\"Failed\",\"startTime\":\"2026-01-01T12:00:05Z\",\"serviceExceptionJson\":\"K\xf6ln\"}",
    ];
    for row in rows {
        let read = Row::read(ServiceKind::PowerBi, row).unwrap();
        assert_eq!((read.id.unwrap().as_str(), read.phase, read.messages.len()), ("r", Phase::Failed, 1));
    }
}

#[test]
fn id_is_the_first_valid_name() {
    let rows = [
        (r#"{"requestId":"a","refreshId":null}"#, Some("a")),
        (r#"{"refreshId":"","requestId":"a"}"#, Some("a")),
        (r#"{"requestId":"b","refreshId":"a"}"#, Some("a")),
        (r#"{"refreshId":"a","requestId":"b"}"#, Some("a")),
        (r#"{"operationId":[],"requestId":"a"}"#, Some("a")),
        (r#"{"RequestID":" a "}"#, Some("a")),
        (r#"{"requestId":"00000000-0000-0000-0000-000000000000","operationId":"a"}"#, Some("a")),
        (r#"{"requestId":"00000000-0000-0000-0000-000000000000"}"#, None),
        (r#"{"id":"a"}"#, None),
    ];
    for (row, expected) in rows {
        let read = Row::read(ServiceKind::PowerBi, row.as_bytes()).unwrap();
        assert_eq!(read.id.as_ref().map(OperationId::as_str), expected, "{row}");
    }
}

#[test]
fn only_documented_types_are_of_client_origin() {
    let rows = [
        ("ViaEnhancedApi", Origin::Client),
        ("RELIABLEPROCESSING", Origin::Client),
        ("Scheduled", Origin::External),
        ("WebModeling", Origin::External),
        ("OnDemandTraining", Origin::External),
        ("DirectLakeFraming", Origin::Unknown),
        ("ViaSomethingNew", Origin::Unknown),
        ("", Origin::Unknown),
    ];
    for (refresh_type, expected) in rows {
        let row = format!(r#"{{"requestId":"a","refreshType":"{refresh_type}","status":"Unknown"}}"#);
        assert_eq!(Row::read(ServiceKind::PowerBi, row.as_bytes()).unwrap().origin, expected, "{refresh_type}");
        assert_eq!(Row::read(ServiceKind::AnalysisServices, row.as_bytes()).unwrap().origin, Origin::Client);
    }
    for row in [r#"{"requestId":"a"}"#, r#"{"refreshType":{"a":1}}"#] {
        assert_eq!(Row::read(ServiceKind::PowerBi, row.as_bytes()).unwrap().origin, Origin::Unknown, "{row}");
    }
}

#[test]
fn rows_older_than_longest_refresh_are_not_running() {
    let row = |id: &str, by: &str, start: &str| {
        format!(r#"{{"requestId":"{id}","refreshType":"{by}","startTime":"{start}","status":"Unknown"}}"#)
    };
    let rows = [
        row("old", "Scheduled", "2025-11-30T11:59:59Z"),
        row("old-ours", "ViaEnhancedApi", "2025-11-30T11:59:59Z"),
        row("runs", "Scheduled", "2025-11-30T12:00:00Z"),
        r#"{"requestId":"undated","refreshType":"Scheduled","status":"Unknown"}"#.to_owned(),
        r#"{"refreshType":"OnDemand","startTime":"2025-11-30T11:59:59Z","status":"Unknown"}"#.to_owned(),
    ];
    let (kept, truncated) = select(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((kept, truncated), (vec!["undated".to_owned(), "runs".to_owned()], false));
    // An operation that an old, unresolved submission may have started is still a candidate.
    let mut selection = Selection::new(ServiceKind::PowerBi, (at("2025-11-01T00:00:00Z"), at("2025-11-30T12:00:00Z")), None);
    selection.add(row("ours", "ViaEnhancedApi", "2025-11-02T00:00:00Z").as_bytes());
    assert_eq!(selection.finish().rows.len(), 1);
}

/// A row without an id if `id` is empty.
fn timed_row(id: &str, by: &str, (start, end): (&str, &str), status: &str) -> String {
    let id = if id.is_empty() { String::new() } else { format!(r#""requestId":"{id}","#) };
    format!(r#"{{{id}"refreshType":"{by}","startTime":"{start}","endTime":"{end}","status":"{status}"}}"#)
}

const SUCCESS: (&str, &str) = ("2026-01-01T10:00:00Z", "2026-01-01T10:10:00Z");

#[test]
fn only_later_success_that_runs_alone_outdates_a_row() {
    let stuck = |start: &str| timed_row("stuck", "Scheduled", (start, ""), "Unknown");
    let (before, just_before) = ("2026-01-01T09:58:59Z", "2026-01-01T09:59:00Z");
    let success = |by: &str| timed_row("later", by, SUCCESS, "Completed");
    let rows = [
        (before, success("Scheduled"), true),
        (before, success("OnDemand"), true),
        (before, success("viaapi"), true),
        (before, success("ViaEnhancedApi"), true),
        (before, success("ReliableProcessing"), true),
        (before, success("ViaXmlaEndpoint"), false),
        (before, success("WebModeling"), false),
        (before, success("OnDemandTraining"), false),
        (before, success("DirectLakeFraming"), false),
        (before, success("ViaSomethingNew"), false),
        (before, success(""), false),
        (before, timed_row("later", "Scheduled", SUCCESS, "Failed"), false),
        (before, timed_row("later", "Scheduled", SUCCESS, "Cancelled"), false),
        (before, timed_row("later", "Scheduled", (SUCCESS.0, ""), "Completed"), false),
        (before, timed_row("later", "Scheduled", (SUCCESS.0, "2026-01-01T09:59:59Z"), "Completed"), false),
        (before, timed_row("later", "Scheduled", ("", SUCCESS.1), "Completed"), false),
        // The service's machines may have different clocks.
        (just_before, success("Scheduled"), false),
        (SUCCESS.0, success("Scheduled"), false),
        ("2026-01-01T10:05:00Z", success("Scheduled"), false),
        ("", success("Scheduled"), false),
    ];
    for (start, later, is_outdated) in rows {
        for list in [[later.clone(), stuck(start)], [stuck(start), later.clone()]] {
            let (kept, truncated) = select(&list.each_ref().map(String::as_str));
            assert_eq!((kept.iter().any(|id| id == "stuck"), truncated), (!is_outdated, false), "{list:?}");
        }
    }
    // The rows of Analysis Services have no type.
    let mut selection = Selection::new(ServiceKind::AnalysisServices, (at("2026-01-01T12:00:00Z"), Timestamp::MIN), None);
    for row in [success("Scheduled"), stuck(before)] {
        selection.add(row.as_bytes());
    }
    assert_eq!(selection.finish().rows.iter().map(|(_, row)| row.is_outdated).collect::<Vec<_>>(), [false]);
}

#[test]
fn outdated_row_with_details_or_in_the_window_is_kept() {
    let later = timed_row("later", "ViaApi", ("2026-01-01T12:30:00Z", "2026-01-01T12:31:00Z"), "Completed");
    let rows = [
        ("ViaEnhancedApi", "2026-01-01T11:59:59Z", Some(true)),
        ("DirectLakeFraming", "2026-01-01T11:59:59Z", Some(true)),
        ("Scheduled", "2026-01-01T11:59:59Z", None),
        ("WebModeling", "2026-01-01T11:59:59Z", None),
        ("ViaXmlaEndpoint", "2026-01-01T11:59:59Z", Some(false)),
        // Started since the intent, so it may be ours.
        ("ViaEnhancedApi", "2026-01-01T12:00:00Z", Some(false)),
        ("DirectLakeFraming", "2026-01-01T12:00:00Z", Some(false)),
        ("Scheduled", "2026-01-01T12:00:00Z", Some(false)),
    ];
    for (by, start, expected) in rows {
        let mut selection = selection(None);
        for row in [later.clone(), timed_row("stuck", by, (start, ""), "Unknown")] {
            selection.add(row.as_bytes());
        }
        let kept: Vec<_> = selection.finish().rows.into_iter().map(|(id, row)| (id.to_string(), row.is_outdated)).collect();
        assert_eq!(kept, expected.map(|is_outdated| ("stuck".to_owned(), is_outdated)).into_iter().collect::<Vec<_>>(), "{by} {start}");
    }
}

#[test]
fn outdated_row_without_id_does_not_block() {
    type TypeAndStart = (&'static str, &'static str);
    let (before, after) = ("2026-01-01T09:00:00Z", "2026-01-01T11:00:00Z");
    let unnamed = |is_external: bool, start: Option<&str>| Some(UnnamedOperation { is_external, start: start.map(at) });
    let rows: [(&[TypeAndStart], Option<UnnamedOperation>); 8] = [
        (&[("OnDemand", before)], None),
        (&[("WebModeling", before)], None),
        (&[("Novel", before)], None),
        (&[("OnDemand", after)], unnamed(true, Some(after))),
        (&[("OnDemand", before), ("OnDemand", "")], unnamed(true, None)),
        (&[("OnDemand", after), ("OnDemand", before)], unnamed(true, Some(after))),
        (&[("OnDemand", before), ("Novel", after)], unnamed(false, Some(after))),
        (&[("Novel", after), ("OnDemand", after)], unnamed(true, Some(after))),
    ];
    for (running, expected) in rows {
        let mut selection = selection(None);
        selection.add(timed_row("later", "ViaApi", SUCCESS, "Completed").as_bytes());
        for (by, start) in running.iter().copied() {
            selection.add(timed_row("", by, (start, ""), "Unknown").as_bytes());
        }
        let Selected { rows, truncated, may_hide_running, has_unknown_rows, unnamed, .. } = selection.finish();
        assert_eq!((rows.len(), truncated, may_hide_running, unnamed), (0, false, false, expected), "{running:?}");
        // Whether one may be ours is another question.
        assert_eq!(has_unknown_rows, running.iter().any(|(by, _)| *by == "Novel"), "{running:?}");
    }
}

#[test]
fn row_of_unknown_origin_without_id_is_no_doubt_beside_a_client() {
    let running = Some(UnnamedOperation { is_external: false, start: Some(at("2026-01-01T12:00:05Z")) });
    for (kind, status, expected) in [
        (r#""refreshType":"DirectLakeFraming","#, "Completed", None),
        (r#""refreshType":"DirectLakeFraming","#, "Unknown", running),
        (r#""refreshType":"Novel","#, "Unknown", running),
        ("", "Completed", None),
    ] {
        let mut selection = selection(None);
        selection.add(format!(r#"{{{kind}"startTime":"2026-01-01T12:00:05Z","status":"{status}"}}"#).as_bytes());
        let Selected { rows, truncated, may_hide_running, has_unknown_rows, unnamed, .. } = selection.finish();
        assert_eq!(
            (rows.len(), truncated, may_hide_running, has_unknown_rows, unnamed),
            (0, false, false, true, expected),
            "{kind} {status}"
        );
    }
}

#[test]
fn errors_of_the_attempts_of_a_row_are_read() {
    let attempt = |code: &str| format!(r#"{{"serviceExceptionJson":"{{\"errorCode\":\"{code}\"}}"}}"#);
    let row =
        format!(r#"{{"requestId":"a","status":"Failed","refreshAttempts":[{},{},{{"endTime":"x"}}]}}"#, attempt("First"), attempt("Last"));
    let row = Row::read(ServiceKind::PowerBi, row.as_bytes()).unwrap();
    assert_eq!(row.messages.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(), ["Last"]);
}

#[test]
fn external_running_row_without_id_is_certain() {
    let rows = [
        (r#"{"refreshType":"OnDemand","startTime":"2026-01-01T12:00:05Z","status":"Unknown"}"#, (false, false, true)),
        (r#"{"requestId":"a/b","refreshType":"Scheduled","status":"Unknown"}"#, (false, false, true)),
        (r#"{"refreshType":"OnDemand","startTime":"2026-01-01T12:00:05Z","status":"Completed"}"#, (false, false, false)),
        (r#"{"refreshType":"ViaEnhancedApi","startTime":"2026-01-01T12:00:05Z","status":"Unknown"}"#, (true, true, false)),
    ];
    for (row, expected) in rows {
        let mut selection = selection(None);
        selection.add(row.as_bytes());
        let Selected { rows, truncated, may_hide_running, unnamed, .. } = selection.finish();
        assert_eq!((truncated, may_hide_running, unnamed.is_some()), expected, "{row}");
        assert!(rows.is_empty());
    }
}

#[test]
fn external_refresh_blocks_while_running() {
    let mut selection = selection(None);
    for (id, by, status) in [
        ("a", "Scheduled", "Unknown"),
        ("b", "OnDemand", "Completed"),
        ("c", "ViaEnhancedApi", "Completed"),
        ("d", "ReliableProcessing", "Unknown"),
        ("e", "ViaSomethingNew", "Failed"),
        ("f", "viaapi", "Failed"),
    ] {
        let row = format!(r#"{{"requestId":"{id}","id":1,"refreshType":"{by}","startTime":"2026-01-01T12:00:01","status":"{status}"}}"#);
        selection.add(row.as_bytes());
    }
    let Selected { rows, truncated, .. } = selection.finish();
    let seen: Vec<_> = rows.iter().map(|(id, row)| (id.as_str(), row.origin)).collect();
    let expected = [("a", Origin::External), ("d", Origin::Client), ("c", Origin::Client), ("e", Origin::Unknown)];
    assert_eq!((seen, truncated), (expected.to_vec(), false));
}

#[test]
fn newest_list_is_complete_if_it_covers_the_window() {
    let rows = [
        (&["12:03", "12:02"][..], false),
        (&["12:03", "12:02", "12:01"], true),
        (&["12:03", "12:02", "11:59"], false),
        (&["11:59", "12:02", "12:01"], true),
        (&["12:01", "12:02", "11:59"], true),
        (&["12:03", "", "11:59"], true),
    ];
    for (starts, expected) in rows {
        let mut selection = selection(Some(3));
        for (n, start) in starts.iter().enumerate() {
            let row = format!(r#"{{"requestId":"r{n}","startTime":"2026-01-01T{start}:00Z","status":"Completed"}}"#);
            selection.add(row.as_bytes());
        }
        assert_eq!(selection.finish().truncated, expected, "{starts:?}");
    }
}

#[test]
fn truncated_list_may_hide_running_unless_newest_first() {
    let rows: [(&[&str], bool); 6] = [
        (&["12:03", "12:02", "11:59"], false),
        (&["12:03", "12:03", ""], false),
        (&["12:03", "", "12:01"], false),
        (&["11:59", "12:02", "12:03"], true),
        (&["12:03", "", "12:04"], true),
        (&[], false),
    ];
    for (starts, expected) in rows {
        for (top, size_exceeded) in [(None, true), (Some(starts.len()), false), (None, false)] {
            let mut selection = selection(top);
            for (n, start) in starts.iter().enumerate() {
                let row = format!(r#"{{"requestId":"r{n}","startTime":"2026-01-01T{start}:00Z","status":"Completed"}}"#);
                selection.add(row.as_bytes());
            }
            if size_exceeded {
                selection.set_truncated();
            }
            let whole = top.is_none() && !size_exceeded;
            assert_eq!(selection.finish().may_hide_running, expected && !whole, "{starts:?} {top:?}");
        }
    }
    for (status, expected) in [("inProgress", true), ("failed", false)] {
        let (mut selection, row) =
            (selection(None), format!(r#"{{"refreshId":"a/b","refreshType":"ViaEnhancedApi","status":"{status}"}}"#));
        selection.add(row.as_bytes());
        assert_eq!(selection.finish().may_hide_running, expected, "{row}");
    }
}

#[test]
fn paged_list_is_complete_only_if_it_covers_the_window() {
    for (start, expected) in [("11:59", false), ("12:01", true)] {
        let mut selection = selection(Some(100));
        for (n, start) in ["12:02", start].iter().enumerate() {
            let row = format!(r#"{{"requestId":"r{n}","startTime":"2026-01-01T{start}:00Z","status":"Completed"}}"#);
            selection.add(row.as_bytes());
        }
        selection.set_more_pages();
        assert_eq!(selection.finish().truncated, expected, "{start}");
    }
}

#[test]
fn ended_rows_without_start_count_by_their_end() {
    let row = |id: &str, end: &str| timed_row(id, "ViaEnhancedApi", ("", end), "Completed");
    let ours = timed_row("ours", "ViaEnhancedApi", ("2026-01-01T12:00:05Z", "2026-01-01T12:00:06Z"), "Completed");
    let list = |end: &str| {
        let mut selection = selection(Some(MAX_ROWS + 2));
        selection.add(ours.as_bytes());
        for n in 0..=MAX_ROWS {
            selection.add(row(&format!("r{n}"), end).as_bytes());
        }
        let Selected { rows, truncated, .. } = selection.finish();
        (rows.len(), rows[0].0.to_string(), truncated)
    };
    assert_eq!(list("2026-01-01T11:59:59Z"), (1, "ours".to_owned(), false));
    assert_eq!(list("2026-01-01T12:00:04Z"), (MAX_ROWS, "ours".to_owned(), true));
    assert_eq!(select(&[&row("", "2026-01-01T11:59:59Z")]), (vec![], false));
    assert_eq!(select(&[&row("", "2026-01-01T12:00:00Z")]), (vec![], true));
    // A running refresh has no end.
    assert_eq!(select(&[&timed_row("a", "Novel", ("", "2026-01-01T11:00:00Z"), "Unknown")]), (vec!["a".to_owned()], false));
}

#[test]
fn rows_are_bounded() {
    let mut selection = Selection::new(ServiceKind::AnalysisServices, (Timestamp::MIN, Timestamp::MIN), None);
    for n in 0..10_000 {
        let row = format!(r#"{{"refreshId":"r{n}","startTime":"2026-01-01T12:00:00.{n:05}Z","status":"succeeded"}}"#);
        selection.add(row.as_bytes());
        assert!(selection.rows.len() <= 4 * MAX_ROWS);
    }
    let Selected { rows, truncated, .. } = selection.finish();
    assert_eq!((rows.len(), rows[0].0.as_str(), truncated), (MAX_ROWS, "r9999", true));
}
