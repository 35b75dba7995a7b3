//! How much work it is to hold a value against a schema, counted before it is done.
//!
//! A schema of a few lines can make a validator work for years: thirty definitions that each
//! `allOf` the next one twice stand for a billion checks, and a recursive `anyOf` multiplies its
//! branches with every level of the value. No limit on the size of either notices that. So the
//! walk of a validator that never stops early is walked here first, without looking at the values,
//! and given up when it has taken too many steps.

use serde_json::{Map, Value};

use super::pattern::states;
use super::pointer::resolve;

/// What a walk may cost; a large honest answer takes some ten thousand steps.
const MOST_STEPS: usize = 500_000;
/// States of a pattern that are followed through a byte of text in one step.
const STATES_PER_STEP: usize = 128;
/// Calls within one another, which the validator makes as well, on the stack.
const DEEPEST_CALL: usize = 256;

/// More work than a check is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooHeavy;

/// A walk, and the steps it has taken.
pub(super) struct Weight<'s> {
    whole: &'s Value,
    steps: usize,
}

impl<'s> Weight<'s> {
    pub(super) const fn new(whole: &'s Value) -> Self {
        Self { whole, steps: 0 }
    }

    pub(super) const fn steps(&self) -> usize {
        self.steps
    }

    /// Adds the steps of checking a value.
    pub(super) fn add(&mut self, schema: &'s Value, value: &Value) -> Result<(), TooHeavy> {
        self.walk(schema, value, 0)
    }

    /// Adds the steps that a schema costs whatever the value is. A schema that comes back to
    /// itself without a step into the value never ends, and is too heavy.
    pub(super) fn add_in_place(&mut self, schema: &'s Value) -> Result<(), TooHeavy> {
        self.walk(schema, &Value::Null, 0)
    }

    fn walk(&mut self, schema: &'s Value, value: &Value, depth: usize) -> Result<(), TooHeavy> {
        self.spend(1)?;
        if depth >= DEEPEST_CALL {
            return Err(TooHeavy);
        }
        let Value::Object(keywords) = schema else {
            return Ok(());
        };
        let depth = depth.saturating_add(1);
        if let Some(target) = keywords
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| resolve(self.whole, reference))
        {
            self.walk(target, value, depth)?;
        }
        for list in ["allOf", "anyOf", "oneOf"] {
            for branch in schemas(keywords, list) {
                self.walk(branch, value, depth)?;
            }
        }
        for single in ["not", "if", "then", "else"] {
            if let Some(branch) = keywords.get(single) {
                self.walk(branch, value, depth)?;
            }
        }
        for map in ["dependentSchemas", "dependencies"] {
            for branch in named(keywords, map) {
                self.walk(branch, value, depth)?;
            }
        }
        self.spend(schemas(keywords, "enum").count())?;
        match value {
            Value::Object(members) => self.walk_members(keywords, members, depth),
            Value::Array(items) => self.walk_items(keywords, items, depth),
            Value::String(text) => match keywords.get("pattern").and_then(Value::as_str) {
                Some(pattern) => self.match_pattern(pattern, text),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn walk_members(
        &mut self,
        keywords: &'s Map<String, Value>,
        members: &Map<String, Value>,
        depth: usize,
    ) -> Result<(), TooHeavy> {
        self.spend(schemas(keywords, "required").count())?;
        let properties = keywords.get("properties");
        for (name, value) in members {
            if let Some(schema) = properties.and_then(|schemas| schemas.get(name)) {
                self.walk(schema, value, depth)?;
            }
            let patterns = keywords.get("patternProperties").and_then(Value::as_object);
            for (pattern, schema) in patterns.into_iter().flatten() {
                self.match_pattern(pattern, name)?;
                self.walk(schema, value, depth)?;
            }
            if let Some(schema) = keywords.get("additionalProperties") {
                self.walk(schema, value, depth)?;
            }
            if let Some(schema) = keywords.get("propertyNames") {
                self.walk(schema, &Value::from(name.as_str()), depth)?;
            }
        }
        Ok(())
    }

    fn walk_items(
        &mut self,
        keywords: &'s Map<String, Value>,
        items: &[Value],
        depth: usize,
    ) -> Result<(), TooHeavy> {
        for (at, value) in items.iter().enumerate() {
            for list in ["prefixItems", "items"] {
                let list = keywords.get(list).and_then(Value::as_array);
                if let Some(schema) = list.and_then(|schemas| schemas.get(at)) {
                    self.walk(schema, value, depth)?;
                }
            }
            for each in ["items", "additionalItems", "contains"] {
                if let Some(schema) = keywords.get(each) {
                    self.walk(schema, value, depth)?;
                }
            }
        }
        Ok(())
    }

    fn match_pattern(&mut self, pattern: &str, text: &str) -> Result<(), TooHeavy> {
        let per_byte = (states(pattern) / STATES_PER_STEP).saturating_add(1);
        let matching = text.len().saturating_mul(per_byte);
        self.spend(pattern.len().saturating_add(matching))
    }

    fn spend(&mut self, steps: usize) -> Result<(), TooHeavy> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > MOST_STEPS {
            Err(TooHeavy)
        } else {
            Ok(())
        }
    }
}

fn schemas<'s>(keywords: &'s Map<String, Value>, list: &str) -> impl Iterator<Item = &'s Value> {
    keywords
        .get(list)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn named<'s>(keywords: &'s Map<String, Value>, map: &str) -> impl Iterator<Item = &'s Value> {
    keywords
        .get(map)
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::values)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn steps_are_counted_not_timed() {
        let schema = json!({"items": {"anyOf": [{"type": "string"}, {"type": "null"}]}});
        let mut weight = Weight::new(&schema);
        assert_eq!(weight.add(&schema, &json!(["a", "b"])), Ok(()));
        assert_eq!(weight.steps(), 1 + 2 * 3);
    }

    #[test]
    fn recursion_costs_as_deep_as_the_value_goes() {
        let schema = json!({"properties": {"next": {"$ref": "#"}}});
        let mut weight = Weight::new(&schema);
        assert_eq!(weight.add(&schema, &json!({"next": {"next": {}}})), Ok(()));
        assert_eq!(weight.steps(), 5);
    }

    #[test]
    fn branches_that_multiply_with_every_level_are_too_heavy() {
        let branch = json!({"properties": {"next": {"$ref": "#"}}});
        let schema = json!({"allOf": [branch.clone(), branch]});
        let deep = (0..60).fold(json!({}), |inner, _| json!({"next": inner}));
        assert_eq!(Weight::new(&schema).add(&schema, &deep), Err(TooHeavy));
    }
}
