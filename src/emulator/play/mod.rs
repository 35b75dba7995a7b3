//! How an answer is played: cut into growing snapshots, framed as events, sent in time, and broken
//! where the script says so.
//!
//! [`mod@snapshots`] and [`frame`] are pure; only [`mod@perform`] knows time and the record. Nothing here
//! knows what the answer says or which path it was asked on.

mod frame;
mod perform;
mod python_json;
mod snapshots;
mod whole;

pub(super) use frame::{Form, Framing, data_event};
pub(super) use perform::{Step, flood, perform, steps};
pub(super) use snapshots::{Snapshot, part_ends, snapshots, with_quirks};
pub(super) use whole::{Body, whole_body, whole_steps};
