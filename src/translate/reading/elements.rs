//! Calls whose name and arguments are told apart by elements or by attributes.
//!
//! ```text
//! <tool_call name="f" arguments={"a": 1}/>
//! <tool>f</tool><tool_input>{"a": 1}</tool_input>
//! <tool_name>f</tool_name><parameters><a>1</a></parameters>
//! <tool>f</tool><args_json><![CDATA[{"a": 1}]]></args_json>
//! ```

use std::borrow::Cow;

use super::envelope::{
    ARGUMENTS, Form, QUOTES, RawArguments, RawCall, is_name_byte, is_name_start,
};
use super::json_scan::JsonScan;
use super::markup::{MAX_TAG, attribute, split_prefix, window, without_line_ends};
use crate::translate::json::TextMember;

/// Elements that a call with attributes may be.
const WITH_ATTRIBUTES: [&str; 6] = [
    "tool_call",
    "function_call",
    "invoke",
    "function",
    "tool",
    "call",
];
/// Elements that hold the name of a call.
const NAMES: [&str; 4] = ["tool", "tool_name", "function_name", "api_name"];
/// Elements that hold its arguments.
const INPUTS: [&str; 6] = [
    "tool_input",
    "parameters",
    "arguments",
    "args_json",
    "input",
    "args",
];
const CDATA: (&str, &str) = ("<![CDATA[", "]]>");

/// What the beginning of an element may be.
#[derive(Debug)]
pub enum Head {
    /// No call with attributes.
    No,
    /// It cannot be told yet.
    Open,
    Found(AttributeCall),
}

/// A call with attributes, of which more and more is there.
#[derive(Clone, Debug)]
pub struct AttributeCall {
    word: &'static str,
    /// Where its arguments begin.
    from: usize,
    /// Where they end, once that is known.
    end: Option<usize>,
    scan: JsonScan,
}

/// The most that may stand between the arguments and the end of their tag, in bytes.
const MAX_TAIL: usize = 256;

impl AttributeCall {
    /// The call that an element opens, if the value of one of its attributes is an object. The
    /// text begins with `<`.
    pub fn open(text: &str) -> Head {
        let head = window(text, MAX_TAG);
        let is_whole = head.len() < text.len();
        let Some(word) = word_of(head) else {
            return Head::No;
        };
        let tag = match head.find(['>', '{']) {
            None if is_whole => return Head::No,
            None => return Head::Open,
            Some(at) => head.get(..at).unwrap_or_default(),
        };
        let is_object = head.as_bytes().get(tag.len()) == Some(&b'{');
        let before = tag.trim_end().trim_end_matches(QUOTES).trim_end();
        let label = before.strip_suffix('=').map(str::trim_end);
        let is_arguments = label.is_some_and(|label| {
            ARGUMENTS.iter().any(|name| {
                label
                    .strip_suffix(name)
                    .is_some_and(|before| before.ends_with(char::is_whitespace))
            })
        });
        match is_object && is_arguments {
            false => Head::No,
            true => Head::Found(Self {
                word,
                from: tag.len(),
                end: None,
                scan: JsonScan::default(),
            }),
        }
    }

    /// Reads on in the text, which begins with the element, and of which there is more with every
    /// call: the call and where its tag is over, or `None` while that is not there.
    ///
    /// # Errors
    /// How far the text was read, if it is no call.
    pub fn read(&mut self, text: &str) -> Result<Option<(RawCall, usize)>, usize> {
        let json = text.get(self.from..).unwrap_or_default();
        let end = match self.end {
            Some(end) => end,
            None => match self.scan.end(json) {
                Some(length) => self.from.saturating_add(length),
                None => return Ok(None),
            },
        };
        self.end = Some(end);
        let after = text.get(end..).unwrap_or_default();
        let shown = window(after, MAX_TAIL);
        let Some((tail, _)) = shown.split_once('>') else {
            return match shown.len() == after.len() {
                true => Ok(None),
                false => Err(end),
            };
        };
        let head = text.get(..self.from).unwrap_or_default();
        let name = attribute(head, "name").or_else(|| attribute(tail, "name"));
        let json = text.get(self.from..end).unwrap_or_default();
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Err(end);
        };
        let mut call = RawCall::json(name.to_owned(), decoded(json).into_owned());
        call.mended.push(super::leniency::ATTRIBUTES);
        let over = end.saturating_add(tail.len()).saturating_add(1);
        Ok(Some((call, over)))
    }

    /// The tag that may close the element.
    pub fn closing(&self) -> String {
        format!("</{}>", self.word)
    }

    /// The call at the beginning of a whole text, and what follows it.
    pub fn parse(text: &str) -> Option<(RawCall, &str)> {
        let Head::Found(mut call) = Self::open(text) else {
            return None;
        };
        let (raw, over) = call.read(text).ok()??;
        let after = text.get(over..)?;
        let closing = call.closing();
        let rest = after.trim_start().strip_prefix(closing.as_str());
        Some((raw, rest.unwrap_or(after)))
    }

    /// The name in the first attributes of an element that may hold a call, as far as it is there,
    /// and whether it is whole.
    pub fn name(text: &str) -> Option<(&str, bool)> {
        let head = window(text, MAX_TAG);
        word_of(head)?;
        let tag = head.split(['>', '{']).next()?;
        let (_, value) = tag.split_once("name=")?;
        let value = value.strip_prefix(['"', '\''])?;
        Some(match value.split_once(['"', '\'']) {
            Some((name, _)) => (name, true),
            None => (value, false),
        })
    }

    /// Whether the beginning of a tag could become that of a call with attributes.
    pub fn could_open(text: &str) -> bool {
        let tag = text.strip_prefix('<').unwrap_or(text);
        WITH_ATTRIBUTES
            .iter()
            .any(|word| word.starts_with(tag) || word_of(text).is_some())
            && text.len() < MAX_TAG
    }
}

/// The word of an element with attributes.
fn word_of(text: &str) -> Option<&'static str> {
    let tag = text.strip_prefix('<')?;
    WITH_ATTRIBUTES.into_iter().find(|word| {
        tag.strip_prefix(word)
            .is_some_and(|after| after.starts_with([' ', '\n', '\t']))
    })
}

/// JSON out of an attribute, where quotes may be spelt as entities.
fn decoded(json: &str) -> Cow<'_, str> {
    match json.contains('"') || !json.contains('&') {
        true => Cow::Borrowed(json),
        false => Cow::Owned(
            json.replace("&quot;", "\"")
                .replace("&#34;", "\"")
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&amp;", "&"),
        ),
    }
}

/// The name in the element that a text begins with, and what follows the element.
pub fn name_element(text: &str) -> Option<(&str, &str)> {
    let (_, name, after) = element(text, &NAMES, MAX_TAG)?;
    let name = name.trim();
    (is_name_start(name) && name.bytes().all(is_name_byte)).then_some((name, after))
}

/// Whether the beginning of a tag, without its bracket, could become one around a name.
pub fn could_hold_name(tag: &str) -> bool {
    NAMES.iter().any(|word| word.starts_with(tag))
}

/// What stands behind the tag of an element for a name.
pub fn in_name_element(text: &str) -> Option<&str> {
    let (tag, after) = window(text, MAX_TAG).strip_prefix('<')?.split_once('>')?;
    let (_, word) = split_prefix(tag);
    NAMES.contains(&word).then_some(after)
}

/// The call whose name and arguments stand in elements one after the other, and what follows it.
pub fn parse_named(text: &str) -> Option<(RawCall, &str)> {
    let (name, after) = name_element(text)?;
    let input = after.trim_start();
    let Some((_, content, rest)) = element(input, &INPUTS, usize::MAX) else {
        return Some((call(name, RawArguments::Json("{}".to_owned())), after));
    };
    Some((call(name, arguments(content)?), rest))
}

fn call(name: &str, arguments: RawArguments) -> RawCall {
    RawCall {
        arguments,
        form: Form::Elements,
        ..RawCall::json(name.to_owned(), String::new())
    }
}

/// Arguments that are JSON, within `<![CDATA[...]]>` or not, or an element for each of them.
fn arguments(content: &str) -> Option<RawArguments> {
    let content = content.trim();
    let plain = content
        .strip_prefix(CDATA.0)
        .and_then(|inside| inside.strip_suffix(CDATA.1))
        .map(str::trim);
    let json = plain.unwrap_or(content);
    if json.is_empty() || json.starts_with('{') {
        return Some(RawArguments::Json(json.to_owned()));
    }
    let mut members = Vec::new();
    let mut rest = content;
    while !rest.is_empty() {
        let (tag, _) = window(rest, MAX_TAG).strip_prefix('<')?.split_once('>')?;
        let is_name = is_name_start(tag) && tag.bytes().all(is_name_byte);
        let (_, text, after) = element(rest, &[tag], usize::MAX).filter(|_| is_name)?;
        members.push(TextMember {
            name: tag.to_owned(),
            text: without_line_ends(text).to_owned(),
            is_json: None,
        });
        rest = after.trim_start();
    }
    Some(RawArguments::Texts(members))
}

/// The element of one of these names that a text begins with: its name, what it holds within this
/// many bytes, and what follows it.
fn element<'t, 'w>(
    text: &'t str,
    words: &[&'w str],
    most: usize,
) -> Option<(&'w str, &'t str, &'t str)> {
    let (tag, _) = window(text, MAX_TAG).strip_prefix('<')?.split_once('>')?;
    let word = words.iter().find(|word| **word == tag)?;
    let inside = text.get(tag.len().saturating_add(2)..)?;
    let close = format!("</{word}>");
    let (content, _) = window(inside, most).split_once(close.as_str())?;
    let after = inside.get(content.len().checked_add(close.len())?..)?;
    Some((*word, content, after))
}
