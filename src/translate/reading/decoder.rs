//! From an upstream's JSON objects to what each of them adds: the only part of the reading machine
//! that differs from upstream to upstream.

use super::cumulative::Cumulative;
use super::event::Fault;

/// How an upstream writes its answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DecoderKind {
    /// Every event holds all the text so far.
    #[default]
    Cumulative,
}

/// Follows one answer of an upstream.
#[derive(Debug)]
pub enum Decoder {
    Cumulative(Cumulative),
}

/// What an event adds.
#[derive(Debug, Default)]
pub struct Additions {
    pub reasoning: String,
    pub text: String,
}

/// Whether more will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Partial,
    Final,
}

impl Decoder {
    /// A decoder at the beginning of an answer.
    pub fn new(kind: DecoderKind) -> Self {
        match kind {
            DecoderKind::Cumulative => Self::Cumulative(Cumulative::default()),
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
        }
    }

    /// Whether `next` says all that `event` says, so that `event` need not be read.
    pub fn is_superseded(&self, event: &[u8], next: &[u8]) -> bool {
        match self {
            Self::Cumulative(cumulative) => cumulative.is_superseded(event, next),
        }
    }

    /// The stream ends here without a closing event: what was waited out is all there will be.
    pub fn settle(&mut self, new: &mut Additions) {
        match self {
            Self::Cumulative(cumulative) => cumulative.settle(new),
        }
    }

    /// Whether the last event took back text that had been passed on.
    pub fn is_revised(&self) -> bool {
        match self {
            Self::Cumulative(cumulative) => cumulative.is_revised(),
        }
    }
}

impl Additions {
    /// Empties it; the memory is kept for the next event.
    pub fn clear(&mut self) {
        self.reasoning.clear();
        self.text.clear();
    }
}
