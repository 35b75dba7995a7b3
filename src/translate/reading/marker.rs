//! The tags of a folded conversation, recognised in what a model writes.
//!
//! Every tag of the fold carries the conversation's key at the end of its name. Models write such
//! tags with other attributes, in small letters, and with names of their own making
//! (`<get_weather-result-7K2Q>`), so any tag whose name ends in the key is one of them.

use super::envelope::{ELEMENTS, QUOTES, is_name_byte};
use super::markup::{MAX_TAG, window};
use crate::translate::correction;
use crate::translate::key::MarkerKey;
use crate::translate::plan::Recipe;

/// The longest name of a tag before its key, in bytes.
const MAX_NAME: usize = 64;
/// The name in an object that imitates a tag is over within this many bytes.
const MAX_LEAD: usize = 128;

/// Recognises the tags with certain keys.
#[derive(Clone, Debug)]
pub struct Markers {
    /// The ends of their names: `-7K2Q`.
    ends: Vec<String>,
}

/// A tag with the key.
#[derive(Debug, PartialEq, Eq)]
pub struct Marker {
    /// Its name without the key, in small letters.
    pub name: String,
    pub is_closing: bool,
    /// Whether it is an element of its own, without contents.
    pub is_empty: bool,
    /// The value of its attribute `role`, in small letters.
    pub role: Option<String>,
    /// How many bytes of the text it takes up.
    pub length: usize,
}

/// What a text that begins with `<` begins with.
#[derive(Debug, PartialEq, Eq)]
pub enum Look<T> {
    No,
    /// It cannot be told yet.
    Open,
    Found(T),
}

impl Markers {
    pub fn new<'k>(keys: impl IntoIterator<Item = &'k MarkerKey>) -> Self {
        let ends = keys.into_iter().map(|key| format!("-{key}"));
        Self {
            ends: ends.collect(),
        }
    }

    /// The tag at the beginning of a text.
    pub fn at(&self, text: &str) -> Look<Marker> {
        let head = match self.head(text) {
            Look::Found(length) => length,
            Look::Open => return Look::Open,
            Look::No => return Look::No,
        };
        let after = text.get(head..).unwrap_or_default();
        let shown = window(after, MAX_TAG);
        let (attributes, length) = match shown.split_once('>') {
            Some((attributes, _)) => (attributes, attributes.len().saturating_add(1)),
            None if shown.len() == after.len() => return Look::Open,
            None => ("", 0),
        };
        let name = text.get(..head).unwrap_or_default();
        let name = name.trim_start_matches(['<', '/']).to_ascii_lowercase();
        // Keys have no hyphens.
        let (name, _) = name.rsplit_once('-').unwrap_or_default();
        Look::Found(Marker {
            name: name.to_owned(),
            is_closing: text.starts_with("</"),
            is_empty: attributes.ends_with('/'),
            role: role(attributes),
            length: head.saturating_add(length),
        })
    }

    /// How long the beginning of a tag is, up to the end of the key. It is certain as soon as the
    /// key is there.
    pub fn head(&self, text: &str) -> Look<usize> {
        let Some(tag) = text.strip_prefix('<') else {
            return Look::No;
        };
        let name = tag.strip_prefix('/').unwrap_or(tag);
        let before = text.len().saturating_sub(name.len());
        match self.end_of_name(name) {
            Look::Found(length) => Look::Found(before.saturating_add(length)),
            Look::Open => Look::Open,
            Look::No => Look::No,
        }
    }

    /// The beginning of an object that imitates a tag, such as `{"tool_result-7K2Q":`, up to the end
    /// of the key.
    pub fn member(&self, text: &str) -> Look<()> {
        let is_around = |letter: char| letter.is_whitespace() || matches!(letter, '{' | '[');
        let shown = window(text, MAX_LEAD);
        let inside = shown.trim_start_matches(is_around);
        let look = match inside.strip_prefix(QUOTES) {
            Some(name) => self.end_of_name(name),
            None if inside.is_empty() => Look::Open,
            None => Look::No,
        };
        match look {
            Look::Found(_) => Look::Found(()),
            Look::Open if shown.len() == text.len() => Look::Open,
            Look::Open | Look::No => Look::No,
        }
    }

    /// Where the name with a key is over that a text begins with.
    pub fn end_of_name(&self, text: &str) -> Look<usize> {
        let longest = self.ends.iter().map(String::len).max().unwrap_or_default();
        let most = MAX_NAME.saturating_add(longest);
        let shown = window(text, most);
        let length = shown.bytes().take_while(|byte| is_name_byte(*byte)).count();
        let name = shown.as_bytes().get(..length).unwrap_or_default();
        let over = |end: &String| {
            let mut parts = name.windows(end.len());
            let at = parts.position(|part| part.eq_ignore_ascii_case(end.as_bytes()))?;
            (at > 0).then(|| at.saturating_add(end.len()))
        };
        match self.ends.iter().filter_map(over).min() {
            Some(end) => Look::Found(end),
            None if length == text.len() && length < most => Look::Open,
            None => Look::No,
        }
    }
}

/// The value of `role`, with or without quotes.
fn role(attributes: &str) -> Option<String> {
    let lower = attributes.to_ascii_lowercase();
    let (_, after) = lower.split_once("role")?;
    let value = after.trim_start().strip_prefix('=')?;
    let value = value.trim_start().trim_start_matches(['"', '\'']);
    let end = value.find(|letter: char| !letter.is_ascii_alphanumeric());
    value.get(..end.unwrap_or(value.len())).map(str::to_owned)
}

/// Lets text through up to the first tag with the key: a model that goes on to write the next turn
/// is cut there.
#[derive(Clone, Debug)]
pub struct Guard {
    markers: Markers,
    /// What else ends the text: the tag of the block that holds calls, where nobody looks for
    /// calls, and the words that begin a correction, where the model was shown one.
    others: Vec<String>,
    /// Whether elements that may hold calls pass, for those who look for calls behind this guard.
    passes_calls: bool,
    held: String,
    has_cut: bool,
}

impl Guard {
    /// A guard for what a model writes that was told so. Where calls may come, the elements pass
    /// that may hold them.
    pub fn new(reading: &Recipe) -> Self {
        let passes_calls = reading.contract.tools.is_some();
        let key = reading.key.as_ref().filter(|_| !passes_calls);
        let block = key.map(|key| format!("<tool_calls k=\"{key}\""));
        let again = reading.correction_key.as_ref();
        let words = again.map(|_| correction::OPENING.to_owned());
        Self {
            markers: Markers::new(reading.keys()),
            others: block.into_iter().chain(words).collect(),
            passes_calls,
            ..Self::behind_calls([])
        }
    }

    /// A guard for text in which no calls were found. A block that is quoted in it may stay.
    pub fn behind_calls<'k>(keys: impl IntoIterator<Item = &'k MarkerKey>) -> Self {
        Self {
            markers: Markers::new(keys),
            others: Vec::new(),
            passes_calls: false,
            held: String::new(),
            has_cut: false,
        }
    }

    /// Takes the next piece and appends what certainly comes before any tag to `out`.
    pub fn push(&mut self, piece: &str, out: &mut String) {
        if self.has_cut {
            return;
        }
        let text = std::mem::take(&mut self.held) + piece;
        let mut from = 0;
        while let Some(offset) = text.get(from..).and_then(|rest| self.next_sign(rest)) {
            let at = from.saturating_add(offset);
            let rest = text.get(at..).unwrap_or_default();
            match self.look(rest) {
                Look::No => from = at.saturating_add(1),
                Look::Open => {
                    out.push_str(text.get(..at).unwrap_or_default());
                    self.held = rest.to_owned();
                    return;
                }
                Look::Found(()) => {
                    out.push_str(text.get(..at).unwrap_or_default());
                    self.has_cut = true;
                    return;
                }
            }
        }
        out.push_str(&text);
    }

    /// The text ends here: what was held back is no tag.
    pub fn finish(&mut self, out: &mut String) {
        out.push_str(&std::mem::take(&mut self.held));
    }

    /// How many bytes are held back.
    pub fn waiting(&self) -> usize {
        self.held.len()
    }

    /// Whether a tag was found; everything from there on is dropped.
    pub fn has_cut(&self) -> bool {
        self.has_cut
    }

    /// Where something may begin that ends the text.
    fn next_sign(&self, text: &str) -> Option<usize> {
        match self.others.iter().any(|other| !other.starts_with('<')) {
            true => text.find(|letter| {
                ['<', '{'].contains(&letter) || correction::OPENING.starts_with(letter)
            }),
            false => text.find(['<', '{']),
        }
    }

    fn look(&self, rest: &str) -> Look<()> {
        if rest.starts_with('{') {
            return self.markers.member(rest);
        }
        let mut others = self.others.iter();
        let of_others = match () {
            () if others.clone().any(|other| rest.starts_with(other.as_str())) => Look::Found(()),
            () if others.any(|other| other.starts_with(rest)) => Look::Open,
            () => Look::No,
        };
        let head = match self.markers.head(rest) {
            Look::Found(length) if self.passes_calls && is_of_calls(rest, length) => Look::No,
            head => head,
        };
        match (head, of_others) {
            (Look::Found(_), _) | (_, Look::Found(())) => Look::Found(()),
            (Look::Open, _) | (_, Look::Open) => Look::Open,
            (Look::No, Look::No) => Look::No,
        }
    }
}

/// Whether the beginning of a tag is that of an element around calls.
fn is_of_calls(tag: &str, head: usize) -> bool {
    let name = tag.get(..head).unwrap_or_default();
    let name = name.trim_start_matches(['<', '/']);
    let word = name.split('-').next().unwrap_or_default();
    ELEMENTS.contains(&word)
}
