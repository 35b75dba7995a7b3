//! A map in many pieces, so that a changed copy of it shares all of them but those that differ.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

/// How many pieces there are.
const PIECES: usize = 512;

/// A map. A clone costs the same however much is in it, and a change of the clone as much as one piece.
#[derive(Clone, Debug)]
pub struct Pieces<K, V> {
    pieces: Vec<Arc<HashMap<K, V>>>,
    hasher: RandomState,
    length: usize,
}

impl<K, V> Default for Pieces<K, V> {
    fn default() -> Self {
        Self {
            // One that is empty takes up no memory of its own.
            pieces: vec![Arc::default(); PIECES],
            hasher: RandomState::new(),
            length: 0,
        }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Pieces<K, V> {
    /// How much is in it.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// What is there under a key.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.pieces.get(self.place(key))?.get(key)
    }

    /// Puts something there, instead of what was.
    pub fn insert(&mut self, key: K, value: V) {
        let place = self.place(&key);
        if let Some(piece) = self.pieces.get_mut(place) {
            let before = Arc::make_mut(piece).insert(key, value);
            self.length += usize::from(before.is_none());
        }
    }

    /// Takes away what is there.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        let place = self.place(key);
        let piece = self.pieces.get_mut(place);
        if let Some(piece) = piece.filter(|piece| piece.contains_key(key)) {
            Arc::make_mut(piece).remove(key);
            self.length -= 1;
        }
    }

    fn place<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        let hash = self.hasher.hash_one(key);
        usize::try_from(hash % PIECES as u64).unwrap_or_default()
    }

    /// How many pieces it shares with another.
    #[cfg(test)]
    fn shared_with(&self, other: &Self) -> usize {
        let both = self.pieces.iter().zip(&other.pieces);
        both.filter(|(one, other)| Arc::ptr_eq(one, other)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_copy_shares_what_has_not_changed() {
        let mut old = Pieces::default();
        for number in 0..10_000_u32 {
            old.insert(number.to_string(), number);
        }
        let mut new = old.clone();
        new.insert("7".to_owned(), 0);
        new.insert("new".to_owned(), 1);
        new.remove("8");
        new.remove("not there");
        assert_eq!((old.len(), new.len()), (10_000, 10_000));
        assert_eq!((old.get("7"), new.get("7")), (Some(&7), Some(&0)));
        assert_eq!((old.get("8"), new.get("8")), (Some(&8), None));
        assert!(new.shared_with(&old) >= PIECES - 3);
        for number in 9..10_000 {
            assert_eq!(new.get(number.to_string().as_str()), Some(&number));
        }
        new.remove("new");
        assert_eq!(new.len(), 9_999);
    }
}
