//! fal's objects, as the page of `fal-ai/any-llm` and fal's error pages define them.

pub mod any_llm;
pub mod error;
pub mod queue;
pub mod storage;
pub mod usage;
