//! The result table: scenario by fault.

use std::time::Duration;

use crate::case::{CaseResult, CaseStatus};
use crate::fault::Fault;

/// Prints its head. A field contains the number of passed cases, and after a minus that of failed ones.
pub fn head() {
    let names: Vec<String> = Fault::ALL.iter().map(|fault| fault.name()).collect();
    let header: Vec<String> = names.iter().map(|name| format!("{name:>11}")).collect();
    println!("\n{:<14}{} {:>6} {:>7} {:>11} {:>10}", "", header.join(""), "cases", "failed", "not reached", "mean s");
}

/// Prints the line of one scenario.
pub fn scenario(name: &str, results: &[CaseResult]) {
    let of: Vec<&CaseResult> = results.iter().filter(|result| result.case.scenario.name == name).collect();
    line(name, &of);
}

/// Prints the last line.
pub fn sum(results: &[CaseResult]) {
    line("all", &results.iter().collect::<Vec<_>>());
    println!("not reached: the request was not made in that run (for example, one poll fewer); all invariants held");
}

fn line(name: &str, results: &[&CaseResult]) {
    let fields: Vec<String> = Fault::ALL.iter().map(|fault| field(results, *fault)).collect();
    let failed = results.iter().filter(|result| matches!(result.status, CaseStatus::Failed(_))).count();
    let missed = results.iter().filter(|result| matches!(result.status, CaseStatus::NotReached)).count();
    let total: Duration = results.iter().map(|result| result.took).sum();
    let mean = total.as_secs_f64() / f64::from(u32::try_from(results.len().max(1)).unwrap_or(u32::MAX));
    println!("{name:<14}{} {:>6} {failed:>7} {missed:>11} {mean:>10.1}", fields.join(""), results.len());
}

fn field(results: &[&CaseResult], fault: Fault) -> String {
    let of = || results.iter().filter(|result| result.case.fault == fault);
    let passed = of().filter(|result| !matches!(result.status, CaseStatus::Failed(_))).count();
    let failed = of().count() - passed;
    let field = if failed == 0 { passed.to_string() } else { format!("{passed}-{failed}") };
    format!("{field:>11}")
}
