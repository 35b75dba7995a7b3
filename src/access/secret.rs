//! New client keys.

use ring::rand::{SecureRandom, SystemRandom};
use secrecy::SecretString;

use crate::config::KeyHash;

/// How many of a key's last letters may be shown.
const SHOWN: usize = 4;

/// What is kept of a key: nobody finds the key by it.
#[derive(Clone, Debug)]
pub struct Secret {
    pub hash: KeyHash,
    /// Its last letters, by which its owner may know it again; empty where they were never seen.
    pub hint: String,
}

impl Secret {
    /// What is kept of this key.
    pub fn of(plain: &str) -> Self {
        let letters = plain.char_indices().rev().nth(SHOWN - 1);
        let hint = letters.map_or("", |(at, _)| plain.get(at..).unwrap_or_default());
        Self {
            hash: KeyHash::of(plain),
            hint: hint.to_owned(),
        }
    }

    /// What is kept of a key of which only the hash is known here.
    pub fn of_hash(hash: KeyHash) -> Self {
        Self {
            hash,
            hint: String::new(),
        }
    }
}

/// A new key: 256 random bits in hex behind a prefix that secret scanners can look for. None if the
/// system has no randomness to offer.
pub fn draw() -> Option<SecretString> {
    let mut bytes = [0u8; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(SecretString::from(format!("sk-fg-{digits}")))
}
