//! Who may call, as far as the operator says: hashes of client keys.

use std::fmt;
use std::time::Duration;

use ring::digest::{SHA256, digest};

use super::kinds::{Count, HashedKey, List, Optional, Span, Switch, ZeroMeansNone};
use super::settings::settings;

settings! {
    /// Who may call. Only hashes of keys are stored; `fal-gateway keys new` makes a key.
    pub struct Auth in "auth" {
        /// Hashes of the keys that clients may use; empty means that no client key is asked for.
        /// `FAL_GATEWAY_KEYS` takes the plain keys instead, separated by commas.
        keys: Vec<KeyHash>, List(HashedKey), reload live;
        /// Hash of the key that opens `/metrics` to callers beyond this machine.
        admin_key: Option<KeyHash>, Optional(HashedKey), reload live;
        /// Wrong keys from one address in a minute, after which only keys that are known to be right
        /// are let in from there, and others get status 429; `0` for no limit.
        max_failures: Option<usize>, ZeroMeansNone(Count(0, 1_000_000)), default "20", reload live;
        /// How long keys of the store are taken after it was last reached; longer than this it may be
        /// that one was revoked. Keys of the file are always taken.
        max_staleness: Duration, Span("2s", "24h"), default "5m", reload live;
        /// Spend `fal.key` for anyone who can connect: allows listening beyond this machine
        /// without client keys, for instance behind a proxy that checks callers.
        allow_unauthenticated: bool, Switch, default "false", flag "--open", reload restart;
    }
}

/// The SHA-256 of a key, with the name its owner goes by.
///
/// Keys are random and long, so a plain hash is enough, and a slow one would
/// let strangers keep the gateway busy.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyHash {
    name: Option<String>,
    sha256: [u8; 32],
}

impl KeyHash {
    /// Hashes a plain key.
    pub fn of(plain: &str) -> Self {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, plain.as_bytes()).as_ref());
        Self { name: None, sha256 }
    }

    /// The same key under a name; none if the name would not fit into a log
    /// line or file: up to 64 letters, digits and any of `.`, `_`, `-`, `@`.
    pub fn named(self, name: &str) -> Option<Self> {
        is_key_name(name).then(|| Self {
            name: Some(name.to_owned()),
            ..self
        })
    }

    /// Reads `sha256:<64 hex>` or `name:sha256:<64 hex>`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(hex) = text.strip_prefix("sha256:") {
            return Some(Self {
                name: None,
                sha256: from_hex(hex)?,
            });
        }
        let (name, hash) = text.split_once(':')?;
        if !hash.starts_with("sha256:") {
            return None;
        }
        Self::parse(hash)?.named(name)
    }

    /// The name before the hash, if the operator gave one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The hash itself.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }
}

/// Spells the hash as `auth.keys` takes it.
impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name}:")?;
        }
        f.write_str("sha256:")?;
        self.sha256.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// Shows the name only.
impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash({})", self.name().unwrap_or("***"))
    }
}

/// Whether a text can name a key.
pub(super) fn is_key_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text != "sha256"
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'@'))
}

fn from_hex(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if hex.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let mut digits = pair.iter().map(|&c| char::from(c).to_digit(16));
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_survives_being_written_and_read() {
        let hash = KeyHash::of("sk-fg-1").named("alice");
        let line = hash.as_ref().map(KeyHash::to_string).unwrap_or_default();
        assert_eq!(KeyHash::parse(&line), hash);
    }

    #[test]
    fn the_hash_of_a_known_text_is_the_known_one() {
        assert_eq!(
            KeyHash::of("abc").to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn anything_but_64_hex_digits_is_no_hash() {
        let good = "0".repeat(64);
        assert!(KeyHash::parse(&format!("sha256:{good}")).is_some());
        for bad in [
            "sk-fg-plain".to_owned(),
            good.clone(),
            format!("sha256:{good}0"),
            format!("sha256:{}", "g".repeat(64)),
            format!("sha256:{}", "é".repeat(32)),
            format!(":sha256:{good}"),
            format!("two words:sha256:{good}"),
            format!("md5:{good}"),
        ] {
            assert_eq!(KeyHash::parse(&bad), None, "{bad}");
        }
    }
}
