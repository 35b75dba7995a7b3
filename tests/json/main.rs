//! What models write instead of JSON, and what becomes of it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics has failed, which is all it is for"
)]

mod arguments;
mod breakages;
mod coercion;
mod hostile;
mod partial;
mod properties;
