//! A caller's JSON schema, safe to compile and to check against.

use std::fmt;
use std::sync::OnceLock;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;
use serde_json::value::RawValue;
use thiserror::Error;

use super::budget::SchemaBudget;
use super::compact::{compact, count_values};
use super::survey::{
    DEEPEST_SCHEMA, MAX_NODES, Refused, Surveyed, Unchecked, measure, schemas, survey,
};
use super::usual;
use super::validation_cost::{self, ValidationCost};

/// The longest text of a schema, in bytes.
pub const LONGEST_SCHEMA: usize = 256 * 1024;
/// What one pattern may compile to, in bytes, should the estimate of its states be wrong.
const LARGEST_PATTERN: usize = 1024 * 1024;
/// The most parts of a schema that are named as unchecked; with more, the schema is.
const MAX_UNCHECKED: usize = 16;
/// The most violations reported: a model that is asked again needs no more, and a person neither.
const MAX_VIOLATIONS: usize = 5;
/// All violations are collected before the first few are taken, so beyond this many steps only the
/// first one is looked for.
const MAX_STEPS_TO_LIST: usize = 50_000;
/// The longest path and the longest sentence of a violation, in characters.
const LONGEST_TEXT: usize = 160;

/// Why a schema is refused. The texts are sentences for whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SchemaError {
    #[error("The schema is longer than {LONGEST_SCHEMA} bytes.")]
    TooLong,
    #[error("The schema nests deeper than {DEEPEST_SCHEMA} levels.")]
    TooDeep,
    #[error("The schema has more than {MAX_NODES} values.")]
    TooManyNodes,
    #[error(
        "All schemas of the request together have too many values. Send fewer or smaller ones."
    )]
    AllTooLarge,
    #[error(
        "The references of the schema multiply or go round in circles, so that checking would not end in time."
    )]
    TooCostly,
    #[error("A string in the schema holds an escape that stands for no character.")]
    Escape,
    #[error("A number in the schema is out of range.")]
    Number,
    #[error("The schema uses {what}, which is not supported.")]
    Unsupported {
        /// Where in the schema, as `.properties.email.pattern`.
        path: String,
        what: String,
    },
    #[error("The schema is not valid: {0}.")]
    Invalid(String),
}

impl SchemaError {
    /// Whether the schema is one, though it cannot be checked.
    const fn is_limit(&self) -> bool {
        match self {
            Self::TooDeep
            | Self::TooManyNodes
            | Self::AllTooLarge
            | Self::TooCostly
            | Self::Unsupported { .. } => true,
            Self::TooLong | Self::Escape | Self::Number | Self::Invalid(_) => false,
        }
    }
}

impl From<Unchecked> for SchemaError {
    fn from(Unchecked { path, what }: Unchecked) -> Self {
        Self::Unsupported { path, what }
    }
}

/// Where a value breaks a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// A JSON pointer into the value, cut at 160 characters; empty for the value itself.
    pub path: String,
    /// What is wrong, in at most 160 characters. Does not repeat the value.
    pub says: String,
    /// Whether a member is missing that the schema requires.
    pub is_missing: bool,
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
/// back references are not supported; `format` is not asserted, since models are told formats but
/// drafts and clients disagree on what they mean.
///
/// Of the usual kind (see `usual`), it is compiled when something is first checked against it.
#[derive(Debug)]
pub struct Schema {
    /// As it came, where it is compiled later.
    text: Box<RawValue>,
    compiled: OnceLock<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    value: Value,
    /// Unset where it could not be compiled; then nothing fits.
    validator: Option<Validator>,
}

/// A schema as far as it can be checked, and what of it is not.
#[derive(Debug)]
pub struct Partial {
    pub schema: Schema,
    /// Paths within the schema, as `.properties.email.pattern`; an empty one is all of it.
    pub unchecked: Vec<String>,
}

impl Schema {
    /// Compiles a schema as it came in a request, all of it.
    ///
    /// # Errors
    /// When it exceeds a limit or the budget, uses what is not supported, or is no JSON schema.
    /// Limits are judged before anything is compiled.
    pub fn parse(text: &RawValue, budget: &mut SchemaBudget) -> Result<Self, SchemaError> {
        if let Some(schema) = Self::compiled_later(text, budget) {
            return Ok(schema);
        }
        let whole = read(text)?;
        Self::compile(&whole, budget, true).map(|partial| partial.schema)
    }

    /// Compiles as much of a schema as can be checked, for a caller who was promised no more. What
    /// exceeds a limit or the budget, or uses what is not supported, costs only its check.
    ///
    /// # Errors
    /// A text that is too long, and what is no JSON schema.
    pub fn parse_in_part(
        text: &RawValue,
        budget: &mut SchemaBudget,
    ) -> Result<Partial, SchemaError> {
        if let Some(schema) = Self::compiled_later(text, budget) {
            let unchecked = Vec::new();
            return Ok(Partial { schema, unchecked });
        }
        let compiled = read(text).and_then(|whole| Self::compile(&whole, budget, false));
        match compiled {
            Err(error) if error.is_limit() => {
                // An escape that is none would else be found by the model.
                compact(text)?;
                Ok(Partial {
                    schema: Self::of_anything()?,
                    unchecked: vec![String::new()],
                })
            }
            other => other,
        }
    }

    /// Compiles a schema, all of it, with a budget of its own.
    ///
    /// # Errors
    /// Like those of [`Self::parse`].
    pub fn new(value: &Value) -> Result<Self, SchemaError> {
        let mut room = Room(LONGEST_SCHEMA);
        serde_json::to_writer(&mut room, value).map_err(|_| SchemaError::TooLong)?;
        let budget = &mut SchemaBudget::default();
        Self::compile(value, budget, true).map(|partial| partial.schema)
    }

    /// A schema of the usual kind, for which there is room in the budget.
    fn compiled_later(text: &RawValue, budget: &mut SchemaBudget) -> Option<Self> {
        let is_short = text.get().len() <= LONGEST_SCHEMA;
        let weight = is_short.then(|| usual::weigh(text.get()))??;
        budget.spend(weight).then(|| Self {
            text: text.to_owned(),
            compiled: OnceLock::new(),
        })
    }

    fn compiled(&self) -> &Compiled {
        self.compiled.get_or_init(|| {
            let budget = &mut SchemaBudget::default();
            let whole = read(&self.text);
            let partial = whole.and_then(|whole| Self::compile(&whole, budget, true));
            let compiled = partial
                .ok()
                .and_then(|partial| partial.schema.compiled.into_inner());
            compiled.unwrap_or(Compiled {
                value: Value::Bool(false),
                validator: None,
            })
        })
    }

    fn new_compiled(value: Value, validator: Validator) -> Self {
        let validator = Some(validator);
        Self {
            text: RawValue::NULL.to_owned(),
            compiled: Compiled { value, validator }.into(),
        }
    }

    /// The schema that every value fits.
    fn of_anything() -> Result<Self, SchemaError> {
        let value = Value::Bool(true);
        match build(&value, None) {
            Ok(validator) => Ok(Self::new_compiled(value, validator)),
            Err(Unbuilt::Pattern(_)) => Err(SchemaError::TooCostly),
            Err(Unbuilt::Invalid(says)) => Err(SchemaError::Invalid(says)),
        }
    }

    fn compile(
        whole: &Value,
        budget: &mut SchemaBudget,
        is_whole: bool,
    ) -> Result<Partial, SchemaError> {
        let mut refused = measure(whole, budget)?;
        let mut is_weighed = false;
        loop {
            let Surveyed { value, unchecked } = survey(whole, &refused)?;
            if let Some(first) = unchecked.first().filter(|_| is_whole) {
                return Err(first.clone().into());
            }
            if !is_weighed {
                weigh(&value, budget)?;
                is_weighed = true;
            }
            // People leave out which draft they mean, and an old one takes what newer ones do not.
            let is_loose = !is_whole && value.get("$schema").is_none();
            let built = match build(&value, None) {
                Err(Unbuilt::Invalid(says)) if is_loose => {
                    build(&value, Some(Draft::Draft4)).map_err(|_| Unbuilt::Invalid(says))
                }
                built => built,
            };
            match built {
                Ok(validator) => {
                    return Ok(Partial {
                        schema: Self::new_compiled(value, validator),
                        unchecked: paths(unchecked),
                    });
                }
                Err(Unbuilt::Pattern(pattern)) if !refused.contains_key(&pattern) => {
                    refuse(&mut refused, pattern);
                    // Whatever is tried again is paid for again.
                    budget.spend_values(count_values(&value.to_string()))?;
                }
                Err(Unbuilt::Pattern(pattern)) => {
                    return Err(SchemaError::Invalid(clipped(&pattern)));
                }
                // By the rules of a draft that nobody here knows, it may well be valid.
                Err(Unbuilt::Invalid(_)) if is_loose && whole.get("$schema").is_some() => {
                    return Err(SchemaError::Unsupported {
                        path: String::new(),
                        what: "$schema".to_owned(),
                    });
                }
                Err(Unbuilt::Invalid(says)) => return Err(SchemaError::Invalid(says)),
            }
        }
    }

    /// The schema itself, as far as it is checked.
    pub fn as_value(&self) -> &Value {
        &self.compiled().value
    }

    /// Checks a value.
    ///
    /// # Errors
    /// The first few violations, at least one. A value that would take too long to check counts
    /// as one.
    pub fn check(&self, value: &Value) -> Result<(), Vec<Violation>> {
        let Compiled {
            value: schema,
            validator,
        } = self.compiled();
        let Some(validator) = validator else {
            return Err(vec![Violation {
                path: String::new(),
                says: "cannot be checked".to_owned(),
                is_missing: false,
            }]);
        };
        let mut cost = ValidationCost::new(schema, validation_cost::MAX_STEPS);
        if cost.add(schema, value).is_err() {
            return Err(vec![Violation {
                path: String::new(),
                says: "is too large or too deep to be checked against this schema".to_owned(),
                is_missing: self.misses_at_its_root(value),
            }]);
        }
        if validator.is_valid(value) {
            return Ok(());
        }
        if cost.steps() > MAX_STEPS_TO_LIST {
            let first = validator.validate(value).err();
            let is_missing = self.misses_at_its_root(value);
            return Err(first
                .iter()
                .map(|error| Violation {
                    is_missing,
                    ..violation(error)
                })
                .collect());
        }
        let errors = validator.iter_errors(value);
        let mut all: Vec<Violation> = errors.map(|error| violation(&error)).collect();
        // What is missing comes first, so that it is told however much else is wrong.
        all.sort_by_key(|violation| !violation.is_missing);
        all.truncate(MAX_VIOLATIONS);
        Err(all)
    }

    /// Whether an object lacks a member that the schema itself requires of it.
    fn misses_at_its_root(&self, value: &Value) -> bool {
        let required = self.as_value().get("required").and_then(Value::as_array);
        let mut names = required.into_iter().flatten().filter_map(Value::as_str);
        names.any(|name| value.as_object().is_some_and(|all| !all.contains_key(name)))
    }
}

/// Reads a schema into a tree, which takes many times the memory of its text: so both are measured
/// first.
fn read(text: &RawValue) -> Result<Value, SchemaError> {
    let text = text.get();
    if text.len() > LONGEST_SCHEMA {
        return Err(SchemaError::TooLong);
    }
    if count_values(text) > MAX_NODES {
        return Err(SchemaError::TooManyNodes);
    }
    serde_json::from_str(text).map_err(|error| {
        let said = error.to_string();
        match (
            said.starts_with("recursion limit"),
            said.starts_with("number out of range"),
        ) {
            (true, _) => SchemaError::TooDeep,
            (_, true) => SchemaError::Number,
            // The text is JSON, so nothing else than half a surrogate pair is left.
            _ => SchemaError::Escape,
        }
    })
}

/// Why a schema could not be compiled.
enum Unbuilt {
    Pattern(String),
    Invalid(String),
}

fn build(value: &Value, draft: Option<Draft>) -> Result<Validator, Unbuilt> {
    let patterns = PatternOptions::regex()
        .size_limit(LARGEST_PATTERN)
        .dfa_size_limit(LARGEST_PATTERN);
    let options = jsonschema::options()
        .with_pattern_options(patterns)
        .should_validate_formats(false)
        .offline();
    let options = match draft {
        Some(draft) => options.with_draft(draft),
        None => options,
    };
    options
        .build(value)
        .map_err(|error| match (error.kind(), error.instance().as_str()) {
            (ValidationErrorKind::Format { format }, Some(pattern)) if format == "regex" => {
                Unbuilt::Pattern(pattern.to_owned())
            }
            _ => Unbuilt::Invalid(clipped(&error.to_string())),
        })
}

/// Counts what checking costs in place, wherever a check may come in.
fn weigh(value: &Value, budget: &mut SchemaBudget) -> Result<(), SchemaError> {
    let mut cost = ValidationCost::new(value, budget.share_of_steps());
    let mut all = schemas(value).into_iter();
    let weighed = all.try_for_each(|schema| cost.add_in_place(schema));
    budget.spend_steps(cost.steps());
    weighed.map_err(|_| SchemaError::TooCostly)
}

fn refuse(refused: &mut Refused, pattern: String) {
    let why =
        "needs look-around, a back reference, long repeats, or a notation of another language";
    refused.insert(pattern, why);
}

/// The paths of what is unchecked; where there are many, the schema as a whole stands for them.
fn paths(unchecked: Vec<Unchecked>) -> Vec<String> {
    match unchecked.len() <= MAX_UNCHECKED {
        true => unchecked.into_iter().map(|part| part.path).collect(),
        false => vec![String::new()],
    }
}

fn violation(error: &jsonschema::ValidationError<'_>) -> Violation {
    Violation {
        path: clipped(error.instance_path().as_str()),
        says: clipped(&error.masked().to_string()),
        is_missing: is_missing(error.kind()),
    }
}

/// Whether a member is missing: one that is required, or that each of several schemas requires.
fn is_missing(kind: &ValidationErrorKind) -> bool {
    match kind {
        ValidationErrorKind::Required { .. } => true,
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            let of_branch = |branch: &Vec<_>| {
                let mut errors = branch.iter();
                errors.any(|error: &jsonschema::ValidationError<'_>| is_missing(error.kind()))
            };
            !context.is_empty() && context.iter().all(of_branch)
        }
        _ => false,
    }
}

/// The beginning of a text, on one line.
pub(super) fn clipped(text: &str) -> String {
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
        let SchemaError::Unsupported { path, what } = error(&inside) else {
            panic!("a reference to elsewhere is not supported");
        };
        assert_eq!(path, ".properties.enum.$ref");
        assert!(what.contains("'https://example.com/'"));
    }

    /// Keywords, those of the usual kind first, and what is none.
    const KEYWORDS: [&str; 37] = [
        "type",
        "description",
        "title",
        "format",
        "$comment",
        "properties",
        "required",
        "items",
        "additionalProperties",
        "enum",
        "anyOf",
        "oneOf",
        "allOf",
        "default",
        "const",
        "examples",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "uniqueItems",
        "$schema",
        "not",
        "pattern",
        "$ref",
        "$id",
        "id",
        "multipleOf",
        "patternProperties",
        "$defs",
        "x-other",
    ];

    /// What a keyword may be found to hold.
    fn held_values() -> [Value; 30] {
        [
            json!("string"),
            json!("word"),
            json!(""),
            json!(1),
            json!(-1),
            json!(0.5),
            json!(true),
            json!(null),
            json!({}),
            json!([]),
            json!([1, "a"]),
            json!(["a", "b"]),
            json!(["a", "a"]),
            json!(["string", "null"]),
            json!(["string", "string"]),
            json!([{}, true]),
            json!([{"anyOf": [{"enum": ["a"]}, false]}, {"oneOf": [{}]}]),
            json!({"a": {"type": "object", "enum": ["a", "b"]}, "$ref": {}}),
            json!({"a": 1}),
            json!({"type": ["a"]}),
            json!({"default": {"$ref": "#"}}),
            json!([{"allOf": []}]),
            json!("http://json-schema.org/draft-07/schema#"),
            json!("http://json-schema.org/draft-07/schema"),
            json!("https://json-schema.org/draft/2019-09/schema"),
            json!("#"),
            json!("https://example.com/"),
            json!("https://json-schema.org/draft/2020-12/schema"),
            json!("[a"),
            json!(u64::MAX),
        ]
    }

    /// Schemas with one keyword, or with something like one, in several places.
    fn with_keywords() -> Vec<Value> {
        let values = held_values();
        let one = |keyword: &&str| values.clone().map(|value| json!({*keyword: value}));
        let all = KEYWORDS.iter().flat_map(one).flat_map(|schema| {
            let within = json!({"type": "object", "properties": {"a": schema}, "required": ["a"]});
            let beside = json!({"anyOf": [{"type": "null"}, {"items": schema}, schema]});
            [schema, within, beside]
        });
        all.collect()
    }

    #[test]
    fn what_is_compiled_later_is_what_would_be_compiled_as_a_whole_at_once() {
        let mut later = 0;
        for schema in with_keywords() {
            let text = RawValue::from_string(schema.to_string()).unwrap();
            let budgets = [(); 2].map(|()| SchemaBudget::default());
            let [mut spent, mut usual] = budgets;
            let Some(found) = Schema::compiled_later(&text, &mut usual) else {
                continue;
            };
            later += 1;
            let at_once = Schema::compile(&schema, &mut spent, true);
            let at_once = at_once.unwrap_or_else(|error| panic!("{schema}: {error}"));
            assert_eq!(found.as_value(), at_once.schema.as_value());
            assert!(found.compiled().validator.is_some(), "{schema}");
            assert_eq!(format!("{usual:?}"), format!("{spent:?}"), "{schema}");
        }
        assert!(later > 300, "{later}");
    }

    #[test]
    fn a_schema_that_is_not_of_the_usual_kind_is_judged_at_once() {
        let deep = |depth| {
            (0..depth).fold("{}".to_owned(), |inner, _| {
                format!("{{\"items\": {inner}}}")
            })
        };
        for schema in [
            "{\"pattern\": \"a\"}",
            "{\"enum\": [1, \"a\"]}",
            "{\"enum\": [\"a\", \"\\u0061\"]}",
            "{\"minLength\": 1.0}",
            "{\"type\": \"object\", \"type\": \"text\"}",
            "{\"description\": \"\\ud83d\"}",
            "{\"maximum\": 1e999}",
            &deep(DEEPEST_SCHEMA + 1),
            &format!("{{\"default\": [{}0]}}", "0,".repeat(MAX_NODES)),
        ] {
            assert_eq!(usual::weigh(schema), None, "{schema}");
        }
        assert!(usual::weigh(&deep(DEEPEST_SCHEMA)).is_some());
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
        assert!(matches!(error(&unknown), SchemaError::Unsupported { .. }));
    }
}
