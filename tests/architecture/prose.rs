//! Words that the prose of this repository avoids: metaphors, personification and archaic English.

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;

use crate::assert_none;
use crate::source::root;

/// The words to avoid, as regular expressions without regard to case, each with what to write instead. `AGENTS.md` has the rules.
const AVOIDED: [(&str, &str); 22] = [
    ("mend(s|ed|ing)?", "fix, correct"),
    ("heed(s|ed|ing)?", "handle, honor"),
    ("told", "reported, logged"),
    ("by itself", "automatically"),
    ("(go|goes|going|went) on", "continue, resume, be running"),
    ("lets? go", "release"),
    ("comes? (to (its|an) end|about)", "end, happen"),
    ("anew", "again"),
    ("as good as", "equivalent to"),
    ("at hand", "available"),
    ("sees? to|seen to", "handle"),
    ("by and by", "eventually"),
    ("under[ _]?way", "running, in progress"),
    ("hinder(s|ed|ing)?|hindrances?", "block"),
    ("wish(es|ed)?", "request"),
    ("strangers?", "other client"),
    ("stays? away", "back off"),
    ("twice over|twins?", "duplicate"),
    ("in[ _]doubt", "unresolved"),
    ("gives? no answer", "does not respond"),
    ("whoever|somebody|nobody", "the role: user, client, operator"),
    ("patience", "timeout"),
];

/// Files that are not prose of this repository, or that list these words.
const EXCLUDED: [&str; 6] = [".git", "target", "Cargo.lock", "CODE_OF_CONDUCT.md", "tests/fuzz/corpus", "tests/architecture"];
const SUFFIXES: [&str; 10] = ["rs", "md", "yaml", "yml", "tpl", "toml", "sh", "txt", "go", "lua"];

fn files(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
        if EXCLUDED.contains(&name.as_str()) || name.ends_with("/target") {
        } else if entry.file_type().unwrap().is_dir() {
            files(&path, found);
        } else if name == "Makefile" || SUFFIXES.iter().any(|suffix| path.extension().is_some_and(|found| found == *suffix)) {
            found.push(name);
        }
    }
}

/// Also in identifiers: `_` and a change of case separate words.
#[test]
fn prose_avoids_listed_words() {
    let any = AVOIDED.map(|(word, _)| format!("(?:{word})")).join("|");
    let avoided = Regex::new(&format!("(?:^|[^A-Za-z])(?i:({any}))(?:[^a-z]|$)")).unwrap();
    let (mut names, mut found) = (Vec::new(), BTreeSet::new());
    files(root(), &mut names);
    assert!(names.len() > 500, "{}", names.len());
    for name in names {
        let text = std::fs::read_to_string(root().join(&name)).unwrap();
        let words = text.lines().flat_map(|line| avoided.captures_iter(line)).map(|found| found[1].to_lowercase());
        found.extend(words.map(|word| {
            let instead = AVOIDED.iter().find(|(avoided, _)| Regex::new(&format!("^(?:{avoided})$")).unwrap().is_match(&word));
            format!("{name}: {word} ({})", instead.map_or("", |(_, instead)| instead))
        }));
    }
    assert_none(&found);
}

#[test]
fn files_have_no_conflict_markers() {
    let marker = Regex::new(r"(?m)^(<{7}|>{7}) ").unwrap();
    let mut names = Vec::new();
    files(root(), &mut names);
    names.retain(|name| marker.is_match(&std::fs::read_to_string(root().join(name)).unwrap()));
    assert_none(&names.into_iter().collect());
}
