//! Names that look like a requested one, but differ in case, in spaces, in invisible characters or in the encoding of letters.
//!
//! Power BI shows such a name as the requested one, so the message has to show the difference.

use std::collections::HashSet;
use std::fmt::Write as _;

use unicase::UniCase;

use crate::azure::http::text::truncate;
use crate::text::{letters, plain};

/// Maximum number of similar names in a message.
const MAX_NAMES: usize = 2;

/// Maximum length of a name in a message, in characters.
const MAX_LENGTH: usize = 200;

/// The requested name of a workspace or a semantic model.
#[derive(Debug)]
pub(super) struct RequestedName<'a> {
    pub(super) name: &'a str,
    letters: String,
}

impl<'a> RequestedName<'a> {
    pub(super) fn new(name: &'a str) -> Self {
        Self { name, letters: letters(name) }
    }

    /// Whether a name is the requested one, ignoring case and surrounding whitespace. A spec cannot contain a name with surrounding
    /// whitespace.
    pub(super) fn matches(&self, name: &str) -> bool {
        UniCase::unicode(name.trim()) == UniCase::unicode(self.name.trim())
    }

    /// Whether another name looks like the requested one.
    pub(super) fn resembles(&self, name: &str) -> bool {
        name != self.name && !self.letters.is_empty() && letters(name) == self.letters
    }

    /// The message for a name that is not visible, although these similar names are.
    pub(super) fn missing(&self, what: &str, mut similar: Vec<String>) -> String {
        similar.sort_unstable();
        similar.dedup();
        similar.truncate(MAX_NAMES);
        let shown = |name: &str, other: &str| format!("\"{}\"", truncate(&distinguished(name, other), MAX_LENGTH));
        let names: Vec<String> = similar.iter().map(|name| shown(name, self.name)).collect();
        let (name, names) = (shown(self.name, &similar.concat()), names.join(" and "));
        let which = if similar.len() > 1 { "are, which differ" } else { "is, which differs" };
        let message = format!(
            "no {what} named {name} is visible to this identity, but {names} {which} only in case, in spaces, in invisible characters or in \
             the encoding of letters (in brackets): copy the name from Power BI, rename the {what}, or set groupId and datasetId"
        );
        truncate(&message, 1024)
    }
}

/// A name with everything in brackets that may distinguish it from another one: invisible characters, unusual spaces, and letters that the
/// other name does not have.
fn distinguished(name: &str, other: &str) -> String {
    let known: HashSet<char> = other.chars().flat_map(char::to_lowercase).collect();
    let chars: Vec<char> = name.chars().collect();
    let is_space = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_none_or(|c| c.is_whitespace());
    let mut shown = String::with_capacity(name.len());
    for (at, c) in chars.iter().copied().enumerate() {
        let is_usual = if c == ' ' {
            // Between two words.
            !is_space(at.checked_sub(1)) && !is_space(at.checked_add(1))
        } else {
            let text = c.to_string();
            plain(&text) == text && c.to_lowercase().all(|c| known.contains(&c))
        };
        if is_usual {
            shown.push(c);
        } else {
            let _ = write!(shown, "[U+{:04X}]", u32::from(c));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_of_similar_names_are_shown() {
        // A requested name, a similar one, and both as shown.
        let rows = [
            ("Sales", "SALES", "Sales", "SALES"),
            ("Sales", "Sales ", "Sales", "Sales[U+0020]"),
            ("Sales", " Sales", "Sales", "[U+0020]Sales"),
            ("Sales of 2026", "Sales  of 2026", "Sales of 2026", "Sales[U+0020][U+0020]of 2026"),
            ("Sales of 2026", "Sales\u{a0}of 2026", "Sales of 2026", "Sales[U+00A0]of 2026"),
            ("Sales\u{202f}2026", "Sales\u{3000}2026", "Sales[U+202F]2026", "Sales[U+3000]2026"),
            ("Sales", "Sa\u{200b}les", "Sales", "Sa[U+200B]les"),
            ("\u{feff}Sales", "Sales\u{e0041}", "[U+FEFF]Sales", "Sales[U+E0041]"),
            ("Ums\u{e4}tze", "Umsa\u{308}tze", "Ums[U+00E4]tze", "Ums[U+0061][U+0308]tze"),
            ("UMSA\u{308}TZE", "Ums\u{e4}tze", "UMS[U+0041][U+0308]TZE", "Ums[U+00E4]tze"),
            ("Sales", "\u{ff33}ales", "Sales", "[U+FF33]ales"),
            ("Q\u{2800}1", "Q\u{2800} 1", "Q[U+2800]1", "Q[U+2800] 1"),
        ];
        for (requested, similar, shown_requested, shown_similar) in rows {
            let name = RequestedName::new(requested);
            assert!(name.resembles(similar) && RequestedName::new(similar).resembles(requested), "{requested:?} {similar:?}");
            let message = name.missing("workspace", vec![similar.to_owned()]);
            let start =
                format!("no workspace named \"{shown_requested}\" is visible to this identity, but \"{shown_similar}\" is, which differs");
            assert!(message.starts_with(&start), "{message}");
        }
    }

    #[test]
    fn other_names_are_not_similar() {
        for (requested, other) in
            [("Sales", "Sales"), ("Sales", "Sale"), ("Umsätze", "Umsatze"), ("\u{200b}", ""), ("\u{200b}", "\u{feff}")]
        {
            assert!(!RequestedName::new(requested).resembles(other), "{requested:?} {other:?}");
        }
    }

    #[test]
    fn message_about_similar_names_is_stable_and_bounded() {
        let name = RequestedName::new("Sales");
        let similar = ["Sales\u{200b}", "Sales ", "Sales ", "Sales\u{feff}"].map(str::to_owned);
        let mut reversed = similar.clone();
        reversed.reverse();
        let message = name.missing("semantic model", similar.to_vec());
        assert_eq!(message, name.missing("semantic model", reversed.to_vec()));
        assert!(message.contains("\"Sales[U+0020]\" and \"Sales[U+200B]\" are, which differ only"), "{message}");
        assert!(message.ends_with("rename the semantic model, or set groupId and datasetId"), "{message}");
        let long = format!("{}\u{200b}", "\u{e4}".repeat(500));
        let message = RequestedName::new(&"a\u{308}".repeat(250)).missing("workspace", vec![long.clone(), format!("{long} ")]);
        assert!(message.chars().count() <= 1024, "{message}");
    }

    proptest::proptest! {
        #[test]
        fn shown_names_are_plain(name in "\\PC{0,20}", other in "\\PC{0,20}") {
            let shown = distinguished(&name, &other);
            proptest::prop_assert_eq!(plain(&shown).into_owned(), shown.clone());
        }
    }
}
