//! A value in the form of a schema, for a model to fill in.
//!
//! Weak models that are shown a schema alone repeat it with the values put into it. Shown a value
//! as well, they write a value.

use serde_json::{Map, Value};

use super::{compact, pointer};

/// How deep the value goes; what lies deeper is left out.
const MAX_DEPTH: usize = 8;
/// Of how many values it may be made; a larger one would say less than the schema itself.
const MAX_VALUES: usize = 200;
/// How long a list of words may be that are to be chosen from, in bytes.
const LONGEST_CHOICE: usize = 200;

/// An object in the form that a schema asks for, with `"..."` for texts and zeros for numbers. `None`
/// where the schema does not say what its objects hold, or says it at too great a length.
pub fn outline(schema: &str) -> Option<Value> {
    let schema = compact::small_tree(serde_json::from_str(schema).ok()?)?;
    let mut outliner = Outliner {
        whole: &schema,
        left: MAX_VALUES,
    };
    let value = outliner.value(&schema, 0)?;
    let says_something = value.as_object().is_some_and(|members| !members.is_empty());
    (says_something && outliner.left > 0).then_some(value)
}

struct Outliner<'s> {
    whole: &'s Value,
    left: usize,
}

impl<'s> Outliner<'s> {
    fn value(&mut self, schema: &'s Value, depth: usize) -> Option<Value> {
        self.left = self.left.checked_sub(1)?;
        if depth > MAX_DEPTH {
            return None;
        }
        let depth = depth.saturating_add(1);
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            return self.value(pointer::resolve(self.whole, reference)?, depth);
        }
        if let Some(value) = schema.get("const") {
            return Some(value.clone());
        }
        if let Some(Value::Array(values)) = schema.get("enum") {
            return choice(values);
        }
        let branches = ["anyOf", "oneOf"].iter().find_map(|word| schema.get(word));
        if let Some(Value::Array(branches)) = branches {
            let is_null = |branch: &Value| kind(branch) == Some("null");
            let branch = branches.iter().find(|branch| !is_null(branch));
            return self.value(branch.or(branches.first())?, depth);
        }
        match kind(schema) {
            Some("object") => Some(Value::Object(self.members(schema, depth))),
            Some("array") => {
                let items = schema
                    .get("items")
                    .or_else(|| schema.pointer("/prefixItems/0"));
                let item = items.and_then(|items| self.value(items, depth));
                Some(Value::Array(item.into_iter().collect()))
            }
            Some("integer" | "number") => Some(Value::from(0)),
            Some("boolean") => Some(Value::Bool(true)),
            Some("null") => Some(Value::Null),
            _ => Some(Value::from("...")),
        }
    }

    /// The members of an object, and those of the schemas that it has to meet besides.
    fn members(&mut self, schema: &'s Value, depth: usize) -> Map<String, Value> {
        let mut members = Map::new();
        if let Some(Value::Object(properties)) = schema.get("properties") {
            for (name, schema) in properties {
                let value = self.value(schema, depth);
                members.extend(value.map(|value| (name.clone(), value)));
            }
        }
        if let Some(Value::Array(schemas)) = schema.get("allOf") {
            for schema in schemas {
                if let Some(Value::Object(more)) = self.value(schema, depth) {
                    members.extend(more);
                }
            }
        }
        members
    }
}

/// The type of a schema's values; of several, the first that is not null.
fn kind(schema: &Value) -> Option<&str> {
    let has = |words: [&str; 2]| words.iter().any(|word| schema.get(word).is_some());
    match schema.get("type") {
        Some(Value::String(kind)) => Some(kind),
        Some(Value::Array(kinds)) => {
            let mut kinds = kinds.iter().filter_map(Value::as_str);
            kinds.find(|kind| *kind != "null")
        }
        _ if has(["properties", "allOf"]) => Some("object"),
        _ if has(["items", "prefixItems"]) => Some("array"),
        _ => None,
    }
}

/// The words that may be chosen from, or else the first of the values.
fn choice(values: &[Value]) -> Option<Value> {
    let words: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
    let all = words.join("|");
    match words.len() == values.len() && all.len() <= LONGEST_CHOICE {
        true => Some(Value::from(all)),
        false => values.first().cloned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::outline;

    fn of(schema: &Value) -> Option<Value> {
        outline(&schema.to_string())
    }

    #[test]
    fn every_member_has_a_value_of_its_type() {
        let schema = json!({
            "$defs": {"Place": {"properties": {"city": {"type": "string"}}}},
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "age": {"type": ["null", "integer"]},
                "price": {"type": "number"},
                "kind": {"enum": ["a", "b"]},
                "size": {"enum": [1, 2]},
                "fixed": {"const": "x"},
                "tags": {"type": "array", "items": {"type": "boolean"}},
                "place": {"$ref": "#/$defs/Place"},
                "either": {"anyOf": [{"type": "null"}, {"type": "integer"}, {"type": "string"}]},
                "any": true,
                "nothing": {"type": "null"},
                "both": {"allOf": [{"$ref": "#/$defs/Place"}, {"properties": {"zip": {"type": "string"}}}]},
            },
        });
        let expected = json!({
            "name": "...", "age": 0, "price": 0, "kind": "a|b", "size": 1, "fixed": "x", "tags": [true],
            "place": {"city": "..."}, "either": 0, "any": "...", "nothing": null,
            "both": {"city": "...", "zip": "..."},
        });
        assert_eq!(of(&schema), Some(expected));
    }

    #[test]
    fn what_cannot_be_shown_in_short_is_not_shown() {
        let wide: Value = (0..300)
            .map(|number| (format!("m{number}"), json!({"type": "string"})))
            .collect::<serde_json::Map<_, _>>()
            .into();
        for schema in [
            json!({}),
            json!(true),
            json!({"type": "object"}),
            json!({"type": "array", "items": {"type": "string"}}),
            json!({"$ref": "#"}),
        ] {
            assert_eq!(of(&schema), None, "{schema}");
        }
        assert_eq!(of(&json!({"properties": wide})), None);
        // Each level holds the next one thrice.
        let next = || json!({"$ref": "#"});
        let thrice = json!({
            "properties": {"a": next(), "b": next(), "c": next(), "d": {"type": "string"}},
        });
        assert!(of(&thrice).is_none_or(|value| value.to_string().len() < 4000));
        let once = json!({"properties": {"a": {"$ref": "#"}, "b": {"type": "string"}}});
        assert!(of(&once).is_some());
    }
}
