//! `validate`: checks manifests, without a cluster or by a dry run.

use serde_json::Value;
use tabular_operator::api::Kind;

use super::manifest::{DryRun, ValidateArgs};
use crate::connect::{Connection, connect};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::manifests::{Checker, Document, Finding, Subject, read, subject};
use crate::report::{FindingReport, ManifestReport, ManifestsReport, Report};
use crate::session::Session;
use crate::sources::{Source, sources};

/// The definitions that decide.
struct Judge {
    checker: Checker,
    /// The API server, if its definitions decide.
    server: Option<Connection>,
}

pub(super) async fn run(args: &ValidateArgs, session: &mut Session) -> Result<Exit, Failure> {
    let checker = Checker::new(Kind::ALL).map_err(|error| Failure::new(format!("failed to compile the definitions: {error}")))?;
    let server = match args.dry_run {
        DryRun::Client => None,
        DryRun::Server => Some(connect(&args.common.connection)?),
    };
    let judge = Judge { checker, server };
    let (mut report, mut exit) = (ManifestsReport::default(), Exit::Success);
    for source in sources(&args.files, args.recursive) {
        match source.and_then(Source::read) {
            Ok((file, text)) => judge.check_file(&file, &text, &mut report).await?,
            Err(failure) => exit = exit.max(session.fail(&failure)),
        }
    }
    if report.invalid() > 0 {
        exit = exit.max(Exit::Negative);
    }
    if session.is_text() {
        for line in report.lines() {
            session.print_text(&line);
        }
        session.note(&report.summary());
    } else {
        session.report(&Report::Manifests(report))?;
    }
    Ok(exit)
}

impl Judge {
    async fn check_file(&self, file: &str, text: &str, report: &mut ManifestsReport) -> Result<(), Failure> {
        let (documents, syntax_error) = read(text);
        for document in documents {
            let Document { number, item, manifest } = document;
            let findings = match subject(&manifest) {
                Subject::Ours(kind) => self.check(kind, &manifest).await?,
                Subject::Invalid(finding) => vec![finding],
                Subject::Other => {
                    report.skipped += 1;
                    continue;
                }
            };
            report.manifests.push(manifest_report(file, number, item, &manifest, &findings));
        }
        if let Some(error) = syntax_error {
            let finding = Finding::new("", error.message);
            report.manifests.push(manifest_report(file, error.number, None, &Value::Null, &[finding]));
        }
        Ok(())
    }

    async fn check(&self, kind: Kind, manifest: &Value) -> Result<Vec<Finding>, Failure> {
        let Some(server) = &self.server else { return Ok(self.checker.check(kind, manifest)) };
        let findings = server.dry_run(kind, manifest).await?;
        Ok(if findings.is_empty() { self.checker.check_accepted(kind, manifest) } else { findings })
    }
}

fn manifest_report(file: &str, document: usize, item: Option<usize>, manifest: &Value, findings: &[Finding]) -> ManifestReport {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    ManifestReport {
        file: file.to_owned(),
        document,
        item,
        kind: text(&manifest["kind"]),
        namespace: text(&manifest["metadata"]["namespace"]),
        name: text(&manifest["metadata"]["name"]),
        valid: findings.is_empty(),
        findings: findings.iter().map(|finding| FindingReport { field: finding.field.clone(), message: finding.message.clone() }).collect(),
    }
}
