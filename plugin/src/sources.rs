//! The files of `-f`: files, directories and standard input.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The maximum size of a file.
const MOST: u64 = 8 << 20;

/// A file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard input.
    Input,
    /// A file.
    File(PathBuf),
}

/// The files that the user named, and those of the named directories in the order of their names. Each error is about one of them.
#[must_use]
pub fn sources(paths: &[PathBuf], recursive: bool) -> Vec<Result<Source, Failure>> {
    let mut found = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            // Standard input can be read once.
            if !found.contains(&Ok(Source::Input)) {
                found.push(Ok(Source::Input));
            }
        } else if path.is_dir() {
            directory(path, recursive, &mut found);
        } else {
            found.push(Ok(Source::File(path.clone())));
        }
    }
    found
}

fn directory(path: &Path, recursive: bool, found: &mut Vec<Result<Source, Failure>>) {
    let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => return found.push(Err(failed(path, &error))),
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // As kubectl, and not through symbolic links, which can lead back.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if recursive {
                directory(&path, recursive, found);
            }
        } else if path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
            && !path.is_dir()
        {
            found.push(Ok(Source::File(path)));
        }
    }
}

impl Source {
    /// The name of the file in messages, and its text.
    ///
    /// # Errors
    /// If it cannot be read, is too large, or is not text.
    pub fn read(self) -> Result<(String, String), Failure> {
        let (path, bytes) = match self {
            Self::Input => (PathBuf::from("-"), bounded(io::stdin().lock())),
            Self::File(path) => {
                let bytes = fs::File::open(&path).and_then(bounded);
                (path, bytes)
            }
        };
        let bytes = bytes.map_err(|error| failed(&path, &error))?;
        let name = path.display().to_string();
        if bytes.len() as u64 > MOST {
            return Err(Failure::new(format!("{name} has more than 8 MiB: split it")));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok((name, text)),
            Err(_) => Err(Failure::new(format!("{name} is not UTF-8 text: convert it"))),
        }
    }
}

/// Reads one byte more than the maximum, and no further.
fn bounded(input: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(MOST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("failed to read {}: {error}; check the path", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_has_its_manifests_in_order() {
        let root = tempfile::tempdir().unwrap();
        let file = |name: &str| root.path().join(name);
        fs::create_dir(file("sub")).unwrap();
        for name in ["b.yml", "a.yaml", "c.json", "notes.txt", "sub/d.yaml"] {
            fs::write(file(name), "").unwrap();
        }
        let names = |recursive| {
            let found = sources(&[root.path().to_owned(), PathBuf::from("-"), PathBuf::from("-")], recursive);
            found.into_iter().map(Result::unwrap).collect::<Vec<_>>()
        };
        let files = |names: &[&str]| names.iter().map(|name| Source::File(file(name))).chain([Source::Input]).collect::<Vec<_>>();
        assert_eq!(names(false), files(&["a.yaml", "b.yml", "c.json"]));
        assert_eq!(names(true), files(&["a.yaml", "b.yml", "c.json", "sub/d.yaml"]));
    }

    #[test]
    fn unreadable_file_is_reported_with_its_name() {
        let root = tempfile::tempdir().unwrap();
        let failure = |name: &str, content: &[u8]| {
            let path = root.path().join(name);
            if !content.is_empty() {
                fs::write(&path, content).unwrap();
            }
            Source::File(path).read().unwrap_err().sentence
        };
        assert!(failure("missing.yaml", b"").contains("missing.yaml"));
        assert!(failure("latin.yaml", b"a: \xe9").contains("is not UTF-8 text"));
        assert!(failure("large.yaml", &vec![b'#'; (8 << 20) + 1]).contains("more than 8 MiB"));
    }
}
