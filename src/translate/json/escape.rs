//! What a backslash in a string of a model means.

/// What follows a backslash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// `"`, `\` or `/`, which JSON knows, or `'`, which it does not.
    Punctuation(char),
    /// One of `bfnrt`, or `u` and four digits.
    Letter,
    Unknown,
    /// The text ends before it can be told.
    BrokenOff,
}

impl Escape {
    pub(super) fn at(rest: &str) -> Self {
        let mut chars = rest.chars();
        match chars.next() {
            None => Self::BrokenOff,
            Some(mark @ ('"' | '\\' | '/' | '\'')) => Self::Punctuation(mark),
            Some('b' | 'f' | 'n' | 'r' | 't') => Self::Letter,
            Some('u') => {
                let digits = chars.as_str();
                let count = digits
                    .chars()
                    .take(4)
                    .take_while(char::is_ascii_hexdigit)
                    .count();
                match count {
                    4 => Self::Letter,
                    _ if count == digits.len() => Self::BrokenOff,
                    _ => Self::Unknown,
                }
            }
            Some(_) => Self::Unknown,
        }
    }
}

/// Longest path of Windows, in characters.
const LONGEST_PATH: usize = 260;

/// The last word of a string that began with a drive, and what is known of it.
///
/// In `C:\Users\new` the first backslash begins no escape that JSON knows, so whoever wrote it did
/// not escape backslashes, and the second one is as literal.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Path {
    /// The word ends when this many bytes of the text are left.
    end: Option<usize>,
    is_literal: bool,
    was_literal: bool,
}

impl Path {
    /// Takes note of a backslash between what was written of the string and the rest of the text.
    /// A word is looked at once, from its first drive on.
    pub(super) fn look_at(&mut self, written: &str, rest: &str) {
        if self.holds(rest) || !ends_with_drive(written) {
            return;
        }
        let (length, is_literal) = word_after_drive(rest);
        self.end = rest.len().checked_sub(length);
        self.is_literal = is_literal;
        self.was_literal |= is_literal;
    }

    /// Whether the backslash before this rest of the text is literal, though JSON may know the
    /// escape.
    pub(super) fn is_literal_at(&self, rest: &str) -> bool {
        self.is_literal && self.holds(rest)
    }

    /// Whether there was such a backslash in the string.
    pub(super) const fn was_literal(&self) -> bool {
        self.was_literal
    }

    fn holds(&self, rest: &str) -> bool {
        self.end.is_some_and(|end| rest.len() > end)
    }
}

/// Whether what has been written of a string ends with a drive, such as `C:`.
fn ends_with_drive(written: &str) -> bool {
    let mut last = written.chars().rev();
    last.next() == Some(':')
        && last.next().is_some_and(|drive| drive.is_ascii_alphabetic())
        && !last.next().is_some_and(char::is_alphanumeric)
}

/// The length of the word that goes on with this text, after a drive and its backslash, and
/// whether its backslashes are literal because one of them begins an escape JSON does not know.
fn word_after_drive(rest: &str) -> (usize, bool) {
    // A doubled backslash: whoever wrote it knew how.
    if rest.starts_with('\\') {
        return (0, false);
    }
    let is_part = |char: &char| !char.is_whitespace() && !matches!(char, '"' | '\'' | '“' | '”');
    let length = rest
        .chars()
        .take(LONGEST_PATH)
        .take_while(is_part)
        .map(char::len_utf8)
        .sum();
    let word = rest.get(..length).unwrap_or(rest);
    let is_literal = word
        .split('\\')
        .any(|part| !part.is_empty() && Escape::at(part) == Escape::Unknown);
    (length, is_literal)
}
