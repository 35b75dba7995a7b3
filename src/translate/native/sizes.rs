//! How large a request is.

use std::borrow::Cow;

use crate::translate::usage::{self, TokenEstimate};
use crate::wire::openrouter::request::{ChatRequest, Content, Message, Part, ResponseFormat, Role};

/// Estimated tokens of a request.
pub fn prompt_tokens(request: &ChatRequest<'_>) -> u64 {
    let mut estimate = TokenEstimate::default();
    let mut add = |text: &str| {
        estimate.push(text);
        estimate.end_word();
    };
    for message in &request.messages {
        said(message).for_each(&mut add);
    }
    for tool in &request.tools {
        add(&tool.function.name);
        add(tool.function.description.as_deref().unwrap_or_default());
        add(tool.function.parameters.get());
    }
    if let Some(ResponseFormat::JsonSchema { json_schema }) = &request.response_format {
        add(json_schema.schema.get());
    }
    estimate
        .tokens()
        .saturating_add(usage::tokens_around(images(request)))
        .saturating_add(media_tokens(request))
}

/// How many images a request holds.
pub fn images(request: &ChatRequest<'_>) -> usize {
    parts(request)
        .filter(|part| matches!(part, Part::ImageUrl { .. }))
        .count()
}

/// Estimated tokens of its recordings and videos.
pub fn media_tokens(request: &ChatRequest<'_>) -> u64 {
    let tokens = parts(request).map(|part| match part {
        Part::InputAudio { input_audio } => {
            usage::audio_tokens(input_audio.format, &input_audio.data)
        }
        Part::VideoUrl { video_url } => usage::video_tokens(&video_url.url),
        Part::Text { .. } | Part::ImageUrl { .. } => 0,
    });
    tokens.fold(0, u64::saturating_add)
}

fn parts<'r, 'a>(request: &'r ChatRequest<'a>) -> impl Iterator<Item = &'r Part<'a>> {
    let parts = request
        .messages
        .iter()
        .filter_map(|message| match &message.content {
            Some(Content::Parts(parts)) => Some(parts),
            Some(Content::Text(_)) | None => None,
        });
    parts.flatten()
}

/// The addresses of its images and videos.
pub fn urls_mut<'r, 'a>(request: &'r mut ChatRequest<'a>) -> Vec<&'r mut Cow<'a, str>> {
    let parts = request
        .messages
        .iter_mut()
        .filter_map(|message| match &mut message.content {
            Some(Content::Parts(parts)) => Some(parts),
            Some(Content::Text(_)) | None => None,
        });
    let urls = parts.flatten().filter_map(|part| match part {
        Part::ImageUrl { image_url: file } | Part::VideoUrl { video_url: file } => {
            Some(&mut file.url)
        }
        Part::Text { .. } | Part::InputAudio { .. } => None,
    });
    urls.collect()
}

/// What is said in it, and what the system says at its beginning.
pub fn texts(request: &ChatRequest<'_>) -> [String; 2] {
    let (system, others) = split(request);
    let text = |messages: &[Message<'_>]| {
        let texts: Vec<&str> = messages.iter().flat_map(said).collect();
        texts.join("\n")
    };
    [text(others), text(system)]
}

/// How long these are, in characters.
pub fn lengths(request: &ChatRequest<'_>) -> [usize; 2] {
    let (system, others) = split(request);
    let chars = |messages: &[Message<'_>]| {
        let lengths = messages
            .iter()
            .flat_map(said)
            .map(|text| text.chars().count());
        lengths.sum()
    };
    [chars(others), chars(system)]
}

fn split<'r, 'a>(request: &'r ChatRequest<'a>) -> (&'r [Message<'a>], &'r [Message<'a>]) {
    let is_system = |message: &Message<'_>| message.role == Role::System;
    let count = usize::from(request.messages.first().is_some_and(is_system));
    request.messages.split_at(count)
}

/// The texts of a message.
fn said<'m>(message: &'m Message<'_>) -> impl Iterator<Item = &'m str> {
    let (alone, parts) = match &message.content {
        Some(Content::Text(text)) => (Some(text.as_ref()), [].as_slice()),
        Some(Content::Parts(parts)) => (None, parts.as_slice()),
        None => (None, [].as_slice()),
    };
    let among = parts.iter().filter_map(|part| match part {
        Part::Text { text } => Some(text.as_ref()),
        Part::ImageUrl { .. } | Part::InputAudio { .. } | Part::VideoUrl { .. } => None,
    });
    let calls = message.tool_calls.iter();
    let calls = calls.flat_map(|call| {
        [
            call.function.name.as_ref(),
            call.function.arguments.as_ref(),
        ]
    });
    alone.into_iter().chain(among).chain(calls)
}
