//! Imports between files, with every `pub use` resolved to the file that defines the item.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Crate, Segments};

/// Maximum number of re-exports in a chain.
const DEEPEST: usize = 16;

/// The target of a path.
enum Target {
    /// A module.
    Module(Segments),
    /// An item defined in this module.
    Item(Segments),
}

/// The files that each file imports from.
pub fn imports(modules: &Crate) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, module) in &modules.modules {
        let targets = module.imports.values().chain(&module.globs).chain(&module.paths);
        let targets = targets.filter_map(|target| resolve(modules, path, target, 0));
        let files = targets.filter_map(|target| match target {
            Target::Module(module) | Target::Item(module) => Some(modules.modules.get(&module)?.file.clone()),
        });
        found.entry(module.file.clone()).or_default().extend(files.filter(|file| *file != module.file));
    }
    found
}

/// The files that import themselves through others.
pub fn in_cycles(imports: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let reaches = |from: &str| {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = vec![from];
        while let Some(file) = open.pop() {
            open.extend(imports.get(file).into_iter().flatten().map(String::as_str).filter(|next| seen.insert(*next)));
        }
        seen.contains(from)
    };
    imports.keys().filter(|file| reaches(file)).cloned().collect()
}

/// Resolves a path in a module. `None` if it leaves the crate.
fn resolve(modules: &Crate, from: &Segments, path: &[String], depth: usize) -> Option<Target> {
    let mut rest = path;
    let mut at = match rest.first()?.as_str() {
        "crate" => Vec::new(),
        "self" | "super" => from.clone(),
        name => match step(modules, from, name, depth)? {
            Target::Module(module) => module,
            item @ Target::Item(_) => return Some(item),
        },
    };
    if rest[0] == "super" {
        at.pop();
    }
    rest = &rest[1..];
    while rest.first().is_some_and(|segment| segment == "super") {
        at.pop();
        rest = &rest[1..];
    }
    for segment in rest {
        match step(modules, &at, segment, depth) {
            Some(Target::Module(module)) => at = module,
            Some(item @ Target::Item(_)) => return Some(item),
            None => return Some(Target::Item(at)),
        }
    }
    Some(Target::Module(at))
}

/// Resolves a name in a module.
fn step(modules: &Crate, at: &Segments, name: &str, depth: usize) -> Option<Target> {
    let module = modules.modules.get(at)?;
    let child = [&**at, &[name.to_owned()]].concat();
    if modules.modules.contains_key(&child) {
        return Some(Target::Module(child));
    }
    if module.items.contains(name) {
        return Some(Target::Item(at.clone()));
    }
    if depth > DEEPEST {
        return None;
    }
    if let Some(path) = module.imports.get(name) {
        // A crate of the same name: `use kube::Client` leaves the crate.
        return (path.first().map(String::as_str) != Some(name)).then(|| resolve(modules, at, path, depth + 1)).flatten();
    }
    module.globs.iter().find_map(|glob| match resolve(modules, at, glob, depth + 1)? {
        Target::Module(of) if of != *at => step(modules, &of, name, depth + 1),
        Target::Module(_) | Target::Item(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The files in cycles of a crate with modules `a` and `b` of these texts, and this root.
    fn in_cycles_of(root: &str, a: &str, b: &str) -> Vec<String> {
        let mut modules = Crate::default();
        for (path, file, text) in [(vec![], "lib.rs", root), (vec!["a".to_owned()], "a.rs", a), (vec!["b".to_owned()], "b.rs", b)] {
            modules.add_text(path, file, Path::new("none"), text);
        }
        in_cycles(&imports(&modules)).into_iter().collect()
    }

    #[test]
    fn cycle_is_found_in_every_notation() {
        let uses_a = ["use crate::a::A;", "use super::a;", "use crate::{a::A as Other};", "use super::A;"];
        let inside =
            ["fn f(_: crate::a::A) {}", "fn f() { use super::a::A; }", "fn f() { assert!(crate::a::A == 1) }", "impl crate::a::A {}"];
        for text in uses_a.into_iter().chain(inside) {
            assert_eq!(
                in_cycles_of("pub use a::A;", "use crate::b::B; pub struct A;", &format!("{text} pub struct B;")),
                ["a.rs", "b.rs"],
                "{text}"
            );
        }
    }

    #[test]
    fn import_of_tests_or_other_crate_is_not_a_cycle() {
        for text in ["#[cfg(test)] mod tests { use crate::a::A; }", "pub(in crate::a) struct C;", "use a_b::A;", "use std::a::A;"] {
            assert!(in_cycles_of("pub use a::A;", "use crate::b::B; pub struct A;", &format!("{text} pub struct B;")).is_empty(), "{text}");
        }
    }
}
