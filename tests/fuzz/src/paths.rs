//! Where the corpus is, and where what breaks a law is put.

use std::fs;
use std::path::{Path, PathBuf};

/// The directory of this crate.
#[must_use]
pub fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The committed inputs of a target, by name; the names say where each is from.
#[must_use]
pub fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = home().join("corpus").join(target);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("failed to read {}: {error}", directory.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect()
}

/// Keeps an input that broke a law, and says how to play it again.
#[must_use]
pub fn save_crash(target: &str, input: &[u8]) -> String {
    let directory = home().join("crashes");
    // What the file holds names it, so the same input is the same file.
    let digest = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let file = directory.join(format!("{target}-{digest:016x}"));
    fs::create_dir_all(&directory).and_then(|()| fs::write(&file, input)).expect("failed to keep the input");
    format!("play it again: cargo run -p fuzz -- {target} {}", file.display())
}
