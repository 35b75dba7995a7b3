//! The arguments of a tool call, from whatever a model wrote for them.

use std::fmt::Write;

use serde_json::Value;

use super::coerce::coerce;
use super::exact::keeps_numbers;
use super::extract::{Found, is_blank, root};
use super::fix::Fix;
use super::repair::{LONGEST, repair};
use super::schema::{Schema, Violation};
use super::twins::has_single_names;
use crate::wire::openai::fields::Fields;

/// The longest explanation for a model, in characters.
const LONGEST_MESSAGE: usize = 600;

/// Arguments that are a JSON object, and that match the schema if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// The model's own text, but for lexical fixes; written anew only when values had to change
    /// their type.
    pub json: String,
    /// In the order of their first use, each once. With [`Fix::Closed`] among them the text broke
    /// off, and what it asks for is only a part of what was meant.
    pub fixes: Vec<Fix>,
}

/// Why a text is no use as arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgumentsError {
    /// There is no JSON in it, or none with a single reading.
    NotJson,
    /// It is JSON, but no object.
    NotAnObject,
    /// An object in it holds a name twice, so that what was checked need not be what is read.
    NamesTwice,
    /// It breaks the schema, in these places among others.
    Violations(Vec<Violation>),
}

/// Takes a text through the ladder: its root, lexical repair, and with a schema the coercion of
/// types and the check.
///
/// # Errors
/// What to tell the model when it is asked again, see [`ArgumentsError::message`].
pub fn parse_arguments(text: &str, schema: Option<&Schema>) -> Result<Arguments, ArgumentsError> {
    if text.len() > LONGEST {
        return Err(ArgumentsError::NotJson);
    }
    let text = text.trim_matches(is_blank);
    // Some models write arguments as a JSON string that holds them, as OpenAI's own API does.
    if text.starts_with('"')
        && let Ok(inner) = serde_json::from_str::<String>(text)
    {
        let mut fixes = vec![Fix::Unwrapped];
        return parse_object(&inner, schema, &mut fixes);
    }
    parse_object(text, schema, &mut Vec::new())
}

fn parse_object(
    text: &str,
    schema: Option<&Schema>,
    fixes: &mut Vec<Fix>,
) -> Result<Arguments, ArgumentsError> {
    let Some(root) = root(text) else {
        return Err(match serde_json::from_str::<Value>(text) {
            Ok(_) => ArgumentsError::NotAnObject,
            Err(_) => ArgumentsError::NotJson,
        });
    };
    match root.found {
        Found::Plain => {}
        Found::Fenced => Fix::Fence.note(fixes),
        Found::InProse => Fix::Prose.note(fixes),
    }
    let repaired = repair(root.json).ok_or(ArgumentsError::NotJson)?;
    for fix in repaired.fixes {
        fix.note(fixes);
    }
    if !repaired.json.trim_start().starts_with('{') {
        return Err(ArgumentsError::NotAnObject);
    }
    let json = repaired.json.into_owned();
    let json = match schema {
        Some(schema) => matched(json, schema, fixes)?,
        None => json,
    };
    let fixes = std::mem::take(fixes);
    Ok(Arguments { json, fixes })
}

/// The text, or the one that the schema makes of it: with the types that it declares, and taken out
/// of the copy of the schema that some models write their values into.
fn matched(json: String, schema: &Schema, fixes: &mut Vec<Fix>) -> Result<String, ArgumentsError> {
    let outcome = checked(&json, schema);
    let echoed = echoed_values(&json)
        .filter(|values| outcome.is_err() || is_only_an_echo(&json, values, schema.as_value()));
    let inner = echoed.and_then(|values| checked(values, schema).ok());
    let ((text, coercions), is_echo) = match inner {
        Some(inner) => (inner, true),
        None => (outcome?, false),
    };
    for fix in is_echo
        .then_some(Fix::SchemaEcho)
        .into_iter()
        .chain(coercions)
    {
        fix.note(fixes);
    }
    Ok(text)
}

/// A text that matches the schema, with the types that it declares, and what was coerced.
fn checked(json: &str, schema: &Schema) -> Result<(String, Vec<Fix>), ArgumentsError> {
    if !has_single_names(json) {
        return Err(ArgumentsError::NamesTwice);
    }
    let mut value = serde_json::from_str(json).map_err(|_| ArgumentsError::NotJson)?;
    // Types are changed in the parsed value, so a number that it rounds keeps the text as it is.
    let coercions = match keeps_numbers(json) {
        true => coerce(&mut value, schema.as_value()),
        false => Vec::new(),
    };
    schema.check(&value).map_err(ArgumentsError::Violations)?;
    match coercions.is_empty() {
        true => Ok((json.to_owned(), coercions)),
        false => Ok((value.to_string(), coercions)),
    }
}

/// Members of a schema for an object, besides `properties`.
const OF_SCHEMAS: [&str; 8] = [
    "$defs",
    "$schema",
    "additionalProperties",
    "description",
    "required",
    "strict",
    "title",
    "type",
];

/// What stands in the `properties` of an object that is otherwise the head of a schema.
fn echoed_values(json: &str) -> Option<&str> {
    let Fields(fields) = serde_json::from_str(json).ok()?;
    let mut values = None;
    for (name, value) in &fields {
        match name.as_ref() {
            "properties" if value.get().starts_with('{') => values = Some(value.get()),
            name if OF_SCHEMAS.contains(&name) => {}
            _ => return None,
        }
    }
    values
}

/// Whether the schema knows the members of `values`, and none of those around them.
fn is_only_an_echo(around: &str, values: &str, schema: &Value) -> bool {
    let Some(Value::Object(known)) = schema.get("properties") else {
        return false;
    };
    let (Ok(Fields(around)), Ok(Fields(values))) =
        (serde_json::from_str(around), serde_json::from_str(values))
    else {
        return false;
    };
    let mut names = values.iter().map(|(name, _)| name.as_ref());
    !values.is_empty()
        && names.all(|name| known.contains_key(name))
        && !around
            .iter()
            .any(|(name, _)| known.contains_key(name.as_ref()))
}

impl ArgumentsError {
    /// What is wrong, in at most 600 characters, for the model that is asked to write it again.
    pub fn message(&self) -> String {
        let mut message = match self {
            Self::NotJson => {
                "The arguments are not valid JSON. Write one JSON object, with double \
                              quotes around names and strings, quotes and backslashes within \
                              strings escaped, and nothing before or after it."
                    .to_owned()
            }
            Self::NotAnObject => {
                "The arguments are JSON, but not an object. Write one JSON object \
                                  whose members are the parameters of the tool."
                    .to_owned()
            }
            Self::NamesTwice => {
                "An object in the JSON holds the same name twice. Write each name once.".to_owned()
            }
            Self::Violations(_) => {
                "The arguments do not match the parameters of the tool:".to_owned()
            }
        };
        if let Self::Violations(violations) = self {
            for violation in violations {
                // Writing to a `String` does not fail.
                let _ = write!(message, "\n- {violation}");
            }
        }
        match message.char_indices().nth(LONGEST_MESSAGE) {
            None => message,
            Some(_) => {
                let mut cut = message
                    .chars()
                    .take(LONGEST_MESSAGE - 1)
                    .collect::<String>();
                cut.push('…');
                cut
            }
        }
    }
}
