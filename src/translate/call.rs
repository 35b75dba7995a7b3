//! A call to an upstream: where it goes below the application, and what it says.

use std::borrow::Cow;

use serde::Serialize;

use super::native::sizes;
use super::upstream::UpstreamId;
use crate::wire::fal::any_llm::AnyLlmInput;
use crate::wire::openrouter::request::ChatRequest;

/// What is sent to an upstream. As JSON it is the input, and nothing else.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Call<'a> {
    /// A prompt, for the upstreams that take one.
    Prompt(PromptCall<'a>),
    /// Messages, for those that speak OpenAI's chat completions.
    Chat(Box<ChatRequest<'a>>),
}

/// A call with a prompt.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct PromptCall<'a> {
    #[serde(skip)]
    pub endpoint: Endpoint,
    pub input: AnyLlmInput<'a>,
}

/// The routes of a prompt application, below its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub variant: Variant,
    /// Whether the answer comes as a stream.
    pub stream: bool,
}

/// The flavours of a prompt application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    Plain,
    Vision,
    Enterprise,
}

impl Endpoint {
    /// The path after the application: ``, `/stream`, `/vision`, `/vision/stream`, ...
    pub fn path(self) -> &'static str {
        match (self.variant, self.stream) {
            (Variant::Plain, false) => "",
            (Variant::Plain, true) => "/stream",
            (Variant::Vision, false) => "/vision",
            (Variant::Vision, true) => "/vision/stream",
            (Variant::Enterprise, false) => "/enterprise",
            (Variant::Enterprise, true) => "/enterprise/stream",
        }
    }
}

impl<'a> Call<'a> {
    /// The path after the application.
    pub fn path(&self) -> &'static str {
        match self {
            Self::Prompt(call) => call.endpoint.path(),
            Self::Chat(_) => UpstreamId::RouterOpenai.features().path,
        }
    }

    /// Whether the answer is asked for as a stream.
    pub fn is_stream(&self) -> bool {
        match self {
            Self::Prompt(call) => call.endpoint.stream,
            Self::Chat(request) => request.stream,
        }
    }

    /// fal's id of the model that is asked.
    pub fn model(&self) -> &str {
        match self {
            Self::Prompt(call) => &call.input.model,
            Self::Chat(request) => &request.model,
        }
    }

    /// The call with a prompt that it is, if it is one.
    pub fn as_prompt(&self) -> Option<&PromptCall<'a>> {
        match self {
            Self::Prompt(call) => Some(call),
            Self::Chat(_) => None,
        }
    }

    /// The input's JSON.
    pub fn to_json(&self) -> Vec<u8> {
        // Nothing in it could fail to be JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Its texts, for those who count them: what is asked, and the instructions.
    pub fn texts(&self) -> [String; 2] {
        match self {
            Self::Prompt(PromptCall { input, .. }) => [
                input.prompt.to_string(),
                input
                    .system_prompt
                    .as_deref()
                    .unwrap_or_default()
                    .to_owned(),
            ],
            Self::Chat(request) => sizes::texts(request),
        }
    }

    /// How long these texts are, in characters.
    pub fn lengths(&self) -> [usize; 2] {
        let chars = |text: &str| text.chars().count();
        match self {
            Self::Prompt(PromptCall { input, .. }) => [
                chars(&input.prompt),
                input.system_prompt.as_deref().map_or(0, chars),
            ],
            Self::Chat(request) => sizes::lengths(request),
        }
    }

    /// How many images it holds.
    pub fn images(&self) -> usize {
        match self {
            Self::Prompt(call) => call.input.image_urls.len(),
            Self::Chat(request) => sizes::images(request),
        }
    }

    /// The addresses of its images, for whoever puts others in their places.
    pub fn images_mut(&mut self) -> Vec<&mut Cow<'a, str>> {
        match self {
            Self::Prompt(call) => call.input.image_urls.iter_mut().collect(),
            Self::Chat(request) => sizes::images_mut(request),
        }
    }
}
