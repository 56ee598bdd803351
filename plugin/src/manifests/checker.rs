//! Checks manifests without a cluster: the structure, the rules of the definitions, and what only the operator rejects.

use jsonschema::Validator;
use kube_cel::{CompiledSchema, ErrorKind, Validator as Rules, compile_schema};
use serde_json::Value;
use tabular_operator::api::Kind;

use super::finding::Finding;
use super::only_operator::only_operator;
use super::schema::{definition, json_schema};
use super::structure::{normalize, structure};

/// What checks the manifests of some kinds.
pub struct Checker {
    kinds: Vec<KindChecker>,
    rules: Rules,
}

struct KindChecker {
    kind: Kind,
    schema: Value,
    structure: Validator,
    rules: CompiledSchema,
}

impl Checker {
    /// Compiles the definitions of these kinds. A manifest of another kind has no finding.
    ///
    /// # Errors
    /// If a definition does not compile, which would be a bug.
    pub fn new(kinds: &[Kind]) -> Result<Self, String> {
        let kinds = kinds.iter().map(|kind| KindChecker::new(*kind)).collect::<Result<_, _>>()?;
        Ok(Self { kinds, rules: Rules::new() })
    }

    /// The faults of a manifest of this kind. The rules are not evaluated on a manifest with a wrong structure.
    #[must_use]
    pub fn check(&self, kind: Kind, manifest: &Value) -> Vec<Finding> {
        let Some(checker) = self.kinds.iter().find(|checker| checker.kind == kind) else { return Vec::new() };
        let mut manifest = manifest.clone();
        normalize(&mut manifest, &checker.schema);
        let mut findings = structure(&checker.structure, &checker.schema, &manifest);
        if findings.is_empty() {
            // The API server drops the status of a new resource.
            manifest.as_object_mut().map(|fields| fields.remove("status"));
            findings = self.broken_rules(checker, &manifest);
        }
        if findings.is_empty() {
            findings = only_operator(kind, &manifest).unwrap_or_else(|error| vec![Finding::new("spec", error)]);
        }
        findings
    }

    /// The faults of a manifest that the API server accepts. A spec of another version of the definitions has none.
    #[must_use]
    pub fn check_accepted(&self, kind: Kind, manifest: &Value) -> Vec<Finding> {
        let Some(checker) = self.kinds.iter().find(|checker| checker.kind == kind) else { return Vec::new() };
        let mut manifest = manifest.clone();
        normalize(&mut manifest, &checker.schema);
        only_operator(kind, &manifest).unwrap_or_default()
    }

    fn broken_rules(&self, checker: &KindChecker, manifest: &Value) -> Vec<Finding> {
        let errors = self.rules.validate_compiled(&checker.rules, manifest, None).err();
        let finding = |error: &kube_cel::ValidationError| match error.kind {
            ErrorKind::ValidationFailure => Finding::of_message(&checker.schema, &error.field_path, &error.message),
            _ => Finding::new(
                &error.field_path,
                format!("failed to evaluate the rule {}: {}; use --dry-run=server", error.rule, error.message),
            ),
        };
        errors.iter().flatten().map(finding).collect()
    }
}

impl KindChecker {
    fn new(kind: Kind) -> Result<Self, String> {
        let schema = json_schema(kind)?;
        let structure = jsonschema::draft202012::new(&schema).map_err(|error| error.to_string())?;
        let mut definition = definition(kind)?;
        // The API server drops the status of a new resource, so its rules do not apply.
        definition["properties"].as_object_mut().map(|parts| parts.remove("status"));
        let rules = compile_schema(&definition);
        if let Some(error) = rules.compilation_errors().first() {
            return Err(format!("{}: {error}", kind.as_str()));
        }
        Ok(Self { kind, schema, structure, rules })
    }
}
