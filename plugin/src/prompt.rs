//! Questions to the user: on standard error, with the answer from standard input.

use std::io::{BufRead, IsTerminal as _, Write as _};

use crate::exit::Exit;
use crate::failure::Failure;

/// How often a question is repeated after an answer that is not one of those it has.
const ATTEMPTS: usize = 3;

/// Asks a question until `parse` accepts the answer. `None` if the user gives no such answer, or ends the input.
///
/// # Errors
/// If standard input is no terminal. `instead` is the flag that makes the question unnecessary.
pub fn ask<T>(question: &str, instead: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Failure> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        let sentence = format!("the command asks a question, but standard input is not a terminal: {instead}");
        return Err(Failure::with_exit(Exit::Usage, sentence));
    }
    read(question, &mut input.lock(), parse).map_err(|error| Failure::new(format!("failed to read the answer: {error}")))
}

fn read<T>(question: &str, input: &mut impl BufRead, parse: impl Fn(&str) -> Option<T>) -> std::io::Result<Option<T>> {
    for _ in 0..ATTEMPTS {
        write!(std::io::stderr(), "{question} ")?;
        std::io::stderr().flush()?;
        let mut answer = String::new();
        if input.read_line(&mut answer)? == 0 {
            // The cursor is behind the question.
            writeln!(std::io::stderr())?;
            return Ok(None);
        }
        if let Some(parsed) = parse(answer.trim()) {
            return Ok(Some(parsed));
        }
    }
    Ok(None)
}

/// The answer to a question with `[y/N]`.
#[must_use]
pub fn yes_or_no(answer: &str) -> Option<bool> {
    match answer.to_ascii_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "" | "n" | "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(input: &str) -> Option<bool> {
        read("Continue? [y/N]", &mut input.as_bytes(), yes_or_no).unwrap()
    }

    #[test]
    fn only_a_clear_answer_counts() {
        let rows = [("y\n", Some(true)), ("YES\r\n", Some(true)), ("\n", Some(false)), ("n", Some(false)), ("", None)];
        for (input, expected) in rows {
            assert_eq!(answer(input), expected, "{input:?}");
        }
        assert_eq!(answer("what\nyes\n"), Some(true), "the question is repeated");
        assert_eq!(answer("a\nb\nc\nyes\n"), None, "but not forever");
    }
}
