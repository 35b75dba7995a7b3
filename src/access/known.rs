//! Remembers keys that have proved right elsewhere, by their hashes.

use std::collections::HashSet;
use std::mem;
use std::sync::{Mutex, PoisonError};

use crate::config::KeyHash;

/// What a key is remembered by: its hash, from which nobody finds the key.
pub type KeyPrint = [u8; 32];

/// How many keys a generation holds. There are two, and the older one is forgotten when the
/// younger one is full.
const GENERATION: usize = 10_000;

/// The keys that have proved right lately.
///
/// ```
/// use fal_gateway::access::KnownKeys;
///
/// let known = KnownKeys::default();
/// let print = KnownKeys::print("id:secret");
/// assert!(!known.has(&print));
/// known.add(print);
/// assert!(known.has(&print));
/// ```
#[derive(Debug, Default)]
pub struct KnownKeys(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashSet<KeyPrint>,
    old: HashSet<KeyPrint>,
}

impl KnownKeys {
    /// What a key is remembered by.
    pub fn print(key: &str) -> KeyPrint {
        *KeyHash::of(key).sha256()
    }

    /// Whether a key is remembered.
    pub fn has(&self, print: &KeyPrint) -> bool {
        let generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.young.contains(print) || generations.old.contains(print)
    }

    /// Remembers a key.
    pub fn add(&self, print: KeyPrint) {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if generations.young.len() >= GENERATION && !generations.young.contains(&print) {
            generations.old = mem::take(&mut generations.young);
        }
        generations.young.insert(print);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_keys_are_kept_and_their_number_is_bounded() {
        let known = KnownKeys::default();
        let print = |number: usize| KnownKeys::print(&number.to_string());
        for number in 0..GENERATION * 3 {
            known.add(print(number));
        }
        assert!(known.has(&print(GENERATION * 3 - 1)));
        assert!(!known.has(&print(0)));
        let generations = known.0.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
    }
}
