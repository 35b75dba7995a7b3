//! Whether a call's arguments are such as one of the tools takes.

use serde_json::{Map, Value};

use super::envelope::{PLACEHOLDERS, RawArguments, RawCall, is_name};
use super::leniency::PLACEHOLDER;
use super::positional;
use crate::translate::contract::{KnownTool, ToolContract};
use crate::translate::json;

/// Whether the arguments of a call match the schema of its tool, as they are or after repairs that
/// lose nothing.
pub fn fits(call: &RawCall, tools: &[KnownTool]) -> bool {
    let mut tools = tools.iter();
    let tool = tools.find(|tool| is_name(&call.name, &tool.name));
    tool.is_some_and(|tool| arguments(call, tool).is_some())
}

/// Gives a call whose name is a placeholder the name of the only tool that its arguments fit.
pub fn name_tool(call: &mut RawCall, tools: &[KnownTool]) {
    let is_offered = tools.iter().any(|tool| is_name(&call.name, &tool.name));
    if is_offered || !PLACEHOLDERS.contains(&call.name.as_str()) {
        return;
    }
    let mut fitting = tools.iter().filter(|tool| takes(tool, call));
    if let (Some(tool), None) = (fitting.next(), fitting.next()) {
        call.name.clone_from(&tool.name);
        call.mended.push(PLACEHOLDER);
    }
}

/// Whether a call was said before, so that it may be repeated rather than made. A user's or a tool's
/// calls of the same tool suffice, unless the form is the one that was asked for.
pub fn is_quoted(call: &RawCall, contract: &ToolContract, is_asked: bool) -> bool {
    let mut tools = contract.tools.iter();
    let Some(tool) = tools.find(|tool| is_name(&call.name, &tool.name)) else {
        return false;
    };
    if !is_asked && contract.quoted.is_by_others(&tool.name) {
        return true;
    }
    let arguments = text(call, tool).map(|text| match json::parse_arguments(&text, None) {
        Ok(arguments) => serde_json::from_str(&arguments.json).unwrap_or(Value::Null),
        Err(_) => Value::from(text),
    });
    contract
        .quoted
        .holds(&tool.name, &arguments.unwrap_or(Value::Null))
}

/// The only tool that takes the JSON of a text as its arguments.
pub fn only_taker<'k>(text: &str, tools: &'k [KnownTool]) -> Option<&'k KnownTool> {
    let call = RawCall::json(String::new(), text.to_owned());
    let mut fitting = tools.iter().filter(|tool| takes(tool, &call));
    fitting.next().filter(|_| fitting.next().is_none())
}

/// Whether a tool takes these arguments: they match, there are some, and it declares each of them.
fn takes(tool: &KnownTool, call: &RawCall) -> bool {
    let Some(arguments) = arguments(call, tool) else {
        return false;
    };
    let schema = tool.schema.as_deref().map(json::Schema::as_value);
    let declared = schema
        .and_then(|schema| schema.get("properties"))
        .and_then(Value::as_object);
    let is_declared = |name: &String| declared.is_some_and(|declared| declared.contains_key(name));
    !arguments.is_empty() && arguments.keys().all(is_declared)
}

/// The arguments of a call, if they match the schema of a tool.
fn arguments(call: &RawCall, tool: &KnownTool) -> Option<Map<String, Value>> {
    let arguments = json::parse_arguments(&text(call, tool)?, tool.schema.as_deref()).ok()?;
    if arguments.fixes.contains(&json::Fix::Closed) {
        return None;
    }
    serde_json::from_str(&arguments.json).ok()
}

/// The arguments of a call as text that is JSON, or was meant to be.
fn text(call: &RawCall, tool: &KnownTool) -> Option<String> {
    match &call.arguments {
        RawArguments::Json(text) => Some(text.clone()),
        RawArguments::Texts(members) => json::object_of_texts(members, tool.schema.as_deref()),
        RawArguments::Positional { values, named } => {
            positional::object(values, named, tool.schema.as_deref())
        }
    }
}
