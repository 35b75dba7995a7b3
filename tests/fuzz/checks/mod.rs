//! What has to hold for any bytes whatever, one function for each place where bytes come in.
//!
//! The functions are pure and panic when a promise is broken. `cargo test --test fuzz` gives them
//! the seeds and mutations of them; the targets in `fuzz/` give them what libFuzzer finds.

mod calls;
mod collector;
mod config;
mod events;
mod fold;
mod json;
mod object;
mod request;
mod schema;
#[path = "../../pure/unfold.rs"]
mod unfold;

/// Judges what comes of some bytes, and panics if it may not be.
pub(crate) type Check = fn(&[u8]);

/// Every target by its name, which is also that of its seeds and of its program in `fuzz/`.
pub(crate) const TARGETS: [(&str, Check); 10] = [
    ("calls", calls::check),
    ("chunks", events::check_chunks),
    ("config", config::check),
    ("events", events::check),
    ("fold", fold::check),
    ("json", json::check),
    ("object", object::check),
    ("request", request::check),
    ("router", events::check_router),
    ("schema", schema::check),
];
