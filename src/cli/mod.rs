//! What `fal-gateway` can be told to do, one file per command.

pub mod args;
pub mod check;
pub mod completions;
pub mod keys;
