//! Tools of other projects, as pinned by `tests/tools/third-party`: Helm, helm-unittest, kubeconform, and definitions of other projects.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::OnceLock;

use tokio::io::AsyncWriteExt as _;

use crate::paths;

/// The directory of the tools; they are built if necessary.
#[must_use]
pub fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| paths::built("tests/tools/third-party/build.sh"))
}

/// A command that calls one of the tools.
#[derive(Clone, Debug)]
pub struct Tool {
    program: PathBuf,
    variables: Vec<(&'static str, PathBuf)>,
}

impl Tool {
    /// The tool of this name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::at(directory().join(name))
    }

    /// A tool that is built elsewhere.
    #[must_use]
    pub fn at(program: PathBuf) -> Self {
        Self { program, variables: Vec::new() }
    }

    /// Helm (`helm`, or `helm3`) for one cluster, with its files in `home` instead of the user's.
    #[must_use]
    pub fn helm(name: &str, kubeconfig: &Path, home: &Path) -> Self {
        let mut helm = Self::named(name);
        helm.variables.push(("KUBECONFIG", kubeconfig.to_owned()));
        for (variable, part) in
            [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data"), ("HELM_PLUGINS", "plugins")]
        {
            helm.variables.push((variable, home.join("helm").join(part)));
        }
        helm
    }

    /// Runs it in the workspace, with `input` as its standard input.
    pub async fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = tokio::process::Command::new(&self.program)
            .args(arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(paths::workspace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("failed to start {}: {error}", self.program.display()));
        let mut stdin = child.stdin.take().expect("its input is piped");
        let write = async {
            // It may have exited without reading; its output has the reason.
            let _ = stdin.write_all(input.as_bytes()).await;
            drop(stdin);
        };
        let (output, ()) = tokio::join!(child.wait_with_output(), write);
        output.expect("failed to wait for it")
    }

    /// Runs it in the workspace and returns its output. Panics if it fails.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let output = self.run_with(arguments, "").await;
        let (output_text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{} {} failed:\n{output_text}\n{errors}", self.program.display(), arguments.join(" "));
        output_text.into_owned()
    }
}
