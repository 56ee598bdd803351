//! Labeled rows below a heading, connected by lines.

use screen::{Line, Style};

/// The width of a label.
const LABEL: usize = 10;

/// A row: its label, its text, and the lines below it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    label: String,
    text: Line,
    below: Vec<Line>,
}

impl Row {
    /// A row of one line.
    pub(super) fn new(label: impl Into<String>, text: impl Into<String>) -> Self {
        Self::styled(label, vec![(Style::Plain, text.into())])
    }

    /// A row of one line with styles.
    pub(super) fn styled(label: impl Into<String>, text: Line) -> Self {
        Self { label: label.into(), text, below: Vec::new() }
    }

    /// The same row with lines below it.
    pub(super) fn with(self, below: Vec<Line>) -> Self {
        Self { below, ..self }
    }
}

/// The lines of a tree.
pub(super) fn tree(rows: &[Row]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let is_last = index + 1 == rows.len();
        let (branch, stem) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let mut line = vec![(Style::Faint, branch.to_owned()), (Style::Bold, format!("{:<LABEL$} ", row.label))];
        line.extend(row.text.iter().cloned());
        lines.push(line);
        for (index, below) in row.below.iter().enumerate() {
            let branch = if index + 1 == row.below.len() { "└─ " } else { "├─ " };
            let mut line = vec![(Style::Faint, format!("{stem}{branch}"))];
            line.extend(below.iter().cloned());
            lines.push(line);
        }
    }
    lines
}
