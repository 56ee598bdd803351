//! What a command is about: a name, with the kind in front of it or without.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use tabular_operator::api::{Kind, ResourceKey};

use crate::failure::plural;

/// The API group of the kinds.
const GROUP: &str = ".tabular-operator.dev";

/// A resource that the user named.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The kind; a `ModelRefresh` unless the user named another.
    pub kind: Kind,
    /// The name.
    pub name: String,
}

impl Target {
    /// The key of the resource in a namespace.
    #[must_use]
    pub fn key(&self, namespace: &str) -> ResourceKey {
        ResourceKey { kind: self.kind, namespace: namespace.to_owned(), name: self.name.clone() }
    }
}

/// As every command accepts it: a `ModelRefresh` by its name alone.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::ModelRefresh => f.write_str(&self.name),
            Kind::ModelSync => write!(f, "msync/{}", self.name),
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = match text.split_once('/') {
            None => (Kind::ModelRefresh, text),
            Some((word, name)) => (kind_of(word).ok_or_else(|| format!("unknown kind {word:?}: use mref or msync"))?, name),
        };
        let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_valid = name.len() <= 253
            && name.starts_with(is_end)
            && name.ends_with(is_end)
            && name.chars().all(|c| is_end(c) || matches!(c, '-' | '.'));
        if !is_valid {
            return Err(format!("{name:?} is not the name of a resource: use lower case letters, digits, '-' and '.'"));
        }
        Ok(Self { kind, name: name.to_owned() })
    }
}

/// The names without repetitions, in their order.
#[must_use]
pub fn distinct(names: &[Target]) -> Vec<&Target> {
    let mut seen = BTreeSet::new();
    names.iter().filter(|name| seen.insert(*name)).collect()
}

/// The kinds of these names; all kinds without a name.
#[must_use]
pub fn kinds(names: &[Target]) -> BTreeSet<Kind> {
    if names.is_empty() { Kind::ALL.iter().copied().collect() } else { names.iter().map(|name| name.kind).collect() }
}

/// The kind that a user or `get -o name` writes before a name.
fn kind_of(word: &str) -> Option<Kind> {
    let word = word.to_lowercase();
    let word = word.strip_suffix(GROUP).unwrap_or(&word);
    let word = word.strip_suffix(".v1alpha1").unwrap_or(word);
    match word {
        "mref" | "modelrefresh" | "modelrefreshes" => Some(Kind::ModelRefresh),
        "msync" | "modelsync" | "modelsyncs" => Some(Kind::ModelSync),
        _ => None,
    }
}

/// A resource as `kubectl get -o name` prints it.
#[must_use]
pub fn full_name(kind: Kind, name: &str) -> String {
    format!("{}{GROUP}/{name}", kind.as_str().to_lowercase())
}

/// A resource as the API names it, for messages about a kind and a name.
#[must_use]
pub fn api_name(kind: Kind, name: &str) -> String {
    format!("{}/{name}", plural(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_accepted_as_kubectl_prints_them() {
        let refresh = [
            "a.b-1",
            "mref/a.b-1",
            "ModelRefresh/a.b-1",
            "modelrefreshes/a.b-1",
            "modelrefresh.tabular-operator.dev/a.b-1",
            "modelrefreshes.v1alpha1.tabular-operator.dev/a.b-1",
        ];
        for text in refresh {
            assert_eq!(text.parse(), Ok(Target { kind: Kind::ModelRefresh, name: "a.b-1".to_owned() }), "{text}");
        }
        for text in ["msync/a", "modelsync/a", &full_name(Kind::ModelSync, "a")] {
            let target: Target = text.parse().unwrap();
            assert_eq!((target.kind, target.to_string().as_str()), (Kind::ModelSync, "msync/a"), "{text}");
        }
        let names: Vec<Target> = ["a", "mref/b"].iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!((kinds(&names), kinds(&[]).len()), (BTreeSet::from([Kind::ModelRefresh]), Kind::ALL.len()));
        for text in ["", "A", "a_b", "-a", "pod/a", "mref/", "mref/a/b", &"a".repeat(254)] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
