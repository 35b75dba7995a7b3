//! A fingerprint of what a JSON text means: the order of members, blanks, and the spelling of
//! strings and numbers make no difference. Every text has one, also where nobody can say what it means.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The fingerprint of a JSON text under this hasher. A text that cannot be read as a whole is known by its
/// bytes: bodies are taken whose fields of no effect hold numbers beyond all bounds, or halves of letters.
pub fn fingerprint<S: BuildHasher>(json: &[u8], hasher: &S) -> u64 {
    // As requests are read.
    let json = json.strip_prefix(BOM).unwrap_or(json);
    read(json, hasher).unwrap_or_else(|| Meaning(hasher).of(8, json))
}

fn read<S: BuildHasher>(json: &[u8], hasher: &S) -> Option<u64> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = Meaning(hasher).deserialize(&mut reader).ok()?;
    reader.end().ok().map(|()| value)
}

/// What some clients put before a text in UTF-8.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// Reads a value to the fingerprint of it.
struct Meaning<'s, S>(&'s S);

/// Integers up to here are the same as floating-point numbers, too.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

impl<S: BuildHasher> Meaning<'_, S> {
    /// A value that has no others in it. The kind keeps `"1"` from being `1`.
    fn of(&self, kind: u8, value: impl Hash) -> u64 {
        self.0.hash_one((kind, value))
    }
}

impl<'de, S: BuildHasher> DeserializeSeed<'de> for Meaning<'_, S> {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: BuildHasher> Visitor<'de> for Meaning<'_, S> {
    type Value = u64;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<u64, E> {
        Ok(self.of(0, ()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<u64, E> {
        Ok(self.of(1, value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<u64, E> {
        Ok(self.of(2, i128::from(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
        Ok(self.of(2, i128::from(value)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<u64, E> {
        Ok(match value.fract() == 0.0 && value.abs() <= MAX_EXACT {
            // Exact within these bounds.
            true => self.of(2, value as i128),
            false => self.of(3, value.to_bits()),
        })
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<u64, E> {
        Ok(self.of(4, value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<u64, A::Error> {
        let mut hasher = self.0.build_hasher();
        while let Some(item) = items.next_element_seed(Meaning(self.0))? {
            hasher.write_u64(item);
        }
        Ok(self.of(5, hasher.finish()))
    }

    /// A sum does not depend on the order.
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<u64, A::Error> {
        let mut sum = 0_u64;
        while let Some(name) = members.next_key_seed(Meaning(self.0))? {
            let value = members.next_value_seed(Meaning(self.0))?;
            sum = sum.wrapping_add(self.of(6, (name, value)));
        }
        Ok(self.of(7, sum))
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasherDefault, DefaultHasher};

    use super::*;

    fn of(json: &str) -> u64 {
        fingerprint(
            json.as_bytes(),
            &BuildHasherDefault::<DefaultHasher>::default(),
        )
    }

    #[test]
    fn what_means_the_same_has_one_fingerprint() {
        for (one, other) in [
            (
                r#"{"a": 1, "b": [true, null]}"#,
                r#"{"b":[true,null],"a":1}"#,
            ),
            (r#"{"a": {"b": 1, "c": 2}}"#, r#"{"a":{"c":2,"b":1}}"#),
            (r#""\u00e9\/""#, "\"é/\""),
            ("1.0", "1"),
            ("1e2", "100"),
            ("-0.5", "-5e-1"),
            (" [ ] ", "[]"),
            ("\u{feff}{ }", "{}"),
        ] {
            assert_eq!(of(one), of(other), "{one} {other}");
        }
    }

    #[test]
    fn what_means_something_else_has_another() {
        let deep = "[".repeat(500) + &"]".repeat(500);
        let all = [
            "null",
            "true",
            "false",
            "0",
            "1",
            "-1",
            "1.5",
            "\"\"",
            "\"1\"",
            "[]",
            "{}",
            "[1]",
            "[[1]]",
            "[1,2]",
            "[2,1]",
            "[1,1]",
            r#"{"a":1}"#,
            r#"{"a":"1"}"#,
            r#"{"b":1}"#,
            r#"{"1":"a"}"#,
            r#"{"a":1,"b":2}"#,
            r#"{"a":2,"b":1}"#,
            r#"[{"a":1},{"b":2}]"#,
            r#"{"a":{"b":1}}"#,
            r#"{"a":[]}"#,
            "18446744073709551615",
            // What cannot be read.
            "",
            "{",
            "1 2",
            "1e999",
            r#""\ud800""#,
            r#""\ud801""#,
            r#"{"a":1,"b":1e999}"#,
            r#"{"a":2,"b":1e999}"#,
            &deep,
        ];
        let prints: std::collections::BTreeSet<_> = all.iter().map(|json| of(json)).collect();
        assert_eq!(prints.len(), all.len());
    }
}
