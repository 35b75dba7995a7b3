//! The legacy face: `POST /v1/completions`, a prompt in and a text out. Some clients (LlamaIndex's
//! `OpenAILike`, older editors) know no other.
//!
//! Two things OpenAI does are not done. Its default of 16 tokens is not imposed: nobody who leaves
//! `max_tokens` out wants an answer that breaks off after a dozen words. And its default prompt,
//! an empty document to be continued, has no counterpart in a model that answers.

pub mod parameters;
pub mod parse;
pub mod write;
