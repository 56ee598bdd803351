//! The output of the commands other than `run`.

use std::io::{self, Write};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

/// Prints the definitions as one YAML stream, for `kubectl apply -f -`.
///
/// # Errors
/// If the output cannot be written.
pub fn print_crds(definitions: &[CustomResourceDefinition], mut out: impl Write) -> io::Result<()> {
    for definition in definitions {
        write!(out, "---\n{}", yaml(definition)?)?;
    }
    out.flush()
}

/// A definition as YAML, with each description on one line.
///
/// # Errors
/// If the definition cannot be serialized as YAML.
pub fn yaml(definition: &CustomResourceDefinition) -> io::Result<String> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(definition, options).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    #[test]
    fn definitions_are_one_stream() {
        let named = |name: &str| CustomResourceDefinition {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            ..CustomResourceDefinition::default()
        };
        let mut out = Vec::new();
        print_crds(&[named("a"), named("b")], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("---\napiVersion: apiextensions.k8s.io/v1\n"), "{text}");
        assert_eq!(text.matches("---\n").count(), 2);
        assert!(text.contains("name: b\n"), "{text}");
    }
}
