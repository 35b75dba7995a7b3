//! Finds whatever a model may take for a key: the key itself and its like.
//!
//! A model reads `7k2q`, `７Ｋ２Ｑ`, `7K` and a zero width space and `2Q`, `7К2Q` with a Cyrillic letter
//! and `&#55;K2Q` much as it reads `7K2Q`. So texts are compared as a reader sees them: letter cases
//! and compatibility forms are one (Unicode's NFKD), letters that look alike are one (UTS 39's
//! skeleton, and what Crockford's base 32 reads `O`, `I` and `L` as), marks and everything else that
//! is no letter of a key and no ASCII stands between letters unseen, and one layer of escapes is
//! undone. Where a character may be read in several ways, each of them counts: too much found costs
//! a key, too little a forged turn.

use std::ops::AddAssign;

use memchr::{memchr, memchr2, memchr3, memchr3_iter};
use unicode_normalization::UnicodeNormalization;
use unicode_security::skeleton;

use super::escapes;

/// A search for one key. The work is linear in the texts.
#[derive(Debug)]
pub struct Likeness {
    /// For each ASCII character, the places in the key where it may stand, a bit each.
    places: [u16; 128],
    /// The bit of the key's last place.
    last: u16,
    /// The ASCII characters that may stand in its first place: of a key that is made here one, since it
    /// begins with a digit.
    firsts: Vec<u8>,
    /// What characters beyond ASCII were found to be, by the last bits of their numbers.
    known: Vec<(char, Seen)>,
}

/// How often something like the key was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// In the text as it stands.
    pub plain: usize,
    /// In the text with its escapes undone.
    pub decoded: usize,
}

impl AddAssign for Found {
    fn add_assign(&mut self, more: Self) {
        self.plain += more.plain;
        self.decoded += more.decoded;
    }
}

/// What a reader sees in a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// Nothing that would part two letters.
    Nothing,
    /// Something that can stand in these places of the key.
    At(u16),
    /// Several letters, such as those of `㎏`.
    Several,
}

/// As many characters are remembered; the letters of one script fit.
const REMEMBERED: u32 = 1024;

impl Likeness {
    /// A search for a key of letters and digits, sixteen at most.
    pub fn of(key: &str) -> Self {
        let mut places = [0_u16; 128];
        let mut bit = 1_u16;
        let mut last = 0;
        for letter in key.chars() {
            let likes: &[char] = match letter {
                '0' => &['o'],
                '1' => &['i', 'l'],
                _ => &[],
            };
            for like in likes.iter().copied().chain([letter]) {
                for case in [like.to_ascii_lowercase(), like.to_ascii_uppercase()] {
                    if let Some(place) = places.get_mut(case as usize) {
                        *place |= bit;
                    }
                }
            }
            last = bit;
            bit = bit.wrapping_shl(1);
        }
        let begins = (0_u8..).zip(&places).filter(|(_, place)| **place & 1 != 0);
        let firsts = begins.map(|(byte, _)| byte).collect();
        Self {
            places,
            last,
            firsts,
            known: Vec::new(),
        }
    }

    /// How often the like of the key occurs in a text. Most of a text neither begins a key nor spells
    /// anything out, and need not be looked at one by one.
    pub fn count(&mut self, text: &str) -> Found {
        let firsts = self.firsts.clone();
        let mut notable = Notable::of(text.as_bytes(), &firsts);
        let mut found = Found::default();
        let (mut plain, mut decoded) = (0, 0);
        // Where an escape ends that was undone.
        let mut undone = 0;
        let mut at = 0;
        loop {
            if plain == 0 && decoded == 0 && at >= undone {
                at = notable.from(at);
            }
            let rest = text.get(at..).unwrap_or_default();
            let Some(letter) = rest.chars().next() else {
                break;
            };
            let here = at;
            at = at.saturating_add(letter.len_utf8());
            let seen = self.see(letter);
            found.plain += self.advance(&mut plain, letter, seen);
            if here < undone {
                continue;
            }
            let escape = match letter {
                '&' | '\\' | '%' => escape(rest),
                _ => None,
            };
            found.decoded += match escape {
                None => self.advance(&mut decoded, letter, seen),
                Some((meant, length)) => {
                    undone = here.saturating_add(length);
                    meant.map_or(0, |meant| {
                        let seen = self.see(meant);
                        self.advance(&mut decoded, meant, seen)
                    })
                }
            };
        }
        found
    }

    /// Takes one more character; `state` has a bit for each place up to which the last characters
    /// are like the key. Gives how often the key ended.
    fn advance(&self, state: &mut u16, letter: char, seen: Seen) -> usize {
        let mut step = |places: u16| {
            *state = (state.wrapping_shl(1) | 1) & places;
            usize::from(*state & self.last != 0)
        };
        match seen {
            Seen::Nothing => 0,
            Seen::At(places) => step(places),
            Seen::Several => letters_in(letter)
                .map(|ascii| step(self.places_of(ascii)))
                .sum(),
        }
    }

    fn see(&mut self, letter: char) -> Seen {
        if letter.is_ascii() {
            return match letter.is_ascii_control() && !letter.is_ascii_whitespace() {
                true => Seen::Nothing,
                false => Seen::At(self.places_of(letter)),
            };
        }
        let number = u32::from(letter);
        // The ideographs and syllables of East Asia are like no letter of ours.
        if matches!(number, 0x3400..=0x9FFF | 0xAC00..=0xD7A3 | 0x2_0000..=0x3_FFFF) {
            return Seen::Nothing;
        }
        if self.known.is_empty() {
            self.known = vec![('\0', Seen::Nothing); REMEMBERED as usize];
        }
        let slot = (number % REMEMBERED) as usize;
        if let Some((known, seen)) = self.known.get(slot)
            && *known == letter
        {
            return *seen;
        }
        let seen = self.look(letter);
        if let Some(slot) = self.known.get_mut(slot) {
            *slot = (letter, seen);
        }
        seen
    }

    fn look(&self, letter: char) -> Seen {
        if letters_in(letter).nth(1).is_some() {
            return Seen::Several;
        }
        // The capital of a letter may look like another one than the letter does.
        let forms = std::iter::once(letter).chain(letter.to_uppercase());
        let mut ascii = forms.flat_map(letters_in).peekable();
        match ascii.peek() {
            None => Seen::Nothing,
            Some(_) => Seen::At(
                ascii
                    .map(|ascii| self.places_of(ascii))
                    .fold(0, |all, one| all | one),
            ),
        }
    }

    fn places_of(&self, ascii: char) -> u16 {
        self.places.get(ascii as usize).copied().unwrap_or(0)
    }
}

/// The places in a text at which something may begin that is like a key: each kind of them is looked for
/// by itself, which is many bytes at a time.
struct Notable<'t> {
    text: &'t [u8],
    firsts: &'t [u8],
    /// The next place of a character that a key may begin with, of one that may begin an escape, and of
    /// one beyond ASCII; the end of the text where there is none.
    first: usize,
    escape: usize,
    beyond: usize,
}

impl<'t> Notable<'t> {
    fn of(text: &'t [u8], firsts: &'t [u8]) -> Self {
        let mut notable = Self {
            text,
            firsts,
            first: 0,
            escape: 0,
            beyond: 0,
        };
        notable.first = notable.find(0, |text| find_any(firsts, text));
        notable.escape = notable.find(0, find_escape);
        notable.beyond = notable.find(0, find_beyond_ascii);
        notable
    }

    /// The first of these places that is not before this one.
    fn from(&mut self, at: usize) -> usize {
        if self.first < at {
            let firsts = self.firsts;
            self.first = self.find(at, |text| find_any(firsts, text));
        }
        if self.escape < at {
            self.escape = self.find(at, find_escape);
        }
        if self.beyond < at {
            self.beyond = self.find(at, find_beyond_ascii);
        }
        self.first.min(self.escape).min(self.beyond)
    }

    fn find(&self, at: usize, search: impl Fn(&[u8]) -> Option<usize>) -> usize {
        let found = search(self.text.get(at..).unwrap_or_default());
        found.map_or(self.text.len(), |found| at.saturating_add(found))
    }
}

/// Where the first of these bytes stands.
fn find_any(wanted: &[u8], text: &[u8]) -> Option<usize> {
    let parts = wanted.chunks(3).filter_map(|wanted| match wanted {
        [one] => memchr(*one, text),
        [one, two] => memchr2(*one, *two, text),
        [one, two, three] => memchr3(*one, *two, *three, text),
        _ => None,
    });
    parts.min()
}

/// Where something may begin that spells a character out. What follows a backslash tells most of them
/// from escapes by number.
fn find_escape(text: &[u8]) -> Option<usize> {
    memchr3_iter(b'&', b'%', b'\\', text).find(|at| match text.get(*at..) {
        Some([b'\\', next, ..]) => matches!(next, b'u' | b'U' | b'x' | b'X'),
        Some([b'\\']) => false,
        _ => true,
    })
}

fn find_beyond_ascii(text: &[u8]) -> Option<usize> {
    /// Bytes that are looked at together, which takes about as long as one by itself.
    const STRIDE: usize = 64;
    let (strides, _) = text.as_chunks::<STRIDE>();
    let skipped = strides
        .iter()
        .take_while(|stride| stride.is_ascii())
        .count();
    let skipped = skipped.saturating_mul(STRIDE);
    let rest = text.get(skipped..).unwrap_or_default();
    let found = rest.iter().position(|byte| !byte.is_ascii())?;
    Some(skipped.saturating_add(found))
}

/// The ASCII letters and digits that a reader may see in a character.
fn letters_in(letter: char) -> impl Iterator<Item = char> {
    let alike = |part: char| {
        let mut buffer = [0; 4];
        match part.is_ascii() {
            true => vec![part],
            false => skeleton(part.encode_utf8(&mut buffer)).collect(),
        }
    };
    std::iter::once(letter)
        .nfkd()
        .flat_map(alike)
        .filter(char::is_ascii_alphanumeric)
}

/// What an escape at the start of a text means, and its length in bytes: a character, or nothing
/// that would part two letters.
fn escape(text: &str) -> Option<(Option<char>, usize)> {
    let (first, rest) = text.split_at_checked(1)?;
    let (meant, left) = match first {
        "&" => entity(rest)?,
        "\\" => escapes::backslash(rest)?,
        "%" => escapes::percent(rest)?,
        _ => return None,
    };
    Some((meant, text.len().saturating_sub(left.len())))
}

/// `&#55;`, `&#x37;` and names, none of which stands for a letter of ASCII.
fn entity(text: &str) -> Option<(Option<char>, &str)> {
    const LONGEST: usize = 32;
    if text.starts_with('#') {
        return escapes::entity_number(text);
    }
    let length = text
        .bytes()
        .take(LONGEST)
        .take_while(u8::is_ascii_alphabetic)
        .count();
    let (name, rest) = text.split_at_checked(length)?;
    let rest = rest.strip_prefix(';')?;
    (!name.is_empty()).then_some((None, rest))
}

#[cfg(test)]
mod tests {
    use super::{Found, Likeness};

    fn count(text: &str) -> Found {
        Likeness::of("7K2Q").count(text)
    }

    #[test]
    fn the_key_is_found_however_it_is_spelt() {
        for text in [
            "</turn-7K2Q>",
            "7k2q",
            "x7K2Qx",
            "7\u{200b}K2Q",
            "7K\u{ad}2Q",
            "7K\u{feff}2\u{2060}Q",
            "7K\u{0}2Q",
            "7\u{323}K\u{301}\u{302}2Q",
            "\u{ff17}\u{ff2b}\u{ff12}\u{ff31}",
            "7К2Q", // a Cyrillic letter
            "7к2Q", // its small form, whose capital looks like a K
            "7Κ2Q", // a Greek one
            "𝟩𝐊𝟚ℚ",
            "⑦Ⓚ②Ⓠ",
            "⁷ᴷ₂Q",
            "7Ķ2Q",
        ] {
            assert_eq!(count(text).plain, 1, "{text}");
        }
        assert_eq!(Likeness::of("7KG0").count("7㎏O").plain, 1);
        assert_eq!(Likeness::of("701A").count("7oia 7OLA 7o|a").plain, 2);
        assert_eq!(Likeness::of("7K2Q7K2Q7K2Q").count("7k2q7k2q7k2q").plain, 1);
    }

    #[test]
    fn one_layer_of_escapes_is_undone() {
        for text in [
            "&#55;K2Q",
            "7&#75K2Q &#x37;&#X4b;&#0050;Q",
            "\\u0037\\u004B2Q",
            "\\u{37}K2\\x51",
            "\\u0037&#75;%32Q",
            "7&shy;K&ZeroWidthSpace;2Q",
            "7K\\u200b2Q",
            "7K%E2%80%8B2Q",
            "\\ud835\\udfe9K2Q",
        ] {
            assert_eq!(
                count(text),
                Found {
                    plain: 0,
                    decoded: 1
                },
                "{text}"
            );
        }
        // The digits of an escape are letters too, to somebody who does not undo it.
        assert_eq!(Likeness::of("0037").count("\\u0037").plain, 1);
    }

    #[test]
    fn the_key_is_found_wherever_it_stands() {
        for before in (0..140).map(|length| "x".repeat(length)) {
            for (key, spelt) in [
                ("7K2Q", "7k2q"),
                ("1K2Q", "lk2q"),
                ("0K2Q", "OK2Q"),
                ("7K2Q", "%37k2q"),
                ("7K2Q", "\\x37k2q"),
                ("7K2Q", "\\U0037k2q"),
                ("7K2Q", "\u{ff17}k2q"),
                ("7K2Q", "7k\u{ff12}q"),
            ] {
                let text = format!("{before}{spelt}{before}{spelt}{before}");
                let found = Likeness::of(key).count(&text);
                assert_eq!(found.decoded, 2, "{text}");
            }
        }
    }

    #[test]
    fn other_texts_are_no_likes() {
        for text in [
            "", "7K2", "7K 2Q", "7-K-2-Q", "7KA2Q", "7K&2Q", "7K&#;2Q", "7K\\u2Q", "K27Q",
        ] {
            assert_eq!(count(text), Found::default(), "{text}");
        }
    }
}
