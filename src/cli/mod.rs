//! What `fal-gateway` can be told to do, one file per command.

pub mod accounts;
pub mod args;
pub mod budgets;
pub mod chat;
pub mod check;
pub mod client;
pub mod completions;
pub mod demo;
pub mod doctor;
pub mod emulator;
pub mod eval;
pub mod explain;
mod handed;
mod hardening;
pub mod health;
pub mod init;
pub mod keys;
pub mod launch;
pub mod man;
pub mod models;
pub mod reload;
pub mod serve;
pub mod sheet;
pub mod signals;
pub mod store;
pub mod terminal;
pub mod usage;
