//! Whether a text begins as calls do, in whichever form, long before all of it is there.

use super::envelope::{
    ARGUMENTS, ELEMENTS, FENCES, NAME, NESTED, QUOTES, is_element, is_name, is_name_byte,
    pairs_head,
};
use super::markup::{MarkupCall, could_open, split_prefix, window};

/// What the beginning of a text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// These are no calls.
    No,
    /// It cannot be told yet.
    Open,
    /// It begins like a call to a known tool; whatever follows, only the end of the text can tell.
    Settled,
}

/// The first call of a text says its name within this many bytes, or it is none.
const MOST_LEAD: usize = 512;
/// A call stands within fewer fences and elements than this.
const MOST_LAYERS: usize = 8;
/// What may come before the name in a call.
const ASIDE: [&str; 2] = ["id", "type"];

impl Opening {
    /// Judges a text by its first bytes, the same however much follows them.
    pub fn of(text: &str, names: &[String]) -> Self {
        let lead = window(text, MOST_LEAD);
        match of_envelope(lead, names) {
            Self::Open if lead.len() < text.len() => Self::No,
            opening => opening,
        }
    }

    fn of_prefix(could_be: bool) -> Self {
        match could_be {
            true => Self::Open,
            false => Self::No,
        }
    }

    fn of_name(is_known: bool) -> Self {
        match is_known {
            true => Self::Settled,
            false => Self::No,
        }
    }
}

/// Whether a text holds what would be read as a call to a known tool if a model repeated it,
/// whichever way it is escaped.
pub fn holds_call(text: &str, names: &[&str]) -> bool {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let lower = text.to_ascii_lowercase();
    let is_named = |name: &String| lower.contains(&name.to_ascii_lowercase());
    // A name can be spelt in escapes.
    if !names.iter().any(is_named) && !lower.contains("\\u") {
        return false;
    }
    let has_call = |text: &str| {
        let mut starts = text.match_indices(['{', '<']);
        starts.any(|(at, _)| {
            let rest = text.get(at..).unwrap_or_default();
            Opening::of(rest, &names) == Opening::Settled
        })
    };
    let is_escaped = text.contains(['\\', '&']);
    has_call(text) || (is_escaped && has_call(&unescaped(text)))
}

/// A text without the escapes of JSON, however many layers there are, and of HTML.
fn unescaped(text: &str) -> String {
    const ENTITIES: [(&str, &str); 7] = [
        ("&amp;", "&"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
    ];
    let mut plain = String::with_capacity(text.len());
    let mut parts = text.split('\\');
    plain.extend(parts.next());
    for part in parts {
        let code = part.strip_prefix('u').and_then(|rest| rest.get(..4));
        let letter = code
            .and_then(|code| u32::from_str_radix(code, 16).ok())
            .and_then(char::from_u32);
        match (letter, part.strip_prefix(['n', 'r', 't'])) {
            (Some(letter), _) => {
                plain.push(letter);
                plain.push_str(part.get(5..).unwrap_or_default());
            }
            (None, Some(rest)) => {
                plain.push('\n');
                plain.push_str(rest);
            }
            (None, None) => plain.push_str(part),
        }
    }
    match plain.contains('&') {
        true => ENTITIES.iter().fold(plain, |plain, (entity, letter)| {
            plain.replace(entity, letter)
        }),
        false => plain,
    }
}

/// Goes through fences and opening elements at the start of a text.
fn of_envelope(text: &str, names: &[String]) -> Opening {
    let mut rest = text.trim_start();
    let mut is_in_call = false;
    for _ in 0..MOST_LAYERS {
        if rest.is_empty() {
            return Opening::Open;
        }
        if rest.starts_with(['{', '[']) {
            return of_json(rest, names, 0);
        }
        if rest.starts_with(FENCES) {
            rest = match rest.split_once('\n') {
                Some((line, after)) if is_fence_line(line) => after.trim_start(),
                Some(_) => return Opening::No,
                None => return Opening::of_prefix(is_fence_line(rest)),
            };
            continue;
        }
        let Some(element) = rest.strip_prefix('<') else {
            return match is_in_call {
                true => of_pairs(rest, names),
                false => Opening::No,
            };
        };
        let Some((tag, after)) = element.split_once('>') else {
            let could_be_call = could_open(element, |name| starts_a_name(name, names));
            return Opening::of_prefix(could_be_element(element) || could_be_call);
        };
        if let Some(call) = MarkupCall::open(tag) {
            return Opening::of_name(is_known(call.name(), names));
        }
        if !is_element(tag) {
            return Opening::No;
        }
        is_in_call = tag.starts_with("tool_call") && !tag.starts_with("tool_calls");
        rest = after.trim_start();
    }
    Opening::No
}

/// Whether JSON that may not be complete begins like a call to a known tool.
fn of_json(json: &str, names: &[String], depth: usize) -> Opening {
    let Some(inner) = json.strip_prefix(['{', '[']) else {
        return Opening::of_prefix(json.is_empty());
    };
    let inner = inner.trim_start();
    if depth > 3 {
        return Opening::No;
    }
    if json.starts_with('[') && !inner.is_empty() {
        return of_json(inner, names, depth.saturating_add(1));
    }
    of_members(inner, names, depth)
}

fn of_members(members: &str, names: &[String], depth: usize) -> Opening {
    let Some(quoted) = members.strip_prefix(QUOTES) else {
        return Opening::of_prefix(members.is_empty());
    };
    let Some((key, after)) = quoted.split_once(QUOTES) else {
        return Opening::of_prefix(known_members().any(|member| member.starts_with(quoted)));
    };
    let after = after.trim_start();
    let Some(value) = after.strip_prefix(':') else {
        return Opening::of_prefix(after.is_empty() && known_members().any(|known| known == key));
    };
    let value = value.trim_start();
    if NAME.contains(&key) || (key == "function" && value.starts_with(QUOTES)) {
        return of_quoted_name(value, names);
    }
    match key {
        key if NESTED.contains(&key) => of_json(value, names, depth.saturating_add(1)),
        key if ARGUMENTS.contains(&key) => Opening::Settled,
        key if ASIDE.contains(&key) => after_aside(value, names, depth),
        _ => Opening::No,
    }
}

/// After a string that comes before the name.
fn after_aside(value: &str, names: &[String], depth: usize) -> Opening {
    let Some(quoted) = value.strip_prefix(QUOTES) else {
        return Opening::of_prefix(value.is_empty());
    };
    let Some((_, after)) = quoted.split_once(QUOTES) else {
        return Opening::Open;
    };
    match after.trim_start().strip_prefix(',') {
        Some(next) => of_members(next.trim_start(), names, depth),
        None => Opening::of_prefix(after.trim_start().is_empty()),
    }
}

fn of_quoted_name(value: &str, names: &[String]) -> Opening {
    let Some(quoted) = value.strip_prefix(QUOTES) else {
        return Opening::of_prefix(value.is_empty());
    };
    match quoted.split_once(QUOTES) {
        Some((name, _)) => Opening::of_name(is_known(name, names)),
        None => Opening::of_prefix(starts_a_name(quoted, names)),
    }
}

/// A name right within `<tool_call>`, before elements with keys and values.
fn of_pairs(text: &str, names: &[String]) -> Opening {
    if let Some((name, _)) = pairs_head(text) {
        return Opening::of_name(is_known(name, names));
    }
    let name = text
        .split(|letter: char| !u8::try_from(letter).is_ok_and(is_name_byte))
        .next()
        .unwrap_or_default();
    let after = text.get(name.len()..).unwrap_or_default().trim_start();
    let could_follow = "<arg_key>".starts_with(after) || "</tool_call>".starts_with(after);
    match after.is_empty() && name.len() == text.len() {
        true => Opening::of_prefix(starts_a_name(name, names)),
        false => Opening::of_prefix(could_follow && is_known(name, names)),
    }
}

fn is_known(name: &str, names: &[String]) -> bool {
    names.iter().any(|known| is_name(name, known))
}

fn starts_a_name(written: &str, names: &[String]) -> bool {
    let written = written.to_ascii_lowercase();
    names.iter().any(|known| {
        let known = known.to_ascii_lowercase();
        known.starts_with(&written) || format!("functions.{known}").starts_with(&written)
    })
}

fn known_members() -> impl Iterator<Item = &'static str> {
    NAME.into_iter().chain(ARGUMENTS).chain(NESTED).chain(ASIDE)
}

fn is_fence_line(line: &str) -> bool {
    let word = line.trim_start_matches(['`', '~']);
    let marks = line.len().saturating_sub(word.len());
    let word = word.trim();
    marks <= 3
        && word.len() <= 16
        && word
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

fn could_be_element(tag: &str) -> bool {
    let (prefix, bare) = split_prefix(tag);
    if bare.contains([' ', '\n', '-']) {
        return is_element(tag);
    }
    let could_be_prefix = prefix.is_empty()
        && bare.len() <= 16
        && bare.bytes().all(|byte| byte.is_ascii_alphanumeric());
    could_be_prefix || ELEMENTS.iter().any(|element| element.starts_with(bare))
}
