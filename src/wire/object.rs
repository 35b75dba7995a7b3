//! JSON objects inside a request's fields: every member of them is read or named.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::wire::text::Text;

/// The members of an object that its type does not have, by name.
///
/// Real clients send their own (`cache_control`, `reasoning_details`, ids), so they are no error;
/// but nothing may be dropped unseen. A member that says nothing is not kept: null, and what is
/// empty. Clients write such members for everything that their types could hold.
#[derive(Debug, Default)]
pub struct Unknown<'a>(Vec<Cow<'a, str>>);

/// How many names one object keeps; whatever comes after them is [`MORE`].
const MAX_NAMES: usize = 16;
/// Stands for all names beyond the limit.
pub const MORE: &str = "...";

impl<'a> Unknown<'a> {
    /// Keeps the name of a member, unless its value says nothing.
    pub fn add(&mut self, name: Text<'a>, value: &RawValue) {
        if says_nothing(value.get()) || self.0.len() > MAX_NAMES {
            return;
        }
        self.0.push(match self.0.len() {
            MAX_NAMES => MORE.into(),
            _ => name.0,
        });
    }

    /// The names, in the order in which they were written.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

/// Whether a JSON value is null or empty.
fn says_nothing(json: &str) -> bool {
    let inside = |open, close| json.strip_prefix(open)?.strip_suffix(close);
    match json {
        "null" | "\"\"" => true,
        _ => inside('[', ']')
            .or_else(|| inside('{', '}'))
            .is_some_and(|inside| inside.trim().is_empty()),
    }
}

/// Declares types for JSON objects: what is expected where such an object belongs, and its members
/// by their names. A member of type `Option` may be missing, and no known member may occur twice.
macro_rules! objects {
    ($(
        $(#[$about:meta])*
        $expecting:literal
        pub struct $name:ident<$a:lifetime> {
            $( $(#[$about_member:meta])* $member:literal => $field:ident: $kind:ty, )*
        }
    )*) => {$(
        $(#[$about])*
        #[derive(Debug)]
        pub struct $name<$a> {
            $( $(#[$about_member])* pub $field: $kind, )*
            /// The other members that say something.
            pub unknown: $crate::wire::object::Unknown<$a>,
        }

        impl<'de: $a, $a> serde::Deserialize<'de> for $name<$a> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct ObjectVisitor<$a>(std::marker::PhantomData<&$a ()>);

                impl<'de: $a, $a> serde::de::Visitor<'de> for ObjectVisitor<$a> {
                    type Value = $name<$a>;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        formatter.write_str($expecting)
                    }

                    fn visit_map<M: serde::de::MapAccess<'de>>(
                        self,
                        mut map: M,
                    ) -> Result<Self::Value, M::Error> {
                        $( let mut $field: Option<$kind> = None; )*
                        let mut unknown = $crate::wire::object::Unknown::default();
                        while let Some(member) = map.next_key::<$crate::wire::text::Text<$a>>()? {
                            match member.as_str() {
                                $( $member if $field.is_some() => {
                                    return Err(serde::de::Error::duplicate_field($member));
                                }
                                $member => $field = Some(map.next_value()?), )*
                                _ => unknown.add(member, map.next_value()?),
                            }
                        }
                        Ok($name {
                            $( $field: match $field {
                                Some(value) => value,
                                None => $crate::wire::object::missing($member)?,
                            }, )*
                            unknown,
                        })
                    }
                }

                deserializer.deserialize_map(ObjectVisitor(std::marker::PhantomData))
            }
        }
    )*};
}
pub(crate) use objects;

/// The value of a member that is not there: none where it may be missing, or else an error.
pub(crate) fn missing<'de, T: serde::Deserialize<'de>, E: serde::de::Error>(
    member: &'static str,
) -> Result<T, E> {
    let nothing = serde::de::value::UnitDeserializer::<E>::new();
    T::deserialize(nothing).map_err(|_| E::missing_field(member))
}

#[cfg(test)]
#[expect(unreachable_pub, reason = "the macro's types are public")]
mod tests {
    use super::*;

    objects! {
        /// A parcel.
        "a parcel"
        pub struct Parcel<'a> {
            "type" => kind: Text<'a>,
            "size" => size: Option<u64>,
        }
    }

    fn names(json: &str) -> Vec<String> {
        let read: Parcel<'_> = serde_json::from_str(json).expect(json);
        assert_eq!((read.kind.as_str(), read.size), ("a", None));
        read.unknown.names().map(str::to_owned).collect()
    }

    #[test]
    fn a_member_that_says_something_is_named_and_one_that_says_nothing_is_not() {
        let json = r#"{"type": "a", "b": 1, "c": null, "d": [ ], "e": {}, "f": "", "g": false, "\u0068": [0]}"#;
        assert_eq!(names(json), ["b", "g", "h"]);
    }

    #[test]
    fn a_crowd_of_members_is_named_in_part() {
        let members = (0..1000)
            .map(|at| format!(", \"m{at}\": 1"))
            .collect::<String>();
        let named = names(&format!("{{\"type\": \"a\"{members}}}"));
        assert_eq!(named.len(), MAX_NAMES + 1);
        assert_eq!(named.last().map(String::as_str), Some(MORE));
    }

    #[test]
    fn what_is_wrong_is_said_as_serde_says_it() {
        for (json, says) in [
            ("{}", "missing field `type`"),
            (r#"{"type": "a", "type": "b"}"#, "duplicate field `type`"),
            ("[]", "invalid type: sequence, expected a parcel"),
            (r#"{"type": null}"#, "invalid type: null, expected a string"),
            (
                r#"{"type": "a", "size": "b"}"#,
                "invalid type: string \"b\", expected u64",
            ),
        ] {
            let error = serde_json::from_str::<Parcel<'_>>(json)
                .expect_err(json)
                .to_string();
            assert!(error.starts_with(says), "{json}: {error}");
        }
    }
}
