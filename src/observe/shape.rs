//! The shape of JSON: which members there are and how long their texts, but none of the texts. Lengths
//! are those in bytes of what was written, escapes and all.

mod words;

use std::fmt::Write;
use std::ops::Range;

use memchr::memchr_iter;

use words::{LONGEST_WORD, MEMBERS, WORDS};

/// So much of a body is looked at, in bytes: more would cost a request with many tools more than all
/// the rest of what is kept of it.
const MOST_READ: usize = 4 * 1024;

/// In an outline: a text, whose length follows, and a number or word that is kept, behind its length.
const TEXT: u8 = b'"';
const SCALAR: u8 = b'=';
/// A number or word that is not kept, and the place where all breaks off.
const HIDDEN: u8 = b'0';
const CUT: u8 = b'.';
/// Known words have the bytes from here on: first the members, then the texts.
const FIRST_WORD: u8 = 0x80;

/// How much room for outlines is worth keeping for those to come, in bytes.
const USUAL_ROOM: usize = 512;

/// The shapes of several pieces of JSON in few bytes. Hardly any is ever looked at, so they are written
/// out only then.
#[derive(Debug, Default)]
pub struct Outlines(Vec<u8>);

impl Outlines {
    /// Takes down the shape of some JSON, whether it is sound or not; of long JSON, that of its
    /// beginning. `texts` says where long texts stand in it, between their quotes, as far as that is known;
    /// they are passed over. Gives where the shape stands.
    pub fn add(&mut self, json: &[u8], texts: &[Range<usize>]) -> Range<usize> {
        let read = json.get(..MOST_READ).unwrap_or(json);
        let begin = self.0.len();
        let mut shape = Shape {
            out: std::mem::take(&mut self.0),
            open: 0,
            expects_name: false,
            has_name: false,
        };
        // Most of a body is text, of which nothing but a number stays.
        shape.out.reserve(read.len().min(128));
        let mut rest = read;
        while let Some((&first, after)) = rest.split_first() {
            rest = match first {
                b' ' | b'\n' | b'\r' | b'\t' => after,
                b'{' | b'[' | b'}' | b']' | b',' | b':' => {
                    shape.mark(first);
                    after
                }
                b'"' => match behind_known(read, after, texts) {
                    Some((length, behind)) => {
                        shape.long_text(length);
                        behind
                    }
                    None => shape.text(after),
                },
                _ => shape.scalar(rest),
            };
        }
        if read.len() < json.len() {
            shape.out.push(CUT);
        }
        self.0 = shape.out;
        begin..self.0.len()
    }

    /// Takes back what was taken down last, and the memory beyond so many bytes.
    pub fn take_back(&mut self, last: Range<usize>, memory: usize) {
        self.0.truncate(last.start);
        self.0.shrink_to(memory);
    }

    /// Forgets all of them, for others to be taken down in their place.
    pub fn clear(&mut self) {
        self.0.clear();
        self.0.shrink_to(USUAL_ROOM);
    }

    /// How many bytes of memory they take.
    pub fn memory(&self) -> usize {
        self.0.capacity()
    }

    /// A shape, written out as JSON with lengths in the place of texts.
    pub fn show(&self, at: &Range<usize>) -> String {
        let mut out = String::new();
        let mut rest = self.0.get(at.clone()).unwrap_or_default();
        while let Some((&byte, after)) = rest.split_first() {
            rest = match byte {
                TEXT => {
                    let (length, rest) = read_number(after);
                    let _ = write!(out, "\"⟨{length}⟩\"");
                    rest
                }
                SCALAR => {
                    let (length, rest) = read_number(after);
                    let (text, rest) = rest.split_at_checked(length).unwrap_or((rest, &[]));
                    out.push_str(&String::from_utf8_lossy(text));
                    rest
                }
                CUT => {
                    out.push('…');
                    after
                }
                FIRST_WORD.. => {
                    let at = usize::from(byte - FIRST_WORD);
                    let words = MEMBERS.iter().chain(WORDS.iter());
                    let word = words.copied().nth(at).unwrap_or_default();
                    let _ = write!(out, "\"{word}\"");
                    after
                }
                mark => {
                    out.push(char::from(mark));
                    after
                }
            };
        }
        out
    }
}

struct Shape {
    out: Vec<u8>,
    /// What is open: a bit for each object or list, which is set for an object; the last one opened is
    /// the lowest. What is deeper than it has bits passes for a list.
    open: u64,
    expects_name: bool,
    /// Whether the member whose value comes next is known.
    has_name: bool,
}

impl Shape {
    fn mark(&mut self, mark: u8) {
        match mark {
            b'{' => self.open = self.open << 1 | 1,
            b'[' => self.open <<= 1,
            b'}' | b']' => self.open >>= 1,
            _ => {}
        }
        self.expects_name = matches!(mark, b'{' | b',') && self.is_in_object();
        self.has_name &= mark == b':';
        self.out.push(mark);
    }

    fn is_in_object(&self) -> bool {
        self.open & 1 == 1
    }

    /// Reads a text behind its first quote; gives what follows it.
    fn text<'j>(&mut self, json: &'j [u8]) -> &'j [u8] {
        let rest = end_of_text(json);
        let raw = rest.map_or(json, |rest| {
            let length = json.len() - rest.len() - 1;
            json.get(..length).unwrap_or(json)
        });
        let known = match self.expects_name {
            // What breaks off may be the beginning of anything.
            _ if rest.is_none() => None,
            true => MEMBERS.find(raw),
            false => WORDS.find(raw).map(|at| at + MEMBERS.len()),
        };
        if self.expects_name {
            self.has_name = known.is_some();
        }
        match known.and_then(|at| u8::try_from(at).ok()) {
            Some(at) => self.out.push(FIRST_WORD + at),
            None => self.long_text(raw.len()),
        }
        rest.unwrap_or_default()
    }

    /// A text of so many bytes, none of which is kept.
    fn long_text(&mut self, length: usize) {
        self.out.push(TEXT);
        push_number(&mut self.out, length);
    }

    /// Numbers and words: kept where they are the value of a known member, and only counted as being
    /// there in lists, which may be a text in numbers.
    fn scalar<'j>(&mut self, json: &'j [u8]) -> &'j [u8] {
        let is_end = |byte: &u8| {
            matches!(
                byte,
                b',' | b':' | b']' | b'}' | b'[' | b'{' | b'"' | b' ' | b'\n' | b'\r' | b'\t'
            )
        };
        let length = json.iter().position(is_end).unwrap_or(json.len()).max(1);
        let (raw, rest) = json.split_at_checked(length).unwrap_or((json, &[]));
        let is_value = self.is_in_object() && self.has_name;
        match is_value && is_scalar(raw) {
            true => {
                self.out.push(SCALAR);
                push_number(&mut self.out, raw.len());
                self.out.extend_from_slice(raw);
            }
            false => self.out.push(HIDDEN),
        }
        rest
    }
}

fn is_scalar(raw: &[u8]) -> bool {
    let is_number = |text: &str| text.len() <= LONGEST_WORD && text.parse::<f64>().is_ok();
    matches!(raw, b"true" | b"false" | b"null") || std::str::from_utf8(raw).is_ok_and(is_number)
}

/// How long the text is that begins here in the JSON, and what follows it behind its last quote, where
/// that is known.
fn behind_known<'j>(
    json: &'j [u8],
    begun: &[u8],
    texts: &[Range<usize>],
) -> Option<(usize, &'j [u8])> {
    let begin = json.len() - begun.len();
    let text = texts.iter().find(|text| text.start == begin)?;
    let (quote, behind) = json.get(text.end..)?.split_first()?;
    (*quote == b'"').then_some((text.len(), behind))
}

/// What follows a text behind its last quote; `None` where it has none. Most texts are short, or have a
/// quote every few dozen bytes, and a search that takes more bytes at once has to be set up.
fn end_of_text(text: &[u8]) -> Option<&[u8]> {
    const NEAR: usize = 512;
    const WORD: usize = size_of::<u64>();
    let (words, _) = text.get(..NEAR).unwrap_or(text).as_chunks::<WORD>();
    for (at, word) in words.iter().enumerate() {
        let mut quotes = quotes_in(u64::from_le_bytes(*word));
        while quotes != 0 {
            let quote = at * WORD + quotes.trailing_zeros() as usize / 8;
            if !is_escaped(text, quote) {
                return text.get(quote + 1..);
            }
            quotes &= quotes - 1;
        }
    }
    let read = words.len() * WORD;
    let mut quotes = memchr_iter(b'"', text.get(read..)?).map(|at| read + at);
    let end = quotes.find(|quote| !is_escaped(text, *quote))?;
    text.get(end + 1..)
}

/// The highest bit of each byte that is a quote, and nothing else.
const fn quotes_in(word: u64) -> u64 {
    const EACH: u64 = u64::MAX / 0xff;
    const LOW: u64 = EACH * 0x7f;
    let differs = word ^ (EACH * b'"' as u64);
    // No sum flows over into the next byte.
    !(((differs & LOW) + LOW) | differs | LOW)
}

/// Whether what stands there is escaped, so that it belongs to the text.
fn is_escaped(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let escapes = before.iter().rev().take_while(|byte| **byte == b'\\');
    escapes.count() % 2 == 1
}

/// Writes a number in parts of seven bits, the lowest first; all but the last have the highest bit.
fn push_number(out: &mut Vec<u8>, mut number: usize) {
    while number > 0x7f {
        out.push(0x80 | low_bits(number));
        number >>= 7;
    }
    out.push(low_bits(number));
}

fn low_bits(number: usize) -> u8 {
    u8::try_from(number & 0x7f).unwrap_or_default()
}

/// Reads such a number; gives what follows it too.
fn read_number(bytes: &[u8]) -> (usize, &[u8]) {
    let length = bytes.iter().take_while(|byte| **byte > 0x7f).count() + 1;
    let (parts, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
    let number = parts.iter().rev().fold(0_usize, |number, part| {
        number.wrapping_shl(7) | usize::from(*part & 0x7f)
    });
    (number, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(json: &[u8]) -> String {
        let mut outlines = Outlines::default();
        let at = outlines.add(json, &[]);
        outlines.show(&at)
    }

    #[test]
    fn a_text_ends_at_its_quote_wherever_it_stands() {
        for before in (0..80).map(|length| "!\u{a3}#]\u{dc}[".repeat(length)) {
            for escape in ["", "\\\"", "\\\\", "\\\\\\\""] {
                let text = format!("{before}{escape}{before}\"rest\"");
                let rest = end_of_text(text.as_bytes());
                assert_eq!(rest, Some(&b"rest\""[..]), "{text}");
            }
            for open in ["", "\\", "\\\""] {
                let text = format!("{before}{open}");
                assert_eq!(end_of_text(text.as_bytes()), None, "{text}");
            }
        }
    }

    #[test]
    fn where_texts_are_known_the_shape_is_the_same() {
        let json = r#"{"prompt":"a \"b\" c","n":2,"system_prompt":""}"#.as_bytes();
        let at = |text: &str| {
            let json = std::str::from_utf8(json).unwrap();
            let begin = json.find(text).unwrap();
            begin..begin + text.len()
        };
        let end = json.len() - 2;
        for texts in [
            vec![at("a \\\"b\\\" c")],
            vec![at("a \\\"b\\\" c"), end..end],
            vec![5..9, 0..1000],
        ] {
            let mut outlines = Outlines::default();
            let shown = outlines.add(json, &texts);
            assert_eq!(outlines.show(&shown), shape(json), "{texts:?}");
        }
    }

    #[test]
    fn several_shapes_stand_apart() {
        let mut outlines = Outlines::default();
        let first = outlines.add(b"{\"role\": \"user\"}", &[]);
        let second = outlines.add(b"[1, 2]", &[]);
        assert_eq!(outlines.show(&first), "{\"role\":\"user\"}");
        assert_eq!(outlines.show(&second), "[0,0]");
        outlines.take_back(second, 0);
        let third = outlines.add(b"{\"n\": 2}", &[]);
        assert_eq!(outlines.show(&third), "{\"n\":2}");
        outlines.clear();
        assert_eq!(outlines.show(&first), "");
    }

    #[test]
    fn the_apis_own_words_stay_and_nothing_else() {
        let json = br#"{"model": "secret", "temperature": 0.5, "messages": [{"role": "user", "content": "a\"b\u00e9"}],
            "prompt": [1234, 5678], "tools": [{"function": {"name": "leak", "parameters": {"properties": {"my_name": {"type": "string", "minimum": 77}}}}}]}"#;
        assert_eq!(
            shape(json),
            "{\"model\":\"⟨6⟩\",\"temperature\":0.5,\"messages\":[{\"role\":\"user\",\"content\":\"⟨10⟩\"}],\
             \"prompt\":[0,0],\"tools\":[{\"function\":{\"name\":\"⟨4⟩\",\"parameters\":{\"properties\":{\"⟨7⟩\":{\"type\":\"string\",\"⟨7⟩\":0}}}}}]}"
        );
    }

    #[test]
    fn every_word_has_a_byte() {
        assert!(MEMBERS.len() + WORDS.len() <= usize::from(u8::MAX - FIRST_WORD) + 1);
    }

    #[test]
    fn what_is_no_json_shows_nothing_either() {
        for broken in [
            "secret",
            "\"secret",
            "{secret: secret}",
            "\"a\\",
            "[[[",
            "{\"stop\": secret}",
        ] {
            let shown = shape(broken.as_bytes());
            assert!(!shown.contains("secret"), "{broken}: {shown}");
        }
        for long in ["[", "[\"a\",", "\"", "x"] {
            let shown = shape(long.repeat(1_000_000).as_bytes());
            assert!(
                shown.len() < 8 * MOST_READ && shown.ends_with('…'),
                "{long}"
            );
        }
        let texts = format!("{{\"prompt\": \"{}\"}}", "a".repeat(MOST_READ));
        assert_eq!(shape(texts.as_bytes()), "{\"prompt\":\"⟨4084⟩\"…");
    }
}
