//! What the operator can see of a running gateway: logs, counters, and a record of each request.
//!
//! Knows the settings of the log and nothing else of this crate. Nothing in here ever holds a
//! prompt, an answer or a key.

pub mod logging;
pub mod metrics;
pub mod record;
