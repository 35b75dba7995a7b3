//! The shapes of other people's JSON, and nothing else: no behaviour, no decisions.
//!
//! Types carry the names of the schema they come from, so that a search in the vendor's
//! documents finds them. `openai` and `anthropic` are what callers speak, `fal` what the upstream
//! speaks.

pub mod anthropic;
pub mod fal;
pub mod list;
pub mod object;
pub mod openai;
pub mod openrouter;
pub mod text;
pub mod text_or_list;
