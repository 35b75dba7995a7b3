//! Calls that stand in what was said before the answer.
//!
//! A model that repeats what it was shown does not call anything by it. Only the conversation's key
//! tells a call from a repetition; a call in any other form is compared with everything that was
//! said. The comparison is on a plain form of both, since models undo escapes, entities and unusual
//! spellings when they repeat a text.

use std::collections::{HashMap, HashSet};
use std::ptr;
use std::rc::Rc;

use serde_json::Value;

use super::ask::{Conversation, Part, Speaker, Turn};
use super::plain::{Plain, letters};

/// So many calls are kept; with more, the tool's name alone decides.
const MAX_CALLS: usize = 32;
/// So many bytes before a name and behind it in which its arguments are looked for, at most.
const MAX_AROUND: usize = 4096;
/// So many more letters than the arguments have twice over may a call take up.
const NEAR: usize = 48;
/// So much of a value is compared, in bytes.
const MAX_VALUE: usize = 512;
/// Members, attributes and labels that name a tool.
const NAMING: [&str; 6] = ["name", "tool", "tool_name", "function", "invoke", "action"];
/// What may stand around a name in one word with it.
const BEFORE_NAME: &str = "functions.";
const BEHIND_NAME: &str = ".call";

/// What of the offered tools' calls was said before.
#[derive(Clone, Debug, Default)]
pub struct Quoted {
    /// Tools of which users or tools wrote a call, whatever its arguments.
    by_others: HashSet<String>,
    calls: Vec<QuotedCall>,
}

/// A place that looks like a call.
#[derive(Clone, Debug)]
struct QuotedCall {
    name: String,
    /// The letters and digits before it.
    before: String,
    /// Its own letters and digits, and those behind it.
    behind: String,
}

impl Quoted {
    /// What is said of calls to these tools in a conversation.
    pub fn find(conversation: &Conversation<'_>, names: &[&str]) -> Self {
        let mut quoted = Self::default();
        if names.is_empty() {
            return quoted;
        }
        let names = Names::new(names);
        let mut joined = Plain::default();
        let others = conversation.turns.iter().filter(is_others);
        // These are among the texts of the conversation, in the same order.
        let mut others = others.flat_map(words).peekable();
        for text in conversation.texts() {
            let mut plain = Plain::default();
            plain.add(text);
            let plain = plain.into_text();
            if others.next_if(|other| ptr::eq(*other, text)).is_some() {
                joined.add_plain(&plain);
            }
            quoted.add(&plain, &names);
        }
        // Were one not among them, it would still be read.
        others.for_each(|text| joined.add(text));
        for (_, name, _) in places(&joined.into_text(), &names) {
            quoted.by_others.insert(name.to_owned());
        }
        quoted
    }

    /// Whether a user or a tool wrote a call of this tool.
    pub fn is_by_others(&self, name: &str) -> bool {
        self.by_others.contains(name)
    }

    /// Whether the like of a whole call was said, by whomever. The arguments are JSON.
    pub fn holds(&self, name: &str, arguments: &Value) -> bool {
        let mut leaves = Leaves::default();
        leaves.add(arguments);
        let near = leaves.length.saturating_mul(2).saturating_add(NEAR);
        let mut calls = self.calls.iter();
        calls.any(|call| {
            let (before, behind) = (last(&call.before, near), first(&call.behind, near));
            let is_there = |value: &String| before.contains(value) || behind.contains(value);
            call.name == name && leaves.values.iter().all(is_there)
        })
    }

    /// Takes note of what looks like calls in a plain text.
    fn add(&mut self, plain: &str, names: &Names<'_>) {
        for (text, name, at) in places(plain, names) {
            if self.calls.len() >= MAX_CALLS {
                self.by_others.insert(name.to_owned());
                continue;
            }
            let (before, behind) = text.split_at_checked(at).unwrap_or_default();
            self.calls.push(QuotedCall {
                name: name.to_owned(),
                before: letters(last(before, MAX_AROUND)),
                behind: letters(first(behind, MAX_AROUND)),
            });
        }
    }
}

/// The names of the offered tools, as they stand in plain texts.
struct Names<'n> {
    by_word: HashMap<String, &'n str>,
    /// No word that names a tool is longer, in bytes.
    longest_word: usize,
}

impl<'n> Names<'n> {
    fn new(names: &[&'n str]) -> Self {
        let longest = names.iter().map(|name| name.len()).max();
        let around = BEFORE_NAME.len() + BEHIND_NAME.len();
        Self {
            by_word: names
                .iter()
                .map(|name| (name.to_ascii_lowercase(), *name))
                .collect(),
            longest_word: longest.unwrap_or_default().saturating_add(around),
        }
    }

    /// The tool that a word names.
    fn get(&self, word: &str) -> Option<&'n str> {
        if word.len() > self.longest_word {
            return None;
        }
        let name = word.strip_prefix(BEFORE_NAME).unwrap_or(word);
        let name = name.strip_suffix(BEHIND_NAME).unwrap_or(name);
        self.by_word.get(name).copied()
    }

    /// Whether a plain text may hold places that look like calls, with its spaces or without: there
    /// are none unless a name stands beside one of a few signs. Looks at the signs alone.
    fn may_be_called_in(&self, spaced: &str) -> bool {
        let mut close = String::new();
        let is_beside = |(at, sign): (usize, u8)| match sign {
            b'(' | b'{' => self.ends(spaced.get(..at).unwrap_or_default()),
            _ => {
                let behind = spaced.get(at.saturating_add(1)..).unwrap_or_default();
                let behind = behind.trim_start_matches(' ');
                self.get(word_at(behind, 0)).is_some() || self.begins_close(behind, &mut close)
            }
        };
        let bytes = spaced.bytes().enumerate();
        bytes.filter(|(_, byte)| is_sign(*byte)).any(is_beside)
    }

    /// Whether a text ends with a word that names a tool.
    fn ends(&self, text: &str) -> bool {
        let end = last(text, self.longest_word.saturating_add(1));
        let word = end.trim_end_matches(is_word_letter);
        let word = end.get(word.len()..).unwrap_or_default();
        self.get(word).is_some()
    }

    /// Whether a text begins with a word that names a tool once its spaces are gone.
    fn begins_close(&self, text: &str, close: &mut String) -> bool {
        close.clear();
        for letter in text.chars().filter(|letter| *letter != ' ') {
            if !is_word_letter(letter) {
                break;
            }
            close.push(letter);
            if close.len() > self.longest_word {
                return false;
            }
        }
        self.get(close).is_some()
    }
}

/// Whether the name of a call may stand beside such a sign.
const fn is_sign(byte: u8) -> bool {
    matches!(byte, b'(' | b':' | b'=' | b'>' | b']' | b'{' | b'|')
}

/// The places in a plain text that look like calls, each with the text that it is a place in: with
/// spaces and without, since either hides some of them.
fn places<'n>(spaced: &str, names: &Names<'n>) -> Vec<(Rc<str>, &'n str, usize)> {
    // Hardly any text names a tool, and this is soon seen.
    if !names.may_be_called_in(spaced) {
        return Vec::new();
    }
    let close: String = spaced.chars().filter(|letter| *letter != ' ').collect();
    let texts: [(Rc<str>, bool); 2] = [(spaced.into(), true), (close.into(), false)];
    let found = texts.iter().flat_map(|(text, has_spaces)| {
        let found = names_in(text, *has_spaces, names).into_iter();
        found.map(|(name, at)| (text.clone(), name, at))
    });
    found.collect()
}

fn is_others(turn: &&Turn<'_>) -> bool {
    matches!(turn.speaker, Speaker::User { .. } | Speaker::Tool { .. })
}

fn words<'c>(turn: &'c Turn<'_>) -> impl Iterator<Item = &'c str> {
    turn.parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_ref()),
        Part::Image(_) | Part::Media(_) | Part::ToolCall(_) => None,
    })
}

/// The known names that stand in a plain text as names of calls do, and where.
fn names_in<'n>(text: &str, has_spaces: bool, names: &Names<'n>) -> Vec<(&'n str, usize)> {
    let mut found = Vec::new();
    let mut words: [&str; 2] = ["", ""];
    let mut from = 0;
    while let Some(start) = next_word(text, from) {
        let word = word_at(text, start);
        from = start.saturating_add(word.len());
        if let Some(name) = names.get(word) {
            let before = text.get(..start).unwrap_or_default().trim_end();
            let after = text.get(from..).unwrap_or_default();
            let is_followed = has_spaces && after.starts_with(['(', '{']);
            if is_followed || follows_naming(before, words) {
                found.push((name, start));
            }
        }
        words = [words[1], word];
    }
    found
}

/// Whether what comes before a name is what names a tool.
fn follows_naming(before: &str, words: [&str; 2]) -> bool {
    let [_, last] = words;
    let is_naming = |word: &str| NAMING.iter().any(|naming| word.ends_with(naming));
    match before.chars().next_back() {
        Some('>' | '|' | ']') => true,
        Some('=') => is_naming(last),
        Some(':') => {
            let outer = before.strip_suffix(':').unwrap_or_default().trim_end();
            let outer = outer.strip_suffix(last).unwrap_or_default().trim_end();
            last == "action" || (is_naming(last) && outer.ends_with(['{', '}', ',', '[']))
        }
        _ => false,
    }
}

fn next_word(text: &str, from: usize) -> Option<usize> {
    let offset = text.get(from..)?.find(is_word_letter)?;
    from.checked_add(offset)
}

fn word_at(text: &str, start: usize) -> &str {
    let rest = text.get(start..).unwrap_or_default();
    let end = rest.find(|letter| !is_word_letter(letter));
    rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
}

fn is_word_letter(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.')
}

/// The beginning of a text, at most this long.
fn first(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev();
    let end = end.into_iter().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// The end of a text, at most this long.
fn last(text: &str, most: usize) -> &str {
    let mut starts = text.len().saturating_sub(most)..=text.len();
    let start = starts.find(|start| text.is_char_boundary(*start));
    text.get(start.unwrap_or(0)..).unwrap_or_default()
}

/// What a call's arguments hold, in letters and digits.
#[derive(Debug, Default)]
struct Leaves {
    values: Vec<String>,
    /// Of the values and the names of the members.
    length: usize,
}

impl Leaves {
    /// Takes the values in, as far as they can all stand around one place.
    fn add(&mut self, value: &Value) {
        if self.length > MAX_AROUND / 2 {
            return;
        }
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.add(item)),
            Value::Object(members) => {
                for (name, member) in members {
                    self.length = self.length.saturating_add(name.len());
                    self.add(member);
                }
            }
            Value::String(text) => {
                let mut plain = Plain::default();
                plain.add(text);
                self.push(first(&letters(&plain.into_text()), MAX_VALUE));
            }
            other => self.push(&letters(&other.to_string())),
        }
    }

    fn push(&mut self, value: &str) {
        self.length = self.length.saturating_add(value.len());
        self.values.push(value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::{Names, names_in};

    /// All texts of so many of these pieces.
    fn texts(pieces: &[&str], count: usize) -> Vec<String> {
        (0..count).fold(vec![String::new()], |texts, _| {
            let longer = texts.iter().flat_map(|text| {
                let longer = pieces.iter().map(|piece| format!("{text}{piece}"));
                longer.collect::<Vec<_>>()
            });
            longer.collect()
        })
    }

    #[test]
    fn no_text_is_passed_over_that_looks_like_a_call() {
        let names = Names::new(&["run", "go"]);
        let pieces = [
            "run", "g", "o", " ", "{name:", "(", "=", ".call", "]", "\u{e9}",
        ];
        let mut calls = 0;
        for spaced in texts(&pieces, 5) {
            let close = spaced.replace(' ', "");
            let is_called = !names_in(&spaced, true, &names).is_empty()
                || !names_in(&close, false, &names).is_empty();
            calls += usize::from(is_called);
            assert!(!is_called || names.may_be_called_in(&spaced), "{spaced}");
        }
        assert!(calls > 1000, "{calls}");
        assert!(!names.may_be_called_in("to run: that is to go (far), or not to"));
    }
}
