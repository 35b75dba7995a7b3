//! OpenAI's messages, read into a [`Conversation`].
//!
//! The conversation is the messages' normal form: leading system and developer messages are its
//! instructions, parts that follow each other are joined by a line break, messages that say
//! nothing are left out, and a request of system messages alone is answered as if its last one
//! had been the user's.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::translate::ask::{
    Conversation, Part, Speaker, Thoughts, ToolCall, Turn, join, push_text,
};
use crate::translate::face::files::{self, FileContent};
use crate::translate::face::thoughts;
use crate::translate::image::{self, ImageCount};
use crate::translate::media::{self, Media};
use crate::translate::notes::Members;
use crate::translate::rejection::{Cause, Rejection};
use crate::wire::openai::message::ToolCall as RequestToolCall;
use crate::wire::openai::message::{Content, ContentPart, FunctionCall, ImageUrl, RequestMessage};
use crate::wire::text::Text;

/// How much of everything a request may hold, and what of it is let pass.
#[derive(Clone, Debug)]
pub struct MessageLimits {
    pub max_messages: usize,
    /// Fields that are ignored where they would be refused.
    pub ignore: Vec<&'static str>,
    pub images: image::ImageLimits,
}

/// What messages say.
#[derive(Debug)]
pub struct Said<'a> {
    pub conversation: Conversation<'a>,
    /// Where the last image stands.
    pub last_image: Option<String>,
    /// Where the last recording or video stands.
    pub last_media: Option<String>,
    /// The blocks of reasoning of the assistant's messages, by their turns.
    pub thoughts: Vec<(usize, Thoughts)>,
}

/// Reads messages into a conversation. Members of the messages that have no effect are added to
/// `members`.
///
/// # Errors
/// An empty list, a role nobody knows, a part that cannot be carried, a tool
/// result without its id or without its call, or nothing to answer.
pub fn parse<'a>(
    messages: Vec<RequestMessage<'a>>,
    limits: &MessageLimits,
    members: &mut Members,
) -> Result<Said<'a>, Rejection> {
    if messages.is_empty() {
        return Err(Rejection::invalid(
            "messages",
            "Invalid 'messages': the list is empty. Send at least one message.",
        ));
    }
    let mut builder = Builder {
        limits,
        members,
        images: ImageCount::default(),
        last_image: None,
        media: ImageCount::default(),
        last_media: None,
        thoughts: Vec::new(),
        instructions: None,
        turns: Vec::with_capacity(messages.len()),
        ends_in_nothing: false,
        called: HashMap::new(),
    };
    for (position, message) in messages.into_iter().enumerate() {
        builder.add(position, message)?;
    }
    let last_image = builder.last_image.take();
    let last_media = builder.last_media.take();
    let thoughts = std::mem::take(&mut builder.thoughts);
    builder.finish().map(|conversation| Said {
        conversation,
        last_image,
        last_media,
        thoughts,
    })
}

struct Builder<'a, 'l> {
    limits: &'l MessageLimits,
    members: &'l mut Members,
    images: ImageCount,
    last_image: Option<String>,
    /// How many recordings and videos there are so far.
    media: ImageCount,
    last_media: Option<String>,
    thoughts: Vec<(usize, Thoughts)>,
    instructions: Option<Cow<'a, str>>,
    turns: Vec<Turn<'a>>,
    /// The last message so far is a user's who says nothing: the answer is to what came before.
    ends_in_nothing: bool,
    /// The function that each call so far has named, by the call's id.
    called: HashMap<Cow<'a, str>, Cow<'a, str>>,
}

impl<'a> Builder<'a, '_> {
    fn add(&mut self, position: usize, message: RequestMessage<'a>) -> Result<(), Rejection> {
        let path = format!("messages[{position}]");
        if message.audio.is_some() {
            return Err(spoken_reply(format!("{path}.audio")));
        }
        let speaker = self.speaker(&path, &message)?;
        self.note_members(&speaker, &message);
        let thoughts = message.reasoning_details;
        let thoughts = thoughts.and_then(|raw| thoughts::blocks(raw.get()));
        let calls = calls(
            &path,
            message.tool_calls,
            message.function_call,
            self.members,
        )?;
        if !calls.is_empty() && !matches!(speaker, Speaker::Assistant { .. }) {
            let message = format!(
                "Invalid '{path}': only an assistant's message can hold tool calls. Remove them."
            );
            return Err(Rejection::invalid(path, message));
        }
        let mut parts = self.parts(&path, message.content)?;
        let is_media = |part: &Part<'_>| matches!(part, Part::Media(_));
        if !matches!(speaker, Speaker::User { .. })
            && let Some(place) = self
                .last_media
                .as_ref()
                .filter(|_| parts.iter().any(is_media))
        {
            return Err(Rejection::of(
                Cause::UnsupportedValue,
                place,
                "Unsupported value: recordings and videos stand in user messages. Move it into one.",
            ));
        }
        if let Some(Text(refusal)) = message.refusal {
            push_text(&mut parts, refusal);
        }
        for call in calls {
            self.called.insert(call.id.clone(), call.name.clone());
            parts.push(Part::ToolCall(call));
        }
        if parts.is_empty() && !matches!(speaker, Speaker::Tool { .. }) {
            self.ends_in_nothing |= matches!(speaker, Speaker::User { .. });
            return Ok(());
        }
        self.ends_in_nothing = false;
        match speaker {
            Speaker::System if self.turns.is_empty() => self.add_instructions(&path, parts),
            speaker => {
                let at = self.turns.len();
                let is_reply = matches!(speaker, Speaker::Assistant { .. });
                if is_reply {
                    self.images.replied();
                    self.media.replied();
                }
                self.thoughts
                    .extend(thoughts.filter(|_| is_reply).map(|blocks| (at, blocks)));
                self.turns.push(Turn { speaker, parts });
                Ok(())
            }
        }
    }

    fn add_instructions(&mut self, path: &str, parts: Vec<Part<'a>>) -> Result<(), Rejection> {
        for part in parts {
            let Part::Text(text) = part else {
                return Err(Rejection::of(
                    Cause::UnsupportedValue,
                    format!("{path}.content"),
                    "Unsupported value: system messages can only hold text. Move the image into a user message.",
                ));
            };
            self.instructions = Some(match self.instructions.take() {
                None => text,
                Some(before) => join(before, "\n\n", &text),
            });
        }
        Ok(())
    }

    fn speaker(&self, path: &str, message: &RequestMessage<'a>) -> Result<Speaker<'a>, Rejection> {
        let name = name_of(message);
        match message.role.as_str() {
            "system" | "developer" => Ok(Speaker::System),
            "user" => Ok(Speaker::User { name }),
            "assistant" => Ok(Speaker::Assistant { name }),
            "tool" => {
                let Some(Text(call_id)) = &message.tool_call_id else {
                    return Err(Rejection::of(
                        Cause::MissingParameter,
                        format!("{path}.tool_call_id"),
                        format!(
                            "Missing required parameter: '{path}.tool_call_id'. A tool message names the call it answers."
                        ),
                    ));
                };
                let Some(called) = self.called.get(call_id) else {
                    return Err(Rejection::invalid(
                        format!("{path}.tool_call_id"),
                        format!(
                            "Invalid '{path}.tool_call_id': no message before it has a tool call of this id. \
                             Put the assistant's message with the call before its result."
                        ),
                    ));
                };
                Ok(Speaker::Tool {
                    call_id: call_id.clone(),
                    name: Some(name.unwrap_or_else(|| called.clone())),
                    has_failed: false,
                })
            }
            "function" => Ok(Speaker::Tool {
                call_id: Cow::Borrowed(""),
                name,
                has_failed: false,
            }),
            _ => Err(Rejection::invalid(
                format!("{path}.role"),
                format!(
                    "Invalid '{path}.role': it must be system, developer, user, assistant, tool or function."
                ),
            )),
        }
    }

    fn parts(
        &mut self,
        path: &str,
        content: Option<Content<'a>>,
    ) -> Result<Vec<Part<'a>>, Rejection> {
        match content {
            None => Ok(Vec::new()),
            Some(Content::Text(Text(text))) if text.is_empty() => Ok(Vec::new()),
            Some(Content::Text(Text(text))) => Ok(vec![Part::Text(text)]),
            Some(Content::List(parts)) => {
                let mut out = Vec::with_capacity(parts.len());
                for (position, part) in parts.into_iter().enumerate() {
                    self.part(&mut out, format!("{path}.content[{position}]"), part)?;
                }
                Ok(out)
            }
        }
    }

    fn part(
        &mut self,
        out: &mut Vec<Part<'a>>,
        path: String,
        part: ContentPart<'a>,
    ) -> Result<(), Rejection> {
        self.note_part_members(&part);
        let missing = |field: &str| Rejection::missing(format!("{path}.{field}"));
        match part.kind.as_str() {
            "text" => push_text(out, part.text.ok_or_else(|| missing("text"))?.0),
            "refusal" => push_text(out, part.refusal.ok_or_else(|| missing("refusal"))?.0),
            "image_url" => {
                let image = part.image_url.ok_or_else(|| missing("image_url"))?;
                self.note_image_members(&image);
                self.image(out, path, image.url.0)?;
            }
            "input_audio" => {
                let audio = part.input_audio.ok_or_else(|| missing("input_audio"))?;
                const PATH: &str = "messages[].content[].input_audio";
                self.members.add_unknown(PATH, &audio.unknown);
                let images = &self.limits.images;
                let audio =
                    media::accept_audio(audio.data.0, audio.format.as_str(), &path, images)?;
                self.media(out, path, audio)?;
            }
            "video_url" => {
                let video = part.video_url.ok_or_else(|| missing("video_url"))?;
                const PATH: &str = "messages[].content[].video_url";
                self.members.add_unknown(PATH, &video.unknown);
                let video = media::accept_video(video.url.0, &path, &self.limits.images)?;
                self.media(out, path, video)?;
            }
            "file" => {
                let file = part.file.ok_or_else(|| missing("file"))?;
                self.members
                    .add_unknown("messages[].content[].file", &file.unknown);
                match files::read(file, &format!("{path}.file"))? {
                    FileContent::Text(text) => push_text(out, Cow::Owned(text)),
                    FileContent::Image(url) => self.image(out, path, url)?,
                }
            }
            _ => {
                return Err(Rejection::invalid(
                    format!("{path}.type"),
                    format!(
                        "Invalid '{path}.type': it must be text, image_url, input_audio, video_url, file or refusal."
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Members of a message that have no effect in it.
    fn note_members(&mut self, speaker: &Speaker<'_>, message: &RequestMessage<'_>) {
        const PATH: &str = "messages[]";
        self.members.add_unknown(PATH, &message.unknown);
        let is_system = matches!(speaker, Speaker::System);
        let has_name = name_of(message).is_some();
        self.members.add_if(is_system && has_name, PATH, "name");
        let answers = message.role.as_str() == "tool";
        let has_id = message.tool_call_id.is_some();
        self.members
            .add_if(has_id && !answers, PATH, "tool_call_id");
        let is_reply = matches!(speaker, Speaker::Assistant { .. });
        let thinks = [
            (message.reasoning.is_some(), "reasoning"),
            (message.reasoning_content.is_some(), "reasoning_content"),
        ];
        for (is_there, name) in thinks {
            self.members.add_if(is_there && !is_reply, PATH, name);
        }
        let details = message.reasoning_details.map_or("[]", RawValue::get);
        self.members
            .add_if(details != "[]", PATH, REASONING_DETAILS);
    }

    /// Members of a part that have no effect in it: unknown ones, and those of other kinds.
    fn note_part_members(&mut self, part: &ContentPart<'_>) {
        const PATH: &str = "messages[].content[]";
        self.members.add_unknown(PATH, &part.unknown);
        for (is_there, name) in [
            (part.text.is_some(), "text"),
            (part.refusal.is_some(), "refusal"),
            (part.image_url.is_some(), "image_url"),
            (part.input_audio.is_some(), "input_audio"),
            (part.video_url.is_some(), "video_url"),
            (part.file.is_some(), "file"),
        ] {
            let is_of_another_kind = name != part.kind.as_str();
            self.members
                .add_if(is_there && is_of_another_kind, PATH, name);
        }
    }

    /// fal takes images in one size, so a wish for another has no effect.
    fn note_image_members(&mut self, image: &ImageUrl<'_>) {
        const PATH: &str = "messages[].content[].image_url";
        self.members.add_unknown(PATH, &image.unknown);
        let detail = image.detail.as_ref().map(Text::as_str);
        let is_wish = detail.is_some_and(|detail| detail != "auto");
        self.members.add_if(is_wish, PATH, "detail");
    }

    fn image(
        &mut self,
        out: &mut Vec<Part<'a>>,
        path: String,
        url: Cow<'a, str>,
    ) -> Result<(), Rejection> {
        let url = image::accept(url, &path, &mut self.images, &self.limits.images)?;
        out.push(Part::Image(url));
        self.last_image = Some(path);
        Ok(())
    }

    fn media(
        &mut self,
        out: &mut Vec<Part<'a>>,
        path: String,
        media: Media<'a>,
    ) -> Result<(), Rejection> {
        media::count(&mut self.media, &path, &self.limits.images)?;
        out.push(Part::Media(media));
        self.last_media = Some(path);
        Ok(())
    }

    /// The conversation, once it is known what there is to answer.
    fn finish(mut self) -> Result<Conversation<'a>, Rejection> {
        // Agents send such a message to have the model go on.
        while self.turns.len() > 1 && self.turns.last().is_some_and(is_blank) {
            self.turns.pop();
            self.ends_in_nothing = true;
        }
        let prefill = match self.ends_in_nothing {
            true => None,
            false => self.take_prefill()?,
        };
        if self.turns.is_empty() && prefill.is_none() {
            let Some(text) = self.instructions.take() else {
                return Err(Rejection::invalid(
                    "messages",
                    "Invalid 'messages': every message is empty. Send at least one with text in its 'content'.",
                ));
            };
            self.turns.push(Turn {
                speaker: Speaker::User { name: None },
                parts: vec![Part::Text(text)],
            });
        }
        Ok(Conversation {
            instructions: self.instructions,
            turns: self.turns,
            prefill,
        })
    }

    /// The text of a last message by the assistant, which the answer is to continue. With a name
    /// it is another agent's, and the answer comes after it.
    fn take_prefill(&mut self) -> Result<Option<Cow<'a, str>>, Rejection> {
        let Some(Turn {
            speaker: Speaker::Assistant { name },
            parts,
        }) = self.turns.last_mut()
        else {
            return Ok(None);
        };
        if parts.iter().any(|part| matches!(part, Part::ToolCall(_))) {
            return Err(Rejection::invalid(
                "messages",
                "Invalid 'messages': the last message is an assistant's with tool calls. \
                 Add the tool messages with their results.",
            ));
        }
        if name.is_some() {
            return Ok(None);
        }
        if parts.iter().any(|part| matches!(part, Part::Image(_))) {
            return Err(Rejection::of(
                Cause::UnsupportedValue,
                "messages",
                "Unsupported value: the last message is an assistant's with an image, but only text can be \
                 continued. Leave the image out, or add a user message.",
            ));
        }
        let parts = std::mem::take(parts);
        self.turns.pop();
        Ok(parts.into_iter().find_map(|part| match part {
            Part::Text(text) => Some(text),
            Part::Image(_) | Part::Media(_) | Part::ToolCall(_) => None,
        }))
    }
}

/// How blocks of reasoning are named among what has no effect.
const REASONING_DETAILS: &str = "reasoning_details";

/// Whether a user says nothing but white space in a turn.
fn is_blank(turn: &Turn<'_>) -> bool {
    let says_nothing = |part: &Part<'_>| matches!(part, Part::Text(text) if text.trim().is_empty());
    matches!(turn.speaker, Speaker::User { .. }) && turn.parts.iter().all(says_nothing)
}

/// A message's `name`. Some clients fill it with the role, which says nothing.
fn name_of<'a>(message: &RequestMessage<'a>) -> Option<Cow<'a, str>> {
    let Text(name) = message.name.as_ref()?;
    (!name.is_empty() && *name != message.role.0).then(|| name.clone())
}

fn calls<'a>(
    path: &str,
    tool_calls: Option<Vec<RequestToolCall<'a>>>,
    function_call: Option<FunctionCall<'a>>,
    members: &mut Members,
) -> Result<Vec<ToolCall<'a>>, Rejection> {
    let mut out = Vec::new();
    for (position, call) in tool_calls.into_iter().flatten().enumerate() {
        members.add_unknown("messages[].tool_calls[]", &call.unknown);
        let Some(function) = call.function else {
            return Err(Rejection::of(
                Cause::UnsupportedValue,
                format!("{path}.tool_calls[{position}]"),
                "Unsupported value: only calls of type function can be carried.",
            ));
        };
        members.add_unknown("messages[].tool_calls[].function", &function.unknown);
        let id = call.id.map_or(Cow::Borrowed(""), |Text(id)| id);
        out.push(tool_call(id, function));
    }
    if let Some(function) = function_call {
        members.add_unknown("messages[].function_call", &function.unknown);
        out.push(tool_call(Cow::Borrowed(""), function));
    }
    Ok(out)
}

fn tool_call<'a>(id: Cow<'a, str>, function: FunctionCall<'a>) -> ToolCall<'a> {
    let arguments = match function.arguments {
        Some(Text(arguments)) if !is_no_argument(&arguments) => arguments,
        _ => Cow::Borrowed("{}"),
    };
    ToolCall {
        id,
        name: function.name.0,
        arguments,
    }
}

/// Whether the arguments of a call stand for none. Models write such texts for functions without
/// parameters, and what they read in the record they write again.
fn is_no_argument(arguments: &str) -> bool {
    let text = arguments.trim();
    let inside = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    matches!(text, "" | "null" | "\"\"") || inside.is_some_and(|inside| inside.trim().is_empty())
}

/// An earlier answer that was spoken, of which there is only an id.
fn spoken_reply(param: String) -> Rejection {
    Rejection::of(
        Cause::UnsupportedValue,
        param,
        "Unsupported value: no spoken answers are kept here. Send what was said as the message's 'content'.",
    )
}
