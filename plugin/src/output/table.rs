//! Tables whose rows never wrap: in a narrow terminal, the widest cells are truncated, last those of fixed columns, and then the rows.

use screen::{Line, Style, fit, width_of};

/// The narrowest column that truncation leaves while others can be truncated.
const LEAST: usize = 6;
/// The blanks between two columns.
const GAP: usize = 2;

/// A cell: its style and its text.
pub type Cell = (Style, String);

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The heading.
    pub title: &'static str,
    /// Whether its cells may be truncated.
    pub shrinks: bool,
}

impl Column {
    /// A column that is complete unless the terminal is too narrow for all others.
    #[must_use]
    pub const fn fixed(title: &'static str) -> Self {
        Self { title, shrinks: false }
    }

    /// A column whose cells may be truncated.
    #[must_use]
    pub const fn of(title: &'static str) -> Self {
        Self { title, shrinks: true }
    }
}

/// The lines of a table, with a heading.
#[must_use]
pub fn table(columns: &[Column], rows: &[Vec<Cell>], width: Option<usize>) -> Vec<Line> {
    let mut widths: Vec<usize> = columns.iter().map(|column| width_of(column.title)).collect();
    for row in rows {
        for (width, (_, text)) in widths.iter_mut().zip(row) {
            *width = (*width).max(width_of(text));
        }
    }
    // The last column of a terminal stays empty: some terminals wrap a line that fills it.
    let available = width.map_or(usize::MAX, |width| width.saturating_sub(1));
    shrink(columns, &mut widths, available);
    let heading: Vec<Cell> = columns.iter().map(|column| (Style::Faint, column.title.to_owned())).collect();
    std::iter::once(&heading).chain(rows).map(|row| cropped(line(row, &widths), available)).collect()
}

/// Makes the widest columns narrower until a row fits: those that may be truncated, then the fixed ones, then all as far as needed.
fn shrink(columns: &[Column], widths: &mut [usize], available: usize) {
    let available = available.saturating_sub(GAP * columns.len().saturating_sub(1));
    for (with_fixed, least) in [(false, LEAST), (true, LEAST), (true, 1)] {
        while widths.iter().sum::<usize>() > available {
            let widest = columns.iter().zip(widths.iter_mut()).filter(|(column, width)| (with_fixed || column.shrinks) && **width > least);
            let Some((_, width)) = widest.max_by_key(|(_, width)| **width) else { break };
            *width -= 1;
        }
    }
}

fn line(row: &[Cell], widths: &[usize]) -> Line {
    let last = row.len().saturating_sub(1);
    let pad = |(index, ((style, text), width)): (usize, (&Cell, &usize))| {
        let text = fit(text, *width);
        let blanks = if index == last { 0 } else { width + GAP - width_of(&text) };
        (*style, format!("{text}{}", " ".repeat(blanks)))
    };
    row.iter().zip(widths).enumerate().map(pad).collect()
}

/// A line in at most `available` columns.
fn cropped(line: Line, available: usize) -> Line {
    let mut left = available;
    let crop = |(style, text): Cell| {
        let cropped = fit(&text, left);
        left = left.saturating_sub(width_of(&text));
        (style, cropped)
    };
    line.into_iter().map(crop).collect()
}

#[cfg(test)]
mod tests {
    use screen::text_of;

    use super::*;

    fn rendered(width: Option<usize>) -> Vec<String> {
        let columns = [Column::fixed("S"), Column::of("NAME"), Column::of("MODEL")];
        let plain = |text: &str| (Style::Plain, text.to_owned());
        let rows = [
            vec![plain("!"), plain("adventureworks-calculate"), plain("myserver/AdventureWorks")],
            vec![plain("▶"), plain("日本"), plain("")],
        ];
        table(&columns, &rows, width).iter().map(text_of).collect()
    }

    #[test]
    fn columns_are_aligned() {
        let lines = rendered(None);
        assert_eq!(lines[0], "S  NAME                      MODEL");
        assert_eq!(lines[1], "!  adventureworks-calculate  myserver/AdventureWorks");
        assert_eq!(lines[2], "▶  日本");
    }

    #[test]
    fn widest_cells_are_truncated_in_a_narrow_terminal() {
        for width in [1, 2, 5, 7, 8, 20, 30, 40, 60] {
            let lines = rendered(Some(width));
            assert!(lines.iter().all(|line| width_of(line) < width), "{width}: {lines:#?}");
        }
        assert_eq!(rendered(Some(6))[1], "!  ……");
        assert_eq!(rendered(Some(34))[1], "!  adventurework…  myserver/Adve…");
    }
}
