//! The output: on a terminal, a redrawn table with events scrolling above it; elsewhere plain lines.

use std::fmt::Write as _;
use std::io::Write as _;

/// Colors and weights, by their SGR codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// The terminal or another output.
#[derive(Debug)]
pub struct Screen {
    live: bool,
    colors: bool,
    drawn: usize,
}

impl Screen {
    /// `live` if the output is a terminal.
    pub fn new(live: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { live: live && !dumb, colors: live && !dumb && std::env::var_os("NO_COLOR").is_none(), drawn: 0 }
    }

    /// Whether the table is redrawn.
    pub fn live(&self) -> bool {
        self.live
    }

    /// Prints a line above the table.
    pub fn print(&mut self, text: &str) {
        self.print_styled(&vec![(Style::Plain, text.to_owned())]);
    }

    /// Prints a styled line above the table.
    pub fn print_styled(&mut self, line: &Line) {
        let mut out = self.clear();
        out.push_str(&self.styled(line, usize::MAX));
        out.push('\n');
        Self::put(&out);
    }

    /// Redraws the table on a terminal.
    pub fn draw(&mut self, lines: &[Line]) {
        if !self.live {
            return;
        }
        let (width, height) =
            terminal_size::terminal_size().map_or((100, 40), |(width, height)| (usize::from(width.0), usize::from(height.0)));
        let mut out = self.clear();
        // Lines above the top of the terminal could not be erased.
        let shown = &lines[..lines.len().min(height.saturating_sub(1))];
        for line in shown {
            out.push_str(&self.styled(line, width.saturating_sub(1)));
            out.push('\n');
        }
        self.drawn = shown.len();
        Self::put(&out);
    }

    /// Keeps the table; further output follows below it.
    pub fn settle(&mut self) {
        self.drawn = 0;
    }

    fn clear(&mut self) -> String {
        let up = std::mem::take(&mut self.drawn);
        if up == 0 { String::new() } else { format!("\x1b[{up}A\x1b[0J") }
    }

    fn styled(&self, line: &Line, width: usize) -> String {
        let mut left = width;
        let mut out = String::new();
        for (style, text) in line {
            let whole = text.chars().count();
            let text: String =
                if whole <= left { text.clone() } else { text.chars().take(left.saturating_sub(1)).chain(['…']).collect() };
            left = left.saturating_sub(whole);
            if self.colors && *style != Style::Plain {
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

    fn put(text: &str) {
        let mut out = std::io::stdout().lock();
        // The reader may have closed the output.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}
