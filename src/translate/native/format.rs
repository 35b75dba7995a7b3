//! The form of an answer, and schemas, as providers take them.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::translate::ask::AnswerFormat;
use crate::wire::openrouter::request::{JsonSchema, ResponseFormat};

/// The format; `None` for plain text.
pub fn response_format<'a>(format: &AnswerFormat<'a>) -> Option<ResponseFormat<'a>> {
    match format {
        AnswerFormat::Text => None,
        AnswerFormat::JsonObject => Some(ResponseFormat::JsonObject),
        AnswerFormat::JsonSchema(wanted) => Some(ResponseFormat::JsonSchema {
            json_schema: JsonSchema {
                // Callers' names may be such as providers refuse, and models hardly heed them.
                name: "answer",
                description: wanted.description.clone(),
                schema: wanted.schema,
                strict: Some(wanted.strict && is_strict_schema(wanted.schema.get())),
            },
        }),
    }
}

/// The parameters of a function that has none.
pub fn no_parameters<'a>() -> Cow<'a, RawValue> {
    let empty = RawValue::from_string("{\"type\":\"object\",\"properties\":{}}".to_owned());
    empty.map_or(Cow::Borrowed(RawValue::NULL), Cow::Owned)
}

/// Whether a schema is such as OpenAI takes under `strict` (source: its guide "Structured Outputs",
/// "Supported schemas"): every object is closed and requires all its properties. Others would be
/// refused, and are sent without the word; that answers match is seen to here in either case.
pub fn is_strict_schema(schema: &str) -> bool {
    serde_json::from_str(schema)
        .is_ok_and(|schema: Value| is_object_schema(&schema) && is_closed(&schema))
}

fn is_object_schema(schema: &Value) -> bool {
    schema.get("type").is_some_and(|kind| kind == "object")
}

/// Objects are closed in every schema below this one. Recursion is bounded by the depth that a
/// request may have.
fn is_closed(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(is_closed),
        Value::Object(members) => {
            let properties = members.get("properties").and_then(Value::as_object);
            let required = members.get("required").and_then(Value::as_array);
            let required = required.into_iter().flatten().filter_map(Value::as_str);
            let required: HashSet<&str> = required.collect();
            let fits = match properties {
                None => true,
                Some(properties) => {
                    members.get("additionalProperties") == Some(&Value::Bool(false))
                        && required.len() == properties.len()
                        && properties
                            .keys()
                            .all(|name| required.contains(name.as_str()))
                }
            };
            fits && members.values().all(is_closed)
        }
        _ => true,
    }
}
