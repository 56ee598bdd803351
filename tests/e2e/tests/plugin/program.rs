//! The plugin as a program: one small static file, which adds no library to the operator, and the time that it takes.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::{World, paths};
use futures::{StreamExt as _, stream};
use serde_json::json;

use crate::plugin::{Plugin, Printed, Role};

/// Maximum size of the program, in bytes.
const LARGEST: usize = 20_000_000;
/// Number of calls of which the median is printed.
const CALLS: usize = 11;
/// Number of resources that are completed.
const RESOURCES: usize = 1_000;

#[cfg(target_os = "linux")]
#[test]
fn program_is_one_static_file() {
    let program = fs::read(paths::plugin()).unwrap();
    assert!(program.len() < LARGEST, "the program is too large: {} bytes", program.len());
    // The program headers of an ELF file of 64 bits, little-endian.
    let number = |at: usize, size: usize| program[at..at + size].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    assert_eq!(&program[..6], b"\x7fELF\x02\x01");
    let (offset, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    let types: Vec<usize> = (0..count).map(|index| number(offset + index * size, 4)).collect();
    let (loadable, interpreter) = (1, 3);
    assert!(types.contains(&loadable) && !types.contains(&interpreter), "the program needs a loader, and so libraries: {types:?}");
}

/// The features of each library depend on the packages of a build, so the plugin is in none with the operator.
#[test]
fn build_of_the_operator_has_no_library_of_the_plugin() {
    let script = fs::read_to_string(paths::workspace().join("deploy/image/compile.sh")).unwrap();
    let packages = script.lines().find_map(|line| line.strip_prefix("packages=(")?.strip_suffix(')')).unwrap();
    let tree = |packages: &str| {
        let arguments = ["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p} {f}"];
        let output =
            Command::new(env!("CARGO")).args(arguments).args(packages.split(' ')).current_dir(paths::workspace()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let line_of = |tree: &str, name: &str| tree.lines().find(|line| line.starts_with(&format!("{name} v"))).map(str::to_owned);
    let (operator, plugin) = (tree(packages), tree("-p kubectl-tabular"));
    for name in ["kubectl-tabular", "clap_complete", "jsonschema", "kube-cel"] {
        assert!(line_of(&plugin, name).is_some(), "the plugin no longer has {name}");
        assert_eq!(line_of(&operator, name), None, "{packages}");
    }
    for name in ["kube", "kube-client"] {
        let line = line_of(&operator, name).unwrap();
        let features: Vec<&str> = line.rsplit(' ').next().unwrap().split(',').collect();
        assert!(features.contains(&"rustls-tls"), "{line}");
        assert!(!["cel", "oauth", "oidc", "ws"].iter().any(|feature| features.contains(feature)), "{line}");
    }
}

/// Prints the median time of a call, next to its target, which does not count on a busy machine.
async fn measure(what: &str, target: Duration, call: impl AsyncFn() -> Printed) -> Printed {
    let (mut times, mut last) = (Vec::new(), None);
    for _ in 0..CALLS {
        let began = Instant::now();
        last = Some(call().await);
        times.push(began.elapsed());
    }
    times.sort();
    println!("{what}: {:?}, at most {:?} (target {target:?})", times[CALLS / 2], times[CALLS - 1]);
    last.unwrap()
}

#[tokio::test]
async fn version_is_printed_without_a_cluster() {
    let call = async || Plugin::offline(&["version", "--client", "--kubeconfig", "/missing"], "").await;
    let printed = measure("version --client", Duration::from_millis(50), call).await;
    assert!(printed.code == 0 && printed.out.contains(env!("CARGO_PKG_VERSION")), "{printed:?}");
}

#[tokio::test]
async fn a_thousand_names_are_completed() {
    let world = World::new("plugin-many").await;
    let plugin = Plugin::new(&world, Role::View).await;
    let spec = json!({"suspend": true});
    let names: Vec<String> = (0..RESOURCES).map(|number| format!("model-{number:04}")).collect();
    stream::iter(&names).for_each_concurrent(32, async |name| drop(world.apply(name, &spec).await)).await;
    let kubeconfig = plugin.kubeconfig().to_str().unwrap();
    let call = async || Plugin::offline(&["__complete", "status", "--kubeconfig", kubeconfig, "model-"], "").await;
    let printed = measure("__complete with 1,000 resources", Duration::from_millis(300), call).await;
    let mut completed: Vec<&str> = printed.out.lines().collect();
    assert_eq!(completed.pop(), Some(":4"), "{printed:?}");
    assert_eq!(completed, names);
}
