//! What many APIs have in the place of a content: a string, or a list.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use super::text::Text;

/// A string, or a list of `T`.
#[derive(Debug)]
pub enum TextOrList<'a, T> {
    Text(Text<'a>),
    List(Vec<T>),
}

/// What may stand in such a list.
pub trait ListItem {
    /// What a refusal says that belongs there.
    const EXPECTED: &'static str;
}

impl<'de: 'a, 'a, T: Deserialize<'de> + ListItem> Deserialize<'de> for TextOrList<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de> + ListItem> Visitor<'de> for Either<T> {
            type Value = TextOrList<'de, T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(T::EXPECTED)
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(TextOrList::Text(Text(text.into())))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(TextOrList::Text(Text(text.to_owned().into())))
            }

            fn visit_seq<S: SeqAccess<'de>>(self, items: S) -> Result<Self::Value, S::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(items)).map(TextOrList::List)
            }
        }

        deserializer.deserialize_any(Either(PhantomData))
    }
}
