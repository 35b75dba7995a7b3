//! The key that tells the gateway's markup from text that merely looks like it.
//!
//! A folded conversation is marked with tags that carry a short key. The key is computed from the
//! start of the conversation, so that it stays the same from turn to turn and across replicas
//! (providers cache prompts by prefix), and it occurs nowhere in the conversation itself, so that
//! no text of a user, a tool or a document can open or close a turn. No secret is needed: a text
//! that contains the key only makes the gateway take another one.

use std::fmt;

use memchr::memmem;
use ring::digest::{Context, SHA256};

use super::ask::{Conversation, Part, Speaker};

/// Characters that are hard to confuse (Crockford's base 32).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Short keys cost weak models less attention; this many are tried before a longer one is taken.
const SHORT_KEYS: usize = 4;
const SHORT: usize = 4;
const LONG: usize = 12;

/// A key, upper-case letters and digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of a conversation: the first in its sequence that occurs in none of its texts.
    ///
    /// The first few candidates depend on the start of the conversation alone. The ones after them
    /// depend on all of it, so nobody can write a text that contains its own candidates, and the
    /// search ends.
    pub fn of(conversation: &Conversation<'_>) -> Self {
        Self::of_all(conversation, &[])
    }

    /// The key for a conversation and other texts that go with it, such as tool definitions.
    #[expect(clippy::expect_used, reason = "the iterator is endless")]
    pub fn of_all(conversation: &Conversation<'_>, others: &[&str]) -> Self {
        let start = digest(start_of(conversation).chain(others.iter().copied()), 0);
        start
            .chunks_exact(SHORT)
            .take(SHORT_KEYS)
            .map(Self::from_bytes)
            .chain((1..).map(|round| {
                let all = digest(conversation.texts().chain(others.iter().copied()), round);
                Self::from_bytes(all.get(..LONG).unwrap_or_default())
            }))
            .find(|key| !key.occurs_in(conversation.texts().chain(others.iter().copied())))
            .expect("the sequence of candidates has no end")
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let letter = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied();
        Self(bytes.iter().filter_map(letter).map(char::from).collect())
    }

    fn occurs_in<'t>(&self, mut texts: impl Iterator<Item = &'t str>) -> bool {
        let finder = memmem::Finder::new(self.0.as_bytes());
        texts.any(|text| finder.find(text.as_bytes()).is_some())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The instructions and the first text of the first user turn: what later turns never change.
fn start_of<'c>(conversation: &'c Conversation<'_>) -> impl Iterator<Item = &'c str> {
    let first_user_text = conversation
        .turns
        .iter()
        .find(|turn| matches!(turn.speaker, Speaker::User { .. }))
        .and_then(|turn| turn.parts.first())
        .and_then(|part| match part {
            Part::Text(text) => Some(text.as_ref()),
            Part::Image(_) | Part::ToolCall(_) => None,
        });
    conversation
        .instructions
        .as_deref()
        .into_iter()
        .chain(first_user_text)
}

/// A digest over texts and their lengths, so that moving a border changes it.
fn digest<'t>(texts: impl Iterator<Item = &'t str>, round: u64) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    context.update(&round.to_le_bytes());
    for text in texts {
        context.update(&(text.len() as u64).to_le_bytes());
        context.update(text.as_bytes());
    }
    context.finish().as_ref().to_vec()
}
