//! The printed table: each figure next to its target.

use std::fmt;

/// The target of a figure.
#[derive(Clone, Copy)]
pub enum Target {
    /// At least this value.
    AtLeast(f64),
    /// At most this value.
    AtMost(f64),
    /// For comparison only.
    None,
}

/// A number with its unit and its significant decimals.
#[derive(Clone, Copy)]
pub struct Unit {
    name: &'static str,
    decimals: usize,
}

pub const RATIO: Unit = Unit { name: "", decimals: 2 };
pub const PER_SECOND: Unit = Unit { name: "/s", decimals: 1 };
pub const MILLISECONDS: Unit = Unit { name: "ms", decimals: 1 };
pub const CPU: Unit = Unit { name: "ms", decimals: 3 };
pub const SECONDS: Unit = Unit { name: "s", decimals: 2 };
pub const MIB: Unit = Unit { name: "MiB", decimals: 1 };
pub const KIB: Unit = Unit { name: "KiB", decimals: 1 };
pub const MB: Unit = Unit { name: "MB", decimals: 1 };
pub const COUNT: Unit = Unit { name: "", decimals: 0 };
pub const PER_RUN: Unit = Unit { name: "", decimals: 1 };
pub const PERCENT: Unit = Unit { name: "%", decimals: 1 };

/// Prints the heading of a part.
pub fn head(title: &str) {
    println!("\n{title:<62} {:>12}  target", "measured");
}

/// Prints one figure.
pub fn row(what: &str, measured: f64, unit: Unit, target: Target) {
    println!("{}", format!("  {what:<60} {:>12}  {}", Number(measured, unit).to_string(), verdict(measured, unit, target)).trim_end());
}

/// Prints the heading of a comparison.
pub fn comparison_head(title: &str) {
    println!("\n{title:<46} {:>12} {:>12} {:>8}  target", "operator", "reference", "ratio");
}

/// Prints one figure of both programs, and their ratio with its target.
pub fn comparison(what: &str, (operator, reference): (f64, f64), unit: Unit, target: Target) {
    let (first, second) = (Number(operator, unit).to_string(), Number(reference, unit).to_string());
    let (ratio, shown) = (operator / reference, Number(operator / reference, RATIO).to_string());
    let shown = if ratio.is_finite() { shown } else { String::new() };
    println!("{}", format!("  {what:<44} {first:>12} {second:>12} {shown:>8}  {}", verdict(ratio, RATIO, target)).trim_end());
}

fn verdict(measured: f64, unit: Unit, target: Target) -> String {
    match target {
        Target::AtLeast(least) => format!("at least {}{}", Number(least, unit), missed(measured < least)),
        Target::AtMost(most) => format!("at most {}{}", Number(most, unit), missed(measured > most)),
        Target::None => String::new(),
    }
}

fn missed(missed: bool) -> &'static str {
    if missed { "  MISSED" } else { "" }
}

struct Number(f64, Unit);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, Unit { name, decimals }) = self;
        let blank = if name.is_empty() || *name == "/s" { "" } else { " " };
        write!(f, "{number:.decimals$}{blank}{name}")
    }
}
