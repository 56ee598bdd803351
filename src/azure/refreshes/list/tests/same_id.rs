//! Tests of the rows of one operation: the one that is searched for, and duplicates.

use super::*;

#[test]
fn row_of_the_wanted_operation_always_counts() {
    let later = timed_row("later", "ViaApi", ("2026-01-01T12:30:00Z", "2026-01-01T12:31:00Z"), "Completed");
    let since = "2026-01-01T12:00:05Z";
    let early = "2026-01-01T11:59:50Z";
    for (by, start, status) in [
        ("ViaApi", since, "Completed"),
        ("OnDemand", since, "Failed"),
        ("Scheduled", early, "Completed"),
        ("ViaEnhancedApi", early, "Completed"),
        ("ViaEnhancedApi", "2026-01-01T10:00:00Z", "Unknown"),
        ("Scheduled", "2026-01-01T10:00:00Z", "Unknown"),
    ] {
        let mut selection = selection(None);
        selection.search_for(OperationId::parse("1A"));
        for row in [later.clone(), timed_row("1a", by, (start, ""), status), timed_row("2b", "Scheduled", (early, ""), "Completed")] {
            selection.add(row.as_bytes());
        }
        for n in 0..10 * MAX_ROWS {
            selection.add(timed_row(&format!("n{n}"), "ViaEnhancedApi", (since, ""), "Unknown").as_bytes());
        }
        let rows = selection.finish().rows;
        assert_eq!((rows[0].0.as_str(), rows[0].1.is_outdated), ("1a", false), "{by} {start} {status}");
        assert!(rows.len() == MAX_ROWS && rows.iter().all(|(id, _)| id.as_str() != "2b"));
    }
}

#[test]
fn duplicates_have_the_strongest_origin_and_latest_start() {
    let (early, late) = ("2026-01-01T12:00:01Z", "2026-01-01T12:00:05Z");
    for (running, ended, origin, start) in [
        ("Scheduled", "ViaEnhancedApi", Origin::Client, late),
        ("Novel", "ViaEnhancedApi", Origin::Client, late),
        ("Scheduled", "Novel", Origin::Unknown, late),
        ("ViaEnhancedApi", "Novel", Origin::Client, late),
        // An ended external refresh is irrelevant.
        ("ViaEnhancedApi", "Scheduled", Origin::Client, early),
        ("Scheduled", "OnDemand", Origin::External, early),
    ] {
        let running = timed_row("a", running, (early, ""), "Unknown");
        let ended = timed_row("A", ended, (late, late), "Completed");
        for list in [[&running, &ended], [&ended, &running]] {
            let mut selection = selection(None);
            for row in list {
                selection.add(row.as_bytes());
            }
            let rows = selection.finish().rows;
            let found: Vec<_> = rows.iter().map(|(_, row)| (row.phase, row.origin, row.start)).collect();
            assert_eq!(found, [(Phase::InProgress, origin, Some(at(start)))], "{list:?}");
        }
    }
}
