//! The id of a run's trace, as it stands in spans and beside an example in the metrics.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

/// The id of a run's trace; in hexadecimal digits, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EncodeLabelSet)]
pub struct TraceId {
    trace_id: Hex,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hex([u8; 16]);

impl TraceId {
    /// The trace of this id.
    #[must_use]
    pub fn from_bytes(id: [u8; 16]) -> Self {
        Self { trace_id: Hex(id) }
    }

    /// The id.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.trace_id.0
    }
}

impl EncodeLabelValue for Hex {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        use fmt::Write as _;
        write!(encoder, "{self}")
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.trace_id.fmt(f)
    }
}
