//! The legacy API, and the endpoints that are only refused, tested from outside over HTTP: a
//! gateway and an emulated fal in one process, on ports of their own.

mod answers;
mod endpoints;
mod failures;
mod harness;
mod refusals;
mod streams;
