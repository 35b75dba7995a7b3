//! How a request tells the emulator to behave: slow, broken, refused, or just so.
//!
//! The words reach us from the command line, from the header `x-emulate` and from a line
//! `/emulate …` in the prompt. All three speak one grammar, kept in one table ([`words`]).
//! This module decides nothing about answers and knows nothing of HTTP.

mod behaviour;
mod marker;
mod slip;
mod words;

pub use behaviour::{Behaviour, Break, Fault, Quirk, Rupture};
pub(super) use marker::strip;
pub use slip::Slip;
pub(super) use words::WORDS;
pub use words::{SlipWord, slips};
