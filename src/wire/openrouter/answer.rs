//! A chat completion, and a chunk of one (source: OpenRouter's API reference, "Chat completion",
//! "Streaming", "Usage accounting" and "Reasoning tokens").

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::wire::list::List;
use crate::wire::text::Text;

/// The most calls that are read of one message or chunk; OpenAI offers no more tools.
pub const MAX_CALLS: usize = 128;
/// The most choices and parts of a content that are read.
const MAX_PARTS: usize = 64;

/// A whole answer, or one chunk of a stream: they differ in whether a choice has a `message` or a
/// `delta`. Errors stand in both, under the status 200.
///
/// `detail` and `kind` are fal's, where the platform answers for the model.
#[derive(Debug, Deserialize)]
pub struct ChatAnswer<'a> {
    #[serde(borrow)]
    pub choices: Option<List<Choice<'a>, MAX_PARTS>>,
    #[serde(borrow)]
    pub usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub detail: Option<&'a RawValue>,
    #[serde(rename = "type", borrow)]
    pub kind: Option<&'a RawValue>,
}

/// One of the answers.
#[derive(Debug, Deserialize)]
pub struct Choice<'a> {
    pub index: Option<u64>,
    #[serde(borrow)]
    pub delta: Option<Said<'a>>,
    #[serde(borrow)]
    pub message: Option<Said<'a>>,
    #[serde(borrow)]
    pub finish_reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
    /// A [`Logprobs`]. It stays raw, since hardly anybody asks for it.
    #[serde(borrow)]
    pub logprobs: Option<&'a RawValue>,
}

impl Choice<'_> {
    /// Whether the model has said anything in it.
    pub fn has_said(&self) -> bool {
        [&self.delta, &self.message]
            .into_iter()
            .flatten()
            .any(Said::is_any)
    }
}

/// How likely the tokens of an answer were.
#[derive(Debug, Deserialize)]
pub struct Logprobs<'a> {
    /// Those of the text, in order.
    #[serde(borrow)]
    pub content: Option<Vec<TokenLogprob<'a>>>,
}

/// A token, how likely it was, and what was likely in its place.
#[derive(Debug, Deserialize)]
pub struct TokenLogprob<'a> {
    #[serde(borrow)]
    pub token: Text<'a>,
    pub logprob: f64,
    /// The token in UTF-8; some tokens are a part of a character.
    pub bytes: Option<Vec<u8>>,
    #[serde(borrow)]
    pub top_logprobs: Option<Vec<TopLogprob<'a>>>,
}

/// A token that might have been chosen.
#[derive(Debug, Deserialize)]
pub struct TopLogprob<'a> {
    #[serde(borrow)]
    pub token: Text<'a>,
    pub logprob: f64,
    pub bytes: Option<Vec<u8>>,
}

/// What the model says. Strings stay raw where a chunk is compared with the one before it.
#[derive(Debug, Default, Deserialize)]
pub struct Said<'a> {
    /// A text, or a list of parts.
    #[serde(borrow)]
    pub content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub refusal: Option<Text<'a>>,
    #[serde(borrow)]
    pub reasoning: Option<&'a RawValue>,
    /// The name that other servers give it.
    #[serde(borrow)]
    pub reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub reasoning_details: Option<&'a RawValue>,
    #[serde(borrow)]
    pub tool_calls: Option<List<CallPiece<'a>, MAX_CALLS>>,
}

impl Said<'_> {
    /// Whether it says anything: a text, a thought or a call.
    pub fn is_any(&self) -> bool {
        let refusal = self.refusal.as_ref().map_or("", Text::as_str);
        let calls = self.tool_calls.as_ref().map_or(0, |calls| calls.total);
        let others = [
            self.content,
            self.reasoning,
            self.reasoning_content,
            self.reasoning_details,
        ];
        !refusal.is_empty() || calls > 0 || others.into_iter().any(is_something)
    }
}

/// Whether a text or a list is there and not empty.
pub fn is_something(raw: Option<&RawValue>) -> bool {
    raw.is_some_and(|raw| !matches!(raw.get(), "null" | "\"\"" | "[]"))
}

/// A call, or a piece of one.
#[derive(Debug, Deserialize)]
pub struct CallPiece<'a> {
    pub index: Option<u64>,
    #[serde(borrow)]
    pub id: Option<Text<'a>>,
    #[serde(borrow)]
    pub function: Option<FunctionPiece<'a>>,
}

/// Name and arguments, or pieces of them. `arguments` are a string; some servers write the object
/// itself.
#[derive(Debug, Deserialize)]
pub struct FunctionPiece<'a> {
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub arguments: Option<&'a RawValue>,
}

/// A content that is a list of parts.
pub type ContentParts<'a> = List<ContentPart<'a>, MAX_PARTS>;

/// A part of a content that is a list. Parts other than texts have no place in an answer here.
#[derive(Debug, Deserialize)]
pub struct ContentPart<'a> {
    #[serde(borrow)]
    pub text: Option<Text<'a>>,
}

/// A block of reasoning, or a piece of one. Models want to have them back as they were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ReasoningDetail {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// The gateway's own: the model that wrote it. No upstream is sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}
