//! The pure core under test: no sockets, no clock, no files but the golden ones.
//!
//! `golden` compares with files that can be read without Rust. `cutting`, `reading`, `scanning`,
//! `folding`, `shaping` and `parsing` hold the promises against generated input, `unfold` and the slow reader
//! in `reading` being second opinions that share no code with what they judge. `tidy` reads the
//! source itself. `config` and `json` look at the settings, and at what models write instead of JSON.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that panics has failed, which is all it is for"
)]

mod budget;
mod catalogue;
mod chunks;
mod clock;
mod config;
mod cutting;
mod echoes;
mod fates;
mod fleet;
mod folding;
mod forgery;
mod forms;
mod golden;
mod growth;
mod json;
mod keyring;
mod limits;
mod linear;
mod lists;
mod messages;
mod nested;
mod parsing;
mod prices;
mod prompts;
mod purses;
mod reading;
mod repeating;
mod responses;
mod routing;
mod scanning;
mod schemas;
mod shaping;
mod sharing;
mod streams;
mod support;
mod terms;
mod tidy;
mod unfold;
