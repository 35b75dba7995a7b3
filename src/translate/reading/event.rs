//! What happens in an answer, in our own words.

use super::logprobs::TokenLogprob;
use super::shape::Call;
use super::verdict::ContractViolation;
use crate::translate::cost::Cost;
use crate::translate::model::PicoDollars;
use crate::translate::tokenizer::ENCODING;

/// One happening. Texts are what is new, never what was there before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'t> {
    Reasoning(&'t str),
    /// How likely the tokens were that the text which comes next is made of, as far as that is told.
    Logprobs(&'t [TokenLogprob]),
    Text(&'t str),
    /// A call, complete and checked.
    Call(&'t Call),
    /// The blocks of reasoning that the model wants to have back with its calls: a JSON list, which
    /// comes before them, once.
    ReasoningBlocks(&'t str),
    /// The model declined to answer, in these words.
    Refusal(&'t str),
    /// What had to be forgiven, repaired or asked for again, by name.
    Mended(&'t [&'static str]),
    /// The answer is complete. Nothing comes after.
    Finished(Finish),
    /// There will be no complete answer. Nothing comes after.
    Failed(Fault),
    /// The model answered, but not as the caller asked; nothing that would have to be taken back
    /// has gone out. It may be asked again.
    Unmet(&'t ContractViolation),
}

/// Takes events, in order.
pub trait Sink {
    fn event(&mut self, event: Event<'_>);
}

/// How a complete answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finish {
    pub reason: FinishReason,
    pub usage: Usage,
}

/// Why a complete answer is no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model was done.
    Stop,
    /// A stop sequence was reached: which one of those that were asked for.
    StopSequence(usize),
    /// `max_tokens` was reached.
    Length,
    /// The model waits for the results of its calls.
    ToolCalls,
    /// The provider kept the rest of the answer back.
    ContentFilter,
}

/// Tokens, and what they cost. `completion` includes `reasoning`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub prompt: u64,
    pub completion: u64,
    pub reasoning: u64,
    /// Tokens of the prompt that the provider had read before.
    pub cached: u64,
    pub source: UsageSource,
    /// `None` is not known.
    pub cost: Option<Cost>,
}

/// Where token counts come from, the least certain source first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsageSource {
    /// From the texts, by their kinds of characters.
    #[default]
    Estimated,
    /// By a tokenizer of our own.
    Counted,
    /// The upstream told.
    Reported,
}

impl UsageSource {
    /// The source in a word or two, as `x-gateway-usage` tells it.
    pub fn label(self) -> String {
        match self {
            Self::Estimated => "estimated".to_owned(),
            Self::Counted => format!("counted; {ENCODING}"),
            Self::Reported => "exact".to_owned(),
        }
    }
}

impl Usage {
    /// What is added to: nothing at all, for certain.
    pub const NOTHING: Self = Self {
        prompt: 0,
        completion: 0,
        reasoning: 0,
        cached: 0,
        source: UsageSource::Reported,
        cost: Some(Cost {
            units: 0,
            dollars: PicoDollars(0),
        }),
    };

    /// The tokens of one call and of another after it.
    #[must_use]
    pub fn and(self, next: Self) -> Self {
        Self {
            prompt: self.prompt.saturating_add(next.prompt),
            cached: self.cached.saturating_add(next.cached),
            ..self.beside(next)
        }
    }

    /// The tokens of several choices together. The prompt is counted once, as OpenAI does.
    pub fn of_choices(choices: impl Iterator<Item = Self>) -> Self {
        choices.fold(Self::NOTHING, |total, choice| Self {
            prompt: total.prompt.max(choice.prompt),
            cached: total.cached.max(choice.cached),
            ..total.beside(choice)
        })
    }

    fn beside(self, other: Self) -> Self {
        let costs = self.cost.zip(other.cost);
        Self {
            completion: self.completion.saturating_add(other.completion),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            source: self.source.min(other.source),
            cost: costs.map(|(one, other)| one.plus(other)),
            ..self
        }
    }
}

/// Everything that a model wrote, delivered or not: what it is paid for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    pub reasoning: String,
    pub text: String,
}

impl Fault {
    /// Whether it befell an answer, rather than stood in it.
    pub fn is_from_outside(self) -> bool {
        matches!(
            self,
            Self::Disconnected | Self::TimedOut | Self::ShuttingDown
        )
    }
}

/// How an upstream's answer went wrong after its head was fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection closed before the answer was complete.
    Disconnected,
    /// Nothing came for too long.
    TimedOut,
    /// What came is no answer. The text says what was wrong with it, for the log.
    Unusable(&'static str),
    /// fal reports an error of the model.
    Model,
    /// fal reports that the model's context is too small for the prompt.
    ContextLength,
    /// fal reports too many requests at once, or its provider does.
    Busy,
    /// Text that was already passed on was taken back.
    Revised,
    /// The gateway is stopping.
    ShuttingDown,
    /// The model wrote a tool call that could not be made valid.
    ToolCall,
    /// The model did not make the call that was required.
    ToolChoice,
    /// The model's JSON does not match what was asked for.
    JsonSchema,
}
