//! Objects that hold a name twice, which two readers may read differently.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Whether no object of a valid JSON text holds a name twice, at any depth and however the name is
/// spelt. RFC 8259, section 4: what a reader makes of such an object is unpredictable.
pub(super) fn has_single_names(json: &str) -> bool {
    serde_json::from_str::<SingleNames>(json).is_ok()
}

/// Any JSON whose objects hold each name once.
struct SingleNames;

impl<'de> Deserialize<'de> for SingleNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Walk)
    }
}

struct Walk;

impl<'de> Visitor<'de> for Walk {
    type Value = SingleNames;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON whose objects hold each name once")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<SingleNames, E> {
        Ok(SingleNames)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<SingleNames, E> {
        Ok(SingleNames)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<SingleNames, E> {
        Ok(SingleNames)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<SingleNames, E> {
        Ok(SingleNames)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<SingleNames, E> {
        Ok(SingleNames)
    }

    fn visit_unit<E: Error>(self) -> Result<SingleNames, E> {
        Ok(SingleNames)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<SingleNames, A::Error> {
        while items.next_element::<SingleNames>()?.is_some() {}
        Ok(SingleNames)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<SingleNames, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("a name is there twice"));
            }
            members.next_value::<SingleNames>()?;
        }
        Ok(SingleNames)
    }
}

#[cfg(test)]
mod tests {
    use super::has_single_names;

    #[test]
    fn twins_are_found_at_any_depth_and_in_any_spelling() {
        let single = [
            "{}",
            r#"{"a": {"a": [{"a": 1.5}, {"a": null}]}, "b": "a"}"#,
            "[1, 1]",
        ];
        let twins = [
            r#"{"a": 1, "a": 1}"#,
            r#"{"o": [{"a": "x", "b": 0, "a": 1}]}"#,
            r#"{"\u0061": 1, "a": 2}"#,
        ];
        assert!(single.into_iter().all(has_single_names));
        assert!(!twins.into_iter().any(has_single_names));
    }
}
