//! `tools`, `tool_choice`, `response_format` and their older names, read into an
//! [`Offer`] and an [`AnswerFormat`].

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::translate::ask::AnswerFormat;
use crate::translate::draft::{Draft, Field};
use crate::translate::rejection::{Cause, Rejection};
use crate::translate::tools::{Choice, Offer, Tool};
use crate::wire::text::Text;

/// The most tools OpenAI takes.
const MAX_TOOLS: usize = 128;

#[derive(Debug, Deserialize)]
struct RequestTool<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Debug, Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    description: Option<Text<'a>>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
    strict: Option<bool>,
}

/// `{"type": "function", "function": {"name": ...}}`, `{"type": "allowed_tools", ...}`, or the older
/// `{"name": ...}`.
#[derive(Debug, Deserialize)]
struct ChoiceObject<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    function: Option<Named<'a>>,
    #[serde(borrow)]
    allowed_tools: Option<AllowedTools<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

#[derive(Debug, Deserialize)]
struct AllowedTools<'a> {
    #[serde(borrow)]
    mode: Text<'a>,
    #[serde(borrow)]
    tools: Vec<AllowedTool<'a>>,
}

#[derive(Debug, Deserialize)]
struct AllowedTool<'a> {
    #[serde(borrow)]
    function: Option<Named<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
struct Format<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    json_schema: Option<JsonSchema<'a>>,
}

#[derive(Debug, Deserialize)]
struct JsonSchema<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
    strict: Option<bool>,
}

/// The tools of a request; `None` when there are none or none may be called.
///
/// # Errors
/// Tools of other types than function, names that OpenAI would refuse, and a choice that names a
/// tool which is not offered.
pub fn offer<'a>(draft: &Draft<'a>) -> Result<Option<Offer<'a>>, Rejection> {
    let (tools, as_functions) = match (draft.tools, draft.functions) {
        (Some(raw), _) if !is_empty_list(raw) => (parse_tools(raw)?, false),
        (_, Some(raw)) if !is_empty_list(raw) => (parse_functions(raw)?, true),
        _ => return refuse_choice_without_tools(draft).map(|()| None),
    };
    if tools.len() > MAX_TOOLS {
        let message =
            format!("Invalid 'tools': at most {MAX_TOOLS} tools can be offered. Send fewer.");
        return Err(Rejection::invalid("tools", message));
    }
    refuse_twins(&tools, if as_functions { "functions" } else { "tools" })?;
    let (name, raw) = match as_functions {
        true => ("function_call", draft.function_call),
        false => ("tool_choice", draft.tool_choice),
    };
    let parallel = draft.parallel_tool_calls != Some(false) && !as_functions;
    let offer = Offer {
        tools,
        choice: Choice::Auto,
        parallel,
        as_functions,
    };
    match raw {
        None => Ok(Some(offer)),
        Some(value) => choose(offer, &Field { name, value }),
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
fn choose<'a>(mut offer: Offer<'a>, field: &Field<'a>) -> Result<Option<Offer<'a>>, Rejection> {
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
            let names = allowed
                .tools
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

/// Leaves only the named tools in the offer.
fn keep<'a>(offer: &mut Offer<'a>, names: &[Text<'a>], field: &Field<'a>) -> Result<(), Rejection> {
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

fn parse_tools(raw: &RawValue) -> Result<Vec<Tool<'_>>, Rejection> {
    let field = Field {
        name: "tools",
        value: raw,
    };
    let tools: Vec<RequestTool<'_>> = field
        .parse("a list of tools such as {\"type\": \"function\", \"function\": {\"name\": ...}}")?;
    tools
        .into_iter()
        .enumerate()
        .map(|(at, tool)| match (tool.kind.as_str(), tool.function) {
            ("function", Some(function)) => {
                parse_function(function, &format!("tools[{at}].function"))
            }
            ("function", None) => Err(Rejection::of(
                Cause::MissingParameter,
                format!("tools[{at}].function"),
                format!("Missing required parameter: 'tools[{at}].function'."),
            )),
            _ => Err(custom_tools(&format!("tools[{at}].type"))),
        })
        .collect()
}

fn parse_functions(raw: &RawValue) -> Result<Vec<Tool<'_>>, Rejection> {
    let field = Field {
        name: "functions",
        value: raw,
    };
    let functions: Vec<Function<'_>> =
        field.parse("a list of functions such as {\"name\": ...}")?;
    functions
        .into_iter()
        .enumerate()
        .map(|(at, function)| parse_function(function, &format!("functions[{at}]")))
        .collect()
}

/// OpenAI's rule for the names of functions and schemas.
fn is_plain_name(name: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    (1..=64).contains(&name.len()) && name.chars().all(is_plain)
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
    let parameters = function.parameters.filter(|raw| raw.get() != "null");
    if parameters.is_some_and(|raw| !raw.get().starts_with('{')) {
        let path = format!("{path}.parameters");
        let message = format!("Invalid '{path}': it must be a JSON Schema, which is an object.");
        return Err(Rejection::invalid(path, message));
    }
    Ok(Tool {
        name,
        description: function.description.map(|Text(text)| text),
        parameters,
        strict: function.strict == Some(true),
    })
}

/// The form that the answer has to have.
///
/// # Errors
/// A type nobody knows, and a schema that is missing or no object.
pub fn answer_format<'a>(draft: &Draft<'a>) -> Result<AnswerFormat<'a>, Rejection> {
    let Some(value) = draft.response_format else {
        return Ok(AnswerFormat::Text);
    };
    let field = Field {
        name: "response_format",
        value,
    };
    let format: Format<'a> = field.parse("an object such as {\"type\": \"json_object\"}")?;
    match (format.kind.as_str(), format.json_schema) {
        ("text", _) => Ok(AnswerFormat::Text),
        ("json_object", _) => Ok(AnswerFormat::JsonObject),
        (
            "json_schema",
            Some(JsonSchema {
                schema,
                strict,
                name,
            }),
        ) => {
            let schema = schema
                .filter(|raw| raw.get().starts_with('{'))
                .ok_or_else(|| missing_schema(".schema"))?;
            refuse_schema_name(name.as_ref().map_or("", Text::as_str))?;
            Ok(AnswerFormat::JsonSchema {
                schema,
                strict: strict == Some(true),
            })
        }
        ("json_schema", None) => Err(missing_schema("")),
        _ => Err(field.invalid(
            "Invalid 'response_format': its type must be text, json_object or json_schema.",
        )),
    }
}

/// The name says nothing to fal, but OpenAI's API wants one, of a certain form.
fn refuse_schema_name(name: &str) -> Result<(), Rejection> {
    match is_plain_name(name) {
        true => Ok(()),
        false => {
            let path = "response_format.json_schema.name";
            let message = format!(
                "Invalid '{path}': a name has 1 to 64 letters, digits, underscores and hyphens."
            );
            Err(Rejection::invalid(path, message))
        }
    }
}

fn missing_schema(inside: &str) -> Rejection {
    let path = format!("response_format.json_schema{inside}");
    let message = format!("Missing required parameter: '{path}', a JSON Schema.");
    Rejection::of(Cause::MissingParameter, path, message)
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

fn is_empty_list(raw: &RawValue) -> bool {
    raw.get()
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|inner| inner.trim().is_empty())
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
