//! The targets by name. Each file contains the targets of one kind of input.

mod identities;
mod names;
mod refreshes;
mod resources;
mod syncs;
mod values;

/// A parser of external input, with the invariants of its result.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of the target and of its corpus.
    pub name: &'static str,
    /// Parses an input. Panics if an invariant is violated.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "refresh-poll", run: refreshes::poll },
    Target { name: "refresh-post", run: refreshes::submission },
    Target { name: "refresh-delete", run: refreshes::cancellation },
    Target { name: "refresh-list", run: refreshes::list },
    Target { name: "sync-poll", run: syncs::poll },
    Target { name: "sync-post", run: syncs::submission },
    Target { name: "sync-list", run: syncs::list },
    Target { name: "scale-out", run: syncs::scale_out },
    Target { name: "lookup", run: names::lookup },
    Target { name: "server-name", run: names::server },
    Target { name: "cloud-file", run: names::cloud_file },
    Target { name: "token", run: identities::token },
    Target { name: "metadata-token", run: identities::metadata_token },
    Target { name: "claims", run: identities::claims },
    Target { name: "secret", run: identities::secret },
    Target { name: "certificate", run: identities::certificate },
    Target { name: "location", run: values::location },
    Target { name: "timestamp", run: values::timestamp },
    Target { name: "sentence", run: values::sentence },
    Target { name: "error", run: values::error },
    Target { name: "schedule", run: values::schedule },
    Target { name: "resource", run: resources::resource },
];

/// The target with this name. Panics if there is none.
#[must_use]
pub fn target(name: &str) -> &'static Target {
    let names = || TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("unknown target {name:?}; use one of: {}", names()))
}
