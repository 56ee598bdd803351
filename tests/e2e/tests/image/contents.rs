//! The metadata and the contents of the image.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use e2e::paths;
use serde_json::{Value, json};

use crate::layout::{self, Image};
use crate::scratch;

/// The build instructions of the image.
const DOCKERFILE: &str = include_str!("../../../../Dockerfile");
/// Maximum size of the program. It was 16 MB when this limit was set; a larger limit needs a review.
const LARGEST_PROGRAM: u64 = 20 << 20;

/// A line of the operator's `[package]`.
fn package(field: &str) -> String {
    let manifest = fs::read_to_string(paths::workspace().join("Cargo.toml")).unwrap();
    let lines = manifest.lines().skip_while(|line| *line != "[package]").skip(1).take_while(|line| !line.starts_with('['));
    let mut values = lines.filter_map(|line| line.split_once(" = "));
    let value = values.find(|(name, _)| *name == field).unwrap_or_else(|| panic!("Cargo.toml has no {field}")).1;
    value.trim_matches('"').to_owned()
}

#[test]
fn image_runs_operator_without_privileges() {
    for image in Image::all(&layout::built()) {
        let config = &image.config["config"];
        assert_eq!(image.config["os"], "linux");
        assert_eq!(config["User"], "65532:65532", "as in the chart and deploy/base");
        assert_eq!((&config["Entrypoint"], &config["Cmd"]), (&json!(["/tabular-operator"]), &json!(["run"])), "as in the chart");
        assert_eq!(config["WorkingDir"], "/");
        // Every builder adds it.
        assert_eq!(config["Env"], json!(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]));
        assert!(config["ExposedPorts"].is_null() && config["Volumes"].is_null(), "{config:#}");
    }
}

#[test]
fn image_labels_match_sources() {
    let commit = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(paths::workspace()).output().unwrap();
    let commit = String::from_utf8(commit.stdout).unwrap();
    for image in Image::all(&layout::built()) {
        let labels: BTreeMap<String, String> = serde_json::from_value(image.config["config"]["Labels"].clone()).unwrap();
        let label = |name: &str| labels.get(&format!("org.opencontainers.image.{name}")).map_or("", String::as_str);
        assert_eq!(label("title"), package("name"));
        assert_eq!(label("description"), package("description"));
        assert_eq!(label("version"), package("version"));
        assert_eq!(label("licenses"), package("license"));
        assert!(label("source").starts_with("https://") && label("documentation").starts_with(label("source")), "{labels:?}");
        // Without git, the Dockerfile's default applies.
        let revision = if commit.is_empty() { "unknown" } else { commit.trim() };
        assert!(label("revision").starts_with(revision), "{} is of another commit: run `make image`", label("revision"));
        assert_eq!(labels.len(), 7);
    }
}

#[test]
fn dockerfile_defaults_name_the_same_versions() {
    let argument = |name: &str| {
        let start = format!("ARG {name}=");
        DOCKERFILE.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("no {name}")).to_owned()
    };
    assert_eq!(argument("VERSION"), package("version"));
    assert!(argument("RUST").starts_with(&format!("{}.", package("rust-version"))), "the Rust version differs from Cargo.toml");
}

#[test]
fn image_contains_only_expected_files() {
    for image in Image::all(&layout::built()) {
        let found = image.files();
        let listed: Vec<_> = found.iter().map(|file| (file.path.as_str(), file.mode.as_str(), file.owner.as_str())).collect();
        let documents = "usr/share/doc/tabular-operator";
        let expected = [
            ("tabular-operator".to_owned(), "-rwxr-xr-x"),
            ("usr/".to_owned(), "drwxr-xr-x"),
            ("usr/share/".to_owned(), "drwxr-xr-x"),
            ("usr/share/doc/".to_owned(), "drwxr-xr-x"),
            (format!("{documents}/"), "drwxr-xr-x"),
            (format!("{documents}/LICENSE"), "-rw-r--r--"),
            (format!("{documents}/THIRD-PARTY-LICENSES"), "-rw-r--r--"),
            (format!("{documents}/tabular-operator.cdx.json"), "-rw-r--r--"),
        ];
        let expected: Vec<_> = expected.iter().map(|(path, mode)| (path.as_str(), *mode, "0/0")).collect();
        assert_eq!(listed, expected);
        assert!(found[0].size < LARGEST_PROGRAM, "the program is too large: {} bytes", found[0].size);
    }
}

#[test]
fn image_program_is_the_tested_one() {
    let root = scratch("tested");
    Image::ours().unpack(&root);
    let (shipped, tested) = (fs::read(root.join("tabular-operator")).unwrap(), fs::read(paths::operator()).unwrap());
    assert!(shipped == tested, "the image's program differs from {}: run `make image`", paths::operator().display());
}

#[test]
fn image_contains_no_path_of_build_machine() {
    let root = scratch("traces");
    Image::ours().unpack(&root);
    let cargo = std::env::var("CARGO_HOME").unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").unwrap()));
    for path in [
        "tabular-operator",
        "usr/share/doc/tabular-operator/tabular-operator.cdx.json",
        "usr/share/doc/tabular-operator/THIRD-PARTY-LICENSES",
    ] {
        let content = fs::read(root.join(path)).unwrap();
        for place in [paths::workspace().display().to_string(), cargo.clone()] {
            let found = content.windows(place.len()).position(|window| window == place.as_bytes());
            let around = |at: usize| String::from_utf8_lossy(&content[at..(at + 120).min(content.len())]).into_owned();
            assert_eq!(found.map(around), None, "{path} contains a path of this machine");
        }
    }
}

/// Builds the Dockerfile again with the real builder, and expects the same result.
#[tokio::test]
async fn repeated_build_is_identical() {
    let again = scratch("again").join("image");
    let dist = paths::target().join("dist");
    let script = e2e::Tool::at(paths::workspace().join("deploy/image/assemble.sh"));
    let printed = script.run(&[dist.to_str().unwrap(), again.to_str().unwrap()]).await;
    assert_eq!(printed.trim(), layout::digest(&again));
    assert_eq!(
        Image::all(&again).iter().map(created).collect::<Vec<_>>(),
        Image::all(&layout::built()).iter().map(created).collect::<Vec<_>>()
    );
    assert_eq!(
        layout::digest(&again),
        layout::digest(&layout::built()),
        "the image is of another commit or of changed files: run `make image`"
    );
}

fn created(image: &Image) -> Value {
    image.config["created"].clone()
}
