//! Input items, read into a [`Conversation`].
//!
//! Where chat completions have one message, this API has several items: a reply's text and each of
//! its calls are items of their own, which are joined to one turn here, so that both APIs fold
//! alike. Items that are only about the API itself, or that tell what OpenAI's own tools did, are
//! left out and named.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;

use super::content::Parts;
use super::exposed::Names;
use crate::translate::ask::{Conversation, Part, Speaker, ToolCall, Turn, join};
use crate::translate::draft::read_at;
use crate::translate::face::chat::messages::MessageLimits;
use crate::translate::notes::Members;
use crate::translate::rejection::{Cause, Rejection};
use crate::translate::tools::text::arguments_of_text;
use crate::wire::openai::responses::InputItem;
use crate::wire::text::Text;

/// What is read of the items, and what it is read with.
pub struct Builder<'a, 'l> {
    pub names: &'l Names,
    pub members: &'l mut Members,
    parts: Parts<'l>,
    instructions: Option<Cow<'a, str>>,
    turns: Vec<Turn<'a>>,
    /// What each call so far has called, by the call's id.
    called: HashMap<Cow<'a, str>, Cow<'a, str>>,
    /// The ids of calls of programs, by the ids of their items, which outputs may name instead.
    programs: HashMap<Cow<'a, str>, Cow<'a, str>>,
    /// The calls that have no output so far.
    open_calls: HashSet<Cow<'a, str>>,
    /// Whether what was said before is not known, so that outputs may come without their calls.
    is_excerpt: bool,
}

impl<'a, 'l> Builder<'a, 'l> {
    pub fn new(
        instructions: Option<Cow<'a, str>>,
        names: &'l Names,
        limits: &'l MessageLimits,
        members: &'l mut Members,
    ) -> Self {
        Self {
            names,
            members,
            parts: Parts::new(limits),
            instructions: instructions.filter(|text| !text.is_empty()),
            turns: Vec::new(),
            called: HashMap::new(),
            programs: HashMap::new(),
            open_calls: HashSet::new(),
            is_excerpt: false,
        }
    }

    /// For items whose conversation is elsewhere, and which are only to be judged.
    pub fn of_excerpt(
        names: &'l Names,
        limits: &'l MessageLimits,
        members: &'l mut Members,
    ) -> Self {
        Self {
            is_excerpt: true,
            ..Self::new(None, names, limits, members)
        }
    }

    /// A text in the place of items: the user says it.
    pub fn say(&mut self, text: Cow<'a, str>) {
        if !text.is_empty() {
            self.turns.push(Turn {
                speaker: Speaker::User { name: None },
                parts: vec![Part::Text(text)],
            });
        }
    }

    /// Adds the item at `path`.
    ///
    /// # Errors
    /// What cannot be carried, a role nobody knows, a result without its call, and an item of an
    /// unknown type that says something.
    pub fn add(&mut self, path: &str, item: InputItem<'a>) -> Result<(), Rejection> {
        let kind = item.kind.as_ref().map_or("message", Text::as_str);
        match kind {
            "message" => self.message(path, item),
            "function_call" | "custom_tool_call" => self.call(path, item),
            _ if is_call_of_program(kind) => self.program_call(item),
            "function_call_output"
            | "custom_tool_call_output"
            | "shell_call_output"
            | "apply_patch_call_output"
            | "local_shell_call_output" => self.output(path, item),
            // Nobody is shown what was thought before, and tools are offered elsewhere.
            "reasoning" | "additional_tools" => Ok(()),
            "compaction" | "compaction_trigger" => Err(no_compaction(path)),
            _ if is_of_a_hosted_tool(kind) => {
                self.members.add("input[]", kind);
                Ok(())
            }
            _ => self.unknown(path, item),
        }
    }

    fn message(&mut self, path: &str, item: InputItem<'a>) -> Result<(), Rejection> {
        self.members.add_unknown("input[]", &item.unknown);
        let role = item
            .role
            .ok_or_else(|| Rejection::missing(format!("{path}.role")))?;
        let speaker = match role.as_str() {
            "user" => Speaker::User { name: None },
            "assistant" => Speaker::Assistant { name: None },
            "system" | "developer" => Speaker::System,
            _ => {
                let path = format!("{path}.role");
                let message =
                    format!("Invalid '{path}': it must be user, assistant, system or developer.");
                return Err(Rejection::invalid(path, message));
            }
        };
        let parts = self.content(item.content, &format!("{path}.content"))?;
        let is_thought = matches!(speaker, Speaker::Assistant { .. }) && is_thought(&parts);
        if parts.is_empty() || is_thought {
            return Ok(());
        }
        match speaker {
            Speaker::System if self.turns.is_empty() => self.instruct(path, parts),
            speaker => {
                if matches!(speaker, Speaker::Assistant { .. }) {
                    self.parts.replied();
                }
                self.turns.push(Turn { speaker, parts });
                Ok(())
            }
        }
    }

    fn content(
        &mut self,
        raw: Option<&'a RawValue>,
        path: &str,
    ) -> Result<Vec<Part<'a>>, Rejection> {
        self.parts.read(raw, path, self.members)
    }

    fn instruct(&mut self, path: &str, parts: Vec<Part<'a>>) -> Result<(), Rejection> {
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

    fn call(&mut self, path: &str, item: InputItem<'a>) -> Result<(), Rejection> {
        self.members.add_unknown("input[]", &item.unknown);
        let missing = |name: &str| Rejection::missing(format!("{path}.{name}"));
        let Text(id) = item.call_id.ok_or_else(|| missing("call_id"))?;
        let Text(name) = item.name.ok_or_else(|| missing("name"))?;
        let namespace = item.namespace.as_ref().map(Text::as_str);
        let name = self.names.shown_in_history(namespace, name);
        let is_custom = item.kind.as_ref().map(Text::as_str) == Some("custom_tool_call");
        let arguments = match is_custom {
            true => arguments_of_text(&text_of(item.input, &format!("{path}.input"))?).into(),
            false => match text_of(item.arguments, &format!("{path}.arguments"))? {
                nothing if nothing.trim().is_empty() => Cow::Borrowed("{}"),
                arguments => arguments,
            },
        };
        self.push_call(ToolCall {
            id,
            name,
            arguments,
        });
        Ok(())
    }

    /// A call of one of the client's own programs, under the name of its kind.
    fn program_call(&mut self, item: InputItem<'a>) -> Result<(), Rejection> {
        let id = item.call_id.or_else(|| item.id.clone());
        let id = id.map(|Text(id)| id).unwrap_or_default();
        if let Some(Text(item)) = item.id {
            self.programs.insert(item, id.clone());
        }
        let name = match item.kind.map(|Text(kind)| kind) {
            Some(kind) => kind.trim_end_matches("_call").to_owned(),
            None => String::new(),
        };
        let arguments = item.action.or(item.operation).map_or("{}", RawValue::get);
        self.push_call(ToolCall {
            id,
            name: name.into(),
            arguments: arguments.into(),
        });
        Ok(())
    }

    /// Calls belong to the reply before them.
    fn push_call(&mut self, call: ToolCall<'a>) {
        self.called.insert(call.id.clone(), call.name.clone());
        self.open_calls.insert(call.id.clone());
        self.parts.replied();
        match self.turns.last_mut() {
            Some(Turn {
                speaker: Speaker::Assistant { .. },
                parts,
            }) => {
                parts.push(Part::ToolCall(call));
            }
            _ => self.turns.push(Turn {
                speaker: Speaker::Assistant { name: None },
                parts: vec![Part::ToolCall(call)],
            }),
        }
    }

    fn output(&mut self, path: &str, item: InputItem<'a>) -> Result<(), Rejection> {
        let kind = item.kind.as_ref().map(Text::as_str);
        let is_program = kind.is_some_and(is_output_of_program);
        let id = item.call_id.or(item.id.filter(|_| is_program));
        let Text(id) = id.ok_or_else(|| Rejection::missing(format!("{path}.call_id")))?;
        let named = self.programs.get(&id).filter(|_| is_program);
        let call_id = match self.called.contains_key(&id) {
            false => named.cloned().unwrap_or(id),
            true => id,
        };
        let name = self.called.get(&call_id).cloned();
        let Some(name) = name.or_else(|| self.is_excerpt.then(Cow::default)) else {
            let path = format!("{path}.call_id");
            let message = format!(
                "Invalid '{path}': no item before it is a call of this id. Put the call before its output, or leave the \
                 output out."
            );
            return Err(Rejection::invalid(path, message));
        };
        let output = format!("{path}.output");
        let parts = match item.output {
            // A list of what a shell has written, or an object: as it is.
            Some(raw) if is_program && !raw.get().starts_with('"') => {
                vec![Part::Text(raw.get().into())]
            }
            raw => self.content(raw, &output)?,
        };
        self.open_calls.remove(&call_id);
        self.turns.push(Turn {
            speaker: Speaker::Tool {
                call_id,
                name: Some(name),
                has_failed: false,
            },
            parts,
        });
        Ok(())
    }

    /// New types of items come every few months: one that says nothing does no harm, and a text in
    /// one is a text.
    fn unknown(&mut self, path: &str, item: InputItem<'a>) -> Result<(), Rejection> {
        if item.content.is_none() {
            let kind = item.kind.as_ref().map_or("", Text::as_str);
            self.members.add("input[]", kind);
            return Ok(());
        }
        let known = item.role.is_some();
        match self.message(path, item) {
            Ok(()) => Ok(()),
            Err(rejection) if known => Err(rejection),
            Err(_) => {
                let path = format!("{path}.type");
                let message = format!(
                    "Invalid '{path}': items of this type are not known here. Leave it out."
                );
                Err(Rejection::invalid(path, message))
            }
        }
    }

    /// The conversation, and where its last image stands.
    ///
    /// # Errors
    /// Nothing to answer, and a call at the end that has no output.
    pub fn finish(mut self) -> Result<(Conversation<'a>, Option<String>), Rejection> {
        // Agents send such a message to have the model go on.
        while self.turns.len() > 1 && self.turns.last().is_some_and(is_blank) {
            self.turns.pop();
        }
        let ends_in_reply = matches!(
            self.turns.last(),
            Some(Turn {
                speaker: Speaker::Assistant { .. },
                ..
            })
        );
        if ends_in_reply && !self.open_calls.is_empty() {
            return Err(Rejection::invalid(
                "input",
                "Invalid 'input': it ends with a call that has no output. Add an item with the output of each call.",
            ));
        }
        if self.turns.is_empty() {
            let Some(text) = self.instructions.take() else {
                return Err(Rejection::of(
                    Cause::MissingParameter,
                    "input",
                    "Missing required parameter: 'input'. Send a text such as \"input\": \"Hello\", or a list of items.",
                ));
            };
            self.say(text);
        }
        let conversation = Conversation {
            instructions: self.instructions,
            turns: self.turns,
            prefill: None,
        };
        Ok((conversation, self.parts.last_image))
    }
}

/// A member that is a text, or JSON that stands for one.
fn text_of<'a>(raw: Option<&'a RawValue>, path: &str) -> Result<Cow<'a, str>, Rejection> {
    match raw {
        None => Ok(Cow::Borrowed("")),
        Some(raw) if raw.get().starts_with('"') => {
            let Text(text) = read_at(raw, path, "a string")?;
            Ok(text)
        }
        Some(raw) => Ok(Cow::Borrowed(raw.get())),
    }
}

/// Items that tell what tools did that OpenAI ran. They stand in histories that began there.
fn is_of_a_hosted_tool(kind: &str) -> bool {
    const TOOLS: [&str; 9] = [
        "web_search",
        "file_search",
        "image_generation",
        "code_interpreter",
        "computer",
        "mcp",
        "tool_search",
        "program",
        "multi_agent",
    ];
    TOOLS.iter().any(|tool| kind.starts_with(tool))
}

/// Whether a reply is nothing but what was thought; some clients send reasoning back so.
fn is_thought(parts: &[Part<'_>]) -> bool {
    let [Part::Text(text)] = parts else {
        return false;
    };
    let inside = text.trim().strip_prefix("<think>");
    let inside = inside.and_then(|text| text.strip_suffix("</think>"));
    inside.is_some_and(|thought| !thought.contains("</think>"))
}

/// Whether a user says nothing but white space in a turn.
fn is_blank(turn: &Turn<'_>) -> bool {
    let says_nothing = |part: &Part<'_>| matches!(part, Part::Text(text) if text.trim().is_empty());
    matches!(turn.speaker, Speaker::User { .. }) && turn.parts.iter().all(says_nothing)
}

/// The id of an item, if it has one. An output of a program without `call_id` names its call by `id`
/// (source: OpenAI's API description 2.3.0, `LocalShellToolCallOutput`).
pub fn own_id<'i>(item: &'i InputItem<'_>) -> Option<&'i str> {
    let is_of_program = item
        .kind
        .as_ref()
        .is_some_and(|kind| is_output_of_program(kind.as_str()));
    let id = item.id.as_ref().map(Text::as_str);
    id.filter(|_| !is_of_program || item.call_id.is_some())
}

/// Whether items of a kind are calls of one of the client's own programs.
pub fn is_call_of_program(kind: &str) -> bool {
    matches!(kind, "local_shell_call" | "shell_call" | "apply_patch_call")
}

/// Whether items of a kind tell what one of the client's own programs has written.
pub fn is_output_of_program(kind: &str) -> bool {
    matches!(
        kind,
        "local_shell_call_output" | "shell_call_output" | "apply_patch_call_output"
    )
}

/// Whether an item only names another; its type may be left out.
pub fn is_reference(item: &InputItem<'_>) -> bool {
    match &item.kind {
        Some(kind) => kind.as_str() == "item_reference",
        None => item.id.is_some() && item.role.is_none() && item.content.is_none(),
    }
}

fn no_compaction(path: &str) -> Rejection {
    Rejection::of(
        Cause::UnsupportedValue,
        path,
        format!(
            "Unsupported value: '{path}': what OpenAI has compacted cannot be read here, and without it the \
             conversation would be lost. Send the conversation itself."
        ),
    )
}
