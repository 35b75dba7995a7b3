//! From an upstream's JSON objects to what each of them adds: the only part of the reading machine
//! that differs from upstream to upstream.

use super::chunks::{Chunks, NativeCall};
use super::cumulative::Cumulative;
use super::event::{Fault, FinishReason};
use super::logprobs::Span;
use super::reader::ReaderLimits;
use super::reported::Reported;

/// How an upstream writes its answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DecoderKind {
    /// Every event holds all the text so far, and the closing one says that it is it.
    #[default]
    AnyLlm,
    /// The same, and the closing one tells usage. That may be all there is to know it by.
    Router,
    /// Every event is a chunk of a chat completion.
    Chunks,
}

/// Follows one answer of an upstream.
#[derive(Debug)]
pub enum Decoder {
    Cumulative(Cumulative),
    Chunks(Box<Chunks>),
}

/// What an event adds.
#[derive(Debug, Default)]
pub struct Additions {
    pub reasoning: String,
    pub text: String,
    /// What the text is made of, where that is wanted.
    pub spans: Vec<Span>,
}

/// Whether more will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Partial,
    Final,
}

impl Decoder {
    /// A decoder at the beginning of an answer. One that repeats all of it in each event is bounded by
    /// the size of an event, another by that of a whole answer.
    /// `top` says how many of the likeliest tokens are wanted in the place of each, where
    /// probabilities are.
    pub fn new(kind: DecoderKind, limits: ReaderLimits, top: Option<u8>) -> Self {
        match kind {
            DecoderKind::AnyLlm => Self::Cumulative(Cumulative::new(false)),
            DecoderKind::Router => Self::Cumulative(Cumulative::new(true)),
            DecoderKind::Chunks => Self::Chunks(Box::new(Chunks::new(limits, top))),
        }
    }

    /// Takes the data of the next event, or a whole answer, and appends what is new to `new`. What
    /// does not say whether more will come counts as `step`.
    ///
    /// # Errors
    /// What is no answer, and an error that it reports.
    pub fn advance(&mut self, data: &[u8], step: Step, new: &mut Additions) -> Result<Step, Fault> {
        match self {
            Self::Cumulative(cumulative) => cumulative.advance(data, step, new),
            Self::Chunks(chunks) => chunks.advance(data, step, new),
        }
    }

    /// Whether `next` says all that `event` says, so that `event` need not be read.
    pub fn is_superseded(&self, event: &[u8], next: &[u8]) -> bool {
        match self {
            Self::Cumulative(cumulative) => cumulative.is_superseded(event, next),
            Self::Chunks(_) => false,
        }
    }

    /// Whether what has come is a complete answer, should nothing follow.
    pub fn is_complete(&self) -> bool {
        match self {
            Self::Cumulative(cumulative) => cumulative.is_complete(),
            Self::Chunks(_) => false,
        }
    }

    /// The stream ends here without a closing event: what was waited out is all there will be.
    pub fn settle(&mut self, new: &mut Additions) {
        match self {
            Self::Cumulative(cumulative) => cumulative.settle(new),
            Self::Chunks(_) => {}
        }
    }

    /// Whether the last event took back text that had been passed on.
    pub fn is_revised(&self) -> bool {
        match self {
            Self::Cumulative(cumulative) => cumulative.is_revised(),
            Self::Chunks(_) => false,
        }
    }

    /// Whether the upstream has said that the answer is complete, although more events may follow
    /// that say other things.
    pub fn has_finished(&self) -> bool {
        self.as_chunks().is_some_and(Chunks::has_finished)
    }

    /// Whether the model has said something that is no text yet.
    pub fn has_begun(&self) -> bool {
        self.as_chunks().is_some_and(Chunks::has_begun)
    }

    /// Why the answer has ended, where the upstream says so.
    pub fn finish_reason(&self) -> Option<FinishReason> {
        self.as_chunks().and_then(Chunks::finish_reason)
    }

    /// The usage, where the upstream has reported it.
    pub fn reported(&self) -> Option<Reported> {
        match self {
            Self::Cumulative(cumulative) => cumulative.reported(),
            Self::Chunks(chunks) => chunks.reported(),
        }
    }

    /// The calls that came apart from the text.
    pub fn take_calls(&mut self) -> Vec<NativeCall> {
        match self {
            Self::Cumulative(_) => Vec::new(),
            Self::Chunks(chunks) => chunks.take_calls(),
        }
    }

    /// The blocks of reasoning that the model wants to have back, as a JSON list.
    pub fn take_details(&mut self) -> Option<String> {
        match self {
            Self::Cumulative(_) => None,
            Self::Chunks(chunks) => chunks.take_details(),
        }
    }

    fn as_chunks(&self) -> Option<&Chunks> {
        match self {
            Self::Cumulative(_) => None,
            Self::Chunks(chunks) => Some(chunks),
        }
    }
}

impl Additions {
    /// Empties it; the memory is kept for the next event.
    pub fn clear(&mut self) {
        self.reasoning.clear();
        self.text.clear();
        self.spans.clear();
    }
}
