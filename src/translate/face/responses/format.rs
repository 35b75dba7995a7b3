//! `text.format`, read into an [`AnswerFormat`].

use serde_json::value::RawValue;

use super::fields::text_format;
use crate::translate::ask::{AnswerFormat, AnswerSchema};
use crate::translate::draft::{Draft, read_at, refuse_lone_surrogates};
use crate::translate::face::functions::is_plain_name;
use crate::translate::rejection::{Cause, Rejection};
use crate::wire::openai::responses::TextFormat;
use crate::wire::text::Text;

const SCHEMA: &str = "text.format.schema";

/// The form that the answer has to have.
///
/// # Errors
/// A type nobody knows, a name that is none, and a schema that is missing or no object.
pub fn answer_format<'a>(draft: &mut Draft<'a>) -> Result<AnswerFormat<'a>, Rejection> {
    let Some(value) = text_format(draft) else {
        return Ok(AnswerFormat::Text);
    };
    let format: TextFormat<'a> = read_at(
        value,
        "text.format",
        "an object such as {\"type\": \"text\"}",
    )?;
    draft.members.add_unknown("text.format", &format.unknown);
    match format.kind.as_str() {
        "text" => Ok(AnswerFormat::Text),
        "json_object" => Ok(AnswerFormat::JsonObject),
        "json_schema" => {
            refuse_name(format.name.as_ref().map_or("", Text::as_str))?;
            let schema = format.schema.ok_or_else(|| {
                let message = format!("Missing required parameter: '{SCHEMA}', a JSON Schema.");
                Rejection::of(Cause::MissingParameter, SCHEMA, message)
            })?;
            let description = format.description.map(|Text(text)| text);
            Ok(AnswerFormat::JsonSchema(AnswerSchema {
                schema: object(schema)?,
                path: SCHEMA,
                description: description.filter(|text| !text.trim().is_empty()),
                strict: format.strict == Some(true),
            }))
        }
        _ => Err(Rejection::invalid(
            "text.format.type",
            "Invalid 'text.format.type': it must be text, json_object or json_schema.",
        )),
    }
}

/// The name says nothing to fal, but OpenAI's API wants one, of a certain form.
fn refuse_name(name: &str) -> Result<(), Rejection> {
    const PATH: &str = "text.format.name";
    match is_plain_name(name) {
        true => Ok(()),
        false => Err(Rejection::invalid(
            PATH,
            format!(
                "Invalid '{PATH}': a name has 1 to 64 letters, digits, underscores and hyphens."
            ),
        )),
    }
}

fn object(schema: &RawValue) -> Result<&RawValue, Rejection> {
    match schema.get().starts_with('{') {
        true => refuse_lone_surrogates(schema, SCHEMA).map(|()| schema),
        false => Err(Rejection::invalid(
            SCHEMA,
            format!("Invalid '{SCHEMA}': it must be a JSON Schema, which is an object."),
        )),
    }
}
