//! `system` and `messages`, read into a [`Conversation`].
//!
//! Results of tools stand in the user's messages here; each becomes a turn of its own, and what
//! stands before and behind them stays the user's. System messages that come before the first reply
//! belong to the instructions: so Claude Code's first request keeps its bare question, and its later
//! ones begin alike.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::blocks::Reader;
use crate::translate::ask::{Conversation, Part, Speaker, Thoughts, ToolCall, Turn, join};
use crate::translate::draft::Field;
use crate::translate::face::FaceSettings;
use crate::translate::notes::Members;
use crate::translate::rejection::{Cause, Rejection};
use crate::wire::anthropic::request::{Block, Content, MessageParam};
use crate::wire::text::Text;

/// What a request says of the conversation.
#[derive(Debug)]
pub struct History<'a> {
    pub conversation: Conversation<'a>,
    /// Where the last image stands in the request.
    pub last_image: Option<String>,
    /// The tools that a search has found.
    pub loaded_tools: HashSet<Cow<'a, str>>,
    /// The blocks of reasoning of the assistant's messages, by their turns.
    pub thoughts: Vec<(usize, Thoughts)>,
}

/// What Claude Code's first system block begins with on foreign hosts. It is no instruction, and
/// differs between the requests of one session.
const BILLING_HEADER: &str = "x-anthropic-billing-header:";

/// Reads the conversation. Members without effect are added to `members`.
///
/// # Errors
/// An empty list, a role nobody knows, a block that cannot be carried, or nothing to answer.
pub fn read<'a>(
    messages: &Field<'a>,
    system: Option<&Field<'a>>,
    settings: &FaceSettings,
    members: &mut Members,
) -> Result<History<'a>, Rejection> {
    const EXPECTED: &str = "a list of messages, each with a 'role' and a 'content'";
    let count = messages.count_items(EXPECTED)?;
    let most = settings.messages.max_messages;
    if count > most {
        return Err(messages.invalid(format!(
            "Invalid 'messages': at most {most} messages are possible. Shorten the history."
        )));
    }
    if count == 0 {
        return Err(messages.invalid("messages: at least one message is required"));
    }
    let list: Vec<MessageParam<'a>> = messages.parse(EXPECTED)?;
    let mut builder = Builder {
        instructions: None,
        turns: Vec::with_capacity(list.len()),
        has_reply: false,
        thoughts: Vec::new(),
        called: HashMap::new(),
        reader: Reader::new(&settings.messages.images, members),
    };
    if let Some(field) = system {
        builder.add_system(field)?;
    }
    let last = list.len().saturating_sub(1);
    for (position, message) in list.into_iter().enumerate() {
        builder.reader.is_last_message = position == last;
        builder.add(position, message)?;
    }
    builder.finish()
}

struct Builder<'a, 'l> {
    instructions: Option<Cow<'a, str>>,
    turns: Vec<Turn<'a>>,
    thoughts: Vec<(usize, Thoughts)>,
    /// Whether the assistant has said anything yet.
    has_reply: bool,
    /// The tool that each call so far has named, by the call's id.
    called: HashMap<Cow<'a, str>, Cow<'a, str>>,
    reader: Reader<'a, 'l>,
}

impl<'a> Builder<'a, '_> {
    fn add_system(&mut self, field: &Field<'a>) -> Result<(), Rejection> {
        let content: Content<'a> = field.parse("a string or a list of text blocks")?;
        match content {
            Content::Text(Text(text)) => self.add_instructions(text),
            Content::List(blocks) => {
                for (position, block) in blocks.into_iter().enumerate() {
                    let path = format!("system[{position}]");
                    let text = self.only_text(block, &path)?;
                    if !text.starts_with(BILLING_HEADER) {
                        self.add_instructions(text);
                    }
                }
            }
        }
        Ok(())
    }

    fn only_text(&mut self, block: Block<'a>, path: &str) -> Result<Cow<'a, str>, Rejection> {
        self.reader.note_members(&block);
        match (block.kind.as_str(), block.text) {
            ("text", Some(Text(text))) => Ok(text),
            ("text", None) => Err(Rejection::missing(format!("{path}.text"))),
            _ => Err(Rejection::of(
                Cause::UnsupportedValue,
                path,
                format!("Unsupported value: '{path}' can only be a text block."),
            )),
        }
    }

    fn add_instructions(&mut self, text: Cow<'a, str>) {
        if text.trim().is_empty() {
            return;
        }
        self.instructions = Some(match self.instructions.take() {
            None => text,
            Some(before) => join(before, "\n\n", &text),
        });
    }

    fn add(&mut self, position: usize, message: MessageParam<'a>) -> Result<(), Rejection> {
        let path = format!("messages[{position}]");
        self.reader
            .members
            .add_unknown("messages[]", &message.unknown);
        match message.role.as_str() {
            "user" => self.add_users(&path, message.content),
            "assistant" => self.add_assistants(&path, message.content),
            "system" => self.add_systems(&path, message.content),
            _ => Err(Rejection::invalid(
                format!("{path}.role"),
                format!("Invalid '{path}.role': it must be user, assistant or system."),
            )),
        }
    }

    fn add_systems(&mut self, path: &str, content: Content<'a>) -> Result<(), Rejection> {
        let mut parts = Vec::new();
        match content {
            Content::Text(Text(text)) => self.reader.push_text(&mut parts, text),
            Content::List(blocks) => {
                for (at, block) in blocks.into_iter().enumerate() {
                    let text = self.only_text(block, &format!("{path}.content[{at}]"))?;
                    self.reader.push_text(&mut parts, text);
                }
            }
        }
        if self.has_reply {
            self.push(Speaker::System, parts);
            return Ok(());
        }
        for part in parts {
            if let Part::Text(text) = part {
                self.add_instructions(text);
            }
        }
        Ok(())
    }

    fn add_users(&mut self, path: &str, content: Content<'a>) -> Result<(), Rejection> {
        let blocks = match content {
            Content::Text(Text(text)) => {
                let mut parts = Vec::new();
                self.reader.push_text(&mut parts, text);
                self.push(Speaker::User { name: None }, parts);
                return Ok(());
            }
            Content::List(blocks) => blocks,
        };
        let is_result = |block: &Block<'_>| block.kind.as_str() == "tool_result";
        self.reader.is_among_results = blocks.iter().any(is_result);
        let mut parts = Vec::new();
        for (at, block) in blocks.into_iter().enumerate() {
            let path = format!("{path}.content[{at}]");
            if is_result(&block) {
                self.push(Speaker::User { name: None }, std::mem::take(&mut parts));
                self.add_result(&path, block)?;
            } else {
                self.reader.users_block(&mut parts, &path, block)?;
            }
        }
        self.push(Speaker::User { name: None }, parts);
        self.reader.is_among_results = false;
        Ok(())
    }

    /// A result is told even if no call is known that it belongs to: clients cut histories anywhere,
    /// and a session that is refused once is refused for good.
    fn add_result(&mut self, path: &str, block: Block<'a>) -> Result<(), Rejection> {
        let Some(Text(call_id)) = block.tool_use_id.clone() else {
            return Err(Rejection::missing(format!("{path}.tool_use_id")));
        };
        let has_failed = block.is_error == Some(true);
        let parts = self.reader.result(path, block)?;
        let name = self.called.get(&call_id).cloned();
        self.turns.push(Turn {
            speaker: Speaker::Tool {
                call_id,
                name,
                has_failed,
            },
            parts,
        });
        Ok(())
    }

    fn add_assistants(&mut self, path: &str, content: Content<'a>) -> Result<(), Rejection> {
        let mut parts = Vec::new();
        match content {
            Content::Text(Text(text)) => self.reader.push_text(&mut parts, text),
            Content::List(blocks) => {
                // Calls come last in a turn, whatever was said between them.
                let mut calls = Vec::new();
                for (at, block) in blocks.into_iter().enumerate() {
                    let path = format!("{path}.content[{at}]");
                    if block.kind.as_str() == "tool_use" {
                        let call = self.call(&path, block)?;
                        self.called.insert(call.id.clone(), call.name.clone());
                        calls.push(Part::ToolCall(call));
                    } else {
                        self.reader.assistants_block(&mut parts, &path, block)?;
                    }
                }
                parts.append(&mut calls);
            }
        }
        self.has_reply = true;
        // A turn that only thought is no turn, and no reply either.
        if !parts.is_empty() {
            self.reader.replied();
        }
        let thoughts = self.reader.thoughts.take().filter(|_| !parts.is_empty());
        let at = self.turns.len();
        self.thoughts.extend(thoughts.map(|blocks| (at, blocks)));
        self.push(Speaker::Assistant { name: None }, parts);
        Ok(())
    }

    fn call(&mut self, path: &str, block: Block<'a>) -> Result<ToolCall<'a>, Rejection> {
        self.reader.note_members(&block);
        let (Some(Text(id)), Some(Text(name))) = (block.id, block.name) else {
            return Err(Rejection::missing(format!("{path}.id and {path}.name")));
        };
        let input = block.input.map_or("{}", |input| input.get());
        Ok(ToolCall {
            id,
            name,
            arguments: Cow::Borrowed(if input == "null" { "{}" } else { input }),
        })
    }

    fn push(&mut self, speaker: Speaker<'a>, parts: Vec<Part<'a>>) {
        if !parts.is_empty() {
            self.turns.push(Turn { speaker, parts });
        }
    }

    /// The conversation, once it is known what there is to answer.
    fn finish(mut self) -> Result<History<'a>, Rejection> {
        let prefill = self.take_prefill();
        if self.turns.is_empty() && prefill.is_none() {
            let Some(text) = self.instructions.take() else {
                return Err(Rejection::invalid(
                    "messages",
                    "Invalid 'messages': every message is empty. Send at least one with text in its 'content'.",
                ));
            };
            self.push(Speaker::User { name: None }, vec![Part::Text(text)]);
        }
        Ok(History {
            conversation: Conversation {
                instructions: self.instructions,
                turns: self.turns,
                prefill,
            },
            last_image: self.reader.last_image,
            loaded_tools: self.reader.loaded_tools,
            thoughts: self.thoughts,
        })
    }

    /// The text of a last message by the assistant, which the answer is to continue; one with calls
    /// is a turn like any other.
    fn take_prefill(&mut self) -> Option<Cow<'a, str>> {
        let turn = self.turns.last()?;
        let (Speaker::Assistant { .. }, [Part::Text(text)]) =
            (&turn.speaker, turn.parts.as_slice())
        else {
            return None;
        };
        let text = text.clone();
        self.turns.pop();
        Some(text)
    }
}
