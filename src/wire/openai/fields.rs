//! A request object before anybody has decided what its fields mean.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The fields of a JSON object in the order they were written, each value still as text.
///
/// Every field is kept, known or not, so that nothing a caller sends can be dropped unseen.
/// A name that occurs twice is an error: two readers could otherwise see two different requests.
#[derive(Debug)]
pub struct Fields<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields<'de>, M::Error> {
                let mut fields: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::with_capacity(16);
                // Comparing each name with each other would take long where names are long.
                let mut known = HashSet::with_capacity(16);
                while let Some(name) = map.next_key::<crate::wire::text::Text<'de>>()? {
                    if !known.insert(name.0.clone()) {
                        return Err(M::Error::custom(format_args!(
                            "{DUPLICATE_FIELD}{}",
                            name.0
                        )));
                    }
                    if fields.len() == MAX_FIELDS {
                        return Err(M::Error::custom(TOO_MANY_FIELDS));
                    }
                    fields.push((name.0, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// How many fields a request object may have; OpenAI's own requests have some forty.
pub const MAX_FIELDS: usize = 256;
/// The error text for a field that is written twice; its name follows.
pub const DUPLICATE_FIELD: &str = "a field is written twice: ";
/// The error text for an object with more than [`MAX_FIELDS`] fields.
pub const TOO_MANY_FIELDS: &str = "more than 256 fields";
