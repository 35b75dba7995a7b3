//! `CreateChatCompletionResponse` and the values of the request that are read field by field.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::wire::object::objects;
use crate::wire::text::Text;

objects! {
    /// `stream_options` of a request.
    "an object such as {\"include_usage\": true}"
    pub struct StreamOptions<'a> {
        "include_usage" => include_usage: Option<bool>,
        "include_obfuscation" => include_obfuscation: Option<bool>,
    }

    /// OpenRouter's `reasoning` object.
    "an object such as {\"effort\": \"medium\"}"
    pub struct ReasoningOptions<'a> {
        "enabled" => enabled: Option<bool>,
        "effort" => effort: Option<Text<'a>>,
        "max_tokens" => max_tokens: Option<u64>,
        "exclude" => exclude: Option<bool>,
    }
}

/// `response_format` of a request, as far as its kind.
#[derive(Debug, Deserialize)]
pub struct ResponseFormat<'a> {
    #[serde(rename = "type", borrow)]
    pub kind: Text<'a>,
}

/// One choice of a whole answer.
#[derive(Debug, Serialize)]
pub struct Choice<'a> {
    pub index: u32,
    pub message: ResponseMessage<'a>,
    pub logprobs: Option<Logprobs<'a>>,
    pub finish_reason: &'static str,
}

/// How likely the tokens of a message were, or of a piece of it.
#[derive(Debug, Serialize)]
pub struct Logprobs<'a> {
    pub content: Vec<TokenLogprob<'a>>,
    /// Those of a refusal, which no upstream tells apart.
    pub refusal: Option<()>,
}

/// A token, how likely it was, and what was likely in its place.
#[derive(Debug, Serialize)]
pub struct TokenLogprob<'a> {
    #[serde(flatten)]
    pub token: LikelyToken<'a>,
    pub top_logprobs: Vec<LikelyToken<'a>>,
}

/// A token, and how likely it was.
#[derive(Debug, Serialize)]
pub struct LikelyToken<'a> {
    pub token: &'a str,
    pub logprob: f64,
    /// The token in UTF-8; some tokens are a part of a character.
    pub bytes: &'a [u8],
}

/// The assistant's message. The two reasoning fields are what DeepSeek's and OpenRouter's clients
/// read; OpenAI's schema allows additional properties.
#[derive(Debug, Serialize)]
pub struct ResponseMessage<'a> {
    pub role: &'static str,
    /// A string.
    pub content: Option<Box<RawValue>>,
    pub refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<MessageToolCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_call: Option<MessageFunction<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<&'a str>,
    /// OpenRouter's, which its clients send back with the calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_details: Option<Box<RawValue>>,
}

/// A call in a whole answer.
#[derive(Debug, Serialize)]
pub struct MessageToolCall<'a> {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub function: MessageFunction<'a>,
}

/// Name and arguments of a call; `arguments` is JSON, written into a string.
#[derive(Debug, Serialize)]
pub struct MessageFunction<'a> {
    pub name: &'a str,
    pub arguments: &'a str,
}

/// What the gateway did to the request, for callers that asked to see it in the body.
#[derive(Clone, Debug, Serialize)]
pub struct GatewayNotes<'a> {
    pub emulated: Vec<&'a str>,
    pub ignored: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fold: Option<&'a str>,
    /// Where the token counts come from, if that is elsewhere than the headers have told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<&'a str>,
}
