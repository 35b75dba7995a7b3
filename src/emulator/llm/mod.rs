//! What fal's `any-llm` understands and what our stand-in for a language model answers.
//!
//! Pure: a request's JSON in, an answer or a refusal out. No HTTP, no clock, no randomness; the
//! same input always gets the same answer.

mod answer;
mod catalogue;
mod commands;
pub(super) mod conversation;
mod input;
mod prose;
mod pydantic;

pub(super) use answer::{Answer, compose};
pub(super) use catalogue::{Variant, options_text};
pub(super) use input::Input;
pub(super) use pydantic::Invalid;
