//! The product: pure functions and state machines between OpenAI's API and fal's any-llm.
//!
//! No I/O, no clock, no randomness, no async, no logging: time, ids and keys come in as
//! arguments. `clippy.toml` and `tests/pure/tidy.rs` keep it so.
//!
//! ```text
//! bytes -> face.parse -> Ask -> plan -> Plan -> (upstream) -> bytes
//!                                                               |
//! bytes <- face.write <- Event <------------- reading <---------+
//! ```
//!
//! Three doors lead in: [`face`] parses requests and writes answers, [`plan::plan`] decides what is
//! sent to fal, and [`reading::Reader`] turns what fal sends into events, the same way for whole
//! answers and for streams.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod ask;
pub mod body;
pub mod call;
pub mod contract;
pub mod correction;
pub mod cost;
pub mod draft;
mod escapes;
pub mod explain;
pub mod face;
pub mod fates;
pub mod fold;
pub mod guide;
pub mod image;
pub mod json;
pub mod key;
pub mod known_text;
pub mod likeness;
pub mod logprobs;
pub mod meaning;
pub mod media;
pub mod model;
pub mod native;
pub mod notes;
pub mod plain;
pub mod plan;
pub mod problem;
mod prompted;
pub mod quoted;
pub mod reading;
pub mod rejection;
pub mod routing;
pub mod sight;
pub mod sizes;
pub mod terms;
pub mod tokenizer;
pub mod tools;
pub mod upstream;
pub mod usage;
