//! `tools`, `tool_choice` and their older names, read into an [`ToolSet`].

use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::translate::draft::{Draft, Field};
use crate::translate::face::functions::{
    is_empty_list, is_plain_name, parameters, refuse_long_tools,
};
use crate::translate::notes::Members;
use crate::translate::rejection::{Cause, Rejection};
use crate::translate::tools::{Choice, OwnedTool, Tool, ToolSet};
use crate::wire::list::List;
use crate::wire::object::objects;
use crate::wire::text::Text;

/// The most tools OpenAI takes.
const MAX_TOOLS: usize = 128;

objects! {
    /// One of `tools`.
    "an object such as {\"type\": \"function\", \"function\": {\"name\": ...}}"
    pub struct RequestTool<'a> {
        "type" => kind: Text<'a>,
        "function" => function: Option<Function<'a>>,
    }

    /// A function: the `function` of a tool, or one of `functions`.
    "an object such as {\"name\": ..., \"parameters\": {...}}"
    pub struct Function<'a> {
        "name" => name: Text<'a>,
        "description" => description: Option<Text<'a>>,
        "parameters" => parameters: Option<&'a RawValue>,
        "strict" => strict: Option<bool>,
    }

    /// `{"type": "function", "function": {"name": ...}}`, `{"type": "allowed_tools", ...}`, or the
    /// older `{"name": ...}`.
    "an object that names a function"
    pub struct ChoiceObject<'a> {
        "type" => kind: Option<Text<'a>>,
        "function" => function: Option<Named<'a>>,
        "allowed_tools" => allowed_tools: Option<AllowedTools<'a>>,
        "name" => name: Option<Text<'a>>,
    }

    /// A function's name.
    "an object with a 'name'"
    pub struct Named<'a> {
        "name" => name: Text<'a>,
    }

    /// The tools that may be called, out of those that are offered.
    "an object with a 'mode' and 'tools'"
    pub struct AllowedTools<'a> {
        "mode" => mode: Text<'a>,
        "tools" => tools: List<AllowedTool<'a>, MAX_TOOLS>,
    }

    /// One of them.
    "an object such as {\"type\": \"function\", \"function\": {\"name\": ...}}"
    pub struct AllowedTool<'a> {
        "type" => kind: Option<Text<'a>>,
        "function" => function: Option<Named<'a>>,
        "name" => name: Option<Text<'a>>,
    }
}

/// The tools of a request; `None` when there are none or none may be called.
///
/// # Errors
/// Tools of other types than function, names that OpenAI would refuse, and a choice that names a
/// tool which is not offered.
pub fn offer<'a>(draft: &mut Draft<'a>) -> Result<Option<ToolSet<'a>>, Rejection> {
    let (tools, as_functions) = match (draft.tools, draft.functions) {
        (Some(raw), _) if !is_empty_list(raw) => (read_tools(draft, raw)?, false),
        (_, Some(raw)) if !is_empty_list(raw) => (parse_functions(raw, &mut draft.members)?, true),
        _ => return refuse_choice_without_tools(draft).map(|()| None),
    };
    let of_the_other_age = match as_functions {
        true => ["tools", "tool_choice"],
        false => ["functions", "function_call"],
    };
    draft.ignore_after_all(of_the_other_age);
    refuse_twins(&tools, if as_functions { "functions" } else { "tools" })?;
    let (name, raw) = match as_functions {
        true => ("function_call", draft.function_call),
        false => ("tool_choice", draft.tool_choice),
    };
    let parallel = draft.parallel_tool_calls != Some(false) && !as_functions;
    let offer = ToolSet {
        tools,
        choice: Choice::Auto,
        parallel,
        as_functions,
    };
    match raw {
        None => Ok(Some(offer)),
        Some(value) => choose(offer, &Field::new(name, value), &mut draft.members),
    }
}

/// Two tools of one name would make every call of it ambiguous.
fn refuse_twins(tools: &[Tool<'_>], list: &str) -> Result<(), Rejection> {
    let mut names = HashSet::new();
    match tools
        .iter()
        .position(|tool| !names.insert(tool.name.as_ref()))
    {
        None => Ok(()),
        Some(at) => {
            let path = format!("{list}[{at}]");
            let message =
                format!("Invalid '{path}': another tool has the same name. Give each its own.");
            Err(Rejection::invalid(path, message))
        }
    }
}

/// Applies `tool_choice` to an offer.
fn choose<'a>(
    mut offer: ToolSet<'a>,
    field: &Field<'a>,
    members: &mut Members,
) -> Result<Option<ToolSet<'a>>, Rejection> {
    if field.value.get().starts_with('"') {
        let Text(word) = field.parse("a choice")?;
        offer.choice = match word.as_ref() {
            "none" => return Ok(None),
            "auto" => Choice::Auto,
            "required" | "any" => Choice::Required,
            _ => return Err(unknown_choice(field)),
        };
        return Ok(Some(offer));
    }
    let choice: ChoiceObject<'a> =
        field.parse("none, auto, required, or an object that names a function")?;
    note_choice_members(&choice, field.name, members);
    let named = choice
        .function
        .map(|function| function.name)
        .or(choice.name);
    match (choice.allowed_tools, named) {
        (Some(allowed), _) => {
            offer.choice = match allowed.mode.as_str() {
                "auto" => Choice::Auto,
                "required" => Choice::Required,
                _ => return Err(unknown_choice(field)),
            };
            let names = all_of(allowed.tools, field)?
                .into_iter()
                .filter_map(|tool| tool.function.map(|named| named.name).or(tool.name));
            keep(&mut offer, &names.collect::<Vec<_>>(), field)?;
        }
        (None, Some(name)) => {
            offer.choice = Choice::Required;
            offer.parallel = false;
            keep(&mut offer, &[name], field)?;
        }
        (None, None) if choice.kind.is_some_and(|kind| kind.as_str() == "custom") => {
            return Err(custom_tools(field.name));
        }
        (None, None) => return Err(unknown_choice(field)),
    }
    Ok(Some(offer))
}

/// Members of a choice that have no effect.
fn note_choice_members(choice: &ChoiceObject<'_>, path: &'static str, members: &mut Members) {
    members.add_unknown(path, &choice.unknown);
    if let Some(function) = &choice.function {
        members.add_unknown("tool_choice.function", &function.unknown);
    }
    let Some(allowed) = &choice.allowed_tools else {
        return;
    };
    members.add_unknown("tool_choice.allowed_tools", &allowed.unknown);
    for tool in &allowed.tools.items {
        members.add_unknown("tool_choice.allowed_tools.tools[]", &tool.unknown);
        if let Some(function) = &tool.function {
            members.add_unknown(
                "tool_choice.allowed_tools.tools[].function",
                &function.unknown,
            );
        }
    }
}

/// Leaves only the named tools in the offer.
fn keep<'a>(
    offer: &mut ToolSet<'a>,
    names: &[Text<'a>],
    field: &Field<'a>,
) -> Result<(), Rejection> {
    let is_offered = |name: &Text<'_>| offer.tools.iter().any(|tool| tool.name == name.0);
    if names.is_empty() || !names.iter().all(is_offered) {
        let message = format!(
            "Invalid '{}': it names a tool that the request does not offer.",
            field.name
        );
        return Err(field.invalid(message));
    }
    offer
        .tools
        .retain(|tool| names.iter().any(|name| name.0 == tool.name));
    Ok(())
}

fn all_of<T>(list: List<T, MAX_TOOLS>, field: &Field<'_>) -> Result<Vec<T>, Rejection> {
    match list.is_cut() {
        false => Ok(list.items),
        true => Err(field.invalid(format!(
            "Invalid '{}': at most {MAX_TOOLS} tools can be offered. Send fewer.",
            field.name
        ))),
    }
}

/// The tools that are sent; of those that are known, what was made of them before.
fn read_tools<'a>(draft: &mut Draft<'a>, raw: &'a RawValue) -> Result<Vec<Tool<'a>>, Rejection> {
    let Some(known) = draft.sent_tools.and_then(|sent| sent.known) else {
        return parse_tools(raw, &mut draft.members);
    };
    known.functions(&mut draft.members, |raw, members| {
        let tools = parse_tools(raw, members)?;
        Ok(tools.into_iter().map(OwnedTool::from).collect())
    })
}

fn parse_tools<'a>(raw: &'a RawValue, members: &mut Members) -> Result<Vec<Tool<'a>>, Rejection> {
    let field = Field::new("tools", raw);
    refuse_long_tools(&field)?;
    let tools: List<RequestTool<'_>, MAX_TOOLS> = field
        .parse("a list of tools such as {\"type\": \"function\", \"function\": {\"name\": ...}}")?;
    let tools = all_of(tools, &field)?;
    let read = tools.into_iter().enumerate().map(|(at, tool)| {
        members.add_unknown("tools[]", &tool.unknown);
        let path = format!("tools[{at}].function");
        match (tool.kind.as_str(), tool.function) {
            ("function", Some(function)) => {
                members.add_unknown("tools[].function", &function.unknown);
                parse_function(function, &path)
            }
            ("function", None) => Err(Rejection::missing(path)),
            _ => Err(custom_tools(&format!("tools[{at}].type"))),
        }
    });
    read.collect()
}

fn parse_functions<'a>(
    raw: &'a RawValue,
    members: &mut Members,
) -> Result<Vec<Tool<'a>>, Rejection> {
    let field = Field::new("functions", raw);
    refuse_long_tools(&field)?;
    let functions: List<Function<'_>, MAX_TOOLS> =
        field.parse("a list of functions such as {\"name\": ...}")?;
    let functions = all_of(functions, &field)?;
    let read = functions.into_iter().enumerate().map(|(at, function)| {
        members.add_unknown("functions[]", &function.unknown);
        parse_function(function, &format!("functions[{at}]"))
    });
    read.collect()
}

fn parse_function<'a>(function: Function<'a>, path: &str) -> Result<Tool<'a>, Rejection> {
    let Text(name) = function.name;
    if !is_plain_name(&name) {
        let path = format!("{path}.name");
        let message = format!(
            "Invalid '{path}': a name has 1 to 64 letters, digits, underscores and hyphens."
        );
        return Err(Rejection::invalid(path, message));
    }
    let path = format!("{path}.parameters");
    Ok(Tool {
        parameters: parameters(function.parameters, &path)?,
        path,
        name,
        description: function.description.map(|Text(text)| text),
        strict: function.strict == Some(true),
        text: None,
    })
}

/// `none` and `auto` say nothing where there are no tools; anything else asks for the impossible.
fn refuse_choice_without_tools(draft: &Draft<'_>) -> Result<(), Rejection> {
    let says_nothing = |raw: &RawValue| matches!(raw.get(), "\"none\"" | "\"auto\"");
    for (name, raw) in [
        ("tool_choice", draft.tool_choice),
        ("function_call", draft.function_call),
    ] {
        if raw.is_some_and(|raw| !says_nothing(raw)) {
            let message =
                format!("Invalid '{name}': it asks for a call, but the request offers no tools.");
            return Err(Rejection::invalid(name, message));
        }
    }
    Ok(())
}

fn unknown_choice(field: &Field<'_>) -> Rejection {
    let name = field.name;
    field.invalid(format!(
        "Invalid '{name}': it must be none, auto, required, or an object that names a function."
    ))
}

fn custom_tools(param: &str) -> Rejection {
    Rejection::of(
        Cause::UnsupportedValue,
        param,
        "Unsupported value: only tools of type function can be offered. Describe the tool as a function with a \
         string argument.",
    )
}
