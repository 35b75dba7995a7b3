//! The chat face: `POST /v1/chat/completions`.

pub mod files;
pub mod format;
pub mod messages;
pub mod parameters;
pub mod parse;
pub mod tools;
pub mod write;
