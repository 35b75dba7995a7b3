//! `fal-gateway keys`: makes client keys and hashes them.

use std::io::{self, BufRead, Write};

use secrecy::{ExposeSecret, SecretString};

use super::check::BAD_SETTINGS;
use crate::access::secret;
use crate::config::KeyHash;

/// Prints a new key, and the line that lets it in.
///
/// # Errors
///
/// Those of writing, and of a system without randomness.
pub fn new_key(name: Option<&str>, out: &mut impl Write) -> io::Result<u8> {
    let key = random_key()?;
    let key = key.expose_secret();
    let hash = KeyHash::of(key);
    let Some(hash) = (match name {
        Some(name) => hash.named(name),
        None => Some(hash),
    }) else {
        writeln!(
            out,
            "\"{}\" cannot name a key: up to 64 letters, digits and any of . _ - @ can.",
            name.unwrap_or_default().escape_debug()
        )?;
        return Ok(BAD_SETTINGS);
    };
    writeln!(out, "{key}\n")?;
    writeln!(
        out,
        "This is the only time the key is shown; give it to the client."
    )?;
    writeln!(
        out,
        "To let it in, add its hash to the configuration file:\n"
    )?;
    writeln!(out, "[auth]\nkeys = [\"{hash}\"]")?;
    Ok(0)
}

/// Prints the hash of the key on the first line of `input`.
///
/// # Errors
///
/// Those of reading and writing.
pub fn hash_key(input: &mut impl BufRead, out: &mut impl Write) -> io::Result<u8> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    // Clients cannot send white space around a key, so it is never part of one.
    let key = line.trim();
    if key.is_empty() {
        writeln!(
            out,
            "No key on standard input; try: fal-gateway keys hash < key.txt"
        )?;
        return Ok(BAD_SETTINGS);
    }
    writeln!(out, "{}", KeyHash::of(key))?;
    Ok(0)
}

/// A new key.
///
/// # Errors
/// When the system has no randomness.
pub(super) fn random_key() -> io::Result<SecretString> {
    secret::draw().ok_or_else(|| io::Error::other("the system has no randomness to offer"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::ClientKeys;

    fn printed(run: impl FnOnce(&mut Vec<u8>) -> io::Result<u8>) -> (u8, String) {
        let mut out = Vec::new();
        let code = run(&mut out).expect("memory can be written");
        (code, String::from_utf8(out).expect("only text is printed"))
    }

    #[test]
    fn a_new_key_verifies_against_the_line_printed_with_it() {
        let (code, page) = printed(|out| new_key(Some("alice"), out));
        assert_eq!(code, 0);
        let key = page.lines().next().unwrap_or_default();
        assert_eq!(key.len(), "sk-fg-".len() + 64);
        let line = page.lines().last().unwrap_or_default();
        let hash = KeyHash::parse(
            line.trim_start_matches("keys = [\"")
                .trim_end_matches("\"]"),
        );
        let keys = ClientKeys::new(&hash);
        let found = keys.verify(key, jiff::Timestamp::UNIX_EPOCH).ok();
        let id = found.map(|key| key.id.to_string());
        assert_eq!(id.as_deref(), Some("alice"));
    }

    #[test]
    fn no_two_keys_are_equal() {
        let draw = || random_key().expect("the system has randomness");
        assert_ne!(draw().expose_secret(), draw().expose_secret());
    }

    #[test]
    fn a_name_that_would_break_the_line_is_refused() {
        let (code, page) = printed(|out| new_key(Some("a\"b"), out));
        assert_eq!(code, BAD_SETTINGS);
        assert!(!page.contains("sk-fg-"));
    }

    #[test]
    fn hashing_ignores_the_newline_and_never_prints_the_key() {
        let (code, page) = printed(|out| hash_key(&mut "sk-fg-1\r\n".as_bytes(), out));
        assert_eq!(code, 0);
        assert_eq!(page, format!("{}\n", KeyHash::of("sk-fg-1")));
    }

    #[test]
    fn nothing_to_hash_is_an_error() {
        let (code, _) = printed(|out| hash_key(&mut "\n".as_bytes(), out));
        assert_eq!(code, BAD_SETTINGS);
    }
}
