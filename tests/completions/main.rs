//! The legacy API, and the endpoints that are only refused, tested from outside over HTTP: a
//! gateway and an emulated fal in one process, on ports of their own.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on should stop where it is"
)]

mod answers;
mod endpoints;
mod failures;
mod harness;
mod refusals;
mod streams;
