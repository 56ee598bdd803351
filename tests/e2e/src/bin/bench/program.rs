//! The programs under test, which have the same command line.

use std::path::PathBuf;
use std::sync::LazyLock;

use e2e::paths;

/// A program under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The release build of this workspace.
    Operator,
    /// The minimal operator in Go.
    Reference,
}

static REFERENCE: LazyLock<PathBuf> = LazyLock::new(|| paths::built("tests/bench/reference/build.sh"));

impl Program {
    /// Its name in namespaces and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Reference => "reference",
        }
    }

    /// Its path, if it is not the operator.
    pub fn path(self) -> Option<PathBuf> {
        match self {
            Self::Operator => None,
            Self::Reference => Some(REFERENCE.clone()),
        }
    }
}
