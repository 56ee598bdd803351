//! External text, and counts in words.

use screen::width_of;
use tabular_operator::text::plain;

/// Text of a service or a user in one plain line: without control characters and direction marks.
#[must_use]
pub fn shown(text: &str) -> String {
    plain(text).into_owned()
}

/// A count with its noun: `1 run`, `2 runs`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A place in an order: `1st`, `2nd`, `3rd`, `11th`.
#[must_use]
pub fn ordinal(number: usize) -> String {
    let suffix = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}

/// The first items, separated by commas, and how many more there are.
#[must_use]
pub fn listed(items: &[String], most: usize) -> String {
    let first = items.iter().take(most).cloned().collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(most) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// A text in lines of a terminal of this width, broken between words, where each line is preceded by `indent` columns. One line without a
/// width, or if the terminal is too narrow.
#[must_use]
pub fn wrapped(text: &str, width: Option<usize>, indent: usize) -> Vec<String> {
    /// The narrowest text that is wrapped.
    const LEAST: usize = 20;
    let Some(available) = width.map(|width| width.saturating_sub(indent + 1)).filter(|available| *available >= LEAST) else {
        return vec![text.to_owned()];
    };
    broken(text.split(' ').map(str::to_owned), available)
}

/// Words in lines of at most `width` columns. A longer word has a line of its own.
pub fn broken(words: impl Iterator<Item = String>, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut().filter(|line| width_of(line) + 1 + width_of(&word) <= width) {
            Some(line) => {
                line.push(' ');
                line.push_str(&word);
            }
            None => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_words() {
        let ordinals: Vec<String> = [1, 2, 3, 4, 11, 12, 13, 21, 112].into_iter().map(ordinal).collect();
        assert_eq!(ordinals, ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"]);
        assert_eq!((count(1, "run"), count(0, "run")), ("1 run".to_owned(), "0 runs".to_owned()));
        let items: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!((listed(&items, 3), listed(&items, 2)), ("a, b, c".to_owned(), "a, b and 1 more".to_owned()));
        assert_eq!(shown("\u{1b}[2J\u{202e}x\ny"), " [2Jx y");
    }

    #[test]
    fn text_is_wrapped_between_words() {
        let text = "The Secret is not in this namespace, or has no keys yet.";
        assert_eq!(wrapped(text, None, 12), [text]);
        assert_eq!(wrapped(text, Some(25), 12), [text], "too narrow");
        let lines = wrapped(text, Some(40), 12);
        assert_eq!(lines, ["The Secret is not in this", "namespace, or has no keys", "yet."]);
        assert_eq!(wrapped("", Some(40), 0), [""]);
        assert_eq!(wrapped(&"x".repeat(60), Some(40), 0), ["x".repeat(60)]);
    }
}
