//! What stands around a call: the block that was asked for, and the forms into which models drift.
//!
//! The JSON inside is almost always right; it is the envelope that drifts. So there is one reader
//! for what may stand around a call, rather than a list of special cases.

use crate::translate::json;
use crate::wire::openai::fields::Fields;

/// A call as the model wrote it: whether the tool exists and the arguments fit is not yet known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawCall {
    pub name: String,
    /// JSON, or what was meant to be.
    pub arguments: String,
}

/// What comes next inside a block.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'b> {
    /// It cannot be told yet.
    Unfinished,
    /// A call's JSON, and how much of the block it takes up.
    Call { json: &'b str, length: usize },
    /// The block's end.
    End,
    /// Something else.
    Other,
}

const BLOCK_END: &str = "</tool_calls>";
const CALL_BEGIN: &str = "<tool_call";
const CALL_END: &str = "</tool_call>";

/// Names of the members that hold a call's name and arguments, ours first.
const NAME: [&str; 3] = ["name", "tool", "tool_name"];
const ARGUMENTS: [&str; 5] = ["arguments", "parameters", "args", "input", "tool_input"];
/// Members that hold one call or a list of them.
const NESTED: [&str; 3] = ["tool_calls", "function", "tool_call"];
/// Elements that models put around calls; a key may follow as an attribute or behind a hyphen.
const ELEMENTS: [&str; 6] = [
    "tool_calls",
    "tool_call",
    "function_calls",
    "function_call",
    "tools",
    "tool",
];

/// Reads the next thing in a block.
pub fn next_in_block(block: &str) -> Next<'_> {
    let rest = block.trim_start();
    if rest.starts_with(BLOCK_END) {
        return Next::End;
    }
    if rest.is_empty() || BLOCK_END.starts_with(rest) || CALL_BEGIN.starts_with(rest) {
        return Next::Unfinished;
    }
    let json = match rest.strip_prefix(CALL_BEGIN) {
        None if rest.starts_with('{') => rest,
        None => return Next::Other,
        Some(attributes) => match attributes.split_once('>') {
            None => return Next::Unfinished,
            Some((_, json)) => json.trim_start(),
        },
    };
    if json.is_empty() {
        return Next::Unfinished;
    }
    // Broken quotes can hide the object's end; the closing tag still shows it. Whichever is seen
    // first counts, so that it does not matter how much of the block is there.
    let marked = ["</tool_call>\n<tool_call", "</tool_call>\n</tool_calls>"]
        .iter()
        .filter_map(|mark| {
            json.find(mark)
                .map(|at| (at.saturating_add(mark.len()), at))
        })
        .min();
    let length = match (object_length(json), marked) {
        (Some(length), Some((seen, at))) if seen < length => at,
        (Some(length), _) => length,
        (None, Some((_, at))) => at,
        (None, None) => return Next::Unfinished,
    };
    taken(block, json, length, json.get(length..).unwrap_or_default())
}

/// A call, once it is certain what follows it.
fn taken<'b>(block: &'b str, json: &'b str, length: usize, after: &'b str) -> Next<'b> {
    let tail = after.trim_start();
    let after_end = match tail.strip_prefix(CALL_END) {
        Some(rest) => rest,
        None if tail.is_empty() || CALL_END.starts_with(tail) => return Next::Unfinished,
        None => tail,
    };
    match json.get(..length) {
        Some(json) => Next::Call {
            json,
            length: block.len().saturating_sub(after_end.len()),
        },
        None => Next::Other,
    }
}

/// The JSON of the last call in a block that was cut off after it.
pub fn last_in_block(block: &str) -> Option<&str> {
    let rest = block.trim_start();
    let json = match rest.strip_prefix(CALL_BEGIN) {
        Some(attributes) => attributes.split_once('>')?.1,
        None => rest,
    };
    let json = json.trim_start();
    json.get(..object_length(json)?)
}

/// How long the JSON object at the start of a text is; `None` while it has not closed.
fn object_length(json: &str) -> Option<usize> {
    let (mut depth, mut in_string, mut is_escaped) = (0usize, false, false);
    for (at, byte) in json.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth = depth.saturating_add(1),
            b'}' | b']' if !in_string => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return at.checked_add(1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Reads one call out of its JSON.
pub fn parse_call(json: &str) -> Option<RawCall> {
    let repaired = json::repair(json)?;
    let Fields(fields) = serde_json::from_str(&repaired.json).ok()?;
    let member = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| fields.iter().find(|(known, _)| known == name))
            .map(|(_, value)| *value)
    };
    if let Some(inner) = member(&["function"]).filter(|inner| inner.get().starts_with('{')) {
        return parse_call(inner.get());
    }
    let name = member(&NAME).or(member(&["function"]))?;
    Some(RawCall {
        name: serde_json::from_str(name.get()).ok()?,
        arguments: member(&ARGUMENTS)
            .map_or("{}", |arguments| arguments.get())
            .to_owned(),
    })
}

/// Reads a whole text as calls, whatever stands around them, if it is nothing but calls to known
/// tools.
pub fn parse_calls(text: &str, names: &[String]) -> Option<Vec<RawCall>> {
    let mut calls = Vec::new();
    let mut rest = skip_envelope(text, false);
    while !rest.is_empty() {
        let length = object_length(rest)?;
        collect_calls(rest.get(..length)?, &mut calls, 0)?;
        rest = skip_envelope(rest.get(length..)?, true);
    }
    let are_known = calls
        .iter()
        .all(|call| names.iter().any(|name| is_name(&call.name, name)));
    (!calls.is_empty() && are_known).then_some(calls)
}

/// The calls in one JSON value: a call, a list of calls, or an object that holds them.
fn collect_calls(json: &str, calls: &mut Vec<RawCall>, depth: usize) -> Option<()> {
    if depth > 3 {
        return None;
    }
    let repaired = json::repair(json)?;
    if repaired.json.trim_start().starts_with('[') {
        let items: Vec<&serde_json::value::RawValue> = serde_json::from_str(&repaired.json).ok()?;
        return items
            .into_iter()
            .try_for_each(|item| collect_calls(item.get(), calls, depth.saturating_add(1)));
    }
    let Fields(fields) = serde_json::from_str(&repaired.json).ok()?;
    let nested = fields
        .iter()
        .find(|(name, value)| NESTED.contains(&name.as_ref()) && value.get().starts_with('['));
    match nested {
        Some((_, list)) => collect_calls(list.get(), calls, depth.saturating_add(1)),
        None => parse_call(&repaired.json).map(|call| calls.push(call)),
    }
}

/// Whether a text could still become nothing but calls to known tools.
pub fn could_be_calls(text: &str, names: &[String]) -> bool {
    let Ok(inside) = enter_envelope(text) else {
        return false;
    };
    let Some(inside) = inside else {
        return true;
    };
    could_be_call_json(inside, names, 0)
}

/// Whether JSON that may not be complete begins like a call to a known tool.
fn could_be_call_json(json: &str, names: &[String], depth: usize) -> bool {
    let inner = match json.strip_prefix(['{', '[']) {
        Some(inner) => inner.trim_start(),
        None => return json.is_empty(),
    };
    if inner.is_empty() {
        return true;
    }
    if json.starts_with('[') || depth > 3 {
        return depth <= 3 && could_be_call_json(inner, names, depth.saturating_add(1));
    }
    let Some(quoted) = inner.strip_prefix(['"', '\'']) else {
        return false;
    };
    let Some((key, after)) = quoted.split_once(['"', '\'']) else {
        return known_members().any(|member| member.starts_with(quoted));
    };
    let value = after
        .trim_start()
        .strip_prefix(':')
        .map_or("", str::trim_start);
    if NAME.contains(&key) || (key == "function" && value.starts_with('"')) {
        return could_be_name(value, names);
    }
    match NESTED.contains(&key) {
        true => could_be_call_json(value, names, depth.saturating_add(1)),
        false => ARGUMENTS.contains(&key) || matches!(key, "id" | "type"),
    }
}

fn could_be_name(value: &str, names: &[String]) -> bool {
    let Some(quoted) = value.strip_prefix(['"', '\'']) else {
        return value.is_empty();
    };
    match quoted.split_once(['"', '\'']) {
        Some((name, _)) => names.iter().any(|known| is_name(name, known)),
        None => names.iter().any(|known| starts_like(known, quoted)),
    }
}

fn starts_like(known: &str, written: &str) -> bool {
    let written = written.to_ascii_lowercase();
    let known = known.to_ascii_lowercase();
    known.starts_with(&written) || format!("functions.{known}").starts_with(&written)
}

/// Whether a written name means a tool: as it is, in another case, or behind `functions.`.
pub fn is_name(written: &str, known: &str) -> bool {
    let bare = written.strip_prefix("functions.").unwrap_or(written);
    bare.eq_ignore_ascii_case(known)
}

fn known_members() -> impl Iterator<Item = &'static str> {
    NAME.into_iter()
        .chain(ARGUMENTS)
        .chain(NESTED)
        .chain(["id", "type"])
}

/// Goes through fences and opening elements at the start of a text. `Ok(None)` while the envelope
/// has not ended, `Err` when it is something else.
fn enter_envelope(text: &str) -> Result<Option<&str>, ()> {
    let mut rest = text.trim_start();
    loop {
        if rest.is_empty() {
            return Ok(None);
        }
        if rest.starts_with(['{', '[']) {
            return Ok(Some(rest));
        }
        if rest.starts_with('`') || rest.starts_with('~') {
            let Some((line, after)) = rest.split_once('\n') else {
                return is_fence_line(rest).then_some(None).ok_or(());
            };
            rest = match is_fence_line(line) {
                true => after.trim_start(),
                false => return Err(()),
            };
            continue;
        }
        let Some(element) = rest.strip_prefix('<') else {
            return Err(());
        };
        let Some((tag, after)) = element.split_once('>') else {
            return could_be_element(element).then_some(None).ok_or(());
        };
        rest = match is_element(tag) {
            true => after.trim_start(),
            false => return Err(()),
        };
    }
}

fn is_fence_line(line: &str) -> bool {
    let unmarked = line.trim_start_matches(['`', '~']);
    let word = unmarked.trim();
    line.len().saturating_sub(unmarked.len()) <= 3
        && word.len() <= 16
        && word
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// Bytes that an element may hold besides its name; fewer than this.
const MOST_ATTRIBUTES: usize = 64;

fn is_element(tag: &str) -> bool {
    let (name, attributes) = tag.split_once([' ', '\n', '-']).unwrap_or((tag, ""));
    ELEMENTS.contains(&name) && attributes.len() < MOST_ATTRIBUTES
}

fn could_be_element(tag: &str) -> bool {
    match tag.find([' ', '\n', '-']) {
        Some(_) => is_element(tag),
        None => ELEMENTS.iter().any(|element| element.starts_with(tag)),
    }
}

/// What is left of a text after white space, fences and elements, closing ones where `closes`.
fn skip_envelope(text: &str, closes: bool) -> &str {
    let mut rest = text.trim_start_matches(|letter: char| letter.is_whitespace() || letter == ',');
    loop {
        let before = rest.len();
        if let Some(line) = rest
            .strip_prefix("```")
            .or_else(|| rest.strip_prefix("~~~"))
        {
            rest = match closes {
                true => line.trim_start(),
                false => line
                    .split_once('\n')
                    .map_or("", |(_, after)| after.trim_start()),
            };
        }
        if let Some((tag, after)) = rest
            .strip_prefix('<')
            .and_then(|element| element.split_once('>'))
            && is_element(tag.strip_prefix('/').unwrap_or(tag))
        {
            rest = after.trim_start();
        }
        if rest.len() == before {
            return rest;
        }
    }
}
