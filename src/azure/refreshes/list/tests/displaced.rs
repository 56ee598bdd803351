//! Tests of lists from which the service may have removed older rows.

use super::*;

#[test]
fn list_may_lack_rows_unless_one_is_older_than_window() {
    let (before, since) = ("2026-01-01T11:59:59Z", "2026-01-01T12:00:00Z");
    let rows = [
        (19, since, false),
        (20, since, true),
        (60, since, true),
        (20, before, false),
        (60, before, false),
        (60, "", true),
        (19, "", false),
    ];
    for (count, oldest, expected) in rows {
        for position in [0, count / 2, count - 1] {
            for service in [ServiceKind::PowerBi, ServiceKind::AnalysisServices] {
                let mut selection = Selection::new(service, (at(since), at("2025-11-30T12:00:00Z")), None);
                for n in 0..count {
                    let start = if n == position { oldest } else { "2026-01-01T12:10:00Z" };
                    selection.add(timed_row(&format!("r{n}"), "Scheduled", (start, "2026-01-01T12:20:00Z"), "Completed").as_bytes());
                }
                let Selected { truncated, may_hide_running, .. } = selection.finish();
                // Rows of Analysis Services are all of clients, and are kept up to a limit.
                let expected = if service == ServiceKind::PowerBi { expected } else { count > MAX_ROWS };
                assert_eq!((truncated, may_hide_running), (expected, false), "{service:?} {count} {oldest} {position}");
            }
        }
    }
}

/// A sync that waited for another list would never start on a model with many automatic refreshes.
#[test]
fn automatic_refreshes_delay_no_sync() {
    let mut selection = selection(None);
    for n in 0..60 {
        let times = ("2026-01-01T12:10:00Z", "2026-01-01T12:20:00Z");
        selection.add(timed_row(&format!("r{n}"), "DirectLakeFraming", times, "Completed").as_bytes());
    }
    let Selected { truncated, may_hide_running, .. } = selection.finish();
    assert_eq!((truncated, may_hide_running), (true, false));
}
