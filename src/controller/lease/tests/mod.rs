//! The lease against an in-memory Kubernetes API.

mod acquisition;
mod clearing;
mod deletion;
mod fake;
mod operator;
mod readiness;
mod release;
mod renewal;
mod schedules;
