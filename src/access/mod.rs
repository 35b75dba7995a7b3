//! Who may call. Knows the settings, but nothing of HTTP, OpenAI or fal.

pub mod keys;

pub use keys::{ClientKeyId, ClientKeys};
