//! How much work it is to hold a value against a schema, counted before it is done.
//!
//! A schema of a few lines can make a validator work for years: thirty definitions that each
//! `allOf` the next one twice stand for a billion checks, and a recursive `anyOf` multiplies its
//! branches with every level of the value. No limit on the size of either notices that. So the
//! walk of a validator that never stops early is walked here first, without looking at the values,
//! and given up when it has taken too many steps.

use serde_json::{Map, Value};

use super::pattern::states;
use super::pointer::Targets;

/// What checking a value may cost; a large honest answer takes some ten thousand steps.
pub(super) const MAX_STEPS: usize = 500_000;
/// States of a pattern that are followed through a byte of text in one step.
const STATES_PER_STEP: usize = 128;
/// Bytes of a text that are read in one step: its letters are counted, and it is compared.
const BYTES_PER_STEP: usize = 1024;
/// Calls within one another, which the validator makes as well, on the stack.
const DEEPEST_CALL: usize = 256;

/// More work than a check is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooCostly;

/// A walk, and the steps it has taken. Each takes about the same time: what takes more counts for
/// more.
pub(super) struct ValidationCost<'s> {
    targets: Targets<'s>,
    steps: usize,
    most: usize,
}

impl<'s> ValidationCost<'s> {
    /// A walk over a schema of at most so many steps.
    pub(super) fn new(whole: &'s Value, most: usize) -> Self {
        Self {
            targets: Targets::of(whole),
            steps: 0,
            most,
        }
    }

    pub(super) const fn steps(&self) -> usize {
        self.steps
    }

    /// Adds the steps of checking a value.
    pub(super) fn add(&mut self, schema: &'s Value, value: &Value) -> Result<(), TooCostly> {
        self.walk(schema, value, 0)
    }

    /// Adds the steps that a schema costs whatever the value is. A schema that comes back to
    /// itself without a step into the value never ends, and is too heavy.
    pub(super) fn add_in_place(&mut self, schema: &'s Value) -> Result<(), TooCostly> {
        self.walk(schema, &Value::Null, 0)
    }

    fn walk(&mut self, schema: &'s Value, value: &Value, depth: usize) -> Result<(), TooCostly> {
        self.spend(1)?;
        if depth >= DEEPEST_CALL {
            return Err(TooCostly);
        }
        let Value::Object(keywords) = schema else {
            return Ok(());
        };
        let depth = depth.saturating_add(1);
        // What is there is looked at, since looking for what is not would take most of the time.
        for (name, keyword) in keywords {
            match (name.as_str(), keyword) {
                ("$ref", reference) => {
                    if let Some(target) = self.targets.target(reference) {
                        self.walk(target, value, depth)?;
                    }
                }
                ("allOf" | "anyOf" | "oneOf", Value::Array(branches)) => {
                    for branch in branches {
                        self.walk(branch, value, depth)?;
                    }
                }
                ("not" | "if" | "then" | "else", branch) => self.walk(branch, value, depth)?,
                ("dependentSchemas" | "dependencies", Value::Object(branches)) => {
                    for branch in branches.values() {
                        self.walk(branch, value, depth)?;
                    }
                }
                ("enum", Value::Array(options)) => self.spend(options.len())?,
                _ => {}
            }
        }
        match value {
            Value::Object(members) => self.walk_members(keywords, members, depth),
            Value::Array(items) => self.walk_items(keywords, items, depth),
            Value::String(text) => {
                self.spend(text.len() / BYTES_PER_STEP)?;
                match keywords.get("pattern").and_then(Value::as_str) {
                    Some(pattern) => self.match_pattern(pattern, text),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn walk_members(
        &mut self,
        keywords: &'s Map<String, Value>,
        members: &Map<String, Value>,
        depth: usize,
    ) -> Result<(), TooCostly> {
        let required = keywords.get("required").and_then(Value::as_array);
        self.spend(required.map_or(0, Vec::len))?;
        let properties = keywords.get("properties");
        let patterns = keywords.get("patternProperties").and_then(Value::as_object);
        let others = keywords.get("additionalProperties");
        let names = keywords.get("propertyNames");
        for (name, value) in members {
            if let Some(schema) = properties.and_then(|schemas| schemas.get(name)) {
                self.walk(schema, value, depth)?;
            }
            for (pattern, schema) in patterns.into_iter().flatten() {
                self.match_pattern(pattern, name)?;
                self.walk(schema, value, depth)?;
            }
            if let Some(schema) = others {
                self.walk(schema, value, depth)?;
            }
            if let Some(schema) = names {
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
    ) -> Result<(), TooCostly> {
        let by_place = ["prefixItems", "items"];
        let by_place = by_place.map(|name| keywords.get(name).and_then(Value::as_array));
        let each = ["items", "additionalItems", "contains"].map(|name| keywords.get(name));
        for (at, value) in items.iter().enumerate() {
            for schemas in by_place.into_iter().flatten() {
                if let Some(schema) = schemas.get(at) {
                    self.walk(schema, value, depth)?;
                }
            }
            for schema in each.into_iter().flatten() {
                self.walk(schema, value, depth)?;
            }
        }
        Ok(())
    }

    fn match_pattern(&mut self, pattern: &str, text: &str) -> Result<(), TooCostly> {
        let per_byte = (states(pattern) / STATES_PER_STEP).saturating_add(1);
        let matching = text.len().saturating_mul(per_byte);
        self.spend(pattern.len().saturating_add(matching))
    }

    fn spend(&mut self, steps: usize) -> Result<(), TooCostly> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > self.most {
            Err(TooCostly)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn steps_are_counted_not_timed() {
        let schema = json!({"items": {"anyOf": [{"type": "string"}, {"type": "null"}]}});
        let mut weight = ValidationCost::new(&schema, MAX_STEPS);
        assert_eq!(weight.add(&schema, &json!(["a", "b"])), Ok(()));
        assert_eq!(weight.steps(), 1 + 2 * 3);
    }

    #[test]
    fn recursion_costs_as_deep_as_the_value_goes() {
        let schema = json!({"properties": {"next": {"$ref": "#"}}});
        let mut weight = ValidationCost::new(&schema, MAX_STEPS);
        assert_eq!(weight.add(&schema, &json!({"next": {"next": {}}})), Ok(()));
        assert_eq!(weight.steps(), 5);
    }

    #[test]
    fn branches_that_multiply_with_every_level_are_too_heavy() {
        let branch = json!({"properties": {"next": {"$ref": "#"}}});
        let schema = json!({"allOf": [branch.clone(), branch]});
        let deep = (0..60).fold(json!({}), |inner, _| json!({"next": inner}));
        assert_eq!(
            ValidationCost::new(&schema, MAX_STEPS).add(&schema, &deep),
            Err(TooCostly)
        );
    }
}
