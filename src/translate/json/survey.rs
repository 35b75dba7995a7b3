//! What of a schema can be checked.
//!
//! The library that checks is asked for a regular subset: references within the document, patterns
//! that run in linear time, no keyword whose meaning depends on where a check came from. A survey
//! copies a schema without anything else and says what it left out. Less is asked of a value then,
//! never more: where leaving something out would turn a `not` or a `oneOf` around, that goes too.

use std::collections::{HashMap, HashSet};
use std::ptr;

use serde_json::{Map, Value};

use super::budget::{MAX_STATES, SchemaBudget};
use super::pattern::states;
use super::pointer::{as_uri, resolve};
use super::schema::{SchemaError, clipped};

/// The most objects and arrays within one another in a schema.
pub(super) const DEEPEST_SCHEMA: usize = 32;
/// The most JSON values in a schema.
pub(super) const MAX_NODES: usize = 5_000;
/// The longest pattern, in bytes.
const LONGEST_PATTERN: usize = 256;
/// The longest name in a path, in characters.
const LONGEST_NAME: usize = 48;

/// The drafts of JSON Schema whose references are all written `$ref`.
const DRAFTS: [&str; 4] = [
    "json-schema.org/draft/2020-12/schema",
    "json-schema.org/draft/2019-09/schema",
    "json-schema.org/draft-07/schema",
    "json-schema.org/draft-06/schema",
];

/// A part of a schema that is not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unchecked {
    /// Where it stands, as `.properties.email.pattern`.
    pub(super) path: String,
    /// What it is, as part of a sentence.
    pub(super) what: String,
}

/// A schema as far as it can be checked.
#[derive(Debug)]
pub(super) struct Surveyed {
    pub(super) value: Value,
    pub(super) unchecked: Vec<Unchecked>,
}

/// Patterns that cannot be used, and why.
pub(super) type Refused = HashMap<String, &'static str>;

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

    /// What a member of this name is, in an object that stands here.
    fn inner(self, name: &str) -> Self {
        match self {
            Self::Schema => Self::of(name),
            Self::Names | Self::Patterns => Self::Schema,
            Self::Data => Self::Data,
        }
    }
}

/// Looks for limits, and for patterns that are beyond them.
pub(super) fn measure(whole: &Value, budget: &mut SchemaBudget) -> Result<Refused, SchemaError> {
    let mut refused = Refused::new();
    let mut nodes = 0_usize;
    let mut left = vec![(whole, 0_usize, Place::Schema)];
    let mut pattern = |pattern: &String| {
        if pattern.len() > LONGEST_PATTERN {
            refused.insert(pattern.clone(), "is longer than 256 bytes");
        } else if !refused.contains_key(pattern) && !budget.spend_states(states(pattern)) {
            refused.insert(pattern.clone(), TOO_MANY_STATES);
        }
    };
    while let Some((value, depth, place)) = left.pop() {
        nodes = nodes.saturating_add(1);
        if nodes > MAX_NODES {
            return Err(SchemaError::TooManyNodes);
        }
        if depth > DEEPEST_SCHEMA {
            return Err(SchemaError::TooDeep);
        }
        let deeper = depth.saturating_add(1);
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match (place, name.as_str(), member) {
                        (Place::Patterns, ..) => pattern(name),
                        (Place::Schema, "pattern", Value::String(text)) => pattern(text),
                        _ => {}
                    }
                    left.push((member, deeper, place.inner(name)));
                }
            }
            Value::Array(items) => left.extend(items.iter().map(|item| (item, deeper, place))),
            _ => {}
        }
    }
    budget.spend_values(nodes)?;
    Ok(refused)
}

/// All schemas within one, itself included.
pub(super) fn schemas(whole: &Value) -> Vec<&Value> {
    let mut schemas = Vec::new();
    let mut left = vec![(whole, Place::Schema)];
    while let Some((value, place)) = left.pop() {
        match value {
            Value::Object(members) => {
                if place == Place::Schema {
                    schemas.push(value);
                }
                left.extend(
                    members
                        .iter()
                        .map(|(name, member)| (member, place.inner(name))),
                );
            }
            Value::Array(items) => left.extend(items.iter().map(|item| (item, place))),
            _ => {}
        }
    }
    schemas
}

const TOO_MANY_STATES: &str =
    "repeats too much (all patterns of a request may have 50000 states together)";
const _: () = assert!(MAX_STATES == 50_000, "the sentence above says so");

/// Copies what can be checked.
///
/// # Errors
/// References to what cannot be judged as a schema, or to what had to be left out.
pub(super) fn survey(whole: &Value, refused: &Refused) -> Result<Surveyed, SchemaError> {
    let all = Survey::of(whole, refused, false)?;
    match all.unchecked.is_empty() {
        true => Ok(all),
        false => Survey::of(whole, refused, true),
    }
}

struct Survey<'s> {
    whole: &'s Value,
    refused: &'s Refused,
    /// Whether what would ask for more when less is asked within it is left out.
    weakens: bool,
    /// How many schemas with a base of their own are around; there, `#` means something else.
    bases: usize,
    path: Vec<Step<'s>>,
    /// The addresses of all objects that were judged as schemas.
    schemas: HashSet<usize>,
    /// What references point to, and how the copy refers to it.
    targets: Vec<(&'s Value, String)>,
    unchecked: Vec<Unchecked>,
}

#[derive(Clone, Copy)]
enum Step<'s> {
    Name(&'s str),
    Index(usize),
}

/// What becomes of a member of a schema.
enum Fate {
    Kept,
    /// A reference, written as every reader takes it.
    Reference(String),
    /// A `oneOf`, of which only `anyOf` is left.
    AnyOf,
    /// Without effect on checks.
    Dropped,
    Unchecked(String),
}

impl<'s> Survey<'s> {
    fn of(whole: &'s Value, refused: &'s Refused, weakens: bool) -> Result<Surveyed, SchemaError> {
        let mut survey = Self {
            whole,
            refused,
            weakens,
            bases: 0,
            path: Vec::new(),
            schemas: HashSet::new(),
            targets: Vec::new(),
            unchecked: Vec::new(),
        };
        let value = survey.copy(whole, Place::Schema);
        let is_sound = |(target, uri): &(&Value, String)| {
            // What a reference makes a schema of has to have been judged as one: data was not.
            let address = ptr::from_ref(*target).addr();
            (!target.is_object() || survey.schemas.contains(&address))
                && resolve(&value, uri).is_some()
        };
        match survey.targets.iter().all(is_sound) {
            true => Ok(Surveyed {
                value,
                unchecked: survey.unchecked,
            }),
            false => Err(SchemaError::Unsupported {
                path: String::new(),
                what: "a $ref to what is not a schema".to_owned(),
            }),
        }
    }

    /// Recursion is bounded, since depth was measured before.
    fn copy(&mut self, value: &'s Value, place: Place) -> Value {
        match value {
            Value::Object(members) => {
                let has_base = place == Place::Schema && self.opens_base(members);
                self.bases = self.bases.saturating_add(has_base.into());
                if place == Place::Schema {
                    self.schemas.insert(ptr::from_ref(value).addr());
                }
                let copy = self.copy_members(members, place);
                self.bases = self.bases.saturating_sub(has_base.into());
                Value::Object(copy)
            }
            Value::Array(items) => {
                let copy = items.iter().enumerate().map(|(at, item)| {
                    self.path.push(Step::Index(at));
                    let copy = self.copy(item, place);
                    self.path.pop();
                    copy
                });
                Value::Array(copy.collect())
            }
            other => other.clone(),
        }
    }

    fn copy_members(
        &mut self,
        members: &'s Map<String, Value>,
        place: Place,
    ) -> Map<String, Value> {
        let mut copy = Map::with_capacity(members.len());
        for (name, member) in members {
            self.path.push(Step::Name(name));
            let fate = match place {
                Place::Schema => self.keyword(members, name, member),
                Place::Patterns => match self.refused.get(name) {
                    Some(why) => Fate::Unchecked(pattern(name, why)),
                    None => Fate::Kept,
                },
                Place::Names | Place::Data => Fate::Kept,
            };
            match fate {
                Fate::Kept => {
                    copy.insert(name.clone(), self.copy(member, place.inner(name)));
                }
                Fate::Reference(uri) => {
                    copy.insert(name.clone(), Value::String(uri));
                }
                Fate::AnyOf => {
                    self.leave("a oneOf around what is left out".to_owned());
                    copy.insert("anyOf".to_owned(), self.copy(member, Place::Schema));
                }
                Fate::Dropped => {}
                Fate::Unchecked(what) => self.leave(what),
            }
            self.path.pop();
        }
        copy
    }

    fn keyword(
        &mut self,
        siblings: &'s Map<String, Value>,
        name: &'s str,
        member: &'s Value,
    ) -> Fate {
        match (name, member) {
            ("pattern", Value::String(text)) => match self.refused.get(text) {
                Some(why) => Fate::Unchecked(pattern(text, why)),
                None => Fate::Kept,
            },
            ("$ref", Value::String(reference)) => self.reference(reference),
            // They refer to whatever the check came from, which no walk can foresee; and the
            // latter two check members again for each keyword beside them.
            ("$dynamicRef" | "$recursiveRef" | "unevaluatedItems" | "unevaluatedProperties", _) => {
                Fate::Unchecked(name.to_owned())
            }
            // References are pointers in the copy, so nothing refers to a name any more.
            ("$anchor" | "$dynamicAnchor" | "$recursiveAnchor" | "id", Value::String(_)) => {
                Fate::Dropped
            }
            ("$id", _) if self.path.len() == 1 => Fate::Dropped,
            ("$id", _) => Fate::Unchecked("$id within the schema".to_owned()),
            ("$schema", _) if self.path.len() > 1 => {
                Fate::Unchecked("$schema within the schema".to_owned())
            }
            ("$schema", Value::String(draft)) if is_known(draft) => Fate::Kept,
            ("$schema", Value::String(draft)) => {
                Fate::Unchecked(format!("$schema '{}'", clipped(draft)))
            }
            ("$schema", _) => Fate::Unchecked("$schema".to_owned()),
            // Members that a pattern no longer claims would be left over.
            ("additionalProperties", _) if self.has_refused_patterns(siblings) => {
                Fate::Unchecked("additionalProperties beside a pattern that is left out".to_owned())
            }
            _ if !self.weakens => Fate::Kept,
            ("then" | "else", _) if siblings.contains_key("if") => Fate::Dropped,
            ("oneOf", Value::Array(_)) if !siblings.contains_key("anyOf") => Fate::AnyOf,
            ("not" | "if" | "maxContains" | "oneOf", _) => {
                Fate::Unchecked(format!("{name} around what is left out"))
            }
            _ => Fate::Kept,
        }
    }

    fn reference(&mut self, reference: &str) -> Fate {
        let target = resolve(self.whole, reference).filter(|_| self.bases == 0);
        match (target, as_uri(reference)) {
            (Some(target), Some(uri)) => {
                self.targets.push((target, uri.clone()));
                Fate::Reference(uri)
            }
            _ => Fate::Unchecked(format!(
                "a $ref to '{}', which is not within the same document, like '#/$defs/name'",
                clipped(reference)
            )),
        }
    }

    fn has_refused_patterns(&self, siblings: &Map<String, Value>) -> bool {
        let patterns = siblings.get("patternProperties").and_then(Value::as_object);
        let mut names = patterns.into_iter().flat_map(Map::keys);
        names.any(|name| self.refused.contains_key(name))
    }

    /// Whether a schema below the root has a base of its own.
    fn opens_base(&self, members: &Map<String, Value>) -> bool {
        let id = members.get("$id").and_then(Value::as_str);
        !self.path.is_empty() && id.is_some_and(|id| !id.starts_with('#'))
    }

    fn leave(&mut self, what: String) {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Index(at) => path.push_str(&format!("[{at}]")),
                Step::Name(name) => {
                    path.push('.');
                    let plain = name.chars().filter(|letter| !letter.is_control());
                    path.extend(plain.take(LONGEST_NAME));
                }
            }
        }
        self.unchecked.push(Unchecked { path, what });
    }
}

fn pattern(pattern: &str, why: &str) -> String {
    format!("the pattern '{}', which {why}", clipped(pattern))
}

fn is_known(draft: &str) -> bool {
    let address = draft
        .strip_prefix("https://")
        .or_else(|| draft.strip_prefix("http://"));
    address.is_some_and(|address| DRAFTS.contains(&address.trim_end_matches('#')))
}
