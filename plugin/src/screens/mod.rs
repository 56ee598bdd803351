//! The screens: pure functions of resources, the time and the width.

mod cells;
mod check;
mod decide;
mod get;
mod history;
mod lines;
mod queue;
mod request;
mod status;
mod tree;
mod why;

pub use check::{check, check_unanswered};
pub use decide::{Answer, answer, candidates, consequence, decision_outcome, question};
pub use get::{get, needs_action};
pub use history::{history, history_run};
pub use lines::{change_line, change_text};
pub use queue::queue;
pub use request::{cannot_cancel, cannot_run, command, continues, ended, follow_up, progress, requested, suspension, unhandled};
pub use status::status;
pub use why::{headline, why};

#[cfg(test)]
mod pictures;
#[cfg(test)]
mod request_tests;
#[cfg(test)]
mod tests;
