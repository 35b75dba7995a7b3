//! What a caller wants, in our own words: no wire format, OpenAI's or fal's, reaches past here.
//!
//! Every public API of the gateway is turned into an [`Ask`] by its face, and everything behind
//! the faces works on asks alone.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::notes::Notes;
use super::tools::Offer;

/// One request, parsed: every value in it is known to be usable.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The model's name as the caller wrote it; `None` asks for the default.
    pub model: Option<Cow<'a, str>>,
    pub conversation: Conversation<'a>,
    pub sampling: Sampling,
    pub reasoning: Reasoning,
    pub priority: Option<Priority>,
    /// Texts at which the answer ends; none of them is empty.
    pub stop: Vec<String>,
    /// How many answers are wanted, at least one.
    pub choices: u32,
    pub delivery: Delivery,
    /// The tools that may be called; `None` when none may.
    pub tools: Option<Offer<'a>>,
    pub format: AnswerFormat<'a>,
    /// Models to try, in order, when the first one refuses before working.
    pub fallbacks: Vec<Cow<'a, str>>,
    /// What became of the request's fields so far.
    pub notes: Notes,
}

/// Who said what. Adjacent text parts of a message are already one text, messages that say
/// nothing are gone, and a conversation always has something to answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation<'a> {
    /// The text of the leading system and developer messages, joined by blank lines.
    pub instructions: Option<Cow<'a, str>>,
    /// Everything after them, in order.
    pub turns: Vec<Turn<'a>>,
    /// The beginning of the answer, when the caller wrote it: the last message was the assistant's.
    pub prefill: Option<Cow<'a, str>>,
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn<'a> {
    pub speaker: Speaker<'a>,
    pub parts: Vec<Part<'a>>,
}

/// Who speaks in a turn.
#[derive(Clone, Debug, PartialEq)]
pub enum Speaker<'a> {
    /// A system or developer message after the first turn.
    System,
    User {
        name: Option<Cow<'a, str>>,
    },
    Assistant {
        name: Option<Cow<'a, str>>,
    },
    /// The result of a tool call; `name` is the function's, as far as the history tells.
    Tool {
        call_id: Cow<'a, str>,
        name: Option<Cow<'a, str>>,
    },
}

/// A piece of a turn.
#[derive(Clone, Debug, PartialEq)]
pub enum Part<'a> {
    Text(Cow<'a, str>),
    /// An image's address: `https:` or a data URI.
    Image(Cow<'a, str>),
    ToolCall(ToolCall<'a>),
}

/// A tool call in the history. `arguments` is what the model wrote, usually a JSON object.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall<'a> {
    pub id: Cow<'a, str>,
    pub name: Cow<'a, str>,
    pub arguments: Cow<'a, str>,
}

/// The form that the answer's text has to have.
#[derive(Clone, Debug)]
pub enum AnswerFormat<'a> {
    Text,
    /// Any JSON object.
    JsonObject,
    JsonSchema(AnswerSchema<'a>),
}

/// A JSON schema that the answer has to match.
#[derive(Clone, Debug)]
pub struct AnswerSchema<'a> {
    /// A JSON object.
    pub schema: &'a RawValue,
    /// Where it stands in the request, for refusals of it.
    pub path: &'static str,
    /// What the answer is for, in words for the model.
    pub description: Option<Cow<'a, str>>,
    /// Whether an answer that does not match may never be delivered.
    pub strict: bool,
}

/// The sampling parameters that fal has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// At least one.
    pub max_tokens: Option<u64>,
    /// What the caller calls `max_tokens`, for refusals of it.
    pub max_tokens_name: &'static str,
}

/// Whether the model shall reason, and whether the caller wants to read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reasoning {
    /// The caller did not say.
    #[default]
    Unsaid,
    Off,
    Hidden,
    Shown,
}

/// What fal shall optimise for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    Throughput,
    Latency,
}

/// How the answer is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    Whole,
    Stream { include_usage: bool },
}

impl Conversation<'_> {
    /// How many bytes of the request its images take up.
    pub fn image_bytes(&self) -> usize {
        let parts = self.turns.iter().flat_map(|turn| &turn.parts);
        let sizes = parts.map(|part| match part {
            Part::Image(url) => url.len(),
            Part::Text(_) | Part::ToolCall(_) => 0,
        });
        sizes.sum()
    }

    /// Every text in the conversation that a caller supplied, for those who must look at all of it.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let turns = self.turns.iter().flat_map(Turn::texts);
        let instructions = self.instructions.as_deref();
        let prefill = self.prefill.as_deref();
        instructions.into_iter().chain(turns).chain(prefill)
    }
}

impl Turn<'_> {
    fn texts(&self) -> impl Iterator<Item = &str> {
        let named = match &self.speaker {
            Speaker::System => [None, None],
            Speaker::User { name } | Speaker::Assistant { name } => [name.as_deref(), None],
            Speaker::Tool { call_id, name } => [Some(call_id.as_ref()), name.as_deref()],
        };
        let parts = self.parts.iter().flat_map(|part| match part {
            Part::Text(text) => [Some(text.as_ref()), None, None],
            Part::Image(_) => [None, None, None],
            Part::ToolCall(call) => [
                Some(call.id.as_ref()),
                Some(call.name.as_ref()),
                Some(call.arguments.as_ref()),
            ],
        });
        named.into_iter().chain(parts).flatten()
    }
}
