//! `--log-level`: a level, or directives. A value that can match nothing is an error, because it would silence the log.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use super::secrets::SECRET_LIBRARIES;

/// The allowed values, for messages.
const ALLOWED: &str =
    "must be error, warn, info, debug, trace or off, or directives such as info,tabular_operator::controller=debug,kube=debug";

/// The operator's crate, as a target.
const OWN: &str = "tabular_operator";

/// The modules of the operator that log. A test compares them with the sources.
const OWN_MODULES: &[&str] = &[
    "tabular_operator::azure",
    "tabular_operator::cli",
    "tabular_operator::controller",
    "tabular_operator::telemetry",
    "tabular_operator::tls",
];

/// The libraries that log, besides [`SECRET_LIBRARIES`].
const LIBRARIES: &[&str] = &[
    "kube_client",
    "kube_runtime",
    "opentelemetry",
    "opentelemetry_otlp",
    "opentelemetry_sdk",
    "tower",
    "tower_http",
    "typespec_client_core",
];

/// Parses `--log-level`.
///
/// A level alone is the level of the operator. The libraries then log from `warn`, except for the targets whose messages the operator logs
/// itself: error responses and failed watches. With directives for libraries only, the operator logs from `info`.
///
/// # Errors
/// If a level is unknown or a directive can match nothing: a sentence with the allowed values.
pub fn filter(text: &str) -> Result<Targets, String> {
    let directives = text.split(',').map(str::trim).filter(|directive| !directive.is_empty());
    let directives = directives.map(directive).collect::<Result<Vec<_>, _>>()?;
    match *directives.as_slice() {
        [] => Err(format!("the value is empty; {ALLOWED}")),
        [("", LevelFilter::OFF)] => Ok(Targets::new()),
        [("", level)] => Ok(Targets::new()
            .with_default(LevelFilter::WARN)
            .with_target("kube_client::client::builder", LevelFilter::OFF)
            .with_target("kube_runtime::watcher", LevelFilter::OFF)
            .with_target(OWN, level)),
        _ => {
            let own = directives.iter().any(|(target, _)| OWN.starts_with(target));
            let targets = if own { Targets::new() } else { Targets::new().with_target(OWN, LevelFilter::INFO) };
            Ok(directives.into_iter().fold(targets, |targets, (target, level)| match target {
                "" => targets.with_default(level),
                target => targets.with_target(target, level),
            }))
        }
    }
}

/// One directive: a target and its level. The target is empty for a level for all targets.
fn directive(text: &str) -> Result<(&str, LevelFilter), String> {
    if let Some(level) = level(text) {
        return Ok(("", level));
    }
    let (target, level) = match text.split_once('=') {
        Some((target, name)) => (target.trim(), level(name.trim()).ok_or_else(|| format!("unknown level `{name}`; {ALLOWED}"))?),
        None => (text, LevelFilter::TRACE),
    };
    if may_log(target) { Ok((target, level)) } else { Err(format!("no module logs under `{target}`; {ALLOWED}")) }
}

/// Other loggers use the name `warning` for `warn`.
fn level(text: &str) -> Option<LevelFilter> {
    if text.eq_ignore_ascii_case("warning") { Some(LevelFilter::WARN) } else { text.parse().ok().filter(|_| !text.is_empty()) }
}

/// Whether a target that logs starts with this target, or is a parent of it.
fn may_log(target: &str) -> bool {
    let below = |module: &str| target.strip_prefix(module).is_some_and(|rest| rest.starts_with("::"));
    let parts = OWN_MODULES.iter().chain(LIBRARIES).chain(SECRET_LIBRARIES);
    !target.is_empty() && parts.into_iter().any(|module| module.starts_with(target) || below(module))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    /// Whether a target logs at a level.
    fn logs(text: &str, target: &str, level: Level) -> bool {
        filter(text).unwrap().would_enable(target, &level)
    }

    #[test]
    fn level_alone_applies_to_the_operator() {
        for (text, lowest) in
            [("error", Level::ERROR), ("WARN", Level::WARN), ("info", Level::INFO), (" debug ", Level::DEBUG), ("trace", Level::TRACE)]
        {
            assert!(logs(text, "tabular_operator::controller", lowest), "{text}");
            assert!(lowest == Level::TRACE || !logs(text, "tabular_operator::controller", Level::TRACE), "{text}");
            assert!(logs(text, "kube_runtime", Level::WARN) && !logs(text, "kube_runtime", Level::INFO), "{text}");
            assert!(!logs(text, "kube_client::client::builder", Level::ERROR), "{text}");
            assert!(!logs(text, "kube_runtime::watcher", Level::ERROR), "{text}");
        }
        assert!(!logs("off", "tabular_operator", Level::ERROR) && !logs("off", "kube_runtime", Level::ERROR));
    }

    #[test]
    fn warning_is_warn() {
        for text in ["warning", "Warning", "warning,kube=debug", "tabular_operator=warning"] {
            assert!(logs(text, OWN, Level::WARN) && !logs(text, OWN, Level::INFO), "{text}");
        }
    }

    #[test]
    fn directives_apply_unchanged() {
        assert!(logs("kube=debug", "kube_client::client", Level::DEBUG) && !logs("kube=debug", "tower", Level::ERROR));
        assert!(logs("kube", "kube_runtime", Level::TRACE));
        let text = "error,tabular_operator::controller::lease=debug";
        assert!(logs(text, "tabular_operator::controller::lease::elector", Level::DEBUG) && !logs(text, OWN, Level::WARN));
        assert!(logs("error,tabular=debug", OWN, Level::DEBUG));
    }

    #[test]
    fn operator_logs_with_directives_for_libraries() {
        for text in ["kube=debug", "hyper=off,", "tabular_operator::controller::misspelt=debug"] {
            assert!(logs(text, "tabular_operator::azure::http", Level::INFO), "{text}");
        }
        assert!(!logs("kube=debug,tabular_operator=off", OWN, Level::ERROR));
    }

    #[test]
    fn filter_that_matches_nothing_is_rejected() {
        for text in [
            "",
            " ",
            ",",
            "INOF",
            "warnings",
            "verbose",
            "6",
            "info,inof",
            "kube=loud",
            "kube=",
            "=debug",
            "foo=debug",
            "tabular-operator=debug",
            "tabular_operator::controler=debug",
            "tabular_operator::controllers=debug",
            "info;kube=debug",
            "kube:debug",
            "[span]=debug",
            "kube[",
            "Kube=debug",
            "tabular_operator=info=debug",
            "off,nothing",
        ] {
            let sentence = filter(text).unwrap_err();
            assert!(sentence.contains("must be error, warn, info, debug, trace or off"), "{text}: {sentence}");
        }
    }

    #[test]
    fn every_logging_module_is_known() {
        let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = vec![sources.clone()];
        let mut logging = std::collections::BTreeSet::new();
        while let Some(path) = files.pop() {
            if path.is_dir() {
                files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            } else if ["trace", "debug", "info", "warn", "error"]
                .iter()
                .any(|level| std::fs::read_to_string(&path).unwrap().contains(&format!("tracing::{level}!")))
            {
                let module = path.strip_prefix(&sources).unwrap().components().next().unwrap().as_os_str().to_str().unwrap().to_owned();
                logging.insert(format!("tabular_operator::{}", module.trim_end_matches(".rs")));
            }
        }
        logging.remove("tabular_operator::main");
        assert_eq!(logging.into_iter().collect::<Vec<_>>(), OWN_MODULES);
    }
}
