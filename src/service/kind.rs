//! The two services.

/// A service with tabular models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Azure Analysis Services.
    AnalysisServices,
    /// Power BI.
    PowerBi,
}

impl Service {
    /// The name of the service in logs and metrics.
    pub(super) const fn host_kind(self) -> &'static str {
        match self {
            Self::AnalysisServices => "analysis-services",
            Self::PowerBi => "power-bi",
        }
    }
}
