//! Bars of characters.

/// The width of a progress bar, in columns.
const WIDTH: i64 = 20;
/// The heights of a column.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A progress bar: `███░░░…`. Empty if there is nothing to complete.
#[must_use]
pub fn bar(completed: i32, total: i32) -> String {
    if total <= 0 {
        return String::new();
    }
    let done = i64::from(completed.clamp(0, total)) * WIDTH / i64::from(total);
    (0..WIDTH).map(|column| if column < done { '█' } else { '░' }).collect()
}

/// One column for each value, relative to the longest of all; `None` is a run without a success.
#[must_use]
pub fn sparkline(values: &[Option<i64>]) -> String {
    let longest = values.iter().flatten().copied().max().unwrap_or(0).max(1);
    let column = |value: &Option<i64>| match value {
        None => '✗',
        Some(value) => {
            let height = usize::try_from((*value).max(0).saturating_mul(7) / longest).unwrap_or(0);
            HEIGHTS.get(height).copied().unwrap_or('█')
        }
    };
    values.iter().map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_show_shares() {
        assert_eq!(bar(1, 6), "███░░░░░░░░░░░░░░░░░");
        assert_eq!(bar(4, 4), "████████████████████");
        assert_eq!((bar(9, 4).chars().count(), bar(-1, 4).chars().next(), bar(0, 0)), (20, Some('░'), String::new()));
        assert_eq!(sparkline(&[Some(60), Some(120), None, Some(0)]), "▄█✗▁");
        assert_eq!(sparkline(&[]), "");
    }
}
