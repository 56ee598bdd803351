//! The trace id of a run, in spans and in exemplars of metrics.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

/// The trace id of a run, displayed in hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EncodeLabelSet)]
pub struct TraceId {
    trace_id: Hex,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hex([u8; 16]);

impl TraceId {
    /// Creates the id from its bytes.
    #[must_use]
    pub fn from_bytes(id: [u8; 16]) -> Self {
        Self { trace_id: Hex(id) }
    }

    /// The bytes of the id.
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
