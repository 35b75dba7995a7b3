//! Finds the JSON value that a model's answer consists of.

use memchr::memchr2;

use super::nesting::{DEEPEST, Nesting, Quote};

/// A root object or array within a text; not necessarily valid, see [`super::repair()`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root<'t> {
    pub json: &'t str,
    pub found: Found,
}

/// What stood around a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing but white space.
    Plain,
    /// A Markdown fence.
    Fenced,
    /// Prose.
    InProse,
}

/// Tries with openers that close nowhere, before the search is given up to stay linear.
const TRIES: usize = 16;
/// A fence is looked for in this many bytes before a root.
const FENCE_LINE: usize = 80;

/// The first object or array of a text that looks like JSON.
///
/// Braces are common in prose and in code, so in the midst of prose only `{"name":` counts, and
/// `[{"name":`. Anything else that could be JSON, such as `{}`, `[1, 2]` or `{name: 1}`, counts
/// when it is all of the text, the first thing in a fence, or alone on its lines; so neither a
/// citation `[1]` nor a check box `- [ ]` is taken for an answer. A root that does not close goes
/// on to the end of the text, or to the fence. Surplus closers after a root belong to it, for
/// [`super::repair()`] to report.
pub fn root(text: &str) -> Option<Root<'_>> {
    let text = text.trim_matches(is_blank);
    let mut from = 0;
    let mut tries = 0usize;
    while let Some(offset) = memchr2(b'{', b'[', text.as_bytes().get(from..)?) {
        let at = from.checked_add(offset)?;
        let (before, rest) = text.split_at_checked(at)?;
        from = at.checked_add(1)?;
        let look = Look::at(rest);
        if look == Look::No {
            continue;
        }
        let end = Nesting::measure(rest).ok()?;
        let (json, after) = match end {
            Some(end) => with_surplus_closers(rest, end)?,
            None => (rest, ""),
        };
        if let Some(found) = found(before, after, look, end.is_some()) {
            let json = match (found, end) {
                (Found::Fenced, None) => up_to_closing_fence(json),
                _ => json,
            };
            return Some(Root { json, found });
        }
        match end {
            Some(end) => from = at.checked_add(end)?,
            None => tries = tries.saturating_add(1),
        }
        if tries >= TRIES {
            return None;
        }
    }
    None
}

/// White space, and the byte order mark that some models begin with.
pub(super) fn is_blank(char: char) -> bool {
    char.is_whitespace() || char == '\u{feff}'
}

/// How a candidate was found, or `None` when there is too little to take it for JSON.
fn found(before: &str, after: &str, look: Look, is_closed: bool) -> Option<Found> {
    if before.is_empty() && after.is_empty() {
        return Some(Found::Plain);
    }
    if follows_a_fence(before) {
        return Some(Found::Fenced);
    }
    let is_inline = |char: char| matches!(char, ' ' | '\t' | '\r');
    let line_before = before.trim_end_matches(is_inline);
    let line_after = after.trim_start_matches(is_inline);
    let is_alone = (line_before.is_empty() || line_before.ends_with('\n'))
        && (line_after.is_empty() || line_after.starts_with('\n'));
    (look == Look::Strong || (is_alone && is_closed)).then_some(Found::InProse)
}

fn follows_a_fence(before: &str) -> bool {
    let before = before.trim_end_matches(is_blank);
    let tail = (before.len().saturating_sub(FENCE_LINE)..before.len())
        .find_map(|from| before.get(from..))
        .unwrap_or_default();
    let line = tail
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .trim_start_matches(is_blank);
    is_fence(line)
}

fn is_fence(line: &str) -> bool {
    line.starts_with("```") || line.starts_with("~~~")
}

/// A root that broke off in a fence ends where the fence does.
fn up_to_closing_fence(json: &str) -> &str {
    let fence = ["\n```", "\n~~~"]
        .iter()
        .filter_map(|fence| json.rfind(fence))
        .max();
    fence
        .and_then(|end| json.get(..end))
        .unwrap_or(json)
        .trim_end_matches(is_blank)
}

/// Splits after a root and the closers that follow it.
fn with_surplus_closers(rest: &str, end: usize) -> Option<(&str, &str)> {
    let after = rest.get(end..)?;
    let surplus = after
        .char_indices()
        .take_while(|(_, next)| next.is_whitespace() || is_closer(*next))
        .filter(|(_, next)| is_closer(*next))
        .last()
        .map_or(0, |(at, next)| at.saturating_add(next.len_utf8()));
    rest.split_at_checked(end.checked_add(surplus)?)
}

fn is_closer(char: char) -> bool {
    matches!(char, '}' | ']')
}

/// How much the beginning of a text looks like that of a JSON object or array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// An object that begins with a quoted name and a colon, or an array of such.
    Strong,
    /// Something that could be JSON as well as prose or code.
    Weak,
    /// The text ends too early to tell.
    Open,
    No,
}

/// Names longer than this are not read to their end.
const LONGEST_KEY: usize = 256;

impl Look {
    /// Judges a text by its first few tokens, the same however much follows them.
    pub(super) fn at(text: &str) -> Self {
        let mut text = text;
        for _ in 0..DEEPEST {
            if let Some(inner) = text.strip_prefix('{') {
                return Self::of_object(inner.trim_start());
            }
            let Some(inner) = text.strip_prefix('[') else {
                return Self::No;
            };
            text = inner.trim_start();
            if !text.starts_with(['{', '[']) {
                return Self::of_array(text);
            }
        }
        Self::Weak
    }

    fn of_object(inner: &str) -> Self {
        let Some(first) = inner.chars().next() else {
            return Self::Open;
        };
        match (first, Quote::opened_by(first)) {
            (_, Some(quote)) => Self::of_quoted_key(inner, quote),
            ('}' | '/' | '#', _) => Self::Weak,
            _ => Self::of_bare_key(inner),
        }
    }

    fn of_quoted_key(inner: &str, quote: Quote) -> Self {
        let mut is_escaped = false;
        let mut chars = inner.chars();
        let _opening = chars.next();
        for _ in 0..LONGEST_KEY {
            match chars.next() {
                None => return Self::Open,
                Some(mark) if !is_escaped && quote.is_closed_by(mark) => {
                    return Self::before_colon(chars.as_str(), Self::Strong);
                }
                Some(char) => is_escaped = !is_escaped && char == '\\',
            }
        }
        Self::Weak
    }

    fn of_bare_key(inner: &str) -> Self {
        let after = inner.trim_start_matches(is_key_char);
        let length = inner.len().saturating_sub(after.len());
        match length {
            0 => Self::No,
            1..=LONGEST_KEY => Self::before_colon(after, Self::Weak),
            _ => Self::No,
        }
    }

    fn before_colon(after_key: &str, look: Self) -> Self {
        match after_key.trim_start().chars().next() {
            None => Self::Open,
            Some(':') => look,
            Some(_) => Self::No,
        }
    }

    fn of_array(inner: &str) -> Self {
        let Some(first) = inner.chars().next() else {
            return Self::Open;
        };
        if Quote::opened_by(first).is_some() || matches!(first, ']' | '-' | '/' | '0'..='9') {
            return Self::Weak;
        }
        let words = ["true", "false", "null", "True", "False", "None"];
        if words.iter().any(|word| inner.starts_with(word)) {
            Self::Weak
        } else if words.iter().any(|word| word.starts_with(inner)) {
            Self::Open
        } else {
            Self::No
        }
    }
}

/// What a name may consist of for quotes to be all that it lacks.
pub(super) fn is_key_char(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '$' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_once_decided_stays_so_however_much_follows() {
        let texts = [
            "{\"name\": 1}",
            "{ name : 1}",
            "{}",
            "{braces} here",
            "[true]",
            "[citation needed]",
            "[[1]]",
            "[ {\"a\": 1}]",
            "{'it\\'s': 1}",
            "{\"a\", \"b\"}",
        ];
        for text in texts {
            let whole = Look::at(text);
            let cuts = (1..text.len()).filter_map(|end| text.get(..end));
            let decided = cuts.map(Look::at).find(|look| *look != Look::Open);
            assert!(decided.is_none_or(|look| look == whole), "{text}");
        }
    }

    #[test]
    fn openers_without_end_do_not_take_quadratic_time() {
        let text = "{\"a\" [1 ".repeat(100_000);
        assert_eq!(root(&text), None);
    }

    #[test]
    fn a_root_that_breaks_off_in_a_fence_ends_with_the_fence() {
        let text = "```json\n{\"a\": [1, 2\n```\nThat is all.";
        let expected = Root {
            json: "{\"a\": [1, 2",
            found: Found::Fenced,
        };
        assert_eq!(root(text), Some(expected));
    }
}
