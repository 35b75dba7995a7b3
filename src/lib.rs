//! fal-gateway: OpenAI's API in front of fal's any-llm.

pub mod access;
pub mod cli;
pub mod config;
pub mod emulator;
pub mod observe;
pub mod translate;
pub mod wire;
