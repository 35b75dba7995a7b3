//! Lists that take no more memory than their readers want.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};

/// The first `MAX` items of a JSON list, and how many there are. Items beyond are passed over
/// unread: a list of `{}` would else take some hundred times the memory of its text before anybody
/// could count it.
#[derive(Clone, Debug)]
pub struct List<T, const MAX: usize> {
    pub items: Vec<T>,
    /// At least the number of `items`.
    pub total: usize,
}

impl<T, const MAX: usize> From<Vec<T>> for List<T, MAX> {
    fn from(items: Vec<T>) -> Self {
        let total = items.len();
        Self { items, total }
    }
}

impl<T, const MAX: usize> List<T, MAX> {
    /// Whether there are more items than were kept.
    pub fn is_cut(&self) -> bool {
        self.total > self.items.len()
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T, const MAX: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for ListVisitor<T, MAX> {
            type Value = List<T, MAX>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
                let mut items = Vec::new();
                while items.len() < MAX {
                    match seq.next_element()? {
                        Some(item) => items.push(item),
                        None => break,
                    }
                }
                let mut total = items.len();
                while let Some(IgnoredAny) = seq.next_element()? {
                    total = total.saturating_add(1);
                }
                Ok(List { items, total })
            }
        }

        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::List;

    #[test]
    fn what_is_beyond_the_limit_is_counted_and_not_kept() {
        let list: List<u8, 2> = serde_json::from_str("[1, 2, {}, [3]]").unwrap();
        assert_eq!((list.items.as_slice(), list.total), (&[1, 2][..], 4));
        assert!(list.is_cut());
        let list: List<u8, 2> = serde_json::from_str("[1, 2]").unwrap();
        assert!(!list.is_cut());
        assert!(serde_json::from_str::<List<u8, 2>>("[1, \"a\", 2]").is_err());
    }
}
