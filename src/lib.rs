//! fal-gateway: OpenAI's API in front of fal's any-llm.
//!
//! A request walks through these modules: [`api`] takes it in, [`translate`] understands it and
//! plans what fal is asked, [`upstream`] asks, and what comes back walks the same way out. Who may
//! import whom is in `ARCHITECTURE.md`, and `tests/pure/tidy.rs` keeps it so.
#![deny(clippy::expect_used)]

pub mod access;
pub mod accounts;
pub mod api;
pub mod app;
pub mod budget;
pub mod cli;
pub mod config;
pub mod console;
#[expect(
    clippy::expect_used,
    reason = "the stand-in for fal relies on what it made itself, and serves nobody but tests"
)]
pub mod emulator;
pub mod engine;
pub mod observe;
pub mod store;
pub mod translate;
pub mod upstream;
pub mod wire;
