//! What can follow a command line.

use std::any::TypeId;
use std::ffi::{OsStr, OsString};

use clap::builder::ValueHint;
use clap::{Arg, Command, CommandFactory as _, FromArgMatches as _};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, complete as engine};

use super::line::{Candidate, Directive};
use super::source::Source;
use crate::cli::Cli;
use crate::connect::ConnectionArgs;
use crate::target::Target;

/// Marks a candidate as a placeholder. No argument of a program contains it.
const MARK: char = '\0';

/// The candidates for the last word, and whether the shell completes files. Never fails: without candidates, the shell completes nothing.
#[must_use]
pub fn complete(words: &[OsString]) -> (Vec<Candidate>, Directive) {
    let empty = OsString::new();
    let (last, before) = words.split_last().unwrap_or((&empty, &[]));
    let mut found = Vec::new();
    let mut directive = Directive::NoFiles;
    for (value, help) in following(before, last) {
        match value.split_once(MARK) {
            None => found.push((value, help)),
            Some((flag, source)) => match Source::ALL.into_iter().find(|known| format!("{known:?}") == source) {
                Some(Source::Files) | None => directive = Directive::Files,
                Some(source) => {
                    let start = last.to_string_lossy();
                    let names = source.names(connection(before), start.strip_prefix(flag).unwrap_or_default());
                    // A command that accepts several names was given these.
                    let is_new = |name: &String| !flag.is_empty() || !before.iter().any(|word| word.as_os_str() == name.as_str());
                    found.extend(names.into_iter().filter(is_new).map(|name| (format!("{flag}{name}"), String::new())));
                }
            },
        }
    }
    (found, directive)
}

/// What the engine offers, with placeholders. It offers flags for a word that starts as one, and only then, as Cobra does.
fn following(before: &[OsString], last: &OsStr) -> Vec<Candidate> {
    let line = [OsString::from("kubectl-tabular")].into_iter().chain(before.iter().cloned()).chain([last.to_owned()]).collect();
    let candidates = engine(&mut with_sources(Cli::command()), line, before.len() + 1, None).unwrap_or_default();
    let is_flag = last.to_string_lossy().starts_with('-');
    let text = |candidate: &CompletionCandidate| {
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        (candidate.get_value().to_string_lossy().into_owned(), help.lines().next().unwrap_or_default().to_owned())
    };
    candidates.iter().map(text).filter(|(value, _)| is_flag == value.starts_with('-')).collect()
}

/// Adds the placeholders to the arguments: by type for names, so that each command that takes a name has them, by id for the flags of the
/// connection, and for each path.
fn with_sources(command: Command) -> Command {
    command.mut_args(with_source).mut_subcommands(with_sources)
}

fn with_source(argument: Arg) -> Arg {
    let source = match argument.get_id().as_str() {
        "namespace" => Source::Namespaces,
        "context" => Source::Contexts,
        "cluster" => Source::Clusters,
        "user" => Source::Users,
        _ if is_name(&argument) => Source::Resources,
        _ if argument.get_value_hint() == ValueHint::AnyPath => Source::Files,
        _ => return argument,
    };
    argument.add(ArgValueCompleter::new(move |_: &OsStr| vec![CompletionCandidate::new(format!("{MARK}{source:?}"))]))
}

/// Accepts any text as a name, because clap ignores everything after an argument that it refuses.
fn with_any_name(command: Command) -> Command {
    let any = |argument: Arg| if is_name(&argument) { argument.value_parser(clap::value_parser!(String)) } else { argument };
    command.mut_args(any).mut_subcommands(with_any_name)
}

/// Whether an argument is the name of a resource.
fn is_name(argument: &Arg) -> bool {
    argument.get_value_parser().type_id() == TypeId::of::<Target>()
}

/// The flags of the connection in a line that is not complete.
fn connection(before: &[OsString]) -> ConnectionArgs {
    let line = [OsString::from("kubectl-tabular")].into_iter().chain(before.iter().cloned());
    let command = with_any_name(Cli::command()).ignore_errors(true);
    let Ok(matches) = command.try_get_matches_from(line) else { return ConnectionArgs::default() };
    let mut innermost = &matches;
    while let Some((_, inner)) = innermost.subcommand() {
        innermost = inner;
    }
    ConnectionArgs::from_arg_matches(innermost).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    fn values(line: &str) -> Vec<String> {
        let words = words(line);
        let (last, before) = words.split_last().unwrap();
        following(before, last).into_iter().map(|(value, _)| value).collect()
    }

    #[test]
    fn commands_are_offered_with_their_help() {
        let (found, directive) = complete(&words("hi"));
        assert_eq!(found, [("history".to_owned(), "Show the ended runs of a refresh or sync".to_owned())]);
        assert_eq!(directive, Directive::NoFiles);
        let all: Vec<String> = values("");
        for command in ["get", "status", "create", "validate", "completion", "version"] {
            assert!(all.iter().any(|value| value == command), "{command}: {all:?}");
        }
        assert!(all.iter().all(|value| !value.starts_with('-') && value != "__complete"), "{all:?}");
        assert_eq!(complete(&[]).0.len(), all.len());
    }

    #[test]
    fn flags_and_their_values_are_offered() {
        assert!(values("get --st").contains(&"--stale".to_owned()));
        assert_eq!(values("get --color "), ["auto", "always", "never"]);
        assert_eq!(values("get --color=al"), ["--color=always"]);
        assert_eq!(values("create re"), ["refresh"]);
        assert_eq!(values("create refresh a --type da"), ["dataOnly"]);
        assert!(values("create refresh --after-").is_empty());
    }

    #[test]
    fn names_are_placeholders_of_their_source() {
        let rows = [
            ("get ", "\0Resources"),
            ("get a b ", "\0Resources"),
            ("status msync/", "\0Resources"),
            ("get -n ", "\0Namespaces"),
            ("get --namespace=b", "--namespace=\0Namespaces"),
            ("get -nb", "-n\0Namespaces"),
            ("get --context ", "\0Contexts"),
            ("get --kubeconfig ", "\0Files"),
            ("validate -f ", "\0Files"),
        ];
        for (line, expected) in rows {
            assert_eq!(values(line), [expected], "{line}");
        }
        assert_eq!(complete(&words("validate -f de")), (Vec::new(), Directive::Files));
    }

    #[test]
    fn flags_of_the_connection_are_read_from_an_incomplete_line() {
        let args = connection(&words("get a -n bi --kubeconfig /k --context c -A --unknown"));
        assert_eq!((args.namespace.as_deref(), args.context.as_deref()), (Some("bi"), Some("c")), "{args:?}");
        assert_eq!(connection(&words("status Not_A_Name -n bi")).namespace.as_deref(), Some("bi"));
    }

    #[test]
    fn entries_of_the_kubeconfig_are_offered() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        let config =
            "apiVersion: v1\nkind: Config\ncontexts:\n- name: prod\n  context: {cluster: c}\n- name: test\n  context: {cluster: c}\n";
        std::fs::write(&path, config).unwrap();
        let line = format!("get --kubeconfig {} --context p", path.display());
        assert_eq!(complete(&words(&line)).0, [("prod".to_owned(), String::new())]);
        // No server, no names.
        let line = format!("get --kubeconfig {} p", path.display());
        assert_eq!(complete(&words(&line)), (Vec::new(), Directive::NoFiles));
    }
}
