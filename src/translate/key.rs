//! The key that tells the gateway's markup from text that merely looks like it.
//!
//! A folded conversation is marked with tags that carry a short key. Two things keep others from
//! writing such tags:
//!
//! - **The key occurs where the gateway writes it and nowhere else.** Whoever writes with a key
//!   counts the strokes of the [`Pen`]; once all is written, the key and its like (see
//!   [`super::likeness`]) must occur in the texts exactly that often, or the next key is taken. It
//!   does not matter who brought the key in, or what was decoded on the way.
//! - **Nobody can know the key beforehand.** It is derived with a secret.
//!
//! It is derived from the caller's instructions and tools alone, so that all conversations of one
//! application begin with the same texts, and each conversation keeps its key from turn to turn:
//! providers cache prompts by their beginning.

use std::cell::Cell;
use std::fmt;
use std::hash::Hasher;

use ring::digest::{SHA256, digest};
use ring::hmac::{self, HMAC_SHA256};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::known_text::KnownText;
use super::likeness::{Found, Likeness};

/// Characters that are hard to confuse (Crockford's base 32).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// A key begins with one of these, so that no word of any language is one.
const FIRST: &[u8; 8] = b"23456789";
/// Short keys cost weak models less attention; this many are tried before a longer one is taken.
const SHORT_KEYS: u64 = 4;
const SHORT: usize = 4;
const LONG: usize = 12;

/// What keys are derived with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// The secret of these bytes, which somebody drew at random.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret that a text stands for, the same on every machine.
    pub fn of_text(text: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        Self(bytes)
    }

    fn words(&self) -> [u64; 2] {
        let (words, _) = self.0.as_chunks();
        let mut words = words.iter().copied().map(u64::from_le_bytes);
        [(); 2].map(|()| words.next().unwrap_or_default())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

/// A key: a digit, then upper-case letters and digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkerKey(String);

impl MarkerKey {
    /// The key that was written so somewhere.
    pub fn of_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let letters = bytes.iter().enumerate().filter_map(|(at, byte)| {
            let alphabet = if at == 0 { &FIRST[..] } else { &ALPHABET[..] };
            // Both lengths are powers of two, so no letter is likelier than another.
            alphabet.get(usize::from(*byte) % alphabet.len()).copied()
        });
        Self(letters.map(char::from).collect())
    }
}

impl fmt::Display for MarkerKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What stands for texts that many keys depend on, so that they are read once.
///
/// It is a keyed hash, which takes a tenth of the work of a digest that anybody could check: without
/// the secret nobody can look for texts that it stands for alike, and it is never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextsHash(u128);

impl TextsHash {
    pub fn of<'t>(secret: &Secret, texts: impl IntoIterator<Item = &'t str>) -> Self {
        let [first, second] = secret.words();
        let mut hasher = SipHasher13::new_with_keys(first, second);
        spell(texts, |bytes| hasher.write(bytes));
        Self(hasher.finish128().into())
    }
}

/// Spells texts out with their lengths, so that moving a border makes a difference.
fn spell<'t>(texts: impl IntoIterator<Item = &'t str>, mut write: impl FnMut(&[u8])) {
    for text in texts {
        write(&(text.len() as u64).to_le_bytes());
        write(text.as_bytes());
    }
}

/// The keys that may be taken, best first, without an end.
///
/// The first few depend on the start alone. Those after them depend on all texts, so that nobody
/// who learns one of them can write a text that holds the next.
#[derive(Debug)]
pub struct Keys<'t> {
    secret: Secret,
    start: Vec<&'t str>,
    /// What stands for more of the start.
    hashed: Vec<Option<TextsHash>>,
    rest: Vec<&'t str>,
    round: u64,
}

impl<'t> Keys<'t> {
    /// The keys for what begins with these texts and goes on with those.
    pub fn new(
        secret: Secret,
        start: impl IntoIterator<Item = &'t str>,
        rest: impl IntoIterator<Item = &'t str>,
    ) -> Self {
        Self {
            secret,
            start: start.into_iter().collect(),
            hashed: Vec::new(),
            rest: rest.into_iter().collect(),
            round: 0,
        }
    }

    /// The keys for what begins with these texts too, or with the lack of them.
    pub fn and(mut self, hashed: impl IntoIterator<Item = Option<TextsHash>>) -> Self {
        self.hashed.extend(hashed);
        self
    }

    /// The next key.
    pub fn take(&mut self) -> MarkerKey {
        let round = self.round;
        self.round += 1;
        let (rest, length) = match round < SHORT_KEYS {
            true => (&[][..], SHORT),
            false => (self.rest.as_slice(), LONG),
        };
        let mut context = hmac::Context::with_key(&hmac::Key::new(HMAC_SHA256, &self.secret.0));
        context.update(&round.to_le_bytes());
        for hashed in &self.hashed {
            context.update(&[u8::from(hashed.is_some())]);
            let TextsHash(hash) = hashed.unwrap_or(TextsHash(0));
            context.update(&hash.to_le_bytes());
        }
        let texts = self.start.iter().chain(rest).copied();
        spell(texts, |bytes| context.update(bytes));
        MarkerKey::from_bytes(context.sign().as_ref().get(..length).unwrap_or_default())
    }
}

/// Writes a key into texts and counts how often: everything that writes markup writes with a pen.
#[derive(Debug)]
pub struct Pen {
    key: MarkerKey,
    strokes: Cell<usize>,
}

impl Pen {
    pub fn new(key: MarkerKey) -> Self {
        Self {
            key,
            strokes: Cell::new(0),
        }
    }

    /// The key, for those who only name it.
    pub fn key(&self) -> &MarkerKey {
        &self.key
    }

    /// Whether these texts, which are all that was written, hold the key where it was written and
    /// nowhere else.
    pub fn is_sole_writer_of<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> bool {
        self.is_sole_writer_knowing(None, texts)
    }

    /// The same, where one of the texts may hold what was looked through before.
    pub fn is_sole_writer_knowing<'t>(
        &self,
        known: Option<&KnownText>,
        texts: impl IntoIterator<Item = &'t str>,
    ) -> bool {
        let mut likeness = Likeness::of(self.key.as_str());
        let mut found = Found::default();
        for text in texts {
            match known.and_then(|known| known.alike_within(text, &self.key)) {
                None => found += likeness.count(text),
                Some((within, around)) => {
                    found += within;
                    around.iter().for_each(|text| found += likeness.count(text));
                }
            }
        }
        let strokes = self.strokes.get();
        found.plain == strokes && found.decoded == strokes
    }
}

impl fmt::Display for Pen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.strokes.set(self.strokes.get() + 1);
        self.key.fmt(formatter)
    }
}
