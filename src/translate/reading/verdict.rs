//! What becomes of an answer once all of it is there.

use super::event::Fault;
use super::logprobs::TokenLogprob;
use super::shape::Call;

/// What a whole answer amounts to.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is what was asked for.
    Met,
    /// The model declined, in these words.
    Declined(String),
    /// It is not; see [`ContractViolation`].
    Unmet(ContractViolation),
}

/// An answer that is not what was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct ContractViolation {
    /// What was wrong with it, for the model to mend.
    pub correction: String,
    /// Whether it was meant to have a form and has missed it, so that the form is shown again.
    pub is_out_of_form: bool,
    /// What the caller is told when it is not mended.
    pub fault: Fault,
    /// What to deliver instead of the fault, where the caller asked for no guarantee.
    pub instead: Option<BestEffort>,
}

/// An answer that is not all that was hoped for, and breaks no promise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BestEffort {
    /// How likely the tokens of the text were, as far as that is told.
    pub logprobs: Vec<TokenLogprob>,
    pub text: String,
    pub calls: Vec<Call>,
}

impl BestEffort {
    /// Whether there is nothing to deliver.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.calls.is_empty()
    }

    /// Text alone.
    pub fn of(text: String) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }
}
