//! The directories of the corpus and of the inputs that violate an invariant.

use std::fs;
use std::path::{Path, PathBuf};

/// The directory of this crate.
#[must_use]
pub fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The committed inputs of a target, sorted by file name. The name states the source of an input.
#[must_use]
pub fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = home().join("corpus").join(target);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("failed to read {}: {error}", directory.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect()
}

/// Saves an input that violates an invariant. Returns the command that replays it.
#[must_use]
pub fn save_crash(target: &str, input: &[u8]) -> String {
    let directory = home().join("crashes");
    // The name is a digest (FNV-1a) of the input, so equal inputs share a file.
    let digest = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let file = directory.join(format!("{target}-{digest:016x}"));
    fs::create_dir_all(&directory).and_then(|()| fs::write(&file, input)).expect("failed to save the input");
    format!("replay: cargo run -p fuzz -- {target} {}", file.display())
}
