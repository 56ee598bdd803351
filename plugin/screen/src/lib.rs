//! Lines with styles, on a terminal or in a pipe: a block that is redrawn, and lines that scroll above it.

#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::io::Write as _;

use anstream::{AutoStream, ColorChoice};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The size of a terminal that does not report it.
const DEFAULT_SIZE: (usize, usize) = (100, 40);

/// Colors and weights, by their SGR codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are complete")]
pub enum Style {
    Plain,
    Faint,
    Bold,
    Green,
    Yellow,
    Red,
    Blue,
    Magenta,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Faint => "2",
            Self::Bold => "1",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
            Self::Blue => "34",
            Self::Magenta => "35",
        }
    }
}

/// A line of pieces with their styles.
pub type Line = Vec<(Style, String)>;

/// The text of a line without its styles.
#[must_use]
pub fn text_of(line: &Line) -> String {
    line.iter().map(|(_, text)| text.as_str()).collect::<String>().trim_end().to_owned()
}

/// The number of columns that a text takes.
#[must_use]
pub fn width_of(text: &str) -> usize {
    text.width()
}

/// A text in at most `width` columns. A longer one ends with `…`.
#[must_use]
pub fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let (mut out, mut taken) = (String::new(), 0);
    for c in text.chars() {
        taken += c.width().unwrap_or(0);
        if taken >= width {
            break;
        }
        out.push(c);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

/// The width and the height of the terminal at standard output.
#[must_use]
pub fn size() -> (usize, usize) {
    terminal_size::terminal_size().map_or(DEFAULT_SIZE, |(width, height)| (usize::from(width.0), usize::from(height.0)))
}

/// Whether the environment forbids escape sequences, by `TERM=dumb`.
#[must_use]
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// The terminal or another output.
#[derive(Debug)]
pub struct Screen {
    live: bool,
    colors: bool,
    /// The widths of the lines of the block that was drawn last.
    drawn: Vec<usize>,
    /// Its other lines, for which the terminal had no space.
    rest: Vec<Line>,
    closed: bool,
}

impl Screen {
    /// `live` if the output is a terminal. It has colors then, unless `NO_COLOR` is set.
    #[must_use]
    pub fn new(live: bool) -> Self {
        let live = live && !is_dumb();
        let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { live, colors: live && !forbidden, drawn: Vec::new(), rest: Vec::new(), closed: false }
    }

    /// The same output, with or without colors.
    #[must_use]
    pub fn with_colors(self, colors: bool) -> Self {
        Self { colors, ..self }
    }

    /// Whether the block is redrawn.
    #[must_use]
    pub fn live(&self) -> bool {
        self.live
    }

    /// Whether the reader closed the output.
    #[must_use]
    pub fn closed(&self) -> bool {
        self.closed
    }

    /// Prints a line above the block.
    pub fn print(&mut self, text: &str) {
        self.print_styled(&vec![(Style::Plain, text.to_owned())]);
    }

    /// Prints a styled line above the block.
    pub fn print_styled(&mut self, line: &Line) {
        let mut out = self.clear();
        out.push_str(&self.styled(line, usize::MAX));
        out.push('\n');
        self.put(&out);
    }

    /// Redraws the block on a terminal.
    pub fn draw(&mut self, lines: &[Line]) {
        if !self.live {
            return;
        }
        let (width, height) = size();
        let mut out = self.clear();
        // Lines above the top of the terminal could not be erased.
        let (shown, rest) = lines.split_at(lines.len().min(height.saturating_sub(1)));
        out.push_str(&self.truncated(shown, width));
        self.drawn = shown.iter().map(|line| width_of(&text_of(line)).min(width.saturating_sub(1))).collect();
        self.rest = rest.to_vec();
        self.put(&out);
    }

    /// Keeps the block, with the lines for which the terminal had no space; further output follows below it.
    pub fn settle(&mut self) {
        self.drawn.clear();
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() {
            self.put(&self.truncated(&rest, size().0));
        }
    }

    fn truncated(&self, lines: &[Line], width: usize) -> String {
        lines.iter().flat_map(|line| [self.styled(line, width.saturating_sub(1)), "\n".to_owned()]).collect()
    }

    /// Erases the block, and what the terminal shows of keys that were pressed. A terminal that became narrower since has wrapped its lines.
    fn clear(&mut self) -> String {
        self.rest.clear();
        let width = size().0.max(1);
        let up: usize = std::mem::take(&mut self.drawn).into_iter().map(|drawn| drawn.div_ceil(width).max(1)).sum();
        if up == 0 { String::new() } else { format!("\r\x1b[{up}A\x1b[0J") }
    }

    fn styled(&self, line: &Line, width: usize) -> String {
        let mut left = width;
        let mut out = String::new();
        for (style, text) in line {
            let whole = width_of(text);
            let text = if whole <= left { text.clone() } else { fit(text, left) };
            left = left.saturating_sub(whole);
            if self.colors && *style != Style::Plain && !text.trim().is_empty() {
                // Writing to a String cannot fail.
                let _ = write!(out, "\x1b[{}m{text}\x1b[0m", style.code());
            } else {
                out.push_str(&text);
            }
            if left == 0 {
                break;
            }
        }
        out.trim_end().to_owned()
    }

    fn put(&mut self, text: &str) {
        let choice = if self.live || self.colors { ColorChoice::AlwaysAnsi } else { ColorChoice::Never };
        let mut out = AutoStream::new(std::io::stdout().lock(), choice);
        self.closed |= out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_truncated_by_columns() {
        let rows = [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("日本語", 5, "日本…"), ("日本語", 4, "日…"), ("abc", 1, "…"), ("abc", 0, "")];
        for (text, width, expected) in rows {
            assert_eq!(fit(text, width), expected, "{text} in {width}");
            assert!(width_of(&fit(text, width)) <= width);
        }
    }

    #[test]
    fn styles_are_omitted_without_colors() {
        let line = vec![(Style::Red, "! ".to_owned()), (Style::Plain, "name".to_owned())];
        let screen = Screen { live: false, colors: false, drawn: Vec::new(), rest: Vec::new(), closed: false };
        assert_eq!(screen.styled(&line, 80), "! name");
        assert_eq!(screen.with_colors(true).styled(&line, 4), "\x1b[31m! \x1b[0mn…");
    }
}
