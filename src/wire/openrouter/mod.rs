//! OpenRouter's chat completions, as fal's `openrouter/router/openai/v1` serves them.
//!
//! Only the members that are named here are read: what else stands in an answer (the account, the
//! provider, fingerprints) is nobody's business, and cannot leave what it is not read into.

pub mod answer;
pub mod error;
pub mod request;
