//! Values that were written as plain texts, without the quotes that tell a string from a number.

use std::collections::HashSet;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::pointer::resolve;
use super::schema::Schema;

/// A member whose value is a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextMember {
    pub name: String,
    pub text: String,
    /// Whether the writer said that the text is JSON (`true`) or a string (`false`).
    pub is_json: Option<bool>,
}

/// References and branches that are followed to find the type of a member.
const DEEPEST_TYPE: usize = 16;
/// Schemas and their options that are looked at for all members together; after that, nothing more
/// is known of types.
const MAX_STEPS: usize = 50_000;

/// The object that these members make, as JSON; `None` when one is there twice.
///
/// Where the writer has not said what a text is, the schema decides: what may be a string is one,
/// except the word `null` where that is allowed as well, and anything else is JSON if it parses to
/// a type that the schema allows. Every other text is a string, and the check says what it breaks.
pub fn object_of_texts(members: &[TextMember], schema: Option<&Schema>) -> Option<String> {
    let schema = schema.map_or(&Value::Null, Schema::as_value);
    let mut out = String::from("{");
    let mut names = HashSet::new();
    let mut steps = 0;
    for (position, member) in members.iter().enumerate() {
        if !names.insert(member.name.as_str()) {
            return None;
        }
        if position > 0 {
            out.push_str(", ");
        }
        out.push_str(&Value::from(member.name.as_str()).to_string());
        out.push_str(": ");
        match as_json(member, schema, &mut steps) {
            Some(json) => out.push_str(json),
            None => out.push_str(&Value::from(member.text.as_str()).to_string()),
        }
    }
    out.push('}');
    Some(out)
}

/// Those of these members that take values of the type of this JSON, as far as the schema says.
/// `steps` are those of all members together; after the last, every member may.
pub fn members_that_take<'n>(
    schema: &Value,
    names: &[&'n str],
    json: &str,
    steps: &mut usize,
) -> Vec<&'n str> {
    let kind = kind_of(json).unwrap_or("string");
    let names = names.iter().copied();
    let taking = names.filter(|name| {
        let types = Types::of_member(schema, name, steps);
        types.is_open || types.allows(kind)
    });
    taking.collect()
}

/// The text of a member, if it is to be taken for JSON.
fn as_json<'m>(member: &'m TextMember, schema: &Value, steps: &mut usize) -> Option<&'m str> {
    let json = member.text.trim();
    match member.is_json {
        // A string too, where it is said to be JSON.
        Some(is_json) => {
            (is_json && serde_json::from_str::<&RawValue>(json).is_ok()).then_some(json)
        }
        None => {
            let kind = kind_of(json)?;
            let types = Types::of_member(schema, &member.name, steps);
            let is_wanted = match kind {
                "null" => types.allows("null"),
                kind => !types.allows("string") && types.allows(kind),
            };
            is_wanted.then_some(json)
        }
    }
}

/// What a text is as JSON, in the words of JSON Schema; `None` if it is none, or a string.
fn kind_of(json: &str) -> Option<&'static str> {
    serde_json::from_str::<&RawValue>(json).ok()?;
    match json.as_bytes().first()? {
        b'{' => Some("object"),
        b'[' => Some("array"),
        b't' | b'f' => Some("boolean"),
        b'n' => Some("null"),
        b'"' => None,
        _ => Some("number"),
    }
}

/// The types that a schema allows, as far as it says.
#[derive(Default)]
struct Types<'s> {
    named: Vec<&'s str>,
    /// Something in it says nothing about types.
    is_open: bool,
}

impl<'s> Types<'s> {
    fn of_member(schema: &'s Value, name: &str, steps: &mut usize) -> Self {
        let properties = schema.get("properties").and_then(|all| all.get(name));
        let others = || schema.get("additionalProperties");
        let mut types = Self::default();
        match properties.or_else(others).and_then(Value::as_object) {
            Some(keywords) => types.add(schema, keywords, 0, steps),
            None => types.is_open = true,
        }
        types
    }

    /// Whether a value of this type may stand there. What may be anything may be a string, but is
    /// not known to be anything else.
    fn allows(&self, kind: &str) -> bool {
        let is_named = self.named.contains(&kind);
        match kind {
            "string" => is_named || self.is_open,
            "number" => is_named || self.named.contains(&"integer"),
            _ => is_named,
        }
    }

    fn add(
        &mut self,
        whole: &'s Value,
        keywords: &'s Map<String, Value>,
        depth: usize,
        steps: &mut usize,
    ) {
        let list = |name: &str| keywords.get(name).and_then(Value::as_array);
        let options = list("enum").map_or(0, Vec::len);
        *steps = steps.saturating_add(options).saturating_add(1);
        if depth >= DEEPEST_TYPE || *steps > MAX_STEPS {
            self.is_open = true;
            return;
        }
        let mut branches = Vec::new();
        if let Some(reference) = keywords.get("$ref").and_then(Value::as_str) {
            branches.extend(resolve(whole, reference));
        }
        for choice in ["anyOf", "oneOf", "allOf"] {
            branches.extend(list(choice).into_iter().flatten());
        }
        match (keywords.get("type"), list("enum"), keywords.get("const")) {
            (Some(Value::String(kind)), ..) => self.named.push(kind),
            (Some(Value::Array(kinds)), ..) => {
                self.named.extend(kinds.iter().filter_map(Value::as_str));
            }
            (_, Some(values), _) => {
                values
                    .iter()
                    .for_each(|value| self.named.push(type_of(value)));
            }
            (_, None, Some(value)) => self.named.push(type_of(value)),
            _ if branches.is_empty() => self.is_open = true,
            _ => {}
        }
        for branch in branches {
            match branch.as_object() {
                Some(keywords) => self.add(whole, keywords, depth.saturating_add(1), steps),
                None => self.is_open = true,
            }
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::json::SchemaBudget;

    const SCHEMA: &str = r##"{
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "count": {"type": "integer"},
            "flag": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
            "maybe": {"type": ["string", "null"]},
            "list": {"$ref": "#/$defs/List"},
            "level": {"enum": [1, 2]},
            "any": {}
        },
        "$defs": {"List": {"type": "array"}}
    }"##;

    fn json(name: &str, text: &str, is_json: Option<bool>) -> String {
        let raw: &RawValue = serde_json::from_str(SCHEMA).unwrap();
        let schema = Schema::parse(raw, &mut SchemaBudget::default()).unwrap();
        let (name, text) = (name.to_owned(), text.to_owned());
        let member = TextMember {
            name,
            text,
            is_json,
        };
        let object = object_of_texts(&[member], Some(&schema)).unwrap();
        let value: Map<String, Value> = serde_json::from_str(&object).unwrap();
        value.values().next().unwrap().to_string()
    }

    #[test]
    fn the_schema_says_what_a_text_is() {
        let cases = [
            ("text", "5", "\"5\""),
            ("text", "a \"b\"\n", "\"a \\\"b\\\"\\n\""),
            ("count", " 5\n", "5"),
            ("count", "five", "\"five\""),
            ("flag", "true", "true"),
            ("flag", "null", "null"),
            ("maybe", "null", "null"),
            ("maybe", "5", "\"5\""),
            ("list", "[1, 2]", "[1,2]"),
            ("list", "{}", "\"{}\""),
            ("level", "2", "2"),
            ("any", "5", "\"5\""),
            ("other", "5", "\"5\""),
        ];
        for (name, text, expected) in cases {
            assert_eq!(json(name, text, None), expected, "{name}: {text}");
        }
    }

    #[test]
    fn a_writer_who_says_what_a_text_is_is_believed() {
        assert_eq!(json("text", "5", Some(true)), "5");
        assert_eq!(json("count", "5", Some(false)), "\"5\"");
        assert_eq!(json("count", "well", Some(true)), "\"well\"");
    }

    #[test]
    fn a_member_that_is_there_twice_has_no_single_reading() {
        let member = TextMember {
            name: "a".to_owned(),
            text: String::new(),
            is_json: None,
        };
        assert_eq!(object_of_texts(&[member.clone(), member], None), None);
    }
}
