//! `check`: one line for each step. The message of a failed step is complete, in as many lines as the terminal needs.

use std::time::Duration;

use screen::{Line, Style, fit, width_of};
use tabular_operator::api::{Check, CheckResult, CheckStep, RunState};

use super::request::command;
use crate::objects::Object;
use crate::output::{View, broken, duration, shown};

/// The columns before the messages: the sign, and the longest name of a step.
const INDENT: usize = 15;
/// The narrowest message.
const LEAST: usize = 20;

/// The steps of a check.
#[must_use]
pub fn check(check: &Check, view: &View) -> Vec<Line> {
    check.steps.iter().flat_map(|step| lines(step, view.width)).collect()
}

fn lines(step: &CheckStep, width: Option<usize>) -> Vec<Line> {
    let (sign, style) = match step.result {
        CheckResult::Passed => ("✓", Style::Green),
        CheckResult::Failed => ("✗", Style::Red),
        CheckResult::Skipped => ("–", Style::Faint),
        CheckResult::Unrecognized(_) => ("?", Style::Plain),
    };
    let is_failed = step.result == CheckResult::Failed;
    let parts = [&step.reason, &step.message].map(|text| shown(text)).into_iter().filter(|text| !text.is_empty());
    let message = if step.result == CheckResult::Skipped { "skipped".to_owned() } else { parts.collect::<Vec<_>>().join(": ") };
    // The last column of a terminal stays empty: some terminals wrap a line that fills it.
    let available = width.map(|width| width.saturating_sub(INDENT + 1).max(LEAST));
    let texts = match available {
        Some(available) if is_failed => broken(message.split_whitespace().map(|word| fit(word, available)), available),
        Some(available) => vec![fit(&message, available)],
        None => vec![message],
    };
    let head = |index: usize| {
        let head = if index == 0 { format!("{sign} {}", shown(&step.name.to_string())) } else { String::new() };
        let blanks = INDENT.saturating_sub(width_of(&head));
        (style, format!("{head}{}", " ".repeat(blanks)))
    };
    let style = if step.result == CheckResult::Skipped { Style::Faint } else { Style::Plain };
    texts.into_iter().enumerate().map(|(index, text)| vec![head(index), (style, text)]).collect()
}

/// Why a request for a check has no result yet.
#[must_use]
pub fn check_unanswered(object: &Object, waited: Duration, view: &View) -> String {
    let waited = duration(i64::try_from(waited.as_secs()).unwrap_or(i64::MAX));
    let cause = match object.run().filter(|run| run.state == RunState::Submitting) {
        Some(run) => {
            format!("run {} is being submitted, and the check waits for that: see `{}`", run.number, command("status", object, view))
        }
        None => "the operator may be older than this plugin, not running, or not serving this namespace".to_owned(),
    };
    format!("no result of the check of {} within {waited}: {cause}", object.name())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::{refresh, run, text, view};

    fn failed() -> Check {
        let passed = |name: &str, message: &str| json!({"name": name, "result": "Passed", "message": message});
        let steps: Vec<Value> = vec![
            passed("spec", "accepted"),
            passed("credentials", "Secret aas-sp: tenantId, clientId, clientSecret"),
            passed("token", "valid for 59m"),
            passed("host", "api.powerbi.com responded in 84 ms"),
            json!({
                "name": "model", "result": "Failed", "reason": "ModelNotResolved",
                "message": "no workspace named \"Sales\" is visible to this identity: check the name and its case",
            }),
            json!({"name": "access", "result": "Skipped"}),
        ];
        serde_json::from_value(json!({"request": "a", "time": "2026-11-29T21:00:00Z", "result": "Failed", "steps": steps})).unwrap()
    }

    #[test]
    fn failed_check_shows_each_step() {
        let expected = "\
✓ spec         accepted
✓ credentials  Secret aas-sp: tenantId, clientId, clientSecret
✓ token        valid for 59m
✓ host         api.powerbi.com responded in 84 ms
✗ model        ModelNotResolved: no workspace named \"Sales\" is visible to this identity: check the name and its case
– access       skipped";
        assert_eq!(text(&check(&failed(), &view(None))), expected);
    }

    #[test]
    fn failure_is_complete_in_a_narrow_terminal() {
        for width in [40, 60, 100] {
            let lines = text(&check(&failed(), &view(Some(width))));
            assert!(lines.lines().all(|line| width_of(line) < width), "{width}: {lines}");
            let words = lines.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains("is visible to this identity: check the name and its case"), "{width}: {lines}");
        }
    }

    #[test]
    fn text_of_a_service_is_harmless() {
        let mut check_of_service = failed();
        check_of_service.steps[4].message = "\u{1b}[2J\u{202e}evil".to_owned();
        let lines = text(&check(&check_of_service, &view(None)));
        assert!(!lines.contains(['\u{1b}', '\u{202e}']) && lines.contains("evil"), "{lines}");
    }

    #[test]
    fn result_of_a_newer_version_is_shown() {
        let newer =
            json!({"request": "a", "time": "2026-11-29T21:00:00Z", "result": "Warned", "steps": [{"name": "quota", "result": "Warned"}]});
        assert_eq!(text(&check(&serde_json::from_value(newer).unwrap(), &view(None))), "? quota");
    }

    #[test]
    fn missing_result_is_explained() {
        let idle = check_unanswered(&refresh("orders", "Orders", json!({}), json!({})), Duration::from_mins(2), &view(None));
        assert!(idle.starts_with("no result of the check of orders within 2m") && idle.contains("may be older"), "{idle}");
        let status = json!({"run": run("Orders", json!({"state": "Submitting", "reason": "ResolvingSubmission"}))});
        let submitting = check_unanswered(&refresh("orders", "Orders", json!({}), status), Duration::from_mins(2), &view(None));
        assert!(
            submitting.contains("run 41 is being submitted") && submitting.ends_with("`kubectl tabular status orders -n bi`"),
            "{submitting}"
        );
    }
}
