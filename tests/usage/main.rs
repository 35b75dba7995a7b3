//! What answers are made of and what they count, over HTTP against the emulated fal: token counts,
//! reasoning inside the output, and the files and images of a request.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on should stop where it is"
)]

mod files;
mod harness;
#[cfg(feature = "tokenizer")]
mod texts;
mod think;
#[cfg(feature = "tokenizer")]
mod tokens;
