//! The steps of `docs/releasing.md` for the image and the chart, with a registry on this machine.

use std::process::{Child, Command, Stdio};

use e2e::{Tool, eventually, paths};

use crate::layout;
use crate::{scratch, tool};

/// A registry that ends with the test.
struct Registry {
    process: Child,
    address: String,
}

impl Registry {
    async fn start() -> Self {
        let log = scratch("registry").join("log");
        let program = paths::built("tests/tools/builder/build.sh").join("crane");
        let process = Command::new(program)
            .args(["registry", "serve", "--address", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        e2e::TestEnvironment::get().guard().watch(process.id());
        let address = eventually("the registry to listen", async || {
            let log_text = std::fs::read_to_string(&log).unwrap();
            let (_, port) = log_text.lines().find_map(|line| line.split_once("serving on port "))?;
            Some(format!("127.0.0.1:{}", port.trim()))
        })
        .await;
        Self { process, address }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        e2e::TestEnvironment::get().guard().ended(self.process.id());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn image_is_published_and_installed_by_digest() {
    let registry = Registry::start().await;
    let repository = format!("{}/tabular-operator", registry.address);
    let (crane, layout) = (tool("crane"), layout::built());
    let digest = layout::digest(&layout);

    // `--index` would wrap the image's index in that of the layout, under another digest.
    let pushed = crane.run(&["push", layout.to_str().unwrap(), &repository]).await;
    assert_eq!(pushed.trim(), format!("{repository}@{digest}"));
    crane.run(&["validate", "--remote", &format!("{repository}@{digest}")]).await;
    crane.run(&["tag", &format!("{repository}@{digest}"), "0.1.0"]).await;
    assert_eq!(crane.run(&["digest", &format!("{repository}:0.1.0")]).await.trim(), digest);

    let home = scratch("charts");
    let helm = Tool::helm("helm", &home.join("no-kubeconfig"), &home);
    helm.run(&["package", "charts/tabular-operator", "--destination", home.to_str().unwrap()]).await;
    let (package, charts) = (home.join("tabular-operator-0.1.0.tgz"), format!("oci://{}/charts", registry.address));
    helm.run(&["push", package.to_str().unwrap(), &charts, "--plain-http"]).await;
    let (chart, image) = (format!("{charts}/tabular-operator"), format!("image.repository={repository},image.digest={digest}"));
    let made = helm.run(&["template", "x", &chart, "--version", "0.1.0", "--plain-http", "--set", &image]).await;
    assert!(made.contains(&format!("image: \"{repository}@{digest}\"\n")), "{made}");
}
