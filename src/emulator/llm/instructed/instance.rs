//! Invents a value that a JSON Schema allows, out of the words of a message where they fit.
//!
//! Knows the keywords that schemas of tools and answers are made of, `$ref` within the document
//! and recursion included. Not here: `not`, `if`, `dependentSchemas`, references to other documents.

use serde_json::{Map, Value, json};

use super::{hints::Hints, scalar};

/// Which members are given that a schema does not require.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Optional {
    /// Those that the message speaks of.
    Mentioned,
    /// All of them, down to a few levels.
    Shallow,
}

/// Levels down to which a value is more than the least that its schema allows.
const SHALLOW: usize = 3;
/// Levels below which nothing is made.
const DEEPEST: usize = 24;
/// Values made for an item of a list until one is new to it.
const TRIES: usize = 4;
/// Schemas looked at for one value.
const LARGEST: usize = 20_000;

/// A value for `schema`, with words of `message` in it.
pub(super) fn make(schema: &Value, message: &str, optional: Optional) -> Option<Value> {
    let mut maker = Maker {
        root: schema,
        hints: Hints::read(message),
        optional,
        left: LARGEST,
    };
    maker.value(
        schema,
        Place {
            name: "",
            depth: 0,
            nth: 0,
        },
    )
}

/// Where a value stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'p> {
    /// The member's name, or that of the list it is in.
    pub(super) name: &'p str,
    pub(super) depth: usize,
    /// Which item of a list.
    pub(super) nth: usize,
}

impl<'p> Place<'p> {
    fn below(self, name: &'p str, nth: usize) -> Place<'p> {
        Place {
            name,
            depth: self.depth + 1,
            nth,
        }
    }
}

struct Maker<'a> {
    root: &'a Value,
    hints: Hints<'a>,
    optional: Optional,
    left: usize,
}

impl Maker<'_> {
    fn value(&mut self, schema: &Value, place: Place<'_>) -> Option<Value> {
        self.left = self.left.checked_sub(1)?;
        if place.depth > DEEPEST {
            return None;
        }
        let mut schema = self.flat(schema, DEEPEST)?;
        if let Some(value) = schema.get("const") {
            return Some(value.clone());
        }
        if let Some(Value::Array(options)) = schema.get("enum") {
            return self.pick(options, place);
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(Value::Array(branches)) = schema.remove(keyword) {
                return self.branch(&schema, &branches, place);
            }
        }
        match kind(&schema) {
            "object" => self.object(&schema, place),
            "array" => self.array(&schema, place),
            "integer" => scalar::number(&schema, place, &mut self.hints, scalar::Kind::Whole),
            "number" => scalar::number(&schema, place, &mut self.hints, scalar::Kind::Any),
            "boolean" => Some(json!(true)),
            "null" => Some(Value::Null),
            _ => scalar::string(&schema, place, &mut self.hints),
        }
    }

    /// The option that the message names, or the first that is not null; another one per item.
    fn pick(&self, options: &[Value], place: Place<'_>) -> Option<Value> {
        let named = self.hints.named(place.name);
        let wanted = |option: &&Value| match option {
            Value::String(text) => {
                named.is_some_and(|named| named.eq_ignore_ascii_case(text))
                    || self.hints.mentions(text)
            }
            _ => false,
        };
        let mentioned = options.iter().find(wanted).filter(|_| place.nth == 0);
        let solid = || options.iter().filter(|option| !option.is_null());
        mentioned
            .or_else(|| solid().nth(place.nth))
            .or_else(|| solid().next())
            .or(options.first())
            .cloned()
    }

    /// The first branch that works out. Deep down the simplest goes first, which ends recursion.
    fn branch(
        &mut self,
        base: &Map<String, Value>,
        branches: &[Value],
        place: Place<'_>,
    ) -> Option<Value> {
        let mut flat: Vec<Map<String, Value>> = branches
            .iter()
            .filter_map(|branch| self.flat(branch, DEEPEST))
            .collect();
        flat.sort_by_key(|branch| {
            let null = branch.get("type").is_some_and(|kind| kind == "null");
            if place.depth < SHALLOW {
                usize::from(null)
            } else {
                weight(branch, null)
            }
        });
        flat.into_iter().find_map(|branch| {
            let mut merged = base.clone();
            merge(&mut merged, branch);
            self.value(&Value::Object(merged), place.below(place.name, place.nth))
        })
    }

    fn object(&mut self, schema: &Map<String, Value>, place: Place<'_>) -> Option<Value> {
        let empty = Map::new();
        let properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&empty);
        let required = strings(schema.get("required"));
        let mut object = Map::new();
        for (name, property) in properties {
            let needed = required.contains(&name.as_str());
            if !needed && !self.gives(name, property, place) {
                continue;
            }
            match self.value(property, place.below(name, 0)) {
                Some(value) => drop(object.insert(name.clone(), value)),
                None if needed => return None,
                None => {}
            }
        }
        let others = schema
            .get("additionalProperties")
            .unwrap_or(&Value::Bool(true));
        let least = limit(schema, "minProperties").unwrap_or(0);
        let open = others.is_object() && properties.is_empty() && place.depth < SHALLOW;
        let least = if open { least.max(1) } else { least };
        let undeclared = required
            .into_iter()
            .filter(|name| !properties.contains_key(*name));
        for name in undeclared {
            object.insert(name.to_owned(), self.value(others, place.below(name, 0))?);
        }
        for (name, property) in properties {
            if object.len() < least && !object.contains_key(name) {
                object.insert(name.clone(), self.value(property, place.below(name, 0))?);
            }
        }
        for nth in object.len()..least {
            let value = self.value(others, place.below("key", nth))?;
            object.insert(format!("key_{}", nth + 1), value);
        }
        Some(Value::Object(object))
    }

    /// Whether a member that may be left out is given.
    fn gives(&self, name: &str, property: &Value, place: Place<'_>) -> bool {
        match self.optional {
            Optional::Shallow => place.depth < SHALLOW,
            Optional::Mentioned => {
                let options = property.get("enum").and_then(Value::as_array);
                let mut options = options.into_iter().flatten().filter_map(Value::as_str);
                self.hints.named(name).is_some()
                    || self.hints.mentions(&name.replace('_', " "))
                    || options.any(|option| self.hints.mentions(option))
            }
        }
    }

    fn array(&mut self, schema: &Map<String, Value>, place: Place<'_>) -> Option<Value> {
        let anything = Value::Bool(true);
        let prefix = schema.get("prefixItems").and_then(Value::as_array);
        let prefix = prefix.map(Vec::as_slice).unwrap_or_default();
        let least = limit(schema, "minItems").unwrap_or(0);
        let usual = if place.depth < SHALLOW {
            prefix.len().max(1)
        } else {
            0
        };
        let most = limit(schema, "maxItems").unwrap_or(usize::MAX);
        let rest = schema
            .get("items")
            .or(schema.get("contains"))
            .unwrap_or(&anything);
        let contains = usize::from(schema.contains_key("contains"));
        let count = usual.max(least).max(contains).min(most);
        let unique = schema.get("uniqueItems") == Some(&Value::Bool(true));
        let mut items = Vec::new();
        for nth in 0..count {
            let item = prefix.get(nth).unwrap_or(rest);
            let made = (nth..nth + TRIES).find_map(|nth| {
                let value = self.value(item, place.below(place.name, nth))?;
                (!unique || !items.contains(&value)).then_some(value)
            });
            match made {
                Some(value) => items.push(value),
                None if nth < least => return None,
                None => break,
            }
        }
        Some(Value::Array(items))
    }

    /// A schema with its references and `allOf` written out, one level deep; `None` for `false`.
    fn flat(&self, schema: &Value, hops: usize) -> Option<Map<String, Value>> {
        let hops = hops.checked_sub(1)?;
        let mut flat = match schema {
            Value::Bool(false) => return None,
            Value::Object(members) => members.clone(),
            _ => Map::new(),
        };
        if let Some(Value::String(reference)) = flat.remove("$ref")
            && let Some(target) = self.resolve(&reference)
        {
            merge(&mut flat, self.flat(target, hops)?);
        }
        if let Some(Value::Array(parts)) = flat.remove("allOf") {
            for part in &parts {
                merge(&mut flat, self.flat(part, hops)?);
            }
        }
        Some(flat)
    }

    /// What `#/…` points at.
    fn resolve(&self, reference: &str) -> Option<&Value> {
        let pointer = reference.strip_prefix('#')?;
        self.root
            .pointer(&pointer.replace("%20", " ").replace("%24", "$"))
    }
}

/// The first type that is not null, or what the other keywords suggest.
fn kind(schema: &Map<String, Value>) -> &str {
    let has = |keywords: &[&str]| keywords.iter().any(|keyword| schema.contains_key(*keyword));
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(_)) => {
            let kinds = strings(schema.get("type"));
            let solid = kinds.iter().find(|kind| **kind != "null");
            solid.copied().unwrap_or("null")
        }
        _ if has(&[
            "properties",
            "required",
            "additionalProperties",
            "minProperties",
        ]) =>
        {
            "object"
        }
        _ if has(&["items", "prefixItems", "minItems", "contains"]) => "array",
        _ if has(&["minimum", "maximum", "multipleOf", "exclusiveMinimum"]) => "number",
        _ => "string",
    }
}

/// How much a branch takes, roughly: references are what may not end.
fn weight(branch: &Map<String, Value>, null: bool) -> usize {
    let refers = || Value::Object(branch.clone()).to_string().contains("$ref");
    match kind(branch) {
        _ if null => 0,
        "object" | "array" if refers() => 3,
        "object" | "array" => 2,
        _ => 1,
    }
}

/// Adds the demands of `more` to those of `schema`.
fn merge(schema: &mut Map<String, Value>, more: Map<String, Value>) {
    for (keyword, value) in more {
        let Some(old) = schema.get_mut(&keyword) else {
            schema.insert(keyword, value);
            continue;
        };
        match (keyword.as_str(), old, value) {
            ("properties", Value::Object(old), Value::Object(new)) => {
                for (name, property) in new {
                    let both = match old.remove(&name) {
                        Some(first) if first != property => json!({ "allOf": [first, property] }),
                        _ => property,
                    };
                    old.insert(name, both);
                }
            }
            ("required", Value::Array(old), Value::Array(new)) => old.extend(new),
            ("enum", Value::Array(old), Value::Array(new)) => {
                old.retain(|option| new.contains(option));
            }
            (keyword, old, new) => {
                let (old_number, new_number) = (old.as_f64(), new.as_f64());
                let tighter = match keyword {
                    _ if keyword.starts_with("min") || keyword == "exclusiveMinimum" => {
                        new_number > old_number
                    }
                    _ if keyword.starts_with("max") || keyword == "exclusiveMaximum" => {
                        new_number < old_number
                    }
                    _ => false,
                };
                if tighter {
                    *old = new;
                }
            }
        }
    }
}

fn strings(list: Option<&Value>) -> Vec<&str> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).collect()
}

/// A keyword that counts things.
pub(super) fn limit(schema: &Map<String, Value>, keyword: &str) -> Option<usize> {
    let number = schema.get(keyword)?.as_f64()?;
    Some(number as usize)
}
