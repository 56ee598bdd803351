//! Power BI: its names, what it is sent, and how its answers are read.

mod names;

pub use names::ModelName;
pub(super) use names::of_dataset;
