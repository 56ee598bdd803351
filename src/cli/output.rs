//! What the commands other than `run` print.

use std::io::{self, Write};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

/// Prints the definitions as one YAML stream, as `kubectl apply -f -` reads it.
///
/// # Errors
/// Where the output cannot be written.
pub fn print_crds(definitions: &[CustomResourceDefinition], mut out: impl Write) -> io::Result<()> {
    for definition in definitions {
        let yaml = serde_yaml_ng::to_string(definition).map_err(io::Error::other)?;
        write!(out, "---\n{yaml}")?;
    }
    out.flush()
}
