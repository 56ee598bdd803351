//! Which of the two services.

/// A service that has tabular models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Azure Analysis Services.
    AnalysisServices,
    /// Power BI.
    PowerBi,
}

impl Service {
    /// What it is called in logs and metrics.
    pub(super) const fn host_kind(self) -> &'static str {
        match self {
            Self::AnalysisServices => "analysis-services",
            Self::PowerBi => "power-bi",
        }
    }
}
