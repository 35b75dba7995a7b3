//! Looks up a presented key among the configured hashes.
//!
//! Knows hashes only; where a key was found in a request, and what becomes of
//! the request, is decided elsewhere.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::config::KeyHash;

/// The keys that open the gateway.
///
/// ```
/// use fal_gateway::access::ClientKeys;
/// use fal_gateway::config::KeyHash;
///
/// let keys = ClientKeys::new(&KeyHash::of("sk-fg-1").named("alice"));
/// assert_eq!(keys.verify("sk-fg-1").unwrap().as_str(), "alice");
/// assert!(keys.verify("sk-fg-2").is_none());
/// ```
#[derive(Debug)]
pub struct ClientKeys {
    by_hash: HashMap<[u8; 32], ClientKeyId>,
}

/// What a key is called in logs and metrics; says nothing about the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientKeyId(Arc<str>);

impl ClientKeys {
    /// Takes the hashes from `auth.keys`, or the single one from `auth.admin_key`.
    pub fn new<'a>(hashes: impl IntoIterator<Item = &'a KeyHash>) -> Self {
        let by_hash = hashes
            .into_iter()
            .map(|hash| (*hash.sha256(), ClientKeyId::of(hash)));
        Self {
            by_hash: by_hash.collect(),
        }
    }

    /// Whether no key is configured. Then no key verifies either: whether
    /// callers without a key are served is the operator's choice, not ours.
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// The id of a presented key, if it is one of ours.
    ///
    /// The time taken does not depend on the number of keys. It may depend on
    /// how a hash differs from those that are known, which helps nobody: who
    /// presents a key does not choose its hash. The empty key never verifies.
    pub fn verify(&self, presented: &str) -> Option<ClientKeyId> {
        let found = self.by_hash.get(KeyHash::of(presented).sha256());
        found.filter(|_| !presented.is_empty()).cloned()
    }
}

impl ClientKeyId {
    /// The name the operator gave, else the first hex digits of the hash.
    fn of(hash: &KeyHash) -> Self {
        match hash.name() {
            Some(name) => Self(name.into()),
            None => {
                let start = hash.sha256().iter().take(4);
                let digits: String = start.map(|byte| format!("{byte:02x}")).collect();
                Self(format!("key-{digits}").into())
            }
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> ClientKeys {
        let named = |key, name| KeyHash::of(key).named(name);
        let hashes = [
            named("first", "alice"),
            Some(KeyHash::of("second")),
            named("third", "carol"),
        ];
        ClientKeys::new(hashes.iter().flatten())
    }

    fn id_of(presented: &str) -> Option<String> {
        keys().verify(presented).map(|id| id.to_string())
    }

    #[test]
    fn every_configured_key_is_known_by_its_name() {
        assert_eq!(id_of("first").as_deref(), Some("alice"));
        assert_eq!(id_of("third").as_deref(), Some("carol"));
    }

    #[test]
    fn a_key_without_a_name_goes_by_the_start_of_its_hash() {
        // `printf second | sha256sum`
        assert_eq!(id_of("second").as_deref(), Some("key-16367aac"));
    }

    #[test]
    fn other_keys_are_unknown() {
        for wrong in ["", " ", "first ", "FIRST", "firs", "alice", "fourth"] {
            assert_eq!(keys().verify(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_hash_itself_is_no_key() {
        let hash = KeyHash::of("first").to_string();
        assert_eq!(keys().verify(&hash), None);
    }

    #[test]
    fn no_configured_key_means_that_none_verifies() {
        let none = ClientKeys::new(&[]);
        assert!(none.is_empty());
        assert_eq!(none.verify(""), None);
        assert_eq!(none.verify("first"), None);
    }

    #[test]
    fn the_empty_key_does_not_verify_even_if_its_hash_is_configured() {
        let odd = ClientKeys::new(&[KeyHash::of("")]);
        assert_eq!(odd.verify(""), None);
    }
}
