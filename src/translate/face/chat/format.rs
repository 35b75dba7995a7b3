//! `response_format`, read into an [`AnswerFormat`].

use serde_json::value::RawValue;

use crate::translate::ask::{AnswerFormat, AnswerSchema};
use crate::translate::draft::{Draft, Field, refuse_lone_surrogates};
use crate::translate::face::functions::is_plain_name;
use crate::translate::rejection::{Cause, Rejection};
use crate::wire::object::objects;
use crate::wire::text::Text;

objects! {
    /// `response_format`.
    "an object such as {\"type\": \"json_object\"}"
    pub struct Format<'a> {
        "type" => kind: Text<'a>,
        "json_schema" => json_schema: Option<JsonSchema<'a>>,
        /// A schema beside `json_object`, as llama.cpp and others take it.
        "schema" => schema: Option<&'a RawValue>,
    }

    /// Its `json_schema`.
    "an object with a 'name' and a 'schema'"
    pub struct JsonSchema<'a> {
        "name" => name: Option<Text<'a>>,
        "description" => description: Option<Text<'a>>,
        "schema" => schema: Option<&'a RawValue>,
        "strict" => strict: Option<bool>,
    }
}

/// Where OpenAI's API has the schema.
const SCHEMA: &str = "response_format.json_schema.schema";
/// Where llama.cpp and others have it.
const BARE_SCHEMA: &str = "response_format.schema";

/// The form that the answer has to have.
///
/// # Errors
/// A type nobody knows, and a schema that is missing or no object.
pub fn answer_format<'a>(draft: &mut Draft<'a>) -> Result<AnswerFormat<'a>, Rejection> {
    let Some(value) = draft.response_format else {
        return Ok(AnswerFormat::Text);
    };
    let field = Field::new("response_format", value);
    let format: Format<'a> = field.parse("an object such as {\"type\": \"json_object\"}")?;
    let kind = format.kind.as_str();
    let members = &mut draft.members;
    members.add_unknown(field.name, &format.unknown);
    let has_named = format.json_schema.is_some();
    members.add_if(
        has_named && kind != "json_schema",
        field.name,
        "json_schema",
    );
    members.add_if(
        format.schema.is_some() && kind != "json_object",
        field.name,
        "schema",
    );
    match (kind, format.json_schema, format.schema) {
        ("text", _, _) => Ok(AnswerFormat::Text),
        ("json_object", _, None) => Ok(AnswerFormat::JsonObject),
        ("json_object", _, Some(schema)) => {
            draft.notes.emulated(BARE_SCHEMA);
            Ok(AnswerFormat::JsonSchema(AnswerSchema {
                schema: object(schema, BARE_SCHEMA)?,
                path: BARE_SCHEMA,
                description: None,
                strict: false,
            }))
        }
        ("json_schema", Some(named), _) => {
            members.add_unknown("response_format.json_schema", &named.unknown);
            let schema = named.schema.ok_or_else(|| missing(SCHEMA))?;
            let schema = object(schema, SCHEMA)?;
            refuse_name(named.name.as_ref().map_or("", Text::as_str))?;
            let description = named.description.map(|Text(text)| text);
            Ok(AnswerFormat::JsonSchema(AnswerSchema {
                schema,
                path: SCHEMA,
                description: description.filter(|text| !text.trim().is_empty()),
                strict: named.strict == Some(true),
            }))
        }
        ("json_schema", None, _) => Err(missing("response_format.json_schema")),
        _ => Err(Rejection::invalid(
            "response_format.type",
            "Invalid 'response_format.type': it must be text, json_object or json_schema.",
        )),
    }
}

/// The name says nothing to fal, but OpenAI's API wants one, of a certain form.
fn refuse_name(name: &str) -> Result<(), Rejection> {
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

fn missing(path: &str) -> Rejection {
    let message = format!("Missing required parameter: '{path}', a JSON Schema.");
    Rejection::of(Cause::MissingParameter, path, message)
}

fn object<'a>(schema: &'a RawValue, path: &str) -> Result<&'a RawValue, Rejection> {
    match schema.get().starts_with('{') {
        true => refuse_lone_surrogates(schema, path).map(|()| schema),
        false => {
            let message =
                format!("Invalid '{path}': it must be a JSON Schema, which is an object.");
            Err(Rejection::invalid(path, message))
        }
    }
}
