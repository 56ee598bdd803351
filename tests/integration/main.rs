//! The operator on the real API server and the local Azure. One program, so that all tests share what is slow to start.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod parts;
