//! The manifest for krew, rendered as for a release. The checks are those of `validate-krew-manifest`, which are a Go program of krew.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

const SYSTEMS: [(&str, &str); 5] = [("linux", "amd64"), ("linux", "arm64"), ("darwin", "amd64"), ("darwin", "arm64"), ("windows", "amd64")];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs a script of the repository, and returns its output.
fn run(script: &str, arguments: &[&str]) -> String {
    let output = Command::new(root().join(script)).args(arguments).env("SOURCE_DATE_EPOCH", "1790000000").output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// The names of the files in an archive.
fn content(archive: &str) -> BTreeSet<String> {
    let zipped = Path::new(archive).extension().is_some_and(|extension| extension == "zip");
    let output =
        if zipped { Command::new("unzip").args(["-Z1", archive]).output() } else { Command::new("tar").args(["-tzf", archive]).output() };
    String::from_utf8(output.unwrap().stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn archives_and_rendered_manifest_agree() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("program"), "program").unwrap();
    fs::write(at("licenses"), "licenses").unwrap();
    let has_zip = Command::new("zip").arg("-v").output().is_ok_and(|output| output.status.success())
        && Command::new("unzip").arg("-v").output().is_ok_and(|output| output.status.success());
    let pack = |os: &str, architecture: &str, to: &str| {
        run("deploy/plugin/archive.sh", &["0.1.0", os, architecture, &at("program"), &at("licenses"), &at(to)])
    };
    for (os, architecture) in SYSTEMS {
        if os == "windows" && !has_zip {
            // The workflow has both tools. The manifest needs the name of the archive and any bytes.
            fs::write(at("out/kubectl-tabular_v0.1.0_windows_amd64.zip"), "").unwrap();
            continue;
        }
        let (first, again) = (pack(os, architecture, "out"), pack(os, architecture, "again"));
        assert_eq!(fs::read(&first).unwrap(), fs::read(&again).unwrap(), "{first}");
    }

    let rendered = run("deploy/plugin/krew.sh", &["0.1.0", &at("out")]);
    assert!(!rendered.contains("{{"), "{rendered}");
    let manifest: Value = serde_saphyr::from_str(&rendered).unwrap();
    assert_eq!(manifest["apiVersion"], "krew.googlecontainertools.github.com/v1alpha2");
    assert_eq!((&manifest["kind"], &manifest["metadata"]), (&json!("Plugin"), &json!({"name": "tabular"})));
    let spec = &manifest["spec"];
    assert_eq!(spec["version"], "v0.1.0");
    let short = spec["shortDescription"].as_str().unwrap();
    assert!(short.len() <= 50 && !short.ends_with('.') && !short.contains('\n'), "{short}");
    for field in ["homepage", "description", "caveats"] {
        assert!(spec[field].as_str().is_some_and(|text| !text.trim().is_empty()), "{field}");
    }
    let platforms = spec["platforms"].as_array().unwrap();
    let selected: Vec<(&str, &str)> = platforms
        .iter()
        .map(|platform| {
            let labels = &platform["selector"]["matchLabels"];
            assert_eq!(platform["selector"].as_object().unwrap().len(), 1);
            (labels["os"].as_str().unwrap(), labels["arch"].as_str().unwrap())
        })
        .collect();
    assert_eq!(selected, SYSTEMS, "each system once");
    for (platform, (os, _)) in platforms.iter().zip(SYSTEMS) {
        let (uri, digest) = (platform["uri"].as_str().unwrap(), platform["sha256"].as_str().unwrap());
        assert!(uri.starts_with("https://github.com/tabular-operator/tabular-operator/releases/download/v0.1.0/"), "{uri}");
        assert!(digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit()), "{digest}");
        let files: BTreeSet<String> =
            platform["files"].as_array().unwrap().iter().map(|file| file["from"].as_str().unwrap().to_owned()).collect();
        assert!(files.contains(platform["bin"].as_str().unwrap()));
        if os != "windows" || has_zip {
            assert_eq!(content(&at(&format!("out/{}", uri.rsplit('/').next().unwrap()))), files, "{uri}");
        }
    }
}

#[test]
fn archive_is_required_for_each_platform() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(root().join("deploy/plugin/krew.sh")).arg("0.1.0").arg(directory.path()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && errors.contains("linux_amd64.tar.gz does not exist"), "{errors}");
}

#[test]
fn plugin_has_the_version_of_the_operator() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains(&format!("name = \"tabular-operator\"\nversion = \"{}\"", env!("CARGO_PKG_VERSION"))));
}
