//! `tools`, `tool_choice`, and the tools that stand in input items, read into an [`ToolSet`].

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::exposed::Names;
use crate::translate::draft::{Draft, Field, read_at};
use crate::translate::face::functions::{is_empty_list, parameters, refuse_long_tools};
use crate::translate::notes::Members;
use crate::translate::rejection::{Cause, Rejection};
use crate::translate::tools::text::ONE_TEXT;
use crate::translate::tools::{Choice, TextFormat, Tool, ToolSet};
use crate::wire::list::List;
use crate::wire::openai::responses::{AllowedTool, CustomFormat, ResponseTool, ToolChoice};
use crate::wire::text::Text;

/// The most tools of a request, those in namespaces and input items included.
const MAX_TOOLS: usize = 256;
/// The longest name of a tool (source: OpenAI's `FunctionTool`).
const LONGEST_NAME: usize = 128;

/// Tools that hold data or servers of the caller's: without them an answer would be another one.
/// The last three are the client's own programs, in a form that no function has.
const REFUSED: [&str; 8] = [
    "file_search",
    "code_interpreter",
    "mcp",
    "computer",
    "computer_use_preview",
    "local_shell",
    "shell",
    "apply_patch",
];

/// The tools of a request as they are collected from its lists.
#[derive(Debug, Default)]
pub struct Toolbox<'a> {
    tools: Vec<InSpace<'a>>,
    /// What each namespace says that it is about.
    abouts: Vec<Option<Cow<'a, str>>>,
    pub names: Names,
    /// How many tools were read, offered or not.
    seen: usize,
}

impl<'a> Toolbox<'a> {
    /// Reads one list of tools, at `path`.
    ///
    /// # Errors
    /// Tools that cannot be honoured, malformed ones, too many, and two of one name.
    pub fn read(
        &mut self,
        raw: &'a RawValue,
        path: &str,
        members: &mut Members,
    ) -> Result<(), Rejection> {
        refuse_long_tools(&Field::new("tools", raw))?;
        self.read_list(raw, path, None, members)
    }

    fn read_list(
        &mut self,
        raw: &'a RawValue,
        path: &str,
        namespace: Option<&str>,
        members: &mut Members,
    ) -> Result<(), Rejection> {
        const EXPECTED: &str = "a list of tools such as {\"type\": \"function\", \"name\": ...}";
        let list: List<ResponseTool<'a>, MAX_TOOLS> = read_at(raw, path, EXPECTED)?;
        self.seen = self.seen.saturating_add(list.total);
        if self.seen > MAX_TOOLS {
            let message =
                format!("Invalid '{path}': at most {MAX_TOOLS} tools can be offered. Send fewer.");
            return Err(Rejection::invalid(path, message));
        }
        for (at, tool) in list.items.into_iter().enumerate() {
            let path = format!("{path}[{at}]");
            match (tool.kind.as_str(), namespace) {
                ("function" | "custom", _) => self.read_tool(tool, &path, namespace, members)?,
                ("namespace", None) => self.read_namespace(tool, &path, members)?,
                (kind, _) if REFUSED.contains(&kind) => return Err(unavailable(&path)),
                (kind, _) => members.add("tools[]", kind),
            }
        }
        Ok(())
    }

    fn read_namespace(
        &mut self,
        tool: ResponseTool<'a>,
        path: &str,
        members: &mut Members,
    ) -> Result<(), Rejection> {
        let name = name_of(tool.name, path)?;
        let raw = tool
            .tools
            .ok_or_else(|| Rejection::missing(format!("{path}.tools")))?;
        let about = tool.description.map(|Text(text)| text);
        self.abouts.push(about.filter(|text| !text.is_empty()));
        self.read_list(raw, &format!("{path}.tools"), Some(&name), members)
    }

    /// Reads a function or a custom tool.
    fn read_tool(
        &mut self,
        tool: ResponseTool<'a>,
        path: &str,
        space: Option<&str>,
        members: &mut Members,
    ) -> Result<(), Rejection> {
        let is_custom = tool.kind.as_str() == "custom";
        members.add_unknown("tools[]", &tool.unknown);
        if tool.allowed_callers.is_some_and(|raw| !names_direct(raw)) {
            members.add("tools[]", "allowed_callers");
            return Ok(());
        }
        let name = name_of(tool.name, path)?;
        let mut description = tool.description.map(|Text(text)| text);
        let mut text = None;
        let parameters = match is_custom {
            true => {
                let at = format!("{path}.format");
                let format = tool.format.map(|raw| read_at(raw, &at, "a format"));
                let format = format.transpose()?;
                text = text_format(format.as_ref(), &name, at)?;
                description = Some(about_custom(description, format));
                serde_json::from_str::<&'static RawValue>(ONE_TEXT).ok()
            }
            false => parameters(tool.parameters, &format!("{path}.parameters"))?,
        };
        let path = format!("{path}.parameters");
        let name = self.expose(space, &name, is_custom, &path)?;
        let tool = Tool {
            path,
            name: name.into(),
            description,
            parameters,
            // A text in any other form than asked for could not be handed over.
            strict: is_custom || tool.strict == Some(true),
            text,
        };
        let space = space.and_then(|_| self.abouts.len().checked_sub(1));
        self.tools.push((space, tool));
        Ok(())
    }

    /// A later list may bring a tool again: the newer one counts. In one list two of a name would
    /// make every call ambiguous.
    fn expose(
        &mut self,
        namespace: Option<&str>,
        name: &str,
        is_custom: bool,
        path: &str,
    ) -> Result<String, Rejection> {
        let Some(known) = self.names.exactly(namespace, name) else {
            return Ok(self.names.expose(namespace, name, is_custom));
        };
        let list = |path: &str| path.rsplit_once('[').map(|(list, _)| list.to_owned());
        let shown = known.shown.clone();
        let before = self.tools.iter().position(|(_, tool)| tool.name == shown);
        if let Some(before) = before {
            let (_, twin) = self.tools.remove(before);
            if list(&twin.path) == list(path) {
                let path = path.trim_end_matches(".parameters");
                let message =
                    format!("Invalid '{path}': another tool has the same name. Give each its own.");
                return Err(Rejection::invalid(path, message));
            }
        }
        self.names.set_custom(&shown, is_custom);
        Ok(shown)
    }

    /// What may be called of it; `None` when there are no tools or none may be called.
    ///
    /// # Errors
    /// A choice that nobody knows, or that names a tool which is not offered.
    pub fn offer(&mut self, draft: &mut Draft<'a>) -> Result<Option<ToolSet<'a>>, Rejection> {
        let choice = draft
            .tool_choice
            .map(|value| Field::new("tool_choice", value));
        if self.tools.is_empty() {
            return match choice {
                Some(field) if !matches!(field.value.get(), "\"none\"" | "\"auto\"") => {
                    Err(field.invalid(
                        "Invalid 'tool_choice': it asks for a call, but the request offers no tools that can be called here.",
                    ))
                }
                _ => Ok(None),
            };
        }
        let mut parallel = draft.parallel_tool_calls != Some(false);
        let choice = match choice {
            None => Choice::Auto,
            Some(field) if field.value.get().starts_with('"') => {
                let Text(word) = field.parse("a choice")?;
                match word.as_ref() {
                    "none" => return Ok(None),
                    "auto" => Choice::Auto,
                    "required" => Choice::Required,
                    _ => return Err(unknown_choice(&field)),
                }
            }
            Some(field) => {
                let choice: ToolChoice<'a> =
                    field.parse("none, auto, required, or an object that names a tool")?;
                parallel &= !matches!(choice.kind.as_str(), "function" | "custom");
                self.choose(choice, &field, &mut draft.members)?
            }
        };
        Ok(Some(ToolSet {
            tools: self.take_tools(),
            choice,
            parallel,
            as_functions: false,
        }))
    }

    /// All tools; what a namespace is about is told with the first one in it.
    fn take_tools(&mut self) -> Vec<Tool<'a>> {
        let tools = std::mem::take(&mut self.tools).into_iter();
        let told = tools.map(|(space, tool)| {
            let about = space.and_then(|space| self.abouts.get_mut(space)?.take());
            let Some(about) = about else {
                return tool;
            };
            let own = tool.description.unwrap_or_default();
            let both = format!("{about}\n\n{own}").trim_end().to_owned();
            Tool {
                description: Some(Cow::Owned(both)),
                ..tool
            }
        });
        told.collect()
    }

    /// Reads a choice that is no word, and leaves only the tools that it names.
    fn choose(
        &mut self,
        choice: ToolChoice<'a>,
        field: &Field<'a>,
        members: &mut Members,
    ) -> Result<Choice, Rejection> {
        members.add_unknown(field.name, &choice.unknown);
        let named = choice
            .name
            .or(choice.function.map(|function| function.name));
        match (choice.kind.as_str(), named, choice.tools) {
            ("function" | "custom", Some(name), _) => {
                let namespace = choice.namespace.as_ref().map(Text::as_str);
                let shown = self.names.shown(namespace, name.as_str());
                keep(&mut self.tools, &[shown], field)?;
                Ok(Choice::Required)
            }
            ("allowed_tools", _, Some(tools)) => {
                let mode = match choice.mode.as_ref().map_or("auto", Text::as_str) {
                    "auto" => Choice::Auto,
                    "required" => Choice::Required,
                    _ => return Err(unknown_choice(field)),
                };
                let shown = |tool: &AllowedTool<'_>| {
                    let namespace = tool.namespace.as_ref().map(Text::as_str);
                    self.names.shown(namespace, tool.name.as_ref()?.as_str())
                };
                // What is not offered here cannot be allowed either; it was named already.
                let is_callable =
                    |tool: &&AllowedTool<'_>| matches!(tool.kind.as_str(), "function" | "custom");
                let names: Vec<_> = tools.iter().filter(is_callable).map(shown).collect();
                keep(&mut self.tools, &names, field)?;
                Ok(mode)
            }
            ("function" | "custom" | "allowed_tools", ..) => Err(unknown_choice(field)),
            _ => Err(field.unsupported_value(
                "Unsupported value: 'tool_choice' names a tool that cannot be run here. \
                 Name a function or a custom tool.",
            )),
        }
    }
}

/// A tool, and which namespace it stands in.
type InSpace<'a> = (Option<usize>, Tool<'a>);

/// Leaves only the named tools.
fn keep(
    tools: &mut Vec<InSpace<'_>>,
    names: &[Option<&str>],
    field: &Field<'_>,
) -> Result<(), Rejection> {
    let is_offered = |name: &Option<&str>| {
        tools
            .iter()
            .any(|(_, tool)| Some(tool.name.as_ref()) == *name)
    };
    if names.is_empty() || !names.iter().all(is_offered) {
        return Err(field
            .invalid("Invalid 'tool_choice': it names a tool that the request does not offer."));
    }
    tools.retain(|(_, tool)| names.contains(&Some(tool.name.as_ref())));
    Ok(())
}

fn name_of<'a>(name: Option<Text<'a>>, path: &str) -> Result<Cow<'a, str>, Rejection> {
    let Text(name) = name.ok_or_else(|| Rejection::missing(format!("{path}.name")))?;
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    match (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(is_plain) {
        true => Ok(name),
        false => {
            let path = format!("{path}.name");
            let message = format!(
                "Invalid '{path}': a name has 1 to {LONGEST_NAME} letters, digits, underscores, dots and hyphens."
            );
            Err(Rejection::invalid(path, message))
        }
    }
}

/// What a model is told of a tool that takes a text.
fn about_custom<'a>(
    description: Option<Cow<'a, str>>,
    format: Option<CustomFormat<'a>>,
) -> Cow<'a, str> {
    let mut about = description.unwrap_or_default().into_owned();
    about.push_str("\n\n'input' is the text for the tool as it is: no JSON inside, and no code fence around it.");
    let syntax = format.as_ref().and_then(|format| format.syntax.as_ref());
    let definition = format
        .as_ref()
        .and_then(|format| format.definition.as_ref());
    if let Some(Text(definition)) = definition {
        let syntax = syntax.map_or("this", Text::as_str);
        about.push_str(&format!(
            " It follows this grammar ({syntax}):\n{definition}"
        ));
    }
    Cow::Owned(about.trim_start().to_owned())
}

/// What the text of a custom tool has to be like, as far as it can be told without the grammar of a
/// language: a regular expression is one, and of Codex's patches the first and the last line are
/// known.
fn text_format(
    format: Option<&CustomFormat<'_>>,
    name: &str,
    path: String,
) -> Result<Option<TextFormat>, Rejection> {
    let Some(format) = format.filter(|format| format.kind.as_str() == "grammar") else {
        return Ok(None);
    };
    let of = |member: &str| format!("{path}.{member}");
    let missing = |member| Rejection::missing(of(member));
    let syntax = format.syntax.as_ref().ok_or_else(|| missing("syntax"))?;
    let definition = format.definition.as_ref();
    let definition = definition.ok_or_else(|| missing("definition"))?;
    match syntax.as_str() {
        "regex" => Ok(TextFormat::regex(of("definition"), definition.as_str())),
        "lark" if name == "apply_patch" => Ok(TextFormat::patch(of("definition"))),
        "lark" => Ok(None),
        _ => {
            let path = of("syntax");
            let message = format!("Invalid '{path}': it must be lark or regex.");
            Err(Rejection::invalid(path, message))
        }
    }
}

/// Whether a model may call the tool by itself, and not only a program that it writes.
fn names_direct(callers: &RawValue) -> bool {
    is_empty_list(callers) || callers.get().contains("\"direct\"")
}

fn unavailable(path: &str) -> Rejection {
    let path = format!("{path}.type");
    let message = format!(
        "Unsupported value: '{path}': tools of this type cannot be run here. Offer a function in its place, or \
         leave it out."
    );
    Rejection::of(Cause::UnsupportedValue, path, message)
}

fn unknown_choice(field: &Field<'_>) -> Rejection {
    field.invalid(
        "Invalid 'tool_choice': it must be none, auto, required, or an object that names a tool.",
    )
}
