//! An image on disk: an OCI layout, according to the OCI image specification 1.1.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::paths;
use serde_json::Value;

/// The path where `make image` writes it.
pub fn built() -> PathBuf {
    let layout = paths::target().join("image");
    assert!(layout.join("oci-layout").is_file(), "{} not found: build it with `make image`", layout.display());
    layout
}

/// The relevant properties of one architecture's image.
#[derive(Debug)]
pub struct Image {
    /// The architecture, such as `amd64`.
    pub architecture: String,
    /// Its configuration: command, user and labels.
    pub config: Value,
    /// Its layers, the lowest first.
    pub layers: Vec<PathBuf>,
}

/// A file of a layer.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path, without a leading slash.
    pub path: String,
    /// Its mode, such as `-rwxr-xr-x`.
    pub mode: String,
    /// Its owner, such as `0/0`.
    pub owner: String,
    /// Its size in bytes.
    pub size: u64,
}

impl Image {
    /// The images of a layout.
    pub fn all(layout: &Path) -> Vec<Self> {
        let index = read(&layout.join("index.json"));
        let mut images = Vec::new();
        collect(layout, &index, &mut images);
        assert!(!images.is_empty(), "no image in {index:#}");
        images
    }

    /// The image for this machine.
    pub fn ours() -> Self {
        let ours = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let images = Self::all(&built());
        images.into_iter().find(|image| image.architecture == ours).expect("the layout has an image for this machine")
    }

    /// Its files, in the order of its layers.
    pub fn files(&self) -> Vec<Entry> {
        let entries = self.layers.iter().flat_map(|layer| {
            let output = tar(&["--list", "--verbose", "--numeric-owner", "--gzip", "--file"], layer, None);
            output.lines().map(entry).collect::<Vec<_>>()
        });
        entries.collect()
    }

    /// Unpacks it into an empty directory.
    pub fn unpack(&self, root: &Path) {
        for layer in &self.layers {
            tar(&["--extract", "--preserve-permissions", "--gzip", "--file"], layer, Some(root));
        }
    }
}

/// The digest of the layout's content.
pub fn digest(layout: &Path) -> String {
    read(&layout.join("index.json"))["manifests"][0]["digest"].as_str().expect("the manifest has a digest").to_owned()
}

fn collect(layout: &Path, index: &Value, images: &mut Vec<Image>) {
    for descriptor in index["manifests"].as_array().expect("an index has manifests") {
        let content = read(&blob(layout, descriptor));
        if content["manifests"].is_array() {
            collect(layout, &content, images);
            continue;
        }
        let config = read(&blob(layout, &content["config"]));
        let layers = content["layers"].as_array().expect("an image has layers").iter().map(|layer| blob(layout, layer));
        images.push(Image { architecture: config["architecture"].as_str().unwrap().to_owned(), layers: layers.collect(), config });
    }
}

fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    let digest = descriptor["digest"].as_str().expect("a descriptor has a digest");
    layout.join("blobs").join(digest.replace(':', "/"))
}

fn read(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("failed to read {}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{} is not JSON: {error}", path.display()))
}

fn tar(arguments: &[&str], file: &Path, directory: Option<&Path>) -> String {
    let mut command = Command::new("tar");
    command.args(arguments).arg(file);
    if let Some(directory) = directory {
        command.arg("--directory").arg(directory);
    }
    let output = command.output().expect("failed to run tar");
    assert!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A line such as `-rwxr-xr-x 0/0 35664 2026-09-21 14:13 tabular-operator`.
fn entry(line: &str) -> Entry {
    let [mode, owner, size, _day, _time, path] = line.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("unexpected line of tar: '{line}'");
    };
    let (mode, owner) = (mode.to_owned(), owner.to_owned());
    Entry { path: path.to_owned(), mode, owner, size: size.parse().expect("a size is a number") }
}
