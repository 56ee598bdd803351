//! The protocol of Cobra: one candidate per line, with a description behind a tab, then a directive.

use crate::output::shown;

/// What the shell does with the candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive {
    /// Completes the names of files if there is no candidate.
    Files = 0,
    /// Completes no names of files.
    NoFiles = 4,
}

/// A candidate, and its description.
pub type Candidate = (String, String);

/// The output for the shell.
#[must_use]
pub fn render(candidates: &[Candidate], directive: Directive) -> String {
    let line = |(value, help): &Candidate| match shown(help).trim() {
        "" => format!("{}\n", shown(value)),
        help => format!("{}\t{help}\n", shown(value)),
    };
    candidates.iter().map(line).chain([format!(":{}\n", directive as u8)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_lines_and_the_directive_is_last() {
        let candidates = [("get".to_owned(), "List\tthe \u{1b}[2Jresources".to_owned()), ("a\nb".to_owned(), String::new())];
        assert_eq!(render(&candidates, Directive::NoFiles), "get\tList the  [2Jresources\na b\n:4\n");
        assert_eq!(render(&[], Directive::Files), ":0\n");
    }
}
