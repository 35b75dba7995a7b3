//! Schemas of the usual kind, judged in one walk through their text.
//!
//! Most tools that are offered are never called, and to read a schema into a tree and compile it takes
//! many times as long as to walk through it. A schema that holds nothing but the keywords here, each in
//! the form that all drafts give it, is a valid one that can be compiled as a whole. So that can wait
//! until something is checked against it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::survey::{DEEPEST_SCHEMA, MAX_NODES};
use crate::wire::text::Text;

/// The types of JSON Schema.
const TYPES: [&str; 7] = [
    "string", "object", "array", "integer", "number", "boolean", "null",
];
/// The drafts, as they are usually named.
const DRAFTS: [&str; 4] = [
    "http://json-schema.org/draft-07/schema#",
    "http://json-schema.org/draft-07/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "https://json-schema.org/draft/2020-12/schema",
];

/// What a schema takes out of a budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) values: usize,
    /// See [`super::validation_cost`]: of all schemas within it, in place.
    pub(super) steps: usize,
}

/// What a schema takes out of a budget, if it is of the usual kind and within the limits.
pub(super) fn weigh(schema: &str) -> Option<Weight> {
    let mut weight = Weight::default();
    let walk = Walk {
        place: Place::Schema,
        depth: 0,
        weight: &mut weight,
    };
    let mut reader = serde_json::Deserializer::from_str(schema);
    walk.deserialize(&mut reader).ok()?;
    Some(weight)
}

/// What a value is to the schema around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Schema,
    /// Schemas of which some or all have to fit.
    Branches,
    /// Schemas by the names of members.
    Names,
    /// The name of a type, or several.
    Types,
    /// Texts of which none is there twice.
    Texts,
    /// The same, and at least one.
    Options,
    /// A list of whatever it may be.
    List,
    /// The name of a draft.
    Draft,
    Text,
    Number,
    Count,
    Flag,
    /// Literal data.
    Data,
}

impl Place {
    /// What a keyword has to hold; `None` where it is none of the usual ones.
    fn of(keyword: &str) -> Option<Self> {
        Some(match keyword {
            "type" => Self::Types,
            "description" | "title" | "format" | "$comment" => Self::Text,
            "properties" => Self::Names,
            "required" => Self::Texts,
            "items" | "additionalProperties" => Self::Schema,
            "enum" => Self::Options,
            "anyOf" | "oneOf" | "allOf" => Self::Branches,
            "default" | "const" => Self::Data,
            "examples" => Self::List,
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => Self::Number,
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties"
            | "maxProperties" => Self::Count,
            "uniqueItems" => Self::Flag,
            "$schema" => Self::Draft,
            _ => return None,
        })
    }

    fn takes_text(self, text: &str) -> bool {
        match self {
            Self::Text | Self::Data => true,
            Self::Types => TYPES.contains(&text),
            Self::Draft => DRAFTS.contains(&text),
            _ => false,
        }
    }
}

/// Walks through a value. What comes of it is the steps that a check of it takes in place.
struct Walk<'w> {
    place: Place,
    depth: usize,
    weight: &'w mut Weight,
}

impl Walk<'_> {
    fn inner(&mut self, place: Place) -> Walk<'_> {
        Walk {
            place,
            depth: self.depth.saturating_add(1),
            weight: self.weight,
        }
    }

    /// Counts a value.
    fn count<E: Error>(&mut self) -> Result<(), E> {
        self.weight.values = self.weight.values.saturating_add(1);
        match self.weight.values > MAX_NODES || self.depth > DEEPEST_SCHEMA {
            true => Err(E::custom("beyond the limits")),
            false => Ok(()),
        }
    }

    /// Counts a value that stands where it may, or does not.
    fn allow<E: Error>(mut self, is_allowed: bool, steps: usize) -> Result<usize, E> {
        self.count()?;
        match is_allowed {
            true => Ok(steps),
            false => Err(unusual()),
        }
    }
}

fn unusual<E: Error>() -> E {
    E::custom("not of the usual kind")
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = usize;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a schema of the usual kind")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<usize, E> {
        let is_schema = self.place == Place::Schema && self.depth > 0;
        let is_allowed = is_schema || matches!(self.place, Place::Flag | Place::Data);
        self.allow(is_allowed, 1)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<usize, E> {
        let is_allowed = matches!(self.place, Place::Count | Place::Number | Place::Data);
        self.allow(is_allowed, 0)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<usize, E> {
        let is_allowed = matches!(self.place, Place::Number | Place::Data);
        self.allow(is_allowed, 0)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<usize, E> {
        let is_allowed = matches!(self.place, Place::Number | Place::Data);
        self.allow(is_allowed, 0)
    }

    fn visit_unit<E: Error>(self) -> Result<usize, E> {
        let is_allowed = self.place == Place::Data;
        self.allow(is_allowed, 0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<usize, E> {
        let is_allowed = self.place.takes_text(text);
        self.allow(is_allowed, 0)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<usize, A::Error> {
        self.count()?;
        let mut steps = 0_usize;
        let item = match self.place {
            Place::Branches => Place::Schema,
            Place::List | Place::Data => Place::Data,
            place @ (Place::Types | Place::Texts | Place::Options) => {
                return self.texts(place, items);
            }
            _ => return Err(unusual()),
        };
        let mut count = 0_usize;
        while let Some(more) = items.next_element_seed(self.inner(item))? {
            steps = steps.saturating_add(more);
            count = count.saturating_add(1);
        }
        match self.place == Place::Branches && count == 0 {
            true => Err(unusual()),
            false => Ok(steps),
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<usize, A::Error> {
        self.count()?;
        if !matches!(self.place, Place::Schema | Place::Names | Place::Data) {
            return Err(unusual());
        }
        let mut steps = 1_usize;
        while let Some(Text(name)) = members.next_key::<Text<'de>>()? {
            let place = match self.place {
                Place::Schema => Place::of(&name).ok_or_else(unusual)?,
                Place::Names => Place::Schema,
                place => place,
            };
            if place == Place::Draft && self.depth > 0 {
                return Err(unusual());
            }
            let more = members.next_value_seed(self.inner(place))?;
            if matches!(place, Place::Branches | Place::Options) {
                steps = steps.saturating_add(more);
            }
        }
        if self.place == Place::Schema {
            self.weight.steps = self.weight.steps.saturating_add(steps);
        }
        Ok(steps)
    }
}

impl Walk<'_> {
    /// Walks through a list of texts. Each of several options takes a step.
    fn texts<'de, A: SeqAccess<'de>>(
        mut self,
        place: Place,
        mut items: A,
    ) -> Result<usize, A::Error> {
        let mut texts: Vec<Cow<'de, str>> = Vec::new();
        while let Some(Text(text)) = items.next_element::<Text<'de>>()? {
            self.inner(Place::Text).count()?;
            texts.push(text);
        }
        texts.sort_unstable();
        let is_single = texts.is_sorted_by(|one, next| one < next);
        let is_allowed = match place {
            Place::Types => {
                !texts.is_empty() && texts.iter().all(|text| TYPES.contains(&text.as_ref()))
            }
            Place::Options => !texts.is_empty(),
            _ => true,
        };
        match is_single && is_allowed {
            true => Ok(texts.len()),
            false => Err(unusual()),
        }
    }
}
