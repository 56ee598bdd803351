//! Quantiles of measured values.

/// The median, the value that one in a hundred exceeds, and the largest value.
#[derive(Clone, Copy, Debug)]
pub struct Quantiles {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

impl Quantiles {
    /// Of at least one value.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self { p50: values[values.len() / 2], p99: values[values.len() * 99 / 100], max: values[values.len() - 1] }
    }
}
