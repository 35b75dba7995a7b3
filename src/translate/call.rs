//! A call to an upstream: where it goes below the application, and what it says.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::json::escape_into;
use super::known_text::KnownText;
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
    /// What the system prompt may hold that earlier ones held too.
    #[serde(skip)]
    pub known: Option<Arc<KnownText>>,
}

/// What is sent for a call.
#[derive(Clone, Debug)]
pub struct Input {
    pub json: Bytes,
    /// Where the text of the prompt ends in there, before its quote; unset where it is not known.
    pub prompt_end: Option<usize>,
    /// Where its long texts stand, between their quotes, as far as that is known.
    pub texts: Vec<Range<usize>>,
}

impl From<Bytes> for Input {
    /// An input of which nothing else is known.
    fn from(json: Bytes) -> Self {
        Self {
            json,
            prompt_end: None,
            texts: Vec::new(),
        }
    }
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
    /// The router's alone, as are the two after it.
    Audio,
    Video,
    VideoEnterprise,
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
            (Variant::Audio, false) => "/audio",
            (Variant::Audio, true) => "/audio/stream",
            (Variant::Video, false) => "/video",
            (Variant::Video, true) => "/video/stream",
            (Variant::VideoEnterprise, false) => "/video/enterprise",
            (Variant::VideoEnterprise, true) => "/video/enterprise/stream",
        }
    }
}

impl PromptCall<'_> {
    /// The input's JSON: the two long texts, of which a part may be known, and then the small members.
    fn to_input(&self) -> Option<Input> {
        let input = &self.input;
        let system_prompt = input.system_prompt.as_deref();
        let known = self.known.as_ref().zip(system_prompt);
        let known = known.and_then(|(known, text)| known.escaped_within(text));
        let others = AnyLlmInput {
            prompt: Cow::Borrowed(""),
            system_prompt: None,
            model: Cow::Borrowed(&input.model),
            image_urls: borrowed(&input.image_urls),
            audio_url: input.audio_url.as_deref().map(Cow::Borrowed),
            video_urls: borrowed(&input.video_urls),
            ..*input
        };
        let length = input.prompt.len() + system_prompt.map_or(0, str::len);
        // With room for some escapes, and for the small members.
        let mut json = Vec::with_capacity(length.saturating_add(length / 8).saturating_add(256));
        json.extend_from_slice(b"{\"prompt\":\"");
        let begin = json.len();
        escape_into(&mut json, &input.prompt);
        let prompt_end = json.len();
        let mut texts = Vec::with_capacity(2);
        texts.push(begin..prompt_end);
        json.extend_from_slice(b"\"");
        if let Some(text) = system_prompt {
            json.extend_from_slice(b",\"system_prompt\":\"");
            let begin = json.len();
            match known {
                Some(parts) => parts
                    .iter()
                    .for_each(|part| json.extend_from_slice(part.as_bytes())),
                None => escape_into(&mut json, text),
            }
            texts.push(begin..json.len());
            json.extend_from_slice(b"\"");
        }
        // The other members follow in place, without the beginning of an object of their own.
        let end = json.len();
        serde_json::to_writer(&mut json, &others).ok()?;
        let beginning = b"{\"prompt\":\"\"";
        json.get(end..)?.strip_prefix(beginning)?;
        json.drain(end..end.saturating_add(beginning.len()));
        Some(Input {
            json: json.into(),
            prompt_end: Some(prompt_end),
            texts,
        })
    }
}

fn borrowed<'u>(urls: &'u [Cow<'_, str>]) -> Vec<Cow<'u, str>> {
    urls.iter().map(|url| Cow::Borrowed(&**url)).collect()
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

    /// The input as it is sent.
    pub fn to_input(&self) -> Input {
        let written = match self {
            Self::Prompt(call) => call.to_input(),
            Self::Chat(_) => None,
        };
        // Nothing in it could fail to be JSON.
        let json = || Bytes::from(serde_json::to_vec(self).unwrap_or_default());
        written.unwrap_or_else(|| json().into())
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

    /// The addresses of its images, recordings and videos, for whoever puts others in their places. A
    /// recording that has none, because it is sent as it is, is not among them.
    pub fn urls_mut(&mut self) -> Vec<&mut Cow<'a, str>> {
        match self {
            Self::Prompt(PromptCall { input, .. }) => {
                let images = input.image_urls.iter_mut();
                images
                    .chain(&mut input.audio_url)
                    .chain(&mut input.video_urls)
                    .collect()
            }
            Self::Chat(request) => sizes::urls_mut(request),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_written_the_same_whether_a_part_of_it_is_known_or_not() {
        let known = Arc::new(KnownText::new("{\"name\": \"a\"}\n".to_owned()));
        for system_prompt in [
            Some("x \"\"\n{\"name\": \"a\"}\nlast"),
            Some("none of it"),
            None,
        ] {
            let call = |known| {
                Call::Prompt(PromptCall {
                    endpoint: Endpoint {
                        variant: Variant::Vision,
                        stream: true,
                    },
                    input: AnyLlmInput {
                        prompt: "\"prompt\"".into(),
                        system_prompt: system_prompt.map(Cow::Borrowed),
                        model: "a/b".into(),
                        temperature: Some(0.5),
                        max_tokens: Some(7),
                        reasoning: Some(true),
                        priority: None,
                        image_urls: vec!["https://x/y".into()],
                        audio_url: Some("https://x/z".into()),
                        video_urls: vec!["https://x/v".into()],
                    },
                    known,
                })
            };
            let json = serde_json::to_vec(&call(None)).unwrap();
            assert_eq!(call(None).to_input().json, json, "{system_prompt:?}");
            let known = Some(Arc::clone(&known));
            assert_eq!(call(known).to_input().json, json, "{system_prompt:?}");
        }
    }
}
