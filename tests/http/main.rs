//! The gateway, tested from outside over HTTP, with an emulated or a scripted fal behind it.
//!
//! `api` looks at sockets, endings and money, `completions` at the legacy API, `console` at the page for people, `contract` at the
//! written promises, `store` at what is kept, `usage` at what answers are made of and what they count.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a test that cannot go on should stop where it is"
)]

mod harness;
mod support;

mod api;
mod completions;
mod console;
mod contract;
mod store;
mod usage;
