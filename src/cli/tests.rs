//! Tests of the command line and its environment variables.

use std::io::Write;
use std::time::Duration;

use clap::{CommandFactory, Parser};

use super::{Cli, CloudChoice, CloudName, Command, RunArgs, Settings};
use crate::telemetry::logs::LogFormat;

fn args(flags: &[&str]) -> Result<RunArgs, clap::Error> {
    let arguments = ["tabular-operator", "run"].iter().chain(flags);
    match Cli::try_parse_from(arguments)?.command {
        Command::Run(args) => Ok(*args),
        Command::Drain(_) | Command::Crds => panic!("expected the command run"),
    }
}

fn settings(flags: &[&str]) -> Result<Settings, String> {
    args(flags).map_err(|error| error.to_string())?.settings().map_err(|error| error.to_string())
}

fn refused(flags: &[&str], by: &str) {
    let sentence = settings(flags).unwrap_err();
    assert!(sentence.contains(by), "{flags:?} failed with: {sentence}");
}

/// A temporary file, deleted when dropped.
fn file(content: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    file
}

#[test]
fn command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn defaults_match_help() {
    let settings = settings(&[]).unwrap();
    assert_eq!(settings.cloud, CloudChoice::Named(CloudName::Public));
    assert_eq!(settings.extra_ca_pem, None);
    assert!(settings.watch_namespaces.is_empty() && settings.operator_identity_namespaces.is_empty());
    assert_eq!(settings.polling.min, Duration::from_secs(1));
    assert_eq!(settings.polling.max, Duration::from_secs(30));
    assert!((settings.polling.fraction - 0.1).abs() < f64::EPSILON);
    assert_eq!(settings.call_timeout, Duration::from_secs(30));
    assert_eq!(settings.listing_lag, Duration::from_mins(2));
    assert_eq!(settings.max_refresh_duration, Duration::from_hours(48));
    assert_eq!(settings.reference_grace, Duration::from_mins(1));
    let election = settings.leader_election.unwrap();
    assert_eq!((election.name.as_str(), election.namespace), ("tabular-operator", None));
    assert_eq!(election.duration, Duration::from_secs(15));
    assert_eq!((settings.max_concurrent_reconciles, settings.max_calls_per_server), (64, 32));
    assert_eq!(settings.resource_metrics, 2000);
    assert_eq!(settings.metrics_address.to_string(), "0.0.0.0:8080");
    assert_eq!(settings.health_address.to_string(), "0.0.0.0:8081");
    let logs = args(&[]).unwrap().logs();
    assert_eq!((logs.format, logs.filter.as_str()), (LogFormat::Json, "info"));
}

#[test]
fn flags_of_run_have_variable_help_and_heading() {
    let command = Cli::command();
    let run = command.find_subcommand("run").unwrap();
    for flag in run.get_arguments().filter(|flag| flag.get_id() != "help") {
        let long = flag.get_long().unwrap();
        let variable = format!("TABULAR_OPERATOR_{}", long.to_uppercase().replace('-', "_"));
        assert_eq!(flag.get_env().unwrap().to_str(), Some(variable.as_str()));
        assert!(flag.get_help().is_some(), "--{long} has no help");
        assert!(flag.get_help_heading().is_some(), "--{long} has no heading");
    }
}

#[test]
fn lists_are_repeated_or_comma_separated() {
    let flags = ["--watch-namespace", "finance,bi", "--watch-namespace", "bi"];
    assert_eq!(settings(&flags).unwrap().watch_namespaces, ["bi", "finance"]);
}

#[test]
fn probes_have_separate_address() {
    let health = |flags: &[&str]| settings(flags).map(|settings| settings.health_address.to_string());
    assert_eq!(health(&["--metrics-address=[::]:9090"]).unwrap(), "[::]:8081");
    assert_eq!(health(&["--metrics-address=127.0.0.1:0"]).unwrap(), "127.0.0.1:0");
    assert_eq!(health(&["--metrics-address=127.0.0.1:0", "--health-address=0.0.0.0:9000"]).unwrap(), "0.0.0.0:9000");
    assert_eq!(health(&["--metrics-address=10.0.0.1:8081", "--health-address=10.0.0.2:8081"]).unwrap(), "10.0.0.2:8081");
    refused(&["--metrics-address=0.0.0.0:8081"], "must have different ports");
    refused(&["--health-address=127.0.0.1:8080"], "must have different ports");
    refused(&["--health-address", "8081"], "must be an IP address and a port");
}

#[test]
fn leader_election_flag_requires_value() {
    assert_eq!(settings(&["--leader-election", "false"]).unwrap().leader_election, None);
    assert!(settings(&["--leader-election=true"]).unwrap().leader_election.is_some());
    refused(&["--leader-election=perhaps"], "true, false");
}

#[test]
fn every_cloud_has_a_name() {
    for (name, cloud) in [
        ("public", CloudName::Public),
        ("us-government", CloudName::UsGovernment),
        ("us-government-high", CloudName::UsGovernmentHigh),
        ("us-government-dod", CloudName::UsGovernmentDod),
        ("china", CloudName::China),
    ] {
        assert_eq!(settings(&["--cloud", name]).unwrap().cloud, CloudChoice::Named(cloud));
    }
}

#[test]
fn values_out_of_bounds_are_rejected_with_remedy() {
    refused(&["--poll-min", "30"], "number with a unit");
    refused(&["--poll-min", "1ms"], "from 10ms to 1h");
    refused(&["--poll-max", "2h"], "from 10ms to 1h");
    refused(&["--poll-fraction", "0"], "from 0.01 to 1");
    refused(&["--poll-fraction", "1.5"], "from 0.01 to 1");
    refused(&["--poll-fraction", "NaN"], "from 0.01 to 1");
    refused(&["--call-timeout", "0s"], "from 100ms to 10m");
    refused(&["--lease-duration", "900ms"], "from 1s to 1h");
    refused(&["--max-concurrent-reconciles", "0"], "1..=1024");
    refused(&["--max-calls-per-server", "many"], "many");
    refused(&["--resource-metrics", "10001"], "0..=10000");
    refused(&["--resource-metrics=-1"], "0..=10000");
    refused(&["--metrics-address", ":8080"], "0.0.0.0:8080");
    refused(&["--watch-namespace", ""], "must not be empty");
    refused(&["--watch-namespace", "bi,"], "must not be empty");
    refused(&["--watch-namespace", "Bi"], "a-z, 0-9");
    refused(&["--lease-name=-x"], "must be at most 253 characters");
    refused(&["--log-level", "kube=loud"], "must be error, warn, info");
    refused(&["--log-level", "INOF"], "no module logs under `INOF`; must be error, warn, info, debug, trace or off");
    refused(&["--log-format", "xml"], "json, text");
    refused(&["--no-such-flag", "x"], "unexpected argument");
    refused(&["--otlp-endpoint", "otel:4318"], "neither http:// nor https://");
}

#[test]
fn poll_min_is_at_most_poll_max() {
    refused(&["--poll-min", "1m"], "--poll-min (1m) must be at most --poll-max (30s)");
    assert!(settings(&["--poll-min", "30s"]).is_ok());
}

#[test]
fn cloud_file_requires_custom_cloud() {
    refused(&["--cloud", "custom"], "requires --cloud-file");
    refused(&["--cloud-file", "/nowhere"], "requires --cloud custom");
    refused(&["--cloud", "custom", "--cloud-file", "/nowhere"], "failed to read --cloud-file /nowhere");
    let binary = file(&[0xff, 0xfe]);
    refused(&["--cloud", "custom", "--cloud-file", binary.path().to_str().unwrap()], "not UTF-8");
    let good = file(b"hosts: []\n");
    let choice = settings(&["--cloud", "custom", "--cloud-file", good.path().to_str().unwrap()]).unwrap().cloud;
    assert_eq!(choice, CloudChoice::File { path: good.path().to_owned(), text: "hosts: []\n".to_owned() });
}

#[test]
fn authority_file_contains_certificates() {
    let given = |content: &[u8]| {
        let file = file(content);
        settings(&["--extra-ca-file", file.path().to_str().unwrap()])
    };
    refused(&["--extra-ca-file", "/nowhere"], "failed to read --extra-ca-file /nowhere");
    refused(&["--extra-ca-file", "/"], "failed to read --extra-ca-file /");
    assert!(given(b"not PEM").unwrap_err().contains("no certificate found"));
    assert!(given(b"-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n").is_err());
    assert!(given(&vec![b'\n'; 5 * 1024 * 1024]).unwrap_err().contains("larger than 4 MiB"));
    let pem: &[u8] = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(given(pem).unwrap().extra_ca_pem.as_deref(), Some(pem));
}

#[test]
fn exit_code_is_2_for_invalid_usage_and_0_for_help() {
    assert_eq!(args(&["--poll-min", "x"]).unwrap_err().exit_code(), 2);
    assert_eq!(args(&["--log-level", "INOF"]).unwrap_err().exit_code(), 2);
    assert_eq!(args(&["--help"]).unwrap_err().exit_code(), 0);
    assert_eq!(Cli::try_parse_from(["tabular-operator", "--version"]).unwrap_err().exit_code(), 0);
    assert_eq!(Cli::try_parse_from(["tabular-operator"]).unwrap_err().exit_code(), 2);
}
