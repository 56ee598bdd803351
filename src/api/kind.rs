//! The kinds of resources.

/// A kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `ModelRefresh`.
    ModelRefresh,
    /// `ModelSync`.
    ModelSync,
}

impl Kind {
    /// All kinds.
    pub const ALL: &[Self] = &[Self::ModelRefresh, Self::ModelSync];

    /// The name of the kind in manifests, events and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ModelRefresh => "ModelRefresh",
            Self::ModelSync => "ModelSync",
        }
    }
}
