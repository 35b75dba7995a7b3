//! Tool definitions at four sizes, for prompts that have no room.
//!
//! A tool is never left out: what shrinks is how much is said about it.

use std::collections::HashSet;
use std::fmt::Write;

use serde_json::Value;

use super::tool_set::{Tool, ToolSet};
use crate::translate::json::{compact, escaped, small_tree};

/// How much is said about each tool, from everything to a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// The whole JSON Schema.
    #[default]
    Full,
    /// The schema without titles, examples and descriptions of parameters.
    Terse,
    /// `name(city: string, unit?: "c"|"f") - what it does`.
    Signature,
    /// Name and the beginning of the description.
    Name,
}

impl Detail {
    /// From the most to the least.
    pub const ALL: [Self; 4] = [Self::Full, Self::Terse, Self::Signature, Self::Name];

    /// The level as the fold header names it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Terse => "terse",
            Self::Signature => "signature",
            Self::Name => "name",
        }
    }
}

/// The tools, each on a line of its own.
pub fn definitions(offer: &ToolSet<'_>, detail: Detail) -> String {
    let mut lines = String::new();
    for tool in &offer.tools {
        lines.push_str(&define(tool, detail));
        lines.push('\n');
    }
    lines
}

/// A tool on a line.
pub fn define(tool: &Tool<'_>, detail: Detail) -> String {
    let description = tool.description.as_deref().unwrap_or_default();
    match detail {
        Detail::Full => as_json(tool, description, &parameters(tool)),
        Detail::Terse => match tree(tool) {
            Some(mut schema) => {
                strip_prose(&mut schema, 0);
                as_json(tool, description, &schema.to_string())
            }
            None => as_json(tool, description, &parameters(tool)),
        },
        Detail::Signature => {
            let arguments = tree(tool).map_or("...".to_owned(), |schema| arguments(&schema));
            with_description(format!("{}({arguments})", tool.name), description, 200)
        }
        Detail::Name => with_description(tool.name.to_string(), description, 60),
    }
}

fn as_json(tool: &Tool<'_>, description: &str, schema: &str) -> String {
    // In OpenAI's wrapping: a line with the name outermost looks like a call, and weak models copy it.
    let name = Value::from(tool.name.as_ref());
    let mut out = format!("{{\"type\": \"function\", \"function\": {{\"name\": {name}");
    if !description.is_empty() {
        let _ = write!(out, ", \"description\": \"{}\"", escaped(description));
    }
    let _ = write!(out, ", \"parameters\": {schema}}}}}");
    out
}

fn with_description(mut line: String, description: &str, most: usize) -> String {
    let first_line = description.lines().next().unwrap_or_default();
    if !first_line.is_empty() {
        line.push_str(" - ");
        line.extend(first_line.chars().take(most));
    }
    line
}

/// What stands for the schema of a tool without parameters.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// The schema of the arguments; none stands for an object without fields.
pub fn parameters(tool: &Tool<'_>) -> String {
    let written = tool.parameters.and_then(|raw| compact(raw).ok());
    written.unwrap_or_else(|| NO_PARAMETERS.to_owned())
}

/// The same as a tree; `None` where it would take too much memory.
fn tree(tool: &Tool<'_>) -> Option<Value> {
    match tool.parameters {
        Some(raw) => small_tree(raw),
        None => serde_json::from_str(NO_PARAMETERS).ok(),
    }
}

/// Keywords that explain and do not constrain.
const PROSE: [&str; 6] = [
    "description",
    "title",
    "examples",
    "example",
    "$comment",
    "$schema",
];
/// Schemas are refused long before they are nested like this.
const MAX_DEPTH: usize = 64;

fn strip_prose(schema: &mut Value, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    match schema {
        Value::Object(fields) => {
            // Inside `properties`, `title` is the name of a parameter.
            for (name, inner) in fields.iter_mut() {
                match (name.as_str(), inner) {
                    ("properties" | "$defs" | "definitions", Value::Object(schemas)) => {
                        schemas
                            .values_mut()
                            .for_each(|schema| strip_prose(schema, depth + 2));
                    }
                    ("enum" | "const" | "default", _) => {}
                    (_, inner) => strip_prose(inner, depth + 1),
                }
            }
            fields.retain(|name, _| !PROSE.contains(&name.as_str()));
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| strip_prose(item, depth + 1)),
        _ => {}
    }
}

/// `city: string, unit?: "c"|"f"`.
fn arguments(schema: &Value) -> String {
    let Some(Value::Object(properties)) = schema.get("properties") else {
        return String::new();
    };
    let required = schema.get("required").and_then(Value::as_array);
    let required = required.into_iter().flatten().filter_map(Value::as_str);
    let required = required.collect::<HashSet<_>>();
    let argument = |(name, inner): (&String, &Value)| {
        let optional = match required.contains(name.as_str()) {
            true => "",
            false => "?",
        };
        format!("{name}{optional}: {}", type_of(inner, 0))
    };
    properties
        .iter()
        .map(argument)
        .collect::<Vec<_>>()
        .join(", ")
}

fn type_of(schema: &Value, depth: usize) -> String {
    if depth > 3 {
        return "any".to_owned();
    }
    if let Some(Value::Array(values)) = schema.get("enum") {
        return values
            .iter()
            .map(Value::to_string)
            .collect::<Vec<_>>()
            .join("|");
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("array") => {
            let items = schema
                .get("items")
                .map_or("any".to_owned(), |items| type_of(items, depth + 1));
            match items.contains('|') {
                true => format!("({items})[]"),
                false => format!("{items}[]"),
            }
        }
        Some("object") if schema.get("properties").is_some() => {
            format!("{{{}}}", arguments(schema))
        }
        Some(kind) => kind.to_owned(),
        None => "any".to_owned(),
    }
}
