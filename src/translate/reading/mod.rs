//! What fal sends, read into events: one machine for whole answers and for streams.
//!
//! The contract, for whoever drives a [`Reader`]:
//!
//! 1. [`Reader::feed`] it bytes as they come; nothing happens yet.
//! 2. [`Reader::read`] acts on what has been fed. Feed everything that is ready first: each of
//!    fal's events holds all the text before it, so of several that arrived together only the last
//!    has to be looked at.
//! 3. When the upstream closes properly, [`Reader::finish`]; when it fails, [`Reader::fail`].
//! 4. Once [`Reader::has_ended`], drop the upstream call; nothing more will come.
//!
//! Promised: text, order and ending do not depend on how the bytes were cut; exactly one event
//! ends the reading, [`Finished`](event::Event::Finished) or [`Failed`](event::Event::Failed);
//! reasoning that a model wrote into its output (see [`think`]) is reasoning and never text; what
//! is held back because it could be part of a tag, a stop sequence or a repeat goes out when it is
//! known to be none, and not at all when the reading fails before that;
//! whatever the bytes, there is no panic and memory stays within the limits plus the answer once;
//! the work per event is one comparison with what was there before, not one parse of it all.
#![deny(clippy::arithmetic_side_effects)]

pub mod arguments;
pub mod block;
pub mod calls;
pub mod chunks;
pub mod cumulative;
pub mod decoder;
pub mod details;
pub mod echo;
pub mod elements;
pub mod envelope;
pub mod event;
pub mod fence;
pub mod filter;
pub mod first;
pub mod fitting;
pub mod json_scan;
pub mod leniency;
pub mod literal;
pub mod logprobs;
pub mod marker;
pub mod marks;
pub mod markup;
pub mod meter;
pub mod opening;
pub mod output;
pub mod parse;
pub mod positional;
pub mod prefix;
pub mod reader;
pub mod reported;
pub mod required;
pub mod scan;
pub mod shape;
pub mod sse;
pub mod think;
pub mod verdict;

pub use event::{Event, Fault, Finish, FinishReason, Sink, Texts, Usage, UsageSource};
pub use first::FirstWords;
pub use logprobs::{LikelyToken, TokenLogprob};
pub use reader::{Format, Reader, ReaderLimits};
pub use shape::Call;
pub use verdict::{BestEffort, ContractViolation, Verdict};
