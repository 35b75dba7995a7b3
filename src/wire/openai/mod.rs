//! OpenAI's objects, as `POST /v1/chat/completions` and its neighbours define them.

pub mod chat;
pub mod completion;
pub mod error;
pub mod fields;
pub mod message;
pub mod model;
pub mod responses;
pub mod usage;
