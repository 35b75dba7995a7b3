//! Tokens counted by a tokenizer: OpenAI's `o200k_base`, that of gpt-4o and of everything after it.
//!
//! For those models it is the model's own count, apart from what the chat template adds. Other
//! models cut text in their own ways, and for them this is one more estimate, if a steady one.
//!
//! Pure like the rest of the core, but slow: megabytes a second, and the first call spends about
//! half a second on reading the dictionary. Callers see to it that nobody waits for that.

/// What the counts are named after.
pub const ENCODING: &str = "o200k_base";

/// The most bytes that are counted without a look at whether they are still wanted.
const SEGMENT: usize = 64 * 1024;

/// Reads the dictionary, unless that has been done.
pub fn load() {
    count_segment("");
}

/// The tokens of a text; `None` as soon as `is_wanted` says no.
///
/// Long texts are cut where a token ends anyway: before a blank between words. Where 64 KiB hold no
/// such place, a cut may add a token or two, and keeps the time of one step within bounds whatever
/// the text is.
pub fn count(text: &str, is_wanted: impl Fn() -> bool) -> Option<u64> {
    let mut tokens = 0;
    let mut rest = text;
    while !rest.is_empty() {
        if !is_wanted() {
            return None;
        }
        let (segment, after) = rest.split_at_checked(end_of_segment(rest))?;
        tokens += count_segment(segment);
        rest = after;
    }
    Some(tokens)
}

fn end_of_segment(text: &str) -> usize {
    if text.len() <= SEGMENT {
        return text.len();
    }
    let is_boundary = |at: &usize| text.is_char_boundary(*at);
    let most = (1..=SEGMENT).rev().find(is_boundary).unwrap_or(text.len());
    let bytes = text.as_bytes();
    let is_gap = |at: &usize| {
        let is = |at: usize, test: fn(&u8) -> bool| bytes.get(at).is_some_and(test);
        is(*at, |byte| *byte == b' ')
            && is(*at - 1, u8::is_ascii_alphabetic)
            && is(*at + 1, u8::is_ascii_alphabetic)
    };
    (1..most).rev().find(is_gap).unwrap_or(most)
}

#[cfg(feature = "tokenizer")]
fn count_segment(segment: &str) -> u64 {
    tiktoken_rs::o200k_base_singleton().count_ordinary(segment) as u64
}

/// A program without the tokenizer refuses the setting that asks for it; this is never called then.
#[cfg(not(feature = "tokenizer"))]
fn count_segment(segment: &str) -> u64 {
    super::usage::tokens(segment)
}

#[cfg(all(test, feature = "tokenizer"))]
mod tests {
    use super::*;

    fn count_all(text: &str) -> u64 {
        count(text, || true).unwrap_or_else(|| unreachable!("it is wanted"))
    }

    #[test]
    fn counts_are_those_of_the_encoding() {
        assert_eq!(count_all(""), 0);
        assert_eq!(count_all("Hello, world!"), 4);
        assert_eq!(
            count_all("<|endoftext|>"),
            7,
            "special tokens are text here"
        );
    }

    #[test]
    fn segments_of_a_long_text_add_up_to_its_count() {
        let text = "Tokens, counted in pieces of a text that is long enough. ".repeat(6_000);
        assert!(text.len() > 4 * SEGMENT);
        assert_eq!(count_all(&text), count_segment(&text));
    }

    #[test]
    fn no_text_makes_it_stumble() {
        for piece in [
            "a",
            " ",
            "\n",
            "A",
            "é",
            "思",
            "\u{1f680}",
            "0",
            "\0",
            "\u{301}",
            "<|",
            "' ",
        ] {
            let text = piece.repeat(SEGMENT / piece.len() + 9_000);
            assert!(count_all(&text) > 0, "{piece:?}");
        }
    }

    #[test]
    fn a_count_ends_when_it_is_no_longer_wanted() {
        let steps = std::cell::Cell::new(0);
        let is_wanted = || steps.replace(steps.get() + 1) < 2;
        assert_eq!(count(&"word ".repeat(SEGMENT), is_wanted), None);
        assert_eq!(steps.get(), 3);
    }
}
