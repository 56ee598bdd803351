//! What the operator allocates for each resource, as their number grows, and for each poll.

mod polls;
mod scale;
