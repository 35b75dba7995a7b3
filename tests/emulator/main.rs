//! The emulator, tested from outside over HTTP on a port of its own.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on should stop where it is"
)]

mod answers;
mod chat;
mod faults;
mod harness;
mod hosts;
mod instructions;
mod pages;
mod queue;
mod record;
mod relay;
mod router;
mod schemas;
mod stream;
mod tools;
