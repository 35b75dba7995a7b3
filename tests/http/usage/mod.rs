//! What answers are made of and what they count, over HTTP against the emulated fal: token counts,
//! reasoning inside the output, and the files and images of a request.

mod files;
#[cfg(feature = "tokenizer")]
mod texts;
mod think;
#[cfg(feature = "tokenizer")]
mod tokens;
