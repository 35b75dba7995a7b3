//! A caller's JSON schema, safe to compile and to check against.

use std::collections::HashSet;
use std::{fmt, ptr};

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use serde_json::value::RawValue;
use thiserror::Error;

use super::pattern::states;
use super::pointer::resolve;
use super::weight::Weight;

/// The longest text of a schema, in bytes.
const LONGEST_SCHEMA: usize = 256 * 1024;
/// The most objects and arrays within one another in a schema.
const DEEPEST_SCHEMA: usize = 32;
/// The most JSON values in a schema.
const MOST_NODES: usize = 5_000;
/// The longest pattern, in bytes.
const LONGEST_PATTERN: usize = 256;
/// What all patterns together may compile to, in states, so that compiling takes milliseconds.
const MOST_STATES: usize = 50_000;
/// What one pattern may compile to, in bytes, should the estimate of its states be wrong.
const LARGEST_PATTERN: usize = 1024 * 1024;
/// The most violations reported: a model that is asked again needs no more, and a person neither.
const MOST_VIOLATIONS: usize = 5;
/// All violations are collected before the first few are taken, so beyond this many steps only the
/// first one is looked for.
const MOST_STEPS_TO_LIST: usize = 50_000;
/// The longest path and the longest sentence of a violation, in characters.
const LONGEST_TEXT: usize = 160;

/// The drafts of JSON Schema whose references are all written `$ref`.
const DRAFTS: [&str; 4] = [
    "json-schema.org/draft/2020-12/schema",
    "json-schema.org/draft/2019-09/schema",
    "json-schema.org/draft-07/schema",
    "json-schema.org/draft-06/schema",
];

/// Why a schema is refused. The texts are sentences for whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SchemaError {
    #[error("The schema is longer than {LONGEST_SCHEMA} bytes.")]
    TooLong,
    #[error("The schema nests deeper than {DEEPEST_SCHEMA} levels.")]
    TooDeep,
    #[error("The schema has more than {MOST_NODES} values.")]
    TooManyNodes,
    #[error(
        "The schema refers to '{0}'; a $ref has to point into the same document, like '#/$defs/name'."
    )]
    Reference(String),
    #[error(
        "The references of the schema multiply or go round in circles, so that checking would not end in time."
    )]
    TooHeavy,
    #[error("The pattern '{0}' is longer than {LONGEST_PATTERN} bytes.")]
    PatternTooLong(String),
    #[error(
        "The patterns of the schema repeat too much: together they have more than {MOST_STATES} states."
    )]
    PatternsTooLarge,
    #[error("The schema uses {0}, which is not supported.")]
    Unsupported(String),
    #[error("The schema is not valid: {0}.")]
    Invalid(String),
}

/// Where a value breaks a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// A JSON pointer into the value, cut at 160 characters; empty for the value itself.
    pub path: String,
    /// What is wrong, in at most 160 characters. Does not repeat the value.
    pub says: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => formatter.write_str(&self.says),
            path => write!(formatter, "{path}: {}", self.says),
        }
    }
}

/// A schema within limits, compiled.
///
/// Nothing outside of it is ever read; patterns run in linear time, which is why look-around and
/// back references are refused; `format` is not asserted, since models are told formats but drafts
/// and clients disagree on what they mean.
#[derive(Debug)]
pub struct Schema {
    value: Value,
    validator: Validator,
}

impl Schema {
    /// Compiles a schema as it came in a request.
    ///
    /// # Errors
    /// When it exceeds a limit, refers outside of itself, or is no JSON schema. Limits are judged
    /// before anything is compiled.
    pub fn parse(text: &RawValue) -> Result<Self, SchemaError> {
        let text = text.get();
        if text.len() > LONGEST_SCHEMA {
            return Err(SchemaError::TooLong);
        }
        // The only text of a `RawValue` that does not parse nests deeper than serde_json goes.
        let value = serde_json::from_str(text).map_err(|_| SchemaError::TooDeep)?;
        Self::compile(value)
    }

    /// Compiles a schema.
    ///
    /// # Errors
    /// Like those of [`Self::parse`].
    pub fn new(value: &Value) -> Result<Self, SchemaError> {
        let mut room = Room(LONGEST_SCHEMA);
        serde_json::to_writer(&mut room, value).map_err(|_| SchemaError::TooLong)?;
        Self::compile(value.clone())
    }

    fn compile(value: Value) -> Result<Self, SchemaError> {
        Survey::of(&value)?;
        let patterns = PatternOptions::regex()
            .size_limit(LARGEST_PATTERN)
            .dfa_size_limit(LARGEST_PATTERN);
        let validator = jsonschema::options()
            .with_pattern_options(patterns)
            .should_validate_formats(false)
            .offline()
            .build(&value)
            .map_err(|error| SchemaError::Invalid(clipped(&error.to_string())))?;
        Ok(Self { value, validator })
    }

    /// The schema itself.
    pub const fn as_value(&self) -> &Value {
        &self.value
    }

    /// Checks a value.
    ///
    /// # Errors
    /// The first few violations, at least one. A value that would take too long to check counts
    /// as one.
    pub fn check(&self, value: &Value) -> Result<(), Vec<Violation>> {
        let mut weight = Weight::new(&self.value);
        if weight.add(&self.value, value).is_err() {
            return Err(vec![Violation {
                path: String::new(),
                says: "is too large or too deep to be checked against this schema".to_owned(),
            }]);
        }
        if self.validator.is_valid(value) {
            return Ok(());
        }
        if weight.steps() > MOST_STEPS_TO_LIST {
            let first = self.validator.validate(value).err();
            return Err(first.iter().map(violation).collect());
        }
        let all = self.validator.iter_errors(value).take(MOST_VIOLATIONS);
        Err(all.map(|error| violation(&error)).collect())
    }
}

fn violation(error: &jsonschema::ValidationError<'_>) -> Violation {
    Violation {
        path: clipped(error.instance_path().as_str()),
        says: clipped(&error.masked().to_string()),
    }
}

/// The beginning of a text, on one line.
fn clipped(text: &str) -> String {
    let beginning = text.chars().take(LONGEST_TEXT);
    let mut clipped = beginning
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect::<String>();
    if text.len() > clipped.len() {
        clipped.pop();
        clipped.push('…');
    }
    clipped
}

/// Takes bytes as long as there is room, to measure a text without writing it.
struct Room(usize);

impl std::io::Write for Room {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self
            .0
            .checked_sub(bytes.len())
            .ok_or(std::io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a value is to the schema that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A schema, or an array of them.
    Schema,
    /// Schemas by name, where names are no keywords.
    Names,
    /// Schemas by pattern.
    Patterns,
    /// Literal data, where even `$ref` means nothing.
    Data,
}

impl Place {
    fn of(keyword: &str) -> Self {
        match keyword {
            "properties" | "$defs" | "definitions" | "dependentSchemas" | "dependencies" => {
                Self::Names
            }
            "patternProperties" => Self::Patterns,
            "enum" | "const" | "default" | "examples" | "example" => Self::Data,
            _ => Self::Schema,
        }
    }
}

/// One walk over a schema that notices every limit.
struct Survey<'s> {
    whole: &'s Value,
    weight: Weight<'s>,
    nodes: usize,
    states: usize,
    /// What references point to.
    targets: Vec<&'s Value>,
}

impl<'s> Survey<'s> {
    fn of(whole: &'s Value) -> Result<(), SchemaError> {
        let mut survey = Self {
            whole,
            weight: Weight::new(whole),
            nodes: 0,
            states: 0,
            targets: Vec::new(),
        };
        let mut left = vec![(whole, 0, Place::Schema)];
        // References are followed only after everything they could lead to has been seen.
        let mut schemas = Vec::new();
        while let Some((value, depth, place)) = left.pop() {
            survey.count(depth)?;
            let deeper = depth.saturating_add(1);
            match value {
                Value::Object(members) => {
                    if place == Place::Schema {
                        schemas.push(value);
                    }
                    for (name, member) in members {
                        survey.member(place, name, member, depth)?;
                        let place = match place {
                            Place::Schema => Place::of(name),
                            Place::Names | Place::Patterns => Place::Schema,
                            Place::Data => Place::Data,
                        };
                        left.push((member, deeper, place));
                    }
                }
                Value::Array(items) => {
                    left.extend(items.iter().map(|item| (item, deeper, place)));
                }
                _ => {}
            }
        }
        survey.judge_targets(&schemas)?;
        for schema in schemas {
            let weighed = survey.weight.add_in_place(schema);
            weighed.map_err(|_| SchemaError::TooHeavy)?;
        }
        Ok(())
    }

    /// What a reference makes a schema of has to have been judged as one: literal data was not.
    fn judge_targets(&self, schemas: &[&'s Value]) -> Result<(), SchemaError> {
        let judged = schemas
            .iter()
            .copied()
            .map(ptr::from_ref)
            .collect::<HashSet<_>>();
        let is_judged =
            |target: &&Value| !target.is_object() || judged.contains(&ptr::from_ref(*target));
        match self.targets.iter().all(is_judged) {
            true => Ok(()),
            false => Err(SchemaError::Unsupported(
                "a $ref to what is not a schema".to_owned(),
            )),
        }
    }

    fn count(&mut self, depth: usize) -> Result<(), SchemaError> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > MOST_NODES {
            return Err(SchemaError::TooManyNodes);
        }
        if depth > DEEPEST_SCHEMA {
            return Err(SchemaError::TooDeep);
        }
        Ok(())
    }

    /// Judges a keyword of a schema, or a pattern.
    fn member(
        &mut self,
        place: Place,
        name: &str,
        member: &Value,
        depth: usize,
    ) -> Result<(), SchemaError> {
        match (place, name, member) {
            (Place::Patterns, ..) => self.pattern(name),
            (Place::Schema, "pattern", Value::String(pattern)) => self.pattern(pattern),
            (Place::Schema, "$ref", Value::String(target)) => match resolve(self.whole, target) {
                Some(target) => {
                    self.targets.push(target);
                    Ok(())
                }
                None => Err(SchemaError::Reference(clipped(target))),
            },
            // They refer to whatever the check came from, which no walk can foresee; and the
            // latter two check members again for each keyword beside them.
            (
                Place::Schema,
                "$dynamicRef" | "$recursiveRef" | "unevaluatedItems" | "unevaluatedProperties",
                _,
            ) => Err(SchemaError::Unsupported(name.to_owned())),
            // Within another base, '#' would mean something else.
            (Place::Schema, "$id" | "$schema", Value::String(_)) if depth > 0 => Err(
                SchemaError::Unsupported(format!("{name} within the schema")),
            ),
            (Place::Schema, "$schema", Value::String(draft)) if !is_known(draft) => Err(
                SchemaError::Unsupported(format!("$schema '{}'", clipped(draft))),
            ),
            _ => Ok(()),
        }
    }

    fn pattern(&mut self, pattern: &str) -> Result<(), SchemaError> {
        if pattern.len() > LONGEST_PATTERN {
            return Err(SchemaError::PatternTooLong(clipped(pattern)));
        }
        self.states = self.states.saturating_add(states(pattern));
        if self.states > MOST_STATES {
            return Err(SchemaError::PatternsTooLarge);
        }
        Ok(())
    }
}

fn is_known(draft: &str) -> bool {
    let address = draft
        .strip_prefix("https://")
        .or_else(|| draft.strip_prefix("http://"));
    address.is_some_and(|address| DRAFTS.contains(&address.trim_end_matches('#')))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(schema: &Value) -> SchemaError {
        Schema::new(schema).expect_err("the schema is refused")
    }

    #[test]
    fn keywords_are_told_from_names_and_from_data() {
        let schema = json!({
            "properties": {"$ref": {"type": "string"}, "pattern": {"type": "string"}, "enum": {}},
            "default": {"$ref": "https://example.com/"},
            "enum": [{"$dynamicRef": "#"}],
        });
        assert!(Schema::new(&schema).is_ok());
        let inside = json!({"properties": {"enum": {"$ref": "https://example.com/"}}});
        assert_eq!(
            error(&inside),
            SchemaError::Reference("https://example.com/".to_owned())
        );
    }

    #[test]
    fn a_violation_repeats_no_long_value() {
        let schema = json!({"properties": {"a": {"maxLength": 3}}});
        let schema = Schema::new(&schema).unwrap();
        let value = json!({"a": "secret".repeat(1000)});
        let violations = schema.check(&value).unwrap_err();
        assert_eq!(violations[0].path, "/a");
        assert!(!violations[0].says.contains("secret"));
    }

    #[test]
    fn names_that_a_model_made_up_are_cut() {
        let schema = Schema::new(&json!({"additionalProperties": {"type": "string"}})).unwrap();
        let value = json!({"n".repeat(10_000): 1});
        let violations = schema.check(&value).unwrap_err();
        assert!(violations[0].path.chars().count() <= LONGEST_TEXT);
    }

    #[test]
    fn the_draft_is_the_one_that_the_schema_names() {
        let draft = "http://json-schema.org/draft-07/schema#";
        let schema = json!({"$schema": draft, "items": [{"type": "string"}]});
        let schema = Schema::new(&schema).unwrap();
        assert!(schema.check(&json!(["a", 1])).is_ok());
        assert!(schema.check(&json!([1])).is_err());
        let unknown = json!({"$schema": "https://example.com/schema"});
        assert!(matches!(error(&unknown), SchemaError::Unsupported(_)));
    }
}
