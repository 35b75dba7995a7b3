//! What stands around a call: the block that was asked for, and the forms into which models drift.
//!
//! The JSON inside is almost always right; it is the envelope that drifts. So there is one reader
//! for what may stand around a call, rather than a list of special cases.

use super::leniency;
use super::markup::{MAX_TAG, split_prefix, window};
use crate::translate::json::{self, Fix, TextMember};
use crate::wire::openai::fields::Fields;

/// A call as the model wrote it: whether the tool exists and the arguments fit is not yet known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawCall {
    pub name: String,
    pub arguments: RawArguments,
    pub form: Form,
    /// Whether it stands in the block with the conversation's key.
    pub is_keyed: bool,
    /// Whether it is nothing but arguments, without a name.
    pub is_bare: bool,
    /// Whether what stands around it could be an example, so that its arguments have to fit.
    pub is_weak: bool,
    /// What had to be forgiven or repaired around the arguments, by name.
    pub mended: Vec<&'static str>,
}

/// How a call itself is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As one JSON object.
    Json,
    /// As elements.
    Elements,
    /// As a name and arguments, in the way of a program or of a family of models.
    Function,
}

/// Arguments as the model wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawArguments {
    /// JSON, or what was meant to be.
    Json(String),
    /// One text for each parameter.
    Texts(Vec<TextMember>),
    /// Values without a name, each of them JSON, and an object with those that have one.
    Positional { values: Vec<String>, named: String },
}

impl RawCall {
    /// A call that is one JSON object.
    pub fn json(name: String, arguments: String) -> Self {
        Self {
            name,
            arguments: RawArguments::Json(arguments),
            form: Form::Json,
            is_keyed: false,
            is_bare: false,
            is_weak: false,
            mended: Vec::new(),
        }
    }

    /// The same call, in the block with the key.
    pub fn keyed(self) -> Self {
        Self {
            is_keyed: true,
            ..self
        }
    }

    /// The same call, whose JSON was closed too often.
    pub fn closed_too_often(self) -> Self {
        self.mended_by(Fix::SurplusCloser.label())
    }

    /// The same call, of which something was forgiven.
    pub fn mended_by(mut self, label: &'static str) -> Self {
        if !self.mended.contains(&label) {
            self.mended.push(label);
        }
        self
    }
}

/// Names of the members that hold a call's name and arguments, ours first.
pub const NAME: [&str; 3] = ["name", "tool", "tool_name"];
pub const ARGUMENTS: [&str; 5] = ["arguments", "parameters", "args", "input", "tool_input"];
/// Members that hold one call or a list of them.
pub const NESTED: [&str; 4] = ["tool_calls", "function", "tool_call", "function_call"];
/// Elements that models put around calls; a key may follow as an attribute or behind a hyphen.
pub const ELEMENTS: [&str; 7] = [
    "tool_calls",
    "tool_call",
    "function_calls",
    "function_call",
    "tools",
    "tool",
    "invoke",
];
/// Those of them that hold a single call.
const WRAPPERS: [&str; 4] = ["tool_call", "function_call", "tool", "invoke"];

/// Elements that stand for a tool's result, which some models put their calls into.
const RESULTS: [&str; 2] = ["tool_result", "tool_response"];
/// Bytes that an element around calls may hold besides its name; fewer than this.
const MAX_ATTRIBUTES: usize = 64;
/// What the marks of a fence consist of.
pub const FENCES: [char; 2] = ['`', '~'];
/// What models copy from the form they were shown in place of a tool's name.
pub const PLACEHOLDERS: [&str; 5] = [
    "TOOL",
    "TOOL_NAME",
    "tool-name",
    "<tool-name>",
    "(tool name)",
];
/// The same in place of a parameter's.
pub const PARAMETER_PLACEHOLDERS: [&str; 2] = ["PARAMETER", "(parameter name)"];
pub const QUOTES: [char; 5] = ['"', '\'', '“', '”', '„'];

/// Reads one call out of its JSON.
pub fn parse_call(json: &str) -> Option<RawCall> {
    let repaired = json::repair(json)?;
    let Fields(fields) = serde_json::from_str(&repaired.json).ok()?;
    let mut mended: Vec<_> = repaired.fixes.iter().map(|fix| fix.label()).collect();
    let member = |names: &[&'static str]| {
        let found = |name: &&'static str| {
            let (_, value) = fields.iter().find(|(known, _)| known == name)?;
            Some((*name, *value))
        };
        names.iter().find_map(found)
    };
    let inner = member(&["function", "function_call"]);
    if let Some((_, inner)) = inner.filter(|(_, inner)| inner.get().starts_with('{')) {
        let mut call = parse_call(inner.get())?;
        call.mended.append(&mut mended);
        return Some(call);
    }
    let (name_member, name) = member(&NAME).or(member(&["function"]))?;
    let arguments = member(&ARGUMENTS);
    if name_member != "name" || arguments.is_some_and(|(member, _)| member != "arguments") {
        mended.push(leniency::OTHER_MEMBER);
    }
    let name = serde_json::from_str(name.get()).ok()?;
    let arguments = arguments.map_or("{}", |(_, arguments)| arguments.get());
    Some(RawCall {
        mended,
        ..RawCall::json(name, arguments.to_owned())
    })
}

/// The name that stands before pairs of `<arg_key>` and `<arg_value>`, and the pairs.
pub fn pairs_head(text: &str) -> Option<(&str, &str)> {
    let (name, _) = window(text, MAX_TAG).split_once('<')?;
    let inside = text.get(name.len()..)?;
    let name = name.trim_end();
    let is_pairs = inside.starts_with("<arg_key>") || inside.starts_with("</tool_call>");
    (is_pairs && !name.is_empty() && name.bytes().all(is_name_byte)).then_some((name, inside))
}

/// Whether a text begins as names do, and is not empty.
pub fn is_name_start(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
}

/// What the names of tools consist of.
pub fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// The calls in one JSON value: a call, a list of calls, or an object that holds them.
pub fn collect_calls(json: &str, calls: &mut Vec<RawCall>, depth: usize) -> Option<()> {
    if depth > 3 {
        return None;
    }
    let repaired = json::repair(json)?;
    if repaired.json.trim_start().starts_with('[') {
        let items: Vec<&serde_json::value::RawValue> = serde_json::from_str(&repaired.json).ok()?;
        let first = calls.len();
        items
            .into_iter()
            .try_for_each(|item| collect_calls(item.get(), calls, depth.saturating_add(1)))?;
        note_fixes(&repaired, calls.get_mut(first));
        return Some(());
    }
    let Fields(fields) = serde_json::from_str(&repaired.json).ok()?;
    let nested = fields
        .iter()
        .find(|(name, value)| NESTED.contains(&name.as_ref()) && value.get().starts_with('['));
    match nested {
        Some((_, list)) => {
            let first = calls.len();
            collect_calls(list.get(), calls, depth.saturating_add(1))?;
            note_fixes(&repaired, calls.get_mut(first));
        }
        None => {
            calls.push(parse_call(&repaired.json)?);
            note_fixes(&repaired, calls.last_mut());
        }
    }
    Some(())
}

fn note_fixes(repaired: &json::Repaired, call: Option<&mut RawCall>) {
    if let Some(call) = call {
        let fixes = repaired.fixes.iter().map(|fix| fix.label());
        call.mended.extend(fixes);
    }
}

/// What follows JSON after the braces that close it once too often, and whether there are any.
pub fn skip_surplus(after: &str) -> (&str, bool) {
    let tail = after.trim_start_matches(|letter: char| letter == '}' || letter.is_whitespace());
    let skipped = after.strip_suffix(tail).unwrap_or_default();
    (tail, skipped.contains('}'))
}

/// Whether what a text begins with, within a fence or not, is the JSON that is asked for where no
/// block is: an object that holds a list of calls.
pub fn is_call_list(text: &str) -> bool {
    let text = text.trim_start();
    let text = match text.starts_with(FENCES) {
        true => text.split_once('\n').map_or("", |(_, inside)| inside),
        false => text,
    };
    let inside = text.trim_start().strip_prefix('{').map(str::trim_start);
    let member = inside.and_then(|inside| inside.strip_prefix(QUOTES));
    member.is_some_and(|member| member.starts_with("tool_calls"))
}

/// Whether a written name means a tool: as it is, in another case, or behind `functions.`.
pub fn is_name(written: &str, known: &str) -> bool {
    let bare = written.strip_prefix("functions.").unwrap_or(written);
    bare.eq_ignore_ascii_case(known)
}

/// Whether the inside of a tag is that of an element which models put around calls.
pub fn is_element(tag: &str) -> bool {
    let (_, tag) = split_prefix(tag);
    let (name, attributes) = tag.split_once([' ', '\n', '-']).unwrap_or((tag, ""));
    let is_known = ELEMENTS.contains(&name) || RESULTS.contains(&name);
    is_known && attributes.len() < MAX_ATTRIBUTES
}

/// Whether the inside of a tag is that of an element which stands for a tool's result.
pub fn is_result(tag: &str) -> bool {
    let name = tag.split([' ', '\n', '-']).next().unwrap_or_default();
    RESULTS.contains(&name)
}

/// Whether the inside of a tag could become that of an element around calls.
pub fn could_be_element(name: &str) -> bool {
    let mut known = ELEMENTS.iter().chain(&RESULTS);
    known.any(|element| element.starts_with(name))
}

/// Whether the inside of a tag is that of an element which holds one call.
pub fn is_wrapper(tag: &str) -> bool {
    let (_, tag) = split_prefix(tag);
    let name = tag.split([' ', '\n', '-']).next().unwrap_or_default();
    WRAPPERS.contains(&name)
}
