//! Whether a name that the service shows is the requested name.
//!
//! Both services compare the names of tables and partitions without regard to case, also beyond ASCII, and a name may end with a
//! space. So spaces are compared too. Names that differ only in spaces, in the encoding of a letter or in invisible characters may be
//! the same name, changed by a gateway. They prove nothing.

use unicase::UniCase;

use crate::operation::{ObjectName, REDACTED};
use crate::text::letters;

/// How well a shown name matches a requested one, the best match first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NameMatch {
    /// The services treat both as one name.
    Same,
    /// They differ in a way that a gateway may have caused.
    Similar,
    /// They are two names.
    Different,
}

/// How well a shown object matches a requested one. A requested table covers its partitions, and Power BI may show a table without
/// the requested partition.
pub(super) fn object(requested: &ObjectName, shown: &ObjectName) -> NameMatch {
    let partition = match (&requested.partition, &shown.partition) {
        (Some(requested), Some(shown)) => name(requested, shown),
        (None, _) | (_, None) => NameMatch::Same,
    };
    name(&requested.table, &shown.table).max(partition)
}

/// How well a shown name matches a requested one.
pub(super) fn name(requested: &str, shown: &str) -> NameMatch {
    if UniCase::unicode(requested) == UniCase::unicode(shown) {
        NameMatch::Same
    } else if shown.contains(REDACTED) || shown.contains(char::REPLACEMENT_CHARACTER) || letters(requested) == letters(shown) {
        NameMatch::Similar
    } else {
        NameMatch::Different
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_the_services_do() {
        let rows = [
            ("Sales", "Sales", NameMatch::Same),
            ("Sales", "SALES", NameMatch::Same),
            ("Dummy Sales ", "Dummy Sales ", NameMatch::Same),
            ("Umsätze", "UMSÄTZE", NameMatch::Same),
            ("Straße", "STRASSE", NameMatch::Same),
            ("ΠΩΛΗΣΕΙΣ", "πωλησεις", NameMatch::Same),
            ("Продажи", "ПРОДАЖИ", NameMatch::Same),
            ("Dummy Sales ", "Dummy Sales", NameMatch::Similar),
            ("Dummy Sales", "Dummy  Sales", NameMatch::Similar),
            ("Dummy\u{a0}Sales", "dummy sales", NameMatch::Similar),
            ("Ums\u{e4}tze", "Umsa\u{308}tze", NameMatch::Similar),
            ("Ums\u{e4}tze", "UMSA\u{308}TZE", NameMatch::Similar),
            ("\u{feff}Sales", "Sales", NameMatch::Similar),
            ("Sa\u{200b}les", "Sales", NameMatch::Similar),
            ("K\u{f6}ln", "K\u{fffd}ln", NameMatch::Similar),
            ("\u{ff33}ales", "Sales", NameMatch::Similar),
            ("sat\u{131}\u{15f}", "SATI\u{15e}", NameMatch::Similar),
            ("\u{130}ade", "iade", NameMatch::Similar),
            ("\u{130}ade", "IADE", NameMatch::Similar),
            ("Sales \u{2714}\u{fe0f}", "Sales \u{2714}", NameMatch::Similar),
            ("Sa\u{34f}les", "Sales", NameMatch::Similar),
            ("Sa\u{61c}les", "Sales", NameMatch::Similar),
            ("\u{17c}", "z", NameMatch::Different),
            ("token eyJ0eXAiOiJKV1QiLCJhbGciOi.x.y", "token [redacted]", NameMatch::Similar),
            ("Sales", "Sales1", NameMatch::Different),
            ("Sales", "", NameMatch::Different),
            ("Umsätze", "Umsatze", NameMatch::Different),
        ];
        for (requested, shown, expected) in rows {
            assert_eq!(name(requested, shown), expected, "{requested:?} {shown:?}");
            if !shown.contains(REDACTED) && !shown.contains(char::REPLACEMENT_CHARACTER) {
                assert_eq!(name(shown, requested), expected, "{shown:?} {requested:?}");
            }
        }
    }

    #[test]
    fn worse_match_of_table_and_partition_counts() {
        let of = |table: &str, partition: Option<&str>| ObjectName { table: table.to_owned(), partition: partition.map(str::to_owned) };
        let rows = [
            (of("a", Some("p")), of("A", Some("P")), NameMatch::Same),
            (of("a", Some("p")), of("a", Some("p ")), NameMatch::Similar),
            (of("a ", Some("p")), of("a", Some("q")), NameMatch::Different),
            (of("a", None), of("a", Some("q")), NameMatch::Same),
            (of("a", Some("p")), of("a", None), NameMatch::Same),
        ];
        for (requested, shown, expected) in rows {
            assert_eq!(object(&requested, &shown), expected, "{requested:?} {shown:?}");
        }
    }
}
