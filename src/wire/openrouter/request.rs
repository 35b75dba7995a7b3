//! The body of a chat completion request (source: OpenRouter's API reference, "Chat completion";
//! OpenAI's `CreateChatCompletionRequest`).

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

/// The body. `messages` are its last member, so that more of them can be put behind what was sent.
#[derive(Clone, Debug, Serialize)]
pub struct ChatRequest<'a> {
    pub model: Cow<'a, str>,
    pub stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_options: Option<StreamOptions>,
    #[serde(flatten)]
    pub sampling: Sampling,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub stop: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Reasoning>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_format: Option<ResponseFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_logprobs: Option<u8>,
    pub messages: Vec<Message<'a>>,
}

/// `stream_options`: the usage is always wanted, since it is exact.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StreamOptions {
    pub include_usage: bool,
}

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sampling {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
}

/// OpenRouter's `reasoning` (source: its page "Reasoning tokens").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reasoning {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Reason, and keep the text of it out of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<bool>,
}

/// One message.
#[derive(Clone, Debug, Serialize)]
pub struct Message<'a> {
    pub role: Role,
    pub content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'a, str>>,
    /// What a reasoning model has to be shown again, with the calls that it made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_details: Option<Cow<'a, RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<Cow<'a, str>>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    System,
    User,
    Assistant,
    Tool,
}

/// What is said: a text, or a list of parts where there are images and the like in it.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<Part<'a>>),
}

/// A part of a message.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part<'a> {
    Text { text: Cow<'a, str> },
    ImageUrl { image_url: FileUrl<'a> },
    InputAudio { input_audio: InputAudio<'a> },
    VideoUrl { video_url: FileUrl<'a> },
}

/// The address of an image or a video: `https:` or a data URI.
#[derive(Clone, Debug, Serialize)]
pub struct FileUrl<'a> {
    pub url: Cow<'a, str>,
}

/// A recording, as base64.
#[derive(Clone, Debug, Serialize)]
pub struct InputAudio<'a> {
    pub data: Cow<'a, str>,
    pub format: &'static str,
}

/// A call of the history.
#[derive(Clone, Debug, Serialize)]
pub struct ToolCall<'a> {
    pub id: Cow<'a, str>,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub function: CalledFunction<'a>,
}

/// The function of a call.
#[derive(Clone, Debug, Serialize)]
pub struct CalledFunction<'a> {
    pub name: Cow<'a, str>,
    /// A JSON object, as text.
    pub arguments: Cow<'a, str>,
}

/// A tool that may be called.
#[derive(Clone, Debug, Serialize)]
pub struct Tool<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub function: Function<'a>,
}

/// The function of a tool.
#[derive(Clone, Debug, Serialize)]
pub struct Function<'a> {
    pub name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Cow<'a, str>>,
    pub parameters: Cow<'a, RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// Which tool is to be called.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum ToolChoice<'a> {
    /// `required`.
    Word(&'static str),
    /// A function by its name.
    Named {
        #[serde(rename = "type")]
        kind: &'static str,
        function: Named<'a>,
    },
}

/// The name of a function.
#[derive(Clone, Debug, Serialize)]
pub struct Named<'a> {
    pub name: Cow<'a, str>,
}

/// The form of the answer.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ResponseFormat<'a> {
    JsonObject,
    JsonSchema { json_schema: JsonSchema<'a> },
}

/// A schema that the answer has to match.
#[derive(Clone, Debug, Serialize)]
pub struct JsonSchema<'a> {
    pub name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Cow<'a, str>>,
    pub schema: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}
