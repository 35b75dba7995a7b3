//! Anthropic's Messages API (source: the types of Anthropic's SDKs, versions 2023-06-01 and
//! 2026-10-21 of the API).

pub mod error;
pub mod message;
pub mod model;
pub mod request;
