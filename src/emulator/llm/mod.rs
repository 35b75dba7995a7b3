//! What fal's `any-llm` and its router understand and what our stand-in for a language model answers.
//!
//! Three parts answer, the first that has something to say: [`instructed`] calls the tools and
//! writes the JSON that its instructions ask for, [`commands`] obeys a message and recalls the
//! conversation, [`prose`] makes small talk.
//!
//! Pure: a request's JSON in, an answer or a refusal out. No HTTP, no clock, no randomness; the
//! same input always gets the same answer.

mod answer;
mod catalogue;
mod commands;
pub(super) mod conversation;
mod input;
mod instructed;
mod prose;
mod pydantic;
mod router;

pub(super) use answer::{Answer, EMULATOR_TAG, compose};
pub(super) use catalogue::{Variant, models, options_text};
pub(super) use input::Input;
pub(super) use instructed::{is_reask, native};
pub(super) use pydantic::Invalid;
